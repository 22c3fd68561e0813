#!/usr/bin/env python3
"""Locks toward the real programs, in both directions.

A check beside qemu-storage-daemon, qemu-nbd or qemu-io with the image open
for writing is refused, and the holder named; with -U it reads. While a check
is under way, the real programs read and cannot write.
"""
import fcntl
import glob
import json
import os
import shutil
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
import qimg  # noqa: E402
import running  # noqa: E402
from tap import Tap  # noqa: E402

QFSCK = qimg.qfsck_path()
IMAGE = "disk.qcow2"
LOCK_BYTE_WRITE = running.LOCK_BYTE_WRITE


def run(*argv):
    return subprocess.run(argv, capture_output=True, text=True, timeout=60,
                          stdin=subprocess.DEVNULL)


def lock_bytes(pid):
    """The bytes that a process holds OFD locks on, as fdinfo tells them."""
    return set().union(*map(running.lock_bytes,
                            glob.glob(f"/proc/{pid}/fdinfo/*")))


def wait_for(good, what):
    for _ in range(300):
        if good():
            return
        time.sleep(0.1)
    raise TimeoutError(what)


class Holder:
    """A real program that has the image open; ended when left."""

    def __init__(self, argv, byte=LOCK_BYTE_WRITE):
        # a socket's path must be absolute; here is "@"
        self.argv = [a.replace("@", os.getcwd()) for a in argv]
        self.byte = byte

    def __enter__(self):
        self.child = subprocess.Popen(
            self.argv, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL)
        wait_for(lambda: self.byte in lock_bytes(self.child.pid),
                 f"{self.argv[0]} takes no lock")
        return self.child.pid

    def __exit__(self, *exc):
        self.child.kill()
        self.child.wait()


WRITERS = {
    "qemu-io": ["qemu-io", "-f", "qcow2", "-c", "sleep 60000", IMAGE],
    "qemu-nbd": ["qemu-nbd", "-t", "-k", "@/nbd.sock", "-f", "qcow2", IMAGE],
    "qemu-storage-daemon": [
        "qemu-storage-daemon", "--blockdev",
        f"driver=qcow2,node-name=disk,file.driver=file,file.filename={IMAGE}",
        "--nbd-server", "addr.type=unix,addr.path=@/qsd.sock", "--export",
        "type=nbd,id=e,node-name=disk,writable=on"],
}


def beside_writer(tap, name, argv):
    if not shutil.which(argv[0]):
        tap.skip(f"a check beside {name}", "not installed")
        return
    with Holder(argv) as pid:
        refused = run(QFSCK, "check", IMAGE)
        line = run(QFSCK, "check", "--output=json", IMAGE)
        shared = run(QFSCK, "check", "-U", IMAGE)
        theirs = run("qemu-img", "check", IMAGE)
    text = refused.stderr
    tap.result(refused.returncode == 1 and not refused.stdout,
               f"a check beside {name} is refused", text.splitlines())
    tap.result(f"process {pid} (" in text and "for writing" in text
               and f"{argv[0]} {argv[1]}" in text,
               f"{name} is named, with its pid and its command",
               text.splitlines())
    tap.result("-U" in text, f"what to type beside {name} is told",
               text.splitlines())
    tap.result(line.returncode == 1
               and json.loads(line.stdout)["verdict"] == "in-use",
               f"--output=json beside {name} fails too, and says in-use",
               line.stdout.splitlines())
    tap.result(shared.returncode == 0 and "clean" in shared.stdout,
               f"with -U it reads beside {name}",
               (shared.stdout + shared.stderr).splitlines())
    tap.result(theirs.returncode == 1,
               f"qemu-img check is refused beside {name} as well")


def beside_reader(tap):
    argv = ["qemu-io", "-r", "-f", "qcow2", "-c", "sleep 60000", IMAGE]
    with Holder(argv, byte=100):
        ours = run(QFSCK, "check", IMAGE)
    tap.result(ours.returncode == 0, "a check beside a reader goes on",
               ours.stderr.splitlines())
    again = run(QFSCK, "check", IMAGE)
    tap.result(again.returncode == 0, "when all are gone, it goes on")


