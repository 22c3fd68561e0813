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


def write(parts, used, size, disk=1 << 20, l1=(3, 1), snapshots=(0, 0),
          bits=16, extension=b""):
    """PARTS by their cluster; USED are those with refcount 1, or by cluster
    the refcounts of those that have another."""
    cluster = 1 << bits
    counts = bytearray(cluster)
    for i in used:
        struct.pack_into(">H", counts, 2 * i,
                         used[i] if isinstance(used, dict) else 1)
    head = struct.pack(">4sIQIIQIIQQIIQQQQII", b"QFI\xfb", 3, 0, 0, bits, disk,
                       0, l1[1], l1[0] * cluster, cluster, 1, snapshots[1],
                       snapshots[0] * cluster, 0, 0, bool(extension), 4, 104)
    head += extension
    with open(IMG, "wb") as f:
        for at, part in {0: head, 1: struct.pack(">Q", 2 * cluster),
                         2: counts, **parts}.items():
            f.seek(at * cluster)
            f.write(part)
        f.truncate(size * cluster)


def words(*w):
    return struct.pack(f">{len(w)}Q", *w)


def snapshot(i, l1_cluster, entries, disk=1 << 20):
    return struct.pack(">QIHHIIQIIQQ", l1_cluster * C, entries, 6, 2, 1, 1, 1,
                       0, 16, 0, disk) + f"{i:06}s ".encode()


def shared_l1(tap):
    """Snapshots that all name one L1 table of the largest size."""
    n, entries = 40, 4 << 20
    table = b"".join(snapshot(i, 1000, entries) for i in range(n))
    used = [0, 1, 2, 3, 16, 800, 900, *range(1000, 1512)]
    write({3: words(0), 16: table, 800: b"data", 900: words(800 * C),
           1511: bytes(C - 8) + words(900 * C)}, used, 3000,
          snapshots=(16, n))
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
          snapshots=(0xfff000000, 65536))
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


def shared_l2(tap):
    """The same with sound entries: two thousand owners of 8192 clusters."""
    n, first, name = 2000, 2000, "l2-table-shared"
    data = range(first, first + 8192)
    write({50: words(*(COPIED | i * C for i in data)),
           100: words(*[COPIED | 50 * C] * n)},
          [0, 1, 2, 50, 100, *data], 10300, n << 29, (100, n))
    code, text = run("check", "--output=json", IMG)
    tap.result(code == 2 and name in findings(text),
               f"{n} sound L1 entries, one L2 table: {name}", [text[-300:]])
    code, text = run("repair", "-n", IMG)
    tap.result(code == 2 and "left shared" in text,
               "... no plan gives each its own of all that", [text[-500:]])


def erased_entries(tap):
    """L2 tables that a snapshot has and the active disk has not any more,
    and thousands of leaks that may be an older L1 table."""
    n, leaks = 16384, 8192
    used = {i: 1 for i in [*range(20), *range(100, 108), *range(200, 208)]}
    used.update({1000 + i: 2 for i in range(n)})
    used.update({20000 + i: 1 for i in range(leaks)})
    used[300] = used[301] = used[302] = 1
    used[400] = 65535
    tables = {1000 + i: words(400 * C) for i in range(n)}
    write({3: snapshot(0, 200, n + 1), **tables,
           100: words(COPIED | 300 * C), 200: words(301 * C, *(
               (1000 + i) * C for i in range(n))),
           300: words(COPIED | 302 * C), 301: words(402 * C)},
          {**used, 402: 1}, 30000, (n + 1) << 29, (100, n + 1),
          snapshots=(3, 1))
    code, text = run("check", "--output=json", IMG)
    tap.result(code == 2 and "l1-entry-erased" in findings(text),
               f"{n} erased L1 entries among {leaks} leaks: named soon",
               [str(code), text[-600:]])


