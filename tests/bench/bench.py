#!/usr/bin/env python3
"""make bench: `qemu-img check` and `qfsck check` on the same images.

    tests/bench/bench.py [--quick] [--shape NAME]... [--cold] [--curves]
                         [--repair] [--many] [--reads] [--contents]
                         [--browse]

Prints for each shape the median wall time, CPU time and peak memory of both
programs, their ratios, and the floor: a plain loop that reads the same tables
(tests/bench/floor.c). Trust the ratios; the times are this machine's. The
runs alternate, so that a busy moment hits both. A `!` marks a shape on which
the two programs end with different exit codes.

The images are kept in $QFSCK_BENCH_DIR, or /var/tmp/qfsck-bench.
"""
import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile

import browse
import contents
import curves
import many
import repairs
import shapes

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
BUILD = os.environ.get("QFSCK_BUILD", os.path.join(ROOT, "build"))
QFSCK = os.environ.get("QFSCK", os.path.join(ROOT, "qfsck"))
TOOLS = os.path.join(BUILD, "tests", "bench")
# qemu-img is not asked again once it has taken so long on a shape.
PATIENCE = 30
# Many small tables, and few large ones far apart.
COLD_SHAPES = ("small-256g", "snap10")


def log(text):
    print(text, file=sys.stderr, flush=True)


class Cost:
    """One run: wall and CPU seconds, MiB, exit status."""

    def __init__(self, wall, cpu, mib, status):
        self.wall, self.cpu, self.mib, self.status = wall, cpu, mib, status


def drop_caches():
    os.sync()
    with open("/proc/sys/vm/drop_caches", "w", encoding="ascii") as f:
        f.write("3\n")


def measure(argv, cold=False):
    if cold:
        drop_caches()
    with tempfile.NamedTemporaryFile("r") as out:
        subprocess.run([os.path.join(TOOLS, "measure"), out.name, *argv],
                       stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL, check=True)
        wall, cpu, kib, status = out.read().split()
    return Cost(float(wall), float(cpu), int(kib) / 1024, int(status))


def median(costs):
    """Of each figure by itself; None where nothing was run."""
    if not costs:
        return None
    return Cost(*(statistics.median(getattr(c, f) for c in costs)
                  for f in ("wall", "cpu", "mib")), costs[0].status)


def qfsck_argv(path, *options):
    return [QFSCK, "check", *options, path]


def run_pairs(path, pairs, cold=False, options=()):
    """Medians of (qemu-img, qfsck, floor) on one image."""
    programs = {"qemu": ["qemu-img", "check", "-f", "qcow2", path],
                "floor": [os.path.join(TOOLS, "floor"), path]}
    if os.access(QFSCK, os.X_OK):
        programs["qfsck"] = qfsck_argv(path, *options)
    if not cold:
        measure(programs["floor"])      # fills the page cache
    costs = {name: [] for name in ("qemu", "qfsck", "floor")}
    for _ in range(pairs):
        for name, argv in programs.items():
            spent = sum(c.wall for c in costs[name])
            if name == "qemu" and spent > PATIENCE:
                continue
            costs[name].append(measure(argv, cold))
    return [median(costs[name]) for name in ("qemu", "qfsck", "floor")]


def ratio(a, b):
    return "-" if not b else f"{a / b:.1f}" if a < 100 * b else f"{a / b:.0f}"


def cells(cost):
    if cost is None:
        return ["-", "-", "-"]
    return [f"{cost.wall:.3f}", f"{cost.cpu:.3f}", f"{cost.mib:.0f}"]


HEAD = ["shape", "qemu s", "cpu", "MiB", "qfsck s", "cpu", "MiB", "floor s",
        "wall x", "cpu x", "mem x", "x floor", "aim"]


def row(title, aim, qemu, qfsck, floor):
    ratios = ["-"] * 4
    if qfsck:
        ratios = [ratio(qemu.wall, qfsck.wall), ratio(qemu.cpu, qfsck.cpu),
                  ratio(qemu.mib, qfsck.mib), ratio(qfsck.wall, floor.wall)]
        if qfsck.status != qemu.status:
            title += f" ! exit {qfsck.status}, not {qemu.status}"
    return [title, *cells(qemu), *cells(qfsck), f"{floor.wall:.3f}", *ratios,
            str(aim or "-")]


def print_table(rows):
    widths = [max(len(r[i]) for r in rows) for i in range(len(rows[0]))]
    for r in rows:
        print("  ".join(c.ljust(w) if i == 0 else c.rjust(w)
                        for i, (c, w) in enumerate(zip(r, widths))))
    sys.stdout.flush()


