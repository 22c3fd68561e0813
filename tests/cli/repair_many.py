#!/usr/bin/env python3
"""repair -n over many images and folders: the plan of each, and the totals;
nothing is written, and nothing but -n takes more than one."""
import json
import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
import running  # noqa: E402
import qimg  # noqa: E402
from tap import Tap  # noqa: E402

QFSCK = qimg.qfsck_path()
NAMES = ["pool/clean", "pool/leaks", "pool/deep/bad"]
tap = Tap()


def repair(*argv):
    return subprocess.run([QFSCK, "repair", *argv], capture_output=True,
                          timeout=60, stdin=subprocess.DEVNULL, text=True,
                          env=qimg.environment())


def shown(done):
    return (done.stdout + done.stderr).splitlines()


def make_pool():
    os.makedirs("pool/deep")
    for name in NAMES:
        qimg.build(os.path.abspath(name), "64M", ["write 0 1M"])
    with qimg.Image("pool/leaks") as image:
        end = image.clusters()
        image.truncate((end + 1) * image.cluster)
        image.set_refcount(end, 1)
    with qimg.Image("pool/deep/bad") as image:
        image.set_refcount(7, 0)


def contents():
    found = {}
    for folder, _, names in os.walk("."):
        for name in names:
            with open(os.path.join(folder, name), "rb") as file:
                found[os.path.join(folder, name)] = file.read()
    return found


def plans():
    one = [repair("-n", n) for n in NAMES]
    done = repair("-n", *NAMES)
    tap.result(done.returncode == 2 and done.stdout ==
               "".join(d.stdout for d in one) +
               "3 images: 1 clean, 1 with leaks, 1 corrupt\n",
               "the plan of each, and the totals", shown(done))
    done = repair("-n", "pool")
    tap.result(done.returncode == 3 and "pool/leaks" in done.stdout
               and "2 images: 1 clean, 1 with leaks" in done.stdout,
               "of a folder's images as well", shown(done))
    done = repair("-n", "-R", "--output=json", "pool")
    lines = [json.loads(l) for l in done.stdout.splitlines()]
    tap.result([l["filename"] for l in lines] ==
               ["pool/clean", "pool/deep/bad", "pool/leaks"] and
               [l["verdict-after"] for l in lines] == ["clean"] * 3 and
               done.returncode == 2, "-R looks below; JSON has a line each",
               shown(done))


def refused():
    for argv in (["-y"], ["-p"], [], ["-n", "--undo=u"],
                 ["-n", "--output-image=o"], ["-n", "--choose=1=2"]):
        done = repair(*argv, *NAMES)
        tap.result(done.returncode == 1 and not done.stdout and done.stderr,
                   f"{' '.join(argv)} takes one image", shown(done))
    done = repair("-y", "-R", "pool")
    tap.result(done.returncode == 1 and done.stderr, "-R is for -n",
               shown(done))


def in_use():
    with running.writer("pool/clean"):
        done = repair("-n", "pool")
    tap.result(done.returncode == 3 and "1 with leaks, 1 in use" in done.stdout
               and "process" in done.stderr, "one in use is told, and counted",
               shown(done))


qimg.own_folder()
make_pool()
before = contents()
plans()
refused()
in_use()
tap.result(contents() == before, "not a byte is written, nor a file made")
sys.exit(tap.finish())
