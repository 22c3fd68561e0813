#!/usr/bin/env python3
"""Full L2 tables of a full disk that were erased: lost, and never leaks.

An image that was copied has its tables and their data in order; whole tables
in its midst are zeroed, one to four at once. What a killed writer leaves lies
at the file's end.
"""

import os
import random
import shutil
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "lib"))

import qimg                                                 # noqa: E402
from tap import Tap                                         # noqa: E402

MB = 1 << 20
SPAN = 2 * MB           # what a table of 4 KiB clusters maps
TABLES = 60
LAST = 16               # tables whose leaks lie at the file's end


def make(folder):
    raw, path = os.path.join(folder, "raw"), os.path.join(folder, "image")
    rng = random.Random(1)
    with open(raw, "wb") as file:
        for _ in range(TABLES):
            file.write(rng.randbytes(SPAN))
    qimg.qemu_img("convert", "-f", "raw", "-O", "qcow2", "-o",
                  "cluster_size=4096", raw, path)
    os.remove(raw)
    return path


def faults_of(sound, erased):
    path = sound + ".hurt"
    shutil.copy(sound, path)
    with qimg.Image(path) as image:
        for i in erased:
            image.write(image.l2_offset(i), bytes(image.cluster))
    status, report, _, _ = qimg.qfsck_check(path)
    os.remove(path)
    lost = [(r["guest-offset"], r["guest-offset"] + r["length"])
            for r in report["lost"]]
    faults = ["table %d is not told" % i for i in erased
              if not any(a <= i * SPAN and (i + 1) * SPAN <= b
                         for a, b in lost)]
    if status != 2:
        faults.append("exit %s, %s" % (status, report["verdict"]))
    return faults


def main():
    tap = Tap()
    rng = random.Random(2)
    with tempfile.TemporaryDirectory(prefix="qfsck-full.") as folder:
        sound = make(folder)
        for n in (1, 2, 2, 3, 3, 3, 4, 4, 4, 4, 8, 12):
            erased = sorted(rng.sample(range(TABLES - LAST), n))
            faults = faults_of(sound, erased)
            tap.result(not faults, "tables %s" % erased, faults)
    return tap.finish()


if __name__ == "__main__":
    sys.exit(main())
