#!/usr/bin/env python3
"""extract --path: one file of the guest's, whole or past damage.

The oracle is the file that went in, byte by byte; where a cluster or a block
that maps others is lost, only what lay there may be missing, and it must be
told: a hole is a hole only where the file system says so.
"""

import hashlib
import os
import re
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "lib"))

from guests import *                                        # noqa: E402,F403
from qcow2 import Image                                     # noqa: E402
from tap import Tap                                         # noqa: E402
from tools import own_folder                                # noqa: E402

tap = Tap()
MIB = 1 << 20
SMALL = {"TEST_DIR": "x", "TEST_DEV": "x", "QA_CHECK_FS": "x"}


def extract(path, name, *args):
    """(exit status, bytes or None, JSON, stderr, blocks on the disk)."""
    for old in ("out", "out.map"):
        if os.path.exists(old):
            os.remove(old)
    status, out, err = run([qfsck_path(), "extract", "--path=" + name,
                            "--output=json", *args, path, "out"])
    data = blocks = None
    if os.path.exists("out"):
        with open("out", "rb") as f:
            data = f.read()
        blocks = os.stat("out").st_blocks
    return status, data, parse(out), err.decode(errors="replace"), blocks


def sparse(path):
    """A file with data at its beginning, in the midst and at its end."""
    with open(path, "wb") as f:
        f.write(b"first".ljust(5000, b"1"))
        f.seek(700000)
        f.write(b"midst".ljust(9000, b"2"))
        f.seek(2000000)
        f.write(b"last".ljust(3333, b"3"))


def files_below(root, **more):
    paths = tree(root, files=50, seed=4, odd=False, **more)
    paths += ["sparse", "large"]
    sparse(os.path.join(root, "sparse"))
    with open(os.path.join(root, "large"), "wb") as f:
        f.write(b"".join(hashlib.sha256(b"%d" % n).digest()
                         for n in range(100000)))
    return paths


def debugfs(path, *commands, write=False):
    return quiet("debugfs", *(["-w"] if write else []), "-f", "-", path,
                 feed="\n".join(commands).encode())


def ext(kind, root, path):
    paths = files_below(root)
    raw(path, 60 * MIB)
    quiet("mke2fs", "-q", "-t", kind, "-b", "1024", "-I", "256", "-d", root,
          *(["-O", "inline_data"] if kind == "ext4" else []), path)
    return paths


def ext4(root, path):
    return ext("ext4", root, path)


def ext3(root, path):
    return ext("ext3", root, path)


def xfs(root, path):
    paths = files_below(root, spaces=False)
    lines = ["/none", "0 0", "d--755 0 0"]

    def add(folder):
        for name in sorted(os.listdir(folder)):
            at = os.path.join(folder, name)
            if os.path.isdir(at):
                lines.append("%s d--755 0 0" % name)
                add(at)
                lines.append("$")
            else:
                lines.append("%s ---644 0 0 %s" % (name, at))

    add(root)
    with open("proto", "w") as f:
        f.write("\n".join(lines + ["$"]) + "\n")
    raw(path, 64 * MIB)
    quiet("mkfs.xfs", "-q", "-p", "proto", path, **SMALL)
    return paths


def ntfs(root, path):
    paths = [p for p in files_below(root) if "/" not in p]
    raw(path, 64 * MIB)
    quiet("mkntfs", "-F", "-q", "-s", "512", "-p", "0", "-H", "255", "-S",
          "63", path)
    for name in paths:
        quiet("ntfscp", "-q", "-f", path, os.path.join(root, name), name)
    return paths


def vfat(root, path):
    paths = files_below(root)
    raw(path, 64 * MIB)
    quiet("mkfs.fat", "-F", "32", "-s", "1", path)
    for name in sorted(os.listdir(root)):
        quiet("mcopy", "-s", "-m", "-i", path, os.path.join(root, name), "::/")
    return paths


def btrfs(root, path):
    paths = files_below(root)
    raw(path, 128 * MIB)
    quiet("mkfs.btrfs", "-q", "-m", "dup", "--rootdir", root, path)
    return paths


def iso(root, path):
    paths = files_below(root)
    quiet("genisoimage", "-quiet", "-R", "-o", path, root)
    return paths


def bytes_of(root, name):
    with open(os.path.join(root, name), "rb") as f:
        return f.read()


