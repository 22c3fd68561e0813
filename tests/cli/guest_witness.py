#!/usr/bin/env python3
"""An empty L2 table beside leaks: the guest tells what it was.

The same state of the tables has two causes: a table that was erased, and one
that a killed writer never filled. Where the guest's file system uses what the
table should map, the data are lost, and nothing is freed; where all is free,
the leaks are leaks, and a repair frees them.
"""

import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "lib"))

import qimg                                                 # noqa: E402
import guestdisks as disks                                  # noqa: E402
from guests import *                                        # noqa: E402,F403
from qcow2 import Image                                     # noqa: E402
from tap import Tap                                         # noqa: E402
from tools import own_folder, qfsck_check                   # noqa: E402

tap = Tap()
MIB = 1 << 20


def use_of(path, start, end):
    """{use: bytes} of a range of the disk."""
    found = {}
    for volume in volumes(path, "--ranges"):
        for r in volume.get("ranges", ()):
            a, b = max(start, r["start"]), min(end, r["start"] + r["length"])
            if a < b:
                found[r["use"]] = found.get(r["use"], 0) + b - a
    return found


def tables(path):
    """[(index, mapped entries, use)] of the tables that there can be."""
    with Image(path) as image:
        span = image.l2_entries * image.cluster
        size = image.get("size")
        return [(i, use_of(path, i * span, min(size, (i + 1) * span)))
                for i in range(image.l1_size)], span


def erased(path, index):
    """Lost: told, and kept by a repair."""
    with Image(path) as image:
        if not image.l2_offset(index):
            return None
        held = sum(1 for e in image.l2_table(image.l2_offset(index))
                   if e)
        if held < 16:
            return None
        image.write(image.l2_offset(index), bytes(image.cluster))
    return held


def notes_of_erased(path, index, span):
    status, report, _, _ = qfsck_check(os.path.abspath(path))
    lost = sum(r["length"] for r in report["lost"]
               if r["guest-offset"] < (index + 1) * span and
               r["guest-offset"] + r["length"] > index * span)
    if status != 2 or not lost:
        return ["table %d: exit %s, %d bytes lost" % (index, status, lost)]
    return []


def notes_of_unused(path, index, span):
    """A table in free room, with leaks: a killed writer's."""
    at = index * span
    qimg.qemu_io(path, "write -P 7 %d %d" % (at, 32 * 4096))
    with Image(path) as image:
        image.write(image.l2_offset(index), bytes(image.cluster))
    status, report, _, _ = qfsck_check(os.path.abspath(path))
    if status != 3 or report["lost"]:
        return ["table %d: exit %s, lost %s" % (index, status,
                                                report["lost"][:2])]
    return []


def cases(name, make, cluster):
    root, disk = name + ".tree", name + ".raw"
    if not os.path.exists(disk):
        tree(root, 60, 3)
        make(disk, root)
    sound = image(disk, cluster)
    found, span = tables(sound)
    notes, told = [], 0
    for index, use in found:
        path = copy(sound, "hurt.qcow2")
        if use.get("used", 0) and told < 4:
            if erased(path, index):
                told += 1
                notes += notes_of_erased(path, index, span)
        elif set(use) == {"free"} and use["free"] == span:
            notes += notes_of_unused(path, index, span)
            break
    tap.result(told and not notes, "%s, clusters of %d KiB: what the guest "
               "uses is lost, what it does not is not" % (
                   name, cluster >> 10), notes or ["%d tables" % told])


def main():
    for name, make in (("ext4", disks.ext4),
                       ("ext4-1k", disks.ext4_small_blocks),
                       ("btrfs", disks.btrfs), ("fat32", disks.fat),
                       ("ntfs", disks.ntfs), ("gpt-ext4", disks.partitioned),
                       ("xfs", disks.xfs)):
        for cluster in (4096, 16384, 65536):
            cases(name, make, cluster)
    sys.exit(tap.finish())


own_folder()
main()
