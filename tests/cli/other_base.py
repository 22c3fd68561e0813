#!/usr/bin/env python3
"""qfsck check --backing-chain: an overlay on a base that it was not made on.

File systems are made by the real tools, and what came later lies in an
overlay. On its own base nothing is said, however the chain came about. Then
"qemu-img rebase -u" names a sibling: another copy of the same disk that went
its own way, or another disk of its kind.
"""

import os
import shutil
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "lib"))

from guests import *                                        # noqa: E402,F403
from overlays import as_image, over, rebased, said          # noqa: E402
from tap import Tap                                         # noqa: E402
from tools import own_folder, qemu_img                      # noqa: E402

tap = Tap()
MIB = 1 << 20
UUIDS = ("11111111-2222-3333-4444-555555555555",
         "66666666-7777-8888-9999-aaaaaaaaaaaa")
# mkfs.xfs makes so small a file system for its own tests alone
SMALL = {"TEST_DIR": "x", "TEST_DEV": "x", "QA_CHECK_FS": "x"}


# -- file systems, and what a guest does to them -----------------------
# make(path, identity, folder); write(path, folder): adds the folder's files

def room(path):
    if not os.path.exists(path):
        raw(path, 60 * MIB)


def ext(path, which, folder, *options):
    room(path)
    quiet("mke2fs", "-q", "-t", "ext4", "-b", "1024", "-L", "root", "-U",
          UUIDS[which], "-E", "hash_seed=" + UUIDS[which], *options, "-d",
          folder, path)


def ext_write(path, folder):
    lines = []
    for at, folders, names in sorted(os.walk(folder)):
        inside = os.path.relpath(at, folder)
        lines += ["mkdir " + os.path.normpath(os.path.join(inside, f))
                  for f in sorted(folders)]
        lines += ["write %s %s" % (os.path.join(at, n), os.path.normpath(
            os.path.join(inside, n))) for n in sorted(names)]
    quiet("debugfs", "-w", "-f", "-", path, feed=("\n".join(lines) +
                                                  "\n").encode())
    quiet("debugfs", "-w", "-R", "ssv wtime now", path)


def proto(folders, name):
    lines = ["/none", "0 0", "d--755 0 0"]

    def add(folder):
        for entry in sorted(os.listdir(folder)):
            at = os.path.join(folder, entry)
            if os.path.isdir(at):
                lines.append("%s d--755 0 0" % entry)
                add(at)
                lines.append("$")
            else:
                lines.append("%s ---644 0 0 %s" % (entry, at))

    for folder in folders:
        add(folder)
    with open(name, "w") as f:
        f.write("\n".join(lines + ["$"]) + "\n")
    return name


def xfs(path, which, folder, *options):
    """Nothing but a kernel writes to one: each is made anew, with the files
    that it has so far; what is the same comes to lie in the same place."""
    with open(path + ".has", "a") as f:
        f.write(folder + "\n")
    with open(path + ".has") as f:
        folders = f.read().split()
    if len(folders) > 1:
        os.remove(path)
    room(path)
    quiet("mkfs.xfs", "-q", "-L", "root", "-m", "uuid=" + UUIDS[which],
          *options, "-p", proto(folders, path + ".proto"), path, **SMALL)
    with open(path + ".which", "w") as f:
        f.write(str(which))


def xfs_write(path, folder):
    with open(path + ".which") as f:
        xfs(path, int(f.read()), folder)


def ntfs(path, which, folder, *options):
    if which:
        time.sleep(1.1)     # it bears the second in which it was made
    room(path)
    quiet("mkntfs", "-F", "-q", "-L", "root", "-s", "512", "-p", "0", "-H",
          "255", "-S", "63", *options, path)
    ntfs_write(path, folder)


def ntfs_write(path, folder):
    for name in sorted(os.listdir(folder)):
        if os.path.isfile(os.path.join(folder, name)):
            quiet("ntfscp", "-q", "-f", path, os.path.join(folder, name),
                  name)
    close_log(path)


def close_log(path):
    """The log as Windows leaves it; the tools leave an empty one."""
    with open(path, "rb") as f:
        boot = f.read(512)
        cluster = boot[13] * 512
        f.seek(int.from_bytes(boot[48:56], "little") * cluster + 2 * 1024)
        record = f.read(1024)
    at = int.from_bytes(record[20:22], "little")
    while int.from_bytes(record[at:at + 4], "little") != 0x80:
        at += int.from_bytes(record[at + 4:at + 8], "little")
    at += int.from_bytes(record[at + 32:at + 34], "little")
    first = at + 1 + (record[at] & 15)
    start = int.from_bytes(record[first:first + (record[at] >> 4)], "little")
    page = bytearray(4096)
    page[0:8] = b"RSTR\x1e\0\x09\0"
    page[16:26] = b"\0\x10\0\0\0\x10\0\0\x30\0"
    page[0x30 + 8:0x30 + 16] = b"\1\0\0\0\xff\xff\2\0"
    put(path, start * cluster, bytes(page) * 2)


