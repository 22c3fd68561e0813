#!/usr/bin/env python3
"""Damage whose truth is known, on layouts that nobody has seen.

Images of random layouts are made with the real tools, and read before the
damage; then one thing is damaged, and `qfsck check` must tell the truth of
it: the verdict, the guilty table or pointer, what each holder has lost and
not much more, what stands in the table now, and no leak that a repair would
free. Then `qfsck repair -y` must not free what is lost. The sound image
itself must raise no alarm.

    --slice       a few layouts, a short deterministic run
    --count N     N images (default 100), every wound that fits on each
    --seed S      other images; the default is 1
    --only NAME   only wounds whose name holds NAME
    --keep DIR    leave the images of failed cases there
    --repair      repair each as well, and look what is freed
"""

import argparse
import concurrent.futures
import os
import random
import re
import shutil
import struct
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "lib"))

import anyimage                                             # noqa: E402
import known as truth                                       # noqa: E402
import qimg                                                 # noqa: E402
import wounds                                               # noqa: E402
import wounds_more                                          # noqa: E402,F401
from tap import Tap                                         # noqa: E402

QUIET = ("note",)
SLICE = 10
A_SLICE_IMAGE = 12      # wounds on each image of the slice


class Result:
    def __init__(self, name, faults, said):
        self.name, self.faults, self.said = name, faults, said


def rng_of(*words):
    return random.Random(":".join(map(str, words)))


# -- what a report must hold -------------------------------------------

def touches(finding, places):
    at = finding.get("host-offset")
    if at is None:
        return False
    end = at + max(1, finding.get("length", 1))
    return any(at < p + n and p < end for p, n in places)


def judge(want, status, report):
    """What is wrong with the report, as a list of sentences."""
    if report is None or "findings" not in report:
        return ["no report"]
    faults = []
    names = [f["name"] for f in report["findings"]]
    if status not in want.codes:
        faults.append("verdict: exit %s, not one of %s" % (
            status, sorted(want.codes)))
    right = [f for f in report["findings"] if f["name"] in want.names]
    if not right:
        faults.append("finding: none of " + " ".join(sorted(want.names)))
    elif want.places and not any(touches(f, want.places) for f in
                                 report["findings"]):
        faults.append("place: no finding is at " + " ".join(
            "%#x" % p for p, _ in want.places))
    if right and want.what and not any(
            re.search(want.what, f.get("message", "")) for f in right):
        faults.append("what it is now: /%s/ is not in: %s" % (
            want.what, right[0]["message"]))
    faults += silly(report)
    faults += judge_lost(want, report)
    stories = {d["cause"] for d in report.get("diagnosis", [])}
    if stories - want.stories:
        faults.append("story: " + " ".join(sorted(stories - want.stories)))
    if want.withheld:
        freed = [f for f in report["findings"] if f["fix"] == "free-leak" or
                 f["name"] == "refcount-high"]
        if freed:
            faults.append("leaks would be freed: " + freed[0]["message"])
    return faults + (["found: " + " ".join(names[:10])] if faults else [])


SILLY = re.compile(r"looks like.*(?:Targa|OpenPGP|DOS/MBR|dBase|MPEG|PGP|Sendmail|TTComp|"
                   r"Matlab|COM executable|locale data|VAX|ALAN|Novell|"
                   r"shared library image|basic-16|8086)", re.I)


def silly(report):
    return ["silly: " + f["message"] for f in report["findings"]
            if SILLY.search(f.get("message", ""))]


def judge_lost(want, report):
    said = [(r["holder"], r["guest-offset"], r["length"])
            for r in report.get("lost", [])]
    faults = []
    missed = truth.uncovered(want.lost, said)
    if missed:
        faults.append("lost, and not said: %s; said: %s" % (
            truth.text(missed), truth.text(truth.merge(said))))
    if want.bound is not None:
        more = truth.uncovered(said, want.bound)
        if more:
            faults.append("said to be lost, and is not: " + truth.text(more))
    return faults


def sound_faults(status, report):
    """An undamaged image raises no alarm."""
    if report is None:
        return ["no report"]
    loud = [f["message"] for f in report["findings"]
            if f["severity"] not in QUIET]
    if status or loud:
        return ["false alarm: exit %s" % status, *loud[:3]]
    return []


