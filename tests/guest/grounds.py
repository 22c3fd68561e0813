"""Guests for the sweep: a tree of files in a file system, made by the real
tools, in an image whose truth is known.

Every file holds random bytes, so its place on the disk is found by content,
and no reader of file systems has a say in what is true.
"""

import functools
import os
import random

import guestdisks as disks
from guestclaims import metadata_of
from guests import (image, merged, put, qemu_img, quiet, raw, tree, volumes)
from qcow2 import OFFSET_MASK, Image

MIB = 1 << 20
BLOCK = 1024            # a file's bytes are looked for in pieces of this
# what a disk has at least, so that there are several tables
SIZES = {4096: 160 * MIB, 65536: 1600 * MIB, 2 * MIB: 1200 << 30}


def zeros(root):
    """Files that hold no bytes, and such as hold them in part."""
    for name, parts in (("zeros", (0,)), ("half-zeros", (1, 0, 1, 0))):
        with open(os.path.join(root, name), "wb") as f:
            for part in parts:
                f.write(random.Random(part).randbytes(90000) if part
                        else bytes(300000))


def walk(root):
    """The files below ROOT, in one order."""
    for folder, folders, names in os.walk(root):
        folders.sort()
        for name in sorted(names):
            yield os.path.join(folder, name)


def in_place(root):
    return {"/" + os.path.relpath(p, root): p for p in walk(root)}


def mke2fs(disk, root, size, *options):
    quiet("mke2fs", "-q", "-t", "ext4", *options, "-d", root, raw(disk, size))
    return in_place(root)


def ext4(disk, root, size):
    return mke2fs(disk, root, size, "-b", "4096", "-E", "lazy_itable_init=1")


def ext4_1k(disk, root, size):
    return mke2fs(disk, root, size, "-b", "1024", "-E", "lazy_itable_init=1")


def xfs(disk, root, size):
    paths = {"/f%d" % n: p for n, p in enumerate(walk(root)) if " " not in p}
    lines = ["x", "0 0", "d--755 0 0"] + [
        "%s ---644 0 0 %s" % (name[1:], p) for name, p in paths.items()]
    with open(disk + ".proto", "w") as proto:
        proto.write("\n".join(lines + ["$", "$", ""]))
    quiet("mkfs.xfs", "-q", "-f", "-p", disk + ".proto", raw(disk, size),
          **disks.SMALL)
    return paths


def btrfs(disk, root, size):
    quiet("mkfs.btrfs", "-q", "--rootdir", root, raw(disk, size))
    return in_place(root)


def ntfs(disk, root, size):
    quiet("mkntfs", "-q", "-F", "-f", "-c", "4096", raw(disk, size))
    paths = {"/f%d" % n: p for n, p in enumerate(walk(root))}
    for name, p in paths.items():
        quiet("ntfscp", "-q", "-f", disk, p, name[1:])
    disks.close_log(disk)
    return paths


def fat(disk, root, size):
    quiet("mkfs.fat", "-F", "32", raw(disk, size))
    for name in sorted(os.listdir(root)):
        quiet("mcopy", "-i", disk, "-s", os.path.join(root, name), "::")
    return in_place(root)


MAKERS = {"ext4-4k": ext4, "ext4-1k": ext4_1k, "xfs": xfs, "btrfs": btrfs,
          "ntfs": ntfs, "fat32": fat}
# as large as 2 MiB clusters need it, the others take too long to make
LARGE = ("ext4-4k", "xfs", "btrfs")


def stretches(path):
    """[(start, end)] of what a sparse file holds."""
    out, at, end = [], 0, os.path.getsize(path)
    with open(path, "rb") as f:
        while at < end:
            try:
                start = os.lseek(f.fileno(), at, os.SEEK_DATA)
            except OSError:
                break
            at = os.lseek(f.fileno(), start, os.SEEK_HOLE)
            out.append((start, at))
    return out


