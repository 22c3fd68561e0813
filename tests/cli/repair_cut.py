#!/usr/bin/env python3
"""A file that was cut is clean after one `repair -y`, and all is told.

Images with and without snapshots are cut at a third to four fifths, at a
cluster's begin, a sector's and anywhere. After one repair the image is clean,
for qemu-img as well, and a second repair does nothing; every byte that does not
read as before the cut is in check's list of what is lost; undo is exact.

    --all       all layouts, all places
    --only T    only cases whose name holds T
"""

import argparse
import os
import random
import shutil
import struct
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "..", "mutate"),
                os.path.join(HERE, "..", "lib")]

import ground                                               # noqa: E402
import layouts                                              # noqa: E402
import qimg                                                 # noqa: E402
import tools                                                # noqa: E402
import trial                                                # noqa: E402
from fields import Fields                                   # noqa: E402
from launcher import Launcher                               # noqa: E402
from make import build                                      # noqa: E402
from tap import Tap                                         # noqa: E402

KB, MB = 1 << 10, 1 << 20
DISK = {512: 2 * MB, 4096: 64 * MB, 65536: 3 << 30}
MOST = {512: 160, 4096: 40, 65536: 6}       # clusters that a step writes
CUTS = (1 / 3, 1 / 2, 2 / 3, 4 / 5)
OPTIONS = {"": {}, "v2": {"compat": "0.10"},
           "extl2": {"extended_l2": "on"}, "refbits-64": {"refcount_bits": 64},
           "lazy": {"lazy_refcounts": "on"}}
# name of the options, cluster size, snapshots, seed; a part of all
SLICE = (("", 512, 3, 1), ("", 4096, 3, 1), ("", 65536, 2, 0),
         ("v2", 512, 2, 1), ("extl2", 65536, 2, 1), ("packed", 65536, 2, 1))


