#!/usr/bin/env python3
"""qfsck viz without expected files: keys and sizes by chance on many images,
a script's mistakes, exported pictures; the image keeps every byte.

These run under the sanitizers, too.
"""
import os
import subprocess
import sys
import tempfile
import time
import xml.dom.minidom

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "screens"))
from screens import Quiet, digest, make, viz                # noqa: E402

CHANCE = ("clean-snapshots", "clean-bitmaps", "clean-extended-l2",
          "clean-zlib", "l2-is-random", "two-writers", "clean-size-0",
          "snapshot-l1-crossing", "clean-terabyte")
STALL = 30      # seconds, for all the keys, also under a sanitizer


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
        good = (run.returncode == 0 and not run.stderr and took < STALL
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
    with tempfile.TemporaryDirectory() as tmp:
        # fontconfig keeps what it has read: that is no leak of ours
        hush = os.path.join(tmp, "hush")
        with open(hush, "w") as file:
            file.write("leak:libfontconfig\n")
        os.environ["LSAN_OPTIONS"] = \
            f"suppressions={hush}:print_suppressions=0"
        images = make(CHANCE, tmp)
        check_chance(tap, images, tmp)
        check_mistakes(tap, images, tmp)
        check_pictures(tap, images, tmp)
    return tap.finish()


if __name__ == "__main__":
    sys.exit(main())
