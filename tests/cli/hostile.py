#!/usr/bin/env python3
"""Small images that are made to cost time or memory out of proportion.

Each is written word by word here: a few KiB that claim a lot. What counts is
that check and repair end soon, within a bound of memory, and still say what
is wrong.
"""
import json
import os
import resource
import struct
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
from tap import Tap  # noqa: E402

QFSCK = os.environ.get("QFSCK") or os.path.abspath(
    os.path.join(os.path.dirname(__file__), "..", "..", "qfsck"))
IMG = "hostile.qcow2"
C = 65536
COPIED = 1 << 63
MEMORY = 2 << 30
SLOW = 60   # seconds; each takes one or two
SANITIZED = b"__asan_init" in open(QFSCK, "rb").read()


def limits():
    if not SANITIZED:
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))


def run(*argv):
    began = time.time()
    try:
        out = subprocess.run([QFSCK, *argv], capture_output=True, text=True,
                             timeout=SLOW, preexec_fn=limits)
    except subprocess.TimeoutExpired:
        return -1, f"no end within {SLOW} seconds"
    return out.returncode, (out.stdout + out.stderr +
                            f"\n{time.time() - began:.1f} s")


def findings(text):
    text = text[:text.rindex("}") + 1]
    return {f["name"]: f for f in json.loads(text)["findings"]}


def write(parts, used, size, disk=1 << 20, l1=(3, 1), snapshots=(0, 0)):
    """PARTS by their cluster; the clusters of USED have refcount 1."""
    counts = bytearray(C)
    for i in used:
        struct.pack_into(">H", counts, 2 * i, 1)
    head = struct.pack(">4sIQIIQIIQQIIQQQQII", b"QFI\xfb", 3, 0, 0, 16, disk,
                       0, l1[1], l1[0] * C, C, 1, snapshots[1],
                       snapshots[0], 0, 0, 0, 4, 104)
    with open(IMG, "wb") as f:
        for at, part in {0: head, 1: struct.pack(">Q", 2 * C), 2: counts,
                         **parts}.items():
            f.seek(at * C)
            f.write(part)
        f.truncate(size * C)


def words(*w):
    return struct.pack(f">{len(w)}Q", *w)


def snapshot(i, l1_cluster, entries):
    return struct.pack(">QIHHIIQIIQQ", l1_cluster * C, entries, 6, 2, 1, 1, 1,
                       0, 16, 0, 1 << 20) + f"{i:06}s ".encode()


def shared_l1(tap):
    """Snapshots that all name one L1 table of the largest size."""
    n, entries = 40, 4 << 20
    table = b"".join(snapshot(i, 1000, entries) for i in range(n))
    used = [0, 1, 2, 3, 16, 800, 900, *range(1000, 1512)]
    write({3: words(0), 16: table, 800: b"data", 900: words(800 * C),
           1511: bytes(C - 8) + words(900 * C)}, used, 3000,
          snapshots=(16 * C, n))
    code, text = run("check", "--output=json", IMG)
    tap.result(code == 2 and "cluster-shared-tables" in findings(text),
               f"{n} snapshots name one L1 table: found", [text[-300:]])
    code, text = run("repair", "-n", IMG)
    copies = text.count("copy the table at 0x3e80000")
    tap.result(code == 2 and 0 < copies < n,
               "... the plan's copies are bounded", [str(code), text[-900:]])
    tap.result("than the image" in " ".join(text.split()),
               "... and it says why the others stay", [text[-900:]])


def lost_snapshots(tap):
    """65536 snapshots, and many leaked clusters that are not their table."""
    n = 3000
    parts = {100 + i: b"x" * 8 for i in range(n)}
    write({3: words(0), **parts}, [0, 1, 2, 3, *parts], 30000,
          snapshots=(0xfff0000000000, 65536))
    code, text = run("repair", "-n", IMG)
    tap.result(code == 2 and "point the header" not in text,
               f"{n} clusters that may be the snapshot table: seen soon",
               [str(code), text[-500:]])


def garbage_l1(tap):
    """2000 entries, none of them valid, that lead to one L2 table."""
    n, first, name = 2000, 2000, "l1-table-garbage"
    data = range(first, first + 8192)
    write({50: words(*(COPIED | i * C for i in data)),
           100: words(*[COPIED | 50 * C | 0x200] * n)},
          [0, 1, 2, 50, 100, *data], 10300, n << 29, (100, n))
    code, text = run("check", "--output=json", IMG)
    tap.result(code == 2 and name in findings(text),
               f"{n} L1 entries, one L2 table: {name}", [text[-300:]])
    code, text = run("repair", "-n", IMG)
    tap.result(code == 2 and name in text, "... the plan is made soon",
               [str(code), text[-500:]])


def main():
    tap = Tap()
    with tempfile.TemporaryDirectory(dir="/dev/shm") as tmp:
        os.chdir(tmp)
        shared_l1(tap)
        lost_snapshots(tap)
        garbage_l1(tap)
    return tap.finish()


if __name__ == "__main__":
    sys.exit(main())
