#!/usr/bin/env python3
"""An image that was copied together with its undo file.

Whatever made the copy (with the times or without, sparse, moved), whole or
after the repair or the undo was killed at any change: it is undone and
finished as the original is. What was written to since, and another image, is
refused and keeps its bytes.
"""

import os
import shutil
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "lib"))

import qimg                                                 # noqa: E402
from tap import Tap                                         # noqa: E402

QFSCK = qimg.qfsck_path()
qimg.own_folder()
SHIM = os.path.abspath("cut.so")
UNDO = ".qfsck-undo"
COPY = os.path.abspath("copy")
tap = Tap()


def case(name, good, *detail):
    tap.result(good, name, [str(d)[-400:] for d in detail] if not good else [])


def read(path):
    with open(path, "rb") as file:
        return file.read()


def run(*args, **env):
    if env:
        env["LD_PRELOAD"] = SHIM
    done = subprocess.run([QFSCK, *args], stdin=subprocess.DEVNULL,
                          timeout=60, capture_output=True,
                          env=dict(qimg.environment(), **env))
    return done.returncode, (done.stdout + done.stderr).decode()


# -- what is repaired --------------------------------------------------

def entries(path, **layout):
    """Two entries, a refcount, and a leak."""
    qimg.build(path, "16M", ["write -P 1 0 64k", "write -P 2 8M 64k"],
               cluster_size=4096, **layout)
    with qimg.Image(path) as image:
        for i in (2, 9):
            pos = image.l2_pos(image.l1_used()[0], i)
            image.put64(pos, image.u64(pos) | 2)
        image.set_refcount((image.normal_entries()[0][2] & qimg.OFFSET_MASK)
                           // image.cluster, 0)
        end = image.clusters()
        image.truncate((end + 1) * image.cluster)
        image.set_refcount(end, 1)


def header(path):
    """What sector 0 says is changed, too, and the file grows."""
    entries(path)
    with qimg.Image(path) as image:
        image.put("refcount_table_offset", 1 << 30)


def lossy(path, **layout):
    """A table was cut off: something is given up."""
    qimg.build(path, "8M", ["write -P 1 0 2M", "write -P 2 2M 64k",
                            ("snap", "s"), "write -P 3 2M 4k"],
               cluster_size=4096, **layout)
    qimg.qemu_img("snapshot", "-d", "s", path)
    with qimg.Image(path) as image:
        image.truncate(image.l2_offset(image.l1_used()[-1]))


def version_2(path):
    entries(path, compat="0.10")


STORIES = {"entries": (entries,), "header": (header,), "lossy": (lossy,),
           "trim": (entries, "--trim"), "version 2": (version_2,)}


class Story:
    def __init__(self, name, make, *options):
        self.name, self.options = name, options
        folder = os.path.abspath(name.replace(" ", "-").replace(",", ""))
        os.mkdir(folder)
        self.image = os.path.join(folder, "x.qcow2")
        make(self.image)
        self.before = read(self.image)
        self.status, _ = self.repair()
        self.after = read(self.image)
        assert self.after != self.before

    def repair(self, **env):
        return run("repair", "-y", *self.options, self.image, **env)

    def undo(self, **env):
        return run("undo", self.image + UNDO, self.image, **env)

    def reset(self):
        folder = os.path.dirname(self.image)
        for name in os.listdir(folder):
            if name != "x.qcow2":
                os.remove(os.path.join(folder, name))
        with open(self.image, "r+b") as file:
            file.write(self.before)
            file.truncate()


def copy(image, *command, undo_first=False, name="x.qcow2"):
    """A copy of all that bears the image's name, in another folder."""
    shutil.rmtree(COPY, ignore_errors=True)
    os.mkdir(COPY)
    folder = os.path.dirname(image)
    for part in sorted(os.listdir(folder), reverse=undo_first):
        subprocess.run([*(command or ("cp",)), os.path.join(folder, part),
                        os.path.join(COPY, part.replace("x.qcow2", name))],
                       check=True)
    return os.path.join(COPY, name)


# -- whole -------------------------------------------------------------

def whole(story):
    ways = {"cp": ("cp",), "cp -p": ("cp", "-p"),
            "cp --sparse": ("cp", "--sparse=always"),
            "cp --reflink": ("cp", "--reflink=auto")}
    bad = []
    for way, command in ways.items():
        for first in (False, True):
            for name in ("x.qcow2", "other.qcow2"):
                new = copy(story.image, *command, undo_first=first, name=name)
                sure, said = run("undo", "-n", new + UNDO, new)
                status, said = run("undo", new + UNDO, new)
                if sure or status or read(new) != story.before \
                        or os.path.exists(new + ".qfsck-gave-up"):
                    bad.append((way, first, name, said))
                again, said = run("undo", new + UNDO, new)
                if again != 1 or "already" not in said:
                    bad.append((way, "again", said))
    case(f"{story.name}: every copy is undone", not bad, *bad[:3])
    status, said = story.undo()
    case(f"{story.name}: and then the original", status == 0
         and read(story.image) == story.before, said)
    story.reset()
    story.repair()
    new = copy(story.image, "mv")
    status, said = run("undo", new + UNDO, new)
    case(f"{story.name}: moved it is undone", status == 0
         and read(new) == story.before, said)
    shutil.copy(new, story.image)


def written(story):
    """Wherever a guest writes: in a copy it is noticed."""
    bad = []
    for where in ("1M 64k", "0 64k", "12k 4k"):
        new = copy(story.image)
        # the clock is too coarse for files that were copied at once
        made = os.stat(new).st_mtime_ns
        os.utime(new + UNDO, ns=(made + 10**9,) * 2)
        qimg.qemu_io(new, f"write -P 9 {where}")
        os.utime(new, ns=(made + 2 * 10**9,) * 2)
        then = read(new)
        status, said = run("undo", new + UNDO, new)
        if status != 1 or read(new) != then or "written to since" not in said:
            bad.append((where, said))
    # the undo file was there first: what the recorded places hold decides
    new = copy(story.image, undo_first=True)
    with qimg.Image(new) as image:
        entry = image.l2_pos(image.l1_used()[0], 3)
        image.put64(entry, image.u64(entry) ^ 1 << 62)
    then = read(new)
    status, said = run("undo", new + UNDO, new)
    if status != 1 or read(new) != then:
        bad.append(("an entry", said))
    new = copy(story.image, undo_first=True)
    with open(new, "ab") as file:
        file.write(bytes(4096))
    status, said = run("undo", new + UNDO, new)
    if status != 1 or "another size" not in said:
        bad.append(("longer", said))
    case(f"{story.name}: a copy that was written to since is refused", not bad,
         *bad[:3])
    os.utime(story.image)
    status, said = story.undo()
    case(f"{story.name}: the original goes by its time", status == 1
         and "written to since" in said and read(story.image) == story.after,
         said)


# -- cut short ---------------------------------------------------------

def is_committed(undo):
    end = 512 + int.from_bytes(undo[48:56] or b"\0", "big")
    return undo[end:end + 4] == b"QCMT"


def ends_well(story, number):
    """What is wrong with copies of what a killed qfsck left."""
    bad, now = [], read(story.image)
    first = number % 2 == 0
    new = copy(story.image, undo_first=first)
    _, said = run("check", new)
    if now not in (story.before, story.after) \
            and "was interrupted" not in said:
        bad.append((number, "check", said))
    status, said = run("repair", "-y", *story.options, new)
    if status != story.status or read(new) != story.after:
        bad.append((number, "repair", status, said))
    tries = [(n, run("undo", n, new)) for n in (new + UNDO + ".1", new + UNDO)
             if read(new) != story.before and os.path.exists(n)]
    if read(new) != story.before:
        bad.append((number, "undo after repair", tries))
    if os.path.exists(story.image + UNDO) \
            and is_committed(read(story.image + UNDO)):
        new = copy(story.image, undo_first=not first)
        status, said = run("undo", new + UNDO, new)
        if read(new) != story.before:
            bad.append((number, "undo", status, said))
    return bad


def cut(story):
    bad, half, number = [], 0, 0
    for number in range(1, 300):
        story.reset()
        status, _ = story.repair(QFSCK_CUT_KILL=str(number))
        half += read(story.image) not in (story.before, story.after)
        bad += ends_well(story, number)
        if status == story.status:
            break
    case(f"{story.name}: killed at any change of the repair, a copy is "
         "finished and undone", not bad and half, half, number, *bad[:3])
    bad, half = [], 0
    for number in range(1, 300):
        story.reset()
        story.repair()
        status, _ = story.undo(QFSCK_CUT_KILL=str(number))
        half += read(story.image) not in (story.before, story.after)
        bad += ends_well(story, number)
        if status == 0:
            break
    case(f"{story.name}: killed at any change of the undo, too", not bad
         and half, half, number, *bad[:3])


# -- another image -----------------------------------------------------

def half_written(story):
    for number in range(8, 60):
        story.reset()
        story.repair(QFSCK_CUT_KILL=str(number))
        now = read(story.image)
        if len({now[512:], story.before[512:], story.after[512:]}) == 3:
            return now
    return None


def another_image(story):
    other = os.path.abspath("another.qcow2")
    qimg.build(other, "16M", ["write -P 5 1M 64k", "write -P 6 4M 64k"],
               cluster_size=4096)
    bytes_then = read(other)
    story.reset()
    story.repair()
    status, said = run("undo", story.image + UNDO, other)
    case("the undo file of another image is refused", status == 1
         and "another image" in said and read(other) == bytes_then, said)
    # also if it is marked, as QEMU does it
    with qimg.Image(other) as image:
        image.put("incompatible_features", 2)
    bytes_then = read(other)
    half = half_written(story)
    assert half
    new = copy(story.image)
    shutil.copy(other, new)
    status, said = run("undo", new + UNDO, new)
    _, checked = run("check", new)
    case("of one that was cut short, too", status == 1
         and read(new) == bytes_then and "was interrupted" not in checked,
         said, checked)
    run("repair", "-y", new)
    with qimg.Image(other) as image:
        image.put("incompatible_features", 0)
    case("and it is repaired by itself", read(new) == read(other)
         and os.path.exists(new + UNDO + ".1"))
    # a backup from before the repair was put in the image's place
    new = copy(story.image)
    with open("backup", "wb") as file:
        file.write(story.before)
    os.rename("backup", new)
    _, checked = run("check", new)
    status, said = run("repair", "-y", *story.options, new)
    case("a backup in the image's place is repaired anew", status == 0
         and "interrupted" not in checked + said and read(new) == story.after,
         checked, said)


def main():
    if qimg.sanitized(QFSCK):
        tap.skip("copies of image and undo file",
                 "a sanitizer must be loaded first")
        return tap.finish()
    compiler = os.environ.get("CC", "cc").split()
    subprocess.run([*compiler, "-D_GNU_SOURCE", "-shared", "-fPIC", "-O1",
                    "-o", SHIM, os.path.join(HERE, "..", "powercut",
                                             "shim.c"), "-ldl"], check=True)
    stories = {name: Story(name, *what) for name, what in STORIES.items()}
    for story in stories.values():
        whole(story)
        cut(story)
    for name in ("entries", "version 2"):
        stories[name].reset()
        stories[name].repair()
        written(stories[name])
    another_image(stories["entries"])
    return tap.finish()


if __name__ == "__main__":
    sys.exit(main())
