#!/usr/bin/env python3
"""A wrong cluster size in the header is put right, or nothing is done."""

import os
import shutil
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "lib"))

import oracle                                               # noqa: E402
import qimg                                                 # noqa: E402
from tap import Tap                                         # noqa: E402

STEPS = ["write -P 1 0 256k", "write -P 2 2M 128k", ("snap", "one"),
         "write -P 3 64k 64k", "write -P 4 3M 8k"]
SHAPES = {
    "4k": {"cluster_size": 4096},
    "v2": {"cluster_size": 65536, "compat": "0.10"},
    "64k, extended": {"cluster_size": 65536, "extended_l2": "on"},
    "512": {"cluster_size": 512},
    "1M, refcounts of 2": {"cluster_size": 1 << 20, "refcount_bits": 2},
}
tap = Tap()
work = tempfile.mkdtemp(prefix="qfsck-geometry.")


def make(name, steps, options, change):
    path = os.path.join(work, "image")
    qimg.build(path, "4M", steps, **options)
    sound = oracle.sha(path)
    with qimg.Image(path) as image:
        image.put("cluster_bits", image.cluster_bits + change)
    return path, sound


def restored(name, options, change):
    path, sound = make(name, STEPS, options, change)
    before = oracle.sha(path)
    status, said = oracle.repair(path, "-y")
    faults = [] if status == 0 else ["status %s" % status]
    if oracle.sha(path) != sound:
        faults.append("it is not what it was")
    code, undone = oracle.undo(path)
    if code or oracle.sha(path) != before:
        faults.append("undo: " + undone)
    for junk in os.listdir(work):
        os.remove(os.path.join(work, junk))
    tap.result(not faults, "%s: %+d" % (name, change),
               faults and faults + [said[-1500:]])


def untold(name, change):
    """An empty image is sound with more than one size."""
    path, _ = make(name, [], {}, change)
    before = oracle.sha(path)
    status, said = oracle.repair(path, "-y")
    with qimg.Image(path) as image:
        bits = image.cluster_bits
    faults = [] if bits == 16 + change else ["cluster bits: %d" % bits]
    if status in (1, 63) and oracle.sha(path) != before:
        faults.append("status %s, and the image is changed" % status)
    tap.result(not faults, "%s: %+d" % (name, change),
               faults and faults + [said[-1500:]])


def field(name, options, damage, exact=True):
    """A header whose DAMAGE is taken back, with what the guest reads."""
    path = os.path.join(work, "image-" + name.replace(" ", "-"))
    qimg.build(path, "4M", STEPS[:2], **options)
    sound, seen = oracle.sha(path), oracle.views(path)
    with qimg.Image(path) as image:
        damage(image)
    status, said = oracle.repair(path, "-y")
    faults = [] if status == 0 else ["status %s" % status]
    if oracle.views(path) != seen or exact and oracle.sha(path) != sound:
        faults.append("it is not what it was")
    tap.result(not faults, name, faults and faults + [said[-1500:]])


def exchange(image):
    """The L1 table and the refcount table take each other's place."""
    l1, counts = image.l1_offset, image.reftable_offset()
    image.put("l1_table_offset", counts)
    image.put("refcount_table_offset", l1)


def halve(image):
    """In halved clusters, such an image is sound as well."""
    image.put("refcount_order", 1)


def main():
    for name, options in SHAPES.items():
        for change in (-2, -1, 1, 2):
            if 512 << 2 <= options["cluster_size"] << 2 + change <= 2 << 22:
                restored(name, options, change)
    # the pointers or the tables: what the guest has is the same
    field("tables exchanged", {"cluster_size": 65536}, exchange, False)
    field("narrower refcounts", {"cluster_size": 65536, "refcount_bits": 4},
          halve)
    untold("an empty image", 1)
    return tap.finish()


try:
    sys.exit(main())
finally:
    shutil.rmtree(work)
