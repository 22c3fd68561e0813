#!/usr/bin/env python3
"""One list of what is lost: check, map, extract and diff tell one story.

On every image of the corpus, for each state of its disk: what check calls
lost is what map calls lost, what extract marks in its map, and what diff
cannot compare; and each says so by its exit code.
"""

import os
import re
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "lib"))

from tap import Tap                                         # noqa: E402
from show import WORK, qfsck                                # noqa: E402
import tools                                                # noqa: E402

tap = Tap()
MOST = 64 << 30     # bytes of a disk that is extracted


def merged(ranges):
    out = []
    for start, end in sorted(ranges):
        if out and start <= out[-1][1]:
            out[-1][1] = max(out[-1][1], end)
        else:
            out.append([start, end])
    return out


def covers(ranges, part):
    return all(any(a <= start and end <= b for a, b in ranges)
               for start, end in part)


def told(path, state):
    """What map calls lost, with its exit code."""
    status, out, err = qfsck("map", "--output=json", "-s", state,
                             os.path.basename(path), cwd=os.path.dirname(path))
    rows = tools.parse(out)
    if rows is None:
        return status, None, err
    return status, merged((r["start"], r["start"] + r["length"])
                          for r in rows if r.get("lost")), err


def marked(path, state):
    """What extract marks, with its exit code."""
    folder, out = os.path.dirname(path), os.path.join(WORK, "out")
    for name in (out, out + ".map"):
        if os.path.exists(name):
            os.remove(name)
    status, _, err = qfsck("extract", "-s", state, "--map=" + out + ".map",
                           os.path.basename(path), out, cwd=folder)
    if not os.path.exists(out + ".map"):
        return status, None, err
    with open(out + ".map") as file:
        rows = re.findall(r"^(0x\S+) +(0x\S+) +-$", file.read(), re.M)
    return status, merged((int(a, 16), int(a, 16) + int(n, 16))
                          for a, n in rows), err


def uncompared(path, state):
    status, out, err = qfsck("diff", "--output=json", "--from", state, "--to",
                             state, os.path.basename(path),
                             cwd=os.path.dirname(path))
    rows = tools.parse(out)
    if rows is None:
        return status, None, err
    return status, merged((r["start"], r["start"] + r["length"])
                          for r in rows if r.get("unknown")), err


def judge(path, state, lost, chain):
    notes = []
    for what, fn in (("map", told), ("diff", uncompared),
                     ("extract", marked)):
        if what == "extract" and disk_size(path) > MOST:
            continue
        status, ranges, err = fn(path, state)
        if ranges is None:
            # it refuses, and says why: that is not silence
            if status not in (1, 63) or not err:
                notes.append("%s: exit %s, nothing said" % (what, status))
            continue
        # the others also know of entries that say nothing, and of bytes
        # that cannot be read
        same = what == "map" and not chain
        if not covers(ranges, lost) or same and ranges != lost:
            notes.append("%s: %s, check: %s" % (what, ranges[:9], lost[:9]))
        if ranges and status != 1 or status == 1 and not err:
            notes.append("%s: exit %s %s" % (what, status, err))
    return notes


def disk_size(path):
    with open(path, "rb") as file:
        return int.from_bytes(file.read(32)[24:], "big")


def one(name, path):
    status, report, err, _ = tools.qfsck_check(path)
    if report is None or "lost" not in report:
        return None
    lost = {}
    for r in report["lost"]:
        lost.setdefault(r["holder"], []).append(
            (r["guest-offset"], r["guest-offset"] + r["length"]))
    notes = []
    for state in {"active", *lost}:
        notes += ["%s: %s" % (state, n) for n in
                  judge(path, state, merged(lost.get(state, [])),
                        report.get("chain") or name.startswith("backing"))]
    return notes


folder = os.path.join(WORK, "corpus")
subprocess.run([sys.executable, os.path.join(HERE, "..", "corpus.py"),
                "--make", folder], check=True, stdout=subprocess.DEVNULL)
for name in sorted(os.listdir(folder)):
    path = os.path.join(folder, name, "image.qcow2")
    notes = one(name, path) if os.path.exists(path) else None
    if notes is not None:
        tap.result(not notes, name, notes)
sys.exit(tap.finish())
