#!/usr/bin/env python3
"""qfsck guest: partitions and volumes, options, damage of the image."""

import binascii
import os
import struct
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "lib"))

from guests import *                                        # noqa: E402,F403
from make import build_luks                              # noqa: E402
from tap import Tap                                         # noqa: E402
from tools import own_folder, qemu_img, qemu_io             # noqa: E402

tap = Tap()
MIB = 1 << 20


def ext2(label, size):
    path = raw("small.ext2", size)
    quiet("mke2fs", "-q", "-t", "ext2", "-L", label, path)
    with open(path, "rb") as f:
        return f.read()


def rows(path, *args):
    """(start, length, name, kind, note) of every volume, and the whole."""
    status, shown, err = guest(path, *args)
    assert status == 0, err
    return [(v["start"] // MIB, v["length"] // MIB, v.get("number"),
             v.get("name"), v.get("file-system", {}).get("label"),
             v.get("note")) for v in shown["volumes"]], shown


def gpt(path):
    """Three partitions, two of them with file systems, one not in order."""
    raw(path, 64 * MIB)
    quiet("sgdisk", "-a", "1", "-n", "1:2048:+8M", "-c", "1:first",
          "-n", "5:40960:+16M", "-c", "5:f\u00fcnf", "-t", "5:8300",
          "-n", "3:81920:+4M", "-t", "3:ef00", path)
    put(path, MIB, ext2("one", 8 * MIB))
    put(path, 20 * MIB, ext2("five", 16 * MIB))
    return path


THREE = [(1, 8, 1, "first", "one", None),
         (40, 4, 3, None, None, None),
         (20, 16, 5, "f\u00fcnf", "five", None)]


def one_gpt(path, what, note, wanted=THREE):
    got, shown = rows(image(path))
    tap.result(got == wanted and shown["table"] == "GPT" and
               shown.get("note") == note, "GPT: " + what,
               [str(got), str(shown.get("note"))])


def gpts():
    path = gpt("gpt.raw")
    one_gpt(path, "partitions, their names and file systems", None)
    one = copy(path, "first.raw")
    put(one, 512 + 40, b"\xff")
    one_gpt(one, "the first copy is damaged",
            "its first copy is damaged, it is read by the second")
    one = copy(path, "second.raw")
    put(one, 64 * MIB - 512 + 60, b"\xff")
    one_gpt(one, "the second copy is damaged",
            "its second copy is damaged or missing")
    one = copy(path, "entries.raw")
    put(one, 1024 + 3, b"\xff")
    one_gpt(one, "the first copy's entries are damaged",
            "its first copy is damaged, it is read by the second")
    one = copy(path, "grown.raw")
    os.truncate(one, 70 * MIB)
    one_gpt(one, "the disk has grown",
            "its second copy does not stand at the end of the disk")
    one = copy(path, "cut.raw")
    os.truncate(one, 30 * MIB)
    end = "it reaches past the end of the disk"
    one_gpt(one, "the disk was cut", "its second copy is damaged or missing",
            [THREE[0], THREE[1][:5] + ("it lies past the end of the disk",),
             THREE[2][:5] + (end,)])
    put(one, 512 + 40, b"\xff")
    put(one, 1024, b"\xff")
    _, shown = rows(image(one))
    tap.result(shown["note"] == "both copies of the GPT are damaged",
               "GPT: none is left", [str(shown)])


def entry(kind, start, sectors):
    return struct.pack("<4B4BII", 0, 0, 0, 0, kind, 0, 0, 0, start, sectors)


def mbr_sector(*entries):
    return bytes(446) + b"".join(entries).ljust(64, b"\0") + b"\x55\xaa"


def mbr():
    path = raw("mbr.raw", 64 * MIB)
    sectors = MIB // 512
    put(path, 0, mbr_sector(entry(0x83, sectors, 8 * sectors),
                            entry(0x05, 16 * sectors, 40 * sectors)))
    for n, (at, following) in enumerate(((16, 24), (24, 40), (40, None))):
        put(path, at * MIB, mbr_sector(
            entry(0x83, sectors, 4 * sectors),
            *([entry(0x05, (following - 16) * sectors, 5 * sectors)]
              if following else [])))
        put(path, (at + 1) * MIB, ext2("logical%d" % (5 + n), 4 * MIB))
    put(path, MIB, ext2("primary", 8 * MIB))
    got, shown = rows(image(path))
    tap.result(shown["table"] == "MBR" and "note" not in shown and got == [
        (1, 8, 1, None, "primary", None), (17, 4, 5, None, "logical5", None),
        (25, 4, 6, None, "logical6", None),
        (41, 4, 7, None, "logical7", None)],
        "MBR: primary and logical partitions", [str(got), str(shown)])
    put(path, 24 * MIB, mbr_sector(entry(0x83, sectors, 4 * sectors),
                                   entry(0x05, 0, 5 * sectors)))
    put(path, 40 * MIB, mbr_sector(entry(0x83, sectors, 4 * sectors),
                                   entry(0x05, 8 * sectors, 5 * sectors)))
    got, _ = rows(image(path))
    tap.result([r[2] for r in got] == [1, 5, 6],
               "MBR: a list that leads back ends", [str(got)])
    put(path, 0, mbr_sector(entry(0x83, sectors, 20 * sectors),
                            entry(0x83, 16 * sectors, 8 * sectors)))
    got, _ = rows(image(path))
    tap.result([r[5] for r in got] == ["it overlaps partition 2",
                                       "it overlaps partition 1"],
               "MBR: an overlap is told", [str(got)])


