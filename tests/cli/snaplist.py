#!/usr/bin/env python3
"""Snapshots that no table lists any more, and a header that forgot them.

Where the refcounts prove which L1 tables belonged to the lost entries, repair
lists them again: with their names where the table is still there, else as
recovered-N. Where they do not, nothing is freed.
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

STEPS = ["write -P 1 0 64k", "write -P 9 3M 64k", ("snap", "one"),
         "write -P 2 0 4k", ("snap", "second"), "write -P 3 64k 4k",
         ("snap", "three"), "write -P 4 3M 8k", "discard 32k 16k"]
SHAPES = {
    "4k": ("4M", {"cluster_size": 4096}),
    "v2": ("4M", {"cluster_size": 4096, "compat": "0.10"}),
    "512": ("4M", {"cluster_size": 512}),
    "extl2": ("16M", {"cluster_size": 16384, "extended_l2": "on"}),
    "ref64": ("4M", {"cluster_size": 4096, "refcount_bits": 64}),
    "ref4": ("4M", {"cluster_size": 4096, "refcount_bits": 4}),
}
tap = Tap()
work = tempfile.mkdtemp(prefix="qfsck-snaplist.")


def table(image):
    return image.get("snapshots_offset")


def fill(data):
    def damage(image):
        size = image.snapshot_table_size()
        image.write(table(image), (data * size)[:size])
    return damage


def count(n):
    return lambda image: image.put("nb_snapshots", n)


def forget_all(image):
    image.put("nb_snapshots", 0)
    image.put("snapshots_offset", 0)


def second_entry(image):
    """All but the first entry."""
    first, second = image.snapshots()[:2]
    length = image.snapshot_table_size() - (second - first)
    image.write(second, b"\xa5" * length)


def tables_named(image):
    """Host clusters of all L1 and L2 tables of the snapshots."""
    found = set()
    for pos in image.snapshots():
        at = image.snapshot(pos, "l1_table_offset")
        found.add(at // image.cluster)
        for n in range(image.snapshot(pos, "l1_size")):
            to = image.u64(at + 8 * n) & qimg.OFFSET_MASK
            if to:
                found.add(to // image.cluster)
    return found


def make(shape, damage):
    size, options = SHAPES[shape]
    sound, path = (os.path.join(work, n + shape) for n in ("s-", "d-"))
    if not os.path.exists(sound):
        qimg.build(sound, size, STEPS, **options)
    shutil.copy(sound, path)
    with qimg.Image(path) as image:
        kept = tables_named(image)
        damage(image)
    return sound, path, kept


def undone(path, before):
    code, said = oracle.undo(path)
    os.remove(path + ".qfsck-undo")
    return [] if not code and oracle.sha(path) == before else ["undo: " + said]


def restored(what, shape, damage, names):
    sound, path, _ = make(shape, damage)
    before = oracle.sha(path)
    status, said = oracle.repair(path, "-y")
    faults = [] if status == 0 else ["status %s" % status]
    if oracle.snapshots(path) != names:
        faults.append("the snapshots are %s" % oracle.snapshots(path))
    should = oracle.sound_views(sound)
    for old, new in zip((None, "one", "second", "three"), (None, *names)):
        if oracle.guest(path, new) != should[old]:
            faults.append("%s sees something else than before" % old)
    code, _, errors = qimg.qemu_check(path)
    if code:
        faults.append("qemu-img check: %s, %s" % (code, errors[-200:]))
    again, _ = oracle.repair(path, "-y")
    faults += ["second repair: %s" % again] if again else []
    faults += undone(path, before)
    tap.result(not faults, "%s: %s" % (shape, what),
               faults and faults + [said[-1500:]])


def kept(what, shape, damage):
    """Not listed again, and every table of theirs stays allocated."""
    _, path, tables = make(shape, damage)
    before = oracle.sha(path)
    status, said = oracle.repair(path, "-y")
    faults = [] if status in (2, 3) else ["status %s" % status]
    with qimg.Image(path) as image:
        freed = sorted(c for c in tables if not image.refcount(c))
    if freed:
        faults.append("freed: %s" % freed)
    if oracle.sha(path) != before:
        faults += undone(path, before)
    tap.result(not faults, "%s: %s" % (shape, what),
               faults and faults + [said[-1500:]])


def unproved(damage):
    """The damage, and one table's refcount that does not go with it."""
    def both(image):
        at = image.snapshot(image.snapshots()[0], "l1_table_offset")
        to = image.u64(at) & qimg.OFFSET_MASK
        damage(image)
        cluster = to // image.cluster
        image.set_refcount(cluster, image.refcount(cluster) + 1)
    return both


ALL = ["one", "second", "three"]
NEW = ["recovered-1", "recovered-2", "recovered-3"]


def main():
    for shape in SHAPES:
        restored("the count is zero", shape, count(0), ALL)
        restored("the count is too low", shape, count(1), ALL)
        restored("count and pointer are zero", shape, forget_all, ALL)
        restored("the table is text", shape, fill(b"no table at all. "), NEW)
        restored("the table is zeros", shape, fill(b"\0"), NEW)
    restored("the later entries are overwritten", "4k", second_entry,
             ["one", "recovered-2", "recovered-3"])
    kept("zeros, and the refcounts do not agree", "4k",
         unproved(fill(b"\0")))
    kept("text, and the refcounts do not agree", "4k",
         unproved(fill(b"no table at all. ")))
    return tap.finish()


try:
    sys.exit(main())
finally:
    shutil.rmtree(work)
