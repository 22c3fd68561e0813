#!/usr/bin/env python3
"""The systemd units: systemd finds nothing wrong with them, and what the
service runs finds damage in a pool, and writes to none of its images."""

import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "lib"))

from tap import Tap                                         # noqa: E402
import make                                                 # noqa: E402
import running                                              # noqa: E402
import tools                                                # noqa: E402

UNITS = os.path.join(HERE, "..", "..", "share", "systemd")
WORK = tempfile.mkdtemp(prefix="units.")
NAMES = ("qfsck@.service", "qfsck@.timer", "qfsck-fail@.service")
tap = Tap()


def put_in_place(bindir):
    for name in NAMES:
        source = os.path.join(UNITS, name)
        with open(source if os.path.exists(source) else source + ".in",
                  encoding="utf-8") as f:
            text = f.read().replace("@BINDIR@", bindir)
        with open(os.path.join(WORK, name), "w", encoding="utf-8") as f:
            f.write(text)


def command(unit, folder):
    """What ExecStart runs, with FOLDER for %f."""
    with open(os.path.join(WORK, unit), encoding="utf-8") as f:
        line = re.search(r"^ExecStart=(.*)$", f.read(), re.M)[1]
    return [w.replace("%f", folder) for w in shlex.split(line)]


def verify():
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no",
         *(os.path.join(WORK, n) for n in NAMES)],
        capture_output=True, text=True, timeout=60,
        env=dict(os.environ, SYSTEMD_UNIT_PATH=WORK + ":"))
    said = [line for line in (done.stdout + done.stderr).splitlines()
            if "qfsck" in line]
    tap.result(done.returncode == 0 and not said,
               "systemd-analyze verify is content", said or [done.stderr])


def run(folder):
    status, out, err = tools.run(command("qfsck@.service", folder))
    return status, (out + err).decode(errors="replace")


def the_service():
    pool = os.path.join(WORK, "a pool")
    os.makedirs(os.path.join(pool, "deep"))
    status, text = run(pool)
    tap.result(status == 0 and "no qcow2 image" in text,
               "an empty pool is no failure, and is told", [text])
    one, two = f"{pool}/one.qcow2", f"{pool}/deep/two.qcow2"
    make.build(one, "1M", ["write 0 64k"])
    make.build(two, "1M", ["write 0 64k"])
    status, text = run(pool)
    tap.result(status == 0 and not text, "a sound pool is passed over",
               [f"{status} {text}"])
    with running.writer(one):
        status, text = run(pool)
    tap.result(status == 0 and not text, "so is a running machine's image",
               [f"{status} {text}"])
    with open(two, "r+b") as f:
        f.seek(40)
        l1 = int.from_bytes(f.read(8), "big")
        f.seek(l1)
        f.write(bytes(8))
    with open(two, "rb") as f:
        before = f.read()
    status, text = run(pool)
    tap.result(status == 2 and "two.qcow2: corrupt" in text and
               "one.qcow2: " not in text, "damage in a pool is found and named",
               [f"{status} {text}"])
    with open(two, "rb") as f:
        tap.result(f.read() == before, "nothing is written")


bindir = os.path.join(WORK, "bin")
os.makedirs(bindir)
os.symlink(tools.qfsck_path(), os.path.join(bindir, "qfsck"))
put_in_place(bindir)
if shutil.which("systemd-analyze"):
    verify()
else:
    tap.skip("systemd-analyze verify is content", "no systemd-analyze")
the_service()
shutil.rmtree(WORK)
sys.exit(tap.finish())
