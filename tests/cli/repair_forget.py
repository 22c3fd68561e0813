#!/usr/bin/env python3
"""What a repair gave up is not forgotten.

An image has lost its last L2 table: a repair empties the L1 entry, and the
clusters that hold the guest's data look leaked. Whatever becomes of the undo
file, of the note and of the image's name and place afterwards, `qfsck repair -y
--trim` does not free them, and says why; and the user can have them freed.
"""

import os
import shutil
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "lib"))

import oracle                                               # noqa: E402
import qimg                                                 # noqa: E402
import tools                                                # noqa: E402
from tap import Tap                                         # noqa: E402

QFSCK = qimg.qfsck_path()
qimg.own_folder()
tap = Tap()
NOTE, UNDO, HEADER = ".qfsck-gave-up", ".qfsck-undo", "its header"


def case(name, good, *detail):
    tap.result(good, name, [str(d)[-600:] for d in detail] if not good else [])


def run(*args):
    status, out, err = tools.run([QFSCK, *args], timeout=60)
    return status, out.decode(), err.decode()


def fill_header(path):
    """An extension of another program leaves no room for the mark."""
    with qimg.Image(path) as image:
        last = image.extensions()[-1:]
        at = last[0][1] + qimg.round_up(last[0][2], 8) if last \
            else image.header_length()
        image.add_extension(0x12345678, bytes(image.cluster - at - 24))


def is_marked(path):
    with qimg.Image(path) as image:
        return bool(image.extension(qimg.EXT_GAVE_UP))


def unmark(path):
    with qimg.Image(path) as image:
        image.drop_extension(qimg.EXT_GAVE_UP)


def make(name, full=False, **options):
    """In a folder of its own: the second L2 table was cut off the file. FULL:
    its header has no room for the mark."""
    folder = os.path.abspath(name)
    os.mkdir(folder)
    path = os.path.join(folder, "x.img")
    options.setdefault("cluster_size", 4096)
    qimg.build(path, "8M", ["write -P 1 0 2M", "write -P 2 2M 2M",
                            ("snap", "s"), "write -P 3 2M 4k"], **options)
    qimg.qemu_img("snapshot", "-d", "s", path)
    if full:
        fill_header(path)
    with qimg.Image(path) as image:
        image.truncate(image.l2_offset(image.l1_used()[-1]))
    return path


def lossy(name, *options, **layout):
    """Repaired: (path, what the repair said)."""
    path = make(name, **layout)
    status, out, err = run("repair", "-y", *options, path)
    assert status in (0, 3), (out, err)
    return path, out + err


def data_is_there(path):
    """The lost half MiB and more, wherever it lies."""
    with open(path, "rb") as file:
        return file.read().count(b"\2" * 4096) > 500


def kept(name, path, *options, named=NOTE):
    """A repair with --trim frees nothing, and names a file that says why."""
    before = oracle.sha(path)
    status, out, err = run("repair", "-y", "--trim", *options, path)
    case(name, status == 3 and oracle.sha(path) == before
         and data_is_there(path) and named in err
         and "leaked clusters are kept" in err, status, out, err)


def freed(name, path, *options):
    status, out, err = run("repair", "-y", "--trim", *options, path)
    case(name, status == 0 and not data_is_there(path)
         and "are kept" not in err, status, out, err)


def the_note():
    path, said = lossy("note")
    case("the repair leaves a note, and names it",
         os.path.exists(path + NOTE) and path + NOTE in said, said)
    _, _, err = run("check", path)
    case("check warns of freeing the leaks", path + NOTE in err
         and "do not free it" in err, err)
    kept("undo file and note beside the image", path)
    os.remove(path + UNDO)
    kept("the undo file was removed: the note remembers", path)
    os.remove(path + NOTE)
    kept("so was the note: the mark in the image remembers", path,
         named=HEADER)
    unmark(path)
    freed("so was the mark: nothing remembers", path)


def full_header():
    """Without room for the mark it is as it was before there was one."""
    path = make("full", full=True)
    _, said, _ = run("repair", "-n", path)
    case("a full header: the plan says that there is no mark",
         "no room for the mark" in said and "keep the note" in said, said)
    status, out, err = run("repair", "-y", path)
    case("and the note alone is named", not is_marked(path) and status == 3
         and "mark of it" not in out and path + NOTE in out, out, err)
    kept("note and undo file remember", path)
    os.rename(path + NOTE, "note.aside")
    kept("the note was removed: the undo file remembers", path, named=UNDO)
    os.rename("note.aside", path + NOTE)
    os.remove(path + UNDO)
    kept("the undo file was removed: the note remembers", path)
    os.remove(path + NOTE)
    freed("both were removed: the user has decided", path)
    path, _ = lossy("full-forget", full=True)
    status, _, err = run("repair", "-y", "--forget", "--trim", path)
    case("--forget frees, and names the undo file that still tells",
         status == 0 and not data_is_there(path)
         and not os.path.exists(path + NOTE)
         and path + UNDO + '" still tells' in err, status, err)
    os.remove(path + UNDO)
    _, _, err = run("repair", "-y", "--trim", path)
    case("without it nothing does", "may be what" not in err, err)


