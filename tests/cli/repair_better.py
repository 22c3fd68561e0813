#!/usr/bin/env python3
"""qfsck repair is at least as good as qemu-img check -r all, sector by sector.

Images of random layouts, each cluster of data with a content of its own, are
damaged in one place and repaired by both. In the active disk and in every
snapshot: what could be read rightly after the damage, and what can be after
qemu-img's repair, must be right after ours. Where qemu-img frees what is lost
or blesses two owners (erased tables, shared clusters, forgotten snapshots),
ours must be better. The exit code must be true, a second repair idle, and
undo give the bytes back.

    --count N     N images (default 8)
    --each N      so many damages on each (default 10)
    --seed S      other images; the default is 1
    --first N     the first image's number
    --replay S:N:NAME   this seed, image and damage alone
    --only NAME   only damages whose name holds NAME
    --keep DIR    keep sound and damaged image of failed cases there
"""

import argparse
import concurrent.futures
import os
import shutil
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "lib"))

import anyimage                                             # noqa: E402
import better                                               # noqa: E402
import known                                                # noqa: E402
import qimg                                                 # noqa: E402
import wounds                                               # noqa: E402
import wounds_more                                          # noqa: E402,F401
from tap import Tap                                         # noqa: E402

# Damages that repair did not stand once: (seed, image, damage).
ONCE = (
    (1, 19, "edit:fill-refblock-random"),
    (1, 10, "edit:hdr-cluster-bits-more"),
    (1, 26, "snap-count-zeroed"),
    (1, 11, "double-metadata"),
    (11, 8, "edit:hdr-cluster-bits-more"),
    (21, 6, "edit:hdr-cluster-bits-more"),
    (21, 59, "edit:file-random-size"),
    (41, 11, "l2-becomes-other-l2"),
    (41, 25, "double-metadata"),
    (41, 83, "l2-becomes-other-l2"),
    (53, 36, "edit:l1-to-l2"),
    (53, 40, "edit:l1-duplicate"),
    (11, 4, "l2-becomes-other-l2"),
)
# Here qemu-img frees the data, gives two owners its blessing, or forgets.
STRICTLY = ("l2-zeroed", "l2-holed", "double-data", "double-l2",
            "snap-count-", "snap-pointer-", "snap-both-")
# So few leaks as a part of a table leaves may be a killed writer's as well.
FEW = 16


def with_data_file(path, rng):
    """An image whose data lie in a file beside it; its text."""
    cluster = rng.choice((4096, 65536))
    options = {"cluster_size": cluster}
    if rng.random() < .3:
        options["data_file_raw"] = "on"
    elif cluster == 65536 and rng.random() < .5:
        options["extended_l2"] = "on"
    qimg.create(path, "16M", data_file=os.path.basename(path) + ".data",
                **options)
    anyimage.do(path, ["write -P 1 %d %d" % (
        rng.randrange(200) * 65536, rng.randint(1, 4) * 65536)
        for _ in range(10)])
    return "data file, %s" % qimg.options_text(options)


def make(path, seed, number):
    """Makes a sound image; its text. Not all that is asked for can be."""
    for turn in range(20):
        rng = qimg.rng_of("better", seed, number, turn)
        try:
            if number % 10 == 7:
                return with_data_file(path, rng)
            return anyimage.make(path, rng).text()
        except qimg.Refused:
            os.remove(path)
    raise qimg.Refused("no image at all")


def damages(plan, rng, args):
    """Names of what can be done to an image; the truth is known of some."""
    names = [n for n in wounds.WOUNDS if wounds.NEEDS[n] in plan]
    names += ["edit:" + n for n in qimg.DAMAGES]
    names = [n for n in names if args.only in n]
    rng.shuffle(names)
    return names


def is_newest(image, want):
    """The erased table is the last one, and behind it are no data but what it
    mapped: a writer that was killed leaves the same, as it leaves one cluster
    now and then."""
    at = want.places[0][0] // image.cluster
    tables = {t // image.cluster for all_ in image.tables().values()
              for t in all_}
    return not {c for c in image.used_clusters() if c > at} - tables - \
        want.keep


