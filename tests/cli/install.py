#!/usr/bin/env python3
"""make install and make uninstall, with DESTDIR and PREFIX.

They run in a copy of the files that a clone has, so that nothing is installed
that only lies about here; what is built is taken from the build under test.
"""

import os
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "lib"))

from tap import Tap                                         # noqa: E402
import make                                                 # noqa: E402
import tools                                                # noqa: E402

ROOT = os.path.abspath(os.path.join(HERE, "..", ".."))
BUILD = os.path.abspath(os.environ.get("QFSCK_BUILD",
                                       os.path.join(ROOT, "build")))
WORK = tempfile.mkdtemp(prefix="install.")
CLONE, DEST = os.path.join(WORK, "clone"), os.path.join(WORK, "dest")
WANT = {"bin/qfsck": 0o755, "bin/fsck.qcow2": "qfsck",
        "share/man/man1/qfsck.1": 0o644,
        "share/man/man1/fsck.qcow2.1": "qfsck.1",
        "share/man/man7/qfsck-problems.7": 0o644,
        "share/bash-completion/completions/qfsck": 0o644,
        "share/bash-completion/completions/fsck.qcow2": "qfsck",
        "share/zsh/site-functions/_qfsck": 0o644,
        "share/fish/vendor_completions.d/qfsck.fish": 0o644,
        "share/fish/vendor_completions.d/fsck.qcow2.fish": "qfsck.fish",
        "share/doc/qfsck/examples/libvirt-hook": 0o755,
        "share/doc/qfsck/examples/qfsck-hosts": 0o755,
        "share/doc/qfsck/examples/qfsck-merge": 0o755,
        "share/doc/qfsck/examples/qfsck-slurm": 0o755,
        "lib/systemd/system/qfsck@.service": 0o644,
        "lib/systemd/system/qfsck@.timer": 0o644,
        "lib/systemd/system/qfsck-fail@.service": 0o644,
        "lib/libqfsck.so.0": 0o644, "lib/libqfsck.so": "libqfsck.so.0",
        "lib/pkgconfig/qfsck.pc": 0o644, "include/qfsck.h": 0o644}
PLUGIN = tools.library_path("nbdkit-qfsck-plugin.so")
if PLUGIN:
    WANT["lib/nbdkit/plugins/nbdkit-qfsck-plugin.so"] = 0o644
PAGES = [name for name in WANT if name.startswith("share/man")]
tap = Tap()


def make_clone():
    """The tracked files as they are now; without git, those at the root."""
    status, out, _ = tools.run(["git", "ls-files", "-z"], cwd=ROOT)
    names = out.decode().split("\0")[:-1] if status == 0 else [
        n for n in os.listdir(ROOT) if os.path.isfile(os.path.join(ROOT, n))]
    for name in names:
        if name.startswith(("corpus/", "tests/")):
            continue
        to = os.path.join(CLONE, name)
        os.makedirs(os.path.dirname(to), exist_ok=True)
        if os.path.exists(os.path.join(ROOT, name)):
            shutil.copyfile(os.path.join(ROOT, name), to)


def run_make(target, prefix):
    """`-o all`: what is built is not built anew. Returns what went wrong."""
    env = {k: v for k, v in os.environ.items()
           if k not in ("MAKEFLAGS", "MFLAGS", "DESTDIR", "PREFIX")}
    done = subprocess.run(
        ["make", "-o", "all", target, "DESTDIR=" + DEST, "PREFIX=" + prefix,
         "O=" + BUILD, "QFSCK=" + tools.qfsck_path(),
         "LIB_SO=" + tools.library_path(), "PLUGIN=" + (PLUGIN or "none")],
        cwd=CLONE, env=env, capture_output=True, text=True, timeout=120)
    return [] if done.returncode == 0 else done.stderr.splitlines()[-3:]


def installed(prefix):
    """What lies in DEST: name without the prefix -> mode, or link's aim."""
    found, top = {}, os.path.join(DEST, prefix.lstrip("/"))
    for folder, _, names in os.walk(DEST):
        for name in names:
            path = os.path.join(folder, name)
            found[os.path.relpath(path, top)] = os.readlink(path) \
                if os.path.islink(path) else os.stat(path).st_mode & 0o777
    return found


def in_place(prefix):
    notes = run_make("install", prefix)
    have = installed(prefix)
    return notes or [f"{n}: {have.get(n)}, not {WANT.get(n)}"
                     for n in sorted(have.keys() | WANT.keys())
                     if have.get(n) != WANT.get(n)]


def it_runs(prefix):
    """The program does its work from there, under both of its names."""
    path, top = os.path.join(WORK, "image"), DEST + prefix
    make.build(path, "1M", ["write 0 64k"])
    notes = []
    for args in (["qfsck", "check", "-q", path], ["fsck.qcow2", "-n", path]):
        status, out, err = tools.run([f"{top}/bin/{args[0]}", *args[1:]])
        if status != 0:
            notes.append(f"{args[0]}: {status}: {out!r} {err!r}")
    return notes


def pages_can_be_read(prefix):
    notes = []
    for page in PAGES:
        path = f"{DEST}{prefix}/{page}"
        done = subprocess.run(["groff", "-man", "-ww", "-Tutf8", path],
                              capture_output=True, text=True, timeout=60)
        if done.returncode or done.stderr or "QFSCK" not in done.stdout.upper():
            notes += [page, *done.stderr.splitlines()[:3]]
    return notes


def gone(prefix):
    with open(f"{DEST}{prefix}/bin/another", "w", encoding="utf-8"):
        pass
    notes = run_make("uninstall", prefix)
    left = set(installed(prefix)) - {"bin/another"}
    there = os.path.exists(f"{DEST}{prefix}/bin/another")
    shutil.rmtree(DEST)
    return notes + [f"left: {n}" for n in sorted(left)] + \
        ([] if there else ["another's file was removed"])


make_clone()
if shutil.which("make"):
    for prefix in ("/usr/local", "/opt/a b"):
        for case, what in ((in_place, "installs what it should"),
                           (it_runs, "runs from there"),
                           (pages_can_be_read, "has pages that can be read"),
                           (gone, "uninstalls without a rest")):
            if case is pages_can_be_read and not shutil.which("groff"):
                tap.skip(f"{prefix} {what}", "no groff")
                continue
            notes = case(prefix)
            tap.result(not notes, f"{prefix} {what}", notes)
else:
    tap.skip("install", "no make")
shutil.rmtree(WORK)
sys.exit(tap.finish())
