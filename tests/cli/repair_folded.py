#!/usr/bin/env python3
"""A plan of many edits of a kind lists the first ones and sums up the rest:
its text and its JSON stay small, and no edit is left out of the sums."""
import json
import os
import re
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
import qimg  # noqa: E402
from tap import Tap  # noqa: E402

QFSCK = qimg.qfsck_path()
LISTED = 64
IMAGE = os.path.join(os.environ["TMPDIR"], "folded.qcow2")
tap = Tap()


def repair(*argv):
    return subprocess.run([QFSCK, "repair", *argv, IMAGE], timeout=60,
                          capture_output=True, stdin=subprocess.DEVNULL,
                          text=True, env=qimg.environment())


def make():
    """512 refcount blocks that no entry of the table leads to any more."""
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", "-o",
                    "cluster_size=512,refcount_bits=64,"
                    "preallocation=metadata", IMAGE, "16M"], check=True)
    with qimg.Image(IMAGE) as image:
        blocks = len(image.reftable_used())
        image.write(image.reftable_offset(),
                    bytes(image.get("refcount_table_clusters") *
                          image.cluster))
    return blocks


def number_of(done):
    found = re.search(r"The plan, (\d+) edits", done.stdout)
    return int(found.group(1)) if found else 0


def main():
    blocks = make()
    human, said = repair("-n"), repair("-n", "--output=json")
    edits = json.loads(said.stdout)["edits"]
    total = number_of(human)
    tap.result(blocks > 500 and total > 2 * blocks,
               "a plan of very many edits", [str(blocks), human.stdout[:300]])
    alone = [e for e in edits if "count" not in e]
    more = [e for e in edits if "count" in e]
    tap.result(more and len(alone) + sum(e["count"] for e in more) == total,
               "JSON: those that are listed and the counts are all",
               [str(len(alone)), str(more)])
    tap.result(len(alone) <= LISTED * (len(more) + 8)
               and len(said.stdout) < 200000, "its JSON is small",
               [str(len(said.stdout))])
    anew = [e for e in more if "write the refcount block" in e["what"]]
    tap.result(len(anew) == 1 and anew[0]["length"] == 512 * anew[0]["count"]
               and anew[0]["host-end"] - anew[0]["host-offset"] >=
               anew[0]["length"], "bytes and places of the rest", [str(more)])
    every = repair("-n", "--all")       # without it alike ones are folded
    lines = re.findall(r"^ +and (\d+) more like number (\d+)", every.stdout,
                       re.M)
    listed = re.findall(r"^ *(\d+)\. ", every.stdout, re.M)
    tap.result(len(listed) + sum(int(n) for n, _ in lines) == total
               and [int(n) for n, _ in lines] == [e["count"] for e in more]
               and all(n in listed for _, n in lines),
               "so does the text: each sum names an edit of its kind",
               every.stdout.splitlines()[-12:])
    done = repair("-y")
    sound = subprocess.run(["qemu-img", "check", "-q", IMAGE], timeout=60)
    tap.result(done.returncode == 0 and sound.returncode == 0,
               "all of them are carried out", done.stderr.splitlines())
    return tap.finish()


sys.exit(main())
