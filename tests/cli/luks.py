#!/usr/bin/env python3
"""qfsck check and the LUKS header, beside qemu-img, which has the key."""

import os
import shutil
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "lib"))

from layouts import LAYOUTS                                 # noqa: E402
from tap import Tap                                         # noqa: E402
import qcow2                                                # noqa: E402
import tools                                                # noqa: E402

WORK = tempfile.mkdtemp(prefix="luks.")
SOUND = os.path.join(WORK, "sound.qcow2")
USED, FREE = 0x00AC71F3, 0x0000DEAD
tap = Tap()


def slot(number, at):
    return 208 + 48 * number + at


# name: (offset in the header, bytes, value, our finding or None)
EDITS = {
    "magic": (0, 1, 0, "luks-header"),
    "version": (6, 2, 2, "luks-header"),
    "cipher without end": (8, 32, int.from_bytes(b"a" * 32, "big"),
                           "luks-header"),
    "no cipher": (8, 32, 0, "luks-header"),
    "hash of ones": (72, 8, (1 << 64) - 1, "luks-header"),
    "key of no bytes": (108, 4, 0, "luks-header"),
    "key of 63 bytes": (108, 4, 63, "luks-header"),
    "key of 2^32-1 bytes": (108, 4, (1 << 32) - 1, "luks-header"),
    "key of 128 bytes": (108, 4, 128, "luks-key-slot"),
    "no iterations": (164, 4, 0, "luks-header"),
    "payload at 0": (104, 4, 0, "luks-header"),
    "payload farther": (104, 4, lambda number: number(104) + 8, None),
    "payload earlier": (104, 4, lambda number: number(slot(7, 40)) + 8,
                        "luks-key-slot"),
    "uuid": (168, 8, 1, None),
}
for _n in (0, 1, 7):
    EDITS.update({
        "slot %d: state" % _n: (slot(_n, 0), 4, 1, "luks-key-slot"),
        "slot %d: key on the header" % _n: (slot(_n, 40), 4, 1,
                                            "luks-key-slot"),
        "slot %d: key far outside" % _n: (slot(_n, 40), 4, 1 << 31,
                                          "luks-key-slot"),
        "slot %d: stripes" % _n: (slot(_n, 44), 4, 3999, "luks-key-slot"),
        "slot %d: key on another" % _n: (
            slot(_n, 40), 4, lambda number: number(slot(4, 40)) + 8,
            "luks-key-slot"),
    })
EDITS.update({
    "slot 0: used, no iterations": (slot(0, 4), 4, 0, "luks-key-slot"),
    "slot 1: free, no iterations": (slot(1, 4), 4, 0, None),
    "slot 2: used, no iterations": (slot(2, 0), 4, USED, "luks-key-slot"),
})


def edited(at, size, value):
    path = os.path.join(WORK, "edited.qcow2")
    shutil.copy(SOUND, path)
    with qcow2.Image(path) as image:
        start = image.u64(image.extension(qcow2.EXT_CRYPTO)[0])
        if callable(value):
            value = value(lambda place: image.number(start + place, 4))
        image.put_number(start + at, size, value)
    return path


def judge(at, size, value, want):
    """Corrupt where QEMU, with the right key, refuses the header."""
    path = edited(at, size, value)
    theirs = tools.qemu_check(path, True)[0]
    status, report, _, _ = tools.qfsck_check(path)
    names = {f["name"] for f in report["findings"]}
    notes = []
    if (theirs == 0) != (status == 0):
        notes.append("qemu-img: exit %s, qfsck: exit %s" % (theirs, status))
    if (want or "none") not in (names or {"none"}):
        notes.append("%s, not %s" % (sorted(names), want))
    return notes


def all_free():
    """No slot in use: a warning, as that can be meant."""
    path = edited(slot(0, 0), 4, FREE)
    status, report, _, _ = tools.qfsck_check(path)
    names = [f["name"] for f in report["findings"]]
    if status != 0 or names != ["luks-no-key"]:
        return ["exit %s, %s" % (status, names)]
    return []


LAYOUTS["luks"](SOUND)
notes = judge(168, 0, 0, None)
tap.result(not notes, "the sound header", notes)
for name, edit in EDITS.items():
    notes = judge(*edit)
    tap.result(not notes, name, notes)
notes = all_free()
tap.result(not notes, all_free.__doc__.rstrip("."), notes)
tools.run(["rm", "-rf", WORK])
sys.exit(tap.finish())
