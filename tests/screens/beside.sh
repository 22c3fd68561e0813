#!/bin/sh
# The browser beside writers, and when its terminal is gone.
exec python3 "$(dirname "$0")/beside.py"
