#!/usr/bin/env python3
"""A slice of tests/guest/sweep, the same on every run.

Tables are erased, in whole and in part, and L1 entries, in images of real
guests; or killed writers leave theirs behind. What check says is right, or
the guest knew nothing of it; what it calls lost was, nearly all of it; and
tables without a name find their entry again.
"""

import os
import random
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "..", "lib"),
                os.path.join(HERE, "..", "guest")]

import grounds                                              # noqa: E402
import loss                                                 # noqa: E402
from tap import Tap                                         # noqa: E402
from tools import own_folder                                # noqa: E402

tap = Tap()
# the others are in the sweep
SLICE = (("ext4-1k", 4096, "shuffled"), ("ext4-4k", 4096, "base"),
         ("xfs", 4096, "snapshot"), ("ntfs", 4096, "shuffled"),
         ("fat32", 4096, "shuffled"), ("btrfs", 4096, "plain"))


def main():
    share = []
    slots = loss.collections.Counter()
    for kind, cluster, how in SLICE:
        ground = grounds.Ground(kind, cluster, how, 2)
        figures = loss.Figures()
        for what in loss.ERASED + loss.KILLED:
            loss.run(ground, (what,), 1, random.Random(what + kind), figures)
        tap.result(sum(figures.asked.values()) >= 5 and not figures.wrong,
                   ground.name + ": erased, or killed", figures.wrong)
        share += figures.share
        slots += figures.slots
    share.sort()
    tap.result(share[len(share) // 2] >= .9, "what is called lost was",
               ["%.2f" % n for n in share])
    tap.result(slots["answered"] >= 5 and slots["right"] == slots["answered"],
               "tables without a name are put where they were",
               [str(dict(slots))])
    sys.exit(tap.finish())


own_folder()
main()
