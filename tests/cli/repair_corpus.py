#!/usr/bin/env python3
"""Repairs every image of the corpus and compares the outcome.

corpus/CASE/expect.2 says what `qfsck repair -y` leaves: the exit code, the
verdict, what was done for which problem, and what is left. Beside that, for
each case: qemu-img check finds nothing where the verdict is clean, a second
repair does nothing, and undo gives the bytes back. QFSCK_BLESS=1 rewrites the
expect.2 files.
"""

import concurrent.futures
import json
import os
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, ".."))
sys.path.insert(0, os.path.join(HERE, "..", "lib"))

import corpus                                               # noqa: E402
import oracle                                               # noqa: E402
import tools                                                # noqa: E402
from tap import Tap                                         # noqa: E402

BLESS = bool(os.environ.get("QFSCK_BLESS"))


def outcome(image, options):
    """What a repair leaves, in a few lines."""
    status, out, _ = tools.run(
        [tools.qfsck_path(), "repair", "-y", "--output=json", *options, image],
        timeout=60)
    said = tools.parse(out)
    if not said or "edits" not in said:     # it cannot be read at all
        return "exit %s\n" % status
    done = sorted({e["problem"] for e in said["edits"]}) \
        if said["applied"] else []
    left = sorted({f["name"] for f in said["left"]
                   if f["severity"] not in ("note", "warning")})
    lost = ["%(holder)s %(guest-offset)d+%(length)d" % l
            for l in said.get("lost", [])] if said["applied"] else []
    return "exit %s\nverdict %s\n%s%s%s" % (
        status, said["verdict-after"] if said["applied"]
        else said["verdict-before"],
        "".join("done %s\n" % d for d in done),
        "".join("lost %s\n" % l for l in lost),
        "".join("left %s\n" % l for l in left))


def judge(name):
    case = corpus.Case(name)
    with tempfile.TemporaryDirectory(prefix="qfsck-repair.") as folder:
        image = case.make(folder)
        before = oracle.sha(image)
        options = case.text("options").split()
        vouched = options if options[:1] == ["-f"] else []
        text = outcome(image, vouched)
        undo = image + ".qfsck-undo"
        faults = []
        if os.path.exists(undo):
            oracle.undo(image)
            if oracle.sha(image) != before:
                faults.append("undo does not give the bytes back")
            os.remove(undo)
        alone = name.startswith(("backing", "data-file", "clean-", "bad-",
                                 "compressed-data-file", "luks-no-key"))
        if not alone:
            faults += oracle.write_faults(
                image, vouched, "luks" in name or name.startswith("crypto"))
    want = case.text("expect.2")
    if want != text and BLESS:
        with open(case.path("expect.2"), "w") as file:
            file.write(text)
    elif want != text:
        faults += ["expect.2 says:", *want.splitlines(), "it is now:",
                   *text.splitlines()]
    return name, faults


def main():
    tap = Tap()
    names = sorted(n for n in os.listdir(corpus.CORPUS)
                   if os.path.isdir(os.path.join(corpus.CORPUS, n))
                   and all(w in n for w in sys.argv[1:]))
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for name, faults in pool.map(judge, names):
            tap.result(not faults, name, faults)
    return tap.finish()


if __name__ == "__main__":
    sys.exit(main())
