#!/usr/bin/env python3
"""qfsck guest on btrfs, against btrfs inspect-internal."""

import os
import re
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "lib"))

from guests import *                                        # noqa: E402,F403
from tap import Tap                                         # noqa: E402
from tools import own_folder                                # noqa: E402

tap = Tap()
UUID = "11111111-2222-3333-4444-777777777777"
MIB = 1 << 20
SUPERS = (64 << 10, 64 << 20)
KINDS = (("single", ("-m", "single"), 130 << 20, 60),
         ("dup", ("-m", "dup", "-d", "dup", "-n", "4096"), 300 << 20, 200),
         ("mixed", ("--mixed", "-m", "single", "-d", "single"), 40 << 20, 40),
         ("sha256", ("-m", "single", "--csum", "sha256"), 130 << 20, 30))


def make(name, options, size, files):
    root = name + ".tree"
    paths = tree(root, files=files)
    path = raw(name + ".raw", size)
    quiet("mkfs.btrfs", "-q", "-L", name, "-U", UUID, "--rootdir", root,
          *options, path)
    return path, root, paths


def dumped(path, tree_id):
    return quiet("btrfs", "inspect-internal", "dump-tree", "-t", tree_id,
                 path)


def chunks(path):
    """(logical start, length, places) of each chunk."""
    out = []
    for part in dumped(path, "chunk").split("CHUNK_ITEM ")[1:]:
        out.append((int(re.match(r"\d+", part)[0]),
                    int(re.search(r"length (\d+)", part)[1]),
                    [int(n) for n in
                     re.findall(r"stripe \d+ devid \d+ offset (\d+)", part)]))
    return out


def used_spans(path):
    """Bytes of the device in use, by the trees."""
    placed = chunks(path)
    text = dumped(path, "extent")
    node = int(re.search(r"nodesize\s+(\d+)", quiet(
        "btrfs", "inspect-internal", "dump-super", path))[1])
    extents = [(int(a), int(n)) for a, n in
               re.findall(r"key \((\d+) EXTENT_ITEM (\d+)\)", text)]
    extents += [(int(a), node) for a in
                re.findall(r"key \((\d+) METADATA_ITEM \d+\)", text)]
    spans = [(0, MIB)] + [(s, s + 4096) for s in SUPERS
                          if s + 4096 <= os.path.getsize(path)]
    for at, length in extents:
        for start, n, places in placed:
            if start <= at < start + n:
                spans += [(p + at - start, p + at - start + length)
                          for p in places]
    return merged(spans)


def look(name, options, size, files):
    path, root, paths = make(name, options, size, files)
    qcow2 = image(path)
    volume = only_volume(qcow2, "--ranges")
    fs = volume["file-system"]
    tap.result((fs["kind"], fs["label"], fs["uuid"], fs["state"],
                fs["size"]) == ("btrfs", name, UUID, "clean", size),
               name + ": what it is", [str(fs)])
    spans = used_spans(path)
    notes = compared("used", spans, merged(ranges(volume, "used")))
    if ranges(volume, "unknown"):
        notes.append("unknown: %s" % ranges(volume, "unknown")[:4])
    tap.result(not notes, name + ": use as its trees have it", notes)
    told = files_of(qcow2, 0, size)
    named = merged([(0, MIB)] +
                   [(p["start"], p["start"] + p["length"])
                    for f in told for p in f["pieces"]])
    tap.result(named == spans, name + ": all that is in use has a name",
               compared("named", spans, named))
    big = [p for p in paths
           if os.path.getsize(os.path.join(root, p)) > 4096]
    notes = compare_contents(path, qcow2, root, big[::3])
    tap.result(not notes, name + ": the pieces hold the bytes", notes)
    wanted = {"/" + p for p in big}
    got = {f.get("path") for f in told if f["kind"] == "file"}
    tap.result(wanted <= got and None not in got,
               name + ": all files have their names",
               [str(sorted(wanted - got)[:5])])
    return path


def damage(path):
    placed = chunks(path)
    text = dumped(path, "extent")
    root = int(re.search(r"^(?:leaf|node) (\d+)", text, re.M)[1])
    one = copy(path, "damage.raw")
    for start, n, places in placed:
        if start <= root < start + n:
            for p in places:
                put(one, p + root - start + 200, b"\x55")
    volume = only_volume(image(one), "--ranges")
    tap.result(volume["use"]["unknown"] == os.path.getsize(path),
               "an extent tree that its checksum contradicts is not believed",
               [str(volume["use"])])
    one = copy(path, "super.raw")
    put(one, 65536 + 500, b"\x55")
    fs = only_volume(image(one))["file-system"]
    tap.result("copy" in fs["note"] and not fs["opaque"],
               "a damaged superblock: it is read by a copy", [str(fs)])


own_folder()
made = [look(*kind) for kind in KINDS]
damage(made[0])
sys.exit(tap.finish())
