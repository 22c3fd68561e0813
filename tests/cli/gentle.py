#!/usr/bin/env python3
"""check --max-rate reads no faster than it is told, all threads and images
together; --io-priority is that of every thread. Neither changes a report."""
import fcntl
import os
import shutil
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
import qimg  # noqa: E402
from tap import Tap  # noqa: E402

QFSCK = qimg.qfsck_path()
# Of tables alone: 64 L2 tables and 16 refcount blocks or so.
TABLES = 64 << 16
tap = Tap()


def check(*argv):
    start = time.monotonic()
    done = subprocess.run([QFSCK, "check", *argv], capture_output=True,
                          timeout=60, stdin=subprocess.DEVNULL,
                          env=qimg.environment())
    return done, time.monotonic() - start


def rates():
    for name in ("a", "b", "c", "d"):
        qimg.create(os.path.abspath(name), "32G", preallocation="metadata")
    plain, _ = check("a")
    for argv, images in ((["a"], 1), (["--jobs=1", "a", "b"], 2),
                         (["--jobs=4", "a", "b", "c", "d"], 4)):
        done, took = check("--max-rate=8M", *argv)
        least = images * TABLES / (8 << 20) - 0.06
        tap.result(took >= least and done.returncode == 0,
                   f"{' '.join(argv)} take their time",
                   [f"{took:.2f} s, not {least:.2f}"])
    done, _ = check("--max-rate=1G", "a")
    tap.result(done.stdout == plain.stdout, "the report is the same")
    for word in ("0", "1K", "fast", "-5M", "5X"):
        done, _ = check(f"--max-rate={word}", "a")
        tap.result(done.returncode == 1 and word.encode() in done.stderr,
                   f"--max-rate={word} is refused", [str(done)])


def classes_of(*argv):
    """The I/O class of each thread of a check that waits for a pipe."""
    read, write = os.pipe()
    fcntl.fcntl(write, fcntl.F_SETPIPE_SZ, 4096)    # before anything is in it
    child = subprocess.Popen([QFSCK, "check", "--all", "--output=json", *argv],
                             stdout=write, stderr=subprocess.DEVNULL)
    os.close(write)
    for _ in range(600):
        with open(f"/proc/{child.pid}/wchan", encoding="ascii") as file:
            if "pipe" in file.read():
                break
        time.sleep(0.1)
    found = set()
    for task in os.listdir(f"/proc/{child.pid}/task"):
        done = subprocess.run(["ionice", "-p", task], capture_output=True,
                              text=True, timeout=60)
        found.add(done.stdout.strip())
    with os.fdopen(read, "rb") as file:
        file.read()
    child.wait(timeout=60)
    return found


def priorities():
    qimg.build(os.path.abspath("garbage"), "512M", ["write 0 9M"])
    with qimg.Image("garbage") as image:
        l2 = image.l2_offset(image.l1_used()[0])
        image.write(l2, qimg.random.Random(3).randbytes(image.cluster))
    for word, text in (("idle", "idle"), ("low", "best-effort: prio 7"),
                       ("normal", "best-effort: prio 4")):
        if not shutil.which("ionice"):
            tap.skip(f"--io-priority={word}", "no ionice")
            continue
        have = classes_of(f"--io-priority={word}", "garbage")
        tap.result(have == {text}, f"--io-priority={word} is in effect",
                   [str(have)])
    done, _ = check("--io-priority=eager", "garbage")
    tap.result(done.returncode == 1 and b"eager" in done.stderr,
               "it takes no other word", [str(done)])
    done, _ = check("--io-priority=idle", "a")
    tap.result(done.stdout == check("a")[0].stdout, "the report is the same")


qimg.own_folder()
rates()
priorities()
sys.exit(tap.finish())
