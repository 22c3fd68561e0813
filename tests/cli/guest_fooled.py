#!/usr/bin/env python3
"""Blocks of a guest that are not where they say they belong fool nobody.

A file in the guest holds a copy of the disk's own head, or a disk image; the
journal holds a copy of a block; an older file system left remnants. The
entries of those clusters and of the originals are bent to each other, and
broken. No likely verdict leads to other bytes than were there, and after a
repair all that read right reads the same.
"""

import glob
import os
import random
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "lib"))

import guestdisks as disks                                  # noqa: E402
from guestclaims import Hurt                                # noqa: E402
from guests import *                                        # noqa: E402,F403
from qcow2 import COPIED, OFFSET_MASK                       # noqa: E402
from tap import Tap                                         # noqa: E402
from tools import own_folder, qfsck_check, qfsck_path, run # noqa: E402

tap = Tap()
MIB = 1 << 20
UUID = "11111111-2222-3333-4444-555555555555"


def content(path):
    with open(path, "rb") as file:
        return file.read()


def pieces(disk, name=None):
    """[(start, bytes)] of an area, or of the largest file, on the disk."""
    found = files_of(image(disk), 0, os.path.getsize(disk))
    if name:
        found = [f for f in found if f.get("path") == name]
    else:
        found = [f for f in found if f["kind"] == "file" and
                 not f.get("path", "").startswith("/$")]
    largest = max(found, key=lambda f: f.get("size", 0))
    return [(p["start"], p["length"]) for p in largest["pieces"]]


def lay(disk, places, data):
    """Writes DATA into the pieces; {where it is now: where it came from}."""
    moved, at = {}, 0
    for start, length in places:
        part = data[at:at + length]
        put(disk, start, part)
        for k in range(0, len(part), 4096):
            moved[start + k] = at + k
        at += length
    return moved


def with_file(make, name, data):
    root, disk = name + ".tree", name + ".raw"
    tree(root, 120, 5, max_bytes=40000)
    with open(os.path.join(root, "copy"), "wb") as file:
        file.write(data)
    make(disk, root)
    return disk


def own_copy(make, name):
    """A file that holds the disk's own head, as dd makes it."""
    disk = with_file(make, name, random.Random(1).randbytes(12 * MIB))
    return disk, lay(disk, pieces(disk), content(disk)[:12 * MIB])


def same_name(disk, root):
    quiet("mkfs.btrfs", "-q", "-U", UUID, "--rootdir", root,
          raw(disk, 160 * MIB))


def earlier_copy(make, name):
    """The same, as it was before that file was there: btrfs has a checksum of
    what is in it."""
    older = name + ".older"
    make(older, tree_of(older + ".tree"))
    disk = with_file(make, name, content(older)[:80 * MIB])
    now, moved, at = content(disk), {}, 0
    for start, length in pieces(disk):
        moved.update({start + k: at + k for k in range(0, length, 4096)
                      if any(now[start + k:start + k + 4096])})
        at += length
    return disk, moved


def nested(make, name):
    """A file that is the image of another disk with the same file system."""
    os.mkdir(name + ".in")
    inner = name + ".in/inner.raw"
    make(inner, tree_of(name + ".inner.tree"))
    disk = with_file(make, name, content(inner)[:24 * MIB])
    first = pieces(disk)[0][0]
    return disk, {first + k: k for k in range(0, 8 * MIB, 4096)}


def tree_of(root):
    tree(root, 100, 5, max_bytes=20000)
    return root


def in_journal(make, name):
    """Blocks of metadata in the journal, as it keeps them."""
    disk = with_file(make, name, b"x")
    data = content(disk)
    return disk, lay(disk, [(a + MIB, n - MIB)
                            for a, n in pieces(disk, "journal") if n > MIB],
                     data[:4 * MIB])


def over_older(make, name):
    """Another file system was there before, and then one of this kind."""
    older = name + ".older"
    disks.xfs(older, tree_of(older + ".tree"))
    disk = with_file(make, name, b"x")
    old, new = content(older), bytearray(content(disk))
    for at in range(0, min(len(old), len(new)), 4096):
        if not any(new[at:at + 4096]):
            new[at:at + 4096] = old[at:at + 4096]
    put(disk, 0, new)
    return disk, {at: at for at in range(0, 16 * MIB, 4096)}


