#!/usr/bin/env python3
"""A living image raises no false alarm, and true damage is still told.

A qemu-storage-daemon serves an image; a client writes, zeroes and discards
at random through NBD; by QMP snapshots are taken and deleted, persistent
bitmaps come and go, the disk grows. All the while `qfsck check -U` is run.

    --slice       a few checks of some layouts
    --count N     N checks of each layout (default 40)
    --seed S      other writes; the default is 1
    --only NAME   only layouts whose name holds NAME
"""

import argparse
import os
import shutil
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "lib"))

import daemon as qsd                                        # noqa: E402
import qimg                                                 # noqa: E402
from tap import Tap                                         # noqa: E402

MB = 1 << 20
ALL = ("snapshot", "bitmap", "resize")
# name: (create options, blockdev options, what the manager does)
LAYOUTS = {
    "64k": ({}, "", ()),
    "64k-snapshots": ({}, "", ("snapshot",)),
    "4k-everything": ({"cluster_size": 4096}, "", ALL),
    "512-growing": ({"cluster_size": 512}, "", ("resize",)),
    "512-snapshots": ({"cluster_size": 512}, "", ("snapshot",)),
    "4k-lazy": ({"cluster_size": 4096, "lazy_refcounts": "on"}, "", ()),
    "4k-lazy-snapshots": ({"cluster_size": 4096, "lazy_refcounts": "on"}, "",
                          ("snapshot",)),
    "4k-v2": ({"cluster_size": 4096, "compat": "0.10"}, "", ("snapshot",)),
    "extl2": ({"cluster_size": 16384, "extended_l2": "on"}, "", ALL),
    "4k-small-cache": ({"cluster_size": 4096},
                       ",l2-cache-size=8192,refcount-cache-size=16384", ALL),
    "4k-ref2": ({"cluster_size": 4096, "refcount_bits": 2}, "",
                ("bitmap", "resize")),
    "2m": ({"cluster_size": 2 * MB}, "", ("snapshot", "bitmap")),
    "64k-bitmaps": ({}, "", ("bitmap",)),
}
IN_SLICE = ("64k-snapshots", "4k-everything", "4k-lazy", "extl2")


def make(path, options):
    """The first two MiB, the largest cluster, are left alone later."""
    for name in os.listdir(os.path.dirname(path)):
        os.remove(os.path.join(os.path.dirname(path), name))
    qimg.build(path, "64M", ["write -P 1 0 1M"], **options)


def spoil(path):
    """True damage: entries of the first MiB get reserved bits."""
    with qimg.Image(path) as image:
        pos = image.l2_pos(0, 0)
        image.put64(pos, image.u64(pos) | 2)
    return "l2-entry-reserved", pos


def alive(path, options, blockdev, acts, rng, act):
    """Runs ACT while the image is served and written."""
    server = qsd.Daemon(path, blockdev)
    unit = 4096
    client = qsd.Client(server, rng, unit, 512, 64 * MB // unit)
    manager = qsd.Manager(server, rng, acts, 64 * MB, 65536) if acts else None
    try:
        return act(server)
    finally:
        if manager:
            manager.stop()
        client.stop()
        server.end()


def loud(report):
    return [f for f in report["findings"]
            if f["severity"] not in ("note",)] if report else []


def no_alarm(tap, name, path, args, layout):
    rng = qimg.rng_of("living", args.seed, name)
    make(path, layout[0])
    bad, notes = [], []

    def checks(server):
        for n in range(args.count):
            status, report, err, _ = qimg.qfsck_check(path, "-U")
            if status or loud(report) or report.get("lost"):
                bad.append("check %d: exit %s, %s %s" % (n, status, " ".join(
                    "%s@%#x" % (f["name"], f.get("host-offset", 0))
                    for f in loud(report)), err))
            elif report["findings"]:
                notes.append(report["findings"][0]["message"])
        return qimg.qfsck_check(path), qimg.qemu_check(path), \
            server.process.pid

    ours, theirs, pid = alive(path, *layout, rng, checks)
    tap.result(not bad, "%s: %d checks raise no alarm" % (name, args.count),
               ["%d alarms" % len(bad)] + bad[:6])
    tap.result(len(notes) > args.count // 2,
               "%s: the report says that the image is in use" % name, notes)
    tap.result(ours[0] == theirs[0] == 1 and str(pid) in ours[2],
               "%s: without -U it is refused as by qemu-img" % name,
               ["ours %s, theirs %s" % (ours[0], theirs[0]), ours[2]])
    status, report, _, _ = qimg.qfsck_check(path)
    tap.result(status == 0 and not loud(report),
               "%s: it is clean when the daemon has ended" % name,
               [str(loud(report))[:300]])


def true_damage(tap, name, path, args, layout):
    rng = qimg.rng_of("damaged", args.seed, name)
    make(path, layout[0])
    problem, pos = spoil(path)
    missed, more = [], []

    def checks(_):
        for n in range(max(4, args.count // 4)):
            status, report, err, _ = qimg.qfsck_check(path, "-U")
            found = loud(report)
            if status != 2 or problem not in [f["name"] for f in found]:
                missed.append("check %d: exit %s %s" % (n, status, err))
            more.extend("check %d: %s@%#x" % (
                n, f["name"], f.get("host-offset", 0))
                for f in found if f["name"] != problem)

    alive(path, *layout, rng, checks)
    # one look may fall into the moment when a table is replaced
    tap.result(len(missed) < 2, "%s: true damage is told each time" % name,
               missed[:5])
    tap.result(not more, "%s: and nothing but that" % name,
               ["%d more" % len(more)] + more[:5])


def arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--slice", action="store_true")
    parser.add_argument("--count", type=int, default=40)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", default="")
    args = parser.parse_args()
    if args.slice:
        args.count = 8
    return args


def main():
    args = arguments()
    tap = Tap()
    folder = tempfile.mkdtemp(prefix="qfsck-living.",
                              dir=os.environ.get("TMPDIR"))
    path = os.path.join(folder, "image")
    try:
        for name, layout in LAYOUTS.items():
            if args.only not in name or (args.slice and
                                         name not in IN_SLICE):
                continue
            no_alarm(tap, name, path, args, layout)
            true_damage(tap, name, path, args, layout)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return tap.finish()


if __name__ == "__main__":
    sys.exit(main())
