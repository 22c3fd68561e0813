#!/bin/sh
# Draws the README's pictures anew: a map of a file, and screens of the
# browser. The program draws them all, from an image made here: a week of
# snapshots, one of them deleted, a bitmap, compressed clusters; then the same
# with one L2 table erased.
set -eu
cd "$(dirname "$0")/.."
: "${QFSCK:=$PWD/qfsck}"
root=$PWD
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

# A guest's disk: two partitions, files, two snapshots; a table is erased.
mkdir -p root/etc root/home root/var/log
seq 9000 >root/etc/passwd
for n in 1 2 3 4 5 6 7 8; do
	seq $((n * 60000)) >root/home/letter$n
	seq $((n * 20000)) >root/var/log/syslog.$n
done
truncate -s 96M disk.raw
mke2fs -q -F -t ext4 -L boot -E root_owner=0:0 boot.raw 8M
mke2fs -q -F -t ext4 -L root -E root_owner=0:0 -d root root.raw 80M
dd if=boot.raw of=disk.raw bs=1M seek=1 conv=notrunc,sparse status=none
dd if=root.raw of=disk.raw bs=1M seek=12 conv=notrunc,sparse status=none
python3 - disk.raw <<'END'
import struct
import sys
with open(sys.argv[1], "r+b") as disk:
    disk.seek(446)
    for start, end in ((1, 9), (12, 92)):
        disk.write(struct.pack("<8BII", 0, 0, 0, 0, 0x83, 0, 0, 0,
                               start * 2048, (end - start) * 2048))
    disk.seek(510)
    disk.write(b"\x55\xaa")
END
qemu-img convert -O qcow2 -o cluster_size=16k disk.raw guest.qcow2
qemu-img snapshot -c Monday guest.qcow2
qemu-io -c 'write -q -P 3 20M 3M' -c 'write -q -P 3 60M 1M' guest.qcow2
qemu-img snapshot -c Tuesday guest.qcow2
qemu-io -c 'write -q -P 4 21M 700k' -c 'write -q -z 70M 6M' guest.qcow2
python3 - guest.qcow2 <<'END'
import struct
import sys
with open(sys.argv[1], "r+b") as image:
    image.seek(40)
    image.seek(struct.unpack(">Q", image.read(8))[0] + 8)
    table = struct.unpack(">Q", image.read(8))[0] & 0xfffffffffffe00
    image.seek(table + 1024)
    image.write(bytes(2048))
END

"$QFSCK" viz --colour=256 --script - guest.qcow2 <<END
size 100x28
wait
key :
type g34M
key Enter
wait
save $out/browser-guest.svg
END
rm -f "$out/map.svg"
"$QFSCK" viz --export "$out/map.svg" damaged.qcow2
rm -f "$out/page.png"
"$QFSCK" viz --export guest.html guest.qcow2
python3 - "$root/tests/lib" "$PWD/guest.html" "$out/page.png" <<'END'
import base64
import sys
sys.path.insert(0, sys.argv[1])
import browser
if not browser.program():
    print("no chromium: the picture of the page stays away")
    sys.exit()
with browser.Browser() as web:
    page = web.open("file://" + sys.argv[2], width=1000, height=1180)
    page.ask("document.querySelector('#l0 a').click(); scrollTo(0, 0)")
    with open(sys.argv[3], "wb") as file:
        file.write(base64.b64decode(
            page.call("Page.captureScreenshot", format="png")["data"]))
END
"$QFSCK" viz --colour=256 --script - server.qcow2 <<END
size 100x28
wait
key 3 j j Space j Space
save $out/browser-snapshots.svg
key 2 ]
key ]
save $out/browser-map.svg
END
"$QFSCK" viz --colour=256 --script - damaged.qcow2 <<END
size 100x28
wait
key 4 j j
save $out/browser-findings.svg
key 2 /
type l2
key Enter n 6
wait
save $out/browser-hex.svg
save $out/browser-hex.txt
END
ls -l "$out"
