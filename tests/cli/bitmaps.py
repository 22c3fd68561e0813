#!/usr/bin/env python3
"""qfsck check and persistent bitmaps, beside what QEMU loads and refuses."""

import os
import re
import shlex
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "lib"))

from layouts import LAYOUTS                                 # noqa: E402
from staged import Writer, killed_bitmap_writer             # noqa: E402
from tap import Tap                                         # noqa: E402
import make                                                 # noqa: E402
import qcow2                                                # noqa: E402
import tools                                                # noqa: E402

WORK = tempfile.mkdtemp(prefix="bitmaps.")
MB = 1 << 20
tap = Tap()


def path_of(name):
    return os.path.join(WORK, name + ".qcow2")


def found(path, *options):
    """(exit status, [name of each finding], the report)."""
    status, report, _, _ = tools.qfsck_check(path, *options)
    return status, [f["name"] for f in report["findings"]], report


def expect(path, status, names, *options):
    have = found(path, *options)[:2]
    return [] if have == (status, names) else ["%s, not %s" % (
        have, (status, names))]


def opened_by_qemu(path):
    return tools.qemu_check(path)[0] in (0, 2, 3)


def edited(field, value):
    """A bitmap of 13 table entries, one field of it changed."""
    path = path_of("edited")
    make.build(path, "200M", ["write -P 1 0 64k", ("bitmap", "b", "-g", "512")],
               cluster_size=4096)
    with qcow2.Image(path) as image:
        pos = image.bitmaps()[0]
        if isinstance(value, str):
            value = image.bitmap(pos, field) + int(value)
        image.put_bitmap(pos, field, value)
    return path


def as_qemu_loads(field, value):
    """Corrupt exactly where QEMU refuses to load the bitmap."""
    path = edited(field, value)
    loads = opened_by_qemu(path)
    status, names, _ = found(path)
    ours = not [n for n in names if n.startswith("bitmap-") and
                n != "bitmap-in-use"]
    return [] if loads == ours and status == (0 if ours else 2) else [
        "QEMU %s it; exit %s, %s" % ("loads" if loads else "refuses", status,
                                     names)]


def resized(size):
    """The header's disk size changed, within what the L1 table covers."""
    path = path_of("resized")
    make.build(path, "200M", ["write -P 1 0 64k", ("bitmap", "b", "-g", "512")],
               cluster_size=4096)
    with qcow2.Image(path) as image:
        image.put("size", size)
    loads = opened_by_qemu(path)
    names = found(path)[1]
    return [] if loads == ("bitmap-size" not in names) else [
        "QEMU %s it; %s" % ("loads" if loads else "refuses", names)]


def mended_by_its_own_words():
    """The commands that the finding names do mend a bitmap left in use."""
    path = path_of("it's in use")
    killed_bitmap_writer(path, cluster_size=4096)
    status, names, report = found(path)
    if status != 0 or names != ["bitmap-in-use"]:
        return ["%s %s" % (status, names)]
    commands = re.findall('"(qemu-img [^"]*)"', report["findings"][0]["message"])
    if len(commands) != 2:
        return [report["findings"][0]["message"]]
    for command in commands:
        tools.must(shlex.split(command), cwd=WORK)
    return expect(path, 0, [])


def hostile_name():
    """A bitmap's name cannot smuggle a command into the advice."""
    path = path_of("hostile")
    name = "$(touch x)'; rm *"
    make.build(path, "1M", [("bitmap", name)])
    with qcow2.Image(path) as image:
        image.put_bitmap(image.bitmaps()[0], "flags", 1)
    message = found(path)[2]["findings"][0]["message"]
    for command in re.findall('"(qemu-img [^"]*)"', message):
        if shlex.split(command)[4] != name:
            return [command]
    return []


def under_a_writer():
    """While QEMU writes, its bitmaps are in use: -U says nothing of that."""
    path = path_of("live")
    make.build(path, "4M", ["write -P 1 0 1M", ("bitmap", "b")])
    with Writer(path, "driver=qcow2,file.driver=file,file.filename=") as writer:
        writer.do("write -P 2 1M 64k", "flush")
        notes = expect(path, 0, ["image-in-use"], "-U")
        writer.kill()
    return notes + expect(path, 0, ["bitmap-in-use"]) + \
        expect(path, 0, ["bitmap-in-use"], "-U")


def one_bad_of_many():
    """A broken bitmap does not hide the others."""
    path = path_of("many")
    names = ("a", "b", "c", "d", "e")
    make.build(path, "2M", [("bitmap", n) for n in names])
    with qcow2.Image(path) as image:
        at = image.bitmaps()
        image.put_bitmap(at[0], "type", 9)
        image.put_bitmap(at[1], "table_size", 3)
        image.put_bitmap(at[2], "flags", 1)
        image.put64(image.bitmap(at[3], "table_offset"), 1 << 60)
        image.put_bitmap(at[4], "table_offset", 1 << 40)
    report = found(path)[2]
    have = {(f["name"], f.get("owner")) for f in report["findings"]
            if f["id"] // 100 == 14}
    want = {("bitmap-directory", 'bitmap "a"'), ("bitmap-size", 'bitmap "b"'),
            ("bitmap-in-use", 'bitmap "c"'),
            ("bitmap-table-entry", 'bitmap "d"'),
            ("bitmap-table", 'bitmap "e"')}
    return [] if want <= have else ["%s" % sorted(want - have)]


def resized_by_qemu():
    """qemu-img resize takes the bitmaps along."""
    path = path_of("grown")
    make.build(path, "2M", [("bitmap", "b", "-g", "512"), ("resize", "900M")])
    return expect(path, 0, [])


def disk_of_one_sector():
    """The smallest disk that can have a bitmap."""
    path = path_of("sector")
    make.build(path, "512", [("bitmap", "b")])
    return expect(path, 0, [])


def judge(name, notes):
    tap.result(not notes, name, notes)


for field, values in (("table_size", ("-1", "+1", "+9", 0, 0xFFFFFFFF)),
                      ("granularity_bits", (0, 8, 9, 10, 16, 31, 32, 255)),
                      ("flags", (0, 1, 2, 3, 8, 1 << 31)),
                      ("type", (0, 1, 2)), ("name_size", (0, 1)),
                      ("table_offset", ("+8", 0))):
    for value in values:
        judge("%s %s: as QEMU loads it" % (field, value),
              as_qemu_loads(field, value))
for size in (100 * MB, 199 * MB, 199 * MB + 512, 200 * MB, 64 * MB):
    judge("a disk of %d under its bitmap" % size, resized(size))
for case in (mended_by_its_own_words, hostile_name, under_a_writer,
             one_bad_of_many, resized_by_qemu, disk_of_one_sector):
    judge(case.__doc__.rstrip("."), case())
for name in sorted(LAYOUTS):
    if "bitmap" in name:
        path = path_of(name)
        LAYOUTS[name](path)
        judge(name + " is sound", expect(path, 0, []))
tools.run(["rm", "-rf", WORK])
sys.exit(tap.finish())
