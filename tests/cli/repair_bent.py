#!/usr/bin/env python3
"""Entries that were bent to a cluster that another entry owns.

The neighbours on both sides tell which one was bent: it gets the lost cluster
back, and the innocent one keeps its place. Where they do not, both keep what
they show, and the lost cluster stays allocated.
"""

import os
import struct
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, ".."))
sys.path.insert(0, os.path.join(HERE, "..", "lib"))

import oracle                                               # noqa: E402
import qimg                                                 # noqa: E402
import tools                                                # noqa: E402
from tap import Tap                                         # noqa: E402

SIZE = 65536
HOST = 0x00fffffffffffe00


def make(path, guests):
    """An image whose guest clusters were written in this order."""
    tools.run(["qemu-img", "create", "-q", "-f", "qcow2", path, "8M"])
    words = []
    for guest in guests:
        words += ["-c", "write -q -P %d %d %d" % (guest, guest * SIZE, SIZE)]
    status, _, err = tools.run(["qemu-io", "-f", "qcow2", *words, path])
    assert status == 0, err


def bend(path, bent, onto):
    """Lets one guest cluster point to another's host cluster; what it lost."""
    with open(path, "r+b") as file:
        file.seek(40)
        file.seek(struct.unpack(">Q", file.read(8))[0])
        table = struct.unpack(">Q", file.read(8))[0] & HOST
        file.seek(table + 8 * onto)
        entry = file.read(8)
        file.seek(table + 8 * bent)
        lost = struct.unpack(">Q", file.read(8))[0] & HOST
        file.seek(table + 8 * bent)
        file.write(entry)
    return lost


def leaks(path):
    _, out, _ = tools.run([tools.qfsck_path(), "check", "--output=json", path])
    return tools.parse(out).get("leaks", 0)


def told(folder, guests, bent, onto):
    path = os.path.join(folder, "told")
    make(path, guests)
    sound = oracle.guest(path)
    bend(path, bent, onto)
    oracle.repair(path, "-y")
    bad = oracle.sectors_that_differ(sound, oracle.guest(path))
    return ["%d sectors are wrong, the first at %#x" % (len(bad), bad[0])] \
        if bad else []


def untold(folder, guests, bent, onto):
    path = os.path.join(folder, "untold")
    make(path, guests)
    lost = bend(path, bent, onto)
    before = oracle.guest(path)
    faults = []
    for turn in (1, 2):
        oracle.repair(path, "-y")
        if oracle.sectors_that_differ(before, oracle.guest(path)):
            faults.append("repair %d changed what the guest reads" % turn)
        if leaks(path) != 1:
            faults.append("repair %d let go of %#x" % (turn, lost))
    return faults


def tables(folder, snapshot):
    """An L1 entry of the disk, or of its snapshot, comes to name the table of
    the other one at the same place."""
    path = os.path.join(folder, "tables")
    qimg.build(path, "720k", ["write -P %d %d 4k" % (n + 1, n * 12288)
                              for n in range(40)] + [("snap", "one")] +
               ["write -P %d %d 4k" % (n + 101, n * 36864)
                for n in range(19)], cluster_size=4096)
    states = [None, "one"]
    sound = [oracle.guest(path, s) for s in states]
    with qimg.Image(path) as image:
        at = [image.l1_pos(0), image.snapshots()[0]]
        at[1] = image.u64(at[1])
        words = [image.u64(a) for a in at]
        image.put64(at[snapshot], words[not snapshot])
    faults = []
    status, said, _ = tools.run([tools.qfsck_path(), "check", path])
    if status != 2 or b"l1-entry-bent" not in said:
        faults.append("check: %s" % status)
    status, _ = oracle.repair(path, "-y")
    for state, was in zip(states, sound):
        bad = oracle.sectors_that_differ(was, oracle.guest(path, state))
        if status or bad:
            faults.append("%s: status %s, %d sectors are wrong" % (
                state, status, len(bad)))
    return faults


def zeros(folder, owner):
    """The disk reads zeros where its snapshot has data, in one cluster, which
    is OWNER's as well. Who gets a copy goes on reading what it read."""
    path = os.path.join(folder, "zeros")
    qimg.build(path, "2M", ["write -P %d %d 4k" % (n + 1, n * 12288)
                            for n in range(9)] +
               [("snap", "one"), "write -z 48k 4k"], cluster_size=4096)
    states = [None, "one"]
    with qimg.Image(path) as image:
        l1 = [image.l1_pos(0), image.u64(image.snapshots()[0])]
        tables = [image.u64(at) & HOST for at in l1]
        word, own = (image.u64(tables[1] + 8 * n) for n in (owner, 12))
        if image.u64(tables[0] + 8 * 12) != own | 1:
            return ["the writer let go of the cluster"]
        for table, flag in zip(tables, (1, 0)):
            image.put64(table + 8 * 12, word | flag)
        image.set_refcount(own // 4096, 0)
        image.set_refcount(word // 4096, 4)
    before = [oracle.guest(path, s) for s in states]
    oracle.repair(path, "-y")
    return ["%s: changed" % s for s, was in zip(states, before)
            if oracle.sectors_that_differ(was, oracle.guest(path, s))]


def main():
    tap = Tap()
    for owner in (9, 15):
        with tempfile.TemporaryDirectory(prefix="qfsck-bent.") as folder:
            faults = zeros(folder, owner)
        tap.result(not faults, "zeros, in one state, in the cluster of %d" %
                   owner, faults)
    for snapshot in (0, 1):
        with tempfile.TemporaryDirectory(prefix="qfsck-bent.") as folder:
            faults = tables(folder, snapshot)
        tap.result(not faults, "an L1 entry of %s names the other's table" % (
            "the snapshot" if snapshot else "the disk"), faults)
    for judge, guests, bent, onto in (
            (told, (29, 30, 31, 32, 5, 62), 31, 62),
            (told, (28, 29, 30, 31, 5, 62), 30, 5),
            (told, (62, 5, 30, 31, 32, 33), 31, 62),
            # what lies between is empty, and one of those may have been bent
            (untold, (10, 20, 30, 40), 20, 40),
            # one side alone, though the other one belongs where it is: that
            # is right in six of seven such cases, and not enough
            (untold, (10, 20, 30, 40), 40, 20),
            # one side alone, and the other owner may as well be the bent one
            (untold, (29, 30, 31, 5, 62), 31, 62),
            (untold, (29, 30, 31, 5, 62), 62, 31),
            (untold, (10, 40, 20, 30), 20, 40),
            (untold, (30, 10, 40, 20), 40, 20)):
        with tempfile.TemporaryDirectory(prefix="qfsck-bent.") as folder:
            faults = judge(folder, guests, bent, onto)
        tap.result(not faults, "%s: %d bent to the cluster of %d" % (
            judge.__name__, bent, onto), faults)
    return tap.finish()


if __name__ == "__main__":
    sys.exit(main())