def write_steps(rng, cluster, count):
    found = []
    for _ in range(count):
        length = rng.randint(1, MOST[cluster]) * cluster
        at = rng.randrange((DISK[cluster] - length) // cluster) * cluster
        found.append("write -P %d %d %d" % (rng.randint(1, 255), at, length))
    return found


def plain(path, cluster, snaps, seed, options):
    """Data in several places; some of them anew after each snapshot."""
    rng = random.Random("cut %d %d %d" % (cluster, snaps, seed))
    steps = write_steps(rng, cluster, rng.randint(4, 10))
    for n in range(snaps):
        steps.append(("snap", "s%d" % n))
        steps += write_steps(rng, cluster, rng.randint(2, 6))
        for old in rng.sample([s for s in steps if isinstance(s, str)], 2):
            steps.append("write -P %d %s" % (
                rng.randint(1, 255), old.split(None, 3)[3]))
    build(path, DISK[cluster], steps, cluster_size=cluster, **options)


def packed(path, cluster, snaps, seed):
    """Most of the clusters are compressed; none is written twice."""
    rng = random.Random("packed %d %d %d" % (cluster, snaps, seed))
    slots, steps = rng.sample(range(40), 8 * (snaps + 1)), []
    for n, slot in enumerate(slots):
        if n and n % 8 == 0:
            steps.append(("snap", "s%d" % n))
        at, value = slot * 24 * cluster, rng.randint(1, 255)
        steps.append("write -c -P %d %d %d" % (value, at, cluster)
                     if rng.random() < .7 else
                     "write -P %d %d %d" % (value, at,
                                            rng.randint(1, 20) * cluster))
    build(path, 1000 * cluster, steps, cluster_size=cluster)


def add_layout(kind, cluster, snaps, seed):
    name = "cut-%s-%d-%d-%d" % (kind or "plain", cluster, snaps, seed)
    layouts.LAYOUTS[name] = (
        lambda path: packed(path, cluster, snaps, seed)) \
        if kind == "packed" else (
        lambda path: plain(path, cluster, snaps, seed, OPTIONS[kind]))
    return name


def all_layouts():
    for kind in [*OPTIONS, "packed"]:
        for cluster in DISK:
            for snaps in range(4):
                for seed in range(2):
                    if kind != "extl2" or cluster == 65536:
                        yield kind, cluster, snaps, seed


class Cut(trial.Trial):
    """A trial that asks for more: the image is well after one repair."""

    def commands_after(self, done, name, json_options):
        if done.get("verdict-after") != "clean":
            self.fault("verdict", "after one repair:",
                       done.get("verdict-after"),
                       sorted({f["name"] for f in done.get("left", [])}))
        if any(f["name"] in ("l1-table-garbage", "l2-table-garbage")
               for f in self.reports["check"].get("findings", [])):
            self.fault("verdict", "good entries are called garbage")
        theirs = self.bench.run(["qemu-img", "check", "-q", "-f", "qcow2",
                                 name])
        if theirs.status:
            self.fault("verdict", "qemu-img:", theirs.status,
                       theirs.out[:200], theirs.err[:200])
        super().commands_after(done, name, json_options)

    def commands(self):
        super().commands()
        if self.repaired == self.damaged and \
                self.reports["check"]["status"] != 0:
            self.fault("verdict", "nothing was repaired:", sorted(
                {f["name"] for f in self.reports["check"]["findings"]}))


def places(data, cluster, every):
    """Where to cut: each third with one kind of place, or all with all."""
    for i, part in enumerate(CUTS):
        at = int(len(data) * part)
        kinds = [at - at % cluster, at - at % 512, at]
        for place in kinds if every else [kinds[i % 3]]:
            yield place


def cut_layout(tap, args, launcher, top, kind, cluster, snaps, seed):
    name = add_layout(kind, cluster, snaps, seed)
    if args.only not in name:
        return
    folder = os.path.join(top, name)
    ground.make(name, 1, folder)
    sound = ground.Ground(name, 1, folder)
    bench = trial.Bench(sound, Fields(sound), os.path.join(top, "work"),
                        launcher)
    for at in sorted(set(places(sound.data, cluster, args.all))):
        case = Cut(bench, "cut@%#x" % at)
        faults = case.run()
        tap.result(not faults, "%s, cut at %#x of %#x" % (
            name, at, len(sound.data)), ["%s: %s" % f for f in faults])


# -- single shapes ------------------------------------------------------

def qfsck(verb, *options):
    status, out, _ = tools.run([tools.qfsck_path(), verb, *options,
                                "--output=json", "cut.qcow2"])
    return status, tools.parse(out) or {}


def put(data):
    for name in os.listdir("."):
        if name.startswith("cut.qcow2"):
            os.remove(name)
    with open("cut.qcow2", "wb") as file:
        file.write(data)


def l1_of(data):
    count, offset = struct.unpack(">IQ", data[36:48])
    return offset, count


def within_the_l1(tap):
    """The file ends within an L1 entry, or behind one: the rest is lost."""
    size = 64 * MB
    for cluster, span in ((4096, 2 * MB), (65536, 512 * MB)):
        build(os.path.abspath("sound.qcow2"), size, cluster_size=cluster)
        with open("sound.qcow2", "rb") as file:
            data = file.read()
        offset, count = l1_of(data)
        for kept in (1, 2, 7, 8, 8 * count - 1, 8 * count):
            put(data[:offset + kept])
            status, report = qfsck("check")
            lost = sum(r["length"] for r in report["lost"])
            want = size - min(size, kept // 8 * span)
            faults = []
            if (status, lost) != ((2, want) if want else (0, 0)):
                faults.append("check: exit %s, %d bytes lost of %d" % (
                    status, lost, want))
            status, _ = qfsck("repair", "-y")
            if status or qfsck("check")[0] or \
                    qfsck("repair", "-y")[1]["edits"]:
                faults.append("not well after a repair, or not idle")
            tap.result(not faults, "clusters of %d, %d bytes of the L1 table"
                       % (cluster, kept), faults)


def nothing_is_freed(tap):
    """What is not of the cut keeps its clusters: the L1 table of a disk that
    was made larger is cut off; a table in the file has lost its entry."""
    steps = ["write -P %d %dM 512k" % (n + 1, 2 * n) for n in range(12)]
    build(os.path.abspath("sound.qcow2"), 64 * MB, steps + [("resize", "2G")],
          cluster_size=4096)
    with open("sound.qcow2", "rb") as file:
        data = file.read()
    offset, _ = l1_of(data)
    keeps(tap, "the L1 table is cut off", data[:offset + 64], data)
    build(os.path.abspath("sound.qcow2"), 64 * MB, steps, cluster_size=4096)
    with open("sound.qcow2", "rb") as file:
        data = bytearray(file.read())
    offset, _ = l1_of(data)
    data[offset + 8:offset + 16] = bytes(8)
    keeps(tap, "an L1 entry is erased, too", data[:len(data) * 2 // 3], data)


def keeps(tap, what, cut, sound):
    put(cut)
    qfsck("repair", "-y")
    with qimg.Image("sound.qcow2") as image:
        used = [n for n in image.used_clusters()
                if n < len(cut) // 4096]
    with qimg.Image("cut.qcow2") as image:
        freed = [n for n in used if not image.refcount(n)]
    tap.result(not freed, "%s: nothing is freed" % what,
               ["clusters %s" % freed[:9]])


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--all", action="store_true")
    parser.add_argument("--only", default="")
    args = parser.parse_args()
    tap, launcher = Tap(), Launcher()
    # memory, where there is some: it is synced often
    top = tempfile.mkdtemp(prefix="qfsck-cut.", dir="/dev/shm" if
                           os.path.isdir("/dev/shm") else None)
    try:
        for one in all_layouts() if args.all else SLICE:
            cut_layout(tap, args, launcher, top, *one)
    finally:
        shutil.rmtree(top, ignore_errors=True)
    if not args.only:
        tools.own_folder()
        within_the_l1(tap)
        nothing_is_freed(tap)
    return tap.finish()


if __name__ == "__main__":
    sys.exit(main())
