#!/bin/sh
cat /etc/.version
ls -A /usr/local/bin
echo "args:$#:$*"; echo "in:$INPUT_NAME"; echo "at:$(pwd)"; echo "id:$(id -u):$(id -g)"
