#!/usr/bin/env python3
"""qfsck diff --bitmap: as QEMU exports it, and what an incremental backup by
it would lack."""

import os
import random
import shutil
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "lib"))

from daemon import Daemon                                   # noqa: E402
from staged import Writer, killed_bitmap_writer             # noqa: E402
from tap import Tap                                         # noqa: E402
from show import WORK, qfsck                                # noqa: E402
import make                                                 # noqa: E402
import qcow2                                                # noqa: E402
import tools                                                # noqa: E402

tap = Tap()
SECTOR = 512


def fresh(name):
    return os.path.join(WORK, name + ".qcow2")


def raw_of(path, *args):
    raw = path + ".raw"
    tools.qemu_img("convert", "-O", "raw", *args, path, raw)
    with open(raw, "rb") as f:
        return f.read()


def asked(*args):
    """(status, the ranges, stderr)."""
    status, out, err = qfsck("diff", "--output=json", *args)
    return status, tools.parse(out), err


def spans(ranges):
    return [(r["start"], r["length"]) for r in ranges or ()]


def exported(path, name):
    """The dirty ranges that qemu-nbd tells its clients."""
    sock = os.path.join(WORK, "nbd.sock")
    pid = sock + ".pid"
    tools.must(["qemu-nbd", "-r", "-f", "qcow2", "-B", name, "-k", sock,
                "-t", "--fork", "--pid-file", pid, path])
    try:
        text = tools.must(["nbdinfo", "--json",
                           "--map=qemu:dirty-bitmap:" + name,
                           "nbd+unix:///?socket=" + sock])
    finally:
        with open(pid, encoding="ascii") as f:
            number = int(f.read())
        os.kill(number, 15)
        while os.path.exists("/proc/%d" % number):
            time.sleep(.01)
        for left in (sock, pid):
            if os.path.exists(left):
                os.remove(left)
    merged = []
    for r in tools.parse(text):
        if not r["type"]:
            continue
        if merged and sum(merged[-1]) == r["offset"]:
            merged[-1] = (merged[-1][0], merged[-1][1] + r["length"])
        else:
            merged.append((r["offset"], r["length"]))
    return merged


