#!/usr/bin/env python3
"""Many small images: side by side in threads, without a process of their own,
with few files open, and the output in the order of their names."""
import os
import resource
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
import qimg  # noqa: E402
from tap import Tap  # noqa: E402

QFSCK = qimg.qfsck_path()
HERE = os.path.dirname(os.path.abspath(__file__))
MANY = 600
tap = Tap()


def few_files():
    resource.setrlimit(resource.RLIMIT_NOFILE, (24, 24))


def check(*argv, **more):
    env = dict(qimg.environment(), **more.pop("env", {}))
    return subprocess.run([QFSCK, "check", *argv], capture_output=True,
                          timeout=120, stdin=subprocess.DEVNULL, env=env,
                          **more)


def make_pool():
    os.mkdir("pool")
    qimg.build(os.path.abspath("sound"), "64M", ["write 0 192k"])
    qimg.build(os.path.abspath("leaks"), "64M", ["write 0 64k"])
    with qimg.Image("leaks") as image:
        end = image.clusters()
        image.truncate((end + 1) * image.cluster)
        image.set_refcount(end, 1)
    for n in range(MANY):
        with open("leaks" if n % 50 == 7 else "sound", "rb") as source, \
                open(f"pool/{n:04}", "wb") as target:
            target.write(source.read())


qimg.own_folder()
make_pool()
want = check("--jobs=1", "pool")
names = [l.split(b":")[0] for l in want.stdout.splitlines()
         if l.startswith(b"pool/")]
tap.result(want.returncode == 3 and names ==
           [b"pool/%04d" % n for n in range(MANY)] and want.stdout.endswith(
               b"600 images: 588 clean, 12 with leaks\n"),
           "one after another", [str(want)[-400:]])
for jobs in (2, 3, 16):
    done = check(f"--jobs={jobs}", "pool")
    tap.result((done.stdout, done.stderr, done.returncode) ==
               (want.stdout, want.stderr, want.returncode),
               f"{jobs} at once: the same bytes")
line = check("--jobs=4", "--output=json", "pool")
tap.result(line.stdout == check("--jobs=1", "--output=json", "pool").stdout,
           "lines of JSON as well")
if qimg.sanitized(QFSCK):
    tap.skip("no process is made", "sanitized")
else:
    shim = os.path.abspath("nochild.so")
    subprocess.run(["cc", "-shared", "-fPIC", "-o", shim,
                    os.path.join(HERE, "nochild.c")], check=True)
    done = check("--jobs=2", "pool", env={"LD_PRELOAD": shim})
    tap.result(done.stdout == want.stdout, "no process is made")
done = check("--jobs=4", "pool", preexec_fn=few_files)
tap.result((done.stdout, done.returncode) == (want.stdout, 3),
           "no more files are open than threads need", [str(done)[-400:]])
sys.exit(tap.finish())
