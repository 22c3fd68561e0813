#!/usr/bin/env python3
"""qfsck du: totals, and --if-deleted against qemu-img snapshot -d."""

import itertools
import os
import random
import shutil
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "lib"))

from tap import Tap                                         # noqa: E402
from show import WORK, each_layout, qfsck, shown            # noqa: E402
import make                                                 # noqa: E402
import qcow2                                                # noqa: E402
import tools                                                # noqa: E402

tap = Tap()


def used_clusters(img):
    """Clusters of the file whose refcount is not 0, read block by block."""
    used, per, bits = set(), img.refblock_entries(), img.refcount_bits
    mask = (1 << bits) - 1
    for block, offset in enumerate(img.reftable()):
        data = img.read(offset, img.cluster) if offset else b""
        if not any(data):
            continue
        for i in range(per):
            byte = i * bits // 8
            if bits >= 8:
                count = any(data[byte:byte + bits // 8])
            else:
                count = data[byte] >> i * bits % 8 & mask
            if count:
                used.add(block * per + i)
    return used


def bookkeeping(path):
    """(clusters in use, of the snapshot table, of the refcounts' own)."""
    with qcow2.Image(path) as img:
        size = img.cluster
        table = set()
        if img.get("nb_snapshots"):
            first = img.get("snapshots_offset") // size
            length = -(-img.snapshot_table_size() // size)
            table = set(range(first, first + length))
        own = len(img.reftable_used()) + img.get("refcount_table_clusters")
        return used_clusters(img), table, own


def totals(path):
    du = shown("du", path)
    size = du["cluster-size"]
    with qcow2.Image(path) as img:
        clusters, used = img.clusters(), used_clusters(img)
    parts = sum(du["metadata"].values()) + du["data"]
    notes = []
    if parts + du["leaked"] + du["free"] != clusters * size:
        notes.append("the parts are not the file: %s" % du)
    if parts + du["leaked"] != len(used & set(range(clusters))) * size:
        notes.append("not what the refcounts say: %s" % du)
    if du["leaked"] or du["owned-twice"]:
        notes.append("leaked %(leaked)d, owned twice %(owned-twice)d" % du)
    for h in du["holders"]:
        if h["exclusive"] + h["shared"] != h["referenced"]:
            notes.append("holder %s" % h)
    return notes


def deleted(path, ids, names):
    """What is wrong with the forecast for deleting these."""
    told = shown("du", "--ranges", "--if-deleted=" + ",".join(ids),
                 path)["if-deleted"]
    copy = path + ".copy"
    shutil.copyfile(path, copy)
    used, table, own = bookkeeping(path)
    for bitmap in shown("info", copy)["bitmaps"]:
        return []       # qemu-img will not touch these
    for name in names:
        tools.qemu_img("snapshot", "-d", name, copy)
    left, new_table, new_own = bookkeeping(copy)
    os.remove(copy)
    with qcow2.Image(path) as img:
        size = img.cluster
    forecast = {c for r in told["ranges"] for c in
                range(r["start"] // size, (r["start"] + r["length"]) // size)}
    notes = []
    if told["snapshots"] != ids:
        notes.append("snapshots %s, not %s" % (told["snapshots"], ids))
    if used - left != (forecast | table) - left - new_table or \
            (forecast | table) & left - new_table:
        notes.append("freed %s, forecast %s" % (sorted(used - left),
                                                sorted(forecast | table)))
    if told["freed"] != (len(used) - len(left) + new_own - own) * size:
        notes.append("freed %d clusters, forecast %d" % (
            len(used) - len(left), told["freed"] // size))
    return ["%s: %s" % (",".join(ids), n) for n in notes]


def subsets(snaps, limit=6):
    """All of them where they are few, else some."""
    every = [c for n in range(1, len(snaps) + 1)
             for c in itertools.combinations(snaps, n)]
    if len(every) <= limit:
        return every
    return random.Random(len(snaps)).sample(every, limit - 1) + [every[-1]]


def forecasts(path):
    snaps = shown("info", path)["snapshots"]
    return [n for subset in subsets(snaps)
            for n in deleted(path, [s["id"] for s in subset],
                             [s["name"] for s in subset])]


def compare(name, path):
    return totals(path) + forecasts(path)


def classic():
    """AA----, snapshot, ABB---, snapshot, ABCC--: refcounts 3 1 2 1 1 1."""
    path = os.path.join(WORK, "classic.qcow2")
    make.build(path, "384k", [
        "write -P 65 0 128k", ("snap", "S1"), "write -P 66 64k 128k",
        ("snap", "S2"), "write -P 67 128k 128k"])
    with qcow2.Image(path) as img:
        counts = sorted(img.refcount(c) for c in img.used_clusters())
    told = shown("du", "--ranges", "--if-deleted=S2", path)["if-deleted"]
    tap.result(told["data"] == 65536 and told["l2"] == 65536
               and told["l1"] == 65536 and told["snapshot-table"] == 0
               and told["freed"] == 3 * 65536,
               "deleting S2 frees one data cluster and its tables",
               [str(told)])
    # header, 2 refcount tables, snapshot table, 3 L1, 3 L2, and the data
    tap.result(counts == sorted([1] * 10 + [3, 1, 2, 1, 1, 1]),
               "the classic's refcounts are 3 1 2 1 1 1", [str(counts)])
    holders = {h["name"]: h for h in shown("du", path)["holders"]}
    tap.result((holders["S2"]["exclusive"], holders["S2"]["shared"],
                holders["S1"]["exclusive"], holders[""]["exclusive"])
               == (3 * 65536, 2 * 65536, 3 * 65536, 4 * 65536),
               "who has what of the classic", [str(holders)])
    notes = forecasts(path)
    tap.result(not notes, "the classic's forecasts", notes)


def random_image(seed):
    rng = random.Random(seed)
    options = {"cluster_size": 512 << rng.randrange(8)}
    unit = max(512, options["cluster_size"] // rng.choice((1, 1, 2)))
    kinds = ["write", "write", "ragged", "write -z", "discard"]
    choice = rng.randrange(5)
    if choice == 0:
        options["compat"] = "0.10"
    elif choice == 1:
        options.update(cluster_size=16384 << rng.randrange(3),
                       extended_l2="on")
    elif choice == 2:
        options["refcount_bits"] = rng.choice((4, 8, 32, 64))
    elif choice == 3:
        options["compression_type"] = rng.choice(("zlib", "zstd"))
    size = options["cluster_size"] * rng.choice((40, 130, 300))
    steps = []
    for n in range(rng.randint(1, 5)):
        if choice == 3:
            steps += make.compressed_writes(rng, size,
                                            options["cluster_size"], 6)
        else:
            steps += make.writes(rng, size, unit, rng.randint(1, 8), kinds)
        steps.append(("snap", "s%d" % n))
        if rng.randrange(3) == 0 and choice != 3:
            steps.append("discard 0 %d" % (size // 2))
        if choice == 3:     # no compressed write over a cluster
            steps.append("discard 0 %d" % size)
    if rng.randrange(3) == 0:
        steps.append(("unsnap", "s0"))
    path = os.path.join(WORK, "random-%d.qcow2" % seed)
    return make.build(path, str(size), steps, **options)


def hostile_snapshots():
    """65536 snapshots that use one L1 table, to different lengths."""
    path = os.path.join(WORK, "hostile.qcow2")
    make.build(path, "4M", ["write -P 1 0 1M"], cluster_size=512)
    with qcow2.Image(path) as img:
        entries = img.get("l1_size")
        l1 = qcow2.round_up(img.file_size(), 512)
        img.truncate(l1 + qcow2.round_up(8 * entries, 512))
        img.write(l1, img.read(img.get("l1_table_offset"), 8 * entries))
        table = bytearray()
        for n in range(65536):
            ident = b"%d" % n
            entry = (l1.to_bytes(8, "big")
                     + (entries - n % entries).to_bytes(4, "big")
                     + 2 * len(ident).to_bytes(2, "big") + bytes(24)
                     + 2 * ident)
            table += entry.ljust(qcow2.round_up(len(entry), 8), b"\0")
        at = img.file_size()
        img.truncate(at + qcow2.round_up(len(table), 512))
        img.write(at, bytes(table))
        img.put("snapshots_offset", at)
        img.put("nb_snapshots", 65536)
    du = shown("du", path)
    tap.result(len(du["holders"]) == 65537
               and du["holders"][1]["referenced"]
               > du["holders"][100]["referenced"] > 0
               and du["owned-twice"] >= 8 * entries,
               "very many snapshots of one table cost little",
               [str(du["holders"][1:101:99]), str(du["owned-twice"])])


def bad_names():
    path = os.path.join(WORK, "named.qcow2")
    make.build(path, "1M", [("snap", "a,b"), "write 0 64k", ("snap", "c")])
    both = shown("du", "--if-deleted=1,c", path)["if-deleted"]["snapshots"]
    comma = shown("du", "--if-deleted=a,b", path)["if-deleted"]["snapshots"]
    tap.result((both, comma) == (["1", "2"], ["1"]), "names with commas",
               [str(both), str(comma)])
    for name in ("none", "active", "1,none", ""):
        status, out, err = qfsck("du", "--if-deleted=" + name, path)
        tap.result(status == 1 and not out and err,
                   "no such snapshot: %r" % name, [str(status), err])
    status, out, err = qfsck("du", "--if-deleted=c", "--ranges", path)
    tap.result(status == 0 and b"would free 64 KiB: 1 cluster\n" in out
               and b"total" in out, "for people", [out.decode(), err])


each_layout(tap, compare)
classic()
for seed in range(24):
    image = random_image(seed)
    notes = compare("random", image)
    tap.result(not notes, "random image %d" % seed, notes)
hostile_snapshots()
bad_names()
sys.exit(tap.finish())
