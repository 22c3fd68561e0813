#!/bin/sh
# Draws the README's pictures anew, from images of the corpus: a map of the
# file, and screens of the browser. The program draws them all.
set -eu
cd "$(dirname "$0")/.."
: "${QFSCK:=$PWD/qfsck}"
out=$PWD/viz/pictures
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
mkdir -p "$out"

tests/corpus.py --make "$tmp" clean-snapshots snapshot-under-writer >/dev/null
cd "$tmp"
mv clean-snapshots/image.qcow2 server.qcow2
mv snapshot-under-writer/image.qcow2 damaged.qcow2
export LC_ALL=C.UTF-8

"$QFSCK" viz --export "$out/map.svg" damaged.qcow2
"$QFSCK" viz --script - server.qcow2 <<END
size 100x28
wait
key 2 j j Space
key 1 ]
key ]
save $out/browser-map.svg
END
"$QFSCK" viz --script - damaged.qcow2 <<END
size 100x28
wait
key 3
save $out/browser-findings.svg
END
"$QFSCK" viz --script - server.qcow2 <<END
size 100x28
wait
key 1 / 
type l2
key Enter 5
save $out/browser-hex.svg
save $out/browser-hex.txt
END
ls -l "$out"
