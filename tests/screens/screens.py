#!/usr/bin/env python3
"""Screens of the browser, compared whole.

A case is NAME.script beside this file. Its first line names an image of the
corpus ("# image: CASE"); the script saves screens to standard output, and
all of it must equal NAME.expect. QFSCK_BLESS=1 rewrites that.
"""
import glob
import hashlib
import os
import re
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.join(HERE, "..", "..")
sys.path.insert(0, os.path.join(HERE, "..", "lib"))
from tap import Tap                                         # noqa: E402

QFSCK = os.path.abspath(os.environ.get("QFSCK", os.path.join(ROOT, "qfsck")))
BLESS = os.environ.get("QFSCK_BLESS")
DATE = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d")


def viz(*args, **options):
    env = dict(os.environ, LC_ALL="C.UTF-8")
    env.update(options.pop("env", {}))
    return subprocess.run([QFSCK, "viz", *args], capture_output=True,
                          text=True, timeout=300, env=env, **options)


class Quiet(Tap):
    """Says more only of what failed."""

    def result(self, good, name, detail=()):
        super().result(good, name, () if good else detail)


def digest(path):
    with open(path, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()


def make(cases, into):
    """The corpus' images, at INTO/CASE/image.qcow2."""
    subprocess.run([os.path.join(ROOT, "tests/corpus.py"), "--make", into,
                    *cases], check=True, capture_output=True)
    return {c: os.path.join(into, c, "image.qcow2") for c in cases}


def first_difference(got, want):
    got, want = got.splitlines(), want.splitlines()
    for n, (a, b) in enumerate(zip(got + [None], want + [None]), 1):
        if a != b:
            return [f"line {n}:", f"  expected {b!r}", f"  got      {a!r}"]
    return ["the lengths differ"]


def case_of(script):
    with open(script, encoding="utf-8") as file:
        return re.match(r"# image: (\S+)", file.readline())[1]


def check_screens(tap, images):
    for script in sorted(glob.glob(os.path.join(HERE, "*.script"))):
        name = os.path.basename(script).removesuffix(".script")
        image = images[case_of(script)]
        run = viz("--script", script, *(["--ascii"] if "ascii" in name
                                        else []), "image.qcow2",
                  cwd=os.path.dirname(image))
        got = DATE.sub("(date and time)", run.stdout)
        expect = script.removesuffix(".script") + ".expect"
        if BLESS:
            with open(expect, "w", encoding="utf-8") as file:
                file.write(got)
        with open(expect, encoding="utf-8") as file:
            want = file.read()
        good = run.returncode == 0 and not run.stderr and got == want
        tap.result(good, f"screens of {name}",
                   [f"exit {run.returncode}", run.stderr,
                    *first_difference(got, want)])


def main():
    tap = Quiet()
    scripts = glob.glob(os.path.join(HERE, "*.script"))
    with tempfile.TemporaryDirectory() as tmp:
        check_screens(tap, make(sorted(set(map(case_of, scripts))), tmp))
    return tap.finish()


if __name__ == "__main__":
    sys.exit(main())
