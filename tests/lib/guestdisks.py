"""Disks of guests: a tree of files in a file system, made by the real tools."""

import os

from guests import put, quiet, raw
from qcow2 import COPIED, OFFSET_MASK, Image

MIB = 1 << 20
# mkfs.xfs makes so small a file system for its own tests alone
SMALL = {"TEST_DIR": "x", "TEST_DEV": "x", "QA_CHECK_FS": "x"}


def ext4(disk, root):
    quiet("mke2fs", "-q", "-t", "ext4", "-d", root, raw(disk, 96 * MIB))


def ext4_small_blocks(disk, root):
    quiet("mke2fs", "-q", "-t", "ext4", "-b", "1024", "-d", root,
          raw(disk, 64 * MIB))


def btrfs(disk, root):
    quiet("mkfs.btrfs", "-q", "--rootdir", root, raw(disk, 160 * MIB))


def fat(disk, root):
    quiet("mkfs.fat", "-F", "32", raw(disk, 96 * MIB))
    for name in sorted(os.listdir(root)):
        quiet("mcopy", "-i", disk, "-s", os.path.join(root, name), "::")


def ntfs(disk, root):
    quiet("mkntfs", "-q", "-F", "-f", raw(disk, 96 * MIB))
    for n, (folder, _, names) in enumerate(os.walk(root)):
        for name in names:
            quiet("ntfscp", "-q", "-f", disk, os.path.join(folder, name),
                  "%d-%s" % (n, name))
    close_log(disk)


def xfs(disk, root):
    lines = ["x", "0 0", "d--755 0 0"]
    for folder, _, names in os.walk(root):
        lines += ["f%d-%d ---644 0 0 %s" % (len(lines), n,
                                            os.path.join(folder, name))
                  for n, name in enumerate(names) if " " not in
                  os.path.join(folder, name)]
    with open(disk + ".proto", "w") as proto:
        proto.write("\n".join(lines + ["$", "$", ""]))
    quiet("mkfs.xfs", "-q", "-f", "-p", disk + ".proto",
          raw(disk, 96 * MIB), **SMALL)


def partitioned(disk, root):
    ext4(disk + ".part", root)
    raw(disk, 98 * MIB)
    quiet("sgdisk", "-n", "1:2048:+96M", disk)
    with open(disk + ".part", "rb") as part:
        put(disk, MIB, part.read())


def close_log(path):
    """The log as Windows leaves it; the tools leave an empty one."""
    with open(path, "rb") as f:
        boot = f.read(512)
        cluster = boot[13] * 512
        f.seek(int.from_bytes(boot[48:56], "little") * cluster + 2 * 1024)
        record = f.read(1024)
    at = int.from_bytes(record[20:22], "little")
    while int.from_bytes(record[at:at + 4], "little") != 0x80:
        at += int.from_bytes(record[at + 4:at + 8], "little")
    at += int.from_bytes(record[at + 32:at + 34], "little")
    first = at + 1 + (record[at] & 15)
    start = int.from_bytes(record[first:first + (record[at] >> 4)], "little")
    page = bytearray(4096)
    page[0:8] = b"RSTR\x1e\0\x09\0"
    page[16:26] = b"\0\x10\0\0\0\x10\0\0\x30\0"
    page[0x30 + 8:0x30 + 16] = b"\1\0\0\0\xff\xff\2\0"
    put(path, start * cluster, bytes(page) * 2)


def shuffled(path, rng):
    """Puts the data clusters of an image into another order in the file."""
    with Image(path) as image:
        found = image.normal_entries()
        places = [entry & OFFSET_MASK for _, _, entry in found]
        data = {at: image.read(at, image.cluster) for at in places}
        moved = list(places)
        rng.shuffle(moved)
        for (_, pos, entry), old, new in zip(found, places, moved):
            image.write(new, data[old])
            image.put64(pos, entry & ~OFFSET_MASK | new)
    return path
