#!/usr/bin/env python3
"""Overlays and their bases as a real kernel writes them.

What a Linux has written since lies in an overlay: on its own base nothing is
said, also where the kernel was killed; on a sibling's, and on the base as it
was before, it is told. Without user-mode-linux the test is skipped.
"""

import os
import shutil
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "lib"))

from guests import *                                        # noqa: E402,F403
from overlays import as_image, over, rebased, said          # noqa: E402
from tap import Tap                                         # noqa: E402
from tools import own_folder                                # noqa: E402
from uml import DISKS, KERNEL, MIB, boot                    # noqa: E402

tap = Tap()
told = {"twin": [], "first": []}
NAMES = [name for name, *_ in DISKS]


def closed(seed, rounds):
    text = boot(seen, seed, rounds, lambda t: "CLOSED" not in t)
    return "FAILED" not in text and "CLOSED" in text


def keep(when):
    for name in NAMES:
        copy(name + ".raw", "%s.%s" % (name, when))


def lives():
    """first -> base -> later, killed; first -> twin. False: no kernel."""
    for name, _, size, command in DISKS:
        quiet(*command, raw(name + ".raw", size * MIB))
    if not closed(1, 5):
        return False
    keep("first")
    done = closed(2, 5)
    keep("base")
    done &= closed(3, 4)
    keep("later")
    said_last = boot(seen, 4, 1000, lambda t: t.count("ROUND") < 16)
    keep("killed")
    for name in NAMES:
        copy(name + ".first", name + ".raw")
    done &= closed(5, 5)
    keep("twin")
    tap.result(done and "FAILED" not in said_last, "the kernel did its work")
    return True


def look(name, cluster):
    at = "%s, %d: " % (name, cluster)
    base = {when: as_image("%s.%s" % (name, when), cluster)
            for when in ("first", "base", "later", "twin")}
    for below, when in (("base", "later"), ("base", "killed"),
                        ("first", "later"), ("later", "killed")):
        image = over(base[below], "%s.%s" % (name, when), "image", cluster)
        status, found, err = said(image)
        tap.result(status == 0 and not found and not err,
                   at + "%s on its own base, %s" % (when, below),
                   [str(status), str(err), str(found)])
    image = over(base["base"], "%s.later" % name, "image", cluster)
    for other in ("twin", "first"):
        status, found, err = said(rebased(image, base[other]))
        told[other].append(bool(status == 2 and len(found) == 1 and not err))


own_folder()
if not shutil.which(KERNEL):
    print("1..0 # SKIP no " + KERNEL)
    sys.exit(0)
folder = tempfile.TemporaryDirectory(prefix="qfsck-", dir="/var/tmp")
seen = folder.name
if not lives():
    print("1..0 # SKIP %s does not run here" % KERNEL)
    sys.exit(0)
for disk in NAMES:
    for size in (4096, 65536):
        look(disk, size)
# the kernel lays its blocks out as its threads come to it: now and then all
# that counts lies in the overlay
for other, found in told.items():
    tap.result(sum(found) * 4 >= len(found) * 3,
               "on another base, %s: told of three in four" % other,
               [str(found)])
sys.exit(tap.finish())
