#!/usr/bin/env python3
"""qfsck map against qemu-img map, over every layout and its snapshots."""

import os
import shutil
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "lib"))

from tap import Tap                                         # noqa: E402
from show import WORK, each_layout, qfsck, shown            # noqa: E402
import make                                                 # noqa: E402
import qcow2                                                # noqa: E402
import tools                                                # noqa: E402

tap = Tap()


def differences(theirs, ours):
    if theirs == ours:
        return []
    for i in range(max(len(theirs), len(ours))):
        a = theirs[i] if i < len(theirs) else None
        b = ours[i] if i < len(ours) else None
        if a != b:
            return ["%d and %d entries" % (len(theirs), len(ours)),
                    "theirs[%d] %s" % (i, a), "ours[%d]   %s" % (i, b)]
    return []


def theirs_of(path, *args):
    if "luks" in path:
        args = (*args, *tools.SECRET, "--image-opts",
                tools.luks_options(path))
    else:
        args = (*args, path)
    # a data file's name is relative to where the program stands
    return tools.parse(tools.qemu_img("map", "--output=json", *args,
                                      cwd=os.path.dirname(path)))


def apply_snapshot(path, info, name):
    """A copy whose active disk is the snapshot's state; its map."""
    copy = path + ".applied"
    shutil.copyfile(path, copy)
    for bitmap in info["bitmaps"]:
        tools.qemu_img("bitmap", "--remove", "-f", "qcow2", copy,
                       bitmap["name"])
    tools.qemu_img("snapshot", "-a", name, copy)
    theirs = theirs_of(copy)
    os.remove(copy)
    return theirs


def compare(name, path):
    info = shown("info", path)
    notes = differences(theirs_of(path), shown("map", path))
    args = ("--start-offset=70k", "--max-length=300k")
    notes += differences(theirs_of(path, *args), shown("map", *args, path))
    if "vmstate" in name or name == "snap-4k-ref2":
        return notes        # -a would need the VM, or larger refcounts
    for snap in info["snapshots"]:
        notes += differences(apply_snapshot(path, info, snap["name"]),
                             shown("map", "-s", snap["id"], path))
    return notes


def deep_chain():
    """Sizes that grow and shrink, raw at the bottom, holes in it."""
    folder = os.path.join(WORK, "chain")
    os.makedirs(folder)
    low = os.path.join(folder, "low.raw")
    tools.qemu_img("create", "-q", "-f", "raw", low, "1000k")
    tools.qemu_io(low, "write -P 1 100k 200k", "write -P 2 700k 300k",
                  options=["-f", "raw"])
    below, form = low, "raw"
    for n, size in enumerate(("3M", "1500k", "2M", "6M")):
        path = os.path.join(folder, "%d.qcow2" % n)
        make.create(path, size, backing_file=os.path.basename(below),
                    backing_fmt=form, cluster_size=4096 << n)
        make.apply_steps(path, ["write -P 9 %dk 24k" % (150 * n + 20),
                                "write -z %dk 64k" % (200 * n + 100),
                                "discard %dk 32k" % (90 * n)])
        notes = differences(theirs_of(path), shown("map", path))
        tap.result(not notes, "chain of %d files" % (n + 2), notes)
        below, form = path, "qcow2"


def damaged_mapping():
    path = os.path.join(WORK, "damaged.qcow2")
    make.build(path, "4M", ["write -P 1 0 1M"], cluster_size=4096)
    with open(path, "r+b") as f:
        f.seek(shown("info", path)["header"]["l1-offset"])
        l2 = int.from_bytes(f.read(8), "big") & 0x00fffffffffffe00
        f.seek(l2 + 8)
        f.write((0x1200 | 1 << 63).to_bytes(8, "big"))
    status, out, err = qfsck("map", "--output=json", path)
    found = [e for e in tools.parse(out) if "error" in e]
    tap.result(status == 1 and "4 KiB" in err and len(found) == 1
               and found[0]["start"] == 4096 and found[0]["length"] == 4096,
               "a damaged entry is told and the rest is there",
               [str(status), err, str(found)])


def lost_in(path, *args):
    """(status, the lost stretches, stderr)."""
    status, out, err = qfsck("map", "--output=json", *args, path)
    return status, [(e["start"], e["length"], e["present"])
                    for e in tools.parse(out) if e.get("lost")], err


