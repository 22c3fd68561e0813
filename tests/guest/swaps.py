"""Two entries that have changed places: does check --guest tell which, and
does a repair put back what was there, when it is told to?"""

import collections
import glob
import os

from guests import copy
from qcow2 import Image
from tools import qfsck_check, qfsck_path, run as run_tool

KINDS = ("l1-swap", "l2-swap")


def exchange(path, a, b):
    with Image(path) as im:
        one, two = im.u64(a), im.u64(b)
        im.put64(a, two)
        im.put64(b, one)


def bytes_of(path):
    with open(path, "rb") as f:
        return f.read()


class Figures:
    def __init__(self):
        self.swaps = collections.Counter()
        self.wrong = []


def candidates(ground, kind):
    """Entries: those that map metadata, and all."""
    with Image(ground.path) as im:
        found = im.normal_entries()
        if kind == "l2-swap":
            every = [pos for _, pos, _ in found]
            some = [pos for n, pos, _ in found if n in ground.metadata]
        else:
            every = [im.l1_pos(i) for i in im.l1_used()]
            some = [im.l1_pos(i) for i in im.l1_used() if any(
                n // im.l2_entries == i for n in ground.metadata)]
    return some, every


def one(ground, kind, rng, figures, whole):
    """Exchanges two entries. WHOLE: holds what a repair leaves against the
    disk as well."""
    some, every = candidates(ground, kind)
    if len(every) < 2 or not some:
        return
    a = rng.choice(some)
    b = rng.choice([p for p in every if p != a])
    path = copy(ground.path, "swapped.qcow2")
    exchange(path, a, b)
    name = "%s, %s at %#x and %#x" % (ground.name, kind, a, b)
    _, report, err, _ = qfsck_check(os.path.abspath(path), "--guest")
    if not report:
        figures.wrong.append("%s: %s" % (name, err))
        return
    figures.swaps["asked"] += 1
    told = [f for f in report["findings"] if f["name"].startswith("guest-")]
    figures.swaps["told"] += bool(told)
    for q in report.get("questions", ()):
        figures.swaps["answered"] += 1
        right = {q["place"], q.get("pointer-offset")} == {a, b}
        figures.swaps["right"] += right
        if not right:
            figures.wrong.append("%s: %s" % (name, q))
    if whole and report.get("questions"):
        mend(ground, path, name, figures)


def mend(ground, path, name, figures):
    """Nothing by -y; with the user's word the disk is as it was."""
    before = bytes_of(path)
    for old in glob.glob(path + ".qfsck-undo*"):
        os.remove(old)
    run_tool([qfsck_path(), "repair", "-y", "--guest", path])
    if bytes_of(path) != before:
        figures.wrong.append(name + ": changed without --guess")
    _, out, err = run_tool([qfsck_path(), "repair", "-y", "--guest",
                            "--guess", path])
    if bytes_of(path) != bytes_of(ground.path):
        figures.wrong.append("%s: not as it was: %s" % (
            name, (out + err).decode()[:600]))
    run_tool([qfsck_path(), "undo", path + ".qfsck-undo"])
    if bytes_of(path) != before:
        figures.wrong.append(name + ": undo gives other bytes")


def run(ground, count, rng, figures, whole=False, kinds=KINDS):
    for _ in range(count):
        one(ground, rng.choice(kinds), rng, figures, whole)