def whole(make):
    """Every file of a sound disk."""
    kind = make.__name__
    root, path = kind + ".tree", kind + ".raw"
    paths, notes = make(root, path), []
    qcow2 = image(path, 4096)
    for name in paths[::3] + ["sparse", "large"]:
        status, data, told, err, blocks = extract(qcow2, "/" + name)
        if status or err or data != bytes_of(root, name):
            notes.append("%s: %s %s %s" % (name, status, err, data and
                                           len(data)))
        elif told["lost"] or told["length"] != len(data) or told["map"]:
            notes.append("%s: %s" % (name, told))
        if name == "sparse" and blocks and blocks * 512 > 100000:
            notes.append("no holes: %d blocks" % blocks)
    tap.result(not notes, kind + ": every file as it went in", notes)
    return root, path, qcow2


def wound(qcow2, name, spots):
    """A copy whose L2 entries for these places of the disk are no pointers."""
    one = copy(qcow2, name)
    with Image(one) as im:
        for at in spots:
            pos = im.l2_pos(at // im.cluster // im.l2_entries,
                            at // im.cluster % im.l2_entries)
            im.put64(pos, im.u64(pos) | 0x200)
    return one


def lost_ranges(told):
    return merged((r["start"], r["start"] + r["length"])
                  for r in told["lost"])


def mapped(path):
    with open(path) as f:
        rows = [line.split() for line in f if line[0] != "#"][1:]
    return ([(int(a, 16), int(a, 16) + int(n, 16)) for a, n, s in rows
             if s == "-"],
            merged((int(a, 16), int(a, 16) + int(n, 16))
                   for a, n, s in rows))


def damaged_data(kind, root, path, qcow2):
    """Two clusters of a file are lost: its other bytes are there."""
    data = bytes_of(root, "large")
    pieces = guest(qcow2, "--path=/large")[1]["files"][0]["pieces"]
    rows = [(p["start"], p["file-offset"], p["length"]) for p in pieces
            if p.get("file-offset") is not None]

    def place(off):
        return next(s + off - o for s, o, n in rows if o <= off < o + n)

    spots = [place(1000000) & ~4095, place(len(data) - 1) & ~4095]
    one = wound(qcow2, kind + ".wound.qcow2", spots)
    gone = merged((max(o, o + at - s), min(o + n, o + at - s + 4096,
                                           len(data)))
                  for at in spots for s, o, n in rows
                  if at < s + n and at + 4096 > s)
    status, got, told, err, _ = extract(one, "/large")
    wanted = bytearray(data)
    for a, b in gone:
        wanted[a:b] = bytes(b - a)
    rows_, all_ = mapped("out.map") if os.path.exists("out.map") else ([], [])
    tap.result(status == 1 and got == bytes(wanted) and
               lost_ranges(told) == gone == merged(rows_) and
               all_ == [(0, len(data))] and "of the file is lost" in err,
               kind + ": past damage, with a map of it",
               [str(status), err, str(gone), str(told), str(rows_)])


def blocks_that_map(path, name):
    text = debugfs(path, "stat %s" % name)
    return [int(n) for n in
            re.findall(r"\((?:ETB\d+|D?IND|TIND)\):(\d+)", text)]


def damaged_map(kind, root, path, qcow2):
    """A block that maps others is lost: no hole is made of that."""
    name = "large" if kind == "ext3" else "many"
    blocks = blocks_that_map(path, name)
    one = wound(qcow2, kind + ".map.qcow2", [blocks[0] * 1024 & ~4095])
    data = bytes_of(root, name)
    status, got, told, err, _ = extract(one, "/" + name)
    lost = lost_ranges(told) if told else []
    kept = [n for n in range(0, len(data), 1024)
            if not inside([(n, min(n + 1024, len(data)))], lost)]
    good = all(got[n:n + 1024] == data[n:n + 1024] for n in kept)
    tap.result(status == 1 and blocks and lost and good and
               len(got) == len(data) and
               "nothing tells where" in str(told["lost"]),
               kind + ": a block that maps others is lost",
               [str(status), err, str(blocks), str(lost)])


def inside(pieces, ranges_):
    return sum(max(0, min(b, d) - max(a, c))
               for a, b in pieces for c, d in ranges_)


def never_written(root, path):
    """Room that was taken and not written to reads as zeros, whatever the
    disk has there; and a file in many pieces."""
    full = os.path.join(root, "large")
    debugfs(path, "rm large", "write %s room" % full, "punch room 0 3200",
            "fallocate room 0 3124", write=True)
    with open(os.path.join(root, "room"), "wb") as f:
        f.truncate(os.path.getsize(full))
    unwritten = "Uninit" in debugfs(path, "ex room") or \
        "[u]" in debugfs(path, "stat room")
    with open(os.path.join(root, "many"), "wb") as f:
        for n in range(400):
            f.seek(n * 4096)
            f.write(b"%d" % n * 500)
    debugfs(path, "write %s many" % os.path.join(root, "many"), write=True)
    qcow2 = image(path, 4096)
    notes = [] if unwritten else ["nothing is unwritten"]
    for name in ("room", "many"):
        status, data, told, err, _ = extract(qcow2, "/" + name)
        if status or data != bytes_of(root, name):
            notes.append("%s: %s %s %s" % (name, status, err, told))
    tap.result(not notes, "ext4: room that was never written, many extents",
               notes)
    return qcow2


def copies(root, path, qcow2):
    """btrfs keeps its trees twice: one of them is enough."""
    with open(path, "rb") as f:
        disk = f.read()
    fsid = disk[65536 + 32:65536 + 48]
    nodes = {}
    for at in range(MIB, len(disk), 4096):
        if disk[at + 32:at + 48] == fsid and at != 65536:
            nodes.setdefault(disk[at + 48:at + 56], []).append(at)
    spots = [at + n for twins in nodes.values() if len(twins) == 2
             for at in twins[:1] for n in range(0, 16384, 4096)]
    one = wound(qcow2, "twins.qcow2", spots)
    status, data, _, err, _ = extract(one, "/large")
    tap.result(spots and (status == 0 and data == bytes_of(root, "large") or
                          status == 1),
               "btrfs: the first copies of its nodes are lost",
               [str(status), err])


def refusals(qcow2, folder):
    notes = []
    for name, word in (("/none", "no file system on the disk has this file"),
                       ("/" + folder, "a directory"), ("/", "a directory")):
        status, data, told, err, _ = extract(qcow2, name)
        if status != 1 or data is not None or word not in err:
            notes.append("%s: %s %s" % (name, status, err))
    extract(qcow2, "/sparse")
    status, _, err = run([qfsck_path(), "extract", "--path=/large", qcow2,
                          "out"])
    if status != 1 or b"nothing is overwritten" not in err:
        notes.append("over a file: %s %s" % (status, err))
    library = os.path.abspath("nochild.so")
    subprocess.run([os.environ.get("CC", "cc"), "-std=c11", "-D_GNU_SOURCE",
                    "-shared", "-fPIC", "-o", library,
                    os.path.join(HERE, "nochild.c"), "-ldl"], check=True)
    for spare in range(3):
        os.environ.update(LD_PRELOAD=library, NOCHILD_SPARE=str(spare))
        try:
            status, data, told, err, _ = extract(qcow2, "/large")
        finally:
            del os.environ["LD_PRELOAD"], os.environ["NOCHILD_SPARE"]
        if status != 1 or data is not None or "broke down" not in err:
            notes.append("dead child %d: %s %s" % (spare, status, err))
    tap.result(not notes, "what there is not, and children that die", notes)


def ways(root, qcow2):
    """A snapshot, standard output, the hash."""
    one = copy(qcow2, "ways.qcow2")
    quiet("qemu-img", "snapshot", "-c", "old", one)
    data = bytes_of(root, "large")
    at = next(p["start"] for p in
              guest(one, "--path=/large")[1]["files"][0]["pieces"]
              if p.get("file-offset") == 0)
    quiet("qemu-io", "-c", "write -q -P 7 %d 512" % at, one)
    now = extract(one, "/large")[1]
    was = extract(one, "/large", "-s", "old")[1]
    status, out, err = run([qfsck_path(), "extract", "--hash", "--path=/large",
                            "-s", "old", one, "-"])
    tap.result(now == b"\7" * 512 + data[512:] and was == data == out and
               status == 0 and
               hashlib.sha256(data).hexdigest() in err.decode(),
               "a snapshot, standard output, the hash", [str(status), str(err)])


own_folder()
made = {row.__name__: whole(row)
        for row in (ext4, ext3, xfs, ntfs, vfat, btrfs, iso)}
for key in ("ext4", "ext3", "xfs", "ntfs", "vfat", "btrfs"):
    damaged_data(key, *made[key])
damaged_map("ext3", *made["ext3"])
copies(*made["btrfs"])
refusals(made["ext4"][2], "folder3")
ways(made["ext4"][0], made["ext4"][2])
pieces_of = never_written(*made["ext4"][:2])
damaged_map("ext4", *made["ext4"][:2], pieces_of)
sys.exit(tap.finish())
