#!/usr/bin/env python3
"""Lost mappings are told from leaks, on many layouts.

Each case maps three stretches of a disk, erases or overwrites a table, and
asks: is the verdict corrupt, is the guilty table named, do the lost ranges
cover what was mapped through it, and are the leaks withheld? A writer that
was killed must stay a leak.
"""
import json
import os
import random
import struct
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
from tap import Tap  # noqa: E402

QFSCK = os.environ.get("QFSCK") or os.path.abspath(
    os.path.join(os.path.dirname(__file__), "..", "..", "qfsck"))
IMG = "lost.qcow2"
MASK = 0xfffffffffffe00

LAYOUTS = {
    "64k": {},
    "4k-v2": {"cluster_size": 4096, "compat": "0.10"},
    "512": {"cluster_size": 512},
    "2m": {"cluster_size": 2 << 20},
    "ref1": {"refcount_bits": 1},
    "ref64": {"refcount_bits": 64},
    "extl2": {"extended_l2": "on"},
}


def run(*argv):
    return subprocess.run(argv, capture_output=True, text=True, timeout=60)


class Image:
    """An image with three mapped stretches, one an L2 table."""

    def __init__(self, opts, snapshot=False):
        if os.path.exists(IMG):
            os.remove(IMG)
        options = ",".join(f"{k}={v}" for k, v in opts.items())
        self.cluster = int(opts.get("cluster_size", 65536))
        entry = 16 if opts.get("extended_l2") else 8
        self.span = self.cluster // entry * self.cluster
        self.mapped = [(i * 2 * self.span, min(10 * self.cluster, self.span))
                       for i in range(3)]
        run("qemu-img", "create", "-q", "-f", "qcow2",
            *(["-o", options] if options else []), IMG, str(6 * self.span))
        for n, (off, length) in enumerate(self.mapped):
            run("qemu-io", "-c", f"write -P {n + 1} {off} {length}", IMG)
        if snapshot:
            run("qemu-img", "snapshot", "-c", "keep", IMG)

    def l1(self):
        with open(IMG, "rb") as f:
            head = f.read(48)
            size, off = struct.unpack(">IQ", head[36:48])
            f.seek(off)
            return off, struct.unpack(f">{size}Q", f.read(8 * size))

    def table(self, n):
        return [e & MASK for e in self.l1()[1] if e][n]

    def poke(self, off, data):
        with open(IMG, "r+b") as f:
            f.seek(off)
            f.write(data)

    def peek(self, off, n):
        with open(IMG, "rb") as f:
            f.seek(off)
            return f.read(n)


def zero_l2(img, n):
    img.poke(img.table(n), bytes(img.cluster))
    return "l2-table-erased", n


def hole_l2(img, n):
    run("fallocate", "--punch-hole", "-o", str(img.table(n)), "-l",
        str(img.cluster), IMG)
    return "l2-table-erased", n


def zero_l1_entry(img, n):
    off, entries = img.l1()
    used = [i for i, e in enumerate(entries) if e]
    img.poke(off + 8 * used[n], bytes(8))
    return "l2-table-orphaned", n


def random_l2(img, n):
    img.poke(img.table(n), random.Random(n).randbytes(img.cluster))
    return "l2-table-garbage", n


def text_l2(img, n):
    img.poke(img.table(n), (b"all work and no play\n" * 200000)[:img.cluster])
    return "l2-table-garbage", n


def entry_l2(img, n):
    at = img.table(n)
    (entry,) = struct.unpack(">Q", img.peek(at, 8))
    img.poke(at, struct.pack(">Q", entry | 0x200 if img.cluster > 512
                             else entry | 1 << 50))
    return ("l2-entry-unaligned" if img.cluster > 512
            else "l2-entry-outside"), n


DAMAGES = (zero_l2, hole_l2, zero_l1_entry, random_l2, text_l2, entry_l2)


def check(*argv):
    out = run(QFSCK, "check", "--output=json", *argv, IMG)
    return out.returncode, json.loads(out.stdout)


def covers(lost, off, length):
    return any(r["holder"] == "active" and r["guest-offset"] <= off and
               r["guest-offset"] + r["length"] >= off + length for r in lost)


def damaged(tap, name, opts, damage, n):
    img = Image(opts)
    problem, which = damage(img, n)
    code, report = check()
    names = {f["name"] for f in report["findings"]}
    off, length = img.mapped[which]
    if damage is entry_l2:
        length = img.cluster
    good = (code == 2 and report["verdict"] == "corrupt" and problem in names
            and covers(report["lost"], off, length)
            and "refcount-leak" not in names)
    tap.result(good, f"{name}: {damage.__name__} {n}",
               [f"exit {code}, {sorted(names)}, lost {report['lost'][:4]}, "
                f"want {problem} over {off:#x}+{length:#x}"])