class Trial:
    def __init__(self, path, disk, moved, rng):
        self.path, self.rng = path, rng
        self.hurt = Hurt(path, set(), rng)
        self.cluster = self.hurt.image.cluster
        self.truth = content(disk)
        entry = {e[0]: e for e in self.hurt.found}
        self.pairs = [(entry[a], entry[b]) for a, b in sorted({
            (old // self.cluster, new // self.cluster)
            for new, old in moved.items()}) if a in entry and b in entry]

    def damage(self):
        """Entries of an original and of its copy."""
        was, hurt = self.hurt.was, self.hurt
        for a, b in self.rng.sample(self.pairs, self.rng.randrange(1, 3)):
            if a == b:
                a, b = self.rng.sample(hurt.found, 2)
            kind = self.rng.randrange(6)
            if kind in (0, 4):
                hurt.put(a[1], was[b[1]] | COPIED)
            if kind in (1,):
                hurt.put(b[1], was[a[1]] | COPIED)
            if kind in (2, 5):
                hurt.put(a[1], was[a[1]] + 512 | COPIED)
            if kind in (3, 4, 5):
                hurt.put(b[1], was[b[1]] + 1024 | COPIED)

    def bytes_at(self, host):
        return self.hurt.image.read(host, self.cluster)

    def notes_of_verdicts(self, name):
        _, report, _, _ = qfsck_check(os.path.abspath(self.path))
        notes = []
        for q in report.get("questions", ()):
            self.asked += 1
            if q["verdict"] not in ("likely", "proven") or \
                    q["answer"] != "value":
                continue
            self.answered += 1
            was = self.hurt.was[q["place"]]
            if self.bytes_at(q["value"]) != self.bytes_at(was):
                notes.append("%s: %s, and it was %#x" % (name, q, was))
        return notes

    def notes_of_repair(self, name):
        """What read right reads the same."""
        changed = {e[0] for e in self.hurt.found
                   if self.hurt.image.u64(e[1]) & OFFSET_MASK !=
                   self.hurt.was[e[1]]}
        mended = copy(self.path, "mended.qcow2")
        _, out, err = run([qfsck_path(), "repair", "-y", mended])
        run([qfsck_path(), "extract", mended, "mended.raw"])
        now = content("mended.raw")
        bad = [c for c, _, _ in self.hurt.found if c not in changed and
               now[c * self.cluster:(c + 1) * self.cluster] !=
               self.truth[c * self.cluster:(c + 1) * self.cluster]]
        for left in glob.glob("mended.*"):
            os.remove(left)
        return ["%s: guest cluster %d reads otherwise: %s %s" % (
            name, c, out.decode(), err.decode()) for c in bad[:3]]


def cases(name, disk, moved, cluster, count=8):
    rng = random.Random("%s %d" % (name, cluster))
    path, notes, asked = disks.shuffled(image(disk, cluster), rng), [], 0
    for n in range(count):
        trial = Trial(path, disk, moved, rng)
        trial.asked = trial.answered = 0
        trial.damage()
        notes += trial.notes_of_verdicts("#%d" % n)
        if n < 4:
            notes += trial.notes_of_repair("#%d" % n)
        asked += trial.asked
        trial.hurt.close()
    tap.result(asked and not notes, "%s, clusters of %d KiB: nobody is fooled" %
               (name, cluster >> 10), notes or ["%d questions" % asked])


def main():
    for name, how, make in (
            ("ext4 with a copy of its head", own_copy, disks.ext4),
            ("XFS with a copy of its head", own_copy, disks.xfs),
            ("btrfs with an older copy", earlier_copy, same_name),
            ("NTFS with a copy of its head", own_copy, disks.ntfs),
            ("ext4 in ext4", nested, disks.ext4),
            ("XFS in XFS", nested, disks.xfs),
            ("ext4 with blocks in its journal", in_journal, disks.ext4),
            ("ext4 over an older XFS", over_older, disks.ext4)):
        disk, moved = how(make, name.replace(" ", "-"))
        for cluster in (4096, 65536):
            cases(name, disk, moved, cluster)
    sys.exit(tap.finish())


own_folder()
main()
