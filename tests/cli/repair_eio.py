#!/usr/bin/env python3
"""A repair of an image of which one cluster cannot be read.

The rest is repaired, what cannot be read is named, and once it can be read
again nothing is worse than it was (a shim for pread, tests/cli/eio.c).
"""
import json
import os
import shutil
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
sys.path.insert(0, os.path.join(HERE, "..", "lib"))
import eio  # noqa: E402
import oracle  # noqa: E402
import qimg  # noqa: E402
from tap import Tap  # noqa: E402

IMAGE, KEPT = eio.IMAGE, "kept.qcow2"
COPIED = qimg.COPIED


def repair(bad, *options):
    env = dict(qimg.environment(), LD_PRELOAD=os.path.abspath("eio.so"),
               EIO_FILE=os.path.abspath(IMAGE), EIO_OFF=str(bad),
               EIO_LEN="4096")
    return subprocess.run([eio.QFSCK, "repair", "-y", "--output=json",
                           *options, IMAGE],
                          env=env, capture_output=True, timeout=60)


def restore():
    shutil.copyfile(KEPT, IMAGE)
    if os.path.exists(IMAGE + ".qfsck-undo"):
        os.remove(IMAGE + ".qfsck-undo")


def flags():
    """Which pointers of the active disk have COPIED."""
    with qimg.Image(os.path.abspath(IMAGE)) as image:
        return [bool(e & COPIED) for e in image.l1()] + \
            [bool(e & COPIED) for _, _, e in image.entries()]


def corruptions():
    return qimg.qfsck_check(os.path.abspath(IMAGE))[1]["corruptions"]


def one_place(tap, what, bad, done_too=None):
    """DONE_TOO: a problem that must be repaired all the same."""
    restore()
    before, had = corruptions(), flags()
    sha = oracle.sha(IMAGE)
    done = repair(bad)
    said = qimg.parse(done.stdout) or {"left": [], "edits": []}
    faults = [] if done.returncode in (1, 2, 3) else ["exit"]
    if not any("unread" in f["name"] or f["name"] == done_too
               for f in said["left"]):
        faults.append("what cannot be read is not named")
    if corruptions() > before:
        faults.append("more corruptions than before")
    if flags() != had:
        faults.append("COPIED flags were changed")
    if done_too and not any(e["problem"] == done_too for e in said["edits"]):
        faults.append("not repaired: " + done_too)
    if oracle.sha(IMAGE) != sha:
        code, text = oracle.undo(IMAGE)
        if code or oracle.sha(IMAGE) != sha:
            faults.append("undo: " + text)
    tap.result(not faults, what, faults and faults + [
        "exit %s" % done.returncode, done.stderr.decode(errors="replace"),
        json.dumps(said, indent=1)[:1500]])


def each_place(tap):
    spots = eio.make(eio.LAYOUTS["4k"])
    shutil.copyfile(IMAGE, KEPT)
    for kind, bad in spots:
        if kind != "header":
            one_place(tap, f"{kind} at {bad:#x} unreadable", bad)