def overlay(name, **options):
    """One with a backing file whose name stands close behind the list."""
    path = make(name, **options)
    with qimg.Image(path) as image:
        l1 = image.l1()
        entry = image.l1_pos(image.l1_used()[-1])
        bad = image.u64(entry)
        image.put64(entry, 0)
    assert l1
    base = path + ".base"
    qimg.qemu_img("create", "-q", "-f", "qcow2", base, "8M")
    qimg.qemu_img("rebase", "-u", "-b", base, "-F", "qcow2", path)
    with qimg.Image(path) as image:
        image.put64(entry, bad)
    return path, base


def names_base(path, base):
    return base.encode() in qimg.qemu_img("info", path)


def beside_a_name():
    path, base = overlay("overlay")
    before = oracle.sha(path)
    status, out, err = run("repair", "-y", path)
    case("the backing file's name makes room for the mark", status == 3
         and is_marked(path) and names_base(path, base), status, out, err)
    code, said = oracle.undo(path)
    case("and undo moves it back", code == 0 and oracle.sha(path) == before,
         said)
    # of a name of 1023 bytes QEMU itself leaves little room
    path, base = overlay("long-name", compat="0.10")
    with qimg.Image(path) as image:
        off = image.get("backing_file_offset")
        size = image.get("backing_file_size")
        image.write(image.cluster - size, image.read(off, size))
        image.write(off, bytes(size))
        image.put("backing_file_offset", image.cluster - size)
    run("repair", "-y", path)
    case("a name far behind stays", is_marked(path) and names_base(path, base))
    with qimg.Image(path) as image:
        case("where it was", image.get("backing_file_offset")
             == image.cluster - size)


def forgotten():
    """The user's word that nothing is missed."""
    path, _ = lossy("forget")
    before = oracle.sha(path)
    status, out, err = run("repair", "-n", "--forget", path)
    case("--forget -n shows it and changes nothing", "take out the mark" in out
         and "free 511 clusters" in out and oracle.sha(path) == before
         and os.path.exists(path + NOTE), status, out, err)
    freed("--forget frees what was kept", path, "--forget")
    _, _, checked = run("check", path)
    case("and neither mark nor note is left", not is_marked(path)
         and not os.path.exists(path + NOTE) and not checked, checked)
    status, out, err = run("repair", "-y", "--forget", path)
    case("said again it does nothing", status == 0
         and "nothing that can be repaired" in out and not err, out, err)
    status, _, said = run("undo", path + UNDO + ".1", path)
    case("it can be taken back", status == 0 and oracle.sha(path) == before,
         said)
    os.remove(path + UNDO)
    kept("and then the mark remembers again", path, named=HEADER)
    freed("a copy without note and undo file forgets by --forget, too",
          copied(path, "forget-copy"), "--forget")
    path, _ = lossy("forget-clean")
    run("repair", "-y", "--forget", path)
    with qimg.Image(path) as image:
        image.add_extension(qimg.EXT_GAVE_UP, b"")
    status, out, err = run("repair", "-y", "--forget", path)
    case("the mark alone is taken out, of any length", status == 0
         and not is_marked(path) and qimg.qemu_check(path)[0] == 0, out, err)


def copied(path, folder, command=("cp",)):
    """A copy in another folder, without anything beside it."""
    os.mkdir(folder)
    new = os.path.abspath(os.path.join(folder, "copy.img"))
    subprocess.run([*command, path, new], check=True)
    return new


def travels():
    """The mark goes wherever the image goes."""
    path, _ = lossy("travels")
    for i, command in enumerate((["cp"], ["cp", "-p"],
                                 ["cp", "--sparse=always"],
                                 ["cp", "--reflink=auto"],
                                 ["ln"], ["ln", "-s"])):
        kept("by " + " ".join(command),
             copied(path, f"travel-{i}", command), named=HEADER)
    new = copied(path, "travel-mv", ["mv"])
    kept("by mv", new, named=HEADER)
    _, out, _ = run("info", new)
    case("info names it", "a repair by qfsck gave something up" in out, out)
    _, out, err = run("check", new)
    case("check tells it", "given-up-mark" in out and "--forget" in out
         and HEADER in err and "when it suits you" not in out, out, err)


