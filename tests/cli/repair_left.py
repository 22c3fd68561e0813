#!/usr/bin/env python3
"""What repair leaves, and why, in words and as JSON; a plan of many edits that
are alike is folded."""
import json
import os
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "lib"))
sys.path.insert(0, os.path.join(HERE, ".."))
import corpus                                               # noqa: E402
import qimg                                                 # noqa: E402
from tap import Tap                                         # noqa: E402

tap = Tap()
TABLES = "2 tables lack an owner, and nothing tells which of them stood here."
ERASED = ("no evidence: no other version of the table was found that accounts "
          "for the clusters without an owner. They are kept.")
KEPT = ("kept on purpose: what has no owner may be what a pointer led to that "
        "is lost, given up or not repaired.")
# case, options; {problem: why} of what is left, as JSON has it
CASES = [
    ("lost-l2-zeroed", [], {"l2-table-erased": ERASED,
                            "refcount-leak-withheld": KEPT}),
    ("lost-l1-zeroed", [], {"l1-entry-erased": TABLES}),
    ("l1-is-random", [], {"l1-entry-outside": TABLES}),
    ("l1-entry-bent", ["--risk=metadata"],
     {"l1-entry-bent": "needs --risk=data."}),
    ("size-shrunk", [], {"data-beyond-disk": (
        "no repair can do it; \"qemu-img resize\" to the true size brings "
        "the active disk's back, as long as nothing was written to them.")}),
    ("refcount-0-metadata", [], {}),
]


def repair(*argv):
    return subprocess.run([qimg.qfsck_path(), "repair", *argv],
                          capture_output=True, timeout=60, text=True,
                          stdin=subprocess.DEVNULL, env=qimg.environment())


def make(case):
    os.makedirs(case, exist_ok=True)
    return corpus.Case(case).make(os.path.abspath(case))


def words(text):
    """The reasons in a report for people, on one line each."""
    found, on = [], False
    for line in text.splitlines():
        if line.startswith("        Why: "):
            found.append(line.split(": ", 1)[1])
            on = True
        elif on and line.startswith("        "):
            found[-1] += " " + line.strip()
        else:
            on = False
    return found


def reasons(case, options, want):
    image = make(case)
    said = json.loads(repair("-n", "--output=json", *options, image).stdout)
    why = {f["name"]: f.get("why") for f in said["left"]}
    told = words(repair("-n", *options, image).stdout)
    tap.result(all(why.values()) and want.items() <= why.items() and
               all(w in told for w in want.values()) and
               (want or not why),
               f"{case}: why it is left", [str(why), *told])


def not_freed():
    """Below --risk=data the table of a bent L1 entry is no leak."""
    image = make("l1-entry-bent")
    with open(image, "rb") as file:
        before = file.read()
    done = repair("-y", "--risk=metadata", image)
    with open(image, "rb") as file:
        same = file.read() == before
    tap.result(same and done.returncode == 2,
               "a bent L1 entry's own table is not freed instead",
               done.stdout.splitlines())


def counted():
    image = make("twice-data-blessed")
    done = repair("-n", image)
    tap.result("corrupt, 1 error\n" in done.stdout and
               "left:" not in done.stdout, "errors as check counts them",
               done.stdout.splitlines())


def folded():
    """Each second L2 entry has lost its flag, in many tables."""
    name = os.path.abspath("many")
    qimg.build(name, "64M", [f"write {k}M 64k" for k in range(0, 64, 2)],
               cluster_size=4096)
    with qimg.Image(name) as image:
        for k in range(0, 64, 2):
            at = image.l2_pos(k >> 1, 0)
            image.put64(at, image.u64(at) & ~(1 << 63))
    short, full = repair("-n", name).stdout, repair("-n", "--all", name).stdout
    edits = json.loads(repair("-n", "--output=json", name).stdout)["edits"]
    lines = [l for l in full.splitlines() if "host offset" in l]
    kept = [l for l in short.splitlines() if "host offset" in l]
    tap.result(len(edits) == len(lines) == 32 and kept == lines[:3] and
               "... and 29 more like these; --all lists them" in short and
               "more like these" not in full,
               "edits that are alike are folded, not with --all",
               short.splitlines() + [str(len(edits)), str(len(lines))])


os.chdir(tempfile.mkdtemp())
for row in CASES:
    reasons(*row)
not_freed()
counted()
folded()
sys.exit(tap.finish())
