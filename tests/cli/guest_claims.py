#!/usr/bin/env python3
"""Entries that were bent or lead nowhere: the guest knows what they said.

The clusters of real file systems lie in the file in any order, so that
nothing but the guest's own checksums tells which is whose. Entries are bent
to other clusters and broken; stray clusters, with bytes of others, lie about.
No verdict that is likely may be wrong, and one that a checksum bears out must
be found.

    --count N      so many damaged images of each, and the figures of the
                   witnesses for check/judge/witnesses.def
    --seed S       others
"""

import argparse
import os
import random
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "lib"))

import guestdisks as disks                                  # noqa: E402
from guestclaims import Figures, Hurt, metadata_of            # noqa: E402
from guests import *                                        # noqa: E402,F403
from tap import Tap                                         # noqa: E402
from tools import own_folder, qfsck_check                   # noqa: E402

tap = Tap()
GUESTS = (("ext4", disks.ext4), ("ext4-1k", disks.ext4_small_blocks),
          ("xfs", disks.xfs), ("btrfs", disks.btrfs), ("ntfs", disks.ntfs),
          ("gpt-ext4", disks.partitioned))


def trial(path, metadata, rng, figures, name):
    hurt = Hurt(path, metadata, rng)
    kind = rng.choice(("bent", "bent", "dead", "mixed", "stray"))
    try:
        for _ in range({"bent": 1, "dead": 0}.get(kind, rng.randrange(1, 3))):
            hurt.bend()
        for _ in range({"bent": 0, "dead": rng.randrange(1, 6)}.get(
                kind, rng.randrange(3))):
            hurt.kill()
        for _ in range(rng.randrange(1, 3) if kind == "stray" else 0):
            hurt.stray()
        _, report, err, _ = qfsck_check(os.path.abspath(path))
        if not report:
            figures.wrong.append("%s: %s" % (name, err))
        else:
            figures.add(report, hurt, "%s %s" % (name, kind))
    finally:
        hurt.close()


def cases(name, make, cluster, count, seed, figures):
    root, disk = name + ".tree", name + ".raw"
    rng = random.Random("%s %d %d" % (name, cluster, seed))
    if not os.path.exists(disk):
        tree(root, 150, 5, max_bytes=40000)
        make(disk, root)
    path = image(disk, cluster)
    metadata = metadata_of(path, cluster)
    disks.shuffled(path, rng)
    for n in range(count):
        trial(path, metadata, rng, figures, "%s %d #%d" % (name, cluster, n))
    assert qfsck_check(os.path.abspath(path))[0] == 0


def test():
    for name, make in GUESTS:
        for cluster in (4096, 16384, 65536):
            figures = Figures()
            cases(name, make, cluster, 6, 1, figures)
            tap.result(not figures.wrong, "%s, clusters of %d KiB: no verdict "
                       "is wrong" % (name, cluster >> 10), figures.wrong)
    sys.exit(tap.finish())


def measure(count, seed):
    figures = Figures()
    for name, make in GUESTS:
        for cluster in (4096, 16384, 65536):
            here = Figures()
            cases(name, make, cluster, count, seed, here)
            for a, b in ((figures.witness, here.witness),
                         (figures.grade, here.grade)):
                for k, v in b.items():
                    a[k][0] += v[0]
                    a[k][1] += v[1]
            print("%s %d: vouched for %d, answered %d; %s" % (
                name, cluster, here.vouched, here.answered, dict(here.grade)),
                flush=True)
            for line in here.wrong[:10]:
                print("  wrong:", line)
    for table in (figures.witness, figures.grade):
        for k, (spoke, right) in sorted(table.items()):
            print("%-24s spoke %6d, right %6d" % (k, spoke, right))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--count", type=int)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("-v", action="store_true")
    args = parser.parse_args()
    own_folder()
    if args.count:
        measure(args.count, args.seed)
    else:
        test()


main()
