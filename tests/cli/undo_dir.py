#!/usr/bin/env python3
"""repair --undo-dir puts undo files into one folder; undo --list tells what is
there, and undo --forget removes what is not needed any more."""
import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
import qimg  # noqa: E402
from tap import Tap  # noqa: E402

QFSCK = qimg.qfsck_path()
tap = Tap()


def qfsck(*argv):
    return subprocess.run([QFSCK, *argv], capture_output=True, timeout=60,
                          stdin=subprocess.DEVNULL, text=True,
                          env=qimg.environment())


def shown(done):
    return (done.stdout + done.stderr).splitlines()


def damaged(name):
    os.makedirs(os.path.dirname(name), exist_ok=True)
    qimg.build(os.path.abspath(name), "64M", ["write 0 1M"])
    with qimg.Image(name) as image:
        image.set_refcount(7, 0)
    with open(name, "rb") as file:
        return file.read()


def content(name):
    with open(name, "rb") as file:
        return file.read()


qimg.own_folder()
before = {n: damaged(n) for n in ("a/disk", "b/disk")}
os.mkdir("undo")
for name in before:
    done = qfsck("repair", "-y", "--undo-dir=undo", name)
    tap.result(done.returncode == 0, f"{name} is repaired", shown(done))
tap.result(sorted(os.listdir("undo")) == ["disk.qfsck-undo",
                                          "disk.qfsck-undo.1"]
           and os.listdir("a") == os.listdir("b") == ["disk"],
           "the undo files are in the folder, and nothing is beside the images",
           [str(os.listdir(d)) for d in ("undo", "a", "b")])
done = qfsck("repair", "-y", "--undo-dir=none", "a/disk")
tap.result(done.returncode == 0, "where nothing is to do none is made",
           shown(done))
with open("undo/other", "w", encoding="ascii") as file:
    file.write("not an undo file")
done = qfsck("undo", "--list", "undo")
tap.result([l.split(",")[0] for l in done.stdout.splitlines()] ==
           ["undo/disk.qfsck-undo: of disk", "undo/disk.qfsck-undo.1: of disk"]
           and done.stdout.count("repaired; can be taken back") == 2
           and done.returncode == 0, "undo --list tells them", shown(done))
done = qfsck("undo", "undo/disk.qfsck-undo.1", "b/disk")
tap.result(done.returncode == 0 and content("b/disk") == before["b/disk"],
           "one is taken back by it", shown(done))
done = qfsck("undo", "--list", "undo")
tap.result("disk.qfsck-undo.1: of disk" in done.stdout and
           "taken back; not needed" in done.stdout, "and that is told",
           shown(done))
done = qfsck("undo", "--forget", "undo/disk.qfsck-undo",
             "undo/disk.qfsck-undo.1")
tap.result(done.returncode == 0 and os.listdir("undo") == ["other"],
           "undo --forget removes them", shown(done))
for name in ("undo/other", "a/disk", "none"):
    done = qfsck("undo", "--forget", name)
    tap.result(done.returncode == 1 and done.stderr and
               os.path.exists(name) == (name != "none"),
               f"{name} is not forgotten", shown(done))
qfsck("repair", "-y", "b/disk")
with open("b/disk.qfsck-undo", "r+b") as file:      # its mark that it ended
    file.seek(-480, os.SEEK_END)
    file.write(bytes(32))
done = qfsck("undo", "--forget", "b/disk.qfsck-undo")
tap.result(done.returncode == 1 and os.path.exists("b/disk.qfsck-undo"),
           "one that is needed stays", shown(done))
done = qfsck("undo", "--list", "none")
tap.result(done.returncode == 1 and "none" in done.stderr,
           "a folder that is not there is told", shown(done))
sys.exit(tap.finish())