def erased_tables():
    """An erased table is lost, and not a disk that maps nothing."""
    path = os.path.join(WORK, "erased.qcow2")
    make.build(path, "6M", ["write -P 1 0 1M", "write -P 2 4M 1M",
                            ("snap", "s"), "write -P 3 512k 1M"],
               cluster_size=4096)
    with qcow2.Image(path) as img:
        img.write(img.l2_offset(0), bytes(4096))
    status, lost, err = lost_in(path)
    tap.result(status == 1 and lost == [(0, 2 << 20, False)] and
               "2 MiB of the disk is lost" in err and
               "Next: qfsck check " + path in err, "an erased L2 table",
               [str(status), str(lost), err])
    tap.result(lost_in(path, "-U") == (status, lost, err),
               "the same with --force-share")
    status, lost, err = lost_in(path, "--start-offset=1M",
                                "--max-length=64k")
    tap.result(status == 1 and lost == [(1 << 20, 65536, False)],
               "a part of it", [str(lost)])
    status, lost, err = lost_in(path, "--start-offset=2M")
    tap.result(status == 0 and not lost and not err, "what is not a part",
               [str(lost), err])
    status, lost, err = lost_in(path, "-s", "s")
    tap.result(status == 0 and not lost and not err, "a snapshot beside it",
               [str(lost), err])
    status, out, _ = qfsck("map", path)
    tap.result(status == 1 and out.decode().splitlines()[1].split()[:3] ==
               ["0", "0x200000", "lost"], "and for people", [out.decode()])
    path = os.path.join(WORK, "no-l1.qcow2")
    make.build(path, "6M", ["write -P 1 0 1M", "write -P 2 4M 1M"],
               cluster_size=4096)
    with qcow2.Image(path) as img:
        img.write(img.l1_offset, bytes(8 * img.l1_size))
    status, lost, err = lost_in(path)
    tap.result(status == 1 and lost == [(0, 6 << 20, False)] and
               "6 MiB of the disk is lost" in err, "an erased L1 table",
               [str(status), str(lost), err])


def cut_disk():
    path = os.path.join(WORK, "halved.qcow2")
    make.build(path, "4M", ["write -P 1 0 1M", "write -P 2 3M 64k"])
    with qcow2.Image(path) as img:
        img.put("size", 2 << 20)
    want = [(r["guest-offset"], r["length"], False)
            for r in tools.qfsck_check(path)[1]["lost"]]
    status, lost, err = lost_in(path)
    tap.result(want and status == 1 and lost == want,
               "what lies behind the stated end", [str(want), str(lost), err])


def missing_backing():
    path = os.path.join(WORK, "orphan.qcow2")
    tools.qemu_img("create", "-q", "-f", "qcow2", "-u", "-b", "gone", "-F",
                   "raw", path, "1M")
    status, out, err = qfsck("map", "--output=json", path)
    tap.result(status == 1 and
               tools.parse(out) == [{
                   "start": 0, "length": 1 << 20, "depth": 0,
                   "present": False, "zero": False, "data": False,
                   "error": "the backing file is missing"}],
               "what a missing backing file had is told",
               [str(status), out.decode(), err])


def human():
    path = os.path.join(WORK, "human.qcow2")
    make.build(path, "4M", ["write -P 1 64k 64k", "write -c -P 1 1M 64k"])
    status, out, _ = qfsck("map", path)
    lines = [line.split() for line in out.decode().splitlines()]
    tap.result(status == 0 and lines[0][0] == "Offset" and lines[1:] == [
        ["0x10000", "0x10000", "0x50000", path],
        ["0x100000", "0x10000", "compressed", path]],
        "the table for people", [out.decode()])


def refusals():
    path = os.path.join(WORK, "plain.qcow2")
    make.build(path, "1M", [("snap", "one")])
    status, out, err = qfsck("map", "-s", "two", path)
    tap.result(status == 1 and "two" in err and '1 ("one")' in err
               and not out, "an unknown snapshot: those that are are named",
               [str(status), err])
    for bad in ("x", "-1", "1Q", "99999999999999999999", "16E"):
        status, out, err = qfsck("map", "--start-offset=" + bad, path)
        tap.result(status == 1 and not out, "no number: " + bad, [err])


each_layout(tap, compare)
deep_chain()
damaged_mapping()
erased_tables()
cut_disk()
missing_backing()
human()
refusals()
sys.exit(tap.finish())
