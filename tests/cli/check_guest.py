#!/usr/bin/env python3
"""qfsck check --guest: the damage that sound tables hide.

File systems are made by the real tools, each in a partition of a GPT disk.
The healthy ones raise nothing. Then L2 entries read as zeros, or change
places with others, or L1 entries do: what lies there is told, with its place.
"""

import os
import random
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "lib"))

from guests import *                                        # noqa: E402,F403
from guestdisks import close_log                            # noqa: E402
from qimg import Image                                      # noqa: E402
from tap import Tap                                         # noqa: E402
from tools import own_folder, qfsck_check                   # noqa: E402

tap = Tap()
MIB = 1 << 20
BASE = MIB                      # of the partition
UUID = "11111111-2222-3333-4444-555555555555"
# mkfs.xfs makes so small a file system for its own tests alone
SMALL = {"TEST_DIR": "x", "TEST_DEV": "x", "QA_CHECK_FS": "x"}
OURS = ("guest-metadata", "guest-metadata-unclean", "guest-partition-table")


# -- the guests --------------------------------------------------------

def files_below(root):
    tree(root, files=60, seed=3, odd=False, spaces=False)
    os.makedirs(root + "/large/deep")
    with open(root + "/short", "w") as f:
        f.write("a short file")
    with open(root + "/row", "wb") as f:
        f.write(bytes(range(255)) * 5000)
    for n in range(500):
        with open("%s/large/an-entry-with-a-long-name-%d" % (root, n), "w"):
            pass
    for n in range(3):
        with open("%s/large/deep/row%d" % (root, n), "wb") as f:
            f.write(bytes(range(256)) * (4000 + n))
    return root


def ext(path, root, *options):
    # at least two groups of blocks: only then there are copies
    raw(path, (160 if "4096" in options else 60) * MIB)
    quiet("mke2fs", "-q", "-t", "ext4", "-L", "root", "-U", UUID, *options,
          "-d", root, path)


def proto(root, name):
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

    add(root)
    with open(name, "w") as f:
        f.write("\n".join(lines + ["$"]) + "\n")
    return name


def xfs(path, root, *options):
    raw(path, 60 * MIB)
    quiet("mkfs.xfs", "-q", "-L", "root", *options, "-p",
          proto(root, path + ".proto"), path, **SMALL)


def btrfs(path, root, *options):
    raw(path, 128 * MIB)
    quiet("mkfs.btrfs", "-q", "-L", "root", *options, "--rootdir", root, path)


def ntfs(path, root, *options):
    raw(path, 60 * MIB)
    quiet("mkntfs", "-F", "-q", "-L", "root", "-s", "512", "-p", "2048", "-H",
          "255", "-S", "63", *options, path)
    for name in sorted(os.listdir(root)):
        if os.path.isfile(os.path.join(root, name)):
            quiet("ntfscp", "-q", "-f", path, os.path.join(root, name), name)
    for n in range(80):
        quiet("ntfscp", "-q", "-f", path, os.path.join(root, "short"),
              "another file of a long name %d" % n)
    close_log(path)


def vfat(path, root, *options):
    raw(path, 60 * MIB)
    quiet("mkfs.fat", "-n", "ROOT", *options, path)
    for name in sorted(os.listdir(root)):
        quiet("mcopy", "-s", "-m", "-i", path, os.path.join(root, name), "::/")


