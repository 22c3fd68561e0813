#!/usr/bin/env python3
"""diff --files: which files changed, came and went.

The oracle is debugfs (rdump) and mtools: both states are copied out file by
file, and the copies are compared.
"""

import os
import shutil
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "lib"))

from guests import *                                        # noqa: E402,F403
from make import build_luks                                 # noqa: E402
from qcow2 import Image                                     # noqa: E402
from tap import Tap                                         # noqa: E402
from tools import own_folder                                # noqa: E402

tap = Tap()
MIB = 1 << 20


def diff(*args):
    status, out, err = run([qfsck_path(), "diff", "--files", "--output=json",
                            *args])
    return status, parse(out), err.decode(errors="replace")


def debugfs(path, *commands, write=False):
    return quiet("debugfs", *(["-w"] if write else []), "-f", "-", path,
                 feed="\n".join(commands).encode())


def contents(path, name):
    """{path: (bytes, time)} of all files, as debugfs copies them out."""
    shutil.rmtree(name, ignore_errors=True)
    os.makedirs(name)
    debugfs(path, "rdump / %s" % name)
    found = {}
    for folder, _, files in os.walk(name):
        for leaf in files:
            full = os.path.join(folder, leaf)
            with open(full, "rb") as f:
                found["/" + os.path.relpath(full, name)] = (
                    f.read(), int(os.stat(full).st_mtime))
    return found


def told(shown, kind):
    return {f["path"] for f in shown["files"]
            if f["change"] == kind and f["kind"] == "file"}


def write_changes(old, new, qcow2):
    """What NEW has otherwise than OLD, into the active disk of QCOW2."""
    with open(old, "rb") as a, open(new, "rb") as b:
        was, now = a.read(), b.read()
    spans = merged((n, n + 4096) for n in range(0, len(now), 4096)
                   if was[n:n + 4096] != now[n:n + 4096])
    for i, (a, b) in enumerate(spans):
        with open("piece%d" % i, "wb") as f:
            f.write(now[a:b])
    quiet("qemu-io", *(x for i, (a, b) in enumerate(spans)
                       for x in ("-c", "write -q -s piece%d %d %d" % (
                           i, a, b - a))), qcow2)


def make(cluster):
    root = "tree%d" % cluster
    paths = tree(root, files=60)
    old = raw("old%d.raw" % cluster, 40 * MIB)
    quiet("mke2fs", "-q", "-t", "ext4", "-b", "1024", "-L", "root", "-E",
          "root_owner=0:0", "-d", root, old, E2FSPROGS_FAKE_TIME=str(MADE))
    return old, root, paths


