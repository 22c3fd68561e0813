#!/usr/bin/env python3
"""Each story of the diagnosis, made by its real cause, with variations.

Two writers without locks, snapshots taken and deleted under a writer, lazy
writers that were killed, holes punched into live tables, truncated files,
tails that never reached the disk: the check must name the cause, and tell
no other story.

    --slice       one variation of each story
    --count N     N variations of each story (default 12)
    --seed S      other variations; the default is 1
    --only NAME   only stories whose name holds NAME
    --keep DIR    leave the images of failed cases there
"""

import argparse
import concurrent.futures
import os
import shutil
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "lib"))

import known as truth                                       # noqa: E402
import qimg                                                 # noqa: E402
from tap import Tap                                         # noqa: E402

KB, MB = 1 << 10, 1 << 20


class Ground:
    """A layout, and a disk whose both halves have L2 tables of their own."""

    def __init__(self, rng):
        self.cluster = rng.choice((512, 2048, 4096, 16384, 65536, 65536,
                                   262144, 2 * MB))
        self.options = {"cluster_size": self.cluster}
        kind = rng.choice(("v3", "v3", "v2", "refcount", "extended"))
        if kind == "v2":
            self.options["compat"] = "0.10"
        elif kind == "refcount":
            self.options["refcount_bits"] = rng.choice((8, 32, 64))
        elif kind == "extended" and self.cluster >= 16384:
            self.options["extended_l2"] = "on"
        self.span = self.cluster ** 2 // (
            16 if "extended_l2" in self.options else 8)
        self.size = 8 * self.span
        self.unit = self.cluster

    def make(self, path, steps=(), **more):
        qimg.build(path, str(self.size), steps, **self.options, **more)

    def write(self, rng, first, last, most=6, least=1):
        """A write of some clusters within L2 tables FIRST to LAST."""
        start = rng.randrange(first * self.span // self.unit,
                              last * self.span // self.unit)
        if rng.random() < .7:
            start = rng.randrange(first, last) * self.span // self.unit + \
                rng.randrange(32)
        n = rng.randint(least, most if self.cluster < MB else 2)
        return "write -P %d %d %d" % (rng.randint(1, 255), start * self.unit,
                                      n * self.unit)

    def writes(self, rng, first, last, count, most=6, least=1):
        return [self.write(rng, first, last, most, least)
                for _ in range(count)]

    def base(self, rng):
        """Some data in every L2 table's range."""
        return ["write -P 9 %d %d" % (i * self.span, self.unit *
                                      rng.randint(1, 3)) for i in range(8)]

    def text(self):
        return " ".join("%s=%s" % o for o in self.options.items())


# -- the stories: each makes its image and returns what may be said -----

def two_writers(path, ground, rng):
    ground.make(path, ground.base(rng)[:rng.choice((2, 8))] +
                [("snap", "s")][:rng.randrange(2)])
    cut = rng.choice((4, 8))        # a half each, or the same disk
    with qimg.Writer(path) as one, qimg.Writer(path) as two:
        for _ in range(rng.randint(3, 6)):
            for writer, first in ((one, 0), (two, 8 - cut)):
                try:
                    writer.do(*ground.writes(rng, first, first + cut,
                                             rng.randint(1, 4), least=2))
                except qimg.Refused:
                    pass    # QEMU sees the damage: so it is in real life
            if rng.random() < .5:
                rng.choice((one, two)).do("flush")
        first, last = rng.sample((one, two), 2)
        first.close()
        if rng.random() < .5:
            last.do("flush")
            last.kill()
        else:
            last.close()
    return {"two-writers"}


def older(rng):
    """Snapshots that are there already."""
    return [("snap", "older %d" % n) for n in range(rng.choice((0, 0, 1, 2)))]


def go_on(writer, ground, rng):
    """The machine does not know, and writes on."""
    if rng.random() < .5:
        writer.do(*ground.base(rng))
    writer.do(*ground.writes(rng, 0, 8, rng.randint(3, 10)))
    writer.close()


def snapshot_taken(path, ground, rng):
    ground.make(path, ground.base(rng) + older(rng) +
                ground.writes(rng, 0, 8, 6))
    with qimg.Writer(path) as writer:
        writer.do(*ground.writes(rng, 0, 8, 2), "flush")
        qimg.qemu_img("snapshot", "-c", "nightly", path)
        go_on(writer, ground, rng)
    return {"snapshot-under-writer"}


def snapshot_deleted(path, ground, rng):
    ground.make(path, ground.base(rng) + ground.writes(rng, 0, 8, 4) +
                older(rng) + [("snap", "nightly")])
    with qimg.Writer(path) as writer:
        writer.do(*ground.writes(rng, 0, 8, 2), "flush")
        qimg.qemu_img("snapshot", "-d", "nightly", path)
        go_on(writer, ground, rng)
    return {"snapshot-under-writer"}


def lazy_killed(path, ground, rng):
    if ground.options.get("compat"):
        del ground.options["compat"]
    ground.make(path, ground.base(rng)[:rng.randint(0, 8)],
                lazy_refcounts="on")
    with qimg.Writer(path) as writer:
        writer.do(*ground.writes(rng, 0, 8, rng.randint(2, 12)), "flush")
        writer.kill()
    return {"lazy-refcounts"}


def holes_for(ground, least):
    """A file system keeps holes in pages of 4 KiB."""
    if ground.cluster < least:
        ground.cluster = ground.options["cluster_size"] = least
        ground.unit, ground.span = least, least ** 2 // 8
        ground.size = 8 * ground.span


def punched(path, ground, rng):
    holes_for(ground, 4096)
    ground.make(path, ground.base(rng) + ground.writes(rng, 0, 8, 8))
    with qimg.Image(path) as image:
        known = truth.Known(image)
        table = rng.choice(known.active_tables())
    qimg.punch(path, table, ground.cluster)
    return {"punch-hole"}


def truncated(path, ground, rng):
    ground.make(path, ground.base(rng) + ground.writes(rng, 0, 8, 10))
    size = os.path.getsize(path)
    cut = rng.randrange(size // 3, size - 2 * ground.cluster)
    os.truncate(path, cut)
    return {"truncated"}


def lost_tail(path, ground, rng):
    """The host dies: the file has its length, but its end never came.

    With clusters of 4 KiB it cannot be told from a copy without zeros.
    """
    holes_for(ground, 8192)
    ground.make(path, ground.base(rng) + ground.writes(rng, 0, 8, 10))
    with qimg.Image(path) as image:
        tables = sorted(truth.Known(image).active_tables())
    table = rng.choice(tables[len(tables) // 2:])
    size = os.path.getsize(path)
    os.truncate(path, max(ground.cluster, table -
                          rng.randrange(2) * ground.cluster))
    os.truncate(path, size)
    return {"host-crash"}


STORIES = {
    "two-writers": two_writers,
    "snapshot-taken": snapshot_taken,
    "snapshot-deleted": snapshot_deleted,
    "lazy-killed": lazy_killed,
    "punched": punched,
    "truncated": truncated,
    "lost-tail": lost_tail,
}


def one(args, folder, name, number):
    rng = qimg.rng_of("story", args.seed, name, number)
    ground = Ground(rng)
    path = os.path.join(folder, "%s.%d" % (name, number))
    try:
        want = STORIES[name](path, ground, rng)
        status, report, err, _ = qimg.qfsck_check(path)
        told = {d["cause"] for d in report["diagnosis"]} if report else set()
        good = told == want
        lines = ["exit %s, told %s, %s" % (status, sorted(told), err)] + \
            ["%s x%d: %s" % (f["name"], f["count"], f["message"][-120:])
             for f in (report or {"findings": []})["findings"][:8]]
        if not good and args.keep:
            shutil.copy(path, args.keep)
    except qimg.Refused as why:
        good, lines = False, ["not made: %s" % why]
    finally:
        if os.path.exists(path):
            os.remove(path)
    return good, "%s %d (%s)" % (name, number, ground.text()), lines


def arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--slice", action="store_true")
    parser.add_argument("--count", type=int, default=12)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", default="")
    parser.add_argument("--keep")
    args = parser.parse_args()
    if args.slice:
        args.count = 2
    if args.keep:
        os.makedirs(args.keep, exist_ok=True)
    return args


def main():
    args = arguments()
    tap = Tap()
    folder = tempfile.mkdtemp(prefix="qfsck-stories.",
                              dir=os.environ.get("TMPDIR"))
    try:
        with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
            cases = [(name, n) for name in STORIES if args.only in name
                     for n in range(args.count)]
            for good, name, lines in pool.map(
                    lambda c: one(args, folder, *c), cases):
                tap.result(good, name, lines)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return tap.finish()


if __name__ == "__main__":
    sys.exit(main())
