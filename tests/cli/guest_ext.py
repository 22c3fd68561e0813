#!/usr/bin/env python3
"""qfsck guest on ext2, ext3 and ext4, against dumpe2fs and debugfs."""

import os
import re
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "lib"))

from guests import *                                        # noqa: E402,F403
from tap import Tap                                         # noqa: E402
from tools import own_folder                                # noqa: E402

tap = Tap()
UUID = "11111111-2222-3333-4444-555555555555"
# name, mke2fs options, size, files
KINDS = (
    ("ext4-1k", ("-t", "ext4", "-b", "1024"), 40 << 20, 60),
    ("ext4-4k", ("-t", "ext4", "-b", "4096"), 200 << 20, 80),
    ("ext3-1k", ("-t", "ext3", "-b", "1024"), 24 << 20, 40),
    ("ext2-2k", ("-t", "ext2", "-b", "2048"), 24 << 20, 40),
    ("bigalloc", ("-t", "ext4", "-b", "4096", "-O", "bigalloc", "-C",
                  "16384"), 64 << 20, 30),
    ("meta-bg", ("-t", "ext4", "-b", "1024", "-O",
                 "meta_bg,^resize_inode,inline_data"), 40 << 20, 40),
)


def debugfs(path, *commands, write=False):
    return quiet("debugfs", *(["-w"] if write else []), "-f", "-", path,
                 feed="\n".join(commands).encode())


def make(name, options, size, files):
    root = name + ".tree"
    paths = tree(root, files=files)
    path = raw(name + ".raw", size)
    quiet("mke2fs", "-q", "-U", UUID, "-L", name, "-E",
          "root_owner=0:0,hash_seed=" + UUID, "-d", root, *options, path,
          E2FSPROGS_FAKE_TIME=str(MADE))
    # holes, and what is written into them: in pieces
    gone = paths[::5]
    debugfs(path, *("rm \"/%s\"" % p for p in gone), write=True)
    with open("long", "wb") as f:
        f.write(bytes(range(256)) * 8000)
    debugfs(path, "write long long", "ln long long2", write=True)
    os.replace("long", os.path.join(root, "long"))
    return path, root, [p for p in paths if p not in gone] + ["long"]


def dumped(path):
    """block size, first block, and the free ranges in bytes."""
    text = quiet("dumpe2fs", path)
    block = int(re.search(r"Block size: +(\d+)", text)[1])
    cluster = re.search(r"Cluster size: +(\d+)", text)
    unit = int(cluster[1]) if cluster else block
    spans = []
    for line in re.findall(r"^  Free blocks: (.+)$", text, re.M):
        for part in filter(None, line.split(", ")):
            first, _, last = part.partition("-")
            spans.append((int(first) * block,
                          int(last or first) * block + unit))
    return block, merged(spans), text


def owners(path, numbers):
    """block -> path by icheck and ncheck; None: it is metadata."""
    inodes, names = {}, {}
    numbers = sorted(numbers)
    for i in range(0, len(numbers), 1000):
        part = numbers[i:i + 1000]
        for line in debugfs(path, "icheck " + " ".join(
                map(str, part))).splitlines():
            found = re.match(r"(\d+)\t(\d+)$", line)
            if found:
                inodes[int(found[1])] = int(found[2])
    wanted = sorted(set(inodes.values()) - {2})
    for i in range(0, len(wanted), 100):
        for line in debugfs(path, "ncheck " + " ".join(
                map(str, wanted[i:i + 100]))).splitlines():
            found = re.match(r"(\d+)\t(.*)$", line)
            if found:
                names.setdefault(int(found[1]), found[2].replace("//", "/"))
    names[2] = "/"
    return {b: names.get(i) for b, i in inodes.items() if i in names}


def compare_use(path, qcow2):
    block, spans, _ = dumped(path)
    volume = only_volume(qcow2, "--ranges")
    size = volume["file-system"]["size"]
    used = merged(ranges(volume, "used"))
    notes = compared("free", spans, merged(ranges(volume, "free")))
    unknown = [r for r in ranges(volume, "unknown") if r[0] < size]
    if unknown:
        notes.append("unknown: %s" % unknown[:4])
    if sum(b - a for a, b in used) != size - sum(b - a for a, b in spans):
        notes.append("used: %s" % used[:4])
    return notes


def edges(files, block, end):
    """Where something begins or ends, and the blocks beside."""
    out = set()
    for f in files:
        for p in f["pieces"]:
            first = p["start"] // block
            last = (p["start"] + p["length"] - 1) // block
            out |= {first - 1, first, last, last + 1}
    return {n for n in out if 0 <= n < end}


