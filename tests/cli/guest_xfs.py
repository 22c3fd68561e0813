#!/usr/bin/env python3
"""qfsck guest on XFS, versions 4 and 5, against xfs_db."""

import os
import re
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "lib"))

from guests import *                                        # noqa: E402,F403
from tap import Tap                                         # noqa: E402
from tools import own_folder                                # noqa: E402

tap = Tap()
UUID = "11111111-2222-3333-4444-666666666666"
# name, mkfs.xfs options, size, files
KINDS = (
    ("v5-4k", ("-m", "rmapbt=1,reflink=1", "-d", "agcount=4"), 80 << 20,
     80),
    ("v5-1k", ("-b", "size=1024", "-n", "size=4096", "-m", "finobt=0"),
     32 << 20, 60),
    ("v4-4k", ("-m", "crc=0", "-n", "ftype=0"), 32 << 20, 60),
)
# mkfs.xfs refuses disks below 300 MB but for its own tests
SMALL = {"TEST_DIR": "x", "TEST_DEV": "x", "QA_CHECK_FS": "x"}


def prototype(root):
    """The tree as mkfs.xfs -p wants it."""
    lines = ["/none", "0 0", "d--755 0 0"]

    def add(folder):
        for name in sorted(os.listdir(folder)):
            path = os.path.join(folder, name)
            if os.path.isdir(path):
                lines.append("%s d--755 0 0" % name)
                add(path)
                lines.append("$")
            else:
                lines.append("%s ---644 0 0 %s" % (name, path))

    add(root)
    lines.append("$")
    return "\n".join(lines) + "\n"


def make(name, options, size, files):
    root = name + ".tree"
    paths = tree(root, files=files, odd=False, spaces=False)
    many = os.path.join(root, "many")       # a directory of several blocks
    os.makedirs(many)
    for n in range(300):
        with open(os.path.join(many, "entry-number-%d" % n), "w") as f:
            f.write("x" * (n % 3))
    with open(name + ".proto", "w") as f:
        f.write(prototype(root))
    path = raw(name + ".raw", size)
    quiet("mkfs.xfs", "-q", "-L", name, "-m", "uuid=" + UUID, "-p",
          name + ".proto", *options, path, **SMALL)
    return path, root, paths


def xfs_db(path, *commands):
    return quiet("xfs_db", "-r", *(a for c in commands for a in ("-c", c)),
                 path)


def geometry(path):
    text = xfs_db(path, "sb 0", "p blocksize agblocks agblklog dblocks")
    return [int(re.search(k + " = (\\d+)", text)[1])
            for k in ("blocksize", "agblocks", "agblklog", "dblocks")]


def free_spans(path):
    block, ag_blocks, _, _ = geometry(path)
    # only the free space tree: what AGFL keeps is no free space
    rows = re.findall(r"^ +(\d+) +(\d+) +(\d+)$",
                      xfs_db(path, "freesp -d"), re.M)
    spans = merged(((int(a) * ag_blocks + int(b)) * block,
                    (int(a) * ag_blocks + int(b) + int(n)) * block)
                   for a, b, n in rows)
    kept = merged((p["start"], p["start"] + p["length"])
                  for f in files_of(image(path), 0, os.path.getsize(path))
                  if (f.get("path") or "").startswith("room for btrees")
                  for p in f["pieces"])
    return without(spans, kept)


def without(spans, holes):
    out = []
    for start, end in spans:
        for a, b in holes:
            if a < end and b > start:
                if a > start:
                    out.append((start, a))
                start = max(start, b)
        if start < end:
            out.append((start, end))
    return out