def every_other(tap):
    """Every other L1 entry is empty, and two tables lack a name."""
    n = 1 << 20
    l1 = words(*[COPIED | 300 * C, 0] * (n // 2))
    used = [0, 1, 2, *range(100, 100 + len(l1) // C), 300, 301,
            *range(400, 460)]
    orphan = words(*(COPIED | (410 + i) * C for i in range(20)))
    other = words(*(COPIED | (440 + i) * C for i in range(20)))
    write({100: l1, 300: words(COPIED | 301 * C), 400: orphan, 401: other},
          used, 500, n << 29, (100, n))
    code, text = run("check", "--output=json", IMG)
    tap.result(code == 2 and "l2-table-orphaned" in findings(text),
               f"{n // 2} empty L1 entries, two tables that lack one",
               [str(code), text[-600:]])


def garbage_tables(tap):
    """Twenty thousand L2 tables that hold text."""
    n = 20000
    parts = {2000 + i: b"%08d not a table at all. " % i * 30
             for i in range(n)}
    write({100: words(*(COPIED | (2000 + i) * C for i in range(n))), **parts},
          [0, 1, 2, 100, 101, 102, *parts], 2000 + n, n << 29, (100, n))
    code, text = run("check", "--output=json", IMG)
    tap.result(code == 2 and "l2-table-garbage" in findings(text),
               f"{n} tables of garbage: told soon", [text[-600:]])


def many_versions(tap):
    """Four thousand versions of one L2 table, half of them empty."""
    n = 4000
    parts = {4000 + i: words((20000 + i) * C) for i in range(n)}
    parts.update({8000 + i: words((12000 + i) * C if i % 2 else 0,
                                  300 * C) if i % 2 else bytes(8)
                  for i in range(n)})
    table = b"".join(snapshot(i, 4000 + i, 1) for i in range(n))
    parts.update({4000 + i: words((8000 + i) * C) for i in range(n)})
    used = {i: 1 for i in [0, 1, 2, 3, *range(16, 24), *range(4000, 16000)]}
    write({3: words(0), 16: table, **parts}, {**used, 300: 2000, 31000: 1},
          31500, snapshots=(16, n))
    code, text = run("check", "--output=json", IMG)
    tap.result(code == 3, f"{n} versions of a table: compared soon",
               [str(code), text[-600:]])


def doubles_in_versions(tap):
    """Thousands of clusters with two owners, in hundreds of versions."""
    n, half = 600, 4096
    twice = [(2000 + min(i, 2 * half - 1 - i)) * C
             for i in range(2 * half - 1)]
    parts = {16000 + i: words(*twice, (8000 + i) * C) for i in range(n)}
    parts.update({14000 + i: words((16000 + i) * C) for i in range(n)})
    table = b"".join(snapshot(i, 14000 + i, 1) for i in range(n))
    used = [0, 1, 2, 3, 16, *range(2000, 2000 + half), *range(8000, 8000 + n),
            *parts]
    write({3: words(0), 16: table, **parts}, used, 20000, 1 << 29,
          snapshots=(16, n))
    code, text = run("check", "--output=json", IMG)
    tap.result(code == 2 and "cluster-shared-data" in findings(text),
               f"{half} clusters, each twice in {n} snapshots",
               [str(code), text[-600:]])


def one_value(tap):
    """An L1 table of the largest size that holds one value throughout."""
    n = 4 << 20
    write({100: words(COPIED | 3000 * C) * n,
           3000: words(*(COPIED | (5000 + i) * C for i in range(8192)))},
          range(32768), 20000, n << 29, (100, n))
    code, text = run("check", "--output=json", IMG)
    tap.result(code == 2 and "l2-table-shared" in findings(text),
               f"{n} L1 entries of one value", [str(code), text[-600:]])


def sound_snapshots(tap):
    """All snapshots that there can be, with one sound L1 table."""
    n, entries = 65536, 4096
    parts = {10000 + i: words((20000 + i) * C) for i in range(entries)}
    write({16: b"".join(snapshot(i, 2000, entries) for i in range(n)),
           2000: words(*((10000 + i) * C for i in range(entries))), **parts},
          range(32768), 30000, snapshots=(16, n))
    code, text = run("repair", "-n", IMG)
    tap.result(code == 2 and "1603 cluster-shared-tables" in text,
               f"{n} snapshots with one L1 table of {entries} entries",
               [str(code), text[-600:]])


def one_bitmap(tap):
    """All bitmaps that there can be, with one table of a million entries."""
    n, entries = 65535, 1 << 20
    directory = b"".join(
        struct.pack(">QIIBBHI", 3000 * C, entries, 2, 1, 16, 6, 0) +
        f"{i:06}".encode() + bytes(2) for i in range(n))
    extension = struct.pack(">IIIIQQ", 0x23852875, 24, n, 0, len(directory),
                            50 * C) + bytes(8)
    write({50: directory,
           3000: words(*((5000 + i % 20000) * C for i in range(entries)))},
          range(32768), 32768, 1 << 52, extension=extension)
    code, text = run("check", "--output=json", IMG)
    tap.result(code == 2 and "cluster-shared-tables" in findings(text),
               f"{n} bitmaps with one table", [str(code), text[-600:]])


def text_blocks(tap):
    """Twenty thousand refcount blocks that hold text: each cluster of forty
    million is stated differently."""
    n, bits = 20000, 12
    write({3: words(0)}, [0], n * 2048, bits=bits)
    with open(IMG, "r+b") as f:
        f.seek(48)
        f.write(struct.pack(">QI", 200 << bits, (n * 8 >> bits) + 1))
        f.seek(200 << bits)
        f.write(words(*((1000 + i) << bits for i in range(n))))
        for i in range(n):
            f.seek((1000 + i) << bits)
            f.write(b"%08d text in here " % i * 230)
    code, text = run("check", "--output=json", IMG)
    tap.result(code == 2 and "refblock-wrong" in findings(text),
               f"{n} refcount blocks of text", [str(code), text[-600:]])


def garbage_snapshots(tap):
    """All snapshots that there can be, with one L1 table of garbage."""
    n, entries = 65536, 4096
    write({16: b"".join(snapshot(i, 2000, entries, entries << 29)
                        for i in range(n)),
           2000: words(*(0x200 | (i * 2654435761 % 2 ** 40) << 9
                         for i in range(entries)))},
          range(32768), 3000, snapshots=(16, n))
    code, text = run("check", "--output=json", IMG)
    tap.result(code == 2 and '"lost-cut": true' in text,
               f"{n} snapshots lose {entries} tables: told for the first ones",
               [str(code), text[-600:]])


def riddled(tap):
    """Tables with every other entry, whose L1 entries were erased: the losses
    are too many to be told one by one."""
    n, half = 200, 4096
    data = range(10000, 10000 + half)
    table = words(*(w for i in data for w in (i * C, 0)))
    used = dict.fromkeys([0, 1, 2, 3, 100, 200, 300, 301, 302], 1)
    used.update(dict.fromkeys(range(1000, 1000 + n), 2))
    used.update(dict.fromkeys(data, n + 50))
    write({3: snapshot(0, 200, n + 1), 100: words(COPIED | 300 * C),
           200: words(301 * C, *((1000 + i) * C for i in range(n))),
           300: words(COPIED | 302 * C), 301: words(302 * C),
           **{1000 + i: table for i in range(n)}},
          used, 20000, (n + 1) << 29, (100, n + 1), snapshots=(3, 1))
    code, text = run("check", "--output=json", IMG)
    report = json.loads(text[:text.rindex("}") + 1])
    lost = sum(r["length"] for r in report["lost"] if r["holder"] == "active")
    tap.result(code == 2 and report.get("lost-coarse") is True and
               half < len(report["lost"]) <= 1 << 18 and
               n * half * C <= lost <= n << 29,
               f"{n * half} stretches are lost: told in fewer",
               [str(code), str(lost), str(len(report["lost"])), text[-300:]])


def old_copies(tap):
    """An overwritten table, and copies that name a hundred thousand leaks
    from the last one to the first."""
    n, copies, bits = 131072, 4, 21
    leaks = [1000 + 2 * (n - 1 - k) for k in range(n)]
    copy = words(*(i << bits | COPIED for i in leaks))
    write({3: words(4 << bits | COPIED), 4: b"U" * (1 << bits),
           **{5 + i: copy for i in range(copies)}},
          [0, 1, 2, 3, 4, *leaks], 1000 + 2 * n, 512 << 30, bits=bits)
    code, text = run("repair", "-n", IMG)
    tap.result(code == 2 and "from an older copy" in text,
               f"{copies} older copies of a table with {n} entries",
               [str(code), text[-600:]])


def main():
    tap = Tap()
    with tempfile.TemporaryDirectory(dir="/dev/shm") as tmp:
        os.chdir(tmp)
        shared_l1(tap)
        lost_snapshots(tap)
        garbage_l1(tap)
        shared_l2(tap)
        erased_entries(tap)
        every_other(tap)
        garbage_tables(tap)
        many_versions(tap)
        doubles_in_versions(tap)
        one_value(tap)
        sound_snapshots(tap)
        one_bitmap(tap)
        text_blocks(tap)
        garbage_snapshots(tap)
        riddled(tap)
        old_copies(tap)
    return tap.finish()


if __name__ == "__main__":
    sys.exit(main())
