#!/usr/bin/env python3
"""Screens of the browser, compared whole.

A case is NAME.script beside this file. Its first line names an image of the
corpus ("# image: CASE"); the script saves screens to standard output, and
all of it must equal NAME.expect. QFSCK_BLESS=1 rewrites that.

Then, without expected files: keys and sizes by chance on many images, a
script's mistakes, exported pictures, and the image that keeps every byte.
"""
import glob
import hashlib
import os
import re
import subprocess
import sys
import tempfile
import time
import xml.dom.minidom

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.join(HERE, "..", "..")
sys.path.insert(0, os.path.join(HERE, "..", "lib"))
from tap import Tap                                         # noqa: E402

QFSCK = os.path.abspath(os.environ.get("QFSCK", os.path.join(ROOT, "qfsck")))
BLESS = os.environ.get("QFSCK_BLESS")
DATE = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d")
CHANCE = ("clean-snapshots", "clean-bitmaps", "clean-extended-l2",
          "clean-zlib", "l2-is-random", "two-writers", "clean-size-0",
          "snapshot-l1-crossing", "clean-terabyte")


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


def check_chance(tap, images, tmp):
    """Keys and sizes by chance: no crash, no stall, no byte changed."""
    for seed, case in enumerate(CHANCE):
        before = digest(images[case])
        script = os.path.join(tmp, "chance")
        with open(script, "w") as file:
            file.write(f"random {seed} 100\nwait\nrandom {seed + 50} 1000\n"
                       f"storm {seed} 200\nsize 80x24\nsave -\n")
        start = time.monotonic()
        run = viz("--script", script, images[case])
        took = time.monotonic() - start
        good = (run.returncode == 0 and not run.stderr
                and len(run.stdout.splitlines()) == 24
                and digest(images[case]) == before)
        tap.result(good, f"1100 keys and 200 sizes by chance on {case}",
                   [f"exit {run.returncode} after {took:.1f} s", run.stderr])


def check_mistakes(tap, images, tmp):
    image = images["clean-snapshots"]
    for text, words in (("size big\n", "no size"),
                        ("key Dwon\n", "there is no key"),
                        ("dance\n", "a line without a meaning"),
                        ("save\n", "no file to save to")):
        script = os.path.join(tmp, "mistake")
        with open(script, "w") as file:
            file.write(text)
        run = viz("--script", script, image)
        tap.result(run.returncode == 1 and words in run.stderr,
                   f"a script that says {text.strip()!r} is refused",
                   [run.stderr])
    run = viz(image, stdin=subprocess.DEVNULL)
    tap.result(run.returncode == 1 and "needs a terminal" in run.stderr
               and not run.stdout, "without a terminal it says what to do",
               [run.stderr])


def check_pictures(tap, images, tmp):
    for case in ("clean-snapshots", "l2-is-random", "clean-size-0"):
        for end in ("svg", "png", "html"):
            out = os.path.join(tmp, f"{case}.{end}")
            run = viz("--export", out, images[case])
            good = run.returncode == 0 and not run.stderr
            data = open(out, "rb").read() if good else b""
            if end == "png":
                good = good and data[:8] == b"\x89PNG\r\n\x1a\n" \
                    and b"IEND" in data[-12:]
            elif end == "svg":
                good = good and xml.dom.minidom.parseString(data)
            else:
                good = good and b"<script" not in data \
                    and data.rstrip().endswith(b"</html>")
            tap.result(good and len(data) < 1_000_000,
                       f"{case} as {end}", [run.stderr, f"{len(data)} bytes"])
    before = digest(images["clean-snapshots"])
    target = os.path.join(tmp, "image.png")
    os.link(images["clean-snapshots"], target)
    run = viz("--export", target, images["clean-snapshots"])
    tap.result(run.returncode == 1 and "not replaced" in run.stderr
               and digest(images["clean-snapshots"]) == before,
               "a picture does not replace an image", [run.stderr])


def main():
    tap = Quiet()
    scripts = glob.glob(os.path.join(HERE, "*.script"))
    with tempfile.TemporaryDirectory() as tmp:
        images = make(sorted({*map(case_of, scripts), *CHANCE}), tmp)
        check_screens(tap, images)
        check_chance(tap, images, tmp)
        check_mistakes(tap, images, tmp)
        check_pictures(tap, images, tmp)
    return tap.finish()


if __name__ == "__main__":
    sys.exit(main())