def forgotten_snapshots(tap, name, opts):
    img = Image(opts, snapshot=True)
    img.poke(60, bytes(4))
    code, report = check()
    names = {f["name"] for f in report["findings"]}
    tap.result(code == 2 and "snapshot-table-orphaned" in names and
               any(r["holder"] == "1" for r in report["lost"]),
               f"{name}: snapshot count zeroed",
               [f"exit {code}, {sorted(names)}, {report['lost']}"])


def emptied_beside_snapshot(tap, name, opts):
    img = Image(opts, snapshot=True)
    run("qemu-io", "-c", f"write -P 9 0 {img.cluster}", IMG)
    img.poke(img.table(0), bytes(img.cluster))
    code, report = check()
    names = {f["name"] for f in report["findings"]}
    tap.result(code == 2 and "l2-table-erased" in names and
               covers(report["lost"], *img.mapped[0]),
               f"{name}: active table zeroed beside a snapshot",
               [f"exit {code}, {sorted(names)}, {report['lost']}"])


def used_up(tap, how):
    """The cluster behind the table is no leak: discarded, or copied."""
    if os.path.exists(IMG):
        os.remove(IMG)
    rng = random.Random(how)
    span = 512 << 20
    offs = [rng.randrange(4 << 14) << 16 for _ in range(2500)]
    first = next(off for off in offs if off // span == 1)
    run("qemu-img", "create", "-q", "-f", "qcow2", IMG, "4G")
    subprocess.run(["qemu-io", IMG], text=True, capture_output=True,
                   check=True, timeout=60,
                   input="".join(f"write -q {off} 64k\n" for off in offs))
    if how == "discarded":
        run("qemu-io", "-d", "unmap", "-c", f"discard {first} 64k", IMG)
    else:
        run("qemu-img", "snapshot", "-c", "s", IMG)
        run("qemu-io", "-c", f"write {first} 64k", IMG)
        run("qemu-img", "snapshot", "-d", "s", IMG)
    with open(IMG, "r+b") as file:
        file.seek(40)
        (l1_off,) = struct.unpack(">Q", file.read(8))
        file.seek(l1_off + 8)
        table = struct.unpack(">Q", file.read(8))[0] & MASK
        file.seek(table)
        file.write(bytes(65536))
    code, report = check()
    tables = [f["host-offset"] for f in report["findings"]
              if f["name"] == "l2-table-erased"]
    tap.result(code == 2 and tables == [table] and
               covers(report["lost"], span, span),
               f"erased after its first cluster was {how}",
               [f"exit {code}, {[f['name'] for f in report['findings']]}"])


def behind_many_leaks(tap):
    """An orphaned table is found behind a thousand plain leaks."""
    img = Image({})
    problem, which = zero_l1_entry(img, 2)
    with open(IMG, "r+b") as file:
        file.seek(48)
        (reftable,) = struct.unpack(">Q", file.read(8))
        file.seek(reftable)
        (block,) = struct.unpack(">Q", file.read(8))
        file.seek(0, os.SEEK_END)
        end = (file.tell() + 65535) // 65536
        file.truncate((end + 3000) * 65536)
        # apart from each other, so that each is a stretch of its own
        for cluster in range(end, end + 3000, 2):
            file.seek(block + 2 * cluster)
            file.write(b"\0\1")
            file.seek(65536 * cluster)
            file.write(b"no table" * 8192)
    code, report = check()
    names = {f["name"] for f in report["findings"]}
    tap.result(code == 2 and problem in names and
               covers(report["lost"], *img.mapped[which]),
               "an orphan among 1500 leaks", [f"exit {code}, {names}"])


def killed_writers(tap):
    """What qemu-img calls leaks after a kill -9 stays leaks."""
    rng = random.Random(7)
    seen, wrong = 0, []
    for _ in range(14):
        if os.path.exists(IMG):
            os.remove(IMG)
        size = rng.choice((4096, 65536))
        run("qemu-img", "create", "-q", "-f", "qcow2", "-o",
            f"cluster_size={size}", IMG, "1G")
        # a disk that was used before: an image's very first table, still
        # empty, cannot be told from one that was erased
        run("qemu-io", "-c", "write -q 0 64k", IMG)
        p = subprocess.Popen(["qemu-io", IMG], stdin=subprocess.PIPE,
                             stdout=subprocess.DEVNULL, text=True,
                             stderr=subprocess.DEVNULL)
        p.stdin.write("\n".join(f"aio_write -q {i * 65536} 65536"
                                for i in range(3000)) + "\n")
        p.stdin.flush()
        time.sleep(rng.uniform(0.02, 0.2))
        p.kill()
        p.communicate()
        theirs = run("qemu-img", "check", IMG).returncode
        ours, report = check()
        if theirs == 3:
            seen += 1
            if ours != 3:
                wrong.append(str([(f["name"], f.get("host-offset"))
                                  for f in report["findings"]]))
    tap.result(not wrong, "killed writers left leaks and nothing else",
               [f"{seen} of them left leaks"] + wrong)


def many_requests(tap):
    """A writer of 800 requests at once: most have no entry when it is killed,
    and so have some before them, of which each came later than others."""
    cluster = 65536
    if os.path.exists(IMG):
        os.remove(IMG)
    run("qemu-img", "create", "-q", "-f", "qcow2", IMG, "1G")
    run("qemu-io", "-c", f"write -q 0 {833 * cluster}", IMG)
    late = [86, 87, 91, 96, 124, 171, 250, 305, 306, 380, *range(445, 833)]
    with open(IMG, "r+b") as file:
        for index in late:
            file.seek(4 * cluster + 8 * index)
            entry, = struct.unpack(">Q", file.read(8))
            assert entry & MASK == (5 + index) * cluster, index
            file.seek(4 * cluster + 8 * index)
            file.write(bytes(8))
    theirs = run("qemu-img", "check", IMG).returncode
    code, report = check()
    tap.result(theirs == code == 3, "a writer killed with 800 requests",
               [f"{theirs}, {code}", str(report["findings"])[:600]])


def living(tap):
    """Beside a writer that writes and discards all the while."""
    run("qemu-img", "create", "-q", "-f", "qcow2", "-o", "cluster_size=4096",
        IMG, "256M")
    p = subprocess.Popen(["qemu-io", IMG], stdin=subprocess.PIPE, text=True,
                         stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    rng = random.Random(3)
    bad = []
    for _ in range(40):
        for _ in range(20):
            off = rng.randrange(4000) * 65536
            p.stdin.write(rng.choice((f"aio_write -q {off} 65536",
                                      f"discard -q {off} 65536",
                                      f"write -q {off} 4096", "flush")) + "\n")
        p.stdin.flush()
        code, report = check("-U")
        if code:
            bad.append(str([f["name"] for f in report["findings"]]))
    refused = run(QFSCK, "check", IMG)
    tap.result(not bad, "a living image raises no false alarm", bad[:3])
    tap.result(refused.returncode == 1 and str(p.pid) in refused.stderr,
               "without -U it is refused, and the holder named",
               [refused.stderr])
    p.kill()
    p.communicate()


def many_holders(tap):
    """Of three hundred snapshots, each loses what all had."""
    img = Image({})
    for number in range(300):
        run("qemu-img", "snapshot", "-c", f"s{number}", IMG)
    zero_l2(img, 0)
    code, report = check()
    holders = {r["holder"] for r in report["lost"]}
    tap.result(code == 2 and len(holders) == 301,
               "every one of 300 snapshots loses",
               [f"exit {code}, {len(holders)} holders"])


def in_doubt(tap):
    """Beside a program that has the image open, an erased table is told."""
    img = Image({})
    zero_l2(img, 1)
    p = subprocess.Popen(["qemu-io", IMG], stdin=subprocess.PIPE, text=True,
                         stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    names = set()
    until = time.monotonic() + 20
    while "image-in-use" not in names and time.monotonic() < until:
        time.sleep(0.1)     # it opens the image a moment after its start
        code, report = check("-U")
        names = {f["name"] for f in report["findings"]}
    tap.result(code == 0 and "image-in-use-doubt" in names,
               "an erased table is a warning while the image is in use",
               [f"exit {code}, {names}"])
    p.communicate("quit\n")


def main():
    tap = Tap()
    with tempfile.TemporaryDirectory() as tmp:
        os.chdir(tmp)
        for name, opts in LAYOUTS.items():
            for damage in DAMAGES:
                for n in (0, 2) if name in ("64k", "512") else (1,):
                    damaged(tap, name, opts, damage, n)
            if name not in ("ref1",):
                forgotten_snapshots(tap, name, opts)
                emptied_beside_snapshot(tap, name, opts)
        used_up(tap, "discarded")
        used_up(tap, "copied")
        behind_many_leaks(tap)
        killed_writers(tap)
        many_requests(tap)
        living(tap)
        in_doubt(tap)
        many_holders(tap)
    return tap.finish()


if __name__ == "__main__":
    sys.exit(main())