def many_blocks(tap):
    """A leak in one refcount block, another block not readable."""
    path = os.path.abspath(IMAGE)
    qimg.build(path, "16M", ["write -P 1 0 12M"], cluster_size=4096,
               refcount_bits=64)
    with qimg.Image(path) as image:
        blocks = image.tables()["refblock"]
        end = image.clusters()
        image.truncate((end + 1) * image.cluster)
        image.set_refcount(end, 1)
        # and one that counts too much in the block that will be bad
        image.set_refcount((blocks[1] // image.cluster) + 9, 2)
    shutil.copyfile(IMAGE, KEPT)
    one_place(tap, "a refcount block of several unreadable", blocks[1])


def double_owner(tap):
    """Two owners of one cluster that cannot be read; a reserved bit beside."""
    path = os.path.abspath(IMAGE)
    qimg.build(path, "16M", ["write -P 1 0 64k"], cluster_size=4096)
    with qimg.Image(path) as image:
        entries = image.normal_entries()
        shared = entries[3][2]
        image.put64(entries[5][1], shared)
        image.set_refcount((entries[5][2] & qimg.OFFSET_MASK)
                           // image.cluster, 0)
        image.put64(entries[9][1], entries[9][2] | 2)
    shutil.copyfile(IMAGE, KEPT)
    restore()
    done = repair(shared & qimg.OFFSET_MASK)
    said = qimg.parse(done.stdout) or {"left": [], "edits": []}
    tap.result(done.returncode == 2
               and any(e["problem"] == "l2-entry-reserved"
                       for e in said["edits"])
               and any(f["name"] == "cluster-shared-data"
                       for f in said["left"]),
               "two owners of a cluster that cannot be read stay, the rest "
               "is repaired", [str(done.returncode), done.stderr.decode(),
                               done.stdout.decode()[:1500]])


def trimming(tap):
    """A free cluster that cannot be read stays, within the file and where it
    would be cut off; the others are trimmed."""
    path, cluster = os.path.abspath(IMAGE), 4096
    qimg.build(path, "16M", ["write -P 1 0 4M", "discard 1M 1M"],
               cluster_size=cluster)
    with qimg.Image(path) as image:
        inside = image.free_clusters()
        for cl in inside:
            image.write(cl * cluster, b"old" * 100)
        end = image.clusters()
        image.truncate((end + 600) * cluster)
        image.write(end * cluster, b"tail" * 1024 * 600)
    for what, bad in (("within the file", inside[len(inside) // 2]),
                      ("in the free end", end + 300)):
        if os.path.exists(IMAGE + ".qfsck-undo"):
            os.remove(IMAGE + ".qfsck-undo")
        before = oracle.sha(path)
        done = repair(bad * cluster, "--trim")
        said = qimg.parse(done.stdout) or {}
        trim = said.get("trim") or {}
        with qimg.Image(path) as image:
            left = image.clusters()
            zero = [cl for cl in range(left)
                    if not any(image.read(cl * cluster, cluster))]
            good = image.read(bad * cluster, 4)[:3] in (b"old", b"tai")
        free = set(inside + list(range(end, left))) - {bad}
        good = good and done.returncode == 0 and free <= set(zero) \
            and left == max(end, bad + 1) and trim.get("applied") \
            and trim["unreadable-bytes"] == cluster
        code, text = oracle.undo(path)
        tap.result(good and code == 0 and oracle.sha(path) == before,
                   f"--trim leaves out a cluster {what} that cannot be read",
                   [str(done.returncode), done.stderr.decode(), str(trim),
                    str((left, end, bad)), text])


def only_candidate(tap):
    """A table is not "the only one" while a cluster that may hold another
    cannot be read."""
    path, cluster = os.path.abspath(IMAGE), 4096
    qimg.build(path, "16M", ["write -P 1 0 1M"], cluster_size=cluster)
    with qimg.Image(path) as image:
        end = image.clusters()
        image.truncate((end + 1) * cluster)
        image.write(end * cluster, qimg.TEXT)
        image.set_refcount(end, 1)
        image.put("refcount_table_offset", 1 << 40)
    shutil.copyfile(IMAGE, KEPT)
    for bad, sure in ((1 << 50, True), (end * cluster, False)):
        restore()
        done = repair(bad)
        said = qimg.parse(done.stdout) or {"edits": []}
        only = any("the only refcount table" in e["what"]
                   for e in said["edits"])
        tap.result(done.returncode in (0, 2, 3) and only == sure,
                   "the only refcount table, all clusters read" if sure else
                   "not the only one, if a cluster cannot be read",
                   [str(done.returncode), done.stderr.decode(),
                    json.dumps(said, indent=1)[:1500]])


def main():
    tap = Tap()
    qimg.own_folder()
    if qimg.sanitized(eio.QFSCK):
        tap.skip("unreadable clusters", "a sanitizer must be loaded first")
        return tap.finish()
    why = eio.compile_shim()
    if why:
        tap.result(False, "the shim compiles", why.splitlines())
        return tap.finish()
    each_place(tap)
    many_blocks(tap)
    double_owner(tap)
    trimming(tap)
    only_candidate(tap)
    return tap.finish()


if __name__ == "__main__":
    sys.exit(main())
