#!/usr/bin/env python3
"""qfsck diff against comparing what qemu-img convert reads."""

import itertools
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "lib"))

from tap import Tap                                         # noqa: E402
from show import WORK, each_layout, qfsck, shown            # noqa: E402
import make                                                 # noqa: E402
import qcow2                                                # noqa: E402
import tools                                                # noqa: E402

tap = Tap()
SECTOR = 512


def raw_of(path, *args):
    """The disk's bytes, as qemu-img reads them."""
    raw = path + ".raw"
    tools.qemu_img("convert", "-O", "raw", *args, path, raw,
                   cwd=os.path.dirname(path))
    with open(raw, "rb") as f:
        data = f.read()
    os.remove(raw)
    return data


def compare_bytes(old, new):
    """The ranges of whole sectors of NEW that differ, merged."""
    ranges = []
    old = old.ljust(len(new), b"\0")
    for at in range(0, len(new), SECTOR):
        if old[at:at + SECTOR] == new[at:at + SECTOR]:
            continue
        if ranges and ranges[-1]["start"] + ranges[-1]["length"] == at:
            ranges[-1]["length"] += min(SECTOR, len(new) - at)
        else:
            ranges.append({"start": at, "length": min(SECTOR, len(new) - at)})
    return ranges


def sectors(ranges):
    return {s for r in ranges for s in range(
        r["start"] // SECTOR, -(-(r["start"] + r["length"]) // SECTOR))}


def orderly(ranges):
    return all(a["start"] + a["length"] < b["start"]
               for a, b in zip(ranges, ranges[1:]))


def judge(old, new, args, what):
    truth = compare_bytes(old, new)
    content = shown("diff", "--content", *args)
    mapping = shown("diff", *args)
    notes = []
    if content != truth:
        notes.append("%s: content %s, truth %s" % (what, content, truth))
    if not sectors(mapping) >= sectors(truth):
        notes.append("%s: the mapping leaves out %s" % (
            what, sorted(sectors(truth) - sectors(mapping))[:9]))
    if not orderly(mapping):
        notes.append("%s: not in order: %s" % (what, mapping))
    return notes


def compare(name, path):
    states = {"active": raw_of(path)}
    for snap in shown("info", path)["snapshots"]:
        # qemu-img goes on to the active disk's end
        states[snap["id"]] = raw_of(
            path, "-l", "snapshot.id=" + snap["id"])[:snap["disk-size"]]
    pairs = list(itertools.permutations(states, 2))[:8]
    return [n for old, new in pairs
            for n in judge(states[old], states[new],
                           ("--from", old, "--to", new, path),
                           "%s to %s" % (old, new))]


def precise():
    """What was not written since does not differ."""
    path = os.path.join(WORK, "precise.qcow2")
    make.build(path, "8M", ["write -P 1 0 4M", ("snap", "s"),
                            "write -P 2 1M 64k", "write -P 1 2M 64k",
                            "write -z 3M 64k", "write -z 6M 64k"])
    mapping = shown("diff", "--from=s", path)
    want = [{"start": n << 20, "length": 65536} for n in (1, 2, 3)]
    tap.result(mapping == want, "the clusters written since",
               [str(mapping)])
    content = shown("diff", "--from=s", "--content", path)
    tap.result(content == [want[0], want[2]],
               "the same bytes written anew are the same", [str(content)])
    status, out, err = qfsck("diff", "--from=s", path)
    tap.result(status == 0 and b"0x100000" in out and
               b"192 KiB in 3 ranges are not at the same place" in out,
               "for people", [out.decode(), err])
    none = shown("diff", "--from=s", "--to=s", "--content", path)
    tap.result(none == [], "a state does not differ from itself", [str(none)])


def many_pieces():
    """More than all threads have in hand at once, told in order."""
    raw = os.path.join(WORK, "pieces.raw")
    old = os.path.join(WORK, "pieces.qcow2")
    new = os.path.join(WORK, "pieces-new.qcow2")
    mib = 1 << 20
    data = bytearray(b"".join(n.to_bytes(4, "big") * 128
                              for n in range(40 * mib // 512)))
    with open(raw, "wb") as f:
        f.write(data)
    tools.qemu_img("convert", "-c", "-f", "raw", "-O", "qcow2", raw, old)
    for at in range(0, len(data), 777 * 512):
        data[at + 7] ^= 0x40
    data[9 * mib:9 * mib + 3 * mib] = bytes(3 * mib)
    with open(raw, "wb") as f:
        f.write(data)
    for options in (("-c", "-o", "cluster_size=2M"), ("-c",), ()):
        if os.path.exists(new):
            os.remove(new)
        tools.qemu_img("convert", *options, "-f", "raw", "-O", "qcow2", raw,
                       new)
        notes = judge(raw_of(old), data, (old, new), "there")
        notes += judge(data, raw_of(old), (new, old), "and back")
        tap.result(not notes, "many pieces %s" % " ".join(options),
                   [n[:300] for n in notes])


def chains():
    base = os.path.join(WORK, "base.qcow2")
    top = os.path.join(WORK, "top.qcow2")
    make.build(base, "3M", ["write -P 1 0 1M", "write -P 2 2M 1M"])
    make.create(top, "5M", backing_file=base, backing_fmt="qcow2",
                cluster_size=4096)
    make.apply_steps(top, ["write -P 3 100k 40k", "write -P 1 500k 8k",
                           "write -z 2200k 64k", "write -P 4 4M 4k"])
    notes = judge(raw_of(base), raw_of(top), (base, top), "base to top")
    notes += judge(raw_of(top), raw_of(base), (top, base), "top to base")
    tap.result(not notes, "two images of one chain", notes)
    mapping = shown("diff", base, top)
    tap.result([r["start"] for r in mapping] ==
               [100 << 10, 500 << 10, 2200 << 10, 4 << 20],
               "what the overlay has of its own", [str(mapping)])
    other = os.path.join(WORK, "other.qcow2")
    tools.qemu_img("convert", "-c", "-O", "qcow2", top, other)
    notes = judge(raw_of(top), raw_of(other), (top, other), "to a copy")
    tap.result(not notes and shown("diff", "--content", top, other) == [],
               "a compressed copy has the same bytes", notes)
    make.apply_steps(top, [("snap", "one"), "write -P 5 0 4k"])
    mapping = shown("diff", "--from=one", "--to=active", top)
    tap.result(mapping == [{"start": 0, "length": 4096}],
               "what shines through from the same backing file is the same",
               [str(mapping)])


def damage():
    path = os.path.join(WORK, "damaged.qcow2")
    make.build(path, "2M", ["write -P 1 0 1M", ("snap", "s"),
                            "write -P 1 0 64k"], cluster_size=4096)
    with qcow2.Image(path) as img:
        img.put64(img.l2_pos(0, 40), 0x1200 | qcow2.COPIED)
    for more in ((), ("--content",)):
        status, out, err = qfsck("diff", "--from=s", "--output=json", *more,
                                 path)
        ranges = tools.parse(out)
        tap.result(status == 1 and "damaged" in err and
                   40 * 8 in sectors(ranges) and 41 * 8 not in sectors(ranges),
                   "a damaged entry differs %s" % (more,),
                   [str(status), err, str(ranges)])


def compared(*args):
    """(status, what differs, what cannot be compared, stderr)."""
    status, out, err = qfsck("diff", "--output=json", *args)
    ranges = tools.parse(out)
    return (status, [(r["start"], r["length"]) for r in ranges
                     if not r.get("unknown")],
            [(r["start"], r["length"]) for r in ranges if r.get("unknown")],
            err)


def erased_tables():
    """What one side has lost cannot be compared with anything."""
    path = os.path.join(WORK, "erased.qcow2")
    copy = os.path.join(WORK, "erased-copy.qcow2")
    make.build(path, "6M", ["write -P 1 0 1M", "write -P 2 4M 1M",
                            ("snap", "s"), "write -P 3 512k 1M",
                            "write -P 4 5M 64k"], cluster_size=4096)
    tools.run(["cp", path, copy])
    with qcow2.Image(path) as img:
        img.write(img.l2_offset(0), bytes(4096))
    span = 2 << 20
    for more in ((), ("--content",)):
        status, differs, lost, err = compared("--from=s", *more, path)
        tap.result(status == 1 and lost == [(0, span)] and
                   differs == [(5 << 20, 65536)] and
                   "2 MiB of the disk cannot be compared" in err and
                   "Next: qfsck check" in err,
                   "an erased L2 table %s" % (more,),
                   [str(status), str(differs), str(lost), err])
        back = compared("--from=active", "--to=s", *more, path)
        tap.result(back == (status, differs, lost, err),
                   "the same from the other side", [str(back)])
        for pair in ((path, copy), (copy, path)):
            status, differs, lost, err = compared(*more, *pair)
            tap.result(status == 1 and lost == [(0, span)] and
                       bool(differs) == (not more),
                       "and with another image",
                       [str(status), str(differs), str(lost), err])
    status, differs, lost, err = compared("--from=s", "--to=s", path)
    tap.result(status == 0 and not differs and not lost and not err,
               "a snapshot beside it", [str(differs), str(lost), err])
    with qcow2.Image(copy) as img:
        img.write(img.l2_offset(0), bytes(4096))
    status, differs, lost, err = compared("--content", path, copy)
    tap.result(status == 1 and not differs and lost == [(0, span)],
               "lost on both sides is not alike", [str(differs), str(lost)])
    path = os.path.join(WORK, "no-l1.qcow2")
    make.build(path, "6M", ["write -P 1 0 1M", "write -P 2 4M 1M"],
               cluster_size=4096)
    tools.run(["cp", path, copy])
    with qcow2.Image(path) as img:
        img.write(img.l1_offset, bytes(8 * img.l1_size))
    status, differs, lost, err = compared("--content", copy, path)
    tap.result(status == 1 and not differs and lost == [(0, 3 * span)],
               "an erased L1 table", [str(differs), str(lost), err])
    status, out, err = qfsck("diff", copy, path)
    tap.result(status == 1 and out.decode().splitlines()[1].split() ==
               ["0", "0x600000", "cannot", "be", "compared"] and
               b"0 B in 0 ranges" in out, "and for people", [out.decode()])


def huge():
    """A disk of exbibytes with little in it is compared at once."""
    path = os.path.join(WORK, "huge.qcow2")
    make.build(path, "2G", ["write -P 1 0 64k", "write -P 1 1G 64k",
                            ("snap", "s"), "write -P 2 1G 64k"])
    for size in (1 << 60, 1 << 62, 5 << 60):
        with qcow2.Image(path) as img:
            img.put("size", size)
        for more in ((), ("--content",)):
            status, differs, lost, err = compared("--from=s", *more, path)
            tap.result(status == 0 and differs == [(1 << 30, 65536)] and
                       not lost, "a disk of %d bytes %s" % (size, more),
                       [str(status), str(differs), str(lost), err])


def refusals():
    path = os.path.join(WORK, "plain.qcow2")
    make.build(path, "1M")
    luks = os.path.join(WORK, "luks.qcow2")
    make.build_luks(luks, ["write -P 1 0 64k"])
    copy = os.path.join(WORK, "luks-copy.qcow2")
    tools.run(["cp", luks, copy])
    for args in ((path,), (path, path, path), ("--from=none", path),
                 (path, os.path.join(WORK, "none")),
                 ("--content", luks, copy)):
        status, out, err = qfsck("diff", *args)
        tap.result(status == 1 and err, "refused: %s" % " ".join(
            os.path.basename(a) for a in args), [str(status), err])


each_layout(tap, compare, lambda name: "snap" in name)
precise()
many_pieces()
chains()
damage()
erased_tables()
huge()
refusals()
sys.exit(tap.finish())
