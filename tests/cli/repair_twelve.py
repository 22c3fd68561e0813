#!/usr/bin/env python3
"""Twelve L2 entries, bent to other legal places of a file that was filled in
order: no two writers, and each points back to its own cluster."""

import os
import random
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, ".."))
sys.path.insert(0, os.path.join(HERE, "..", "lib"))

import oracle                                               # noqa: E402
import qimg                                                 # noqa: E402
from tap import Tap                                         # noqa: E402

BENT = 12


def bend(path, seed):
    """Lets twelve entries name what others name; the numbers of the twelve."""
    rng = random.Random(seed)
    with qimg.Image(path) as image:
        entries = image.entries()
        bent = rng.sample(range(len(entries)), BENT)
        for n in bent:
            other = rng.choice([k for k in range(len(entries)) if k != n])
            image.put64(entries[n][1], entries[other][2])
    return sorted(bent)


def faults_of(folder, clusters, size, seed):
    path = os.path.join(folder, "image")
    qimg.build(path, str(clusters * size),
               ["write -P %d %d %d" % (1 + n % 250, n * size, size)
                for n in range(clusters)], cluster_size=size)
    sound = oracle.guest(path)
    bent = bend(path, seed)
    _, report, _, _ = qimg.qfsck_check(path)
    faults = ["called " + d["cause"] for d in report["diagnosis"]]
    status, said = oracle.repair(path, "-y")
    bad = oracle.sectors_that_differ(sound, oracle.guest(path))
    if status or bad:
        faults += ["status %s, %d sectors are wrong" % (status, len(bad))]
        faults += said.splitlines()[:20]
    return faults and ["bent: %s" % bent] + faults


def main():
    tap = Tap()
    for clusters, size in ((256, 65536), (200, 4096), (120, 16384)):
        for seed in range(4):
            with tempfile.TemporaryDirectory(prefix="qfsck-twelve.") as folder:
                faults = faults_of(folder, clusters, size, seed)
            tap.result(not faults, "%d clusters of %d bytes, seed %d" % (
                clusters, size, seed), faults)
    return tap.finish()


if __name__ == "__main__":
    sys.exit(main())