def change(old, root, paths, name):
    new = copy(old, name)
    large = [p for p in paths if os.path.getsize(os.path.join(root, p)) >
             100000 and "/" not in p]
    small = [p for p in paths if os.path.getsize(os.path.join(root, p)) == 60
             and "/" not in p]
    with open("fresh", "wb") as f:
        f.write(b"new\n" * 5000)
    debugfs(new, 'rm "/%s"' % large[0], 'rm "/%s"' % small[0],
            "write fresh fresh", "mkdir newdir", "write fresh newdir/inside",
            'ln "/%s" "/other name"' % large[1], 'unlink "/%s"' % large[1],
            'set_inode_field "/%s" mtime 1700009999' % large[2],
            "write /dev/null empty",
            'rm "/%s"' % small[1], 'write fresh "/%s"' % small[1], write=True)
    # a byte in the midst of a file, and one in free room
    pieces = files_of(image(new), 0, 40 * MIB)
    spot = next(f for f in pieces if f.get("path") == "/" + large[3])
    at = spot["pieces"][0]
    put(new, at["start"] + min(at["length"], 60000) // 2, b"\xab\xcd")
    free = max(ranges(only_volume(image(new), "--ranges"), "free"),
               key=lambda r: r[1] - r[0])
    put(new, free[0] + 8192, b"stray")
    return new, large, free[0] + 8192


def judge(what, old, new, shown, stray):
    a, b = contents(old, "a"), contents(new, "b")
    notes = compared("went", set(a) - set(b), told(shown, "went") | {
        f["old-path"] for f in shown["files"] if f["change"] == "renamed"})
    notes += compared("came", set(b) - set(a), told(shown, "came") |
                      told(shown, "renamed"))
    same = set(a) & set(b)
    notes += compared("changed", {p for p in same if a[p] != b[p]},
                      told(shown, "changed"))
    loose = [(r["start"], r["start"] + r["length"], r["use"])
             for r in shown["no-file"]]
    if not any(s <= stray < e and use == "free" for s, e, use in loose):
        notes.append("no file: %s" % loose)
    if {f["path"] for f in shown["files"] if f["kind"] == "directory"} != \
            {"/newdir"}:
        notes.append("directories: %s" % shown["files"])
    if not shown["metadata-bytes"] or shown["cut"]:
        notes.append(str(shown["metadata-bytes"]))
    tap.result(not notes, what, notes)


def ext4(cluster):
    old, root, paths = make(cluster)
    new, large, stray = change(old, root, paths, "new%d.raw" % cluster)
    qcow2 = image(old, cluster)
    quiet("qemu-img", "snapshot", "-c", "before", qcow2)
    write_changes(old, new, qcow2)
    status, shown, err = diff("--from=before", qcow2)
    assert status == 0 and not err, (status, err)
    judge("ext4, clusters of %d: two states" % cluster, old, new, shown,
          stray)
    renamed = [(f["old-path"], f["path"]) for f in shown["files"]
               if f["change"] == "renamed"]
    tap.result(renamed == [("/" + large[1], "/other name")],
               "a file with another name", [str(renamed)])
    status, other, err = diff(image(copy(old, "plain.raw"), 65536),
                              image(new, 4096))
    tap.result(status == 0 and other["files"] == shown["files"],
               "the same of two images", [err] + compared(
                   "files", sorted(map(str, shown["files"])),
                   sorted(map(str, other["files"]))))
    status, none, err = diff("--from=before", "--to=before", qcow2)
    tap.result(status == 0 and none == {"files": [], "metadata-bytes": 0,
                                        "no-file": [], "cut": False},
               "a state and itself", [str(none)])
    text = quiet(qfsck_path(), "diff", "--files", "--from=before", qcow2)
    wanted = ('the whole disk (ext4 "root"):\n', "  came     /fresh (19.5 KiB)",
              "  renamed  /other name, before: /" + large[1],
              "  came     /newdir, a directory\n",
              "  changed  /%s (" % large[3], " that differ belong to no file:",
              " changed, 4 came, 2 went, 1 renamed\n")
    tap.result(all(w in text for w in wanted), "the words for people",
               [w for w in wanted if w not in text] + text.splitlines())
    return qcow2, large


def vfat():
    root = "fat.tree"
    paths = tree(root, files=30, seed=5, odd=False)
    old = raw("fat.raw", 40 * MIB)
    quiet("mkfs.fat", "-F", "32", "-s", "1", old)
    for name in sorted(os.listdir(root)):
        quiet("mcopy", "-s", "-m", "-i", old, os.path.join(root, name), "::/")
    new = copy(old, "fat2.raw")
    top = [p for p in paths if "/" not in p and
           os.path.getsize(os.path.join(root, p))]
    with open("fresh", "wb") as f:
        f.write(b"new\n" * 5000)
    quiet("mdel", "-i", new, "::/" + top[0])
    quiet("mcopy", "-i", new, "fresh", "::/fresh.txt")
    quiet("mcopy", "-o", "-i", new, "fresh", "::/" + top[1])
    status, shown, err = diff(image(old), image(new))
    got = {(f["change"], f["path"]) for f in shown["files"]}
    wanted = {("went", "/" + top[0]), ("came", "/fresh.txt"),
              ("changed", "/" + top[1])}
    tap.result(status == 0 and not err and got == wanted, "FAT: two images",
               [err] + compared("files", wanted, got))


def lost(qcow2, large):
    """What cannot be compared is told of its files, and exit 1."""
    one = copy(qcow2, "lost.qcow2")
    at = guest(one, "--path=/" + large[3])[1]["files"][0]["pieces"][0]["start"]
    with Image(one) as im:
        pos = im.l2_pos(at // im.cluster // im.l2_entries,
                        at // im.cluster % im.l2_entries)
        im.put64(pos, im.u64(pos) | 0x200)
    status, shown, err = diff("--from=before", one)
    marked = {f["path"] for f in shown["files"] if f.get("unknown")}
    tap.result(status == 1 and "/" + large[3] in marked and
               "cannot be compared" in err, "a lost cluster",
               [str(status), err, str(marked)])


def dead_children(qcow2):
    """Nothing is said to have gone because a child died."""
    library = os.path.abspath("nochild.so")
    subprocess.run([os.environ.get("CC", "cc"), "-std=c11", "-D_GNU_SOURCE",
                    "-shared", "-fPIC", "-o", library,
                    os.path.join(HERE, "nochild.c"), "-ldl"], check=True)
    notes = []
    for spare in range(6):
        os.environ.update(LD_PRELOAD=library, NOCHILD_SPARE=str(spare))
        try:
            status, shown, err = diff("--from=before", qcow2)
        finally:
            del os.environ["LD_PRELOAD"], os.environ["NOCHILD_SPARE"]
        if status != 1 or "broke down" not in err or \
                told(shown, "went") | told(shown, "came"):
            notes.append("%d: %s %s %s" % (spare, status, err, shown))
    tap.result(not notes, "children that die", notes)


def encrypted():
    one = build_luks(os.path.abspath("luks.qcow2"), ["write -P 1 0 256k"])
    other = build_luks(os.path.abspath("luks2.qcow2"), ["write -P 2 0 256k"])
    status, shown, err = diff(one, other)
    tap.result(status == 1 and shown is None and "encrypted" in err,
               "an encrypted disk is opaque", [str(status), err, str(shown)])


own_folder()
small_clusters, large_files = ext4(4096)
ext4(65536)
vfat()
lost(small_clusters, large_files)
dead_children(small_clusters)
encrypted()
sys.exit(tap.finish())
