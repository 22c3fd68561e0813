"""A real program that has images open for writing, as a machine has.

Whether it holds them is read from the kernel's list of its locks: to ask by a
check would take the lock for a moment, and the program, which wants it just
then, would give up.
"""
import contextlib
import glob
import os
import subprocess
import time

PATIENCE = 60


LOCK_BYTE_WRITE = 101   # QEMU: "I write", the last one that it takes


def lock_bytes(fdinfo):
    """The bytes that are locked through the file of FDINFO."""
    found = set()
    try:
        with open(fdinfo, encoding="ascii") as file:
            for line in file:
                words = line.split()
                if words and words[0] == "lock:" and words[-1] != "EOF":
                    found |= set(range(int(words[-2]), int(words[-1]) + 1))
    except OSError:
        pass        # closed meanwhile
    return found


def count_written(pid):
    """How many files the process has locked as one that writes to them."""
    found = set()
    for path in glob.glob(f"/proc/{pid}/fdinfo/*"):
        if LOCK_BYTE_WRITE in lock_bytes(path):
            with contextlib.suppress(OSError):
                found.add(os.readlink(path.replace("/fdinfo/", "/fd/")))
    return len(found)


class Running:
    """ARGV runs, and has IMAGES of them open; ended when left."""

    def __init__(self, argv, images=1):
        self.argv, self.images = argv, images

    def __enter__(self):
        self.child = subprocess.Popen(
            self.argv, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL)
        end = time.monotonic() + PATIENCE
        while count_written(self.child.pid) < self.images:
            if self.child.poll() is not None or time.monotonic() > end:
                self.__exit__()
                raise TimeoutError(f"{self.argv[0]} takes no lock")
            time.sleep(0.05)
        return self

    def __exit__(self, *exc):
        self.child.kill()
        self.child.wait()


def writer(image):
    """qemu-io, which has IMAGE open for writing and waits."""
    return Running(["qemu-io", "-f", "qcow2", "-c", "sleep 60000", image])