def move(path, path_to):
    for end in ("", ".has", ".which"):
        if os.path.exists(path + end):
            shutil.copyfile(path + end, path_to + end)


KINDS = {"ext4": (ext, ext_write), "XFS": (xfs, xfs_write),
         "NTFS": (ntfs, ntfs_write)}


# -- chains ------------------------------------------------------------

def quiet_about(path, what, *options):
    status, found, err = said(path, *options)
    tap.result(status == 0 and not found and not err, what,
               [str(status), str(err)] + [f["message"] for f in found])


def accused(path, what, *words):
    status, found, err = said(path)
    tap.result(status == 2 and len(found) == 1 and not err and
               all(w in found[0]["message"] for w in words), what,
               [str(status), str(err)] + [f["message"] for f in found])


def chains_of(kind, cluster):
    make, write = KINDS[kind]
    at = "%s with clusters of %d" % (kind, cluster)
    make("old.raw", 0, "first")
    move("old.raw", "twin.raw")
    write("old.raw", "mine")
    write("twin.raw", "sibling")
    make("other.raw", 1, "stranger")
    move("old.raw", "new.raw")
    write("new.raw", "later")
    bases = {n: as_image(n + ".raw", cluster)
             for n in ("old", "twin", "other")}
    image = over(bases["old"], "new.raw", "overlay.qcow2", cluster)
    quiet_about(image, "%s: its own base" % at)
    quiet_about(over("old.raw", "new.raw", "raw.qcow2", cluster, "raw"),
                "%s: a raw one" % at)
    # in large clusters all of a small NTFS's metadata are the overlay's
    if kind != "NTFS" or cluster < 65536:
        accused(rebased(image, bases["twin"]),
                "%s: a sibling of the base" % at, kind)
        accused(rebased(image, "twin.raw", "raw"),
                "%s: a raw sibling" % at, kind)
    accused(rebased(image, bases["other"]),
            "%s: another disk of its kind" % at, kind)
    plain(at, rebased(image, bases["other"]), bases["other"])
    healthy_chains(at, kind, cluster, bases["old"], image)
    for name in os.listdir("."):
        if os.path.isfile(name):
            os.remove(name)


def plain(at, image, base):
    """Without the option, only a base that was written to later is asked."""
    before = os.stat(image).st_mtime
    for later, want in ((-9, (0, 0)), (9, (2, 1))):
        os.utime(base, (before + later, before + later))
        status, found, err = said(image, "--jobs=1")
        tap.result((status, len(found)) == want and not err,
                   "%s: a plain check, the base %d seconds older" %
                   (at, -later), [str(status), str(err), str(found)])
    status, found, _ = said(image, "--no-guest")
    tap.result(status == 0 and not found, "%s: and not with --no-guest" % at)


def healthy_chains(at, kind, cluster, base, image):
    make, write = KINDS[kind]
    # three files, and the one in the middle committed into the lowest
    move("new.raw", "newer.raw")
    write("newer.raw", "latest")
    top = over(image, "newer.raw", "top.qcow2", cluster)
    quiet_about(top, "%s: three files" % at)
    shutil.copyfile(base, "base.kept")
    qemu_img("commit", "-q", image)
    qemu_img("rebase", "-u", "-b", os.path.abspath(base), "-F", "qcow2", top)
    quiet_about(top, "%s: the middle committed into the base" % at)
    # the base as it was is another one for what came after
    shutil.copyfile("base.kept", base)
    # (an XFS that is made anew has all of its metadata in the overlay)
    if kind == "ext4" or kind == "NTFS" and cluster < 65536:
        accused(top, "%s: the base restored from before that" % at, kind)
    # a file system made anew, of the same kind and of others, over the old
    for other in sorted(KINDS):
        shutil.copyfile("old.raw", "anew.raw")
        for end in (".has", ".which"):
            if os.path.exists("anew.raw" + end):
                os.remove("anew.raw" + end)
        anew("anew.raw", other)
        quiet_about(over(base, "anew.raw", "anew.qcow2", cluster),
                    "%s: %s made anew over it" % (at, other))


def anew(path, kind):
    """The disk formatted: what mkfs does not write stays as it was."""
    keep = {"ext4": ("-F", "-E", "nodiscard"), "XFS": ("-f", "-K"),
            "NTFS": ("-f",)}
    KINDS[kind][0](path, 1, "stranger", *keep[kind])


def main():
    own_folder()
    for n, name in enumerate(("first", "mine", "sibling", "stranger", "later",
                              "latest")):
        tree(name, files=60 if name != "latest" else 8, seed=n + 1,
             max_bytes=150000, odd=False, spaces=False)
        # no two folders have the same names
        for entry in os.listdir(name):
            os.rename(os.path.join(name, entry),
                      os.path.join(name, name + "-" + entry))
    for kind in KINDS:
        for cluster in (65536, 4096):
            chains_of(kind, cluster)
    return tap.finish()


sys.exit(main())
