#!/usr/bin/env python3
"""L1 entries that were erased or damaged, and the tables they named.

Where there is evidence which entry a table belongs to (the order in which the
file was filled, clusters shared with a snapshot, an old copy of the L1 table,
a snapshot that still has the table), repair points the entry to it again and
the guest sees all that it saw before. Where there is none, nothing is changed
and nothing freed.
"""

import os
import shutil
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "lib"))

import oracle                                               # noqa: E402
import qimg                                                 # noqa: E402
from tap import Tap                                         # noqa: E402

CLUSTER = 4096
SPAN = 2 << 20
OFFSET = qimg.OFFSET_MASK

tap = Tap()
work = tempfile.mkdtemp(prefix="qfsck-place.")


def spans(order, kind="write", size="64k"):
    """One write a table, in that order, so that nothing runs on."""
    return ["%s -P %d %dk %s" % (kind, n + 1, 2048 * n + 64, size)
            for n in order]


def forget(*indices):
    def damage(image):
        for index in indices:
            image.put64(image.l1_pos(index), 0)
    return damage


def forget_snapshots(*indices):
    """The same in the first snapshot's L1 table."""
    def damage(image):
        l1 = image.snapshot(image.snapshots()[0], "l1_table_offset")
        for index in indices:
            image.put64(l1 + 8 * index, 0)
    return damage


def forget_all(image):
    image.write(image.l1_offset, bytes(8 * image.l1_size))


def double(index, other):
    """The one entry is a copy of the other."""
    def damage(image):
        image.put64(image.l1_pos(index), image.u64(image.l1_pos(other)))
    return damage


def one_case(name, steps, damage, wanted, judge, size="16M", **options):
    sound = os.path.join(work, "sound-%d" % len(os.listdir(work)))
    image = os.path.join(work, "image")
    options.setdefault("cluster_size", CLUSTER)
    qimg.build(sound, size, steps, **options)
    shutil.copy(sound, image)
    with qimg.Image(image) as damaged:
        damage(damaged)
    before = oracle.sha(image)
    verdict = qimg.qfsck_check(image)[0]
    status, said = oracle.repair(image, "-y")
    faults = judge(sound, image, status, before)
    if verdict != wanted:
        faults.append("check: exit %s, not %s" % (verdict, wanted))
    if oracle.sha(image) != before:
        again, _ = oracle.repair(image, "-y")
        faults += ["second repair: %s" % again] if again != status else []
        code, undone = oracle.undo(image)
        if code or oracle.sha(image) != before:
            faults.append("undo: " + undone)
        os.remove(image + ".qfsck-undo")
    tap.result(not faults, name, faults and faults + [said[-1500:]])


def whole(sound, image, status, _):
    faults = [] if status == 0 else ["exit %s" % status]
    if qimg.qemu_check(image)[0] != 0:
        faults.append("qemu-img check finds fault with it")
    if oracle.views(image) != oracle.sound_views(sound):
        faults.append("the guest sees something else than before")
    return faults


def untouched(_sound, image, status, before):
    faults = [] if status == 2 else ["exit %s" % status]
    return faults + (["changed"] if oracle.sha(image) != before else [])


def freed(_sound, image, status, _):
    return [] if status == 0 and qimg.qemu_check(image)[0] == 0 \
        else ["exit %s" % status]


def restored(name, steps, damage, **options):
    one_case(name, steps, damage, 2, whole, **options)


def left(name, steps, damage, **options):
    one_case(name, steps, damage, 2, untouched, **options)


