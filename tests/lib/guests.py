"""File systems made by the real tools, and what is asked of them.

A tree of files is the same on every run: names, sizes and bytes come from a
seed, times are fixed.
"""

import os
import random
import subprocess

from tools import must, parse, qemu_img, qfsck_path, run

MADE = 1700000000       # every file's time
# the tools of file systems lie where a user's shell does not look
TOOLS = os.environ.get("PATH", "/usr/bin:/bin") + ":/usr/sbin:/sbin"
SIZES = (0, 1, 60, 700, 5000, 40000, 150000, 700000)


def tree(root, files=60, seed=1, max_bytes=700000, odd=True, spaces=True):
    """Files and directories below ROOT; returns their relative paths."""
    rng = random.Random(seed)
    paths, folders = [], ["."]
    os.makedirs(root)
    for n in range(files):
        if n % 7 == 3:
            folder = os.path.join(rng.choice(folders), "folder%d" % n)
            os.makedirs(os.path.join(root, folder))
            folders.append(folder)
        name = rng.choice(("file%d", "A rather long name of a file %d.txt",
                           "DATA%d.BIN") + (("gr\u00fc\u00dfe%d",)
                                            if odd else ())) % n
        if not spaces:
            name = name.replace(" ", "-")
        path = os.path.join(rng.choice(folders), name)
        size = min(rng.choice(SIZES), max_bytes)
        with open(os.path.join(root, path), "wb") as f:
            f.write(rng.randbytes(size))
        paths.append(os.path.normpath(path))
    for folder, names, leaves in os.walk(root):
        for name in names + leaves:
            os.utime(os.path.join(folder, name), (MADE, MADE))
    os.utime(root, (MADE, MADE))
    return paths


def raw(path, size):
    with open(path, "wb") as f:
        f.truncate(size)
    return path


# of fixed_ext4, with blocks of 4096 bytes: the first block of inodes
FIXED_INODES = 34
FIXED_UUID = "11111111-2222-3333-4444-555555555555"


def fixed_ext4(path, uuid=FIXED_UUID):
    """A small ext4 that is the same on every run, at PATH."""
    raw(path, 8 << 20)
    quiet("mke2fs", "-q", "-t", "ext4", "-b", "4096", "-I", "256", "-N", "64",
          "-O", "none,has_journal,extent,flex_bg,metadata_csum,64bit,"
          "sparse_super,large_file,filetype,dir_index", "-U", uuid,
          "-E", "root_owner=0:0,hash_seed=%s,lazy_itable_init=0" % FIXED_UUID,
          path, E2FSPROGS_FAKE_TIME=str(MADE))


def copy(path, name):
    quiet("cp", "--sparse=always", path, name)
    return name


def put(path, offset, data):
    with open(path, "r+b") as f:
        f.seek(offset)
        f.write(data)


def image(path, cluster=65536):
    """The raw disk PATH as a qcow2 image beside it."""
    out = path + ".%d.qcow2" % cluster
    qemu_img("convert", "-f", "raw", "-O", "qcow2", "-o",
             "cluster_size=%d" % cluster, path, out)
    return out


def guest(path, *args):
    """(exit status, JSON or None, stderr) of `qfsck guest`."""
    status, out, err = run([qfsck_path(), "guest", "--output=json", *args,
                            path])
    return status, parse(out), err.decode(errors="replace")


def volumes(path, *args):
    status, shown, err = guest(path, *args)
    assert status == 0 and not err, (status, err)
    return shown["volumes"]


def only_volume(path, *args):
    found = volumes(path, *args)
    assert len(found) == 1, found
    return found[0]


def ranges(volume, use):
    return [(r["start"], r["start"] + r["length"])
            for r in volume["ranges"] if r["use"] == use]


def merged(spans):
    out = []
    for start, end in sorted(spans):
        if out and start <= out[-1][1]:
            out[-1] = (out[-1][0], max(end, out[-1][1]))
        else:
            out.append((start, end))
    return out


def files_of(path, first, length, *args):
    """The files that have bytes in the range, as the program tells them."""
    status, shown, err = guest(path, "--files=%d+%d" % (first, length), *args)
    assert status == 0 and not err, (status, err)
    return shown["files"]


def blocks_of(files, block, kinds=("file", "directory", "other")):
    """block number -> path (or None), for all blocks of these kinds."""
    out = {}
    for f in files:
        if f["kind"] not in kinds:
            continue
        for p in f["pieces"]:
            first = p["start"] // block
            for n in range(first, -(-(p["start"] + p["length"]) // block)):
                out.setdefault(n, f.get("path"))
    return out


def compared(what, theirs, ours, limit=6):
    """Notes on how two dicts or lists differ; none if they are equal."""
    if theirs == ours:
        return []
    if isinstance(theirs, dict):
        keys = sorted(set(theirs) | set(ours))
        rows = [(k, theirs.get(k), ours.get(k)) for k in keys
                if theirs.get(k) != ours.get(k)]
    else:
        theirs, ours = set(theirs), set(ours)
        rows = [(r, r in theirs, r in ours) for r in sorted(theirs ^ ours)]
    return ["%s: %d differ" % (what, len(rows))] + [
        "%s: theirs %s, ours %s" % row for row in rows[:limit]]


def content(path, pieces, size):
    """The bytes of a file, gathered out of the raw disk PATH."""
    out = bytearray(size)
    with open(path, "rb") as f:
        for p in pieces:
            if "file-offset" not in p:
                continue
            f.seek(p["start"])
            data = f.read(p["length"])[:max(0, size - p["file-offset"])]
            out[p["file-offset"]:p["file-offset"] + len(data)] = data
    return bytes(out)


def compare_contents(raw_disk, qcow2, root, paths):
    """Every file by --path: the pieces hold its bytes."""
    notes = []
    for path in paths:
        status, shown, err = guest(qcow2, "--path=/" + path)
        with open(os.path.join(root, path), "rb") as f:
            data = f.read()
        if status or len(shown["files"]) != 1:
            notes.append("%s: %s %s" % (path, status, err))
        elif shown["files"][0]["size"] != len(data):
            notes.append("%s: size %d" % (path, shown["files"][0]["size"]))
        elif content(raw_disk, shown["files"][0]["pieces"],
                     len(data)) != data:
            notes.append("%s: other bytes" % path)
    return notes


def quiet(*args, feed=None, **env):
    """Runs a tool that has much to say; its output."""
    env.update(LC_ALL="C.UTF-8", TZ="UTC", PATH=TOOLS)
    done = subprocess.run(args, input=feed, capture_output=True,
                          env=dict(os.environ, **env), timeout=60)
    if done.returncode:
        raise RuntimeError("%s: %s" % (args, done.stderr.decode()))
    return done.stdout.decode(errors="replace")


__all__ = [n for n in dir() if not n.startswith("_") and n != "must"]
