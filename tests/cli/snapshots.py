#!/usr/bin/env python3
"""qfsck check and the snapshot table: sizes, ids, and many wrong at once."""

import os
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "lib"))

from layouts import LAYOUTS                                 # noqa: E402
from tap import Tap                                         # noqa: E402
import make                                                 # noqa: E402
import qcow2                                                # noqa: E402
import tools                                                # noqa: E402

WORK = tempfile.mkdtemp(prefix="snapshots.")
MB = 1 << 20
tap = Tap()


def found(path):
    """(exit status, {name of the problem: [owner of each finding]})."""
    status, report, errors, _ = tools.qfsck_check(path)
    names = {}
    for finding in (report or {"findings": []})["findings"]:
        names.setdefault(finding["name"], []).append(finding.get("owner"))
    return status, names


def expect(path, status, names):
    have = found(path)
    want = (status, names)
    return [] if have == want else ["%s, not %s" % (have, want)]


def vm_state(size):
    """The VM state of a snapshot, stated as SIZE bytes."""
    path = os.path.join(WORK, "vmstate.qcow2")
    LAYOUTS["snap-vmstate"](path)
    with qcow2.Image(path) as image:
        pos = image.snapshots()[0]
        image.put_snapshot(pos, "extra_vm_state_size", size)
        image.put_snapshot(pos, "vm_state_size", size if size >> 32 == 0
                           else 0)
        span = image.l2_entries * image.cluster
        room = (image.snapshot(pos, "l1_size") -
                -(-image.get("size") // span)) * span
    return path, room


def largest_vm_state():
    """A VM state that fills its L1 table to the last byte is sound."""
    _, room = vm_state(0)
    path, _ = vm_state(room)
    return expect(path, 0, {})


def larger_vm_state():
    """One byte more is not."""
    _, room = vm_state(0)
    path, _ = vm_state(room + 1)
    return expect(path, 2, {"snapshot-vm-state": ['snapshot 1 ("live")']})


def vm_state_of_2_64():
    """The largest number that the field can hold."""
    path, _ = vm_state((1 << 64) - 1)
    return expect(path, 2, {"snapshot-vm-state": ['snapshot 1 ("live")']})


def many(path="many"):
    path = os.path.join(WORK, path + ".qcow2")
    steps = [s for n in range(6) for s in
             ("write -P %d %dk 64k" % (n + 1, 64 * n), ("snap", "s%d" % n))]
    return make.build(path, "4M", steps, cluster_size=4096)


def disk_size_of_2_64():
    """A disk of 2^64-1 bytes in a snapshot."""
    path = many()
    with qcow2.Image(path) as image:
        image.put_snapshot(image.snapshots()[2], "extra_disk_size",
                           (1 << 64) - 1)
    return expect(path, 2, {"snapshot-disk-size": ['snapshot 3 ("s2")']})


def all_wrong_at_once():
    """Five snapshots wrong, each in another way: each is named."""
    path = many()
    with qcow2.Image(path) as image:
        at = image.snapshots()
        image.put_snapshot(at[0], "extra_disk_size", 1 << 40)
        image.put_snapshot(at[1], "extra_vm_state_size", 1 << 40)
        id_at = image.snapshot_strings(at[3])[0]
        image.write(id_at, b"3")
        image.put_snapshot(at[4], "l1_size", 0x7FFFFFFF)
        image.put_snapshot(at[5], "l1_table_offset", 1 << 40)
    status, names = found(path)
    want = {"snapshot-disk-size": ['snapshot 1 ("s0")'],
            "snapshot-vm-state": ['snapshot 2 ("s1")'],
            "snapshot-id-twice": ['snapshot 3 ("s2")'],
            "snapshot-l1-size": ['snapshot 5 ("s4")'],
            "snapshot-l1-outside": ['snapshot 6 ("s5")']}
    mine = {k: v for k, v in names.items() if k in want}
    return [] if (status, mine) == (2, want) else ["%s %s" % (status, names)]


def hidden(field, value):
    """A bad second entry: the four behind it are found, nothing leaks."""
    path = many()
    with qcow2.Image(path) as image:
        image.put_snapshot(image.snapshots()[1], field, value)
    status, report, _, _ = tools.qfsck_check(path)
    names = {f["name"] for f in report["findings"]}
    if status != 2 or not names & {"snapshot-entry-garbled",
                                   "snapshot-table-cut"}:
        return ["%s %s" % (status, names)]
    loud = names & {"refcount-leak", "refcount-high", "refcount-low",
                    "refcount-zero", "snapshot-id-empty"}
    with qcow2.Image(path) as image:
        image.write(image.snapshot_strings(image.get("snapshots_offset"))[0],
                    b"3")
    names = {f["name"] for f in tools.qfsck_check(path)[1]["findings"]}
    if "snapshot-id-twice" not in names:
        loud.add("the snapshot with the id 3 is not seen")
    return sorted(loud)


def id_of_all():
    """All six have one id: one finding, which counts them."""
    path = many()
    with qcow2.Image(path) as image:
        for pos in image.snapshots():
            image.write(image.snapshot_strings(pos)[0], b"7")
    status, report, _, _ = tools.qfsck_check(path)
    have = [(f["name"], f["count"]) for f in report["findings"]]
    if status != 2 or have != [("snapshot-id-twice", 6)]:
        return ["%s %s" % (status, have)]
    return []


def zero_entry():
    """An entry of zeros behind the last is no snapshot."""
    path = many()
    with qcow2.Image(path) as image:
        image.put("nb_snapshots", 7)
        image.truncate(qcow2.round_up(image.file_size(), image.cluster))
    status, names = found(path)
    if status != 2 or names.get("snapshot-id-empty") != \
            ['snapshot without an id ("")']:
        return ["%s %s" % (status, names)]
    return []


def verdict_of_qemu():
    """qemu-img apply and delete agree: sound snapshots stay sound."""
    path = many()
    tools.qemu_img("snapshot", "-a", "s2", path)
    tools.qemu_img("snapshot", "-d", "s0", path)
    return expect(path, 0, {})


for case in (largest_vm_state, larger_vm_state, vm_state_of_2_64,
             disk_size_of_2_64, all_wrong_at_once, id_of_all, zero_entry,
             verdict_of_qemu):
    notes = case()
    tap.result(not notes, case.__doc__.rstrip("."), notes)
for field, value in (("extra_size", 0x7FFFFFFF), ("extra_size", 0x3FFFFFF),
                     ("name_size", 0xFFFF), ("id_size", 0xFFFF),
                     ("extra_size", 1400)):
    notes = hidden(field, value)
    tap.result(not notes, "%s of %d: what is behind is found" % (field, value),
               notes)
for name in sorted(LAYOUTS):
    if "snap" in name:
        path = os.path.join(WORK, name + ".qcow2")
        LAYOUTS[name](path)
        notes = expect(path, 0, {})
        tap.result(not notes, name + " is sound", notes)
tools.run(["rm", "-rf", WORK])
sys.exit(tap.finish())
