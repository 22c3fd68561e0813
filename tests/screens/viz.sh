#!/bin/sh
# The browser's screens, without a terminal.
exec python3 "$(dirname "$0")/screens.py"
