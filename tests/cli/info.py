#!/usr/bin/env python3
"""qfsck info against qemu-img info, over every layout."""

import os
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "lib"))

from tap import Tap                                         # noqa: E402
from show import WORK, each_layout, qfsck, shown            # noqa: E402
import make                                                 # noqa: E402
import qcow2                                                # noqa: E402
import tools                                                # noqa: E402

tap = Tap()


def differences(theirs, ours, where=""):
    """Every key of qemu-img must be there with its value."""
    if isinstance(theirs, dict) and isinstance(ours, dict):
        notes = []
        for key, value in theirs.items():
            if key not in ours:
                notes.append("%s.%s is missing" % (where, key))
            else:
                notes += differences(value, ours[key], where + "." + key)
        return notes
    if isinstance(theirs, list) and isinstance(ours, list):
        if len(theirs) != len(ours):
            return ["%s: %d entries, not %d" % (where, len(ours), len(theirs))]
        return [n for i, (a, b) in enumerate(zip(theirs, ours))
                for n in differences(a, b, "%s[%d]" % (where, i))]
    return [] if theirs == ours else ["%s: %r, not %r" % (where, ours, theirs)]


def chain_of(path):
    cwd, name = os.path.split(path)
    return (tools.parse(tools.qemu_img("info", "--output=json",
                                       "--backing-chain", name, cwd=cwd)),
            shown("info", "--backing-chain", name, cwd=cwd))


def compare(name, path):
    theirs, ours = chain_of(path)
    status, out, err = qfsck("info", path)
    notes = differences(theirs, ours)
    if status != 0 or not out.startswith(b"image"):
        notes.append("human: %s %s" % (status, err))
    return notes


def own_facts():
    path = os.path.join(WORK, "facts.qcow2")
    make.build(path, "4M", ["write -P 1 0 64k", ("snap", "a \"b\""),
                            ("bitmap", "bm")], lazy_refcounts="on")
    info = shown("info", path)
    names = [(f["type"], f["name"]) for f in info["features"]]
    tap.result(names == [("compatible", "lazy refcounts"),
                         ("autoclear", "bitmaps")], "features by name",
               [str(names)])
    tap.result(info["snapshots"][0]["name"] == "a \"b\""
               and info["snapshots"][0]["disk-size"] == 4 << 20,
               "the snapshot with its disk size", [str(info["snapshots"])])
    tap.result(info["bitmaps"][0]["valid"] is True
               and info["bitmaps"][0]["table-entries"] == 1,
               "the bitmap with its table", [str(info["bitmaps"])])
    tap.result(info["holders-of-locks"] == [], "nobody has it open")


def unknown_extension():
    path = os.path.join(WORK, "unknown.qcow2")
    make.build(path, "1M")
    with open(path, "r+b") as f:
        f.seek(112)
        f.write(bytes.fromhex("12345678 00000005 6869205c 01000000"))
        f.write(bytes(8))
    found = [(e["type"], e["name"], e["length"], e["data"], e["host-offset"])
             for e in shown("info", path)["extensions"]]
    tap.result(found == [("0x12345678", "unknown", 5, "6869205c01", 120)],
               "an unknown extension with its bytes", [str(found)])


def missing_backing():
    path = os.path.join(WORK, "orphan.qcow2")
    tools.qemu_img("create", "-q", "-f", "qcow2", "-u", "-b", "gone", "-F",
                   "raw", path, "1M")
    info = shown("info", path)
    tap.result("No such file" in info["backing-error"],
               "a missing backing file is said", [str(info)])
    status, out, err = qfsck("info", "--backing-chain", "--output=json", path)
    tap.result(status == 1 and "gone" in err and len(tools.parse(out)) == 1,
               "with --backing-chain it is a failure, and the rest is shown",
               [str(status), err])


def loop():
    a, b = (os.path.join(WORK, n + ".qcow2") for n in "ab")
    make.build(a, "1M")
    tools.qemu_img("create", "-q", "-f", "qcow2", "-b", a, "-F", "qcow2", b)
    tools.qemu_img("rebase", "-u", "-f", "qcow2", "-b", b, "-F", "qcow2", a)
    status, out, err = qfsck("info", "--backing-chain", "--output=json", b)
    tap.result(status == 1 and "loop" in err and len(tools.parse(out)) == 2,
               "a chain that bites its tail ends", [str(status), err])


def in_use():
    path = os.path.join(WORK, "used.qcow2")
    make.build(path, "1M")
    child = subprocess.Popen(["qemu-io", "-f", "qcow2", path],
                             stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
    holders = []
    for _ in range(100):
        holders = shown("info", path)["holders-of-locks"]
        if holders:
            break
        time.sleep(0.05)
    child.communicate(b"quit\n", timeout=20)
    tap.result(len(holders) == 1 and holders[0]["pid"] == child.pid
               and holders[0]["program"] == "qemu-io"
               and "write" in holders[0]["uses"]
               and path in holders[0]["command"],
               "who has the image open", [str(holders)])


def refusals():
    text = os.path.join(WORK, "text")
    with open(text, "w") as f:
        f.write("no image\n" * 100)
    for args, want in (([text], 63), ([WORK], 1), ([WORK + "/none"], 1),
                       ([], 1), (["--output=xml", text], 1),
                       ([text, text], 1)):
        status, out, err = qfsck("info", *args)
        tap.result(status == want and err and not out,
                   "info %s: %s" % ([os.path.basename(a) for a in args], want),
                   [str(status), err])


each_layout(tap, compare)
own_facts()
unknown_extension()
missing_backing()
loop()
in_use()
refusals()
sys.exit(tap.finish())
