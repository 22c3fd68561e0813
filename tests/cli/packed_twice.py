#!/usr/bin/env python3
"""Several guest clusters that name one compressed cluster: each gets a copy.

All read what they read before, and no cluster is taken twice for a copy.
"""

import hashlib
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "lib"))

import qimg                                                 # noqa: E402
from tap import Tap                                         # noqa: E402
from tools import own_folder, qfsck_check, qfsck_path, run  # noqa: E402

TWINS = 5


def disk(path):
    qimg.qemu_img("convert", "-O", "raw", path, path + ".raw")
    with open(path + ".raw", "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()


def main():
    tap = Tap()
    own_folder()
    path = os.path.abspath("twins")
    qimg.LAYOUTS["zstd"](path)
    with qimg.Image(path) as image:
        found = image.entries()
        entry = next(e for _, _, e in found if e >> 62 & 1)
        for n in range(TWINS):
            image.put64(found[-1][1] + 8 * (n + 1), entry)
    sound, size = disk(path), os.path.getsize(path)
    status, report, _, _ = qfsck_check(path)
    told = [f for f in report["findings"]
            if f["name"] == "compressed-cluster-shared"]
    tap.result(status == 2 and len(told) == TWINS,
               "each of them is told", [str(told)])
    status, out, _ = run([qfsck_path(), "repair", "-y", path])
    copies = out.count(b"copy the compressed cluster")
    tap.result(status == 0 and copies + out.count(b"more like these") >= 3,
               "the repair gives each a copy", [out.decode()])
    tap.result(os.path.getsize(path) <= size + (TWINS + 1) * 65536,
               "... and takes no cluster twice", [str(os.path.getsize(path))])
    tap.result(disk(path) == sound, "all read what they read before")
    status, report, _, _ = qfsck_check(path)
    tap.result(status == 0, "the image is clean", [report["verdict"]])
    sys.exit(tap.finish())


main()
