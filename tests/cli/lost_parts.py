#!/usr/bin/env python3
"""A part of an L2 table is erased: told from leaks, on many layouts.

Each case fills a disk in some order, zeroes some bytes of one L2 table, and
asks: is the verdict corrupt, is a part of that table named, do the lost ranges
cover every mapping that was zeroed, and does `repair -y` keep its clusters?
"""
import os
import random
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
from qimg import Image, build, qfsck_check, qfsck_path  # noqa: E402
from tap import Tap  # noqa: E402

MIB = 1 << 20
PAGE = (4096, 8192)
FIRST_PAGE = (0, 4096)
SECTOR = (512, 1024)
REST = (8, 1 << 30)     # all but the first entry


def in_order():
    return [f"write -q -P {1 + i % 200} {i}M 1M" for i in range(72)]


def at_random():
    places = list(range(0, 64 * MIB, 65536))
    random.Random(1).shuffle(places)
    return [f"write -q -P {1 + i % 200} {at} 64k"
            for i, at in enumerate(places)]


def here_and_there():
    places = random.Random(1).sample(range(0, 256 * MIB, 65536), 400)
    return [f"write -q -P {1 + i % 200} {at} 64k"
            for i, at in enumerate(places)]


SNAP = [("snap", "before")]
LATER = ["write -q -P 77 10M 1M", "write -q -P 78 30M 2M"]

# name, options, writes, what comes after them, bytes of the table, punched
CASES = [
    ("page, in order", {}, in_order, [], PAGE, False),
    ("first page, in order", {}, in_order, [], FIRST_PAGE, False),
    ("sector, in order", {}, in_order, [], SECTOR, False),
    ("hole, in order", {}, in_order, [], PAGE, True),
    ("page, at random", {}, at_random, [], PAGE, False),
    ("sector, at random", {}, at_random, [], SECTOR, False),
    ("sector, here and there", {}, here_and_there, [], SECTOR, False),
    ("rest, shared", {}, in_order, SNAP, REST, False),
    ("sector, shared", {}, at_random, SNAP, SECTOR, False),
    ("page, two versions", {}, in_order, SNAP + LATER, FIRST_PAGE, False),
    ("sector, two versions", {}, here_and_there, SNAP + LATER, SECTOR, False),
    ("v2, two versions", {"compat": "0.10"}, in_order, SNAP + LATER,
     FIRST_PAGE, False),
    ("extended L2", {"extended_l2": "on"}, in_order, [], PAGE, False),
    ("4k clusters", {"cluster_size": 4096}, in_order, [], SECTOR, False),
    ("4k clusters, rest", {"cluster_size": 4096}, at_random, [], REST, False),
    ("refcounts of 1 bit", {"refcount_bits": 1}, in_order, [], PAGE, False),
]


def damage(path, bytes_range, punched):
    """Zeroes the bytes of the first L2 table: (guest offsets, table)."""
    with Image(path) as image:
        index = image.l1_used()[0]
        table = image.l2_offset(index)
        size = image.cluster // image.l2_entries
        first = -(-bytes_range[0] // size)
        last = min(bytes_range[1], image.cluster) // size
        lost = [(index * image.l2_entries + i) * image.cluster
                for i in range(first, last)
                if any(image.read(table + i * size, 8))]
        length = (last - first) * size
        if not punched:
            image.write(table + first * size, bytes(length))
        cluster = image.cluster
    if punched:
        subprocess.run(["fallocate", "--punch-hole", "-o",
                        str(table + bytes_range[0]), "-l", str(length), path],
                       check=True)
    return lost, table, cluster


def is_covered(report, guests, cluster):
    ranges = [(r["guest-offset"], r["guest-offset"] + r["length"])
              for r in report["lost"] if r["holder"] == "active"]
    return all(any(a <= g and g + cluster <= b for a, b in ranges)
               for g in guests)


def one(tap, path, name, options, writes, later, where, punched):
    if os.path.exists(path):
        os.remove(path)
    build(path, "256M", writes() + later, **options)
    before = allocated(path)
    lost, table, cluster = damage(path, where, punched)
    status, report, _, _ = qfsck_check(path)
    parts = [f for f in report["findings"]
             if f["name"] == "l2-table-partly-erased"]
    good = (status == 2 and report["verdict"] == "corrupt" and parts
            and all(table <= f["host-offset"] < table + cluster
                    for f in parts)
            and is_covered(report, lost, cluster)
            and (not punched or
                 [d["cause"] for d in report["diagnosis"]] == ["punch-hole"]))
    tap.result(good, name,
               [f"exit {status}, {report['findings'][:4]}, lost "
                f"{report['lost'][:4]}, true {lost[:2]}..{lost[-1:]}"])
    subprocess.run([qfsck_path(), "repair", "-y", path], check=False,
                   stdin=subprocess.DEVNULL, capture_output=True)
    after = allocated(path)
    tap.result(after >= before, f"{name}: repair frees nothing",
               [f"{after} clusters allocated, {before} before"])


def allocated(path):
    """Clusters whose refcount is not zero."""
    with Image(path) as image:
        return sum(image.refcount(c) > 0 for c in range(image.clusters()))


def main():
    tap = Tap()
    with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR")) as tmp:
        for case in CASES:
            one(tap, os.path.join(tmp, "part.qcow2"), *case)
    return tap.finish()


if __name__ == "__main__":
    sys.exit(main())
