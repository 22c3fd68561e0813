#!/usr/bin/env python3
"""check names what lay in the lost ranges: files, metadata, free room.

Tables of images with real file systems are lost in several ways. What the
report names is held against debugfs and dumpe2fs, and, for the other file
systems, against what `qfsck guest` says of the sound image (which its own
tests hold against the real tools).
"""

import os
import re
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "lib"))

from guests import *                                        # noqa: E402,F403
from make import build_luks                                 # noqa: E402
from qcow2 import Image                                     # noqa: E402
from tap import Tap                                         # noqa: E402
from tools import own_folder, qfsck_check                   # noqa: E402

tap = Tap()
MIB = 1 << 20
SPAN = 2 * MIB          # what a table of 4 KiB clusters maps
SMALL = {"TEST_DIR": "x", "TEST_DEV": "x", "QA_CHECK_FS": "x"}
UUID = "11111111-2222-3333-4444-555555555555"


def bend(path, *indices):
    """L1 entries that no program can follow."""
    with Image(path) as image:
        for i in indices:
            image.put64(image.l1_pos(i), 0x1200 | 1 << 63)


def erase(path, index):
    """A table that reads as zeros."""
    with Image(path) as image:
        image.write(image.l2_offset(index), bytes(image.cluster))


def spans(indices):
    return [(i * SPAN, (i + 1) * SPAN) for i in indices]


def lost_of(path, *args):
    status, shown, err, _ = qfsck_check(os.path.abspath(path), *args)
    return status, shown["lost"] + shown.get("lost-free", []), err


def named(lost, what="files"):
    """{(id, path): bytes} of all entries."""
    found = {}
    for entry in lost:
        for f in entry.get(what, ()):
            key = (f.get("id", f.get("name")), f.get("path"))
            found[key] = found.get(key, 0) + f["hit"]
    return found


def debugfs(path, command):
    return quiet("debugfs", "-R", command, path)


def extents(fs, inode):
    """[(start, end)] in bytes, of the blocks that are its data."""
    text = debugfs(fs, "stat <%d>" % inode)
    found = []
    for part in re.findall(r"\([^)]*\):(\d+(?:-\d+)?)", text):
        first, _, last = part.partition("-")
        found.append((int(first) * 1024, (int(last or first) + 1) * 1024))
    return found


def inside(pieces, ranges_):
    return sum(max(0, min(b, d) - max(a, c))
               for a, b in pieces for c, d in ranges_)


def make_disk(name):
    """FAT in partition 1, ext4 with blocks of 1 KiB in partition 2."""
    root = name + ".tree"
    paths = tree(root, files=60)
    for n in range(40):     # a row of files, no directory between them
        paths.append("flat%02d" % n)
        with open(os.path.join(root, paths[-1]), "wb") as f:
            f.write(bytes([n + 1]) * 150000)
    fs = raw(name + ".ext4", 60 * MIB)
    quiet("mke2fs", "-q", "-t", "ext4", "-b", "1024", "-L", "root", "-U", UUID,
          "-E", "root_owner=0:0,hash_seed=" + UUID, "-d", root, fs,
          E2FSPROGS_FAKE_TIME=str(MADE))
    fat = raw(name + ".fat", 8 * MIB)
    quiet("mkfs.fat", "-i", "1234abcd", fat)
    disk = raw(name + ".raw", 80 * MIB)
    quiet("sgdisk", "-n", "1:2048:+8M", "-n", "2:20480:+60M", disk)
    for part, at in ((fat, MIB), (fs, 10 * MIB)):
        with open(part, "rb") as f:
            put(disk, at, f.read())
    return image(disk, 4096), fs, paths


def free_of(fs, ranges_):
    text = quiet("dumpe2fs", fs)
    found = []
    for line in re.findall(r"^  Free blocks: (.+)$", text, re.M):
        for part in filter(None, line.split(", ")):
            first, _, last = part.partition("-")
            found.append((int(first) * 1024, (int(last or first) + 1) * 1024))
    return inside(found, ranges_)


def with_data(path, lowest):
    """L1 indices from LOWEST on, those with many clusters first."""
    with Image(path) as im:
        rows = [(sum(1 for e in im.l2_table(im.l2_offset(i)) if e), i)
                for i in im.l1_used() if i >= lowest]
    return [i for _, i in sorted(rows, reverse=True)]


