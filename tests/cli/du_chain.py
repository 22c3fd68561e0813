#!/usr/bin/env python3
"""qfsck du --backing-chain, beside what QEMU's commit and pull really move."""

import json
import os
import random
import shutil
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "lib"))

from daemon import Daemon                                   # noqa: E402
from tap import Tap                                         # noqa: E402
from show import WORK, qfsck                                # noqa: E402
import make                                                 # noqa: E402
import qcow2                                                # noqa: E402
import tools                                                # noqa: E402

tap = Tap()
KINDS = ("write", "write -z", "ragged", "write")


def chain_of(path):
    status, out, err = qfsck("du", "--backing-chain", "--output=json", path)
    if status:
        raise tools.Refused("%s %s" % (status, err))
    return tools.parse(out)["chain"]


def mapped(path, alone=True):
    """[(bytes of data, of zeros)] by depth, as QEMU maps the file."""
    image = {"driver": "qcow2", "file": {"driver": "file", "filename": path}}
    if alone:
        image["backing"] = None
    extents = tools.parse(tools.qemu_img("map", "--output=json",
                                         "json:" + json.dumps(image)))
    sums = [[0, 0] for _ in range(9)]
    for e in extents:
        if e["present"]:
            sums[e["depth"]][e["zero"]] += e["length"]
    return [tuple(s) for s in sums]


def build(seed, raw=False):
    """Base, middle and top, in a folder of their own."""
    rng = random.Random(seed)
    folder = os.path.join(WORK, "chain-%d" % seed)
    os.makedirs(folder)
    names = [os.path.join(folder, n) for n in ("base", "mid", "top")]
    unit = rng.choice((4096, 65536))
    for i, path in enumerate(names):
        more = {}
        if i:
            more = {"backing_file": names[i - 1],
                    "backing_fmt": "raw" if raw and i == 1 else "qcow2"}
        size = (2 + i) << 20
        steps = make.writes(rng, size, unit, 4 + 2 * i, KINDS)
        make.build(path, str(size), steps, cluster_size=unit, **more)
        if raw and not i:
            tools.qemu_img("convert", "-O", "raw", path, path + ".raw")
            os.replace(path + ".raw", path)
    return names


def pair(o):
    return o["data"], o["zeros"]


def check_maps(names, raw):
    told = chain_of(names[2])
    shown = mapped(names[2], alone=False)
    notes = []
    for layer, path, seen in zip(told, reversed(names), shown):
        if raw and path == names[0]:
            continue
        have = pair(layer), pair(layer["shown"])
        alone = mapped(path)[0]
        if have != (alone, seen) or layer["unknown"] or \
                layer["hidden"] != sum(alone) - sum(seen):
            notes.append("%s: %s, QEMU %s %s" % (path, layer, alone, seen))
    if [os.path.basename(t["filename"]) for t in told] != \
            ["top", "mid", "base"]:
        notes.append(str(told))
    return notes


def check_commit(names):
    """Commit a copy of the top; what the middle maps more is what was told."""
    told = chain_of(names[2])[0]["commit"]
    before = sum(mapped(names[1])[0])
    kept = names[1] + ".kept"
    shutil.copy(names[1], kept)
    tools.qemu_img("commit", "-q", "-d", "-f", "qcow2", names[2])
    grown = sum(mapped(names[1])[0]) - before
    shutil.move(kept, names[1])
    return [] if grown == told["grows"] else [
        "commit: told %s, grew %d" % (told, grown)]


def check_pull(names):
    """Pull all into the top: it maps as much more as was told."""
    told = [pair(t["pull"]) for t in chain_of(names[2])[1:]]
    before = sum(mapped(names[2])[0])
    top = Daemon(names[2])
    top.do("block-stream", job_id="pull", device="disk", auto_dismiss=False)
    end = time.monotonic() + tools.TIMEOUT
    while time.monotonic() < end:
        jobs = top.do("query-jobs")
        if jobs and jobs[0]["status"] == "concluded":
            break
        time.sleep(.02)
    top.end()
    more = sum(mapped(names[2])[0]) - before
    return [] if jobs[0]["status"] == "concluded" and "error" not in jobs[0] \
        and more == sum(map(sum, told)) else [
            "pull: told %s, took %d, %s" % (told, more, jobs)]


def against_qemu():
    for seed in range(8):
        raw = seed % 4 == 3
        names = build(seed, raw)
        notes = check_maps(names, raw) + check_commit(names) + \
            check_pull(names)
        tap.result(not notes, "chain %d" % seed, notes)


def hidden_of(text):
    """The last of the table's sizes, where all are whole KiB."""
    units = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20}
    rows = [line.split() for line in text.splitlines()
            if line.endswith(" (qcow2)")]
    return [int(float(r[8]) * units[r[9]]) for r in rows]


def words():
    names = build(100)
    status, out, err = qfsck("du", "--backing-chain", names[2])
    text = out.decode()
    tap.result(status == 0 and not err and "of the backing chain" in text and
               text.count("Commit ") == 2 and text.count("Pull up to ") == 2
               and text.startswith(names[2]), "for people", [text, err])
    told = chain_of(names[2])
    tap.result(hidden_of(text) ==
               [t["hidden"] for t in told],
               "the table has the figures", [text, str(told)])
    status, out, err = qfsck("du", "--backing-chain", names[0])
    tap.result(status == 0 and b"nothing to commit" in out,
               "an image alone", [str(out), err])
    os.rename(names[0], names[0] + ".away")
    status, out, err = qfsck("du", "--backing-chain", "--output=json",
                             names[2])
    told = tools.parse(out)
    tap.result(status == 1 and len(told["chain"]) == 2 and
               "is missing from the chain" in err and
               told["chain"][1]["commit"] is None,
               "what there is of a broken chain is told", [str(told), err])
    plain = qfsck("du", "--output=json", names[2])
    tap.result(plain[0] == 0 and "chain" not in tools.parse(plain[1]),
               "without the option the chain is no matter", [str(plain)])


def damage():
    names = build(101)
    with qcow2.Image(names[1]) as image:
        image.put64(image.l2_pos(0, 3), 0x1200 | qcow2.COPIED)
        unit = 1 << image.cluster_bits
        image.put64(image.l1_pos(0), image.l2_offset(0) | qcow2.COPIED)
    told = chain_of(names[2])
    tap.result(told[1]["unknown"] == unit, "damage in a file is told",
               [str(told)])
    # the base's mapping cannot be found at all
    with qcow2.Image(names[0]) as image:
        image.put("l1_table_offset", 513)
    told = chain_of(names[2])
    tap.result(len(told) == 3 and told[2]["data"] == 0,
               "a base without a mapping", [str(told)])


against_qemu()
words()
damage()
sys.exit(tap.finish())
