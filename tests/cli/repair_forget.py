#!/usr/bin/env python3
"""What a repair gave up is not forgotten.

An image has lost its last L2 table: a repair empties the L1 entry, and the
clusters that hold the guest's data look leaked. Whatever becomes of the undo
file and of the image's name afterwards, `qfsck repair -y --trim` does not free
them, and says why; and the user can have them freed.
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
NOTE, UNDO = ".qfsck-gave-up", ".qfsck-undo"


def case(name, good, *detail):
    tap.result(good, name, [str(d)[-600:] for d in detail] if not good else [])


def run(*args):
    status, out, err = tools.run([QFSCK, *args], timeout=60)
    return status, out.decode(), err.decode()


def make(name, **options):
    """In a folder of its own: the second L2 table was cut off the file."""
    folder = os.path.abspath(name)
    os.mkdir(folder)
    path = os.path.join(folder, "x.img")
    options.setdefault("cluster_size", 4096)
    qimg.build(path, "8M", ["write -P 1 0 2M", "write -P 2 2M 2M",
                            ("snap", "s"), "write -P 3 2M 4k"], **options)
    qimg.qemu_img("snapshot", "-d", "s", path)
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
    freed("undo file and note removed: the user has decided", path)
    path, _ = lossy("undo")
    os.remove(path + NOTE)
    kept("the note was removed: the undo file remembers", path, named=UNDO)


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
    path, _ = lossy("renamed")
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
    run_path = make("linked")
    os.symlink(run_path, "other.img")
    run("repair", "-y", "--undo=linked.undo", os.path.abspath("other.img"))
    os.remove("linked.undo")
    kept("it was named by one when it was repaired", run_path)


def copies():
    path, _ = lossy("copies")
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
    path, _ = lossy("fresh")
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
        path, _ = lossy("half-" + name)
        os.remove(path + UNDO)
        with open(path + NOTE, "wb") as file:
            file.write(text)
        freed("a note that is " + name, path)


def no_note():
    """Where none can be left, it is said what to do."""
    folder = os.path.dirname(make("long"))
    path = os.path.join(folder, "n" * 244)
    os.rename(os.path.join(folder, "x.img"), path)
    status, out, err = run("repair", "-y", path)
    case("no note can be left, and it is said", status in (0, 3)
         and "cannot create" in err and "keep \"" in err, status, out, err)
    kept("the undo file alone remembers", path, named=UNDO)


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
         and not os.path.exists(path + NOTE) and "note" not in out, out, err)


def main():
    the_note()
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