def damage(name, path, rng):
    """(what was done, host clusters that must not be freed, whether ours must
    be better), or None."""
    strictly = name.startswith(STRICTLY)
    with qimg.Image(path) as image:
        if name.startswith("edit:"):
            said = qimg.DAMAGES[name[5:]](image, rng)
            return (said, (), False) if said else None
        want = wounds.WOUNDS[name](image, known.Known(image), rng)
        if not want:
            return None
        if name.startswith("l2-partly") and len(want.keep) < FEW:
            return want.said, (), False
        if name in ("l2-zeroed", "l2-holed") and (
                len(want.keep) == 1 or is_newest(image, want)):
            return want.said, (), False
        return want.said, want.keep, strictly


def one_case(args, sound, name, rng):
    """(said, faults), or None where the damage does not fit."""
    path = sound.path + ".hurt"
    # a copy may keep the zeros of the file, or leave them out
    qimg.must(["cp", "--sparse=" + rng.choice(("always", "auto")),
               sound.path, path])
    try:
        try:
            done = damage(name, path, rng)
        except ValueError:      # it has no such place
            return None
        if not done:
            return None
        faults, said = better.trial(sound, path, *done[1:])
        if faults and args.keep:
            keep(args.keep, sound.path, path, name)
        return done[0], faults + said.splitlines()[:20] if faults else []
    finally:
        folder = os.path.dirname(path)
        for junk in os.listdir(folder):
            if junk.startswith(os.path.basename(path)):
                os.remove(os.path.join(folder, junk))


def keep(place, sound, path, name):
    folder = os.path.join(place, "%s.%s" % (
        os.path.basename(os.path.dirname(sound)), name.replace(":", "-")))
    shutil.copytree(os.path.dirname(sound), folder, dirs_exist_ok=True,
                    ignore=shutil.ignore_patterns("*.qemu"))
    shutil.copy(path, folder)


def one_image(args, seed, number, only=None):
    """[(name, said, faults)] of the cases of one image; of the one damage
    ONLY."""
    rng = qimg.rng_of("better", seed, number)
    top = tempfile.mkdtemp(prefix="qfsck-better.", dir=args.dir)
    folder = os.path.join(top, str(number))
    os.mkdir(folder)
    results, sound = [], None
    try:
        path = os.path.join(folder, "image")
        plan = make(path, seed, number)
        better.mark(path)
        os.utime(path, (2e9, 2e9))
        sound = better.Sound(path)
        for name in [only] if only else damages(plan, rng, args):
            if len(results) >= args.each:
                break
            done = one_case(args, sound, name, qimg.rng_of(
                seed, number, name))
            if done:
                results.append(("%d:%d:%s (%s)" % (seed, number, name, plan),
                                *done))
    except qimg.Refused as why:
        results.append(("%d:%d" % (seed, number), "",
                        ["not made: %s" % why]))
    finally:
        if sound:
            sound.close()
        shutil.rmtree(top, ignore_errors=True)
    return results


def arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--count", type=int, default=8)
    parser.add_argument("--each", type=int, default=10)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--replay")
    parser.add_argument("--only", default="")
    parser.add_argument("--keep")
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    args = parser.parse_args()
    args.dir = os.environ.get("TMPDIR") or \
        ("/dev/shm" if os.path.isdir("/dev/shm") else None)
    return args


def main():
    args = arguments()
    tap = Tap()
    images = [(args.seed, n) for n in range(args.first,
                                            args.first + args.count)]
    if args.replay:
        seed, number, name = args.replay.split(":", 2)
        images = [(int(seed), int(number), name)]
    elif len(sys.argv) == 1:
        images += ONCE
    with concurrent.futures.ThreadPoolExecutor(args.jobs) as pool:
        for results in pool.map(lambda i: one_image(args, *i), images):
            for name, said, faults in results:
                tap.result(not faults, name, [said, *faults])
    return tap.finish()


if __name__ == "__main__":
    sys.exit(main())
