#!/usr/bin/env python3
"""Compares `qfsck check` with `qemu-img check` over seeded damage.

Some hundreds of images are made with the real tools over all structures of
the format, most of them are damaged by seeded edits, and both programs judge
each.  A difference in the verdict or in the numbers is a failure, unless a
rule in differential.rules names it and says why ours is the truth.

    --slice       every layout clean, every damage once (a few minutes)
    --count N     N damaged images (default 600), after the clean ones
    --seed S      other damage; the default is 1
    --only NAME   only cases whose name holds NAME
    --keep DIR    leave the images of failed cases there
    --qemu-only   show what qemu-img says and compare nothing
    --list        print the names of the cases and make nothing
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

import qimg                                                 # noqa: E402
import rules as ruleset                                     # noqa: E402
from tap import Tap                                         # noqa: E402

# Damage by the first word of its name -> layouts that hold the structure.
HOLDERS = {"snap": "snap", "bm": "bitmap", "zip": "z", "luks": "luks",
           "extl2": "extl2", "ext": ""}
FIGURES = ("image-end-offset", "total-clusters", "allocated-clusters",
           "fragmented-clusters", "compressed-clusters")
MILD = ("note",)
STAGED = "staged"       # damage by its real cause, not by an edit


class Case:
    def __init__(self, layout, damage="", turn=0):
        self.layout, self.damage, self.turn = layout, damage, turn
        self.name = layout if not damage else \
            "%s~%s~%d" % (layout, damage, turn)
        self.said = ""
        self.edited = damage not in ("", STAGED)


class Verdict:
    """What one program said of one image."""

    def __init__(self, status, report, errors, raw=b""):
        self.status, self.errors, self.raw = status, errors, raw
        self.verdict = qimg.CLASSES.get(status, "status %s" % status)
        self.report = report or {}
        self.corruptions = self.report.get("corruptions", 0)
        self.leaks = self.report.get("leaks", 0)
        self.check_errors = self.report.get("check-errors", 0)
        self.findings = self.report.get("findings", [])
        self.names = [f["name"] for f in self.findings]

    def numbers(self):
        return (self.corruptions, self.leaks, self.check_errors)

    def text(self):
        return "%s corruptions=%d leaks=%d check-errors=%d" % (
            (self.verdict,) + self.numbers())


# -- which cases -------------------------------------------------------

def holders(damage):
    """The layouts worth trying for this kind of damage."""
    kind = damage.split("-")[0]
    part = HOLDERS.get(kind, "")
    if "bitmap" in damage or damage == "hdr-autoclear-no-bitmaps":
        part = "bitmap"
    if damage.startswith(("fill-snap", "hdr-snap")):
        part = "snap"
    if damage.startswith("hdr-backing"):
        part = "backing"
    if damage == "ext-crypto-length" or damage == "ext-crypto-unknown":
        part = "luks"
    if damage.startswith("ext-data"):
        part = "datafile"
    if damage.startswith("ext-backing"):
        part = "backing"
    if kind == "zip":
        return [n for n in qimg.LAYOUTS if n.startswith(("zlib", "zstd"))]
    return [n for n in qimg.LAYOUTS if part in n]


def plan(seed, count):
    """COUNT damaged cases: every damage in turn, on seeded layouts."""
    cases, turn = [], 0
    names = sorted(qimg.DAMAGES)
    while len(cases) < count:
        turn += 1
        for damage in names:
            rng = qimg.rng_of(seed, damage, turn)
            cases.append(Case(rng.choice(holders(damage)), damage, turn))
    return cases[:count]


# -- one case ----------------------------------------------------------

class Bench:
    """The work folder: sound images, made once, and copies to damage."""

    def __init__(self, args):
        self.args = args
        where = os.environ.get("TMPDIR") or \
            ("/dev/shm" if os.path.isdir("/dev/shm") else None)
        self.dir = tempfile.mkdtemp(prefix="qfsck-diff.", dir=where)
        self.rules = ruleset.load(os.path.join(HERE, "differential.rules"))
        self.used = set()

    def close(self):
        shutil.rmtree(self.dir, ignore_errors=True)

    def sound(self, layout):
        return os.path.join(self.dir, layout)

    def make(self, layout):
        if not os.path.exists(self.sound(layout)):
            maker = qimg.LAYOUTS.get(layout) or qimg.STAGES[layout]
            maker(self.sound(layout))

    def damaged(self, case):
        """Path of a damaged copy, or None when the damage does not apply."""
        source = self.sound(case.layout)
        path = os.path.join(self.dir, case.name)
        subprocess.run(["cp", "--sparse=auto", source, path], check=True)
        rng = qimg.rng_of(self.args.seed, case.name)
        with qimg.Image(path) as image:
            case.said = qimg.DAMAGES[case.damage](image, rng)
        if case.said is None:
            os.remove(path)
            return None
        return path

    def judge(self, case):
        """(case, good, lines, path) of one case, or None when void."""
        if case.edited:
            path = self.damaged(case)
            if not path:
                return None
        else:
            path = self.sound(case.layout)
        try:
            good, lines = self.compare(case, path)
            if not good and self.args.keep:
                shutil.copy(path, self.args.keep)
        finally:
            if case.edited:
                os.remove(path)
        return case, good, lines

    def compare(self, case, path):
        encrypted = case.layout.startswith("luks")
        qemu = Verdict(*qimg.qemu_check(path, encrypted))
        if self.args.qemu_only:
            return True, [case.said, "qemu: %s; %s" % (
                qemu.text(), qimg.last_line(qemu.errors))]
        ours = Verdict(*qimg.qfsck_check(path))
        faults = self.faults(case, path, qemu, ours)
        if not faults:
            return True, []
        lines = [case.said] if case.said else []
        lines += ["qemu: %s; %s" % (qemu.text(), qimg.last_line(qemu.errors)),
                  "ours: %s; %s" % (ours.text(), " ".join(ours.names[:12])),
                  *faults]
        return False, lines

    def faults(self, case, path, qemu, ours):
        faults = broken(ours)
        if not faults and differ(qemu, ours):
            rule = ruleset.find(self.rules, case, qemu, ours) \
                if case.damage else None
            if rule:
                self.used.add(rule["rule"])
            else:
                faults.append("a difference that no rule explains")
        if not case.damage:
            faults += clean_faults(qemu, ours)
        if sum(map(ord, case.name)) % 8 == 0:
            faults += jobs_faults(path)
        return faults


def broken(ours):
    """What no verdict may look like."""
    if "Sanitizer" in ours.errors or "runtime error" in ours.errors:
        return ["a sanitizer stopped qfsck: " + qimg.last_line(
            ours.errors.split("SUMMARY")[-1].split("\n")[0])]
    if ours.status not in qimg.CLASSES:
        return ["qfsck ended with %s: %s" % (
            ours.status, qimg.last_line(ours.errors))]
    if ours.status in (0, 2, 3) and "verdict" not in ours.report:
        return ["qfsck printed no JSON report"]
    said = ours.report.get("verdict")
    if said and said != ours.verdict and ours.status != 63:
        return ["the report says %s, the exit code %s" % (said, ours.status)]
    return []


def differ(qemu, ours):
    if qemu.verdict != ours.verdict:
        return True
    if qemu.verdict in ("unchecked", "foreign"):
        return False
    return qemu.numbers() != ours.numbers()


def clean_faults(qemu, ours):
    faults = []
    for key in FIGURES:
        one, two = qemu.report.get(key, 0), ours.report.get(key, 0)
        if one != two:
            faults.append("%s: qemu %s, ours %s" % (key, one, two))
    for finding in ours.findings:
        if finding["severity"] not in MILD:
            faults.append("false alarm: %(name)s (%(severity)s): %(message)s"
                          % finding)
    return faults


def jobs_faults(path):
    one = qimg.qfsck_check(path, "--jobs", "1")
    two = qimg.qfsck_check(path, "--jobs", "2")
    if one[0] != two[0] or one[3] != two[3]:
        return ["--jobs 1 and --jobs 2 print different bytes"]
    return []


# -- all cases ---------------------------------------------------------

def arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--slice", action="store_true")
    parser.add_argument("--count", type=int, default=600)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", default="")
    parser.add_argument("--keep")
    parser.add_argument("--qemu-only", action="store_true")
    parser.add_argument("--list", action="store_true")
    args = parser.parse_args()
    if args.slice:
        args.count = len(qimg.DAMAGES)
    if args.keep:
        os.makedirs(args.keep, exist_ok=True)
    return args


def cases_of(args):
    cases = [Case(layout) for layout in qimg.LAYOUTS]
    cases += [Case(stage, STAGED, 1) for stage in qimg.STAGES]
    cases += plan(args.seed, args.count)
    return [c for c in cases if args.only in c.name]


def run(args, bench, cases, tap):
    void = 0
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(bench.make, sorted({c.layout for c in cases})))
        for done in pool.map(bench.judge, cases):
            if done is None:
                void += 1
                continue
            case, good, lines = done
            tap.result(good, case.name, lines)
    print("# %d damaged cases did not apply to their layout" % void)
    print("# rules used: %s" % " ".join(sorted(bench.used)))


def main():
    args = arguments()
    cases = cases_of(args)
    if args.list:
        print("\n".join(c.name for c in cases))
        return 0
    if not args.qemu_only and not os.access(qimg.qfsck_path(), os.X_OK):
        print("1..0 # SKIP no qfsck at " + qimg.qfsck_path())
        return 1
    tap = Tap()
    bench = Bench(args)
    try:
        run(args, bench, cases, tap)
    finally:
        bench.close()
    return tap.finish()


if __name__ == "__main__":
    sys.exit(main())
