#!/usr/bin/env python3
"""The snapshots in qfsck viz as a line of time: what each state has that the
one before had not, and what it has no more."""
import os
import re
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "screens"))
sys.path.insert(0, HERE)
from screens import Quiet, make                             # noqa: E402
from viz import qfsck                                       # noqa: E402
from viz_findings import screens                            # noqa: E402

UNITS = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20}
CHANGE = re.compile(r"^ \+([\d.]+) (\w+), -([\d.]+) (\w+) since the one before")
NAME = "n" * 90


def size(number, unit):
    return round(float(number) * UNITS[unit])


def told(image, n, tmp):
    """[(new, gone)] of the states in the order of the list."""
    seen = screens(image, "key 3 g\n" + "save -\nkey j\n" * n, tmp, "100x80")
    found = [CHANGE.match(s[-2]) for s in seen]
    return [(size(m[1], m[2]), size(m[3], m[4])) for m in found], seen


def data_of(image, state):
    """The host clusters of a state's data."""
    option = [] if state == "active" else ["-s", state]
    return {off for e in qfsck("map", "--output=json", *option, image)
            if e.get("offset") is not None and e["data"]
            for off in range(e["offset"] & ~4095, e["offset"] + e["length"],
                             4096)}


def check_figures(tap, image, tmp):
    holders = qfsck("du", "--output=json", image)["holders"]
    seen, last = told(image, len(holders), tmp)
    # in the order of time: the active disk, which stands first, comes last
    order = list(range(1, len(holders))) + [0]
    before, old, bad = 0, set(), []
    for i in order:
        new, gone = seen[i]
        has, data = holders[i]["referenced"], data_of(image, holders[i]["id"])
        fresh = 4096 * len(data - old)
        # beside the data its own L1 table and, if it was written to, an L2
        if has != before + new - gone or not fresh < new <= fresh + 8192:
            bad.append(f"{holders[i]['id']}: {new} {gone} {has} {fresh}")
        before, old = has, data
    tap.result(not bad and len(holders) > 3,
               f"new and gone of {len(holders)} states", [*bad, *last[0][:12]])


def check_many(tap, tmp):
    """More states than columns: the line moves along; a name in full."""
    image = os.path.join(tmp, "many.qcow2")
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", image, "1M"],
                   check=True)
    for i in range(60):
        subprocess.run(["qemu-img", "snapshot", "-c",
                        NAME if i == 30 else f"s{i}", image], check=True)
    first, last = screens(image, "key 3 j\nsave -\nkey G\nsave -\n", tmp,
                          "80x24")
    tap.result(first[2].rstrip().endswith(">") and first[2][0] == " "
               and last[2][0] == "<" and "●" in last[2]
               and "●" not in first[2],
               "60 snapshots: the line moves along", [first[2], last[2]])
    wide = screens(image, "key 3 / n n n n Enter\nsave -\n", tmp,
                   "200x30")[0]
    tap.result(any(NAME in line for line in wide),
               "a long name is shown in full where there is room", wide[:6])
    point = screens(image, "key 3\nclick 9 2\nsave -\n", tmp, "200x30")[0]
    tap.result(any(line.startswith(">  ") and "active" not in line
                   for line in point), "a click on the line chooses", point)


def main():
    tap = Quiet()
    with tempfile.TemporaryDirectory() as tmp:
        images = make(["clean-snapshots"], tmp)
        check_figures(tap, images["clean-snapshots"], tmp)
        check_many(tap, tmp)
    return tap.finish()


if __name__ == "__main__":
    sys.exit(main())