class SlowCheck:
    """A check that hangs on its full output pipe, its image still locked."""

    def __enter__(self):
        self.child = subprocess.Popen(
            [QFSCK, "check", "--all", "--output=json", "damaged.qcow2"],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        fcntl.fcntl(self.child.stdout, fcntl.F_SETPIPE_SZ, 4096)
        wait_for(self.is_stuck, "the check does not get going")
        return self

    def is_stuck(self):
        if self.child.poll() is not None:
            raise TimeoutError("the check ended too soon")
        with open(f"/proc/{self.child.pid}/wchan", encoding="ascii") as f:
            return "pipe" in f.read()

    def finish(self):
        out, _ = self.child.communicate(timeout=60)
        return self.child.returncode, out

    def __exit__(self, *exc):
        if self.child.poll() is None:
            self.child.kill()
            self.child.communicate()


def others_beside_check(tap):
    with qimg.Image("damaged.qcow2") as image:
        l2 = image.l2_offset(image.l1_used()[0])
        noise = qimg.random.Random(7).randbytes(image.cluster)
        image.write(l2, noise)
    before = open("damaged.qcow2", "rb").read()
    with SlowCheck() as check:
        held = lock_bytes(check.child.pid)
        reading = run("qemu-io", "-r", "-f", "qcow2", "-c",
                      "read 10M 64k", "damaged.qcow2")
        info = run("qemu-img", "info", "damaged.qcow2")
        second = run(QFSCK, "check", "-q", "damaged.qcow2")
        writing = run("qemu-io", "-f", "qcow2", "-c", "write 10M 64k",
                      "damaged.qcow2")
        status, out = check.finish()
    tap.result(held == {100, 201, 203},
               "a check holds the bytes of a reader", [str(held)])
    tap.result("lock" not in reading.stderr, "qemu-io reads beside a check",
               reading.stderr.splitlines())
    tap.result(info.returncode == 0, "qemu-img info reads beside a check",
               info.stderr.splitlines())
    tap.result(second.returncode == 2, "a second check reads beside a check",
               second.stderr.splitlines())
    tap.result(writing.returncode != 0 and "lock" in writing.stderr,
               "qemu-io cannot write beside a check",
               (writing.stdout + writing.stderr).splitlines())
    tap.result(status == 2 and json.loads(out)["verdict"] == "corrupt",
               "the check beside them ends in order")
    tap.result(open("damaged.qcow2", "rb").read() == before,
               "not a byte of the image has changed")
    after = run("qemu-io", "-f", "qcow2", "-c", "write 10M 64k",
                "damaged.qcow2")
    tap.result("lock" not in after.stderr,
               "when the check is gone, its locks are")


def two_images(tap):
    """One image in use does not keep the other from being checked."""
    def check(*more):
        return run(QFSCK, "check", "--output=json", *more, IMAGE,
                   "other.qcow2")

    def result(done, verdicts, code, name):
        lines = [json.loads(l) for l in done.stdout.splitlines()]
        tap.result([l["verdict"] for l in lines] == verdicts
                   and done.returncode == code, name,
                   (done.stdout + done.stderr).splitlines())

    with Holder(WRITERS["qemu-io"]) as pid:
        both = check()
        result(both, ["in-use", "clean"], 0, "of two images the one that is "
               "free is checked, and the other no failure")
        tap.result(f"process {pid} (" in both.stderr
                   and "2 images: 1 clean, 1 in use" in both.stderr,
                   "who has it is told, and how many are in use",
                   both.stderr.splitlines())
        done = check("--in-use=skip")
        result(done, ["in-use", "clean"], 0, "--in-use=skip passes it over")
        tap.result("process" not in done.stderr, "without a word",
                   done.stderr.splitlines())
        done = check("--in-use=fail")
        result(done, ["in-use", "clean"], 1, "--in-use=fail is a failure")
        done = check("--in-use=share")
        result(done, ["clean", "clean"], 0, "--in-use=share reads beside it")
        one = run(QFSCK, "check", "--in-use=skip", IMAGE)
        tap.result(one.returncode == 0 and not one.stdout + one.stderr,
                   "--in-use=skip passes one image over as well",
                   (one.stdout + one.stderr).splitlines())
    done = run(QFSCK, "check", "--in-use=maybe", IMAGE)
    tap.result(done.returncode == 1 and "maybe" in done.stderr,
               "--in-use takes no other word", done.stderr.splitlines())


def main():
    tap = Tap()
    qimg.own_folder()
    for name in (IMAGE, "damaged.qcow2", "other.qcow2"):
        qimg.build(os.path.abspath(name), "64M",
                   ["write -P 1 0 1M", "write -P 2 20M 1M"])
    for name, argv in WRITERS.items():
        beside_writer(tap, name, argv)
    beside_reader(tap)
    others_beside_check(tap)
    two_images(tap)
    return tap.finish()


if __name__ == "__main__":
    sys.exit(main())
