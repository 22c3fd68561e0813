#!/usr/bin/env python3
"""Parts of the file that stand in each other's place.

Two clusters have each other's bytes, or fields of the header do, or those from
one on have moved by a place. Where all of the image agrees with them put back,
and in no other way, the repair does so, and every state of the disk reads as
it did. Where the answer is open, or it would not be enough, nothing is changed
that read right, and a second repair does nothing.
"""

import os
import struct
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "lib"))

import oracle                                               # noqa: E402
import qimg                                                 # noqa: E402
import tools                                                # noqa: E402
from tap import Tap                                         # noqa: E402

WIDE = (8, 24, 40, 48, 64, 72, 80, 88)


def read(path):
    with open(path, "rb") as file:
        return bytearray(file.read())


def write(path, data):
    with open(path, "wb") as file:
        file.write(data)


PLAIN = ["write -P 1 0 64k", "write -P 2 3M 64k"]
SNAPPED = PLAIN + [("snap", "one"), "write -P 3 0 16k"]


def places(path):
    """Where each kind of structure stands."""
    with qimg.Image(path) as image:
        table = image.l2_offset(0)
        found = {"l1": image.l1_offset, "l2": table,
                 "reftable": image.reftable_offset(),
                 "refblock": image.reftable()[0],
                 "data": image.u64(table) & qimg.OFFSET_MASK}
        if image.nb_snapshots:
            found["snapshots"] = image.get("snapshots_offset")
            found["snapshot's l1"] = image.u64(image.snapshots()[0])
        return found


def exchange(data, a, b, length):
    data[a:a + length], data[b:b + length] = \
        data[b:b + length], data[a:a + length]


def shift(data, start, up):
    at = [p for p in WIDE if p >= start]
    words = [data[p:p + 8] for p in at]
    words = [bytes(8)] + words[:-1] if up else words[1:] + [bytes(8)]
    for place, word in zip(at, words):
        data[place:place + 8] = word


def check(path):
    status, out, _ = tools.run([tools.qfsck_path(), "check", "--output=json",
                                path])
    return status, tools.parse(out)


def findings(report):
    return [f["name"] for f in report["findings"]]


def mended(on):
    """The faults of one image that -y makes whole."""
    faults = []
    status, report = check(on.path)
    if status != 2 or "changed-places" not in findings(report):
        faults.append("check: %s, %s" % (status, findings(report)))
    asked = [q for q in report.get("questions", ())
             if q["kind"] == "changed-places"]
    if [q["verdict"] for q in asked] != ["likely"]:
        faults.append("asked: %s" % asked)
    if not report.get("lost"):
        faults.append("nothing is called lost")
    status, _ = oracle.repair(on.path, "-y")
    if status:
        return faults + ["repair: %s" % status]
    for state, was in zip(on.states, on.sound):
        bad = oracle.sectors_that_differ(was, oracle.guest(on.path, state))
        if bad:
            faults.append("%s: %d sectors are wrong" % (state, len(bad)))
    return faults


def kept(on):
    """The faults of one that a repair must leave as it is."""
    path, before = on.path, read(on.path)
    status, report = check(path)
    faults = [] if status == 2 and "changed-places" in findings(report) else \
        ["check: %s, %s" % (status, findings(report))]
    if [q["verdict"] for q in report["questions"]][:1] != ["open"]:
        faults.append("asked: %s" % report["questions"][:1])
    if not report.get("lost"):
        faults.append("nothing is called lost")
    oracle.repair(path, "-y")
    if read(path) != before:
        faults.append("the repair changed it")
    return faults


def calm(on):
    """Those of one that is damaged in another way."""
    _, report = check(on.path)
    return ["it is called exchanged"] if \
        "changed-places" in findings(report) else []


class Ground:
    """A sound image, to be damaged again and again."""

    def __init__(self, tap, folder, steps):
        self.tap, self.folder = tap, folder
        self.path = os.path.join(folder, "image")
        qimg.build(self.path, "4M", steps, cluster_size=4096)
        self.states = [None] + [s[1] for s in steps if s[0] == "snap"]
        self.sound = [oracle.guest(self.path, s) for s in self.states]
        self.data, self.at = read(self.path), places(self.path)

    def case(self, name, judge, damage):
        changed = bytearray(self.data)
        damage(changed)
        for beside in os.listdir(self.folder):
            os.remove(os.path.join(self.folder, beside))
        write(self.path, changed)
        faults = judge(self)
        self.tap.result(not faults, name, faults)

    def pair(self, a, b):
        self.case("%s and %s have changed places" % (a, b), mended,
                  lambda d: exchange(d, self.at[a], self.at[b], 4096))

    def table(self, name, judge, place, new):
        at = self.at[place]
        self.case(name, judge, lambda d: d.__setitem__(
            slice(at, at + 4096), new))


def clusters(on):
    for a, b in (("l1", "l2"), ("l2", "refblock"), ("l1", "reftable"),
                 ("l2", "data"), ("refblock", "data"), ("snapshots", "l2"),
                 ("snapshot's l1", "data")):
        on.pair(a, b)
    # what was there is nowhere any more
    l2 = on.data[on.at["l2"]:on.at["l2"] + 4096]
    on.table("one table stands in two places", calm, "l1", l2)
    on.table("an L2 table was overwritten", calm, "l2",
             struct.pack(">Q", 0x1111) * 512)


def header(on):
    on.case("two pointers of the header have changed places", mended,
            lambda d: exchange(d, 40, 48, 8))
    on.case("its fields have moved up by a place", mended,
            lambda d: shift(d, 40, True))
    # the pointer that fell out is found by what it led to
    on.case("its fields have moved down by a place", mended,
            lambda d: shift(d, 40, False))
    # the size that fell out is one of many
    on.case("the disk's size fell out", kept, lambda d: shift(d, 24, False))


def main():
    tap = Tap()
    for steps, cases in ((SNAPPED, clusters), (PLAIN, header)):
        with tempfile.TemporaryDirectory(prefix="qfsck-places.") as folder:
            cases(Ground(tap, folder, steps))
    return tap.finish()


if __name__ == "__main__":
    sys.exit(main())
