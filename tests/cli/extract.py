#!/usr/bin/env python3
"""qfsck extract against qemu-img convert, and past damage."""

import hashlib
import os
import re
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "lib"))

from tap import Tap                                         # noqa: E402
from show import WORK, each_layout, qfsck, shown            # noqa: E402
import make                                                 # noqa: E402
import qcow2                                                # noqa: E402
import tools                                                # noqa: E402

tap = Tap()


def read(path):
    with open(path, "rb") as f:
        return f.read()


def digest(path):
    """SHA-256 and length, without holding the file."""
    sha, length = hashlib.sha256(), 0
    with open(path, "rb") as f:
        while piece := f.read(1 << 20):
            sha.update(piece)
            length += len(piece)
    return sha.hexdigest(), length


def theirs_of(path, limit, *args):
    raw = path + ".theirs"
    tools.qemu_img("convert", "-O", "raw", *args, path, raw,
                   cwd=os.path.dirname(path))
    os.truncate(raw, limit)
    found = digest(raw)
    os.remove(raw)
    return found


def one(path, size, ours, theirs):
    """OURS and THEIRS: options for a state of the disk."""
    out = path + ".ours"
    told = shown("extract", "--hash", *ours, path, out)
    found = digest(out)
    os.remove(out)
    notes = []
    if found != theirs_of(path, size, *theirs):
        notes.append("%s: not qemu-img's bytes" % (ours,))
    if (told["sha256"], told["length"]) != found or told["lost"]:
        notes.append("%s: told %s of %s" % (ours, told, found))
    return notes


def compare(name, path):
    info = shown("info", path)
    notes = one(path, info["virtual-size"], (), ())
    for snap in info["snapshots"]:
        notes += one(path, snap["disk-size"], ("-s", snap["name"]),
                     ("-l", "snapshot.id=" + snap["id"]))
    return notes


def stream():
    path = os.path.join(WORK, "stream.qcow2")
    make.build(path, "3M", ["write -P 1 0 64k", "write -P 2 2M 64k"])
    status, out, err = qfsck("extract", "--hash", path, "-")
    sha = hashlib.sha256(out).hexdigest()
    want = b"\1" * 65536 + bytes((2 << 20) - 65536) + b"\2" * 65536 + bytes(
        (1 << 20) - 65536)
    tap.result(status == 0 and out == want and err.split() == [sha, "-"],
               "to standard output, the hash beside it", [str(status), err])


def sparse():
    path = os.path.join(WORK, "sparse.qcow2")
    make.build(path, "1G", ["write -P 1 0 64k", "write -P 0 4M 1M",
                            "write -P 3 1023M 1k"])
    raw = path + ".out"
    status, out, err = qfsck("extract", path, raw)
    stat = os.stat(raw)
    tap.result(status == 0 and stat.st_size == 1 << 30
               and stat.st_blocks * 512 <= 128 << 10 and not out and not err,
               "holes for zeros, also at the end and where zeros were written",
               [str(stat), err])
    os.remove(raw)
    os.chmod(path, 0o640)
    qfsck("extract", path, raw)
    tap.result(os.stat(raw).st_mode & 0o777 == 0o640,
               "who may not read the image may not read its data")


def longer_than_a_file():
    """ext4 has files of 16 TiB at most; others can hold it."""
    path = os.path.join(WORK, "long.qcow2")
    make.build(path, "32T")
    out = path + ".out"
    status, _, err = qfsck("extract", path, out)
    held = status == 0 and os.path.getsize(out) == 32 << 40
    tap.result(held or status == 1 and "as long as the disk" in err
               and not os.path.exists(out),
               "a file system that cannot hold it says so at once",
               [str(status), err])


def lines_of(map_file):
    """The map's ranges; its form must be ddrescue's."""
    lines = [l for l in read(map_file).decode().splitlines()
             if not l.startswith("#")]
    if not re.fullmatch(r"0x[0-9A-F]+ +\+ +\d+", lines[0]):
        return None
    ranges = [(int(a, 16), int(b, 16), c) for a, b, c in
              (l.split() for l in lines[1:])]
    for before, after in zip(ranges, ranges[1:]):
        if before[0] + before[1] != after[0]:
            return None
    return ranges


