#!/usr/bin/env python3
"""One unreadable cluster of metadata leaves the rest of the report whole.

An image has three things wrong in three places: an L2 entry, a bitmap, a
leak. Each of its metadata clusters in turn fails to be read (a shim for
pread, tests/cli/eio.c): the check goes on, says what could not be read, and
still finds all that does not hang on that cluster.
"""
import os
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "lib"))
import qimg  # noqa: E402
from tap import Tap  # noqa: E402

QFSCK = qimg.qfsck_path()
IMAGE = "disk.qcow2"
WRONG = {"l2": "l2-entry-reserved", "bitmap": "bitmap-table-entry",
         "leak": "refcount-leak"}
# What cannot be found without the cluster of each kind; a table that is lost
# makes leaks of all that it names.
HIDES = {"header": WRONG, "l1": ["l2"], "l2-wrong": ["l2"], "l2": [],
         "reftable": ["leak"], "refblock": ["leak"],
         "bitmap-dir": ["bitmap"], "bitmap-table": ["bitmap"],
         "snaptable": [], "snap-l1": []}


# Whose clusters are read in other ways: short L1 tables and long ones, L2
# tables in pieces, entries with bitmaps, narrow counts.
LAYOUTS = {
    "4k": {"cluster_size": 4096},
    "64k": {"cluster_size": 65536},
    "512": {"cluster_size": 512},
    "extl2": {"cluster_size": 16384, "extended_l2": "on"},
    "8-bit": {"cluster_size": 8192, "refcount_bits": 8},
}


def make(options):
    path = os.path.abspath(IMAGE)
    if os.path.exists(path):
        os.remove(path)
    qimg.build(path, "256M",
               ["write -P 1 0 64k", "write -P 2 8M 64k", "write -P 3 64M 64k",
                ("snap", "one"), "write -P 4 128k 64k",
                ("bitmap", "b0", "-g", "64k")], **options)
    with qimg.Image(path) as image:
        first = image.l1_used()[0]
        pos = image.l2_pos(first, 2)
        image.put64(pos, image.u64(pos) | 2)
        table = image.bitmap(image.bitmaps()[0], "table_offset")
        image.put64(table, 4)
        end = image.clusters()
        image.truncate((end + 1) * image.cluster)
        image.set_refcount(end, 1)
        return places(image, first)


def places(image, first):
    """(kind, host offset) of every metadata cluster."""
    found = [("header", 0), ("l1", image.l1_offset)]
    for index in image.l1_used():
        found.append(("l2-wrong" if index == first else "l2",
                      image.l2_offset(index)))
    tables = image.tables()
    snapshot = image.snapshots()[0]
    found += [("reftable", image.reftable_offset()),
              ("snaptable", image.get("snapshots_offset")),
              ("snap-l1", image.snapshot(snapshot, "l1_table_offset")),
              ("bitmap-dir", image.bitmaps_ext("directory_offset")),
              ("bitmap-table", image.bitmap(image.bitmaps()[0],
                                            "table_offset"))]
    found += [("refblock", off) for off in tables["refblock"]]
    return found


def compile_shim():
    compiler = os.environ.get("CC", "cc").split()
    done = subprocess.run([*compiler, "-D_GNU_SOURCE", "-shared", "-fPIC",
                           "-O1", "-o", "eio.so", os.path.join(HERE, "eio.c"),
                           "-ldl"], capture_output=True, text=True)
    return done.stderr if done.returncode else None


def check(bad=None, length=4096):
    env = qimg.environment()
    if bad is not None:
        env.update(LD_PRELOAD=os.path.abspath("eio.so"),
                   EIO_FILE=os.path.abspath(IMAGE), EIO_OFF=str(bad),
                   EIO_LEN=str(length))
    return subprocess.run([QFSCK, "check", "--output=json", IMAGE], env=env,
                          capture_output=True, timeout=60)


def names(done):
    report = qimg.parse(done.stdout)
    return {f["name"] for f in report["findings"]} if report else set()


def show(done):
    return [f"exit {done.returncode}", " ".join(sorted(names(done))),
            *done.stderr.decode(errors="replace").splitlines()]


# What an unreadable table may bring along: what it names has no owner, or a
# refcount that cannot be had.
FOLLOWS = ("unread", "refcount-leak", "refcount-high")


def one_place(tap, name, kind, offset, length, baseline):
    what = f"{name}: {kind} at {offset:#x} unreadable"
    done = check(offset, length)
    if kind == "header":
        tap.result(done.returncode == 1 and b"Input/output" in done.stderr,
                   f"{what}: exit 1 with the reason", show(done))
        return
    got = names(done)
    tap.result(done.returncode in (1, 2) and got, f"{what}: there is a report",
               show(done))
    unread = {n for n in got - baseline if "unread" in n}
    tap.result(unread, f"{what}: it is said", show(done))
    new = [n for n in got - baseline if not any(f in n for f in FOLLOWS)]
    tap.result(not new, f"{what}: nothing else is made up", [*new,
                                                            *show(done)])
    missing = [WRONG[k] for k in WRONG if k not in HIDES[kind]
               and not found(k, got)]
    tap.result(not missing, f"{what}: the rest is found", [*missing,
                                                           *show(done)])


def found(key, got):
    """A leak may be withheld once something else looks lost."""
    return WRONG[key] in got or (key == "leak" and any(
        n.startswith("refcount-leak") for n in got))


def one_layout(tap, name, options):
    spots = make(options)
    done = check()
    baseline = names(done)
    tap.result(done.returncode == 2 and set(WRONG.values()) <= baseline,
               f"{name}: with a sound disk all three are found", show(done))
    for kind, offset in spots:
        one_place(tap, name, kind, offset, options["cluster_size"], baseline)


def main():
    tap = Tap()
    qimg.own_folder()
    if qimg.sanitized(QFSCK):
        tap.skip("unreadable clusters", "a sanitizer must be loaded first")
        return tap.finish()
    why = compile_shim()
    if why:
        tap.result(False, "the shim compiles", why.splitlines())
        return tap.finish()
    for name, options in LAYOUTS.items():
        one_layout(tap, name, options)
    return tap.finish()


if __name__ == "__main__":
    sys.exit(main())
