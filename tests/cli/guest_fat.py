#!/usr/bin/env python3
"""qfsck guest on FAT, exFAT, ISO 9660, swap and what it can only name."""

import os
import re
import struct
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "lib"))

from guests import *                                        # noqa: E402,F403
from tap import Tap                                         # noqa: E402
from tools import own_folder                                # noqa: E402

tap = Tap()
# name, bits, size, mkfs.fat options
FATS = (("fat12", 12, 2 << 20, ("-s", "1")),
        ("fat16", 16, 20 << 20, ("-s", "2")),
        ("fat32", 32, 70 << 20, ("-s", "1")))


def copy_in(path, root):
    for name in sorted(os.listdir(root)):
        quiet("mcopy", "-s", "-m", "-i", path, os.path.join(root, name),
              "::/")


def fat_layout(path):
    """Where the table is, its length, where cluster 2 is, cluster's size."""
    with open(path, "rb") as f:
        b = f.read(512)
    sector, cluster, reserved, tables, roots = struct.unpack_from(
        "<HBHBH", b, 11)
    length = struct.unpack_from("<H", b, 22)[0] or \
        struct.unpack_from("<I", b, 36)[0]
    data = (reserved + tables * length) * sector + roots * 32
    return reserved * sector, length * sector, data, cluster * sector


def fat_free(path, bits, size):
    """The free ranges, by a reading of the table of its own."""
    at, length, data, cluster = fat_layout(path)
    with open(path, "rb") as f:
        f.seek(at)
        number = int.from_bytes(f.read(length), "little")
    count = (size - data) // cluster
    mask = (1 << (28 if bits == 32 else bits)) - 1
    return merged((data + (n - 2) * cluster, data + (n - 1) * cluster)
                  for n in range(2, count + 2)
                  if not (number >> (n * bits)) & mask)


def fsck_counts(path):
    """Clusters in use and in all, as fsck.fat has them."""
    text = quiet("fsck.fat", "-n", "-v", path)
    found = re.search(r"(\d+)/(\d+) clusters", text)
    return int(found[1]), int(found[2])


def fat(name, bits, size, options):
    root = name + ".tree"
    paths = tree(root, files=30, seed=bits, max_bytes=100000, odd=False)
    path = raw(name + ".raw", size)
    quiet("mkfs.fat", "-F", str(bits), "-i", "1234abcd", "-n",
          name.upper(), *options, path)
    copy_in(path, root)
    for gone in paths[::4]:
        quiet("mdel", "-i", path, "::/" + gone)
    with open(os.path.join(root, "last"), "wb") as f:
        f.write(bytes(range(251)) * 500)
    quiet("mcopy", "-i", path, os.path.join(root, "last"), "::/")
    paths = [p for p in paths if p not in paths[::4]] + ["last"]
    qcow2 = image(path)
    volume = only_volume(qcow2, "--ranges")
    fs = volume["file-system"]
    tap.result((fs["kind"], fs["label"], fs["uuid"]) ==
               (name.upper(), name.upper(), "1234-ABCD"),
               name + ": what it is", [str(fs)])
    notes = compared("free", fat_free(path, bits, size),
                     ranges(volume, "free"))
    used, clusters = fsck_counts(path)
    cluster = fat_layout(path)[3]
    free = sum(b - a for a, b in ranges(volume, "free"))
    if free != (clusters - used) * cluster:
        notes.append("fsck.fat: %d of %d clusters; free %d bytes" %
                     (used, clusters, free))
    tap.result(not notes, name + ": free clusters as fsck.fat has them",
               notes)
    notes = compare_contents(path, qcow2, root, paths)
    tap.result(not notes, name + ": the pieces hold the bytes", notes)
    files = files_of(qcow2, 0, size)
    named = {f["path"].lower().lstrip("/") for f in files
             if f["kind"] == "file"}
    wanted = {p.lower() for p in paths
              if os.path.getsize(os.path.join(root, p))}
    tap.result(named == wanted, name + ": all files have their names",
               compared("names", wanted, named))
    return path


def circle(path):
    """A chain and a directory that lead back to themselves."""
    at, _, data, cluster = fat_layout(path)
    with open(path, "r+b") as f:
        f.seek(at)
        entries = list(struct.unpack("<4000I", f.read(16000)))
        turned = [n if 2 < n and e & 0x0fffffff > 0x0ffffff0 else e
                  for n, e in enumerate(entries)]
        f.seek(at)
        f.write(struct.pack("<4000I", *turned))
    status, shown, _ = guest(image(path), "--files=0+70M")
    tap.result(status == 0 and shown["files"],
               "chains that lead back to themselves end")


