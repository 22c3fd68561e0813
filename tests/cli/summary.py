#!/usr/bin/env python3
"""check --summary: a line an image, the worst first, and true totals; also
where images are in use, of another format, broken, or gone since their folder
was read."""
import fcntl
import json
import os
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
import running  # noqa: E402
import qimg  # noqa: E402
from tap import Tap  # noqa: E402

QFSCK = qimg.qfsck_path()
tap = Tap()


def check(*argv):
    return subprocess.run([QFSCK, "check", *argv], capture_output=True,
                          timeout=60, stdin=subprocess.DEVNULL, text=True,
                          env=qimg.environment())


def shown(done):
    return (done.stdout + done.stderr).splitlines()


def leak(name, clusters):
    with qimg.Image(name) as image:
        end = image.clusters()
        image.truncate((end + clusters) * image.cluster)
        for n in range(clusters):
            image.set_refcount(end + n, 1)


def erase(name, entry):
    """The L2 table number ENTRY of those in use holds zeros."""
    with qimg.Image(name) as image:
        l2 = image.l2_offset(image.l1_used()[entry])
        image.write(l2, bytes(image.cluster))


def make_pool():
    os.mkdir("pool")
    for name in ("a-clean", "b-leaks", "c-leaks", "d-lost", "e-lost",
                 "f-clean", "g-used"):
        qimg.build(os.path.abspath(f"pool/{name}.qcow2"), "2G",
                   ["write 0 1M", "write 512M 1M", "write 1G 1M"])
    leak("pool/b-leaks.qcow2", 2)
    leak("pool/c-leaks.qcow2", 5)
    erase("pool/d-lost.qcow2", 0)
    erase("pool/e-lost.qcow2", 0)
    erase("pool/e-lost.qcow2", 1)
    with open("pool/h.qcow2", "w", encoding="ascii") as file:
        file.write("Dear reader,\nthis is a letter and no disk.\n")
    qimg.build(os.path.abspath("base.qcow2"), "1M")
    qimg.create(os.path.abspath("pool/i-alone.qcow2"), "1M",
                backing_file=os.path.abspath("base.qcow2"),
                backing_fmt="qcow2")
    os.remove("base.qcow2")


WANT = [("corrupt", "pool/e-lost.qcow2"), ("corrupt", "pool/d-lost.qcow2"),
        ("not checked", "pool/i-alone.qcow2"),
        ("leaks", "pool/c-leaks.qcow2"), ("leaks", "pool/b-leaks.qcow2"),
        ("in use", "pool/g-used.qcow2"),
        ("another format", "pool/h.qcow2"),
        ("clean", "pool/a-clean.qcow2"), ("clean", "pool/f-clean.qcow2")]


def lines():
    done = check("--summary", "pool")
    have = [(l[:14].strip(), l[16:].split(": ")[0])
            for l in done.stdout.splitlines()]
    tap.result(have[:9] == WANT and done.returncode == 2,
               "a line an image, the worst first", shown(done))
    rows = done.stdout.splitlines()
    tap.result("2 errors, up to 1 GiB lost: l2-table-erased" in rows[0]
               and "1 error, up to 512 MiB lost" in rows[1]
               and "up to 320 KiB wasted" in rows[3]
               and "process" in rows[5], "what is wrong in a few words",
               shown(done))
    tap.result(rows[9:] == [
        "9 images: 2 clean, 2 with leaks, 2 corrupt, 1 in use, 1 not checked, "
        "1 of another format",
        "Up to 1.50 GiB of the disks are lost.",
        "Up to 448 KiB of the files are wasted by leaks."],
        "the totals are true", shown(done))
    tap.result(not done.stderr, "and nothing is said twice", shown(done))
    quiet = check("--summary", "-q", "pool")
    tap.result(quiet.stdout.splitlines() == rows[:7] + rows[9:],
               "-q has no line of a clean image", shown(quiet))
    one = check("--summary", "--jobs=1", "pool")
    tap.result(one.stdout == done.stdout, "one job says the same", shown(one))


def objects():
    done = check("--summary", "--output=json", "pool")
    have = qimg.parse(done.stdout.encode())
    tap.result([i["filename"] for i in have["images"]] ==
               [name for _, name in WANT] and
               [i["verdict"] for i in have["images"]] ==
               ["corrupt"] * 2 + ["unchecked"] + ["leaks"] * 2 +
               ["in-use", "foreign", "clean", "clean"],
               "as JSON the same", shown(done))
    tap.result(have["totals"] == {
        "images": 9, "corrupt": 2, "unchecked": 1, "leaks": 2, "in-use": 1,
        "foreign": 1, "gone": 0, "clean": 2, "lost-bytes": 3 << 29,
        "leaked-bytes": 7 << 16}, "and the same totals",
        [json.dumps(have["totals"])])
    done = check("--summary", "--backing-chain", "pool")
    tap.result(done.returncode == 1 and not done.stdout,
               "--backing-chain has no summary", shown(done))


def gone():
    """The first report fills a pipe; meanwhile the last image is removed."""
    os.mkdir("shrinking")
    for name in ("a", "b", "c"):
        qimg.build(os.path.abspath(f"shrinking/{name}.qcow2"), "512M",
                   ["write 0 9M"])
    with qimg.Image("shrinking/a.qcow2") as image:
        l2 = image.l2_offset(image.l1_used()[0])
        image.write(l2, qimg.random.Random(3).randbytes(image.cluster))
    child = subprocess.Popen(
        [QFSCK, "check", "--all", "--jobs=1", "--output=json", "shrinking"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    fcntl.fcntl(child.stdout, fcntl.F_SETPIPE_SZ, 4096)
    for _ in range(600):
        with open(f"/proc/{child.pid}/wchan", encoding="ascii") as file:
            if "pipe" in file.read():
                break
        time.sleep(0.1)
    os.remove("shrinking/b.qcow2")
    out, err = child.communicate(timeout=60)
    have = [json.loads(l) for l in out.splitlines()]
    tap.result([h["verdict"] for h in have] == ["corrupt", "unchecked", "clean"]
               and have[1].get("gone") is True and child.returncode == 2
               and b"1 gone meanwhile" in err,
               "an image that went away is told as gone", [str(err)])
    done = check("shrinking/b.qcow2", "shrinking/c.qcow2")
    tap.result(done.returncode == 1, "one that was named is missed",
               shown(done))


qimg.own_folder()
make_pool()
with running.writer("pool/g-used.qcow2"):
    lines()
    objects()
gone()
sys.exit(tap.finish())
