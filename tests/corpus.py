#!/usr/bin/env python3
"""Checks every image of the corpus and compares the whole report.

A case is a folder in corpus/:

    recipe           makes the image at the path in $1 (files beside it may be
                     made too), or
    image.qcow2.gz   the image itself, where it cannot be made again
    origin           what is damaged, how, what is true, what qemu-img says
    verdict          clean|leaks|corrupt|unchecked|foreign: thought out from
                     the format; no program writes this file
    options          further options of `qfsck check`, if any
    later            why the verdict is not reached yet: the case is skipped
                     until it is, and fails when this file is there in vain
    expect.1         the report in JSON, file names and dates made neutral

The exit code must be the verdict's, the image must keep every byte, the
check must take little memory, and the report must be expect.1.

    --bless          rewrite expect.1 (never verdict); QFSCK_BLESS=1 does too
    --qemu           print what qemu-img check says of each case instead
    --make DIR       only make the images, into DIR/CASE/
    NAME...          only cases whose name holds a NAME
"""

import argparse
import concurrent.futures
import gzip
import hashlib
import json
import os
import shutil
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
CORPUS = os.path.join(HERE, "..", "corpus")
sys.path.insert(0, os.path.join(HERE, "lib"))

from tap import Tap                                         # noqa: E402
import tools                                                # noqa: E402

CODES = {verdict: code for code, verdict in tools.CLASSES.items()}
IMAGE = "image.qcow2"
MEMORY = 64 * 1024      # KiB, beside what the image's size justifies


class Case:
    def __init__(self, name):
        self.name = name
        self.dir = os.path.abspath(os.path.join(CORPUS, name))

    def path(self, name):
        return os.path.join(self.dir, name)

    def text(self, name):
        try:
            with open(self.path(name)) as file:
                return file.read()
        except FileNotFoundError:
            return ""

    def make(self, folder):
        """Makes the image in FOLDER; its path."""
        image = os.path.join(folder, IMAGE)
        if os.path.exists(self.path("image.qcow2.gz")):
            with gzip.open(self.path("image.qcow2.gz")) as packed, \
                    open(image, "wb") as file:
                shutil.copyfileobj(packed, file)
        else:
            tools.must([self.path("recipe"), image], timeout=60)
        return image


def digest(folder):
    """A hash over the names and bytes of all files in FOLDER."""
    total = hashlib.sha256()
    for name in sorted(os.listdir(folder)):
        with open(os.path.join(folder, name), "rb") as file:
            total.update(name.encode() + b"\0")
            total.update(hashlib.file_digest(file, "sha256").digest()
                         if hasattr(hashlib, "file_digest")
                         else hashlib.sha256(file.read()).digest())
    return total.hexdigest()


# -- the report, made neutral ------------------------------------------

def neutral(value, folder, key=""):
    """VALUE without the names and times of this run."""
    if isinstance(value, dict):
        return {k: neutral(v, folder, k) for k, v in value.items()}
    if isinstance(value, list):
        return [neutral(v, folder, key) for v in value]
    if key in ("date", "date-sec", "date-nsec", "seconds"):
        return 0
    if isinstance(value, str):
        return value.replace(folder + "/", "").replace(
            os.path.realpath(folder) + "/", "")
    return value


def rendered(out, errors, folder):
    """The report as it stands in expect.1; without one, what was said."""
    text = out.decode(errors="replace")
    try:
        report = json.loads(text)
    except ValueError:
        report = {"stdout": text, "stderr": errors.splitlines()}
    return json.dumps(neutral(report, folder), indent=2,
                      ensure_ascii=False) + "\n"


def first_difference(want, have):
    want, have = want.splitlines(), have.splitlines()
    for n in range(max(len(want), len(have))):
        a = want[n] if n < len(want) else "(end)"
        b = have[n] if n < len(have) else "(end)"
        if a != b:
            return ["expect.1 line %d: %s" % (n + 1, a),
                    "the report now: %s" % b]
    return []


