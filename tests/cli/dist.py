#!/usr/bin/env python3
"""make dist: the tracked files as the last commit has them, the same bytes
each time, in a folder of their own; what is built from it tells no commit, and
what is built from a clone does.
"""

import os
import shutil
import subprocess
import sys
import tarfile
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "lib"))

from tap import Tap                                         # noqa: E402

ROOT = os.path.abspath(os.path.join(HERE, "..", ".."))
WORK = tempfile.mkdtemp(prefix="dist.")
CLONE = os.path.join(WORK, "clone")
tap = Tap()


def run(*args, cwd):
    env = {k: v for k, v in os.environ.items()
           if k not in ("MAKEFLAGS", "MFLAGS", "O") and k[:4] != "GIT_"}
    return subprocess.run(args, cwd=cwd, env=env, capture_output=True,
                          text=True, timeout=120)


def dist():
    """Makes the tarball; its path and its bytes."""
    done = run("make", "dist", cwd=CLONE)
    found = [n for n in os.listdir(CLONE) if n.endswith(".tar.gz")]
    if done.returncode or len(found) != 1:
        tap.result(False, "make dist makes one tarball",
                   [*done.stderr.splitlines()[-3:], *found])
        return None, b""
    path = os.path.join(CLONE, found[0])
    with open(path, "rb") as f:
        return path, f.read()


def commit_built(folder):
    """What a build there would call its commit."""
    run("make", "O=b", "b/commit", cwd=folder)
    with open(os.path.join(folder, "b", "commit"), encoding="utf-8") as f:
        return f.read().strip()


def look():
    path, first = dist()
    if not path:
        return
    tracked = set(run("git", "ls-files", cwd=CLONE).stdout.splitlines())
    name = os.path.basename(path).removesuffix(".tar.gz")
    with tarfile.open(path) as tar:
        have = {m.name for m in tar.getmembers() if not m.isdir()}
        tar.extractall(WORK)
    want = {f"{name}/{n}" for n in tracked}
    tap.result(have == want, "it holds what is tracked, below its own name",
               sorted(have ^ want)[:10])
    with open(os.path.join(CLONE, "not tracked"), "w", encoding="utf-8"):
        pass
    tap.result(dist()[1] == first, "it has the same bytes each time")
    head = run("git", "rev-parse", "HEAD", cwd=CLONE).stdout.strip()
    tap.result(head and commit_built(CLONE) == head[:12],
               "a clone's program tells its commit", [commit_built(CLONE)])
    with open(os.path.join(CLONE, "NEWS"), "a", encoding="utf-8") as f:
        f.write("changed\n")
    tap.result(commit_built(CLONE) == head[:12] + "+",
               "and that it was changed since")
    # below a clone, as packages are built
    inside = os.path.join(CLONE, name)
    shutil.move(os.path.join(WORK, name), inside)
    tap.result(commit_built(inside) == "", "the tarball's tells none",
               [commit_built(inside)])


why = None
if not shutil.which("git") or not shutil.which("make"):
    why = "no git, or no make"
elif run("git", "clone", "-q", "--shared", ROOT, CLONE, cwd=WORK).returncode:
    why = "not a clone"
if why:
    tap.skip("make dist", why)
else:
    look()
shutil.rmtree(WORK)
sys.exit(tap.finish())
