#!/bin/sh
# The mouse, on a real terminal.
exec python3 "$(dirname "$0")/mouse.py"
