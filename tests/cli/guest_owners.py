#!/usr/bin/env python3
"""owners names the files of a cluster, in each state, as debugfs has them."""

import os
import re
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "lib"))

from guests import *                                        # noqa: E402,F403
from qcow2 import Image                                     # noqa: E402
from tap import Tap                                         # noqa: E402
from tools import own_folder                                # noqa: E402

tap = Tap()
MIB = 1 << 20


def owners(path, *args):
    status, out, err = run([qfsck_path(), "owners", "--output=json", *args,
                            path])
    assert status == 0, err
    return parse(out), err.decode()


def debugfs(path, commands, write=False):
    return quiet("debugfs", *(["-w"] if write else []), "-f", "-", path,
                 feed="\n".join(commands).encode())


def make():
    tree("tree", files=60)
    fs = raw("disk.raw", 40 * MIB)
    quiet("mke2fs", "-q", "-t", "ext4", "-b", "1024", "-L", "root", "-E",
          "root_owner=0:0", "-d", "tree", fs,
          E2FSPROGS_FAKE_TIME=str(MADE))
    return fs, image(fs, 4096)


def inodes_at(fs, guest):
    """The inodes that have one of the four blocks; reserved ones apart."""
    found = debugfs(fs, ["icheck " + " ".join(
        str(guest // 1024 + n) for n in range(4))])
    return {int(i) for _, i in re.findall(r"^(\d+)\t(\d+)$", found, re.M)
            if int(i) == 2 or int(i) > 10}


def every_cluster(fs, qcow2):
    """A few hundred clusters of the file, each by its number."""
    with Image(qcow2) as im:
        rows = [(e & ((1 << 56) - 512), n * 4096)
                for n, _, e in im.entries()]
    notes, files = [], 0
    for host, guest_off in rows[::37]:
        shown, err = owners(qcow2, "--host=%d" % host)
        owner = shown["owners"][0]
        ours = {f["id"] for f in owner["files"] if f["kind"] != "metadata"}
        if err or owner["guest-offset"] != guest_off:
            notes.append("%d: %s %s" % (host, owner, err))
        theirs = inodes_at(fs, guest_off)
        notes += compared("at %d" % guest_off, theirs, ours)
        files += len(ours)
    names = debugfs(fs, ["ncheck " + " ".join(map(str, range(12, 90)))])
    names = {int(i): p.replace("//", "/") for i, p in
             re.findall(r"^(\d+)\t(.*)$", names, re.M)}
    for f in owner["files"]:
        if f["kind"] == "file" and f["path"] != names[f["id"]]:
            notes.append("%s is %s" % (f, names[f["id"]]))
    tap.result(files > 20 and not notes, "the files of a cluster as debugfs "
               "has them", notes)


def states(fs, qcow2):
    """One host cluster, two states, two files; and a place in a base."""
    one = copy(qcow2, "states.qcow2")
    path = "/" + next(p for p in sorted(os.listdir("tree"))
                      if os.path.getsize("tree/" + p) > 100000)
    at = guest(one, "--path=" + path)[1]["files"][0]["pieces"][0]["start"]
    at += -at % 4096
    quiet("qemu-img", "snapshot", "-c", "old", one)
    # in the active state the same inode has another name
    new = copy(fs, "renamed.raw")
    debugfs(new, ['ln "%s" /renamed' % path, 'unlink "%s"' % path], True)
    with open(fs, "rb") as a, open(new, "rb") as b:
        was, now = a.read(), b.read()
    for off in range(0, len(was), 4096):
        if was[off:off + 4096] != now[off:off + 4096]:
            with open("piece", "wb") as f:
                f.write(now[off:off + 4096])
            quiet("qemu-io", "-c", "write -q -s piece %d 4k" % off, one)
    shown, _ = owners(one, "--guest=%d" % at)
    got = [(m["holder"], {f["path"] for f in m["files"]})
           for m in shown["mappings"]]
    both = {o["holder"]: {f["path"] for f in o["files"]}
            for o in shown["places"][0]["owners"]}
    tap.result(len(got) == 2 and "/renamed" in dict(got)["active"] and
               path in dict(got)["1"] and both == dict(got),
               "each state has its own names", [str(got), str(both)])
    quiet("qemu-img", "create", "-q", "-f", "qcow2", "-b", qcow2, "-F",
          "qcow2", "-o", "cluster_size=4096", "over.qcow2")
    shown, _ = owners("over.qcow2", "--guest=%d" % at)
    text = quiet(qfsck_path(), "owners", "--guest=%d" % at, "over.qcow2")
    tap.result(shown["mappings"][0]["depth"] == 1 and
               path in {f["path"] for f in shown["mappings"][0]["files"]} and
               '    has %s of the whole disk (ext4 "root")\n' % path in text,
               "a cluster of the base", [str(shown), text])


def shared(qcow2):
    """A row of guest clusters with one host cluster: one query, each its
    own file."""
    one = copy(qcow2, "shared.qcow2")
    with Image(one) as im:
        rows = im.entries()
        run_ = next(i for i in range(200, len(rows) - 3)
                    if rows[i + 3][0] == rows[i][0] + 3)
        for n in range(1, 4):
            im.put64(rows[run_ + n][1], rows[run_][2])
        first = rows[run_][0] * 4096
        host = rows[run_][2] & ((1 << 56) - 512)
    shown, _ = owners(one, "--host=%d" % host)
    notes = []
    for o in shown["owners"]:
        alone = files_of(one, o["guest-offset"], 4096)
        notes += compared(str(o["guest-offset"]),
                          sorted((f["id"], f.get("path")) for f in alone
                                 if "id" in f),
                          sorted((f["id"], f.get("path")) for f in o["files"]
                                 if "id" in f))
    tap.result(len(shown["owners"]) == 4 and not notes and
               shown["owners"][0]["guest-offset"] == first,
               "clusters in a row, each with its own files", notes)


def without(qcow2):
    shown, _ = owners(qcow2, "--no-guest", "--guest=4M")
    text = quiet(qfsck_path(), "owners", "--no-guest", "--guest=4M", qcow2)
    tap.result("files" not in str(shown) and "has " not in text,
               "--no-guest leaves it out", [str(shown), text])


def dead_children(qcow2):
    library = os.path.abspath("nochild.so")
    subprocess.run([os.environ.get("CC", "cc"), "-std=c11", "-D_GNU_SOURCE",
                    "-shared", "-fPIC", "-o", library,
                    os.path.join(HERE, "nochild.c"), "-ldl"], check=True)
    notes = []
    for spare in range(3):
        os.environ.update(LD_PRELOAD=library, NOCHILD_SPARE=str(spare))
        try:
            shown, err = owners(qcow2, "--guest=4M")
        finally:
            del os.environ["LD_PRELOAD"], os.environ["NOCHILD_SPARE"]
        if len(shown["places"]) != 1 or "known" not in err:
            notes.append("%d: %s %s" % (spare, shown, err))
    tap.result(not notes, "a child that dies costs the names alone", notes)


own_folder()
file_system, whole = make()
every_cluster(file_system, whole)
states(file_system, whole)
shared(whole)
without(whole)
dead_children(whole)
sys.exit(tap.finish())
