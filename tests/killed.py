#!/usr/bin/env python3
"""Writers that were killed leave leaks, and no false alarm.

The real tools are killed (kill -9) at a chosen write of theirs, by a shim
for the writes (tests/cli/cut.c): snapshots taken, deleted and gone back to,
resizes, discards, writes into shared clusters, bitmaps. `qfsck check` may say clean or leaks where `qemu-img check` does, and never corrupt.

    --slice       a few layouts and some of the writes
    --count N     N layouts (default 20), every write of every operation
    --seed S      other layouts; the default is 1
    --only NAME   only operations whose name holds NAME
    --keep DIR    leave the images of failed cases there
"""

import argparse
import concurrent.futures
import os
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "lib"))

import anyimage                                             # noqa: E402
import qimg                                                 # noqa: E402
from tap import Tap                                         # noqa: E402

SLICE = 3
SLICE_CUTS = 10
MOST_CUTS = 80


def io(*commands):
    return ["qemu-io", "-f", "qcow2",
            *[a for c in commands for a in ("-c", c)]]


def random_io(plan, rng, count, flush=.3):
    """Writes, zero writes and discards, some of them at once."""
    out = []
    for _ in range(count):
        start, length = plan.run(rng)
        verb = rng.choice(("write -P 5", "aio_write -P 6", "aio_write -P 7",
                           "write -z", "write -z -u", "discard"))
        out.append("%s %d %d" % (verb, start, length))
        if rng.random() < flush:
            out.append("flush")
    return out + ["aio_flush"]


# Not among them, as nobody can tell them from damage: a commit and a shrinking
# that were killed leave tables erased, whose clusters are still allocated.
OPERATIONS = {
    "write": lambda p, r: io(*random_io(p, r, 12)),
    "write-more": lambda p, r: io(*random_io(p, r, 40, .05)),
    "discard": lambda p, r: io(*["discard %d %d" % p.run(r)
                                 for _ in range(10)]),
    "snapshot": lambda p, r: ["qemu-img", "snapshot", "-c", "new"],
    "delete": lambda p, r: ["qemu-img", "snapshot", "-d",
                            "state %d" % r.randrange(p.snapshots)]
        if p.snapshots else None,
    "revert": lambda p, r: ["qemu-img", "snapshot", "-a",
                            "state %d" % r.randrange(p.snapshots)]
        if p.snapshots else None,
    "grow": lambda p, r: ["qemu-img", "resize", "-q", "-f", "qcow2", None,
                          "+%d" % (p.span * r.choice((1, 3, 70)))],
    "bitmap": lambda p, r: ["qemu-img", "bitmap", "--add", "-f", "qcow2",
                            None, "another"] if not p.v2 else None,
    "amend": lambda p, r: ["qemu-img", "amend", "-q", "-f", "qcow2", "-o",
                           "refcount_bits=%d" % r.choice((8, 32, 64))]
        if not p.v2 and p.refbits == 16 else None,
    "amend-old": lambda p, r: ["qemu-img", "amend", "-q", "-f", "qcow2",
                               "-o", "compat=0.10"]
        if not p.v2 and p.refbits == 16 and not p.extended and
        not p.bitmaps else None,
    "rebase": lambda p, r: ["qemu-img", "rebase", "-f", "qcow2", "-b", ""]
        if p.backing and p.cluster < 1 << 19 and p.span < 1 << 32 else None,
}


