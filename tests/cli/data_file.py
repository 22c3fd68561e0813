#!/usr/bin/env python3
"""Images with an external data file, whose L1 table or its flags are damaged:
what the L2 tables map is told as lost, and put back, as each entry says where
its table stands.
"""

import os
import shutil
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "lib"))

import oracle                                               # noqa: E402
import qimg                                                 # noqa: E402
import tools                                                # noqa: E402
from tap import Tap                                         # noqa: E402

CLUSTER = 4096
# Guest cluster 4 alone: its offset may be that of a table in the image.
STEPS = ["write -P 1 16k 4k", "write -P 2 5M 64k", "write -P 3 4M 4k",
         "write -z 6100k 4k"]

qimg.own_folder()
tap = Tap()


def all_of_it(image):
    image.write(image.l1_offset, bytes(8 * image.l1_size))


def entry(number):
    def damage(image):
        image.put64(image.l1_pos(image.l1_used()[number]), 0)
    return damage


def l1_flag(image):
    pos = image.l1_pos(image.l1_used()[0])
    image.put64(pos, image.u64(pos) & ~qimg.COPIED)


def both_flags(image):
    l1_flag(image)
    _, pos, word = image.normal_entries()[-1]
    image.put64(pos, word & ~qimg.COPIED)


# name: (damage, is anything lost by it)
DAMAGES = {"the L1 table erased": (all_of_it, True),
           "its first entry erased": (entry(0), True),
           "its last entry erased": (entry(-1), True),
           "an L1 entry without COPIED": (l1_flag, False),
           "and an L2 entry": (both_flags, False)}
LAYOUTS = {"plain": {}, "raw": {"data_file_raw": "on"},
           "extended": {"cluster_size": 16384, "extended_l2": "on"}}


def guest(path):
    """What QEMU reads of the disk."""
    qimg.qemu_img("convert", "-f", "qcow2", "-O", "raw", path, "out")
    with open("out", "rb") as file:
        return file.read()


def untold(sound, image, lost):
    """Guest clusters that read otherwise and are not told as lost."""
    should, is_ = guest(sound), guest(image)
    return [at for at in range(0, len(should), CLUSTER)
            if should[at:at + CLUSTER] != is_[at:at + CLUSTER] and not any(
                r["guest-offset"] <= at < r["guest-offset"] + r["length"]
                for r in lost)]


def judge(sound, image, loses):
    faults = []
    status, report, _, _ = tools.qfsck_check(image)
    if status != 2 or bool(report["lost"]) != loses:
        faults.append("check: exit %s, lost: %s" % (status, report["lost"]))
    faults += ["not told as lost: %#x" % at for at in
               untold(sound, image, report["lost"])[:3]]
    status, said = oracle.repair(image, "-y")
    if status != 0:
        faults.append("repair: exit %s" % status)
    if tools.qemu_check(image)[0] != 0:
        faults.append("qemu-img check finds fault with it")
    if guest(image) != guest(sound):
        faults.append("the guest sees something else than before")
    return faults and faults + [said[-1500:]]


def main():
    for layout, options in LAYOUTS.items():
        sound = os.path.abspath(layout)
        qimg.build(sound, "8M", STEPS, data_file="x.data",
                   **{"cluster_size": CLUSTER, **options})
        for name, (damage, loses) in DAMAGES.items():
            image = os.path.abspath("image")
            for left in os.listdir("."):
                if left.startswith("image"):
                    os.remove(left)
            shutil.copy(sound, image)
            with qimg.Image(image) as damaged:
                damage(damaged)
            faults = judge(sound, image, loses)
            tap.result(not faults, layout + ": " + name, faults)
    return tap.finish()


sys.exit(main())