# --- LVM2, written by hand: the real tools want a device mapper ---

PV = ("abcdefghijklmnopqrstuvwxyz012345", "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345")
TEXT = """group {
id = "111111-2222-3333-4444-5555-6666-777777"
seqno = 4
extent_size = 2048 # one MiB
physical_volumes {
pv0 {
id = "%s"
pe_start = 2048
pe_count = 30
}
pv1 {
id = "%s"
pe_start = 2048
pe_count = 30
}
}
logical_volumes {
plain {
id = "x"
status = ["READ", "WRITE", "VISIBLE"]
segment_count = 2
segment1 {
start_extent = 0
extent_count = 4
type = "striped"
stripe_count = 1
stripes = [
"pv0", 10
]
}
segment2 {
start_extent = 4
extent_count = 4
type = "striped"
stripe_count = 1
stripes = [
"pv1", 2
]
}
}
striped {
status = ["READ", "WRITE", "VISIBLE"]
segment_count = 1
segment1 {
start_extent = 0
extent_count = 8
type = "striped"
stripe_count = 2
stripe_size = 128
stripes = [
"pv0", 0,
"pv1", 10
]
}
}
thin {
status = ["READ", "WRITE", "VISIBLE"]
segment_count = 1
segment1 {
start_extent = 0
extent_count = 100
type = "thin"
thin_pool = "pool"
}
}
pool_tdata {
status = ["READ", "WRITE"]
segment_count = 1
segment1 {
start_extent = 0
extent_count = 2
type = "striped"
stripe_count = 1
stripes = [
"pv1", 20
]
}
}
}
}
""" % tuple("-".join((p[:6], p[6:10], p[10:14], p[14:18], p[18:22], p[22:26],
                      p[26:])) for p in PV)


def lvm_crc(data):
    return binascii.crc32(data, 0xf597a6cf ^ 0xffffffff) ^ 0xffffffff


def physical_volume(path, at, number):
    header = PV[number].encode() + struct.pack(
        "<QQQQQQQQQ", 31 * MIB, MIB, 0, 0, 0, 4096, MIB - 4096, 0, 0)
    rest = struct.pack("<I8s", 32, b"LVM2 001") + header
    rest = rest.ljust(512 - 20, b"\0")
    put(path, at + 512, b"LABELONE" + struct.pack("<QI", 1, lvm_crc(rest)) +
        rest)
    # the text runs over the end of its ring
    text = TEXT.encode() + b"\0"
    ring = MIB - 4096
    start = ring - 700
    mda = b" LVM2 x[5A%r0N*>" + struct.pack(
        "<IQQQQII", 1, 4096, ring, start, len(text), lvm_crc(text), 0)
    mda = mda.ljust(508, b"\0")
    put(path, at + 4096, struct.pack("<I", lvm_crc(mda)) + mda)
    put(path, at + 4096 + start, text[:700])
    put(path, at + 4096 + 512, text[700:])


