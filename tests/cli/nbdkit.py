#!/usr/bin/env python3
"""nbdkit's plugin: the states of a disk as exports, also of a damaged image."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "lib"))

import known                                                # noqa: E402
import qimg                                                 # noqa: E402
import tools                                                # noqa: E402
from tap import Tap                                         # noqa: E402

tap = Tap()
WORK = tempfile.mkdtemp(prefix="nbdkit.", dir=os.environ.get("TMPDIR"))
PLUGIN = tools.library_path("nbdkit-qfsck-plugin.so")
MB = 1 << 20


def at(name):
    return os.path.join(WORK, name)


def run(*args):
    done = subprocess.run(args, capture_output=True, text=True, timeout=120,
                          stdin=subprocess.DEVNULL)
    return done.returncode, done.stdout, done.stderr


class Export:
    """The plugin with what ARGS say, on a socket of its own."""

    def __init__(self, *args):
        self.socket = tempfile.mktemp(prefix="s", dir=WORK)
        self.uri = "nbd+unix:///?socket=" + self.socket
        self.process = subprocess.Popen(
            ["nbdkit", "-f", "-U", self.socket, PLUGIN, *args],
            stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)

    def __enter__(self):
        while not os.path.exists(self.socket):
            if self.process.poll() is not None:
                raise qimg.Refused(self.process.stderr.read().decode())
            time.sleep(.01)
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.communicate()


def image():
    """A compressed part, a snapshot, a base below."""
    base, path = at("base.qcow2"), at("a.qcow2")
    qimg.build(base, "64M", ["write -P 9 50M 1M"])
    qimg.build(path, "64M", ["write -P 1 0 1M", "write -c -P 2 8M 64k",
                             ("snap", "before"), "write -P 3 512k 2M",
                             "write -z 50M 128k"],
               backing_file=base, backing_fmt="qcow2", cluster_size=16384)
    return path


def raw_of(path, *args):
    out = tempfile.mktemp(prefix="raw", dir=WORK)
    qimg.run([qimg.qfsck_path(), "extract", *args, path, out])
    with open(out, "rb") as file:
        return file.read()


def copied(uri):
    out = tempfile.mktemp(prefix="copy", dir=WORK)
    status, _, err = run("nbdcopy", uri, out)
    if status:
        raise qimg.Refused(err)
    with open(out, "rb") as file:
        return file.read()


def states(path):
    for name, export, extract in (
            ("the active disk", (), ()),
            ("a snapshot by name", ("snapshot=before",), ("-s", "before")),
            ("a snapshot by id", ("snapshot=1",), ("-s", "1"))):
        with Export(path, *export) as server:
            tap.result(copied(server.uri) == raw_of(path, *extract),
                       name + ": nbdcopy gets what extract writes")


def map_is_true(path):
    """Holes are where map says zeros; everything else is data."""
    with Export(path) as server:
        _, out, err = run("nbdinfo", "--json", "--map", server.uri)
    holes = sorted((e["offset"], e["length"]) for e in json.loads(out)
                   if e["type"] == 3)
    _, out, _ = qimg.run([qimg.qfsck_path(), "map", "--output=json", path])
    mine = []
    for e in json.loads(out):
        if e["zero"] and mine and sum(mine[-1]) == e["start"]:
            mine[-1] = (mine[-1][0], mine[-1][1] + e["length"])
        elif e["zero"]:
            mine.append((e["start"], e["length"]))
    tap.result(holes == mine, "block status is the map's",
               [err, str(holes), str(mine)])


def several_clients(path):
    wanted = raw_of(path)
    with Export(path) as server:
        outs = [tempfile.mktemp(prefix="c", dir=WORK) for _ in range(4)]
        runs = [subprocess.Popen(["nbdcopy", server.uri, out])
                for out in outs]
        good = all(r.wait(timeout=120) == 0 for r in runs)
    for out in outs:
        with open(out, "rb") as file:
            good = good and file.read() == wanted
    tap.result(good, "four clients at once")


def lost(path):
    """A table that was erased: an error there, and the rest is served."""
    with qimg.Image(path) as i:
        table = known.Known(i).active_tables()[0]
    with open(path, "r+b") as file:
        file.seek(table)
        file.write(bytes(16384))
    status, out, _ = qimg.run([qimg.qfsck_path(), "check", "--output=json",
                               path])
    ranges = json.loads(out)["lost"]
    bad = ranges[0]["guest-offset"]
    good = 50 * MB
    for args, wanted in (((), (1, 0)), (("lost=zeros",), (0, 0))):
        with Export(path, *args) as server:
            told = tuple(
                int("rror" in "".join(run("qemu-io", "-r", "-f", "raw", "-c",
                                          "read %d 4k" % at_, server.uri)[1:]))
                for at_ in (bad, good))
        tap.result(status == 2 and told == wanted,
                   "what is lost: " + (args[0] if args else "an error"),
                   [str(told), str(ranges)])
    with Export(path) as server:
        clients = [subprocess.Popen(
            ["qemu-io", "-r", "-f", "raw", "-c", "read %d 4k" % where,
             server.uri], text=True, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
            for where in (bad, good) * 4]
        told = [int("rror" in c.communicate(timeout=120)[0]) for c in clients]
    tap.result(told == [1, 0] * 4, "so it is for eight clients at once",
               [str(told)])
    with Export(path, "snapshot=before") as server:
        tap.result(copied(server.uri) == raw_of(path, "-s", "before"),
                   "the snapshot is whole all the same")


def refused(path):
    for args, wanted in (((path, "snapshot=none"), "has no snapshot"),
                         ((at("none"),), "No such file"),
                         ((__file__,), "is no qcow2 image"),
                         ((path, "lost=maybe"), "lost=zeros"),
                         ((path, "color=red"), "unknown parameter"),
                         ((), "name the image")):
        status, _, err = run("nbdkit", "-f", "-U", at("never"), PLUGIN, *args)
        tap.result(status != 0 and wanted in err, "refused: " + wanted, [err])


def is_locked(path):
    """A guest cannot start on it meanwhile; share=true lets it."""
    for args, wanted in (((), True), (("share=true",), False)):
        with Export(path, *args):
            err = run("qemu-io", "-f", "qcow2", "-c", "write 0 512", path)[2]
        tap.result(("lock" in err) == wanted, "a writer beside it: " + (
            "refused" if wanted else "let in with share=true"), [err])


def main():
    missing = [p for p in ("nbdkit", "nbdcopy", "nbdinfo")
               if not shutil.which(p)]
    if not PLUGIN or missing:
        tap.skip("the plugin", "not built, or no " + " ".join(missing))
        return tap.finish()
    try:
        path = image()
        states(path)
        map_is_true(path)
        several_clients(path)
        refused(path)
        is_locked(path)
        lost(path)
    finally:
        shutil.rmtree(WORK)
    return tap.finish()


sys.exit(main())
