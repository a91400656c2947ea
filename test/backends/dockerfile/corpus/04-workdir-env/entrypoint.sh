#!/bin/sh
echo "$MODE $APP_HOME"; case $PATH in /opt/app/bin:/*) echo path;; esac; echo "args:$#:$*"; echo "in:$INPUT_NAME"; echo "at:$(pwd)"; echo "id:$(id -u):$(id -g)"
