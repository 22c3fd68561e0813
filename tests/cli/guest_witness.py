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
share = []      # of what is lost, what was in use


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
    """Lost: told, and kept by a repair. What it mapped: [(start, end)]."""
    with Image(path) as image:
        if not image.l2_offset(index):
            return None
        first = index * image.l2_entries
        held = [((first + i) * image.cluster, (first + i + 1) * image.cluster)
                for i, e in enumerate(image.l2_table(image.l2_offset(index)))
                if e]
        if len(held) < 16:
            return None
        image.write(image.l2_offset(index), bytes(image.cluster))
    return held


def inside(pieces, ranges_):
    return sum(max(0, min(b, d) - max(a, c))
               for a, b in pieces for c, d in ranges_)


def notes_of_erased(path, index, held, used):
    """What the guest uses of what the table mapped is lost; what is lost was
    in use, nearly all of it."""
    status, report, _, _ = qfsck_check(os.path.abspath(path))
    lost = [(r["guest-offset"], r["guest-offset"] + r["length"])
            for r in report["lost"]]
    if status != 2 or not lost:
        return ["table %d: exit %s, %s lost" % (index, status, lost)]
    notes = ["table %d: in use and not lost: %#x" % (index, a)
             for a, b in held if inside(used, [(a, b)]) and
             inside(lost, [(a, b)]) != b - a]
    free = [(r["guest-offset"], r["guest-offset"] + r["length"])
            for r in report.get("lost-free", ())]
    if inside(used, free):
        notes.append("table %d: told as free, and in use" % index)
    if free:
        share.append(inside(used, lost) / sum(b - a for a, b in lost))
    return notes


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
    used = merged([(r["start"], r["start"] + r["length"])
                   for v in volumes(sound, "--ranges")
                   for r in v.get("ranges", ()) if r["use"] == "used"])
    notes, told = [], 0
    for index, use in found:
        path = copy(sound, "hurt.qcow2")
        if use.get("used", 0) and told < 4:
            held = erased(path, index)
            if held:
                told += 1
                notes += notes_of_erased(path, index, held, used)
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
    share.sort()
    tap.result(len(share) > 2 and share[len(share) // 2] >= .9,
               "where free room is told apart, what is lost was in use",
               ["%.2f" % n for n in share])
    sys.exit(tap.finish())


own_folder()
main()