def carried_along():
    """QEMU carries it along when it writes the header anew."""
    for compat, steps in (("1.1", (
            "amend -o lazy_refcounts=on", "snapshot -c s", "snapshot -d s",
            "bitmap --add PATH b", "bitmap --remove PATH b", "resize PATH 16M",
            "rebase -u -b BASE -F qcow2", "rebase -u -b ''",
            "amend -o compat=0.10", "amend -o compat=1.1")),
                          ("0.10", (
                              "snapshot -c s", "snapshot -d s",
                              "rebase -u -b BASE -F qcow2",
                              "amend -o compat=1.1"))):
        path, _ = lossy("qemu-" + compat, compat=compat)
        base = os.path.abspath(f"base-{compat}.qcow2")
        qimg.qemu_img("create", "-q", "-f", "qcow2", base, "8M")
        lost = []
        for step in steps:
            args = [a.replace("''", "").replace("BASE", base)
                    .replace("PATH", path) for a in step.split()]
            qimg.qemu_img(*args, *([] if "PATH" in step else [path]))
            qimg.qemu_io(path, "write -P 9 1M 8k")
            if not is_marked(path):
                lost.append(step)
        case(f"QEMU keeps the mark, compat={compat}", not lost, lost)
        kept(f"and it still counts, compat={compat}",
             copied(path, "carried-" + compat), named=HEADER)


def undo_elsewhere():
    path = make("elsewhere")
    os.mkdir("kept")
    run("repair", "-y", "--undo=kept/u1", path)
    case("the undo file stands elsewhere", os.path.exists("kept/u1")
         and not os.path.exists(path + UNDO))
    kept("and the next repair knows nothing of it", path)
    kept("or has its own elsewhere", path, "--undo=kept/u2")
    shutil.rmtree("kept")
    kept("or it is gone", path)


def other_names():
    path, _ = lossy("renamed", full=True)
    new = os.path.join(os.path.dirname(path), "y.img")
    os.rename(path, new)
    kept("the image was renamed", new)
    os.rename(path + NOTE, "note.aside")
    kept("the image was renamed, the undo file alone is there", new,
         named=UNDO)
    os.rename("note.aside", path + NOTE)
    os.remove(path + UNDO)
    kept("the image was renamed, the note alone is there", new)
    os.mkdir("moved")
    last = os.path.abspath("moved/z.img")
    shutil.copy(new, last)
    shutil.copy(path + NOTE, last + NOTE)
    kept("image and note were copied to another place", last)
    os.symlink(last, "link.img")
    kept("the image is named by a symbolic link", os.path.abspath("link.img"))
    os.remove(last + NOTE)
    run_path = make("linked", full=True)
    os.symlink(run_path, "other.img")
    run("repair", "-y", "--undo=linked.undo", os.path.abspath("other.img"))
    os.remove("linked.undo")
    kept("it was named by one when it was repaired", run_path)


def copies():
    path, _ = lossy("copies", full=True)
    new = os.path.join(os.path.dirname(path), "new.img")
    status, out, err = run("repair", "-y", "--trim", "--output-image=" + new,
                           path)
    case("--output-image keeps it in the copy", status == 3
         and data_is_there(new) and NOTE in err, status, out, err)
    os.remove(path + UNDO)
    os.remove(path + NOTE)
    os.remove(path)
    kept("and the copy remembers it by itself", new)


def undone():
    path = make("undone")
    before = oracle.sha(path)
    run("repair", "-y", path)
    code, said = oracle.undo(path)
    case("undo takes the note away", code == 0 and oracle.sha(path) == before
         and not os.path.exists(path + NOTE), said)
    path = make("undone2")
    run("repair", "-y", path)
    new = os.path.join(os.path.dirname(path), "y.img")
    os.rename(path, new)
    status, _, said = run("undo", path + UNDO, new)
    case("also when the image was renamed", status == 0
         and not os.path.exists(path + NOTE), said)


def another_image():
    """The inode number of an image that was removed is given out again."""
    path, _ = lossy("fresh", full=True)
    with open(path + NOTE, encoding="ascii") as file:
        note = file.read()
    inode = str(os.stat(path).st_ino)
    os.remove(path + UNDO)
    os.remove(path + NOTE)
    other = os.path.join(os.path.dirname(path), "other.img" + NOTE)
    with open(other, "w", encoding="ascii") as file:
        file.write(note.replace("\n" + inode + "\n", "\n4711\n"))
    with open(path, "rb") as file:
        bytes_then = file.read()
    freed("a note of another image does not matter", path)
    with open(path, "r+b") as file:
        file.write(bytes_then)
    with open(other, "w", encoding="ascii") as file:
        file.write(note)
    kept("one with the image's inode number does", path)
    os.utime(other, (1, 1))
    freed("unless it is older than the image", path)


