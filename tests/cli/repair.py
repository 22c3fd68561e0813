#!/usr/bin/env python3
"""qfsck repair, judged by qemu-img and by the undamaged original.

    --count N   so many cases of all damages on all layouts (default: 60)
    --seed S    other ones
    --only T    only cases whose name holds T
    --keep DIR  keep the damaged images of failed cases
"""

import argparse
import concurrent.futures
import os
import shutil
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, ".."))
sys.path.insert(0, os.path.join(HERE, "..", "lib"))

import differential                                         # noqa: E402
import oracle                                               # noqa: E402
import qimg                                                 # noqa: E402
from tap import Tap                                         # noqa: E402


def arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--count", type=int, default=60)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", default="")
    parser.add_argument("--keep")
    return parser.parse_args()


def chosen(args):
    """Every damage is on the list before one comes a second time."""
    cases = differential.plan(args.seed, 4 * len(qimg.DAMAGES))
    cases = [c for c in cases if args.only in c.name
             and not c.layout.startswith(("sparse", "backing"))]
    step = max(1, len(cases) // args.count)
    return cases[::step][:args.count]


def judge(bench, case, keep):
    path = bench.damaged(case)
    if not path:
        return case, None
    if keep:
        shutil.copy(path, os.path.join(keep, case.name))
    folder = tempfile.mkdtemp(dir=bench.dir)
    image = os.path.join(folder, "image.qcow2")
    os.replace(path, image)
    try:
        faults = oracle.judge(bench.sound(case.layout), image, case.layout)
    finally:
        shutil.rmtree(folder)
    if keep and not faults:
        os.remove(os.path.join(keep, case.name))
    return case, faults


def main():
    args = arguments()
    if args.keep:
        os.makedirs(args.keep, exist_ok=True)
    cases = chosen(args)
    bench = differential.Bench(args)
    tap = Tap()
    try:
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            list(pool.map(bench.make, sorted({c.layout for c in cases})))
            for case, faults in pool.map(
                    lambda c: judge(bench, c, args.keep), cases):
                if faults is not None:
                    tap.result(not faults, case.name,
                               [case.said] + faults if faults else [])
    finally:
        bench.close()
    return tap.finish()


if __name__ == "__main__":
    sys.exit(main())
