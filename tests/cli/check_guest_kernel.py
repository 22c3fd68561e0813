#!/usr/bin/env python3
"""qfsck check --guest on guests that a real kernel has written.

A Linux that runs as a program (Debian's user-mode-linux) mounts file systems,
writes, renames and deletes in them, and shuts down: nothing is told. Then it
is killed while it writes: there are warnings at the most. Without that
program the test is skipped.
"""

import os
import shutil
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "lib"))

from guests import *                                        # noqa: E402,F403
from tap import Tap                                         # noqa: E402
from tools import own_folder, qfsck_check                   # noqa: E402
from uml import DISKS, KERNEL, MIB, boot                    # noqa: E402

tap = Tap()


def look(name, when, allowed):
    copy(name + ".raw", "copy.raw")
    for cluster in (4096, 65536):
        status, shown, err, _ = qfsck_check(
            os.path.abspath(image("copy.raw", cluster)), "--guest", "--data")
        found = [f for f in shown["findings"] if f["id"] // 100 == 20]
        bad = [f for f in found if f["severity"] not in allowed]
        tap.result(status == 0 and not err and not bad,
                   "%s, %d: %s" % (name, cluster, when),
                   [str(status), err, str(bad)[:600]])


own_folder()
if not shutil.which(KERNEL):
    print("1..0 # SKIP no " + KERNEL)
    sys.exit(0)
# /dev, where a test's own folder can be, is another one in there
folder = tempfile.TemporaryDirectory(prefix="qfsck-", dir="/var/tmp")
seen = folder.name
for disk, _, size, command in DISKS:
    quiet(*command, raw(disk + ".raw", size * MIB))
said = boot(seen, 1, 12, lambda text: "CLOSED" not in text)
if "ROUND 11" not in said or "FAILED" in said:
    print("1..0 # SKIP %s does not run here" % KERNEL)
    sys.exit(0)
for disk, *_ in DISKS:
    look(disk, "closed in order, nothing is told", ())
for life in (2, 3):
    said = boot(seen, life, 1000, lambda text: text.count("ROUND") < 25 * life)
    tap.result("ROUND 3" in said and "FAILED" not in said,
               "life %d: killed while it wrote" % life, said.splitlines()[-3:])
    for disk, *_ in DISKS:
        look(disk, "killed while it wrote: warnings at the most",
             ("warning", "note"))
sys.exit(tap.finish())