# -- one case ----------------------------------------------------------

def judge(case, args):
    """(case, good, lines); good None stands for skipped."""
    with tempfile.TemporaryDirectory(prefix="qfsck-corpus.",
                                     dir=args.work) as folder:
        try:
            image = case.make(folder)
        except (tools.Refused, OSError) as why:
            return case, False, ["cannot be made: %s" % why]
        if args.qemu:
            return case, True, [said_by_qemu(case, image)]
        before = digest(folder)
        options = case.text("options").split()
        status, _, errors, out = tools.qfsck_check(image, *options)
        lines = verdict_faults(case, status, errors)
        later = case.text("later").strip()
        if later and lines:
            return case, None, [later]
        if later and not lines:
            lines.append("the verdict is reached: remove the file `later`")
        lines += memory_faults(image, options)
        if digest(folder) != before:
            lines.append("the check changed a file")
        lines += report_faults(case, rendered(out, errors, folder),
                               args.bless and not lines)
        return case, not lines, lines


def said_by_qemu(case, image):
    status, report, errors = tools.qemu_check(image, "luks" in case.name)
    report = report or {}
    return "qemu: exit %s, corruptions %d, leaks %d; %s" % (
        status, report.get("corruptions", 0), report.get("leaks", 0),
        tools.last_line(errors))


def verdict_faults(case, status, errors):
    verdict = case.text("verdict").strip()
    if verdict not in CODES:
        return ["no verdict, or an unknown one: '%s'" % verdict]
    if "wrong use" in errors:
        return ["qfsck does not know the options"]
    if status != CODES[verdict]:
        return ["the verdict is %s (exit %d), qfsck says %s: %s" % (
            verdict, CODES[verdict], status, tools.last_line(errors))]
    return []


def memory_faults(image, options):
    """No size stated in a file makes the check take memory for it."""
    program = tools.qfsck_path()
    if tools.sanitized(program):
        return []
    used = tools.peak_memory([program, "check", "-q", *options, IMAGE],
                             os.path.dirname(image))
    most = MEMORY + 2 * os.path.getsize(image) // 1024
    return ["%d KiB of memory, %d at the most" % (used, most)] \
        if used > most else []


def report_faults(case, have, bless):
    want = case.text("expect.1")
    if want == have:
        return []
    if bless:
        with open(case.path("expect.1"), "w") as file:
            file.write(have)
        return []
    return first_difference(want, have) if want else ["no expect.1"]


# -- all cases ---------------------------------------------------------

def arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--bless", action="store_true",
                        default=os.environ.get("QFSCK_BLESS") == "1")
    parser.add_argument("--qemu", action="store_true")
    parser.add_argument("--make", metavar="DIR")
    parser.add_argument("names", nargs="*")
    args = parser.parse_args()
    args.work = os.environ.get("TMPDIR") or \
        ("/dev/shm" if os.path.isdir("/dev/shm") else None)
    return args


def cases(names):
    found = sorted(n for n in os.listdir(CORPUS)
                   if os.path.exists(os.path.join(CORPUS, n, "origin")))
    return [Case(n) for n in found
            if not names or any(part in n for part in names)]


def make_all(args):
    for case in cases(args.names):
        folder = os.path.join(args.make, case.name)
        os.makedirs(folder, exist_ok=True)
        case.make(os.path.abspath(folder))
    return 0


def main():
    args = arguments()
    if args.make:
        return make_all(args)
    if not args.qemu and not os.access(tools.qfsck_path(), os.X_OK):
        print("1..0 # SKIP no qfsck at " + tools.qfsck_path())
        return 1
    tap = Tap()
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for case, good, lines in pool.map(lambda c: judge(c, args),
                                          cases(args.names)):
            if good is None:
                tap.skip(case.name, lines[0])
            else:
                tap.result(good, case.name, lines)
    return tap.finish()


if __name__ == "__main__":
    sys.exit(main())
