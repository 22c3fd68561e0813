#!/usr/bin/env python3
"""The browser without a manual.

From every view every other is reached in at most two keys. An erased table is
found, read about, looked at on the guest's disk, in the file and as bytes, and
the plan for it seen, with keys that the screen before names; nothing that the
plan says is cut off, however narrow the screen is.
"""
import os
import re
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "screens"))
sys.path.insert(0, os.path.join(HERE, "..", "lib"))
from guests import parse, qfsck_path, run                   # noqa: E402
from screens import Quiet, digest, make                     # noqa: E402
from tools import own_folder                                # noqa: E402
from viz_guest import make_guest, screens                   # noqa: E402

VIEWS = {"1": "Guest", "2": "File", "3": "Snapshots", "4": "Findings",
         "5": "Owners", "6": "Hex", "7": "Info", "8": "Diff", "9": "Space",
         "p": "Plan"}
CASES = ("lost-l2-zeroed", "clean-snapshots", "clean-size-0")


def view_of(screen):
    """At 70 columns the tab at hand alone has a name."""
    return re.findall(r"[1-9p]([A-Z][a-z]+)", screen.split("\n")[0])


def check_pairs(tap, case, image):
    pairs = [(a, b) for a in VIEWS for b in VIEWS if a != b]
    lines = []
    for a, b in pairs:
        # at once, and by way of the file
        lines += [f"key 2 {a}", "save -", f"key {b}", "save -",
                  f"key 2 {a} 2 {b}", "save -"]
    seen = [view_of(s) for s in screens(image, lines, size="70x12")]
    bad, direct = [], 0
    for n, (a, b) in enumerate(pairs):
        here, one, two = seen[3 * n:3 * n + 3]
        direct += one == [VIEWS[b]]
        if here != [VIEWS[a]] or [VIEWS[b]] not in (one, two):
            bad.append(f"{VIEWS[a]} to {VIEWS[b]}: {here} {one} {two}")
    tap.result(not bad and direct >= len(pairs) - 2,
               f"{case}: of {len(pairs)} ways from view to view {direct} are "
               "one key, the rest two", bad[:8])


def erase(disk):
    """Zeros over the table of the disk's first half, and over its copy."""
    with open(disk, "r+b") as f:
        f.seek(40)
        f.seek(int.from_bytes(f.read(8), "big"))
        table = int.from_bytes(f.read(8), "big") & 0xfffffffffffe00
        f.seek(table)
        f.write(bytes(16384))
    return table


class Walk:
    """A session; each key stands on the screen before it."""

    def __init__(self, disk):
        self.disk, self.lines, self.named = disk, [], []

    def press(self, keys, named):
        self.named.append((len(self.lines), named))
        self.lines.append((keys, named))
        return self

    def screens(self, size):
        script = ["save -"]
        for keys, _ in self.lines:
            script += [f"key {keys}", "wait", "save -"]
        return screens(self.disk, script, size=size)


def check_incident(tap, disk):
    table = erase(disk)
    before = digest(disk)
    report = parse(run([qfsck_path(), "check", "--output=json", disk])[1])
    lost = report["lost"][0]["guest-offset"]
    walk = Walk(disk).press("n", "n damage").press("4", "4Finds") \
        .press("n n n", "n next").press("Enter", "Enter its bytes") \
        .press("v", None).press("4", "4Finds").press("1", "1 on the disk") \
        .press("4", "4Finds").press("2", "2 in the file") \
        .press("p", "pPlan")
    shown = walk.screens("80x30")
    unnamed = [f"{keys}: {named} is not on the screen before it"
               for (keys, named), s in zip(walk.lines, shown)
               if named and named not in s]
    first, damage, finds, row, entry, _, _, guest, _, there, plan = shown
    wants = (
        (first, "corrupt"), (first, "L lost"),
        (damage, f"{lost:#x}: lost: the table that led to the data here was"),
        (finds, "lost guest data"), (finds, "l2-table-erased"),
        (row, "What it means"), (row, "What repair does"),
        (entry, f"0x{table:08x}"), (guest, ": lost"),
        (there, f"{table:#x} cluster"), (there, "damaged"),
        (plan, "qfsck repair -n"), (plan, "nothing is written from the"))
    missing = [f"no {w!r} in: {s}" for s, w in wants if w not in s]
    tap.result(not unnamed and not missing,
               "an erased table: found, read about, looked at on the disk, in "
               "the file, as bytes, with its plan", [*unnamed, *missing[:2]])
    tap.result(digest(disk) == before, "and the image keeps every byte")


def check_bookmarks(tap, image):
    """M sets them in any view, ' goes round, M on one takes it away."""
    none, one, first, second, third, gone, left = screens(
        image, ["key '", "save -", "key :", "type g64k", "key Enter M",
                "save -", "key 2 :", "type c7", "key Enter M 4 '", "save -",
                "key '", "save -", "key 9 '", "save -", "key M", "save -",
                "key 3 '", "save -"], size="80x24")
    wants = ((none, "no bookmark yet"), (one, "bookmark 1: "),
             (first, "bookmark 1 of 2"), (first, " 0x10000: "),
             (first, "1Guest "), (second, "bookmark 2 of 2"),
             (second, "2File "), (second, " cluster 7:"),
             (third, "bookmark 1 of 2"), (third, " 0x10000: "),
             (gone, "the bookmark is gone: 1 left"),
             (left, "bookmark 1 of 1"), (left, " cluster 7:"))
    missing = [f"no {w!r} in: {s}" for s, w in wants if w not in s]
    tap.result(not missing, "bookmarks in any view, and round", missing[:2])


def words(text):
    return re.sub(r"\W+", "", text)


def check_wrapped(tap, image):
    """On a narrow screen the plan's lines go on below."""
    said = run([qfsck_path(), "repair", "-n", image])[1]
    said = [line.split(": ", 1)[-1] for line in said.decode().split("\n")
            if "host offset" in line or "restore" in line]
    shown = []
    for down in range(0, 40, 4):
        shown.append(screens(image, ["key p", "wait"] + ["key j"] * down
                             + ["save -"], size="40x24")[0])
    page = words(" ".join("".join(s.split("\n")[2:-2]) for s in shown))
    missing = [line for line in said if words(line) not in page]
    tap.result(said and not missing, "at 40 columns nothing of the plan is cut "
               "off", missing)


def main():
    tap = Quiet()
    own_folder()
    images = make([*CASES, "l2-entry-beyond"], os.getcwd())
    for case in CASES:
        check_pairs(tap, case, images[case])
    check_incident(tap, make_guest())
    check_bookmarks(tap, images["clean-snapshots"])
    check_wrapped(tap, images["l2-entry-beyond"])
    return tap.finish()


if __name__ == "__main__":
    sys.exit(main())