def disk_of(part, path):
    """The partition's bytes in a disk with a GPT."""
    size = os.path.getsize(part)
    raw(path, size + 2 * MIB)
    quiet("sgdisk", "-n", "1:2048:+%dM" % (size // MIB), path)
    with open(part, "rb") as f:
        put(path, BASE, f.read())
    os.remove(part)
    return path


# name: (make, options, areas of metadata by the beginnings of their names)
EXT4 = ("superblock", "group descriptors in group 0", "inode table of group 0",
        "inode bitmap of group 0", "block bitmap of group 0",
        "directory")
XFS = ("headers of group 0", "free space btree of group 0",
       "free space btree by size of group 0", "inode btree of group 0",
       "inodes of group 0", "directory")
BTRFS = ("root tree", "chunk tree", "extent tree", "tree of files",
         "checksum tree", "device tree")
FAT = ("file allocation table 1", "file allocation table 2", "directory")
NTFS = ("/$MFT", "/$MFTMirr", "/$Bitmap", "directory")
GUESTS = {
    "ext4-1k": (ext, ("-b", "1024"), EXT4),
    "ext4-4k": (ext, ("-b", "4096"), EXT4),
    "xfs": (xfs, (), XFS),
    "xfs-1k": (xfs, ("-b", "size=1024", "-m", "rmapbt=1,reflink=1", "-n",
                     "size=4096"), XFS),
    "btrfs": (btrfs, ("-m", "single"), BTRFS),
    "btrfs-dup": (btrfs, ("-m", "dup", "-n", "4096"), BTRFS),
    "btrfs-xxhash": (btrfs, ("--csum", "xxhash"), BTRFS[2:4]),
    "btrfs-sha256": (btrfs, ("--csum", "sha256"), BTRFS[2:4]),
    "btrfs-blake2": (btrfs, ("--csum", "blake2"), BTRFS[2:4]),
    "ntfs": (ntfs, (), NTFS),
    "ntfs-1k": (ntfs, ("-c", "1024"), NTFS),
    "fat32": (vfat, ("-F", "32", "-s", "1"), FAT),
    "fat16": (vfat, ("-F", "16", "-s", "4"), FAT + ("root directory",)),
}
# that have no checksums, or none that cover all: nothing false is told
PLAIN = {
    "ext3": (ext, ("-b", "1024", "-O", "^metadata_csum,^extent,^64bit"), ()),
    "ext4-old": (ext, ("-b", "4096", "-O", "^metadata_csum,uninit_bg"), ()),
    "ext4-many": (ext, ("-b", "4096", "-I", "512", "-O",
                        "inline_data,ea_inode,metadata_csum_seed,bigalloc",
                        "-C", "16384"), ()),
    "xfs-v4": (xfs, ("-m", "crc=0"), ()),
    "fat12": (vfat, ("-F", "12", "-s", "64"), ()),
    "ntfs-64k": (ntfs, ("-c", "65536"), ()),
    "btrfs-mixed": (btrfs, ("--mixed", "-m", "single", "-d", "single"), ()),
}


# -- what is said ------------------------------------------------------

def said(path, *options):
    """(exit code, [our findings], stderr)."""
    status, shown, err, _ = qfsck_check(os.path.abspath(path), "--guest",
                                        *options)
    found = [f for f in shown["findings"] if f["name"] in OURS] if shown \
        else []
    return status, found, err


def hits(found, place):
    """Whether a finding's range touches the cluster at PLACE."""
    start, length = place
    for f in found:
        words = f["message"].partition("guest offset ")[2].split()
        if not words:   # "64 more of these"
            continue
        first, last = (int(w.strip(":;,"), 16) for w in words[:3:2])
        if first < start + length and start < last:
            return True
    return False


def healthy(name, path):
    notes = []
    for options in ((), ("--data",), ("--jobs=1", "-s", "active")):
        status, found, err = said(path, *options)
        if status or found or err:
            notes.append("%s: %s %s %s" % (options, status, err, found[:2]))
    tap.result(not notes, name + ": healthy, nothing is told", notes)


def places(path, size, begins):
    """Byte ranges of what has this name."""
    out = []
    for f in files_of(path, 0, size):
        name = f.get("path") or ""
        if name.startswith(begins) and (f["kind"] == "metadata" or
                                        begins[0] == "/") or \
                f["kind"] == begins and name != "/.":
            out += [(p["start"], p["length"]) for p in f["pieces"]]
    return out


def entry_of(image, guest):
    """The position of the L2 entry that maps the byte GUEST, or None."""
    n = guest // image.cluster
    for cluster, pos, _ in image.normal_entries():
        if cluster == n:
            return pos
    return None


def has_super(start, cluster):
    """Without its superblock nobody knows whether a file system was closed in
    order."""
    return start // cluster == BASE // cluster


def spots_of(name, path, area):
    """Where a cluster of AREA begins that is mapped, one for each piece. Of
    NTFS and FAT there is no copy of the first sector to know them by."""
    with Image(path) as image:
        size, cluster = image.get("size"), image.cluster
        out = []
        for start, length in places(path, size, area):
            if name.startswith(("ntfs", "fat")) and has_super(start, cluster):
                length -= BASE + cluster - start
                start = BASE + cluster
            if length > 0 and entry_of(image, start):
                out.append(start)
    return out


def is_told(found, area, start, cluster):
    """The place itself; or of a map what it leads to."""
    if area.startswith(("/$", "file allocation")):
        return bool(found)
    return hits(found, (start // cluster * cluster, cluster))


def damaged(path, how):
    one = copy(path, "one.qcow2")
    with Image(one) as image:
        how(image)
    return one


def holes(name, path, areas):
    """A cluster of each kind of metadata reads as zeros."""
    notes = []
    cluster = int(name.rpartition(" ")[2])
    for area in areas:
        spots = spots_of(name, path, area)
        if not spots:
            if cluster == 4096:
                notes.append("no %s" % area)
            continue
        start = spots[-1]
        one = damaged(path, lambda im: im.put64(entry_of(im, start), 1))
        status, found, err = said(one)
        if not found or err or not is_told(found, area, start, cluster):
            notes.append("%s at %#x: %s %s %s" % (area, start, status, err,
                                                  found[:2]))
        elif status != 2 and not has_super(start, cluster):
            notes.append("%s at %#x: exit %s" % (area, start, status))
    tap.result(not notes, name + ": a hole in each kind of metadata", notes)


def swap(image, a, b):
    one, two = image.u64(a), image.u64(b)
    image.put64(a, two)
    image.put64(b, one)


def swapped_entries(name, path, areas):
    """Metadata and file data change places."""
    notes = []
    with Image(path) as image:
        cluster = image.cluster
        start = max((p["length"], p["start"])
                    for f in files_of(path, 0, image.get("size"))
                    if "row" in f["path"] for p in f["pieces"])[1]
        data = entry_of(image, start + cluster)
    for area in areas:
        for start in spots_of(name, path, area)[-1:]:
            one = damaged(path, lambda im: swap(im, entry_of(im, start),
                                                data))
            status, found, err = said(one)
            good = status == 2 or has_super(start, cluster)
            if not good or err or not is_told(found, area, start, cluster):
                notes.append("%s at %#x: %s %s %s" % (
                    area, start, status, err, found[:2]))
    tap.result(not notes and data, name + ": two L2 entries changed places",
               notes)


def swapped_tables(name, path):
    """Any two L1 entries of which one maps metadata."""
    notes = []
    with Image(path) as image:
        used = image.l1_used()
    rng = random.Random(name)
    for a, b in {tuple(sorted(rng.sample(used, 2))) for _ in range(4)} | \
            {(used[0], used[1])}:
        one = damaged(path, lambda im: swap(im, im.l1_pos(a), im.l1_pos(b)))
        status, found, err = said(one)
        if status != 2 or err or not found:
            notes.append("%d, %d: %s %s" % (a, b, status, err))
    tap.result(not notes, name + ": two L1 entries changed places", notes)


def look(name, make, options, areas):
    root = "tree"
    if not os.path.exists(root):
        files_below(root)
    make(name + ".part", root, *options)
    disk = disk_of(name + ".part", name + ".raw")
    for cluster in (4096, 65536):
        sound = image(disk, cluster)
        healthy("%s, %d" % (name, cluster), sound)
        if areas:
            holes("%s, %d" % (name, cluster), sound, areas)
            swapped_entries("%s, %d" % (name, cluster), sound, areas)
        if areas and cluster == 4096 and name in ("ext4-4k", "xfs", "btrfs"):
            swapped_tables(name, sound)
        if cluster != 4096:
            os.remove(sound)
    return disk, disk + ".4096.qcow2"


# -- states, options, other causes -------------------------------------

def states(sound):
    """Only the state that is damaged, or the one that is named."""
    one = copy(sound, "states.qcow2")
    quiet("qemu-img", "snapshot", "-c", "old", one)
    start = places(sound, 162 * MIB, "inode table of group 0")[0][0]
    # the active disk has a cluster of its own from here on
    quiet("qemu-io", "-c", "write -q -z %d 4k" % (start // 4096 * 4096), one)
    got = {}
    for state in (None, "active", "old", "1"):
        status, found, _ = said(one, *(("-s", state) if state else ()))
        got[state] = (status, {f["owner"] for f in found})
    bad = (2, {"the active disk"})
    tap.result(got == {None: bad, "active": bad, "old": (0, set()),
                       "1": (0, set())}, "in every state, or the one named",
               [str(got)])
    status, found, err = said(one, "-s", "none")
    tap.result(status == 1 and 'no snapshot "none"' in err,
               "a state that is not there", [str(status), err])


def unclean(disk):
    """The same damage on a file system in use is a warning."""
    one = copy(disk, "unclean.raw")
    part = raw("unclean.part", 160 * MIB)
    with open(one, "rb") as f:
        f.seek(BASE)
        put(part, 0, f.read(160 * MIB))
    quiet("debugfs", "-w", "-R", "ssv state 0", part)
    with open(part, "rb") as f:
        put(one, BASE, f.read())
    qcow2 = image(one, 4096)
    start = places(qcow2, 162 * MIB, "inode table of group 0")[0][0]
    bad = damaged(qcow2, lambda im: im.put64(entry_of(im, start), 1))
    status, found, err = said(bad)
    tap.result(status == 3 and not err and found and
               {f["name"] for f in found} == {"guest-metadata-unclean"},
               "in use when it ended: a warning", [str(status), str(found)])
    text = subprocess.run([qfsck_path(), "check", "--guest", bad],
                          capture_output=True).stdout.decode()
    tap.result("no data are lost" not in text and "misses" in text,
               "leaks are not called harmless then", text.splitlines()[:6])
    shared, found, _ = said(damaged(
        disk + ".4096.qcow2", lambda im: im.put64(entry_of(im, start), 1)),
        "-U")
    tap.result(found and {f["name"] for f in found} ==
               {"guest-metadata-unclean"}, "so is all while it is written",
               [str(shared), str(found)])


def other_base(disk):
    """An overlay that was made on another base."""
    base = image(disk, 65536)
    part = "other.part"
    ext(part, "tree", "-b", "4096", "-O", "^has_journal")
    other = image(disk_of(part, "other.raw"), 65536)
    start = places(base, 162 * MIB, "inode table of group 0")[0][0]
    quiet("qemu-img", "create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", base,
          "over.qcow2")
    data = subprocess.run(["qemu-io", "-r", "-f", "qcow2", "-c",
                           "read -v %d 4k" % start, base],
                          capture_output=True).stdout
    assert data
    raw_bytes = os.path.getsize(disk) and open(disk, "rb").read()
    with open("piece", "wb") as f:
        f.write(raw_bytes[start:start + 65536])
    quiet("qemu-io", "-c", "write -q -s piece %d 64k" % start, "over.qcow2")
    first = said("over.qcow2")
    quiet("qemu-img", "rebase", "-u", "-F", "qcow2", "-b", other,
          "over.qcow2")
    second = said("over.qcow2")
    tap.result(first[:2] == (0, []) and second[0] == 2 and second[1],
               "an overlay on another base", [str(first), str(second)])


def table(sound):
    """Both copies of the partition table."""
    with Image(sound) as image_:
        last = (image_.get("size") - 1) // 4096 * 4096
    got = []
    for start in (0, last):
        one = damaged(sound, lambda im: im.put64(entry_of(im, start), 1))
        status, found, _ = said(one)
        got.append((status, {f["name"] for f in found},
                    hits(found, (start, 4096))))
    tap.result(got == [(2, {"guest-partition-table"}, True)] * 2,
               "each copy of the partition table", [str(got)])


def moved(sound):
    """What stands there says where it belongs."""
    one, two = (places(sound, 62 * MIB, area)[0][0]
                for area in ("free space btree by size of group 0",
                             "inode btree of group 0"))
    status, found, _ = said(damaged(
        sound, lambda im: swap(im, entry_of(im, one), entry_of(im, two))))
    text = " ".join(f["message"] for f in found)
    tap.result(status == 2 and "what stands at %#x belongs at guest offset "
               "%#x, and what stands there belongs here: the two have changed "
               "places" % (one, two) in text,
               "where what stands there belongs", [str(status), text])


def no_word():
    """A file system whose end nobody knows of: a warning."""
    fs = raw("empty.part", 20 * MIB)
    quiet("mkntfs", "-F", "-q", fs)
    sound = image(fs, 4096)
    start = places(sound, 20 * MIB, "/$MFTMirr")[0][0]
    state = only_volume(sound)["file-system"].get("state")
    status, found, _ = said(damaged(
        sound, lambda im: im.put64(entry_of(im, start), 1)))
    tap.result(state == "unknown" and status == 3 and
               {f["name"] for f in found} == {"guest-metadata-unclean"},
               "NTFS with an empty log: a warning",
               [str(state), str(status), str(found)])


def file_data(name, sound):
    """Two clusters of a file: with --data, where there are checksums."""
    start = max((p["length"], p["start"])
                for f in files_of(sound, 0, 130 * MIB)
                if "row" in f["path"] for p in f["pieces"])[1]
    # the file's bytes come again every 256 of them: one is shifted
    one = copy(sound, "data.qcow2")
    quiet("qemu-io", "-c", "write -q -P 77 %d 4k" % (start + 8192), one)
    got = [(status, hits(found, (start + 8192, 4096)))
           for status, found, _ in (said(one), said(one, "--data"))]
    tap.result(got == [(0, False), (2, True)],
               name + ": what a file holds, with --data", [str(got)])


def words(sound):
    start = places(sound, 162 * MIB, "inode table of group 0")[0][0]
    text = subprocess.run(
        [qfsck_path(), "check", "--guest",
         damaged(sound, lambda im: im.put64(entry_of(im, start), 1))],
        capture_output=True).stdout.decode()
    tap.result("corrupt: 1 error" in text and
               'partition 1 (ext4 "root"): from guest offset' in text and
               "inode table of group 0" in text and
               "own tables do not contradict each other" in text,
               "for people", text.splitlines())
    got = [subprocess.run([qfsck_path(), "check", *args, sound],
                          capture_output=True).returncode
           for args in (("-s", "active"), ("--guest", "--no-guest"))]
    tap.result(got == [1, 1], "options that do not go together", [str(got)])


own_folder()
made = {}
for guest_name, row in {**GUESTS, **PLAIN}.items():
    made[guest_name] = look(guest_name, *row)
states(made["ext4-4k"][1])
unclean(made["ext4-4k"][0])
other_base(made["ext4-4k"][0])
table(made["ext4-4k"][1])
words(made["ext4-4k"][1])
moved(made["xfs"][1])
no_word()
for csum in ("btrfs", "btrfs-xxhash", "btrfs-sha256", "btrfs-blake2"):
    file_data(csum, made[csum][1])
sys.exit(tap.finish())