def deleted_by_half(image):
    """A snapshot's table and data, still allocated after its deletion; the
    active disk's own table is gone with its L1 entry."""
    pos = image.snapshots()[0]
    l1 = image.snapshot(pos, "l1_table_offset")
    for at in (l1, pos):
        image.write(at, bytes(CLUSTER))
        image.set_refcount(at // CLUSTER, 0)
    image.put("nb_snapshots", 0)
    image.put("snapshots_offset", 0)
    table = image.l2_offset(0)
    for entry in image.l2_table(table):
        if entry & OFFSET:
            cluster = (entry & OFFSET) // CLUSTER
            image.set_refcount(cluster, image.refcount(cluster) - 1)
    image.write(table, bytes(CLUSTER))
    image.set_refcount(table // CLUSTER, 0)
    image.put64(image.l1_pos(0), 1 << 40)


def killed_goto(image):
    """snapshot -a to the first one, stopped before the old tables were let
    go."""
    pos = image.snapshots()[0]
    l1 = image.snapshot(pos, "l1_table_offset")
    for n in range(image.snapshot(pos, "l1_size")):
        entry = image.u64(l1 + 8 * n) & OFFSET
        if entry:
            for place in [entry] + [e & OFFSET for e in image.l2_table(entry)
                                    if e & OFFSET]:
                image.set_refcount(place // CLUSTER,
                                   image.refcount(place // CLUSTER) + 1)
        image.put64(image.l1_pos(n), entry)


def begun_goto(number):
    """snapshot -a, stopped before the L1 table was written."""
    def damage(image):
        l1 = image.snapshot(image.snapshots()[number], "l1_table_offset")
        for n in range(image.l1_size):
            entry = image.u64(l1 + 8 * n) & OFFSET
            if not entry:
                continue
            for place in [entry] + [e & OFFSET for e in image.l2_table(entry)
                                    if e & OFFSET]:
                image.set_refcount(place // CLUSTER,
                                   image.refcount(place // CLUSTER) + 1)
    return damage


def main():
    whole_disk = ["write -P %d %dm 1m" % (n + 1, n) for n in range(16)]
    mixed = spans((5, 2, 7, 0, 3, 6, 1, 4))
    restored("in a row, one inside", whole_disk, forget(3))
    restored("in a row, some inside", whole_disk, forget(2, 3, 4))
    restored("in a row, apart", whole_disk, forget(1, 4, 6))
    restored("in a row, the first", whole_disk, forget(0))
    restored("in a row, the last two", whole_disk, forget(6, 7))
    restored("in a row, all of them", whole_disk, forget_all)
    restored("in a row, a table was never there", whole_disk[:10],
             forget(1, 3))
    restored("in a row, an entry overwritten with another", whole_disk,
             double(3, 0))
    restored("in a row, and the first overwritten with another", whole_disk,
             double(0, 3))
    restored("extended L2 entries", ["write -P 7 0 64m"], forget(1, 2),
             size="64M", cluster_size=16384, extended_l2="on")
    left("written all over", mixed, forget(2, 6))
    left("a jump from the end of one table to another's start",
         ["write -P 1 0 2m", "write -P 2 6m 2m", "write -P 3 2m 1m"],
         forget(3))
    restored("shared with a snapshot",
             mixed + [("snap", "s")] +
             ["write -P 9 %dk 4k" % (2048 * n + 68) for n in (2, 6)],
             forget(2, 6))
    restored("an old L1 table",
             mixed + [("resize", "2G")], forget(2, 6))
    restored("the L1 table of a deleted snapshot",
             mixed + [("snap", "s"), ("unsnap-kept", "s")], forget(2, 6))
    restored("compressed clusters, an old L1 table",
             spans((5, 2, 7, 0, 3, 6, 1, 4), "write -c", "4k") +
             [("resize", "2G")],
             forget(2, 6))
    restored("a snapshot still has the table",
             mixed + [("snap", "s"), "write -P 9 64k 4k"], forget(2, 6))
    restored("two snapshots still have it",
             mixed + [("snap", "s"), "write -P 9 64k 4k", ("snap", "t"),
                      "write -P 8 68k 4k"], forget(2))
    rewritten = ["write -P 1 64k 256k", ("snap", "s"),
                 "write -P 2 64k 256k"]
    restored("a snapshot's entry, where the active disk has one", rewritten,
             forget_snapshots(0))
    left("two entries of a snapshot", rewritten[:1] +
         ["write -P 1 3m 256k"] + rewritten[1:] + ["write -P 2 3m 256k"],
         forget_snapshots(0, 1))
    one_case("a killed snapshot -a is no loss",
             mixed[:4] + [("snap", "s")] + mixed[4:] +
             [("snap", "t"), "write -P 9 64k 4k", ("snap", "u")],
             killed_goto, 3, freed)
    two = ["write -P 1 0 64k", ("snap", "one"), "write -P 2 0 64k",
           "write -P 2 2m 64k", "write -P 2 4m 64k", ("snap", "two"),
           ("goto", "one")]
    one_case("a snapshot -a that was killed early is no loss",
             two + ["write -P 3 0 64k"], begun_goto(1), 3, freed)
    one_case("the same, where the disk shares a table with the snapshot",
             two[:1] + two[2:3] + [("snap", "one"), "write -P 2 2m 64k",
                                   ("snap", "two"), ("goto", "one"),
                                   "write -P 3 6m 64k"],
             begun_goto(1), 3, freed)
    left("what may be a snapshot -a that was killed is not put back",
         [("snap", "one"), "write -P 2 2m 64k", ("snap", "two"),
          ("goto", "one"), "write -P 3 0 64k"], begun_goto(1))
    left("a damaged entry is not given a deleted snapshot's table",
         ["write -P 1 64k 64k", ("snap", "s"), "write -P 2 64k 4k"],
         deleted_by_half, size="2M")
    return tap.finish()


try:
    sys.exit(main())
finally:
    shutil.rmtree(work)
