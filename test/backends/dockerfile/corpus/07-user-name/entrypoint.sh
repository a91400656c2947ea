#!/bin/sh
cat /home/runner/built; stat -c "%u:%g %a" /home/runner/entrypoint.sh /home/runner/built; echo "args:$#:$*"; echo "in:$INPUT_NAME"; echo "at:$(pwd)"; echo "id:$(id -u):$(id -g)"
