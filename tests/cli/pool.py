#!/usr/bin/env python3
"""A pool of 200 images: clean, leaking, broken, alone, foreign ones, some that
a machine has open, and some that vanish while the others are checked. Summary,
lines of JSON, Prometheus' file and the exit code say the same, and the truth; a
second run with --state reads what changed, and no more; one that was killed in
the middle is gone on with.
"""
import collections
import fcntl
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
import running  # noqa: E402
import qimg  # noqa: E402
from tap import Tap  # noqa: E402

QFSCK = qimg.qfsck_path()
tap = Tap()
COUNTS = {"clean": 148, "leaks": 12, "corrupt": 11, "unchecked": 8,
          "foreign": 10, "in-use": 7, "gone": 4}
POOL = {}       # name: verdict


def name_of(verdict, n):
    # mixed among each other by their names
    return "pool/%02d/vm-%03d-%s.qcow2" % (n % 7, (n * 37) % 200, verdict)


def make_pool():
    """One of each kind, and copies of it, in folders."""
    for folder in range(7):
        os.makedirs("pool/%02d" % folder)
    for kind in ("clean", "leaks", "corrupt", "flood"):
        qimg.build(os.path.abspath(kind), "2G",
                   ["write 0 1M", "write 512M 1M", "write 1G 1M"])
    with qimg.Image("leaks") as image:
        end = image.clusters()
        image.truncate((end + 3) * image.cluster)
        for n in range(3):
            image.set_refcount(end + n, 1)
    with qimg.Image("corrupt") as image:
        image.write(image.l2_offset(image.l1_used()[0]), bytes(image.cluster))
    with qimg.Image("flood") as image:
        l2 = image.l2_offset(image.l1_used()[0])
        image.write(l2, random.Random(3).randbytes(image.cluster))
    qimg.create(os.path.abspath("none"), "1G")
    qimg.create(os.path.abspath("unchecked"), "1G", backing_file="none",
                backing_fmt="qcow2")
    os.remove("none")
    with open("foreign", "w", encoding="ascii") as file:
        file.write("Dear reader,\nthis is a letter and no disk.\n")
    shutil.copyfile("clean", "in-use")
    shutil.copyfile("clean", "gone")
    n = 0
    for kind, count in COUNTS.items():
        for _ in range(count):
            POOL[name_of(kind, n)] = kind
            shutil.copyfile(kind, name_of(kind, n))
            n += 1
    # the first one of all has much to say; those that vanish are the last
    first = next(n for n, k in POOL.items() if k == "corrupt")
    shutil.copyfile("flood", first)
    move(first, "pool/00/a-first.qcow2")
    for i, name in enumerate([n for n, k in POOL.items() if k == "gone"]):
        move(name, "pool/06/z-last-%d.qcow2" % i)


def move(old, new):
    os.rename(old, new)
    POOL[new] = POOL.pop(old)


def machines():
    """A QEMU that has the images in use open for writing."""
    argv = ["qemu-storage-daemon"]
    names = [n for n, k in POOL.items() if k == "in-use"]
    for n, name in enumerate(names):
        argv += ["--blockdev", "driver=qcow2,node-name=n%d,"
                 "file.driver=file,file.filename=%s" % (n, name)]
    return running.Running(argv, len(names))


def run(*argv):
    return subprocess.run([QFSCK, *argv], capture_output=True, text=True,
                          timeout=120, stdin=subprocess.DEVNULL,
                          env=qimg.environment())


