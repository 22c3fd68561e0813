#!/usr/bin/env python3
"""L1 pointers and snapshot entries that repair restores, or leaves.

Fields of an entry are damaged: pointer and length of the L1 table, sizes,
lengths of the strings, ids. Where the true value is known the guest sees all
that it saw before, in the active disk and in every snapshot. Where it is not,
the snapshot stays, is named, and nothing of it is freed.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "lib"))

import oracle                                               # noqa: E402
import qimg                                                 # noqa: E402
from tap import Tap                                         # noqa: E402

SHAPES = {
    "4k": ("4M", ["write -P 1 0 64k", "write -P 9 3M 64k", ("snap", "one"),
                  "write -P 2 0 4k", ("snap", "second"),
                  "write -P 3 64k 4k", ("snap", "three")],
           {"cluster_size": 4096}),
    # the L1 table takes several clusters
    "512": ("16M", ["write -P 1 0 64k", "write -P 9 15M 64k", ("snap", "one"),
                    "write -P 2 0 4k", ("snap", "second"),
                    "write -P 3 8M 4k", ("snap", "three")],
            {"cluster_size": 512}),
    "extl2": ("32M", ["write -P 1 0 64k", "write -P 9 30M 64k",
                      ("snap", "one"), "write -P 2 0 4k", ("snap", "second"),
                      "write -P 3 64k 4k", ("snap", "three")],
              {"cluster_size": 16384, "extended_l2": "on"}),
    "v2": ("4M", ["write -P 1 0 64k", ("snap", "one"), "write -P 2 0 4k",
                  ("snap", "second"), "write -P 3 64k 4k", ("snap", "three")],
           {"cluster_size": 4096, "compat": "0.10"}),
}
tap = Tap()
work = tempfile.mkdtemp(prefix="qfsck-snapfix.")


def put(field, value, which=(0,)):
    """VALUE(image, position of the entry, the field as it is)."""
    def damage(image):
        places = [image.snapshots()[n] for n in which]
        for pos in places:
            old = image.snapshot(pos, field)
            image.put_snapshot(pos, field, value(image, pos, old))
    return damage


def header(value):
    """The header's L1 pointer becomes VALUE(image, the pointer as it is)."""
    def damage(image):
        image.put("l1_table_offset", value(image, image.l1_offset))
    return damage


def snapshots_table(image, _):
    return image.snapshot(image.snapshots()[0], "l1_table_offset")


def same_ids(image):
    """The third snapshot and the second have the id of the first."""
    places = [image.snapshot_strings(p) for p in image.snapshots()]
    for at, length, _, _ in places[1:]:
        image.write(at, image.read(places[0][0], length))


def lost_table(image):
    """Pointer damaged, and the table overwritten."""
    pos = image.snapshots()[0]
    at = image.snapshot(pos, "l1_table_offset")
    image.write(at, b"\xa5" * (8 * image.snapshot(pos, "l1_size")))
    image.put_snapshot(pos, "l1_table_offset", 1 << 40)


POINTER, SIZE = "l1_table_offset", "l1_size"
RESTORED = {
    "L1 pointer unaligned": put(POINTER, lambda i, p, v: v + 8),
    "L1 pointer past the end": put(POINTER, lambda i, p, v: 1 << 40, (1,)),
    "L1 pointer zero": put(POINTER, lambda i, p, v: 0),
    "L1 pointer to the active L1 table": put(
        POINTER, lambda i, p, v: i.l1_offset, (2,)),
    "L1 pointer to an L2 table": put(
        POINTER, lambda i, p, v: i.l2_offset(i.l1_used()[0])),
    "L1 pointer to the refcount table": put(
        POINTER, lambda i, p, v: i.reftable_offset()),
    "L1 size zero": put(SIZE, lambda i, p, v: 0),
    "L1 size huge": put(SIZE, lambda i, p, v: 0x7FFFFFFF, (1,)),
    "header's L1 pointer unaligned": header(lambda i, v: v + 8),
    "header's L1 pointer past the end": header(lambda i, v: 1 << 40),
    "header's L1 pointer zero": header(lambda i, v: 0),
    "header's L1 pointer to data": header(
        lambda i, v: i.normal_entries()[0][2] & qimg.OFFSET_MASK),
    "id length zero": put("id_size", lambda i, p, v: 0, (1,)),
    "id length at its most": put("id_size", lambda i, p, v: 0xFFFF, (1,)),
    "name length at its most": put("name_size", lambda i, p, v: 0xFFFF),
    "same ids": same_ids,
}
# what version 2 has no field for
V3_ONLY = {
    "disk size huge": put("extra_disk_size", lambda i, p, v: 1 << 60, (1,)),
}
LEFT = {
    "two L1 pointers past the end": put(
        POINTER, lambda i, p, v: 1 << 40, (0, 2)),
    "L1 pointer and table": lost_table,
    "header's L1 pointer to a snapshot's": header(snapshots_table),
}