def lvm():
    path = raw("lvm.raw", 64 * MIB)
    sectors = MIB // 512
    put(path, 0, mbr_sector(entry(0x8e, sectors, 31 * sectors),
                            entry(0x8e, 32 * sectors, 31 * sectors)))
    base = (1 * MIB, 32 * MIB)
    for n in (0, 1):
        physical_volume(path, base[n], n)
    data = ext2("plain", 8 * MIB)
    put(path, base[0] + 11 * MIB, data[:4 * MIB])
    put(path, base[1] + 3 * MIB, data[4 * MIB:])
    data = ext2("striped", 8 * MIB)
    for i in range(0, 8 * MIB, 65536):
        n = i // 65536
        put(path, (base[0] + MIB, base[1] + 11 * MIB)[n % 2] +
            n // 2 * 65536, data[i:i + 65536])
    qcow2 = image(path)
    got, shown = rows(qcow2, "--ranges")
    tap.result(got == [
        (1, 31, 1, None, None, None), (32, 31, 2, None, None, None),
        (12, 8, None, "group/plain", "plain", None),
        (2, 8, None, "group/striped", "striped", None),
        (0, 100, None, "group/thin", None,
         "volumes of this type are not followed")],
        "LVM2: linear and striped volumes, others named",
        [str(r) for r in got])
    notes = []
    for volume in shown["volumes"][2:4]:
        total = sum(volume["use"].values())
        if total != 8 * MIB or volume["use"]["unknown"]:
            notes.append(str(volume["use"]))
        if volume["use"]["free"] != volume["file-system"]["free-bytes"]:
            notes.append("free %s" % volume["file-system"]["free-bytes"])
    tap.result(not notes, "LVM2: the use of both", notes)
    files = files_of(qcow2, base[1] + 11 * MIB, 65536)
    tap.result({f["volume"] for f in files} ==
               {'group/striped (ext2 "striped")'},
               "LVM2: a range of the disk leads into the right volume",
               [str(files)])


def snapshots():
    path = raw("state.raw", 16 * MIB)
    put(path, 0, ext2("before", 16 * MIB))
    qcow2 = image(path, 4096)
    qemu_img("snapshot", "-c", "old", qcow2)
    with open("label", "wb") as f:
        f.write(b"after".ljust(512, b"\0"))
    put(path, 0, ext2("after", 16 * MIB))
    with open(path, "rb") as f:
        head = f.read(65536)
    with open("head", "wb") as f:
        f.write(head)
    qemu_io(qcow2, "write -q -s head 0 64k")
    got = [rows(qcow2, *args)[0][0][4] for args in ((), ("-s", "old"))]
    tap.result(got == ["after", "before"],
               "each state has its own file systems", [str(got)])


def damaged_image():
    """A lost L2 table: what it mapped is not known, and nothing else."""
    path = raw("lost.raw", 64 * MIB)
    quiet("mke2fs", "-q", "-t", "ext2", "-b", "1024", "-g", "8192", path)
    qcow2 = image(path, 4096)           # a table maps 2 MiB
    with open(qcow2, "r+b") as f:
        f.seek(40)
        l1 = struct.unpack(">Q", f.read(8))[0]
        f.seek(l1 + 8 * 12)             # group 3 begins at 24 MiB
        f.write(struct.pack(">Q", 0x1200 | 1 << 63))
    volume = only_volume(qcow2, "--ranges")
    unknown = [r for r in ranges(volume, "unknown")]
    tap.result(unknown == [(3 * 8 * MIB + 1024, 4 * 8 * MIB + 1024)] and
               sum(volume["damaged"].values()) == 2 * MIB,
               "what a lost table mapped is not known",
               [str(unknown), str(volume["damaged"])])


def encrypted():
    path = build_luks(os.path.abspath("luks.qcow2"), ["write -P 1 0 64k"])
    volume = only_volume(path)
    _, shown, _ = guest(path)
    tap.result("encrypted" in shown["note"] and "file-system" not in volume
               and volume["use"]["unknown"] == MIB,
               "an encrypted image is opaque", [str(shown)])


def words():
    """The same for people; times and identities apart."""
    path = gpt("words.raw")
    tool = [qfsck_path(), "guest"]
    text = quiet(*tool, image(path))
    wanted = ("Disk of 64 MiB, partition table: GPT\n",
              'partition 1 (ext2 "one"), 8 MiB from 0x100000 on, type Linux',
              'named "first"', "  in use ", "  [#")
    tap.result(all(w in text for w in wanted), "the words for people",
               text.splitlines())
    text = quiet(*tool, "--files=0x0,1M+64k,20M-21M", image(path))
    tap.result("64 KiB of partition 1" not in text and
               "of the disk: partition table" in text and
               "inode table of group 0" in text and "free" in text,
               "--files for people", text.splitlines())


def refusals():
    qcow2 = image(gpt("refuse.raw"))
    for bad in ("x", "5-3", "1+0", "1,,2", "7+"):
        status, shown, err = guest(qcow2, "--files=" + bad)
        tap.result(status == 1 and shown is None and "not a range" in err,
                   "no range: " + bad, [str(status), err])
    status, shown, err = guest(qcow2, "--files=1G")
    tap.result(status == 1 and "past the end of the disk" in err,
               "a range past the end", [err])
    status, shown, err = guest(qcow2, "--path=/none")
    tap.result(status == 1 and "no file system on the disk has" in err,
               "a file that is not there", [err])
    status, _, err = guest(qcow2, "--path=/", "--files=1")
    tap.result(status == 1 and "not both" in err, "both questions", [err])


own_folder()
gpts()
mbr()
lvm()
snapshots()
damaged_image()
encrypted()
words()
refusals()
sys.exit(tap.finish())