def inode_table_of(fs):
    return int(re.search(r"Inode table at (\d+)", quiet("dumpe2fs", fs))[1])


def tables(sound, fs):
    """Tables with many files: without directories, and with them; of the
    first, one has room that is free."""
    first = (10 * MIB + inode_table_of(fs) * 1024) // SPAN + 1
    every = with_data(sound, first)
    found = files_of(sound, 0, 80 * MIB)
    folders = [(p["start"], p["start"] + p["length"]) for f in found
               if f["kind"] == "directory" for p in f["pieces"]]
    plain = [i for i in every if (i + 1) * SPAN <= 70 * MIB and
             not inside(folders, spans([i]))]
    roomy = [i for i in plain[2:] if free_of(
        fs, [(a - 10 * MIB, b - 10 * MIB) for a, b in spans([i])])]
    return sorted(plain[:2] + roomy[:1]), sorted(every[:3])


def ext4(sound, fs, paths, gone, what):
    """Against debugfs: the files, their bytes, their names, the free room."""
    one = copy(sound, "ext4.qcow2")
    bend(one, *gone)
    status, lost, err = lost_of(one)
    there = [(a - 10 * MIB, b - 10 * MIB) for a, b in spans(gone)]
    ids = {}
    for p in ["", "lost+found"] + paths + sorted({os.path.dirname(p) for p in paths} -
                                   {""}):
        found = re.search(r"Inode: (\d+)",
                          debugfs(fs, 'stat "/%s"' % p))
        ids[int(found[1])] = "/" + p
    theirs = {i: inside(extents(fs, i), there) for i in ids}
    theirs = {i: n for i, n in theirs.items() if n}
    ours = {i: n for (i, _), n in named(lost).items()}
    notes = compared("files", theirs, ours)
    # a file whose directory is lost too has no name
    hidden = {ids[i] for i in theirs
              if os.path.isdir("disk.tree" + ids[i])}
    for (i, path) in named(lost):
        folders = ids[i].split("/")
        if path is None and any("/".join(folders[:n]) or "/" in hidden
                                for n in range(1, len(folders))):
            continue
        if path != ids[i]:
            notes.append("%s is called %s" % (ids[i], path))
    free = sum(e.get("free-bytes", 0) for e in lost)
    if free != free_of(fs, there):
        notes.append("free: %d, %d" % (free, free_of(fs, there)))
    for e in lost:
        if e.get("partition") != "partition 2" or \
                e["file-system"] != {"kind": "ext4", "label": "root",
                                     "uuid": UUID}:
            notes.append(str(e)[:200])
    tap.result(status == 2 and not err and len(theirs) > 5 and not notes,
               "ext4: what debugfs has in the lost ranges, " + what,
               [str(status), err] + notes)
    return one


def same_list(path, one):
    """--no-guest leaves it all out, and the ranges are the same."""
    _, bare, err = lost_of(one, "--no-guest")
    _, full, _ = lost_of(one)
    keys = {k for e in bare for k in e}
    sums = [merged((e["guest-offset"], e["guest-offset"] + e["length"])
                   for e in lost) for lost in (bare, full)]
    text = quiet_check(one, "--no-guest")
    tap.result(keys == {"holder", "guest-offset", "length"} and not err and
               sums[0] == sums[1] and "What was there" not in text,
               "--no-guest leaves it out", [str(keys), str(sums)])
    status, lost, _ = lost_of(path)
    tap.result(status == 0 and lost == [], "a sound image has nothing to name",
               [str(status), str(lost)])


def quiet_check(path, *args):
    return subprocess.run([qfsck_path(), "check", *args, path],
                          capture_output=True, timeout=60).stdout.decode()


def words(one):
    text = quiet_check(one)
    files = re.findall(r"^      (?!\.\.\.)(.*\(.* of .*\))$", text, re.M)
    more = re.search(r"\.\.\. and (\d+) more; --all lists them", text)
    head = re.search(r"in (\d+) files of partition 2 \(ext4 \"root\"\):", text)
    every = re.findall(r"^      (?!\.\.\.)(.*\(.* of .*\))$",
                       quiet_check(one, "--all"), re.M)
    good = head and more and len(files) == 10 and \
        10 + int(more[1]) == int(head[1]) == len(every)
    tap.result(good and "there were free" in text and
               "What was there, on the active disk:" in text,
               "for people: folded at ten, all with --all",
               text.splitlines()[:30])


