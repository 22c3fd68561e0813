#!/usr/bin/env python3
"""Two older copies of a lost table contradict each other: the guest tells.

An L2 table of a real guest was erased, and lies twice in clusters that are
free: as it was, and with entries that have changed places. Without the guest
nothing tells which is right; and where the guest knows neither, nothing is
restored.
"""

import os
import random
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "lib"))

import guestdisks as disks                                  # noqa: E402
from guestclaims import metadata_of                         # noqa: E402
from guests import *                                        # noqa: E402,F403
from qcow2 import Image                                     # noqa: E402
from tap import Tap                                         # noqa: E402
from tools import own_folder, qfsck_path, run               # noqa: E402

tap = Tap()
DISK_HEAD = 65536       # superblocks, boot sectors


def plant(path, metadata, rng):
    """Erases the fullest table; its copies go behind the end of the file."""
    with Image(path) as image:
        tables = {i: image.l2_offset(i) for i in image.l1_used()}
        held = {i: [k for k, e in enumerate(image.l2_table(at)) if e]
                for i, at in tables.items()}
        # without its head nothing is known of the disk
        places = {i: [k for k in held[i] if i * image.l2_entries + k in
                      metadata and (i or k > DISK_HEAD // image.cluster)]
                  for i in held}
        i = max(places, key=lambda n: len(places[n]))
        table = image.read(tables[i], image.cluster)
        other = bytearray(table)
        some = rng.sample(places[i], min(6, len(places[i])))
        for a, b in zip(some[::2], some[1::2]):
            other[8 * a:8 * a + 8] = table[8 * b:8 * b + 8]
            other[8 * b:8 * b + 8] = table[8 * a:8 * a + 8]
        image.write(tables[i], bytes(image.cluster))
        end = image.clusters()
        both = [table, bytes(other)]
        rng.shuffle(both)
        image.write(end * image.cluster, both[0] + both[1])
    return other != table


def repaired(path):
    _, out, err = run([qfsck_path(), "repair", "-y", path])
    run([qfsck_path(), "extract", path, path + ".raw"])
    with open(path + ".raw", "rb") as f:
        return f.read(), (out + err).decode()


def cases(name, make, cluster):
    root, disk = name + ".tree", name + ".raw"
    rng = random.Random("%s %d" % (name, cluster))
    if not os.path.exists(disk):
        tree(root, 150, 5, max_bytes=40000)
        make(disk, root)
    sound = image(disk, cluster)
    metadata = metadata_of(sound, cluster)
    disks.shuffled(sound, rng)
    with open(disk, "rb") as f:
        truth = f.read()
    path = copy(sound, "%s.%d.hurt" % (name, cluster))
    changed = plant(path, metadata, rng)
    now, out = repaired(path)
    tap.result(changed and now == truth, "%s, clusters of %d KiB: the copy that "
               "the guest bears out" % (name, cluster >> 10), out.splitlines())


def main():
    for name, make in (("ext4", disks.ext4), ("xfs", disks.xfs),
                       ("btrfs", disks.btrfs), ("ntfs", disks.ntfs)):
        for cluster in (4096, 65536):
            # a chunk of XFS's inodes is larger than these, and stays open
            if (name, cluster) != ("xfs", 4096):
                cases(name, make, cluster)
    sys.exit(tap.finish())


own_folder()
main()
