#!/usr/bin/env python3
"""check -p over several images: how many are done, and how long it still
takes, on stderr; the report stays the same. SIGUSR1 asks for one line."""
import os
import re
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
import qimg  # noqa: E402
from tap import Tap  # noqa: E402

QFSCK = qimg.qfsck_path()
LINE = re.compile(r"\[[# ]{30}\] +([0-9.]+)% (\d+)/5 images"
                  r"(, \d+/s, \d+ s left)?(: pool/\d)?")
# Slow enough to be looked at, whatever the machine.
SLOW = "--max-rate=8M"
tap = Tap()


def check(*argv):
    return subprocess.run([QFSCK, "check", *argv], capture_output=True,
                          timeout=60, stdin=subprocess.DEVNULL, text=True,
                          env=qimg.environment())


def goes_on(name, named, *argv):
    plain, done = check("pool"), check("-p", SLOW, *argv, "pool")
    lines = done.stderr.splitlines()
    rows = [LINE.fullmatch(l) for l in lines]
    tap.result(done.stdout == plain.stdout and done.returncode == 0,
               f"{name}: the report is the same", [done.stdout])
    tap.result(rows and all(rows), f"{name}: each line is one of progress",
               lines)
    if not all(rows):
        return
    parts = [float(r[1]) for r in rows]
    counts = [int(r[2]) for r in rows]
    tap.result(parts == sorted(parts) and counts == sorted(counts)
               and counts[-1] >= 2 and all(r[3] for r in rows if int(r[2])),
               f"{name}: it goes on, with the time that is left", lines)
    tap.result(all(bool(r[4]) == named for r in rows),
               f"{name}: {'the image' if named else 'none'} is named", lines)


def asked():
    child = subprocess.Popen([QFSCK, "check", SLOW, "--jobs=1", "-q", "pool"],
                             stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                             text=True)
    for _ in range(600):        # the handler must stand
        with open(f"/proc/{child.pid}/status", encoding="ascii") as file:
            caught = re.search(r"SigCgt:\s*(\w+)", file.read())
        if caught and int(caught[1], 16) >> (signal.SIGUSR1 - 1) & 1:
            break
        time.sleep(0.01)
    child.send_signal(signal.SIGUSR1)
    _, err = child.communicate(timeout=60)
    tap.result(child.returncode == 0 and LINE.fullmatch(err.rstrip("\n"))
               is not None, "SIGUSR1 asks for a line", err.splitlines())


qimg.own_folder()
os.mkdir("pool")
for n in range(5):
    qimg.create(os.path.abspath(f"pool/{n}"), "32G", preallocation="metadata")
goes_on("one job", True, "--jobs=1")
goes_on("two jobs", False, "--jobs=2")
asked()
sys.exit(tap.finish())
