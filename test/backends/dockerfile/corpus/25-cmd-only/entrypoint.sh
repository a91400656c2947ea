#!/bin/sh
echo "args:$#:$*"; echo "in:$INPUT_NAME"; echo "at:$(pwd)"; echo "id:$(id -u):$(id -g)"
