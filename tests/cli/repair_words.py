#!/usr/bin/env python3
"""Words that are damaged in more than one bit: none of their bits is believed.

An entry of a table is changed; after the repair, each sector of every disk
state is right, or the image is not called clean. What is told to be the
outcome is the exit code, and whether all that the guest reads is right again.
"""

import os
import shutil
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "lib"))

import better                                               # noqa: E402
import oracle                                               # noqa: E402
import qimg                                                 # noqa: E402
from qcow2 import COMPRESSED, COPIED, OFFSET_MASK           # noqa: E402
from tap import Tap                                         # noqa: E402

ONES = 2 ** 64 - 1
RIGHT, TOLD = "right again", "left, and told"
GUESSED = "left, and told; right again with --guess"


def is_data(word):
    return not word & COMPRESSED and word & OFFSET_MASK


def is_zeros(word):
    return is_data(word) and word & 1


def is_packed(word):
    return word & COMPRESSED


def l2(wanted, change, number=0):
    """Changes the first word of an L2 entry."""
    def edit(image):
        _, pos, word = [e for e in image.entries() if wanted(e[2])][number]
        image.put64(pos, change(word) & ONES)
    return edit


def l1(change):
    def edit(image):
        pos = image.l1_pos(image.l1_used()[-1])
        image.put64(pos, change(image.u64(pos)) & ONES)
    return edit


def bitmap(change):
    def edit(image):
        _, pos, _ = image.normal_entries()[0]
        image.put64(pos + 8, change(image.u64(pos + 8)) & ONES)
    return edit


def zeros(path):
    """Three clusters in a row that read as zeros and still have their data."""
    return qimg.build(path, "1M", ["write -P 1 0 320k", "write -z 64k 192k"])


def in_order(path):
    return qimg.build(path, "4M", ["write -P %d %dk 64k" % (n + 1, n * 64)
                                   for n in range(48)])


CASES = (
    # filled in no order: one neighbour and the counts speak, and that was
    # wrong once in a hundred
    ("v3-65536", "bits 0 and 9", l2(is_data, lambda w: w | 0x201), GUESSED),
    ("v3-65536", "bits 0 and 12", l2(is_data, lambda w: w | 0x1001, 3),
     GUESSED),
    ("v3-65536", "added", l2(is_data, lambda w: w + 0x1235), GUESSED),
    ("v3-65536", "low half", l2(is_data, lambda w: w | 0xffffffff), GUESSED),
    ("v3-65536", "high", l2(is_data, lambda w: w | 0x7f << 55), GUESSED),
    # the word's bit 0 would read as zeros
    (in_order, "bits 0 and 9", l2(is_data, lambda w: w | 0x201, 20), RIGHT),
    (in_order, "bits 0 and 12", l2(is_data, lambda w: w | 0x1001, 20), RIGHT),
    (in_order, "added", l2(is_data, lambda w: w + 0x1235, 20), RIGHT),
    (in_order, "low half", l2(is_data, lambda w: w | 0xffffffff, 20), RIGHT),
    (in_order, "high", l2(is_data, lambda w: w | 0x7f << 55, 20), RIGHT),
    # zeros or data: what the guest reads now is legal, and may be right
    ("v3-65536", "bits 0 and 1", l2(is_data, lambda w: w | 3), TOLD),
    ("v3-65536", "bit 1", l2(is_data, lambda w: w | 2), RIGHT),
    (zeros, "bit 9 of zeros", l2(is_zeros, lambda w: w | 0x200, 1), TOLD),
    (zeros, "bit 1 of zeros", l2(is_zeros, lambda w: w | 2, 1), TOLD),
    # bent to another's cluster: it goes on reading as zeros
    (zeros, "zeros bent", l2(is_zeros, lambda w: w - 0x20000, 1), RIGHT),
    # a snapshot has the cluster at the same place
    ("snap-v3", "bits 0 and 9", l2(is_data, lambda w: w | 0x201), RIGHT),
    ("snap-v3", "high", l2(is_data, lambda w: w | 0x7f << 55, 3), RIGHT),
    # filled in no order, the counts alone speak: that is no proof
    ("v2-65536", "bits 0 and 9", l2(is_data, lambda w: w | 0x201), TOLD),
    # compressed, or not?
    ("zlib", "bit 62", l2(is_data, lambda w: w | COMPRESSED), RIGHT),
    ("zlib", "bit 63 of packed", l2(is_packed, lambda w: w | COPIED), RIGHT),
    ("zlib", "bit 62 of packed", l2(is_packed, lambda w: w & ~COMPRESSED, 1),
     RIGHT),
    ("zstd", "bit 62 of packed", l2(is_packed, lambda w: w & ~COMPRESSED, 1),
     RIGHT),
    ("extl2-16384", "bit 62", l2(is_data, lambda w: w | COMPRESSED), RIGHT),
    ("extl2-16384", "bits 0 and 9", l2(is_data, lambda w: w | 0x201), TOLD),
    ("extl2-16384", "bitmap", bitmap(lambda w: ONES), TOLD),
    ("datafile", "bit 62", l2(is_data, lambda w: w | COMPRESSED), RIGHT),
    ("datafile", "bits 0 and 9", l2(is_data, lambda w: w | 0x201), RIGHT),
    ("datafile", "L1, no COPIED", l1(lambda w: w & ~COPIED), RIGHT),
    ("datafile-raw", "low", l2(is_data, lambda w: w | 0xffffff), RIGHT),
    ("v3-4096", "L1, bits 0 and 62", l1(lambda w: w | COMPRESSED | 1), RIGHT),
    ("v3-4096", "L1, bit 1, no COPIED", l1(lambda w: w & ~COPIED | 2), RIGHT),
    ("snap-v3", "L1, all but COPIED", l1(lambda w: w & COPIED | 1), RIGHT),
)


