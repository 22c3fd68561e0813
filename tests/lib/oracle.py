"""Judges one repair with the real programs as the oracle.

Given a sound image and a damaged copy: repairs the copy, and says whatever is
wrong with the outcome.
"""

import functools
import hashlib
import os
import re
import shutil
import threading

import tools

SECTOR = 512
# Layouts that are no single file that qemu-img opens by its name alone.
NOT_READ = ("luks", "datafile", "sparse", "size-0")


CHUNK = 1 << 20


def stretches(file, size):
    """[(offset, length)] of FILE that may hold something: a damaged table can
    make a file of many terabytes, most of it a hole."""
    at = 0
    while at < size:
        try:
            at = os.lseek(file.fileno(), at, os.SEEK_DATA)
        except OSError:
            return
        end = os.lseek(file.fileno(), at, os.SEEK_HOLE)
        at -= at % CHUNK
        while at < end:
            yield at, min(CHUNK, size - at)
            at += CHUNK


def sha(path):
    """A hash over the bytes of a file and its size; equal to that of another
    file if the two hold the same, whether as zeros or as holes."""
    total = hashlib.sha256()
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        total.update(b"%d" % size)
        for at, length in stretches(file, size):
            file.seek(at)
            data = file.read(length)
            if data.count(0) != len(data):
                total.update(b"%d:" % at + data)
    return total.hexdigest()


def repair(path, *options):
    """(exit status, stderr) of `qfsck repair`."""
    status, out, err = tools.run(
        [tools.qfsck_path(), "repair", *options, path], timeout=60)
    return status, (out + err).decode(errors="replace")


def undo(path):
    status, _, err = tools.run(
        [tools.qfsck_path(), "undo", path + ".qfsck-undo", path])
    return status, err.decode(errors="replace")


class View(bytes):
    """What the guest sees; unreadable sectors are zeros, and listed."""
    unreadable = frozenset()


def guest(path, snapshot=None):
    """The View of a disk; None: nothing at all can be read."""
    raw = "%s.guest%d" % (path, threading.get_ident())
    args = ["qemu-img", "convert", "--salvage", "-f", "qcow2", "-O", "raw"]
    if snapshot:
        args += ["-l", "snapshot.name=" + snapshot]
    status, _, said = tools.run(args + [path, raw], timeout=30)
    try:
        with open(raw, "rb") as file:
            data = View(file.read())
    except FileNotFoundError:
        return None
    os.remove(raw)
    data.unreadable = frozenset(
        int(n) // SECTOR * SECTOR for n in re.findall(
            r"error while reading (?:block status )?at offset (\d+)",
            said.decode(errors="replace")))
    return data if status == 0 else None


def snapshots(path):
    status, out, _ = tools.run(["qemu-img", "snapshot", "-l", path])
    if status:
        return []
    return re.findall(r"^\d+\s+(\S+)",
                      out.decode(errors="surrogateescape"), re.M)


def views(path):
    """{holder: what it shows} of the active disk and every snapshot."""
    found = {None: guest(path)}
    for name in snapshots(path):
        found[name] = guest(path, name)
    return found


@functools.lru_cache(maxsize=None)
def sound_views(path):
    return views(path)


def sectors_that_differ(a, b):
    return [n for n in range(0, max(len(a), len(b)), SECTOR)
            if a[n:n + SECTOR] != b[n:n + SECTOR]]


def spoiled(original, before, after):
    """The sectors that were readable and are now neither as they were nor
    as they should be."""
    if before is None:
        return []
    if after is None:
        return [0]
    zeros = bytes(SECTOR)
    return [n for n in sectors_that_differ(before, after)
            if after[n:n + SECTOR] != original[n:n + SECTOR]
            and before[n:n + SECTOR] != zeros]


def worth(original, shown):
    """How many sectors are as they should be."""
    if shown is None:
        return -1
    return len(original) // SECTOR - len(sectors_that_differ(original, shown))


def worth_of_rival(original, shown):
    """The same after qemu-img's repair, without the sectors that it leaves
    unreadable: zeros are what the oracle shows there, not what it restored."""
    if shown is None:
        return -1
    bad = set(sectors_that_differ(original, shown)) | shown.unreadable
    return len(original) // SECTOR - len(bad)


def by_qemu(path):
    """The views after `qemu-img check -r all` on a copy."""
    copy = path + ".qemu"
    shutil.copy(path, copy)
    tools.run(["qemu-img", "check", "-q", "-r", "all", "-f", "qcow2", copy],
              timeout=20)
    found = views(copy)
    os.remove(copy)
    return found


def data_faults(original, before, after, rival):
    faults = []
    for holder, should in original.items():
        who = holder or "active"
        bad = spoiled(should, before.get(holder), after.get(holder))
        if bad:
            faults.append("%s: %d sectors spoiled, the first at %#x" % (
                who, len(bad), bad[0]))
        ours = worth(should, after.get(holder))
        theirs = worth_of_rival(should, rival.get(holder))
        if ours < theirs:
            faults.append("%s: qemu-img restores %d sectors, qfsck %d" % (
                who, theirs, ours))
    return faults


def write_faults(path, options, encrypted=False):
    """Faults of repair, second repair and undo; leaves the repaired image
    beside as PATH.done."""
    faults = []
    before = sha(path)
    status, said = repair(path, "-y", *options)
    if status not in (0, 1, 2, 3, 63):
        return ["repair ended with %s: %s" % (status, said[-300:])]
    shutil.copy(path, path + ".done")
    done = sha(path)
    qemu, _, errors = tools.qemu_check(path, encrypted)
    alone = "'data-file'" not in errors and ".data'" not in errors
    if status == 0 and alone and qemu not in (0, 63):
        faults.append("qfsck says clean, qemu-img check %s: %s" % (
            qemu, tools.last_line(errors)))
    if status == 1 and done != before:
        faults.append("it failed and changed the image: " + said[-200:])
    again, _ = repair(path, "-y", *options)
    if again != status or sha(path) != done:
        faults.append("a second repair is not idle (%s, then %s)" % (
            status, again))
    if done == before:
        return faults
    if not os.path.exists(path + ".qfsck-undo"):
        return faults + ["changed without an undo file"]
    code, said = undo(path)
    if code or sha(path) != before:
        faults.append("undo does not give the bytes back (%s): %s" % (
            code, said[-200:]))
    return faults


def judge(original, path, layout="", options=()):
    """The faults of repairing PATH, a damaged copy of ORIGINAL."""
    readable = not layout.startswith(NOT_READ)
    if readable:
        should = sound_views(original)
        before, rival = views(path), by_qemu(path)
    faults = write_faults(path, options, layout.startswith("luks"))
    done = path + ".done"
    if readable and os.path.exists(done):
        os.replace(done, path)
        faults += data_faults(should, before, views(path), rival)
    return faults