def find_files(disk, paths):
    """{path: [(start, end)]}: where each file's bytes lie on the disk."""
    known, found = {}, {path: [] for path in paths}
    for path, local in paths.items():
        with open(local, "rb") as f:
            data = f.read()
        for at in range(0, len(data) - BLOCK + 1, BLOCK):
            known[data[at:at + BLOCK]] = path
    with open(disk, "rb") as f:
        for start, end in stretches(disk):
            start = start // 512 * 512
            while start < end:
                f.seek(start)
                part = f.read(min(end - start, 4 * MIB))
                at = 0
                while at + BLOCK <= len(part):
                    path = known.get(part[at:at + BLOCK])
                    if path:
                        found[path].append((start + at, start + at + BLOCK))
                    at += BLOCK
                start += len(part)
    return {path: merged(spans) for path, spans in found.items()}


class Ground:
    """A guest in an image that is sound, and what is true of it."""

    def __init__(self, kind, cluster, how, seed):
        self.name = "%s %d KiB %s" % (kind, cluster >> 10, how)
        rng = random.Random("%s %d" % (self.name, seed))
        root = "tree.%d" % seed
        disk = "%s.%d.%d.raw" % (kind, SIZES[cluster] // MIB, seed)
        if not os.path.exists(root):
            tree(root, 90, seed, odd=False)
            zeros(root)
        if not os.path.exists(disk):
            Ground.made[disk] = MAKERS[kind](disk, root, SIZES[cluster])
        self.cluster, self.disk, self.rng = cluster, disk, rng
        self.path = image(disk, cluster)
        self.metadata = metadata_of(self.path, cluster)
        self.used = merged(
            (r["start"], r["start"] + r["length"]) for v in
            volumes(self.path, "--ranges") for r in v["ranges"]
            if r["use"] == "used")
        getattr(self, how)()

    made = {}

    @functools.cached_property
    def files(self):
        return find_files(self.disk, Ground.made[self.disk])

    @functools.cached_property
    def known(self):
        """Paths of which all bytes were found: zeros lie anywhere."""
        size = {path: os.path.getsize(local) for path, local in
                Ground.made[self.disk].items()}
        return {path for path, at in self.files.items() if at and
                sum(b - a for a, b in at) >= size[path] // BLOCK * BLOCK}

    def plain(self):
        pass

    def shuffled(self):
        disks.shuffled(self.path, self.rng)

    def snapshot(self):
        """The active disk has tables of its own, the clusters are shared."""
        qemu_img("snapshot", "-c", "before", self.path)
        with Image(self.path) as im:
            held = [(i, next(k for k, e in enumerate(im.l2_table(
                im.l2_offset(i))) if e & OFFSET_MASK)) for i in im.l1_used()]
            spots = [(i * im.l2_entries + k) * self.cluster for i, k in held]
        commands = []
        with open(self.disk, "rb") as f:
            for n, spot in enumerate(spots):
                f.seek(spot)
                with open("same.%d" % n, "wb") as out:
                    out.write(f.read(self.cluster))
                commands += ["-c", "write -q -s same.%d %d %d" % (
                    n, spot, os.path.getsize("same.%d" % n))]
        quiet("qemu-io", *commands, self.path)

    def base(self):
        """One half of the clusters is in a base below as it is now."""
        older, below = self.disk + ".older", self.path + ".base"
        with Image(self.path) as im:
            found = [n for n, _, _ in im.normal_entries()]
        quiet("cp", "--sparse=always", self.disk, older)
        with open(older, "r+b") as f:
            for n in self.rng.sample(found, len(found) // 2):
                f.seek(n * self.cluster)
                f.write(bytes(self.cluster))
        size = "cluster_size=%d" % self.cluster
        qemu_img("convert", "-O", "qcow2", "-o", size, older, below)
        qemu_img("convert", "-O", "qcow2", "-o", size, "-B", below, "-F",
                 "qcow2", self.disk, self.path)


HOWS = ("plain", "shuffled", "snapshot", "base")


def all_of(args):
    for cluster in SIZES:
        for kind in MAKERS if cluster < 2 * MIB else LARGE:
            for how in HOWS:
                if args.only in "%s %d KiB %s" % (kind, cluster >> 10, how):
                    yield kind, cluster, how


def inside(pieces, others):
    """How many bytes of PIECES lie in OTHERS; both are in order."""
    total = k = 0
    for a, b in pieces:
        while k and others[k - 1][1] > a:
            k -= 1
        while k < len(others) and others[k][0] < b:
            total += max(0, min(b, others[k][1]) - max(a, others[k][0]))
            k += 1
        k = max(0, k - 1)
    return total
