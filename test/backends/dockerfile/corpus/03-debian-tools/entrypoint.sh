#!/bin/sh
cat /usr/local/share/tool-version; echo "args:$#:$*"; echo "in:$INPUT_NAME"; echo "at:$(pwd)"; echo "id:$(id -u):$(id -g)"