def exfat():
    path = raw("exfat.raw", 32 << 20)
    quiet("mkfs.exfat", "-L", "shelf", path)
    volume = only_volume(image(path), "--ranges")
    fs = volume["file-system"]
    used = merged(ranges(volume, "used"))
    text = quiet("dump.exfat", path)
    heap = int(re.search(r"Cluster Heap Offset[^:]*:\s+(\d+)", text)[1])
    clusters = int(re.search(r"Cluster Count:\s+(\d+)", text)[1])
    free = int(re.search(r"Free Clusters:\s+(\d+)", text)[1])
    ours = sum(b - a for a, b in ranges(volume, "free"))
    tap.result((fs["kind"], fs["label"], fs["state"]) ==
               ("exFAT", "shelf", "clean") and
               ours == free * fs["block-size"] and
               used[0][0] == 0 and used[0][1] >= heap * 512 and clusters,
               "exFAT: as dump.exfat has it", [str(fs), str(used), text])
    exfat_files(path, fs["block-size"])


def exfat_files(path, cluster):
    """A file in pieces by the table, and one without entries there."""
    with open(path, "r+b") as f:
        b = f.read(512)
        table = struct.unpack_from("<I", b, 80)[0] * 512
        heap = struct.unpack_from("<I", b, 88)[0] * 512
        root = struct.unpack_from("<I", b, 96)[0]

        def entry(first, size, chained, name):
            units = name.encode("utf-16-le")
            return (struct.pack("<BBHHHII16x", 0x85, 2, 0, 0x20, 0, 0,
                                0x55000000) +
                    struct.pack("<BBBBHHQIIQ", 0xc0, 1 if chained else 3, 0,
                                len(name), 0, 0, size, 0, first, size) +
                    struct.pack("<BB", 0xc1, 0) + units.ljust(30, b"\0"))

        f.seek(heap + (root - 2) * cluster)
        listing = f.read(cluster)
        end = next(i for i in range(0, cluster, 32) if not listing[i])
        f.seek(heap + (root - 2) * cluster + end)
        f.write(entry(100, 2 * cluster, False, "row") +
                entry(200, 2 * cluster, True, "chain"))
        f.seek(table + 200 * 4)
        f.write(struct.pack("<I", 300))
        f.seek(table + 300 * 4)
        f.write(struct.pack("<I", 0xffffffff))
        for n, byte in ((100, b"a"), (101, b"b"), (200, b"c"), (300, b"d")):
            f.seek(heap + (n - 2) * cluster)
            f.write(byte * cluster)
    qcow2 = image(path)
    got = [content(path, guest(qcow2, "--path=/" + p)[1]["files"][0][
        "pieces"], 2 * cluster) for p in ("ROW", "chain")]
    tap.result(got == [b"a" * cluster + b"b" * cluster,
                       b"c" * cluster + b"d" * cluster],
               "exFAT: the pieces hold the bytes",
               [str([g[::cluster] for g in got])])


def iso():
    root = "iso.tree"
    paths = tree(root, files=25, seed=9, odd=False)
    quiet("genisoimage", "-quiet", "-R", "-V", "CDROM", "-o", "iso.raw",
          root)
    qcow2 = image("iso.raw")
    fs = only_volume(qcow2)["file-system"]
    tap.result((fs["kind"], fs["label"], fs["size"]) ==
               ("ISO 9660", "CDROM", os.path.getsize("iso.raw") -
                os.path.getsize("iso.raw") % 2048),
               "ISO 9660: what it is", [str(fs)])
    notes = compare_contents("iso.raw", qcow2, root, paths)
    tap.result(not notes, "ISO 9660: the pieces hold the bytes", notes)


def swap():
    path = raw("swap.raw", 8 << 20)
    quiet("mkswap", "-L", "swapping", "-U",
          "00000000-0000-0000-0000-00000000abcd", path)
    fs = only_volume(image(path))["file-system"]
    tap.result((fs["kind"], fs["label"], fs["uuid"], fs["size"]) ==
               ("swap", "swapping", "00000000-0000-0000-0000-00000000abcd",
                8 << 20), "swap: what it is", [str(fs)])


def opaque():
    signs = {"LUKS": (0, b"LUKS\xba\xbe"), "BitLocker": (3, b"-FVE-FS-"),
             "APFS": (32, b"NXSB"), "HFS+": (1024, b"H+\0\4"),
             "ZFS": (131072, b"\x0c\xb1\xba\0\0\0\0\0"),
             "SquashFS": (0, b"hsqs"),
             "bcachefs": (4120, bytes.fromhex(
                 "c68573f666ce90a9d96a60cf803df7ef"))}
    notes = []
    for kind, (at, magic) in signs.items():
        path = raw("opaque.raw", 4 << 20)
        with open(path, "r+b") as f:
            f.seek(at)
            f.write(magic)
        volume = only_volume(image(path), "--ranges")
        if volume["file-system"]["kind"] != kind or \
                not volume["file-system"]["opaque"] or \
                volume["use"]["unknown"] != 4 << 20:
            notes.append("%s: %s" % (kind, volume))
    volume = only_volume(image(raw("empty.raw", 4 << 20)))
    if "file-system" in volume or volume["use"]["unknown"] != 4 << 20:
        notes.append(str(volume))
    tap.result(not notes, "what can only be named is named, and opaque",
               notes)


own_folder()
made = [fat(*row) for row in FATS]
circle(made[2])
exfat()
iso()
swap()
opaque()
sys.exit(tap.finish())