def damage():
    path = os.path.join(WORK, "damaged.qcow2")
    make.build(path, "8M", ["write -P 1 0 1M", "write -c -P 7 2M 4k",
                            "write -P 2 4M 64k"], cluster_size=4096)
    whole = path + ".whole"
    qfsck("extract", path, whole)
    with qcow2.Image(path) as img:
        img.put64(img.l2_pos(0, 3), 0x1200 | qcow2.COPIED)
        img.put64(img.l2_pos(0, 4), (1 << 50) | qcow2.COPIED)
        packed = img.compressed_range(img.u64(img.l2_pos(1, 0)))
        img.write(packed[0], b"\xff" * 16)
        img.put64(img.l1_pos(2), 0x1200)
    raw = path + ".out"
    status, out, err = qfsck("extract", "--output=json", path, raw)
    told = tools.parse(out)
    lost = [(r["start"], r["length"]) for r in told["lost"]]
    want = [(12288, 4096), (16384, 4096), (2 << 20, 4096), (4 << 20, 2 << 20)]
    tap.result(status == 1 and lost == want and "2.01 MiB" in err,
               "what is lost is told with its reason",
               [str(status), str(told), err])
    truth = bytearray(read(whole))
    for start, length in want:
        truth[start:start + length] = bytes(length)
    tap.result(read(raw) == truth, "and is zero, and the rest is there")
    tap.result(lines_of(raw + ".map") == [
        (0, 12288, "+"), (12288, 8192, "-"),
        (20480, (2 << 20) - 20480, "+"), (2 << 20, 4096, "-"),
        ((2 << 20) + 4096, (2 << 20) - 4096, "+"), (4 << 20, 2 << 20, "-"),
        (6 << 20, 2 << 20, "+")], "the map file",
        [read(raw + ".map").decode()])
    status, out, err = qfsck("extract", "--map=" + raw + ".m2", path, "-")
    tap.result(status == 1 and out == truth and
               read(raw + ".m2") == read(raw + ".map"),
               "a map beside standard output", [str(status), err])


