#!/usr/bin/env python3
"""Where a library that few commands need is missing, the others work.

A missing one is put in the way of the loader as an empty file.
"""
import os
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "lib"))
import qimg  # noqa: E402
from tap import Tap  # noqa: E402

QFSCK = qimg.qfsck_path()
LATE = ("libcairo.so.2", "libmagic.so.1", "libcrypto.so.3",
        "libcrypto.so.1.1")
IMG = "a.qcow2"


def run(*argv):
    env = {**os.environ, "LD_LIBRARY_PATH": os.path.abspath("none")}
    done = subprocess.run([QFSCK, *argv], capture_output=True, env=env,
                          check=False, timeout=60)
    return done.returncode, done.stdout, done.stderr


def refused(tap, library, *argv):
    """Fails with the library's name, and makes no file."""
    status, _, err = run(*argv)
    tap.result(status == 1 and library in err.decode() and
               not os.path.exists("out.svg"),
               f"{argv[0]}: {library} is named", [str(status), err.decode()])


def main():
    tap = Tap()
    qimg.own_folder()
    os.mkdir("none")
    for name in LATE:
        open(os.path.join("none", name), "w").close()
    qimg.build(os.path.abspath(IMG), "8M", ["write -P 1 0 1M"])
    status, out, _ = run("check", IMG)
    tap.result(status == 0 and b"clean" in out, "check needs none of them",
               [str(status)])
    with open("other", "wb") as f:
        f.write(b"KDMV\1\0\0\0".ljust(65536, b"\0"))
    status, _, err = run("check", "other")
    tap.result(status == 63, "another format is told without libmagic",
               [str(status), err.decode()])
    refused(tap, "libcairo", "viz", "--export", "out.svg", IMG)
    refused(tap, "libcrypto", "extract", "--hash", IMG, "out.svg")
    status, _, err = run("extract", IMG, "plain")
    tap.result(status == 0, "extract without --hash needs none",
               [str(status), err.decode()])
    return tap.finish()


if __name__ == "__main__":
    sys.exit(main())