def begin(*argv):
    """A check whose report on the first image fills its pipe, and waits."""
    child = subprocess.Popen(
        [QFSCK, "check", "-R", "--jobs=1", "--all", "--output=json", *argv,
         "pool"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env=qimg.environment())
    fcntl.fcntl(child.stdout, fcntl.F_SETPIPE_SZ, 4096)
    for _ in range(1200):
        with open("/proc/%d/wchan" % child.pid, encoding="ascii") as file:
            if "pipe" in file.read():
                return child
        time.sleep(.05)
    return child


def verdict(said):
    """Of a line of JSON, as the pool's list has it."""
    if said.get("gone"):
        return "gone"
    return said["verdict"]


def lines(text):
    return {o["filename"]: o for o in map(json.loads, text.splitlines())}


def wrong(have):
    """What differs from the truth."""
    told = {n: verdict(o) for n, o in have.items()}
    return ["%s: %s, told as %s" % (n, POOL.get(n), told.get(n))
            for n in sorted(set(POOL) | set(told))
            if POOL.get(n) != told.get(n)]


def prometheus():
    """({verdict: how many}, {image: verdict})."""
    with open("pool.prom", encoding="utf-8") as file:
        text = file.read()
    total = {m[1]: int(float(m[2])) for m in re.finditer(
        r'^qfsck_images\{verdict="([^"]+)"\} (\S+)$', text, re.M)}
    image = {m[1]: m[2] for m in re.finditer(
        r'^qfsck_image_verdict\{image="([^"]+)",verdict="([^"]+)"\} 1$', text,
        re.M)}
    return total, image


WORDS = {"clean": "clean", "with leaks": "leaks", "corrupt": "corrupt",
         "in use": "in-use", "not checked": "unchecked",
         "of another format": "foreign", "gone meanwhile": "gone"}


def totals(line):
    """{verdict: how many} of "200 images: 3 clean, ..."."""
    return {WORDS[w]: int(n) for n, w in re.findall(
        r"(\d+) ([a-z ]+?)(?:,|;|$)", line.partition(": ")[2])
        if w in WORDS}


def first_run():
    time.sleep(.5)      # what was written a moment before is not kept
    child = begin("--state=state", "--prom=pool.prom")
    for name in [n for n, k in POOL.items() if k == "gone"]:
        os.remove(name)
    out, err = child.communicate(timeout=120)
    have = lines(out)
    tap.result(len(have) == 200 and not wrong(have) and child.returncode == 2,
               "a line of JSON for each of 200 images is true",
               [str(child.returncode), err] + wrong(have)[:9])
    # what cannot be looked at is told in words, too, before the totals
    last = [l for l in err.splitlines() if l.startswith("200 images: ")]
    tap.result(len(last) == 1 and totals(last[0]) == COUNTS,
               "so are the totals, with those that went away",
               err.splitlines()[-3:])
    total, image = prometheus()
    tap.result({k: v for k, v in total.items() if v} == COUNTS and
               {n: k for n, k in POOL.items() if k != "gone"} ==
               {n: k for n, k in image.items() if k != "gone"},
               "so is Prometheus' file", [str(total)])
    for name in [n for n, k in POOL.items() if k == "gone"]:
        del POOL[name]


def summary():
    want = collections.Counter(POOL.values())
    done = run("check", "-R", "--summary", "--prom=pool.prom", "pool")
    rows = done.stdout.splitlines()
    last = [r for r in rows if r.startswith("196 images: ")]
    tap.result(done.returncode == 2 and len(last) == 1 and
               totals(last[0]) == want, "the summary's totals are true", rows)
    names = [r[16:].split(": ")[0] for r in rows[:196]]
    order = ["corrupt", "unchecked", "leaks", "in-use", "foreign", "clean"]
    ranks = [order.index(POOL[n]) for n in names]
    tap.result(sorted(names) == sorted(POOL) and ranks == sorted(ranks),
               "it has a line an image, the worst first", rows[:4])
    tap.result({k: v for k, v in prometheus()[0].items() if v} == want,
               "Prometheus' file says the same")


def anew(*argv):
    """({image: line}, those that were read again, the code)."""
    done = run("check", "-R", "--all", "--output=json", "--state=state", *argv,
               "pool")
    have = lines(done.stdout)
    return have, {n for n, o in have.items() if not o.get("unchanged")}, \
        done.returncode


def second_run():
    time.sleep(.3)      # what was written a moment before is not kept
    have, again, code = anew()
    always = {n for n, k in POOL.items() if k in ("in-use", "unchecked")}
    tap.result(not wrong(have) and code == 2, "a second run says the same",
               wrong(have)[:9])
    tap.result(again == always, "and reads none that did not change (only what "
               "is in use or lacks its base is looked at each time)",
               sorted(again ^ always)[:9])
    clean = sorted(n for n, k in POOL.items() if k == "clean")
    for name in clean[:3]:
        qimg.qemu_io(os.path.abspath(name), "write 7M 64k")
    shutil.copyfile("corrupt", clean[3])
    POOL[clean[3]] = "corrupt"
    os.remove(clean[4])
    del POOL[clean[4]]
    shutil.copyfile("leaks", "pool/03/new.qcow2")
    POOL["pool/03/new.qcow2"] = "leaks"
    time.sleep(.3)
    have, again, code = anew()
    changed = set(clean[:4]) | {"pool/03/new.qcow2"}
    tap.result(not wrong(have) and code == 2 and again == always | changed,
               "what was written, replaced or came anew is read, and no more",
               wrong(have)[:9] + sorted(again ^ (always | changed))[:9])


def killed():
    """Of what comes out, eighty lines are read; then the pipe is full."""
    os.remove("state")
    time.sleep(.3)
    child = begin("--state=state")
    for _ in range(80):
        child.stdout.readline()
    child.send_signal(signal.SIGKILL)
    child.communicate(timeout=60)
    have, again, code = anew()
    known = len(POOL) - len(again)
    tap.result(not wrong(have) and code == 2, "after a run that was killed in "
               "the middle the next one's result is whole", wrong(have)[:9])
    tap.result(60 < known < 150, "what was checked before is not read again",
               ["%d known" % known])
    always = {n for n, k in POOL.items() if k in ("in-use", "unchecked")}
    tap.result(anew()[1] == always, "and then all is known")


qimg.own_folder()
make_pool()
with machines():
    first_run()
    summary()
    second_run()
    killed()
sys.exit(tap.finish())