# -- repair ------------------------------------------------------------

def repaired(want, path, sound):
    """`qfsck repair -y` frees nothing that is lost."""
    folder = os.path.dirname(path)
    qimg.run([qimg.qfsck_path(), "repair", "-y", os.path.basename(path)],
             cwd=folder)
    status, report, _, _ = qimg.qfsck_check(path)
    if status in (0, 3) and same(path, sound):
        return []
    faults = []
    try:
        with qimg.Image(path) as image:
            freed = [c for c in sorted(want.keep) if not image.refcount(c)]
    except (struct.error, ValueError, IndexError):
        return faults
    if freed:
        faults.append("after repair -y (exit %s) lost clusters are free: %s" %
                      (status, freed[:6]))
    return faults


def same(one, two):
    """Whether the guest reads the same from both."""
    status, _, _ = qimg.run(["qemu-img", "compare", "-f", "qcow2", "-F",
                             "qcow2", one, two],
                            cwd=os.path.dirname(one), timeout=60)
    return status == 0


# -- one image ---------------------------------------------------------

def one_image(args, number):
    """[Result] of all the wounds of one image."""
    rng = rng_of(args.seed, number)
    folder = tempfile.mkdtemp(prefix="qfsck-truth.", dir=args.dir)
    results = []
    try:
        path = os.path.join(folder, "image")
        if number % 12 == 11:
            plan = anyimage.make_luks(path, rng)
        else:
            plan = anyimage.make(path, rng).text()
        os.utime(path, (2e9, 2e9))
        status, report, _, _ = qimg.qfsck_check(path, "--data")
        name = "%d (%s)" % (number, plan)
        results.append(Result(name + " sound", sound_faults(status, report),
                              "undamaged"))
        names = [n for n in wounds.WOUNDS
                 if args.only in n and wounds.NEEDS[n] in plan]
        if args.slice and len(names) > A_SLICE_IMAGE:
            names = rng.sample(names, A_SLICE_IMAGE)
        for wound in names:
            done = one_wound(args, path, wound, name)
            if done:
                results.append(done)
    except qimg.Refused as why:
        results.append(Result("%d" % number, ["not made: %s" % why], ""))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return results


def one_wound(args, sound, wound, name):
    path = sound + "." + wound
    rng = rng_of(args.seed, name, wound)
    # a copy may keep the zeros of the file, or leave them out
    qimg.must(["cp", "--sparse=" + rng.choice(("always", "auto", "auto")),
               sound, path])
    with qimg.Image(path) as image:
        want = wounds.WOUNDS[wound](image, truth.Known(image),
                                    rng)
    if not want:
        os.remove(path)
        return None
    kept = path + ".copy"
    qimg.must(["cp", "--sparse=always", path, kept])
    status, report, _, _ = qimg.qfsck_check(path, *want.options)
    faults = judge(want, status, report)
    if want.keep and args.repair:
        faults += repaired(want, path, sound)
    if faults and args.keep:
        shutil.copy(kept, os.path.join(args.keep, "%s.%s" % (
            name.split()[0], wound)))
    for junk in os.listdir(os.path.dirname(path)):
        if junk.startswith(os.path.basename(path)):
            os.remove(os.path.join(os.path.dirname(path), junk))
    return Result(name + " " + wound, faults, want.said)


def arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--slice", action="store_true")
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", default="")
    parser.add_argument("--keep")
    parser.add_argument("--repair", action="store_true")
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    args = parser.parse_args()
    if args.slice:
        args.count = SLICE
    if args.keep:
        os.makedirs(args.keep, exist_ok=True)
    args.dir = os.environ.get("TMPDIR") or \
        ("/dev/shm" if os.path.isdir("/dev/shm") else None)
    return args


def main():
    args = arguments()
    tap = Tap()
    with concurrent.futures.ThreadPoolExecutor(args.jobs) as pool:
        for results in pool.map(lambda n: one_image(args, n),
                                range(args.first, args.first + args.count)):
            for r in results:
                tap.result(not r.faults, r.name, [r.said, *r.faults])
    return tap.finish()


if __name__ == "__main__":
    sys.exit(main())
