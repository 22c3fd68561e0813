#!/usr/bin/env python3
"""The undo file that has rotted, is away, or stands elsewhere.

Whatever becomes of it: a repair that was cut short is never taken for none,
the image is not written with a damaged undo file, and it is said what to do.
"""

import json
import os
import shutil
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "lib"))

import qimg                                                 # noqa: E402
from tap import Tap                                         # noqa: E402

QFSCK = qimg.qfsck_path()
qimg.own_folder()
SHIM = os.path.abspath("cut.so")
HEAD, RECORD = 512, 32
tap = Tap()


def case(name, good, *detail):
    tap.result(good, name, [str(d)[-400:] for d in detail] if not good else [])


def read(path):
    with open(path, "rb") as file:
        return file.read()


def write(path, data):
    """In place, so that it stays the same file."""
    with open(path, "r+b" if os.path.exists(path) else "wb") as file:
        file.write(data)
        file.truncate()


def run(*args, **env):
    if env:
        env["LD_PRELOAD"] = SHIM
    done = subprocess.run([QFSCK, *args], stdin=subprocess.DEVNULL,
                          timeout=60, capture_output=True,
                          env=dict(qimg.environment(), **env))
    return done.returncode, done.stdout.decode(), done.stderr.decode()


class Half:
    """An image that a killed repair has left half written."""

    def __init__(self, name, *options, **layout):
        self.path = os.path.abspath(name)
        qimg.build(self.path, "16M", ["write -P 1 0 64k", "write -P 2 8M 64k"],
                   cluster_size=4096, **layout)
        with qimg.Image(self.path) as image:
            for i in (2, 9):
                pos = image.l2_pos(image.l1_used()[0], i)
                image.put64(pos, image.u64(pos) | 2)
            image.set_refcount((image.normal_entries()[0][2]
                                & qimg.OFFSET_MASK) // image.cluster, 0)
        self.before = read(self.path)
        self.options = options
        self.place = next((o.partition("=")[2] for o in options
                           if o.startswith("--undo=")),
                          self.path + ".qfsck-undo")
        run("repair", "-y", *options, self.path)
        self.after = read(self.path)
        self.whole = read(self.place)
        for number in range(4, 60):
            self.clean_up()
            write(self.path, self.before)
            run("repair", "-y", *options, self.path,
                QFSCK_CUT_KILL=str(number))
            self.half = read(self.path)
            # not the mark alone, and not all of it
            if len({self.half[512:], self.before[512:],
                    self.after[512:]}) == 3:
                break
        self.undo = read(self.place)

    def clean_up(self):
        for name in (self.place, self.path + ".qfsck-undo",
                     self.path + ".qfsck-undo.1",
                     self.path + ".qfsck-pending"):
            if os.path.exists(name):
                os.remove(name)

    def again(self, undo):
        self.clean_up()
        write(self.path, self.half)
        write(self.place, undo)
        # its last write was before those to the image
        os.utime(self.place, ns=(1, os.stat(self.path).st_mtime_ns - 10))


def flipped(data, at):
    return data[:at] + bytes([data[at] ^ 0x40]) + data[at + 1:]


def rots(undo):
    """{what happened: the undo file then}"""
    mark = HEAD + int.from_bytes(undo[48:56], "big")
    second = HEAD + RECORD + int.from_bytes(undo[HEAD + 16:HEAD + 20], "big") \
        + int.from_bytes(undo[HEAD + 20:HEAD + 24], "big")
    kinds = {f"a bit of {what} is flipped": flipped(undo, at) for what, at in {
        "the magic": 3, "the version": 11, "the image's size": 23,
        "the header's checksum": 12, "the number of records": 47,
        "the name": 74, "the first record's magic": HEAD + 1,
        "the first record's length": HEAD + 18,
        "the first record's bytes": HEAD + RECORD + 100,
        "the second record's place": second + 14,
        "the last record": mark - 520, "the commit mark": mark + 1,
        "the commit mark's time": mark + 9}.items()}
    for length in (0, 100, HEAD, HEAD + 40, second + 9, mark - 1, mark):
        kinds[f"cut to {length} bytes"] = undo[:length]
    kinds["the commit mark is gone"] = \
        undo[:mark] + bytes(512) + undo[mark + 512:]
    kinds["the first sector is gone"] = bytes(HEAD) + undo[HEAD:]
    kinds["a block of 4096 bytes is gone"] = \
        undo[:1024] + bytes(4096) + undo[1024 + 4096:]
    return kinds


def rotten(half, name):
    for what, undo in rots(half.undo).items():
        # version 2 has no mark to tell it from one that was never begun
        if name == "v2" and not undo:
            continue
        half.again(undo)
        _, _, checked = run("check", half.path)
        status, _, said = run("repair", "-y", half.path)
        left = read(half.path) == half.half and read(half.place) == undo
        code, _, undone = run("undo", half.place, half.path)
        left = left and read(half.path) == half.half
        foreign = "is not an undo file" in undone and len(undo) < HEAD
        case(f"{name}: {what}: told as damaged, and nothing is written",
             left and status == 1 and "damaged" in said and "move it" in said
             and "was interrupted" in checked and "cannot be used" in checked
             and code == 1 and ("damaged" in undone or foreign),
             checked, status, said, code, undone, left)
    half.again(flipped(half.undo, HEAD + RECORD + 100))
    _, out, _ = run("check", "--output=json", half.path)
    case(f"{name}: check --output=json tells it too",
         json.loads(out).get("interrupted-repair") ==
         {"undo-file": half.place, "state": "damaged"}, out)
    os.rename(half.place, "aside")
    status, out, err = run("repair", "-y", half.path)
    case(f"{name}: moved away, the repair is done anew",
         status == 0 and qimg.qemu_check(half.path)[0] == 0, status, out, err)


def rotten_afterwards(half, name):
    """What has ended is in nobody's way; only undo needs it."""
    half.clean_up()
    write(half.path, half.before)
    run("repair", "-y", half.path)
    done, whole = read(half.path), read(half.place)
    mark = HEAD + int.from_bytes(whole[48:56], "big")
    for what, undo in {"a record": flipped(whole, mark - 520),
                       "the commit mark": flipped(whole, mark + 5)}.items():
        write(half.place, undo)
        _, _, checked = run("check", half.path)
        status, _, said = run("repair", "-y", half.path)
        code, _, undone = run("undo", half.place, half.path)
        case(f"{name}: {what} rots after the repair: undo alone minds",
             "interrupted" not in checked and status == 0 and code == 1
             and "damaged" in undone and read(half.path) == done,
             checked, status, said, code, undone)


def never_begun(half, name):
    """A recording that was cut short is no damage."""
    for number in range(1, 8):
        half.clean_up()
        write(half.path, half.before)
        time.sleep(0.02)    # the clock of a file system has ticks
        run("repair", "-y", *half.options, half.path,
            QFSCK_CUT_KILL=str(number))
        if read(half.path) != half.before or not os.path.exists(half.place):
            continue
        mark = HEAD + int.from_bytes(read(half.place)[48:56] or b"\0", "big")
        if read(half.place)[mark:mark + 4] == b"QCMT":
            continue
        _, _, checked = run("check", half.path)
        _, _, undone = run("undo", half.place, half.path)
        status, _, said = run("repair", "-y", *half.options, half.path)
        case(f"{name}: cut at change {number} of the recording: as if nothing "
             "had been", "interrupted" not in checked and status == 0
             and "damaged" not in undone + said
             and read(half.path) == half.after
             and not os.path.exists(half.place + ".1"),
             checked, undone, status, said)


def a_guest_wrote():
    """Version 2 has no mark: killed while it was recorded, and then a guest
    wrote to the image. That is no repair that was begun."""
    half, seen = Half("guest.qcow2", compat="0.10"), 0
    for number in range(1, 12):
        half.clean_up()
        write(half.path, half.before)
        run("repair", "-y", half.path, QFSCK_CUT_KILL=str(number))
        if read(half.path) != half.before or not os.path.exists(half.place):
            continue
        undo = read(half.place)
        mark = HEAD + int.from_bytes(undo[48:56] or b"\0", "big")
        # one record at least tells how the image stands to it
        if undo[mark:mark + 4] == b"QCMT" or len(undo) < HEAD + RECORD + 1024:
            continue
        seen += 1
        time.sleep(0.02)
        qimg.qemu_io(half.path, "write -P 7 12M 64k")
        _, _, checked = run("check", half.path)
        status, _, said = run("repair", "-y", half.path)
        case(f"a guest wrote after the recording was cut short at change "
             f"{number}: nothing was interrupted",
             "interrupted" not in checked + said and status == 0
             and qimg.qemu_check(half.path)[0] == 0, checked, status, said)
    case("there are such cuts", seen)


def a_guest_wrote_next():
    """Killed before the first or after the last write to the image, and then
    a guest wrote to it: version 3 would have a mark if it was half written;
    of version 2 it is not known, and it is said what to do."""
    for name, options in (("v3", {}), ("v2", {"compat": "0.10"})):
        half, seen = Half(f"next-{name}.qcow2", **options), set()
        for number in range(1, 60):
            half.clean_up()
            write(half.path, half.before)
            run("repair", "-y", half.path, QFSCK_CUT_KILL=str(number))
            now, undo = read(half.path), read(half.place)
            mark = HEAD + int.from_bytes(undo[48:56] or b"\0", "big")
            if undo[mark:mark + 4] != b"QCMT" or any(
                    undo[mark + 32:mark + 64]):
                continue
            when = {half.before: "before the first", half.after:
                    "after the last"}.get(now)
            if not when or when in seen:
                continue
            seen.add(when)
            qimg.qemu_io(half.path, "write -P 7 12M 64k")
            wrote = read(half.path)
            _, _, checked = run("check", half.path)
            status, _, said = run("repair", "-y", half.path)
            if name == "v3":
                good = "interrupted" not in checked + said and status == 0
            else:
                good = "move it away" in said and status == 1 \
                    and read(half.path) == wrote
                os.rename(half.place, "aside")
                status, _, _ = run("repair", "-y", half.path)
                good = good and status == 0
            case(f"{name}: killed {when} write, then a guest wrote",
                 good and qimg.qemu_check(half.path)[0] == 0, checked, status,
                 said)
        case(f"{name}: there are such cuts", len(seen) == 2, seen)


def renamed():
    """The image was renamed while it was half written."""
    for name, options in (("v3", {}), ("v2", {"compat": "0.10"})):
        half = Half(f"was-{name}.qcow2", **options)
        half.again(half.undo)
        new = os.path.abspath(f"is-{name}.qcow2")
        os.rename(half.path, new)
        _, _, checked = run("check", new)
        status, _, said = run("repair", "-y", new)
        case(f"{name}: an interrupted repair is found after the image was "
             "renamed", status == 0 and "was finished" in said
             and read(new) == half.after
             and ("was interrupted" in checked or name == "v2"),
             checked, status, said)


def copies_cut_short():
    """--output-image, killed at every change: the copy is none, or whole."""
    path, new = os.path.abspath("from.qcow2"), os.path.abspath("to.qcow2")
    qimg.build(path, "64M", ["write -P 1 0 6M", "write -P 2 8M 64k"],
               cluster_size=4096)
    with qimg.Image(path) as image:
        pos = image.l2_pos(image.l1_used()[0], 2)
        image.put64(pos, image.u64(pos) | 2)
    before, bad, none, whole = read(path), [], 0, 0
    run("repair", "-y", "--output-image=" + new, path)
    after, number = read(new), 0
    while True:
        number += 1
        for name in (new, new + ".qfsck-undo"):
            if os.path.exists(name):
                os.remove(name)
        status, _, _ = run("repair", "-y", "--output-image=" + new, path,
                           QFSCK_CUT_KILL=str(number))
        if status == 0:
            break
        if run("check", new)[0] in (1, 63):
            none += 1
        else:
            whole += 1
            run("repair", "-y", new)
            if read(new) != after:
                bad.append(number)
        if read(path) != before:
            bad.append("the original is touched")
    case("a copy that was cut short is no image, else it is whole",
         not bad and none > 6 and whole > 6, bad, none, whole)


def in_their_order():
    """Two repairs: the first is taken back after the second."""
    path = os.path.abspath("twice.qcow2")
    qimg.build(path, "16M", ["write -P 1 0 64k"], cluster_size=4096)

    def spoil(index):
        with qimg.Image(path) as image:
            pos = image.l2_pos(image.l1_used()[0], index)
            image.put64(pos, image.u64(pos) | 2)
    spoil(2)
    first = read(path)
    os.mkdir("later")
    run("repair", "-y", path)
    stamp = os.stat(path)
    spoil(5)
    spoil(7)
    # as if the second repair had found what the first had left
    os.utime(path, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    for options in ([], ["--undo=" + os.path.abspath("later/u.qfsck-undo")]):
        place = (options or ["=" + path + ".qfsck-undo.1"])[0].split("=")[1]
        second = read(path)
        run("repair", "-y", *options, path)
        status, _, said = run("undo", path + ".qfsck-undo", path)
        if options:
            # it is nowhere to be found
            case("a later repair that is not found is a write as any other",
                 status == 1 and "has been written to since" in said, said)
        else:
            case("the undo of the first of two repairs names the second",
                 status == 1 and f'qfsck undo {place} ' in said, said)
        status, _, said = run("undo", place, path)
        case("which can be taken back", status == 0
             and read(path) == second, said)
    spoil_back = os.stat(path)
    spoil(9)
    status, _, said = run("undo", path + ".qfsck-undo", path)
    case("a write of somebody else is one", status == 1
         and "has been written to since" in said
         and spoil_back.st_mtime_ns != os.stat(path).st_mtime_ns
         and first != read(path), said)


def a_copy_goes_on():
    """The half-written image moved to another place, with its undo file."""
    half = Half("moved.qcow2")
    half.again(half.undo)
    shutil.copy(half.path, "other.qcow2")
    shutil.copy(half.place, "other.qcow2.qfsck-undo")
    status, _, said = run("repair", "-y", os.path.abspath("other.qcow2"))
    case("a copy of image and undo file goes on", status == 0
         and "was finished" in said and read("other.qcow2") == half.after,
         status, said)


def gap_in_the_numbers():
    half = Half("gap.qcow2")
    half.again(half.undo)
    os.rename(half.place, half.path + ".qfsck-undo.3")
    status, _, said = run("repair", "-y", half.path)
    case("an undo file is found behind others that were removed",
         status == 0 and "was finished" in said
         and read(half.path) == half.after, status, said)


def elsewhere():
    os.mkdir("far")
    place = os.path.abspath("far/kept")
    half = Half("far.qcow2", "--undo=far/kept")
    pointer = half.path + ".qfsck-pending"
    case("a killed repair leaves word where its undo file is",
         place in (read(pointer).decode() if os.path.exists(pointer) else ""))
    _, _, checked = run("check", half.path)
    case("check tells the place", "was interrupted" in checked
         and place in checked, checked)
    word = read(pointer)
    os.rename("far/kept", "far/moved")
    _, _, checked = run("check", half.path)
    status, _, said = run("repair", "-y", half.path)
    case("if it is not there, nothing is written and --undo is asked for",
         "cannot be had" in checked and status == 1 and "--undo=FILE" in said
         and place in said and read(half.path) == half.half,
         checked, status, said)
    status, _, said = run("repair", "-y", "--undo=far/moved", half.path)
    case("with the new place it goes on", status == 0
         and "was finished" in said and read(half.path) == half.after
         and not os.path.exists(pointer), status, said)
    write(half.path, half.half)
    write("far/kept", half.undo)
    write(pointer, word)
    status, _, said = run("repair", "-y", half.path)
    case("without the option the word is enough", status == 0
         and "was finished" in said and read(half.path) == half.after
         and not os.path.exists(pointer), status, said)
    never_begun(half, "far")
    write(pointer, word)
    os.remove("far/kept")
    _, _, checked = run("check", half.path)
    status, _, said = run("repair", "-y", half.path)
    case("a word that is out of date is in nobody's way", status == 0
         and "interrupted" not in checked and not os.path.exists(pointer),
         checked, status, said)


def undo_elsewhere():
    half = Half("back.qcow2", "--undo=back.undo")
    pointer = half.path + ".qfsck-pending"
    for number in range(1, 60):
        half.clean_up()
        write(half.path, half.before)
        run("repair", "-y", *half.options, half.path)
        run("undo", "back.undo", half.path, QFSCK_CUT_KILL=str(number))
        if read(half.path) not in (half.before, half.after):
            break
    _, _, checked = run("check", half.path)
    case("an undo that was cut short is noticed", "was interrupted" in checked
         and os.path.exists(pointer), number, checked)
    status, _, said = run("undo", "back.undo", half.path)
    case("and done again", status == 0 and read(half.path) == half.before
         and not os.path.exists(pointer), status, said)


def no_word():
    """Where no pointer can be written, it is said at once."""
    half = Half("n" * 248, "--undo=no.undo")
    write(half.path, half.before)
    half.clean_up()
    status, _, said = run("repair", "-y", *half.options, half.path)
    case("without a pointer the repair is done, and it is said", status == 0
         and "give --undo=no.undo again" in said, status, said)
    half.again(half.undo)
    _, out, _ = run("explain", "header-corrupt-bit")
    status, _, said = run("repair", "-n", half.path)
    case("the possibility is told", "repair --undo=FILE" in out
         and "give that: --undo=FILE" in said, out, said)


def a_finished_one_is_not_read(half):
    """A check does not read gigabytes of an undo file that has ended."""
    half.clean_up()
    write(half.path, half.before)
    run("repair", "-y", half.path)
    whole = read(half.place)
    write(half.place, flipped(whole, HEAD + RECORD + 7))
    status, _, said = run("check", "-q", half.path)
    case("check leaves the records of a finished repair alone",
         status == 0 and not said, status, said)


def main():
    if qimg.sanitized(QFSCK):
        tap.skip("rotten undo files", "a sanitizer must be loaded first")
        return tap.finish()
    compiler = os.environ.get("CC", "cc").split()
    subprocess.run([*compiler, "-D_GNU_SOURCE", "-shared", "-fPIC", "-O1",
                    "-o", SHIM, os.path.join(HERE, "..", "powercut",
                                             "shim.c"), "-ldl"], check=True)
    for name, options in (("v3", {}), ("v2", {"compat": "0.10"})):
        half = Half(name + ".qcow2", **options)
        rotten(half, name)
        rotten_afterwards(half, name)
        never_begun(half, name)
    a_finished_one_is_not_read(half)
    a_guest_wrote()
    a_guest_wrote_next()
    renamed()
    in_their_order()
    copies_cut_short()
    a_copy_goes_on()
    gap_in_the_numbers()
    elsewhere()
    undo_elsewhere()
    no_word()
    return tap.finish()


if __name__ == "__main__":
    sys.exit(main())