def bench_shape(store, shape, args, rows, skipped):
    try:
        path = store.get(shape.name)
    except shapes.NoRoom as why:
        skipped.append(f"{shape.name}: {why}")
        return
    log(f"running {shape.name}")
    warm = run_pairs(path, args.pairs)
    if warm[0].status != 0 and not shape.damaged:
        sys.exit(f"bench: qemu-img check finds fault with {path} "
                 f"(exit {warm[0].status}): the maker is wrong")
    rows.append(row(shape.title, shape.aim, *warm))
    if args.cold:
        cold = run_pairs(path, min(args.pairs, 3), cold=True)
        rows.append(row(shape.title + ", cold", None, *cold))


def bench_reads(store, args):
    """The ways of reading tables that are not in the page cache."""
    for name in args.shape or COLD_SHAPES:
        try:
            path = store.get(name)
        except shapes.NoRoom as why:
            print(f"skipped {name}: {why}")
            continue
        log(f"reading {name}")
        print(f"{name}: ", end="", flush=True)
        subprocess.run([os.path.join(TOOLS, "coldread"), path, "3"],
                       check=True)
    return 0


def choose(args):
    if args.shape:
        return [s for s in shapes.SHAPES if s.name in args.shape]
    if args.quick:
        return [s for s in shapes.SHAPES if s.name in shapes.QUICK]
    return [s for s in shapes.SHAPES if not s.named_only]


def parse():
    p = argparse.ArgumentParser(
        description="Bench; see the head of this file.")
    p.add_argument("--quick", action="store_true",
                   help="three shapes: " + ", ".join(shapes.QUICK))
    p.add_argument("--shape", action="append", metavar="NAME",
                   choices=[s.name for s in shapes.SHAPES],
                   help="only this one; may be given again")
    p.add_argument("--list", action="store_true", help="name the shapes")
    p.add_argument("--pairs", type=int, default=5, help="runs of each (5)")
    p.add_argument("--cold", action="store_true",
                   help="also with the page cache dropped (root)")
    p.add_argument("--curves", action="store_true",
                   help="how the cost grows: a table and an SVG")
    p.add_argument("--repair", action="store_true",
                   help="what repairs take, on copies, beside a check")
    p.add_argument("--many", action="store_true",
                   help="ten thousand small images in one run")
    p.add_argument("--browse", action="store_true",
                   help="the browser on 8 TiB: first screen, keys, memory")
    p.add_argument("--reads", action="store_true",
                   help="ways to read cold tables (root)")
    p.add_argument("--contents", action="store_true",
                   help="what reads all bytes: extract, check --data, diff")
    p.add_argument("--out", metavar="DIR",
                   help="with --contents: extract to DIR, not to --dir")
    p.add_argument("--svg", default=os.path.join(BUILD, "bench-curves.svg"))
    p.add_argument("--max-mib", type=int, default=8192,
                   help="room that the images may take (8192)")
    p.add_argument("--dir", default=os.environ.get("QFSCK_BENCH_DIR",
                                                   "/var/tmp/qfsck-bench"))
    args = p.parse_args()
    if args.cold and not os.access("/proc/sys/vm/drop_caches", os.W_OK):
        log("bench: the page cache cannot be dropped here; warm only")
        args.cold = False
    return args


def main():
    args = parse()
    if args.list:
        for s in shapes.SHAPES:
            print(f"{s.name:<15}{s.title}")
        return 0
    if not shutil.which("qemu-img"):
        sys.exit("bench: no qemu-img (make deps installs it)")
    store = shapes.Store(args.dir, args.max_mib, log)
    if args.curves:
        return curves.bench(store, args, run_pairs, print_table)
    if args.reads:
        return bench_reads(store, args)
    if args.repair:
        return repairs.bench(store, args, sys.modules[__name__], print_table)
    if args.browse:
        return browse.bench(store, args, sys.modules[__name__], print_table)
    if args.many:
        return many.bench(store, sys.modules[__name__], print_table)
    if args.contents:
        return contents.bench(store, args, sys.modules[__name__], print_table)
    rows, skipped = [HEAD], []
    for shape in choose(args):
        bench_shape(store, shape, args, rows, skipped)
    print_table(rows)
    for why in skipped:
        print("skipped", why)
    return 0


if __name__ == "__main__":
    sys.exit(main())
