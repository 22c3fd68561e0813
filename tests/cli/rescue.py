#!/usr/bin/env python3
"""What has no place in the image is got out, or given one by the user's word.

extract --orphans writes each run of clusters without an owner to a file,
extract --table shows the disk as a table without a name has it, repair --place
gives that table an L1 entry. The image keeps every byte until then.
"""

import os
import shutil
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "lib"))

import oracle                                               # noqa: E402
import qimg                                                 # noqa: E402
import tools                                                # noqa: E402
from tap import Tap                                         # noqa: E402

CLUSTER, SPAN = 4096, 2 << 20
IMAGE = "image.qcow2"


def qfsck(*args):
    return tools.run([tools.qfsck_path(), *map(str, args)], timeout=60)


class Case:
    """An image whose L1 entry 1 was erased; where its table stands."""

    def __init__(self, folder):
        self.folder, self.path = folder, os.path.join(folder, IMAGE)
        qimg.build(self.path, "8M", ["write -P 1 0 64k", "write -P 2 2M 32k"],
                   cluster_size=CLUSTER)
        self.sound = oracle.guest(self.path)
        with qimg.Image(self.path) as image:
            self.table = image.l2_offset(1)
            image.put64(image.l1_pos(1), 0)
        self.bytes = self.read(IMAGE)

    def at(self, name):
        return os.path.join(self.folder, name)

    def read(self, name):
        with open(self.at(name), "rb") as file:
            return file.read()


def orphans(case):
    out = case.at("out")
    status, said, err = qfsck("extract", "--orphans", out, "--output=json",
                              case.path)
    runs = tools.parse(said)["orphans"]
    notes = [] if status == 0 else ["exit %s: %s" % (status, err)]
    if [(r["host-offset"], r["length"]) for r in runs] != [
            (case.table, 9 * CLUSTER)]:
        notes.append("runs: %s" % runs)
    for run in runs:
        at, length = run["host-offset"], run["length"]
        if case.read(os.path.join("out", run["file"])) != \
                case.bytes[at:at + length]:
            notes.append("%s differs" % run["file"])
    marks = [line.split() for line in case.read("out/orphans.map").decode()
             .splitlines() if not line.startswith("#")][1:]
    got = sum(int(size, 16) for _, size, mark in marks if mark == "+")
    if got != 9 * CLUSTER or sum(int(m[1], 16) for m in marks) != \
            len(case.bytes):
        notes.append("map: %s" % marks)
    status, _, err = qfsck("extract", "--orphans", out, case.path)
    if status != 1 or b"nothing is overwritten" not in err:
        notes.append("into a folder that is there: %s %s" % (status, err))
    return notes


def table(case):
    status, _, err = qfsck("extract", "--table", hex(case.table), "--at",
                           SPAN + 5000, case.path, case.at("raw"))
    notes = [] if status == 0 else ["exit %s: %s" % (status, err)]
    with open(case.at("raw"), "rb") as file:
        if oracle.sectors_that_differ(case.sound, oracle.View(file.read())):
            notes.append("the disk is not as it was")
    for host, guest in ((case.table + 512, 0), (1 << 40, 0),
                        (case.table, 8 << 20)):
        status, _, err = qfsck("extract", "--table", host, "--at", guest,
                               case.path, case.at("no"))
        if status != 1 or os.path.exists(case.at("no")):
            notes.append("%#x at %#x: exit %s" % (host, guest, status))
    return notes


def place(case):
    status, _, err = qfsck("repair", "-y", "--place=%#x:1" % case.table,
                           case.path)
    notes = [] if status == 0 else ["exit %s: %s" % (status, err)]
    if oracle.sectors_that_differ(case.sound, oracle.guest(case.path)):
        notes.append("the disk is not as it was")
    status, _, err = qfsck("undo", case.path + ".qfsck-undo", case.path)
    if status or case.read(IMAGE) != case.bytes:
        notes.append("undo: %s %s" % (status, err))
    with qimg.Image(case.path) as image:
        taken = image.l2_offset(0)
    for word in ("%#x:1" % taken, "%#x:4" % case.table, "%#x:1" % (1 << 40),
                 "5", "5:", "-5:1"):
        status, _, _ = qfsck("repair", "-y", "--place=" + word, case.path)
        if status != 1:
            notes.append("--place=%s: exit %s" % (word, status))
    return notes


def main():
    tap = Tap()
    for test in (orphans, table, place):
        folder = tempfile.mkdtemp(prefix="qfsck-rescue.")
        case = Case(folder)
        notes = test(case)
        if case.read(IMAGE) != case.bytes:
            notes.append("the image was changed")
        shutil.rmtree(folder)
        tap.result(not notes, test.__name__, notes)
    return tap.finish()


if __name__ == "__main__":
    sys.exit(main())