def half_a_note():
    """Half a note was never durable: nothing was written yet."""
    for name, text in (("empty", b""), ("begun", b"QFSCK-GAVE-UP 1\n17"),
                       ("other", b"something else\n" * 300)):
        path, _ = lossy("half-" + name, full=True)
        os.remove(path + UNDO)
        with open(path + NOTE, "wb") as file:
            file.write(text)
        freed("a note that is " + name, path)


def no_note():
    """Where none can be left, it is said what to do."""
    folder = os.path.dirname(make("long", full=True))
    path = os.path.join(folder, "n" * 244)
    os.rename(os.path.join(folder, "x.img"), path)
    status, out, err = run("repair", "-y", path)
    case("no note can be left, and it is said", status in (0, 3)
         and "cannot create" in err and "keep \"" in err, status, out, err)
    kept("the undo file alone remembers", path, named=UNDO)
    folder = os.path.dirname(make("long-marked"))
    path = os.path.join(folder, "n" * 244)
    os.rename(os.path.join(folder, "x.img"), path)
    _, out, err = run("repair", "-y", path)
    case("with the mark none is missed", not err and is_marked(path), out, err)


def as_check():
    path = make("check")
    run("check", "-r", "all", path)
    case("check -r all leaves the note, too", os.path.exists(path + NOTE))
    before = oracle.sha(path)
    os.remove(path + UNDO)
    run("check", "-r", "leaks", path)
    case("check -r leaks frees nothing then", oracle.sha(path) == before)


def killed():
    """The repair is killed at every change, and the image renamed: the next
    one ends it, and the one after that has not forgotten."""
    shim = os.path.abspath("cut.so")
    subprocess.run([*os.environ.get("CC", "cc").split(), "-D_GNU_SOURCE",
                    "-shared", "-fPIC", "-O1", "-o", shim,
                    os.path.join(HERE, "..", "powercut", "shim.c"), "-ldl"],
                   check=True)
    sound, number, bad = make("killed"), 0, []
    folder = os.path.dirname(sound)
    for place in (os.path.join(folder, "y.img" + UNDO), os.path.abspath("far.undo")):
        for number in range(1, 200):
            for name in os.listdir(folder):
                if name != "x.img":
                    os.remove(os.path.join(folder, name))
            if os.path.exists(place):
                os.remove(place)
            path = os.path.join(folder, "y.img")
            shutil.copy(sound, path)
            done = subprocess.run(
                [QFSCK, "repair", "-y", "--undo=" + place, path],
                capture_output=True, timeout=60,
                env=dict(tools.environment(), LD_PRELOAD=shim,
                         QFSCK_CUT_KILL=str(number)))
            new = path
            if place.startswith(path + UNDO):
                new = os.path.join(folder, "z.img")
                os.rename(path, new)
            first = run("repair", "-y", new)
            second = run("repair", "-y", "--trim", new)
            if first[0] != 3 or second[0] != 3 or not data_is_there(new):
                bad.append((place, number, first, second))
            if done.returncode == 3:
                break
    case("killed at any change, nothing is forgotten", not bad and number > 20,
         number, *bad[:3])


def nothing_lost():
    """No note where nothing was given up."""
    path = os.path.abspath("plain.img")
    qimg.build(path, "8M", ["write -P 1 0 64k"], cluster_size=4096)
    with qimg.Image(path) as image:
        end = image.clusters()
        image.truncate((end + 1) * image.cluster)
        image.set_refcount(end, 1)
    _, _, checked = run("check", path)
    status, out, err = run("repair", "-y", path)
    case("no note without a loss", status == 0
         and "gave" not in checked
         and not os.path.exists(path + NOTE) and "note" not in out
         and not is_marked(path), out, err)


def main():
    the_note()
    full_header()
    beside_a_name()
    forgotten()
    travels()
    carried_along()
    undo_elsewhere()
    other_names()
    copies()
    undone()
    another_image()
    half_a_note()
    no_note()
    as_check()
    nothing_lost()
    if qimg.sanitized(QFSCK):
        tap.skip("killed", "a sanitizer must be loaded first")
    else:
        killed()
    lossy("v2", compat="0.10")
    kept("version 2", os.path.abspath("v2/x.img"))
    return tap.finish()


if __name__ == "__main__":
    sys.exit(main())