def compare_names(path, qcow2):
    block, _, _ = dumped(path)
    size = os.path.getsize(path)
    files = files_of(qcow2, 0, size)
    looked = edges(files, block, size // block)
    ours = {b: p for b, p in blocks_of(files, block).items() if b in looked}
    theirs = owners(path, looked)
    for table in (theirs, ours):        # a file with two names
        for b, p in table.items():
            if p == "/long2":
                table[b] = "/long"
    metadata = blocks_of(files, block, ("metadata",))
    notes = compared("owners", theirs, ours)
    both = sorted(set(metadata) & set(ours))
    if both:
        notes.append("metadata and file at once: %s" % both[:5])
    return notes


def compare_all_told(path, qcow2):
    """What is in use has a name, and what has one is in use."""
    block, spans, _ = dumped(path)
    size = only_volume(qcow2)["file-system"]["size"] // block
    free = {n for a, b in spans for n in range(a // block, b // block)}
    files = files_of(qcow2, 0, os.path.getsize(path))
    named = set(blocks_of(files, block, ("file", "directory", "other",
                                         "metadata")))
    return compared("in use", sorted(set(range(size)) - free),
                    sorted(named))


def look(name, options, size, files):
    path, root, paths = make(name, options, size, files)
    qcow2 = image(path)
    volume = only_volume(qcow2)
    fs = volume["file-system"]
    good = (fs["kind"], fs["label"], fs["uuid"], fs["state"],
            fs["block-size"]) == (name[:4] if name[:3] == "ext" else "ext4",
                                  name, UUID, "clean", dumped(path)[0])
    tap.result(good and not fs["opaque"], name + ": what it is", [str(fs)])
    notes = compare_use(path, qcow2)
    tap.result(not notes, name + ": free blocks as dumpe2fs has them", notes)
    notes = compare_names(path, qcow2)
    tap.result(not notes, name + ": files of blocks as debugfs has them",
               notes)
    if name != "bigalloc":      # its clusters are larger than its blocks
        notes = compare_all_told(path, qcow2)
        tap.result(not notes, name + ": every block in use has a name", notes)
    sizes = {p: os.path.getsize(os.path.join(root, p)) for p in paths}
    notes = compare_contents(path, qcow2, root, [
        p for p in paths[::3] + ["long"]
        if name != "meta-bg" or sizes[p] > 200])    # else in the inode
    tap.result(not notes, name + ": the pieces hold the bytes", notes)
    return path


def damaged_superblock(path):
    one = copy(path, path + ".copy")
    put(one, 1024 + 0x28, b"\xff\xff\xff\x7f")
    qcow2 = image(one)
    fs = only_volume(qcow2)["file-system"]
    notes = compare_use(path, qcow2)
    tap.result("copy" in fs["note"] and not fs["opaque"] and not notes,
               "a damaged superblock: it is read by a copy",
               [str(fs)] + notes)
    for group in (1, 3, 5, 7, 9):
        put(one, (8192 * group + 1) * 1024, bytes(1024))
    fs = only_volume(image(one))["file-system"]
    tap.result(fs["opaque"] and "damaged" in fs["note"],
               "without a copy nothing is believed", [str(fs)])


def wrong_bitmap(path):
    """What its checksum contradicts is not known, and nothing else."""
    block, spans, text = dumped(path)
    one = copy(path, path + ".bitmap")
    group = re.search(r"^Group 2: \(Blocks (\d+)-(\d+)\).*?"
                      r"Block bitmap at (\d+)", text, re.M | re.S)
    first, last, bitmap = (int(g) * block for g in group.groups())
    put(one, bitmap + 8, b"\x55\xaa")
    volume = only_volume(image(one), "--ranges")
    unknown = [r for r in ranges(volume, "unknown")
               if r[0] < volume["file-system"]["size"]]
    tap.result(unknown == [(first, last + block)],
               "a bitmap that its checksum contradicts is not believed",
               [str(unknown), str((first, last + block))])


def unclean(path):
    one = copy(path, path + ".unclean")
    quiet("debugfs", "-w", "-R", "feature needs_recovery", one)
    fs = only_volume(image(one))["file-system"]
    tap.result(fs["state"] == "unclean" and "journal" in fs["note"],
               "a journal that was not replayed is told", [str(fs)])


own_folder()
made = {kind[0]: look(*kind) for kind in KINDS}
damaged_superblock(made["ext4-1k"])
wrong_bitmap(made["ext4-1k"])
unclean(made["ext4-1k"])
sys.exit(tap.finish())
