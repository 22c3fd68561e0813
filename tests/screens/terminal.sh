#!/bin/sh
# The browser on a terminal.
exec python3 "$(dirname "$0")/terminal.py"