def compare_names(path, qcow2):
    """The blocks at the edges of what is told, as blockuse has them."""
    block, ag_blocks, ag_bits, _ = geometry(path)
    files = files_of(qcow2, 0, os.path.getsize(path))
    ours = blocks_of(files, block)
    looked = set()
    for f in files:
        for p in f["pieces"]:
            first = p["start"] // block
            last = (p["start"] + p["length"] - 1) // block
            looked |= {first, last, last + 1}
    looked = sorted(n for n in looked if n < os.path.getsize(path) // block)
    commands = ["blockget -n"]
    for n in looked:
        commands += ["fsblock %d" % (n // ag_blocks << ag_bits |
                                     n % ag_blocks), "blockuse -n"]
    theirs = {}
    text = xfs_db(path, *commands)
    for ag, number, kind, rest in re.findall(
            r"^block \d+ \((\d+)/(\d+)\) type (\S+)(.*)$", text, re.M):
        found = re.search(r" inode \d+(?: (\S+))?", rest)
        if found:
            theirs[int(ag) * ag_blocks + int(number)] = \
                "/" + (found[1] or "").lstrip("/")
    return compared("owners", theirs,
                    {n: ours[n] for n in looked if n in ours})


def look(name, options, size, files):
    path, root, paths = make(name, options, size, files)
    qcow2 = image(path)
    volume = only_volume(qcow2, "--ranges")
    fs = volume["file-system"]
    tap.result((fs["kind"], fs["label"], fs["uuid"], fs["state"],
                fs["block-size"]) ==
               ("XFS", name, UUID, "clean", geometry(path)[0]),
               name + ": what it is", [str(fs)])
    spans = free_spans(path)
    notes = compared("free", spans, merged(ranges(volume, "free")))
    notes += ["unknown %s" % (r,) for r in ranges(volume, "unknown")
              if r[0] < fs["size"]]
    tap.result(not notes, name + ": free blocks as xfs_db has them", notes)
    notes = compare_names(path, qcow2)
    tap.result(not notes, name + ": files of blocks as xfs_db has them",
               notes)
    told = files_of(qcow2, 0, size)
    spans = merged((p["start"], p["start"] + p["length"])
                   for f in told for p in f["pieces"])
    tap.result(spans == merged(ranges(volume, "used")),
               name + ": all that is in use has a name",
               compared("used", merged(ranges(volume, "used")), spans))
    notes = compare_contents(path, qcow2, root, paths[::4] + [
        "many/entry-number-%d" % n for n in (1, 299)])
    tap.result(not notes, name + ": the pieces hold the bytes", notes)
    return path


def damage(path):
    """What its checksum contradicts is not known."""
    block, ag_blocks, _, _ = geometry(path)
    root = int(re.search(r"bnoroot = (\d+)",
                         xfs_db(path, "agf 2", "p bnoroot"))[1])
    one = copy(path, "damage.raw")
    put(one, (2 * ag_blocks + root) * block + 60, b"\x55")
    volume = only_volume(image(one), "--ranges")
    unknown = ranges(volume, "unknown")
    tap.result(unknown == [(2 * ag_blocks * block, 3 * ag_blocks * block)],
               "a btree that its checksum contradicts is not believed",
               [str(unknown)])
    one = copy(path, "super.raw")
    put(one, 200, b"\xff")
    fs = only_volume(image(one))["file-system"]
    tap.result("copy" in fs["note"] and not fs["opaque"] and
               fs["label"] == "v5-4k",
               "a damaged superblock: it is read by a copy", [str(fs)])
    one = copy(path, "unclean.raw")
    start = int(re.search(r"logstart = (\d+)",
                          xfs_db(path, "sb 0", "p logstart"))[1])
    ag_bits = geometry(path)[2]
    at = ((start >> ag_bits) * ag_blocks +
          (start & ((1 << ag_bits) - 1))) * block
    put(one, at + 512 + 9, b"\0")       # the record says "unmounted"
    fs = only_volume(image(one))["file-system"]
    tap.result(fs["state"] == "unclean" and "journal" in fs["note"],
               "a journal that was not replayed is told", [str(fs)])


own_folder()
made = [look(*kind) for kind in KINDS]
damage(made[0])
sys.exit(tap.finish())
