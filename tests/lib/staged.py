"""Damage by its real causes: killed writers, two writers, punched holes."""

import os
import select
import subprocess
import time

from make import build
from qcow2 import Image
from tools import TIMEOUT, Refused, environment, must, qemu_img, run

UNLOCKED = "driver=qcow2,file.driver=file,file.locking=off,file.filename="
PROMPT = b"qemu-io> "


class Writer:
    """A qemu-io that stays open and does one command at a time."""

    def __init__(self, path, options=UNLOCKED):
        self.process = subprocess.Popen(
            ["qemu-io", "--image-opts", options + path], env=environment(),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT)
        self.wait_for_prompt()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        if self.process.poll() is None:
            self.kill()

    def wait_for_prompt(self):
        said, end = b"", time.monotonic() + TIMEOUT
        while not said.endswith(PROMPT):
            ready, _, _ = select.select([self.process.stdout], [], [],
                                        max(0, end - time.monotonic()))
            more = os.read(self.process.stdout.fileno(), 65536) if ready \
                else b""
            if not more:
                self.process.kill()
                raise Refused("qemu-io said: " + said.decode(errors="replace"))
            said += more
        return said

    def do(self, *commands):
        for command in commands:
            self.process.stdin.write(command.encode() + b"\n")
            self.process.stdin.flush()
            said = self.wait_for_prompt()
            if b"failed" in said:
                raise Refused(command + ": " + said.decode(errors="replace"))

    def kill(self):
        """kill -9, as the host's out-of-memory killer does."""
        self.process.kill()
        self.process.wait(TIMEOUT)
        self.process.stdin.close()
        self.process.stdout.close()

    def close(self):
        self.process.communicate(b"quit\n", TIMEOUT)


def killed_lazy_writer(path, **options):
    """kill -9 after a flush: L2 is on disk, the lazy refcounts are not."""
    build(path, "4M", ["write -P 9 2M 64k"], lazy_refcounts="on", **options)
    with Writer(path) as writer:
        writer.do("write -P 1 0 256k", "flush")
        writer.kill()
    return path


def killed_between(path, event, command, steps=(), second=False, **options):
    """kill -9 in the midst of COMMAND, when it comes to EVENT.

    SECOND: when it comes there for the second time.
    """
    build(path, "4M", ["write -P 9 2M 64k", *steps], **options)
    run(["qemu-io", "--image-opts",
         "driver=qcow2,file.driver=blkdebug,file.image.filename=" + path,
         "-c", "break %s A" % event, "-c", command, "-c", "wait_break A",
         *(["-c", "break %s B" % event, "-c", "resume A",
            "-c", "wait_break B"] if second else []),
         "-c", "sigraise 9"])
    return path


# Where a machine may die in a write: (name, QEMU's blkdebug event, what was
# done before, the write).  What is left may be whole or leak, never worse.
DEATHS = (
    ("new-l2", "l1_update", [], "aio_write -f -P 1 64k 300k"),
    ("l2-copy", "l1_update", [("snap", "s")], "aio_write -f -P 1 2112k 300k"),
    ("cow", "write_aio", [("snap", "s")], "aio_write -f -P 1 2052k 300k"),
    ("data", "l2_update", [], "aio_write -f -P 1 2049k 150k"),
    ("data-copy", "l2_update", [("snap", "s"), "write -P 2 2M 4k"],
     "aio_write -f -P 1 2049k 150k"),
    ("zip", "l2_update", ["write -c -P 2 3M 4k"], "aio_write -f -P 3 3080k 8k"),
    ("many", "l2_update", ["write -P 3 2176k 1M"],
     "aio_write -f -P 1 2120k 1800k"),
    ("new-l2-data", "l2_update", [], "aio_write -f -P 1 0 300k", True),
    ("copy-l2-data", "l2_update", [("snap", "s")],
     "aio_write -f -P 1 2M 300k", True),
)