def names(image):
    out = subprocess.run(["qemu-img", "snapshot", "-l", image],
                         capture_output=True, text=True).stdout
    return [line.split()[:2] for line in out.splitlines()[2:]]


def make(shape, damage):
    size, steps, options = SHAPES[shape]
    sound = os.path.join(work, "sound-" + shape)
    image = os.path.join(work, "image")
    if not os.path.exists(sound):
        qimg.build(sound, size, steps, **options)
    shutil.copy(sound, image)
    with qimg.Image(image) as opened:
        damage(opened)
    return sound, image


def undone(image, before):
    code, said = oracle.undo(image)
    faults = ["undo: " + said] if code or oracle.sha(image) != before else []
    os.remove(image + ".qfsck-undo")
    return faults


def restored(shape, what, damage):
    sound, image = make(shape, damage)
    before = oracle.sha(image)
    status, said = oracle.repair(image, "-y")
    faults = [] if status == 0 else ["exit %s" % status]
    if qimg.qemu_check(image)[0] != 0:
        faults.append("qemu-img check finds fault with it")
    if oracle.views(image) != oracle.sound_views(sound):
        faults.append("the guest sees something else than before")
    found = names(image)
    if [n for _, n in found] != [n for _, n in names(sound)]:
        faults.append("the names are %s" % found)
    if len({i for i, _ in found}) != len(found):
        faults.append("the ids are %s" % found)
    if oracle.sha(image) != before:
        again, _ = oracle.repair(image, "-y")
        faults += ["second repair: %s" % again] if again else []
        faults += undone(image, before)
    else:
        faults.append("nothing was done")
    tap.result(not faults, "%s: %s" % (shape, what),
               faults and faults + [said[-1500:]])


def left(shape, what, damage):
    _, image = make(shape, damage)
    before = oracle.sha(image)
    done = subprocess.run(
        [qimg.qfsck_path(), "repair", "-y", "--output=json", image],
        capture_output=True, text=True, timeout=60, env=qimg.environment())
    said = json.loads(done.stdout)
    owners = {f.get("owner") for f in said["left"]}
    faults = [] if done.returncode == 2 else ["exit %s" % done.returncode]
    if oracle.sha(image) != before:
        # other things may be mended, as long as nothing is freed
        if "header" not in what or any(e["problem"].startswith(
                ("refcount-leak", "refcount-high")) for e in said["edits"]):
            faults.append("something was done")
        undone(image, before)
    human = " ".join(oracle.repair(image, "-n")[1].split())
    if "header" not in what:
        if 'snapshot 1 ("one")' not in owners:
            faults.append("the snapshot is not named")
        if 'snapshot 1 ("one")' not in human \
                or "qemu-img convert" not in human:
            faults.append("no word of what to do")
    tap.result(not faults, "%s: %s: stays, and is named" % (shape, what),
               faults and faults + [done.stdout[-1500:], human])


def main():
    for shape in SHAPES:
        cases = dict(RESTORED)
        if shape != "v2":
            cases.update(V3_ONLY)
        if shape == "512":
            # it then lies across the true table, and claims what that names
            cases.pop("header's L1 pointer zero")
        for what, damage in cases.items():
            restored(shape, what, damage)
    for what, damage in LEFT.items():
        left("4k", what, damage)
    return tap.finish()


try:
    sys.exit(main())
finally:
    shutil.rmtree(work)