def made(layout, folder):
    path = os.path.join(folder, "image")
    if callable(layout):
        return layout(path)
    qimg.LAYOUTS[layout](path)
    better.mark(path)
    return path


def faults_of(layout, edit, want, folder):
    sound = better.Sound(made(layout, folder))
    hurt = sound.path + ".hurt"
    shutil.copy(sound.path, hurt)
    with qimg.Image(hurt) as image:
        edit(image)
    faults, said = better.trial(sound, hurt)
    ours = hurt + ".ours"
    trial = better.Trial(sound, hurt, ours, hurt + ".qemu")
    for key in sound.map.keys:
        trial.compare(key)
    left, _ = oracle.repair(ours, "-n")
    if want == GUESSED:
        guessed = better.Trial(sound, hurt, ours, hurt + ".qemu")
        status, _ = oracle.repair(ours, "-y", "--guess")
        for key in sound.map.keys:
            guessed.compare(key)
        if status or guessed.lost:
            faults.append("--guess: status %s, wrong are %s" % (
                status, guessed.lost))
    sound.close()
    if want == RIGHT and trial.lost:
        faults.append("wrong are %s" % trial.lost)
    if left != {RIGHT: 0, TOLD: 2, GUESSED: 2}[want]:
        faults.append("status %s" % left)
    return faults + said.splitlines()[:20] if faults else []


def shows_the_base(folder):
    """An empty entry of subclusters with a bit set: what it has no place for
    goes on showing the backing file."""
    path = os.path.join(folder, "over")
    qimg.LAYOUTS["backing-extl2"](path)
    with qimg.Image(path) as image:
        guest, pos, _ = image.normal_entries()[0]
        image.put64(pos - image.l2_entry_size, 1 << 30)
    before = oracle.guest(path)
    status, _ = oracle.repair(path, "-y")
    bad = oracle.sectors_that_differ(before, oracle.guest(path))
    return ["status %s, %d sectors read otherwise" % (status, len(bad))] \
        if status or bad or guest != 1 else []


def main():
    tap = Tap()
    for layout, name, edit, want in CASES:
        with tempfile.TemporaryDirectory(prefix="qfsck-words.") as folder:
            faults = faults_of(layout, edit, want, folder)
        tap.result(not faults, "%s, %s: %s" % (
            getattr(layout, "__name__", layout), name, want), faults)
    with tempfile.TemporaryDirectory(prefix="qfsck-words.") as folder:
        faults = shows_the_base(folder)
    tap.result(not faults, "an empty entry shows the backing file", faults)
    return tap.finish()


if __name__ == "__main__":
    sys.exit(main())