def sectors(ranges):
    return {s for start, length in ranges
            for s in range(start // SECTOR, -(-(start + length) // SECTOR))}


def differing(old, new):
    old = old.ljust(len(new), b"\0")
    return {at // SECTOR for at in range(0, len(new), SECTOR)
            if old[at:at + SECTOR] != new[at:at + SECTOR]}


def judge(path, old, *args):
    """What is told of the bitmap b, against QEMU's word and the bytes."""
    marked = exported(path, "b")
    notes = []
    status, ranges, err = asked("--bitmap=b", path)
    if status or spans(ranges) != marked:
        notes.append("marked: %s %s, QEMU has %s" % (status, ranges, marked))
    differ = differing(old, raw_of(path))
    missed = differ - sectors(marked)
    status, ranges, err = asked("--bitmap=b", *args, path)
    told = sectors(spans(ranges))
    lacking = sectors(spans(r for r in ranges or () if r["missed"]))
    if status != (2 if missed else 0) or told != differ or lacking != missed:
        notes.append("%s %s %s; differ %s, missed %s" % (
            status, ranges, err, sorted(differ)[:9], sorted(missed)[:9]))
    if bool(missed) != ("would lack them" in err):
        notes.append(err)
    return notes, len(missed)


def start(name, size, granularity, **options):
    """An image, its backup as raw bytes, a snapshot, and a bitmap since."""
    path = fresh(name)
    rng = random.Random(name)
    unit = options.get("cluster_size", 65536)
    make.build(path, size, make.writes(rng, 4 << 20, unit, 20), **options)
    make.apply_steps(path, [("snap", "s"),
                            ("bitmap", "b", "-g", str(granularity))])
    return path, raw_of(path), rng, unit


def as_qemu():
    for name, size, granularity, options in (
            ("plain", "6M", 65536, {}),
            ("odd-end", 5 * (1 << 20) + 4608, 65536, {}),
            ("fine", "10M", 512, {"cluster_size": 512}),
            ("coarse", "40M", 1 << 20, {"cluster_size": 4096}),
            ("extended", "8M", 512, {"extended_l2": "on"})):
        path, old, rng, unit = start(name, size, granularity, **options)
        notes, n = judge(path, old, "--from=s")
        make.apply_steps(path, make.writes(
            rng, 4 << 20, unit, 12, ("write", "ragged", "write -z")))
        more, k = judge(path, old, "--from=s")
        backup = path + ".backup"
        with open(backup, "wb") as f:
            f.write(old)
        again, m = judge(path, old, "--against", backup)
        tap.result(not (notes + more + again) and not n + k + m,
                   "a true bitmap is not accused: " + name,
                   notes + more + again + [str((n, k, m))])


def restored():
    """An incremental backup by the ranges told is the disk."""
    path, old, rng, unit = start("restored", "6M", 65536)
    make.apply_steps(path, make.writes(rng, 4 << 20, unit, 12,
                                       ("ragged", "write -z")))
    new, data = raw_of(path), bytearray(old)
    for start_, length in spans(asked("--bitmap=b", path)[1]):
        data[start_:start_ + length] = new[start_:start_ + length]
    tap.result(bytes(data) == new and old != new,
               "backup and marked ranges make the disk")


def ones():
    """An entry of the table that stands for a whole cluster of ones."""
    path = fresh("ones")
    make.build(path, "64M", [("bitmap", "b", "-g", "512")], cluster_size=512)
    make.apply_steps(path, ["write -P 1 0 5M", "write -P 1 9M 1M"])
    with qcow2.Image(path) as image:
        table = image.bitmap(image.bitmaps()[0], "table_offset")
        image.put64(table + 2 * 8, 1)
        image.put64(table + 5 * 8, 1)
    marked = exported(path, "b")
    status, ranges, _ = asked("--bitmap=b", path)
    tap.result((status, spans(ranges)) == (0, marked) and
               marked[1] == (9 << 20, 3 << 20) and len(marked) == 2,
               "clusters of ones", [str((status, ranges, marked))])


def missing():
    def disabled(path):
        make.apply_steps(path, ["write -P 7 1M 64k"])
        tools.qemu_img("bitmap", "--disable", "-f", "qcow2", path, "b")
        make.apply_steps(path, ["write -P 9 3M 128k"])

    def began_later(path):
        tools.qemu_img("bitmap", "--remove", "-f", "qcow2", path, "b")
        make.apply_steps(path, ["write -P 9 3M 128k", ("bitmap", "b"),
                                "write -P 7 1M 64k"])

    def by_hand(path):
        make.apply_steps(path, ["write -P 9 3M 128k", "write -P 8 1M 64k"])
        with qcow2.Image(path) as image:
            table = image.bitmap(image.bitmaps()[0], "table_offset")
            bits = image.u64(table) & qcow2.OFFSET_MASK
            byte = image.read(bits + 6, 1)[0]
            image.write(bits + 6, bytes([byte & ~1]))

    for what, act, length in (("disabled", disabled, 131072),
                              ("began after the backup", began_later, 131072),
                              ("a bit cleared by hand", by_hand, 65536)):
        path, old, _, _ = start("missing-" + act.__name__, "6M", 65536)
        act(path)
        notes, n = judge(path, old, "--from=s")
        status, out, err = qfsck("diff", "--bitmap=b", "--from=s", path)
        if status != 2 or b"not marked in the bitmap" not in out or \
                "--files=0x300000+%d" % length not in err or \
                ("is disabled" in err) != (what == "disabled"):
            notes.append("%s %s %s" % (status, out, err))
        tap.result(not notes and n * SECTOR == length,
                   "data that a bitmap misses: " + what, notes + [str(n)])


def by_chance():
    """In every layout: bits cleared by chance are what the bitmap misses."""
    for name, granularity, options in (
            ("of 512", 512, {"cluster_size": 512}),
            ("of 4k", 65536, {"cluster_size": 4096}),
            ("finer than clusters", 4096, {}),
            ("coarser", 1 << 20, {"cluster_size": 4096}),
            ("of 2M", 65536, {"cluster_size": 2 << 20}),
            ("extended", 65536, {"extended_l2": "on"})):
        path, old, rng, unit = start("chance " + name, "6M", granularity,
                                     **options)
        make.apply_steps(path, make.writes(rng, 4 << 20, unit, 12))
        bits = [(table, bit) for table, bit in set_bits(path)]
        with qcow2.Image(path) as image:
            for at, bit in rng.sample(bits, max(1, len(bits) // 3)):
                byte = image.read(at, 1)[0]
                image.write(at, bytes([byte & ~(1 << bit)]))
        notes, n = judge(path, old, "--from=s")
        tap.result(not notes and n, "bits cleared by chance: " + name,
                   notes + [str((n, len(bits)))])


def set_bits(path):
    """(place in the file, bit) of each that is set in the bitmap's clusters."""
    with qcow2.Image(path) as image:
        bitmap = image.bitmaps()[0]
        table = image.bitmap(bitmap, "table_offset")
        for i in range(image.bitmap(bitmap, "table_size")):
            at = image.u64(table + 8 * i) & qcow2.OFFSET_MASK
            if not at:
                continue
            for k, byte in enumerate(image.read(at, image.cluster)):
                for bit in range(8):
                    if byte >> bit & 1:
                        yield at + k, bit


def live():
    """A daemon makes the bitmap and writes; QEMU's own incremental backup by
    it is the disk, and qfsck finds the bitmap true."""
    path, old = fresh("live"), None
    make.build(path, "6M", ["write -P 1 0 1M", "write -P 2 3M 64k"])
    old = raw_of(path)
    target = path + ".inc"
    shutil.copy(path, path + ".full")
    make.create(target, "6M", backing_file=path + ".full",
                backing_fmt="qcow2")
    server = Daemon(path)
    made = server.do("block-dirty-bitmap-add", node="disk", name="b",
                     persistent=True)
    tools.must(["qemu-io", "-f", "raw", "-c", "write -P 3 512k 1M", "-c",
                "write -P 4 5000k 5k", "-c", "write -z 3M 64k",
                "nbd+unix:///disk?socket=" + server.nbd])
    server.do("blockdev-add", node_name="to", driver="qcow2", file={
        "driver": "file", "filename": target})
    server.do("blockdev-backup", job_id="job", device="disk", target="to",
              sync="bitmap", bitmap="b", bitmap_mode="never",
              auto_dismiss=False)
    end = time.monotonic() + tools.TIMEOUT
    while time.monotonic() < end:
        jobs = server.do("query-jobs")
        if jobs and jobs[0]["status"] == "concluded":
            break
        time.sleep(.02)
    status, _, err = asked("--bitmap=b", "-U", path)
    server.end()
    tap.result(made == {} and status == 1 and "bitmap" in err,
               "beside a daemon the file has no bitmap to rely on",
               [str((made, status, err))])
    notes, n = judge(path, old, "--against", path + ".full")
    if raw_of(target) != raw_of(path) or "error" in jobs[0]:
        notes.append("QEMU's backup by it is another disk: %s" % jobs)
    again = asked("--bitmap=b", "--against", target, path)
    tap.result(not notes and not n and again[:2] == (0, []),
               "an incremental backup of QEMU's, proven",
               notes + [str((n, again))])


def several():
    path = fresh("several, of them")
    make.build(path, "6M", [("bitmap", "a"), "write -P 1 0 64k",
                            ("snap", "s")])
    tools.qemu_img("bitmap", "--disable", "-f", "qcow2", path, "a")
    make.apply_steps(path, [("bitmap", "b,c"), "write -P 2 1M 64k"])
    have = [spans(asked("--bitmap=" + b, path)[1])
            for b in ("a", "b,c")]
    tap.result(have == [[(0, 65536)], [(1 << 20, 65536)]],
               "a comma in a name", [str(have)])
    make.apply_steps(path, [("bitmap", "d"), "write -P 2 2M 64k"])
    status, ranges, err = asked("--bitmap=a,d", "--from=s", path)
    want = [{"start": 1 << 20, "length": 65536, "missed": True},
            {"start": 2 << 20, "length": 65536, "missed": False}]
    tap.result((status, ranges) == (2, want), "two bitmaps merged",
               [str((status, ranges, err))])
    status, out, err = qfsck("diff", "--bitmap=a,d", path)
    tap.result(status == 0 and b"marks 128 KiB" in out, "for people",
               [str((status, out, err))])


def backups():
    path, old, _, _ = start("backups", "6M", 65536)
    full_, inc = path + ".full", path + ".inc"
    tools.qemu_img("convert", "-O", "qcow2", "-l", "snapshot.name=s", path,
                   full_)
    make.create(inc, "6M", backing_file=full_, backing_fmt="qcow2")
    make.apply_steps(path, ["write -P 9 3M 128k"])
    make.apply_steps(inc, ["write -P 9 3M 64k"])
    status, ranges, err = asked("--bitmap=b", "--against", inc, path)
    tap.result((status, spans(ranges)) == (0, [((3 << 20) + 65536, 65536)]),
               "against a chain of backups", [str((status, ranges, err))])
    tools.qemu_img("convert", "-O", "vmdk", full_, path + ".vmdk")
    status, _, err = asked("--bitmap=b", "--against", path + ".vmdk", path)
    tap.result(status == 1 and "looks like vmdk" in err,
               "a backup that is not read here is not taken for raw",
               [str((status, err))])
    with qcow2.Image(full_) as image:
        image.put64(image.l2_pos(0, 0), 0x1200 | qcow2.COPIED)
    status, ranges, err = asked("--bitmap=b", "--against", full_, path)
    tap.result(status == 1 and ranges[0].get("unknown") and
               "missed" not in ranges[0],
               "what cannot be compared is no miss",
               [str((status, ranges, err))])


def refused():
    path, _, _, _ = start("refused", "6M", 65536)
    for args, words in (
            (["--bitmap=x", path], 'no bitmap "x"'),
            (["--bitmap=b", "--to=s", path], "--to"),
            (["--bitmap=b", "--files", path], "--files"),
            (["--bitmap=b", "--from=s", "--against", path, path], "either"),
            (["--against", path, path], "needs --bitmap"),
            (["--bitmap=b", path, path], "--against")):
        status, out, err = qfsck("diff", *args)
        tap.result(status == 1 and words in err and not out,
                   "refused: " + " ".join(args[:-1]),
                   [str((status, out, err))])
    with Writer(path) as writer:
        writer.do("write -P 2 1M 64k", "flush")
        status, _, err = asked("--bitmap=b", "-U", path)
        tap.result(status == 1 and "is in use" in err,
                   "beside a writer the file has no bitmap to rely on",
                   [str((status, err))])
        writer.kill()
    killed = killed_bitmap_writer(fresh("killed"))
    status, ranges, err = asked("--bitmap=backup", killed)
    tap.result(status == 1 and "is in use, or was left so" in err,
               "left in use", [str((status, ranges, err))])
    path, _, _, _ = start("stale", "6M", 65536)
    with qcow2.Image(path) as image:
        image.put("autoclear_features", 0)
    status, _, err = asked("--bitmap=b", path)
    tap.result(status == 1 and "stale" in err, "stale", [str((status, err))])


def damaged():
    for what, edit in (
            ("table entry", lambda i, t: i.put64(t, i.u64(t) | 2)),
            ("cluster outside", lambda i, t: i.put64(t, 1 << 40)),
            ("unaligned", lambda i, t: i.put64(t, i.u64(t) + 512))):
        path, _, _, _ = start("damaged", "6M", 65536)
        make.apply_steps(path, ["write -P 2 1M 64k"])
        with qcow2.Image(path) as image:
            edit(image, image.bitmap(image.bitmaps()[0], "table_offset"))
        status, ranges, err = asked("--bitmap=b", "--from=s", path)
        tap.result(status == 1 and err.startswith("qfsck: " + path),
                   "a damaged bitmap: " + what, [str((status, ranges, err))])
        os.remove(path)
    path, _, _, _ = start("resized", "6M", 65536, cluster_size=512)
    with qcow2.Image(path) as image:
        image.put("size", 1 << 20)
        image.put_bitmap(image.bitmaps()[0], "table_size", 9)
    status, _, err = asked("--bitmap=b", path)
    tap.result(status == 1 and "not the size" in err, "a table too long",
               [str((status, err))])


for case in (as_qemu, restored, ones, live, by_chance, missing, several, backups,
             refused, damaged):
    case()
sys.exit(tap.finish())
