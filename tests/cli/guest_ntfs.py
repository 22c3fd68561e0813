#!/usr/bin/env python3
"""qfsck guest on NTFS, against ntfsinfo and ntfscluster."""

import os
import random
import re
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "lib"))

from guests import *                                        # noqa: E402,F403
from tap import Tap                                         # noqa: E402
from tools import own_folder                                # noqa: E402

tap = Tap()
KINDS = (("ntfs-4k", ("-c", "4096"), 24 << 20),
         ("ntfs-1k", ("-c", "1024"), 16 << 20),
         ("ntfs-64k", ("-c", "65536"), 48 << 20))


def make(name, options, size):
    """Files, then shorter ones over them, then one that fills the gaps."""
    path = raw(name + ".raw", size)
    quiet("mkntfs", "-F", "-q", "-L", "Gr\u00fc\u00dfe", "-s", "512", "-p",
          "2048", "-H", "255", "-S", "63", *options, path)
    root = name + ".tree"
    os.makedirs(root)
    rng = random.Random(name)
    names = []

    def store(target, data):
        with open(os.path.join(root, target), "wb") as f:
            f.write(data)
        quiet("ntfscp", "-q", "-f", path, os.path.join(root, target), target)
        names.append(target)

    for n in range(24):
        store("File number %d" % n,
              rng.randbytes(rng.choice((10, 900, 30000, 200000))))
    for n in range(0, 24, 2):
        store("File number %d" % n, rng.randbytes(5000))
    store("long", rng.randbytes(3000000))
    return path, root, sorted(set(names))


def owner(path, number):
    """The paths that ntfscluster has for one cluster."""
    text = quiet("ntfscluster", "-q", "-f", "-c",
                 "%d-%d" % (number, number), path)
    return {re.sub("^/\\.$", "/", found) for found in
            re.findall(r"^Inode \d+ (.*)/\$[A-Z_]+(?:\(.*\))?$", text, re.M)}


def compare_names(path, qcow2, cluster, rng):
    files = files_of(qcow2, 0, os.path.getsize(path))
    ours = blocks_of(files, cluster)
    looked = set()
    for f in files:
        for p in f["pieces"]:
            first = p["start"] // cluster
            looked |= {first, first + p["length"] // cluster,
                       first + p["length"] // cluster - 1}
    last = os.path.getsize(path) // cluster - 1
    looked = rng.sample(sorted(n for n in looked if 0 <= n < last), 40)
    theirs = {n: owner(path, n) for n in looked}
    return compared("owners", {n: t for n, t in theirs.items() if t},
                    {n: {ours[n]} for n in looked if n in ours})


def look(name, options, size):
    path, root, paths = make(name, options, size)
    qcow2 = image(path)
    volume = only_volume(qcow2, "--ranges")
    fs = volume["file-system"]
    text = quiet("ntfsinfo", "-f", "-m", path)
    cluster, free, count = (
        int(re.search(k + r": (\d+)", text)[1])
        for k in ("Cluster Size", "Free Clusters",
                  "Volume Size in Clusters"))
    tap.result((fs["kind"], fs["label"], fs["block-size"], fs["state"]) ==
               ("NTFS", "Gr\u00fc\u00dfe", cluster, "unknown"),
               name + ": what it is", [str(fs), text])
    ours = sum(b - a for a, b in ranges(volume, "free"))
    used = sum(b - a for a, b in ranges(volume, "used"))
    tap.result((ours, used) == (free * cluster, (count - free) * cluster),
               name + ": free clusters as ntfsinfo has them",
               [str((ours, used, free, count, cluster))])
    notes = compare_names(path, qcow2, cluster, random.Random(1))
    tap.result(not notes, name + ": files of clusters as ntfscluster has them",
               notes)
    files = files_of(qcow2, 0, size)
    spans = merged((p["start"], p["start"] + p["length"]) for f in files
                   for p in f["pieces"] if f["kind"] != "metadata")
    tap.result(spans == merged(ranges(volume, "used")),
               name + ": all that is in use has a name",
               compared("used", merged(ranges(volume, "used")), spans))
    large = [p for p in paths
             if os.path.getsize(os.path.join(root, p)) > 1000]
    notes = compare_contents(path, qcow2, root, large)
    if guest(qcow2, "--path=/FILE NUMBER 3")[0]:
        notes.append("the case of names matters")
    tap.result(not notes, name + ": the pieces hold the bytes", notes)
    return path


def damage(path):
    one = copy(path, "table.raw")
    with open(one, "rb") as f:
        boot = f.read(512)
    cluster = 512 * boot[13]
    table = int.from_bytes(boot[48:56], "little") * cluster
    put(one, table + 510, b"xx")        # a torn record
    volume = only_volume(image(one), "--ranges")
    tap.result(volume["file-system"]["label"] == "Gr\u00fc\u00dfe" and
               volume["use"]["free"],
               "a torn master file table is found by its copy",
               [str(volume["file-system"])])
    put(one, table + 6 * 1024 + 510, b"xx")
    volume = only_volume(image(one), "--ranges")
    tap.result(not volume["use"]["free"] and not volume["use"]["used"],
               "a torn record of the bitmap: nothing is known of the use",
               [str(volume["use"])])


own_folder()
made = [look(*kind) for kind in KINDS]
damage(made[0])
sys.exit(tap.finish())
