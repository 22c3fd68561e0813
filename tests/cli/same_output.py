#!/usr/bin/env python3
"""The report of every damaged image of the corpus is the same, byte for byte,
however many threads look at it and however little memory they may take."""
import concurrent.futures
import os
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "lib"))
from tap import Tap  # noqa: E402

ROOT = os.path.join(HERE, "..", "..")
QFSCK = os.environ.get("QFSCK") or os.path.abspath(os.path.join(ROOT, "qfsck"))
CORPUS = os.path.join(ROOT, "corpus")
OUTPUTS = ("--output=json",), ()
# 1M is the least that may be asked for: several windows where the file is long
OTHERS = (("--jobs=2",), ("--jobs=8",), ("--max-memory=16M", "--jobs=2"),
          ("--max-memory=1M", "--jobs=8"))


def read(case, name):
    try:
        with open(os.path.join(CORPUS, case, name)) as file:
            return file.read()
    except FileNotFoundError:
        return ""


def check(folder, *argv):
    out = subprocess.run([QFSCK, "check", *argv, "image.qcow2"], cwd=folder,
                         stdin=subprocess.DEVNULL, capture_output=True)
    return out.returncode, out.stdout, out.stderr


def first_difference(a, b):
    for x, y in zip(a[1].splitlines(), b[1].splitlines()):
        if x != y:
            return [repr(x), repr(y)]
    return [f"exit codes {a[0]} and {b[0]}",
            f"{len(a[1])} and {len(b[1])} bytes", repr(b[2][-200:])]


def judge(folder, case):
    """The first difference, or nothing."""
    options = read(case, "options").split()
    for output in OUTPUTS:
        want = check(folder, "--jobs=1", *output, *options)
        for other in OTHERS:
            have = check(folder, *other, *output, *options)
            if have != want:
                return [" ".join((*other, *output)),
                        *first_difference(want, have)]
    return []


def main():
    tap = Tap()
    with tempfile.TemporaryDirectory(dir="/dev/shm") as tmp:
        subprocess.run([sys.executable, os.path.join(ROOT, "tests/corpus.py"),
                        "--make", tmp], check=True, capture_output=True)
        cases = [case for case in sorted(os.listdir(tmp))
                 if read(case, "verdict").strip() != "clean"]
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            found = pool.map(
                lambda case: judge(os.path.join(tmp, case), case), cases)
            for case, lines in zip(cases, found):
                tap.result(not lines, f"{case}: the same report", lines)
    return tap.finish()


if __name__ == "__main__":
    sys.exit(main())
