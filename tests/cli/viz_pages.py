#!/usr/bin/env python3
"""Info, Diff, Space and Plan of qfsck viz show what the commands say, and
nothing is written from there."""
import os
import re
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "screens"))
sys.path.insert(0, HERE)
from screens import QFSCK, Quiet, digest, make              # noqa: E402
from viz import qfsck, size                                 # noqa: E402
from viz_findings import screens                            # noqa: E402

CASES = ("clean-snapshots", "clean-bitmaps", "two-writers", "l1-entry-bent",
         "leaks-scattered", "backing-missing", "clean-size-0")


def said(*args):
    """The lines that a command says, wherever."""
    run = subprocess.run([QFSCK, *args], stdout=subprocess.PIPE, text=True,
                         stderr=subprocess.STDOUT, timeout=60)
    return [line.rstrip() for line in run.stdout.splitlines()]


def lacks(screen, lines, width):
    """The first of the LINES that do not stand in the screen so."""
    shown = [line.rstrip() for line in screen]
    return [line for line in lines
            if line and len(line) < width - 1 and " " + line not in shown][:3]


def check_info(tap, images, tmp):
    for case, image in images.items():
        screen = screens(image, "key 7\nwait\nsave -\n", tmp, "150x60")[0]
        bad = lacks(screen, said("info", "--backing-chain", image), 150)
        tap.result(not bad, f"{case}: Info is what info says", bad)


def check_space(tap, images, tmp):
    for case, image in images.items():
        keys, deleted = "key 9\nwait\nsave -\n", []
        if case == "clean-snapshots":
            keys = "key 3 j j Space j Space\n" + keys
            deleted = ["--if-deleted=2,3"]
        screen = screens(image, keys, tmp, "150x80")[0]
        want = said("du", *deleted, image)
        want += [line for line in said("repair", "-n", "--trim", image)
                 if "trim" in line]
        bad = lacks(screen, want, 150)
        # how much it takes may still change, where a file system is late
        there = re.search(r"On the disk the file takes [\d.]+ \w+ of its (.*)"
                          r"\.", "\n".join(screen))
        tap.result(not bad and there
                   and there[1] == size(os.path.getsize(image)),
                   f"{case}: Space is what du says, and the trim",
                   [*bad, *screen])


def check_diff(tap, images, tmp):
    image = images["clean-snapshots"]
    seen = screens(image, "key 8\nwait\nsave -\nkey ] ]\nwait\nsave -\n"
                   "key }\nwait\nsave -\nkey 3 j Space j j Space 8\n"
                   "wait\nsave -\n", tmp, "150x80")
    # state 6 is the newest; from there on to the active disk and to 1
    pairs = (("6", "active"), ("1", "active"), ("1", "1"), ("1", "3"))
    for n, (old, new) in enumerate(pairs):
        args = [f"--from={old}", f"--to={new}", image]
        bad = lacks(seen[n], said("diff", "--files", *args)
                    + said("diff", *args), 150)
        tap.result(not bad and f"--from={old} --to={new}" in seen[n][1],
                   f"Diff from {old} to {new} is what diff says",
                   [*bad, *seen[n]])
    marked = screens(image, "key 3 j Space j j Space 8\nwait\nsave -\n",
                     tmp, "150x80")[0]
    tap.result("--from=1 --to=3" in marked[1] and not lacks(
        marked, said("diff", "--from=1", "--to=3", image), 150),
        "Diff compares two marked states", marked)
    first = re.search(r"(?m)^ 0x([0-9a-f]+) ", "\n".join(marked))
    row = marked.index(next(line for line in marked
                            if line.startswith(f" 0x{first[1]} ")))
    place = screens(image, "key 3 j Space j j Space 8\nwait\nkey /\n"
                    f"type 0x{first[1]}\nkey Enter\nkey Enter\nwait\nsave -\n",
                    tmp)[0]
    tap.result(row and "snapshot 3" in place[1]
               and any(f" 0x{first[1]}: " in line for line in place),
               "and Enter shows a range on the new disk", place)
    one = screens(images["two-writers"], "key 8\nwait\nsave -\n", tmp)[0]
    tap.result("one state only" in one[1], "Diff without snapshots says so",
               one)


def check_plan(tap, images, tmp):
    for case, image in images.items():
        before = digest(image)
        plan = qfsck("repair", "-n", "--output=json", image) \
            if case != "backing-missing" else {"edits": []}
        seen = screens(image, "key p\nwait\nsave -\nkey /\n"
                       "type becomes\nkey Enter\nkey Enter\nsave -\n", tmp,
                       "150x400")
        bad = lacks(seen[0], said("repair", "-n", image), 150)
        edits, text = plan["edits"], "\n".join(seen[0])
        told = not edits or f" {len(edits)} edit" in text and (
            "qfsck repair " in text and "qfsck undo " in text
            and plan["verdict-after"] in text and "▲" in text)
        there = {f" 0x{e['host-offset']:x}" for e in edits}
        went = not any("becomes" in line for line in seen[0]) or any(
            re.match(place + r"\b", seen[1][-3]) for place in there)
        tap.result(not bad and told and went and digest(image) == before,
                   f"{case}: Plan is what repair -n says: "
                   f"{len(edits)} edits", [*bad, *seen[0][:20], seen[1][-3]])


def main():
    tap = Quiet()
    with tempfile.TemporaryDirectory() as tmp:
        images = make(sorted(CASES), tmp)
        images = {case: images[case] for case in CASES}
        check_info(tap, images, tmp)
        check_space(tap, images, tmp)
        check_diff(tap, images, tmp)
        check_plan(tap, images, tmp)
    return tap.finish()


if __name__ == "__main__":
    sys.exit(main())