def in_pieces(cluster, kind):
    """Many pieces are on their way at once; what is told and written is as if
    they were done one by one."""
    path = os.path.join(WORK, "pieces-%d-%s.qcow2" % (cluster, kind))
    size, mib = 48 << 20, 1 << 20
    make.build(path, str(size), [
        "write -c -P %d %dM 2M" % (n + 1, 2 * n) for n in range(20) if n != 7],
        cluster_size=cluster, compression_type=kind)
    make.apply_steps(path, ["write -P 99 45M 1000k", "write -P 0 42M 1M"])
    per, want = cluster // 8, []
    with qcow2.Image(path) as img:
        for n in (3, 4, 11, 19):
            at = n * 2 * mib // cluster
            packed = img.compressed_range(
                img.u64(img.l2_pos(at // per, at % per)))
            img.write(packed[0], b"\xff" * 16)
            want.append((n * 2 * mib, cluster))
    if cluster == 2 * mib:
        want[:2] = [(want[0][0], 2 * cluster)]
    status, told, data, ranges, err = rescued(path, "--hash")
    truth = bytearray().join(
        bytes([n + 1 if n < 20 and n != 7 else 0]) * (2 * mib)
        for n in range(24))
    truth[45 * mib:45 * mib + 1024000] = b"\x63" * 1024000
    for start, length in want:
        truth[start:start + length] = bytes(length)
    sha = hashlib.sha256(truth).hexdigest()
    lost = [(r["start"], r["length"]) for r in told["lost"]]
    tap.result(status == 1 and data == truth and lost == want and
               told["sha256"] == sha,
               "%s, clusters of %d: what is lost of many pieces" % (
                   kind, cluster), [str(status), str(told), err])
    held = os.stat(path + ".out").st_blocks * 512
    tap.result(held <= sum(1 for b in truth[::4096] if b) * 4096 + mib,
               "zeros are holes", [str(held)])
    tap.result(rescued(path)[2:] == (data, ranges, err),
               "the same without the hash")
    status, out, err = qfsck("extract", "--hash", path, "-")
    tap.result(status == 1 and out == truth and err.split()[0] == sha,
               "and as a stream", [str(status), err])


def rescued(path, *args):
    """(status, what is told as JSON, bytes, map or None, stderr)."""
    raw = path + ".out"
    for name in (raw, raw + ".map"):
        if os.path.exists(name):
            os.remove(name)
    status, out, err = qfsck("extract", "--output=json", *args, path, raw)
    ranges = lines_of(raw + ".map") if os.path.exists(raw + ".map") else None
    return status, tools.parse(out), read(raw), ranges, err


def erased_with_snapshot():
    """The active disk's tables are erased; those of the snapshot are not."""
    path = os.path.join(WORK, "erased.qcow2")
    make.build(path, "6M", ["write -P 1 0 1M", "write -P 2 4M 1M",
                            ("snap", "s"), "write -P 3 512k 1M",
                            "write -P 4 5M 64k"], cluster_size=4096)
    whole, old = rescued(path), rescued(path, "-s", "s")
    with qcow2.Image(path) as img:
        img.write(img.l2_offset(0), bytes(4096))
    status, told, data, ranges, err = rescued(path)
    span = 2 << 20
    tap.result(status == 1 and data == bytes(span) + whole[2][span:] and
               ranges == [(0, span, "-"), (span, 2 * span, "+")] and
               [(r["start"], r["length"]) for r in told["lost"]] ==
               [(0, span)] and "2 MiB of the disk is lost" in err and
               "Next: qfsck check --data %s" % path in err,
               "an erased L2 table is lost, not empty",
               [str(status), str(told), str(ranges), err])
    tap.result(rescued(path, "-U") == (status, told, data, ranges, err),
               "the same with --force-share")
    tap.result(rescued(path, "-s", "s") == old and old[0] == 0 and
               old[3] is None, "a snapshot beside it", [str(old[1])])


def erased_l1():
    path = os.path.join(WORK, "no-l1.qcow2")
    make.build(path, "6M", ["write -P 1 0 1M", "write -P 2 4M 1M"],
               cluster_size=4096)
    with qcow2.Image(path) as img:
        img.write(img.l1_offset, bytes(8 * img.l1_size))
    size = 6 << 20
    status, told, data, ranges, err = rescued(path)
    tap.result(status == 1 and data == bytes(size) and
               ranges == [(0, size, "-")] and
               "6 MiB of the disk is lost" in err,
               "an erased L1 table is a lost disk, not an empty one",
               [str(status), str(told), str(ranges), err])
    status, out, err = qfsck("extract", "--hash", "--map=" + path + ".m",
                             path, "-")
    tap.result(status == 1 and lines_of(path + ".m") == ranges and
               "6 MiB of the disk is lost" in err,
               "nor is its hash a sound disk's", [str(status), err])


def erased_in_snapshot():
    path = os.path.join(WORK, "snapless.qcow2")
    make.build(path, "4M", ["write -P 1 0 1M", ("snap", "s"),
                            "write -P 3 0 1M"], cluster_size=4096)
    whole = rescued(path)
    with qcow2.Image(path) as img:
        l1 = img.snapshot(img.snapshots()[0], "l1_table_offset")
        img.write(img.u64(l1) & qcow2.OFFSET_MASK, bytes(4096))
    status, told, data, ranges, err = rescued(path, "-s", "s")
    tap.result(status == 1 and data == bytes(4 << 20) and
               ranges == [(0, 2 << 20, "-"), (2 << 20, 2 << 20, "+")],
               "an erased table of a snapshot is that snapshot's loss",
               [str(status), str(told), str(ranges), err])
    tap.result(rescued(path) == whole and whole[0] == 0,
               "and not the active disk's", [str(whole[1])])


def erased_in_chain():
    base = os.path.join(WORK, "base.qcow2")
    top = os.path.join(WORK, "top.qcow2")
    make.build(base, "8M", ["write -P 1 0 8M"], cluster_size=4096)
    make.create(top, "8M", backing_file=base, backing_fmt="qcow2",
                cluster_size=4096)
    make.apply_steps(top, ["write -P 2 0 1M", "write -P 3 4M 1M"])
    whole = rescued(top)
    with qcow2.Image(base) as img:
        img.write(img.l2_offset(2), bytes(4096))
    status, told, data, ranges, err = rescued(top)
    mb = 1 << 20
    tap.result(status == 1 and data ==
               whole[2][:5 * mb] + bytes(mb) + whole[2][6 * mb:] and
               ranges == [(0, 5 * mb, "+"), (5 * mb, mb, "-"),
                          (6 * mb, 2 * mb, "+")] and
               "--backing-chain" in err,
               "what a backing file has lost, where it shows through",
               [str(status), str(told), str(ranges), err])
    with qcow2.Image(top) as img:
        img.write(img.l2_offset(0), bytes(4096))
    status, told, data, ranges, err = rescued(top)
    tap.result(status == 1 and ranges[0] == (0, 2 * mb, "-") and
               data[:mb] == b"\1" * mb and told["lost"][0]["doubtful"] and
               "older" in told["lost"][0]["reason"] and
               "2 MiB of the disk could be read but may be wrong" in err,
               "where the newer data are lost, the older are in doubt",
               [str(status), str(told), str(ranges), err])


def cut_disk():
    """The size in the header was made smaller: the rest is lost as well."""
    path = os.path.join(WORK, "halved.qcow2")
    make.build(path, "4M", ["write -P 1 0 1M", "write -P 2 3M 64k"])
    with qcow2.Image(path) as img:
        img.put("size", 2 << 20)
    report = tools.qfsck_check(path)[1]
    lost = [(r["guest-offset"], r["length"]) for r in report["lost"]]
    status, told, data, ranges, err = rescued(path)
    tap.result(lost and status == 1 and len(data) == 2 << 20 and
               [(r["start"], r["length"]) for r in told["lost"]] == lost and
               [r[:2] for r in ranges if r[2] == "-"] == lost,
               "what lies behind the stated end is told",
               [str(lost), str(told), str(ranges), err])


def missing_backing():
    path = os.path.join(WORK, "orphan.qcow2")
    tools.qemu_img("create", "-q", "-f", "qcow2", "-u", "-b", "gone", "-F",
                   "raw", path, "1M")
    make.apply_steps(path, [])
    raw = path + ".out"
    status, out, err = qfsck("extract", "--output=json", path, raw)
    tap.result(status == 1 and tools.parse(out)["lost"] == [{
        "start": 0, "length": 1 << 20,
        "reason": "the backing file is missing"}] and
        read(raw) == bytes(1 << 20), "a missing backing file",
        [str(status), out.decode(), err])


def refusals():
    path = os.path.join(WORK, "plain.qcow2")
    make.build(path, "1M")
    there = os.path.join(WORK, "there")
    with open(there, "w") as f:
        f.write("precious")
    luks = os.path.join(WORK, "luks.qcow2")
    make.build_luks(luks)
    new = os.path.join(WORK, "new")
    for args in ((path,), (path, there), (path, path), ("-s", "x", path, new),
                 (luks, new), (WORK + "/none", new), (there, new),
                 ("--map=" + there, path, new), (path, WORK + "/no/folder"),
                 ("--output=json", path, "-")):
        status, out, err = qfsck("extract", *args)
        tap.result(status == (63 if args[0] == there else 1) and err
                   and not out and not os.path.exists(new)
                   and read(there) == b"precious",
                   "refused: %s" % " ".join(map(os.path.basename, args)),
                   [str(status), err])


each_layout(tap, compare, lambda name: name not in (
    "sparse-1t", "sparse-1t-2m", "luks", "luks-4k"))
stream()
sparse()
longer_than_a_file()
damage()
in_pieces(65536, "zlib")
in_pieces(65536, "zstd")
in_pieces(2 << 20, "zlib")
erased_with_snapshot()
erased_l1()
erased_in_snapshot()
erased_in_chain()
cut_disk()
missing_backing()
refusals()
sys.exit(tap.finish())