def borders(sound):
    """A range that reaches over partitions is told part by part."""
    one = copy(sound, "borders.qcow2")
    bend(one, 4, 5)             # 8 to 12 MiB
    _, lost, _ = lost_of(one)
    got = [(e["guest-offset"] // MIB, e["length"] // MIB, e.get("partition"))
           for e in lost]
    areas = named(lost, "metadata")
    tap.result(got == [(8, 1, "partition 1"), (9, 1, None),
                       (10, 2, "partition 2")] and
               ("boot block", None) in areas,
               "a range over several partitions", [str(got), str(areas)])
    erase_first(sound)


def erase_first(sound):
    one = copy(sound, "table.qcow2")
    bend(one, 0)
    _, lost, _ = lost_of(one)
    text = quiet_check(one)
    tap.result("of partition table" in text and
               [e.get("partition") for e in lost] == [None, "partition 1"],
               "the partition table is lost: it is read by its copy",
               [str(lost)[:300]] + text.splitlines()[:20])


def zeros_are_nothing():
    """A FAT in an erased table reads as zeros: that is not free room."""
    root = "zeros.tree"
    tree(root, files=30, seed=5, odd=False)
    fat = raw("zeros.raw", 40 * MIB)
    quiet("mkfs.fat", "-F", "16", "-s", "4", fat)
    for name in sorted(os.listdir(root)):
        quiet("mcopy", "-s", "-m", "-i", fat, os.path.join(root, name), "::/")
    with open("large", "wb") as f:
        f.write(os.urandom(24 * MIB))
    quiet("mcopy", "-i", fat, "large", "::/")
    one = image(fat, 4096)
    erase(one, 0)
    _, lost, _ = lost_of(one)
    free = sum(e.get("free-bytes", 0) for e in lost)
    tap.result(lost and not free, "zeros of an erased table are not free room",
               [str(lost)[:400]])


def other(kind, make):
    """The files of data that were lost, as the sound image has them."""
    path = make("%s.tree" % kind, "%s.raw" % kind)
    sound = image(path, 4096)
    one = copy(sound, "%s.lost.qcow2" % kind)
    size = os.path.getsize(path)
    found = files_of(sound, 0, size)
    meta = [(p["start"], p["start"] + p["length"]) for f in found
            if f["kind"] in ("metadata", "directory") for p in f["pieces"]]
    gone = [i for i in with_data(one, 0)
            if not inside(meta, spans([i]))][:2]
    bend(one, *gone)
    status, lost, err = lost_of(one)
    theirs = {}
    for a, b in spans(gone):
        for f in files_of(sound, a, min(b, size) - a):
            key = (f["id"], f["path"])
            theirs[key] = theirs.get(key, 0) + f["hit"]
    tap.result(status == 2 and not err and len(gone) == 2 and theirs and
               named(lost) == theirs, kind + ": the files that were lost",
               [str(gone), err] + compared("files", theirs, named(lost)))
    use = only_volume(sound, "--ranges")
    free = inside(ranges(use, "free"), spans(gone))
    ours = sum(e.get("free-bytes", 0) for e in lost)
    tap.result(free == ours, kind + ": the room that was free",
               ["%d, %d" % (free, ours)])


def files_below(root):
    tree(root, files=60, seed=3, odd=False, spaces=False)
    for n in range(3):
        with open(os.path.join(root, "large%d" % n), "wb") as f:
            f.write(bytes(range(256)) * (12000 + n))


def xfs(root, path):
    files_below(root)
    lines = ["/none", "0 0", "d--755 0 0"]

    def add(folder):
        for name in sorted(os.listdir(folder)):
            at = os.path.join(folder, name)
            if os.path.isdir(at):
                lines.append("%s d--755 0 0" % name)
                add(at)
                lines.append("$")
            else:
                lines.append("%s ---644 0 0 %s" % (name, at))

    add(root)
    with open("proto", "w") as f:
        f.write("\n".join(lines + ["$"]) + "\n")
    raw(path, 64 * MIB)
    quiet("mkfs.xfs", "-q", "-m", "uuid=" + UUID, "-p", "proto", path, **SMALL)
    return path


def ntfs(root, path):
    files_below(root)
    raw(path, 64 * MIB)
    quiet("mkntfs", "-F", "-q", "-s", "512", "-p", "0", "-H", "255", "-S",
          "63", path)
    for name in sorted(os.listdir(root)):
        if os.path.isfile(os.path.join(root, name)):
            quiet("ntfscp", "-q", "-f", path, os.path.join(root, name), name)
    return path


def vfat(root, path):
    files_below(root)
    raw(path, 64 * MIB)
    quiet("mkfs.fat", "-F", "32", "-s", "1", path)
    for name in sorted(os.listdir(root)):
        quiet("mcopy", "-s", "-m", "-i", path, os.path.join(root, name), "::/")
    return path


def btrfs(root, path):
    files_below(root)
    raw(path, 128 * MIB)
    quiet("mkfs.btrfs", "-q", "-U", UUID, "--rootdir", root, path)
    return path


def states(sound):
    """A snapshot that lost something has its own list."""
    one = copy(sound, "states.qcow2")
    gone = with_data(one, 8)[0]
    quiet("qemu-img", "snapshot", "-c", "old", one)
    # the active disk has a table of its own from here on
    quiet("qemu-io", "-c", "write -q -P 1 %d 4k" % (gone * SPAN), one)
    with Image(one) as image_:
        l1 = image_.snapshot(image_.snapshots()[0], "l1_table_offset")
        image_.put64(l1 + 8 * gone, 0x1200)
    _, lost, _ = lost_of(one)
    text = quiet_check(one)
    tap.result({e["holder"] for e in lost} == {"1"} and named(lost) and
               'What was there, on snapshot 1 ("old"):' in text,
               "a snapshot's files", [str(lost)[:300]] +
               text.splitlines()[:20])
    chain = quiet_check(one, "--backing-chain")
    tap.result('What was there, on snapshot 1 ("old"):' in chain,
               "with --backing-chain too", chain.splitlines()[:20])


def shim():
    out = os.path.abspath("nochild.so")
    subprocess.run([os.environ.get("CC", "cc"), "-std=c11", "-D_GNU_SOURCE",
                    "-shared", "-fPIC", "-o", out,
                    os.path.join(HERE, "nochild.c"), "-ldl"], check=True)
    return out


def dead_children(one):
    """What a child that dies would have told is not known: nothing more."""
    library, notes = shim(), []
    lines = {}
    for spare in range(5):
        os.environ.update(LD_PRELOAD=library, NOCHILD_SPARE=str(spare))
        try:
            status, lost, err = lost_of(one)
            lines[spare] = quiet_check(one)
        finally:
            del os.environ["LD_PRELOAD"], os.environ["NOCHILD_SPARE"]
        if status != 2 or err:
            notes.append("%d: %s %s" % (spare, status, err))
        if not re.search("not (all of it is )?known", lines[spare]):
            notes += ["%d:" % spare] + lines[spare].splitlines()[:20]
    told = "its reader broke down over what it found" in lines[0]
    tap.result(not notes and told, "a child that dies: it is not known",
               notes + lines[0].splitlines()[:12])


def encrypted():
    path = build_luks(os.path.abspath("luks.qcow2"), ["write -P 1 0 256k"])
    bend(path, 0)
    status, lost, err = lost_of(path)
    keys = {k for e in lost for k in e}
    text = quiet_check(path)
    tap.result(status == 2 and not err and lost and
               keys == {"holder", "guest-offset", "length"} and
               "is not known: the image is encrypted" in text,
               "an encrypted disk is opaque", [str(lost), err] +
               text.splitlines()[:12])


own_folder()
sound_image, file_system, all_paths = make_disk("disk")
plain_ones, with_folders = tables(sound_image, file_system)
ext4(sound_image, file_system, all_paths, with_folders, "with directories")
damaged = ext4(sound_image, file_system, all_paths, plain_ones,
               "without directories")
same_list(sound_image, damaged)
words(damaged)
borders(sound_image)
zeros_are_nothing()
for row in (xfs, ntfs, vfat, btrfs):
    other(row.__name__, row)
states(sound_image)
dead_children(damaged)
encrypted()
sys.exit(tap.finish())
