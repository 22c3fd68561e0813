#!/bin/sh
# Draws the README's pictures anew: a map of a file, and screens of the
# browser. The program draws them all, from an image made here: a week of
# snapshots, one of them deleted, a bitmap, compressed clusters; then the same
# with one L2 table erased.
set -eu
cd "$(dirname "$0")/.."
: "${QFSCK:=$PWD/qfsck}"
out=$PWD/viz/pictures
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
mkdir -p "$out"
cd "$tmp"
export LC_ALL=C.UTF-8

qemu-img create -q -f qcow2 -o cluster_size=4k server.qcow2 8M
qemu-io -c 'write -q -P 1 0 640k' -c 'write -q -P 2 2M 320k' server.qcow2
n=0
for day in Monday Tuesday Wednesday Thursday Friday; do
	n=$((n + 1))
	qemu-img snapshot -c $day server.qcow2
	qemu-io -c "write -q -P $n $((n * 100))k 180k" \
		-c "write -q -P $n $((2048 + n * 90))k 120k" \
		-c "write -q -P $n $((4096 + n * 128))k 96k" server.qcow2
done
qemu-img snapshot -d Tuesday server.qcow2
qemu-io -c 'write -q -c 6M 4k' -c 'write -q -c 6148k 4k' server.qcow2
qemu-img bitmap --add server.qcow2 backup

cp server.qcow2 damaged.qcow2
python3 - damaged.qcow2 <<'END'
import struct
import sys
with open(sys.argv[1], "r+b") as image:
    image.seek(40)
    image.seek(struct.unpack(">Q", image.read(8))[0] + 8)
    table = struct.unpack(">Q", image.read(8))[0] & 0xfffffffffffe00
    image.seek(table)
    image.write(bytes(4096))
END

"$QFSCK" viz --export "$out/map.svg" damaged.qcow2
"$QFSCK" viz --script - server.qcow2 <<END
size 100x28
wait
key 3 j j Space j Space
save $out/browser-snapshots.svg
key 2 ]
key ]
save $out/browser-map.svg
END
"$QFSCK" viz --script - damaged.qcow2 <<END
size 100x28
wait
key 4 j j
save $out/browser-findings.svg
key 2 /
type l2
key Enter n 6
save $out/browser-hex.svg
save $out/browser-hex.txt
END
ls -l "$out"