class Bench:
    def __init__(self, args):
        self.args = args
        self.dir = tempfile.mkdtemp(prefix="qfsck-killed.",
                                    dir=os.environ.get("TMPDIR") or
                                    "/dev/shm")
        self.shim = os.path.join(self.dir, "cut.so")

    def compile(self):
        compiler = os.environ.get("CC", "cc").split()
        done = subprocess.run(
            [*compiler, "-D_GNU_SOURCE", "-shared", "-fPIC", "-O1", "-o",
             self.shim, os.path.join(HERE, "cli", "cut.c"), "-ldl"],
            capture_output=True, text=True)
        return done.stderr if done.returncode else None

    def run(self, argv, path, cut=None):
        """Runs ARGV on a copy at PATH, to its end or to its write CUT."""
        argv = [path if a is None else a for a in argv] + \
            ([path] if None not in argv else [])
        env = dict(qimg.environment(), LD_PRELOAD=self.shim, CUT_FILE=path,
                   CUT_COUNT=path + ".count")
        if cut:
            env["CUT_NTH"] = str(cut)
        try:
            subprocess.run(argv, env=env, cwd=os.path.dirname(path),
                           timeout=20, stdout=subprocess.DEVNULL,
                           stderr=subprocess.DEVNULL,
                           stdin=subprocess.DEVNULL)
        except subprocess.TimeoutExpired:
            return 0
        try:
            with open(path + ".count") as file:
                return int(file.read())
        except OSError:
            return 0

    # -- one layout ----------------------------------------------------

    def layout(self, number):
        rng = qimg.rng_of("killed", self.args.seed, number)
        folder = os.path.join(self.dir, str(number))
        os.mkdir(folder)
        path = os.path.join(folder, "image")
        try:
            plan = anyimage.make(path, rng)
            return [r for name in OPERATIONS if self.args.only in name
                    for r in [self.operation(path, plan, name,
                                             "%d" % number)] if r]
        except qimg.Refused as why:
            return [("%d is not made" % number, [str(why)])]
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def operation(self, sound, plan, name, number):
        """(name, faults): killed at every write, or at some of them."""
        rng = qimg.rng_of("killed", self.args.seed, number, name)
        argv = OPERATIONS[name](plan, rng)
        if not argv:
            return None
        path = sound + "." + name
        qimg.must(["cp", sound, path])
        total = self.run(argv, path)
        cuts = list(range(1, total + 1))
        most = SLICE_CUTS if self.args.slice else MOST_CUTS
        if len(cuts) > most:
            cuts = sorted(rng.sample(cuts, most))
        faults = []
        for cut in cuts:
            # backing files are written by a commit: they have a copy each
            for junk in (path, path + ".count"):
                if os.path.exists(junk):
                    os.remove(junk)
            # a copy may keep the zeros of the file, or leave them out
            qimg.must(["cp", "--sparse=" + ("always" if cut % 4 == 3 else
                                            "auto"), sound, path])
            self.run(argv, path, cut)
            fault = self.judge(path)
            # the only snapshot, forgotten by the header with its table: the
            # same as if both fields had been erased, and that is worse
            if fault and name == "delete" and plan.snapshots == 1 and \
                    "snapshot-table-orphaned" in fault:
                continue
            if fault:
                faults.append("killed at write %d of %d: %s" % (
                    cut, total, fault))
                if self.args.keep:
                    shutil.copy(path, os.path.join(
                        self.args.keep, "%s.%s.%d" % (number, name, cut)))
        return "%s %s, %d kills (%s)" % (number, name, len(cuts),
                                         plan.text()), faults

    def judge(self, path):
        theirs, _, _ = qimg.qemu_check(path)
        ours, report, _, _ = qimg.qfsck_check(path)
        if theirs not in (0, 3) or ours == theirs:
            return None
        found = [] if not report else [
            "%s at %#x" % (f["name"], f.get("host-offset", 0))
            for f in report["findings"]][:6]
        return "qemu-img %s, qfsck %s: %s" % (theirs, ours, " ".join(found))


def arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--slice", action="store_true")
    parser.add_argument("--count", type=int, default=20)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", default="")
    parser.add_argument("--keep")
    args = parser.parse_args()
    if args.slice:
        args.count = SLICE
    if args.keep:
        os.makedirs(args.keep, exist_ok=True)
    return args


def main():
    args = arguments()
    tap = Tap()
    bench = Bench(args)
    try:
        why = bench.compile()
        if why:
            tap.result(False, "the shim compiles", why.splitlines())
            return tap.finish()
        with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
            for results in pool.map(bench.layout, range(
                    args.first, args.first + args.count)):
                for name, faults in results:
                    tap.result(not faults, name, faults[:5] +
                               ["%d in all" % len(faults)])
    finally:
        shutil.rmtree(bench.dir, ignore_errors=True)
    return tap.finish()


if __name__ == "__main__":
    sys.exit(main())
