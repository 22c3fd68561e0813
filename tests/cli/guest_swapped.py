#!/usr/bin/env python3
"""Two entries of a sound image have changed places: check --guest tells which.

Its tables are sound, and all counts are right; the guest's blocks are not
where they say that they belong. Nothing is changed without the user's word;
with it, the disk is what it was. A disk without a file system, in which one
lies as a file, raises nothing.
"""

import os
import random
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "..", "lib"),
                os.path.join(HERE, "..", "guest")]

import grounds                                              # noqa: E402
import swaps                                                # noqa: E402
from guests import *                                        # noqa: E402,F403
from qcow2 import Image                                     # noqa: E402
from tap import Tap                                         # noqa: E402
from tools import own_folder, qfsck_check, qfsck_path, run as run_tool # noqa: E402

tap = Tap()
MIB = 1 << 20


def each():
    for kind in ("ext4-4k", "xfs", "ntfs"):
        ground = grounds.Ground(kind, 4096, "shuffled", 1)
        figures = swaps.Figures()
        rng = random.Random(kind)
        swaps.run(ground, 1, rng, figures, True, ("l1-swap",))
        swaps.run(ground, 1, rng, figures, False, ("l2-swap",))
        s = figures.swaps
        tap.result(not figures.wrong and s["told"] >= 1 and s["right"] >= 1,
                   kind + ": two tables, two clusters", figures.wrong +
                   [str(dict(s))])
        if kind == "ext4-4k":
            head(ground)
            chosen(ground)


def head(ground):
    """No file system is found any more."""
    with Image(ground.path) as im:
        a, b = (im.l1_pos(i) for i in im.l1_used()[:2])
    path = copy(ground.path, "head.qcow2")
    swaps.exchange(path, a, b)
    status, report, _, _ = qfsck_check(os.path.abspath(path), "--guest")
    tap.result(status == 2 and len(report.get("questions", ())) == 1,
               "the disk's head has moved",
               [str(status), str(report["findings"])[:400]])


def chosen(ground):
    """By the user's own answer, and by no other."""
    with Image(ground.path) as im:
        a, b = (im.l1_pos(i) for i in im.l1_used()[:2])
        leads = im.l2_offset(im.l1_used()[0])
    path = copy(ground.path, "chosen.qcow2")
    swaps.exchange(path, a, b)
    before = swaps.bytes_of(path)
    run_tool([qfsck_path(), "repair", "-y", "--guest",
              "--choose=%#x=%#x" % (a, leads + 4096), path])
    tap.result(swaps.bytes_of(path) == before,
               "--choose of what is no answer changes nothing")
    run_tool([qfsck_path(), "repair", "-y", "--guest",
              "--choose=%#x=%#x" % (a, leads), path])
    tap.result(swaps.bytes_of(path) == swaps.bytes_of(ground.path),
               "--choose exchanges them")


def no_file_system():
    """Random bytes, and in them an ext4 that begins where a table does."""
    rng = random.Random(5)
    fixed_ext4("inner.raw")
    disk = raw("none.raw", 24 * MIB)
    put(disk, 0, rng.randbytes(4 * MIB))
    with open("inner.raw", "rb") as f:
        put(disk, 4 * MIB, f.read())
    put(disk, 16 * MIB, rng.randbytes(4 * MIB))
    status, report, err, _ = qfsck_check(os.path.abspath(image(disk, 4096)),
                                         "--guest")
    tap.result(status == 0 and not err and not report.get("questions"),
               "a disk without a file system, and one in it",
               [str(status), str(report["findings"])[:400]])


def main():
    each()
    no_file_system()
    sys.exit(tap.finish())


own_folder()
main()