def killed_at(path, event, steps, command, second=False):
    return killed_between(path, event, command, steps=steps, second=second,
                          cluster_size=4096)


def killed_unwritten(path, **options):
    """kill -9 while one write waits for its data and another one ends.

    The flush of the second brings the refcounts of the first to the disk;
    its clusters were never written, and its new L2 table is still zero.
    """
    build(path, "4M", ["write -P 9 2M 64k"], **options)
    run(["qemu-io", "--image-opts",
         "driver=qcow2,file.driver=blkdebug,file.image.filename=" + path,
         "-c", "break write_aio A", "-c", "aio_write -P 1 64k 300k",
         "-c", "wait_break A", "-c", "aio_write -f -P 2 3M 64k",
         "-c", "sleep 500", "-c", "sigraise 9"])
    return path


def killed_writer(path, **options):
    """kill -9 when the refcounts are written and the L2 table is not yet."""
    return killed_between(path, "l2_update", "aio_write -f -P 1 2112k 128k",
                          **options)


def two_writers(path, **options):
    """Two machines run one disk: each hands out the same host clusters."""
    build(path, "1G", ["write -P 9 0 64k", "write -P 9 512M 64k"], **options)
    with Writer(path) as one, Writer(path) as two:
        one.do("write -P 1 1M 128k")
        two.do("write -P 2 513M 256k")
        one.do("write -P 3 1536k 192k")
        two.do("write -P 4 514M 128k")
        one.close()
        two.close()
    return path


def snapshot_under_writer(path, **options):
    """qemu-img snapshot -c while a machine runs on the image."""
    build(path, "4M", ["write -P 9 0 1M"], **options)
    with Writer(path) as writer:
        writer.do("write -P 1 0 64k", "flush")
        qemu_img("snapshot", "-c", "nightly", path)
        writer.do("write -P 2 0 128k", "write -P 3 1536k 128k", "flush")
        writer.close()
    return path


def snapshot_deleted_under_writer(path, **options):
    build(path, "4M", ["write -P 9 0 1M", ("snap", "nightly"),
                       "write -P 8 0 64k"], **options)
    with Writer(path) as writer:
        writer.do("write -P 1 0 64k", "flush")
        qemu_img("snapshot", "-d", "nightly", path)
        writer.do("write -P 2 128k 128k", "write -P 3 2M 128k", "flush")
        writer.close()
    return path


def punch(path, offset, length):
    must(["fallocate", "--punch-hole", "--keep-size", "--offset", str(offset),
          "--length", str(length), path])


def punched_l2(path, **options):
    """A stale punch-hole frees the cluster of a live L2 table."""
    build(path, "4M", ["write -P 1 0 1M", "write -P 2 2M 1M"], **options)
    with Image(path) as image:
        offset, cluster = image.l2_offset(image.l1_used()[-1]), image.cluster
    punch(path, offset, cluster)
    return path


def killed_bitmap_writer(path, **options):
    """kill -9 of a writer that has a persistent bitmap in use."""
    build(path, "4M", ["write -P 1 0 1M", ("bitmap", "backup")], **options)
    with Writer(path) as writer:
        writer.do("write -P 2 1M 64k", "flush")
        writer.kill()
    return path


STORIES = {
    "killed-lazy": killed_lazy_writer,
    "killed-writer": killed_writer,
    "killed-unwritten": killed_unwritten,
    "killed-bitmap": killed_bitmap_writer,
    "two-writers": two_writers,
    "snapshot-under-writer": snapshot_under_writer,
    "snapshot-deleted-under-writer": snapshot_deleted_under_writer,
    "punched-l2": punched_l2,
}
STAGES = {}


def register():
    for name, story in STORIES.items():
        for cluster in (4096, 65536):
            STAGES["%s-%d" % (name, cluster)] = \
                lambda path, s=story, c=cluster: s(path, cluster_size=c)
    for name, *death in DEATHS:
        STAGES["killed-at-" + name] = lambda path, d=death: killed_at(path, *d)


register()
