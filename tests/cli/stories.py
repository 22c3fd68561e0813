#!/usr/bin/env python3
"""The stories of the diagnosis, each told by its real cause.

Two qemu-io writers with file.locking=off, qemu-img snapshot under a running
writer, kill -9 of a lazy-refcounts writer, fallocate --punch-hole on a live
table, truncation; and silence where there is no story.
"""
import json
import os
import struct
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
from tap import Tap  # noqa: E402

QFSCK = os.environ.get("QFSCK") or os.path.abspath(
    os.path.join(os.path.dirname(__file__), "..", "..", "qfsck"))
IMG = "story.qcow2"
UNLOCKED = ["qemu-io", "--image-opts",
            f"driver=qcow2,file.driver=file,file.filename={IMG},"
            "file.locking=off"]


def run(*argv):
    return subprocess.run(argv, capture_output=True, text=True, timeout=60)


def make(size="1G", writes=("write -P 1 0 4M", "write -P 2 600M 3M"), **opts):
    options = ",".join(f"{k}={v}" for k, v in opts.items())
    if os.path.exists(IMG):
        os.remove(IMG)
    run("qemu-img", "create", "-q", "-f", "qcow2",
        *(["-o", options] if options else []), IMG, size)
    if writes:
        run("qemu-io", *[a for w in writes for a in ("-c", w)], IMG)


class Writer:
    """A qemu-io without locks that answers each command before the next."""

    def __init__(self):
        self.p = subprocess.Popen(UNLOCKED, stdin=subprocess.PIPE,
                                  stdout=subprocess.PIPE, text=True,
                                  stderr=subprocess.STDOUT)
        time.sleep(0.2)

    def do(self, *commands):
        for c in commands:
            self.p.stdin.write(c + "\n")
        self.p.stdin.flush()
        time.sleep(0.25)

    def quit(self):
        self.p.communicate("quit\n", timeout=20)

    def kill(self):
        self.p.kill()
        self.p.communicate()


def check():
    out = run(QFSCK, "check", "--output=json", IMG)
    report = json.loads(out.stdout)
    return (out.returncode, {d["cause"] for d in report["diagnosis"]}, report)


def l2_table(index):
    with open(IMG, "rb") as f:
        head = f.read(48)
        f.seek(struct.unpack(">Q", head[40:48])[0] + 8 * index)
        return struct.unpack(">Q", f.read(8))[0] & 0xfffffffffffe00


def two_writers():
    make(cluster_size=4096, size="256M", writes=("write 0 1M",))
    a, b = Writer(), Writer()
    for k in range(4):
        a.do(f"write -P 1 {10 + k}M 256k", "flush")
        b.do(f"write -P 2 {40 + k}M 256k", "flush")
    a.quit()
    b.quit()
    return "two-writers"


def snapshot_under_writer():
    make(writes=("write 0 4M",))
    a = Writer()
    a.do("write -P 1 1M 1M", "flush")
    run("qemu-img", "snapshot", "-c", "s1", IMG)
    a.do("write -P 2 2M 1M", "write -P 3 8M 1M", "flush")
    a.quit()
    return "snapshot-under-writer"


def lazy_refcounts():
    make(lazy_refcounts="on", writes=())
    a = Writer()
    a.do("write -P 1 1M 5M", "write 600M 1M", "flush")
    time.sleep(0.3)
    a.kill()
    return "lazy-refcounts"


def punch_hole():
    make()
    run("fallocate", "--punch-hole", "-o", str(l2_table(0)), "-l", "65536",
        IMG)
    return "punch-hole"


def truncation():
    make()
    os.truncate(IMG, 5 << 20)
    return "truncated"


def no_story_clean():
    make()


def no_story_leak():
    make()
    with open(IMG, "r+b") as f:     # refcount of a cluster behind the end
        f.seek(0x20000 + 2 * 100)
        old = f.read(2)
        assert old == b"\0\1"
        f.seek(0x20000 + 2 * 100)
        f.write(b"\0\2")


def no_story_flag():
    make()
    with open(IMG, "r+b") as f:     # one COPIED flag
        f.seek(l2_table(0))
        f.write(b"\0")


def main():
    tap = Tap()
    with tempfile.TemporaryDirectory() as tmp:
        os.chdir(tmp)
        for story in (two_writers, snapshot_under_writer, lazy_refcounts,
                      punch_hole, truncation):
            want = story()
            code, causes, report = check()
            tap.result(code == 2 and causes == {want}, f"{want} is diagnosed",
                   [f"exit {code}, causes {sorted(causes)}, findings "
                   f"{sorted({f['name'] for f in report['findings']})}"])
        for story in (no_story_clean, no_story_leak, no_story_flag):
            story()
            code, causes, _ = check()
            tap.result(not causes, f"{story.__name__}: no story is told",
                   [f"exit {code}, causes {sorted(causes)}"])
    return tap.finish()


if __name__ == "__main__":
    sys.exit(main())
