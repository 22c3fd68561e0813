#!/usr/bin/env python3
"""The commands around a repair: options, exit codes, locks, other names."""

import json
import os
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "lib"))

import oracle                                               # noqa: E402
import qimg                                                 # noqa: E402
from tap import Tap                                         # noqa: E402

QFSCK = qimg.qfsck_path()
tap = Tap()
work = tempfile.mkdtemp(prefix="qfsck-repair.")


def fresh(name, damage):
    path = os.path.join(work, name)
    qimg.build(path, "4M", ["write -P 1 0 256k", "write -P 2 1M 256k"],
               cluster_size=4096)
    with qimg.Image(path) as image:
        damage(image)
    return path


def leak(image):
    image.truncate(image.file_size() + 4 * image.cluster)
    image.set_refcount(image.clusters() - 1, 1)


def lower(image):
    """A refcount of 0 on a cluster in use."""
    image.set_refcount((image.normal_entries()[0][2] & qimg.OFFSET_MASK)
                       // image.cluster, 0)


def both(image):
    leak(image)
    lower(image)


def run(*args, **more):
    done = subprocess.run(args, stdin=subprocess.DEVNULL, timeout=60,
                          capture_output=True, env=qimg.environment(), **more)
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def case(name, good, *detail):
    tap.result(good, name, [str(d)[-400:] for d in detail] if not good else [])


def plan_only():
    path = fresh("plan", both)
    before = oracle.sha(path)
    code, out, err = run(QFSCK, "repair", "-n", path)
    case("-n shows a plan, changes nothing, and tells the state",
         code == 2 and "The plan" in out and oracle.sha(path) == before
         and os.listdir(work) == ["plan"], code, out, err)
    code, out, _ = run(QFSCK, "repair", path)
    case("without a terminal it stops with the plan",
         code == 2 and oracle.sha(path) == before, code, out)
    code, out, _ = run(QFSCK, "repair", "-n", "--output=json", path)
    said = json.loads(out)
    case("the plan in JSON",
         said["verdict-before"] == "corrupt" and not said["applied"]
         and said["undo-file"] is None and said["verdict-after"] == "clean"
         and {e["problem"] for e in said["edits"]} >=
         {"refcount-zero", "refcount-leak"}, out)


def bounded():
    path = fresh("preen", both)
    code, out, err = run(QFSCK, "repair", "-p", path)
    case("-p does not raise refcounts", code == 2, code, out, err)
    path = fresh("preen2", leak)
    code, out, err = run(QFSCK, "repair", "-p", path)
    case("-p frees leaks", code == 0, code, out, err)
    path = fresh("risk", lower)
    code, out, _ = run(QFSCK, "repair", "-y", "--risk=none", path)
    case("--risk=none bounds -y", code == 2, code, out)
    code, out, _ = run(QFSCK, "repair", "-y", "--risk=metadata", path)
    case("--risk=metadata lets it", code == 0, code, out)


def undo_file():
    path = fresh("undo", both)
    before = oracle.sha(path)
    place = os.path.join(work, "elsewhere")
    code, _, err = run(QFSCK, "repair", "-y", "--undo", place, path)
    case("--undo says where", code == 0 and os.path.exists(place)
         and not os.path.exists(path + ".qfsck-undo"), code, err)
    again = fresh("undo2", both)
    code, _, err = run(QFSCK, "repair", "-y", "--undo", place, again)
    case("an undo file is never overwritten", code == 1
         and oracle.sha(again) == before, code, err)
    code, _, err = run(QFSCK, "undo", place, again)
    case("undo refuses another image", code == 1
         and oracle.sha(again) == before, code, err)
    after = oracle.sha(path)
    code, _, err = run(QFSCK, "undo", "-n", place, path)
    case("undo -n only looks", code == 0 and oracle.sha(path) == after, err)
    kept = os.path.join(work, "written")
    shutil.copy2(path, kept)
    qimg.qemu_io(kept, "write -P 9 2M 64k")
    since = oracle.sha(kept)
    code, _, err = run(QFSCK, "undo", place, kept)
    case("undo refuses an image that was written to since", code == 1
         and oracle.sha(kept) == since, code, err)
    code, _, err = run(QFSCK, "undo", place, path)
    case("undo gives the bytes back", code == 0
         and oracle.sha(path) == before, code, err)
    code, _, err = run(QFSCK, "undo", place, path)
    case("undo is done once", code == 1 and oracle.sha(path) == before, err)
    with open(place, "r+b") as file:
        file.seek(600)
        file.write(b"\xff\xff")
    code, _, err = run(QFSCK, "undo", place, path)
    case("a damaged undo file is refused", code == 1
         and oracle.sha(path) == before, code, err)


def output_image():
    path = fresh("origin", both)
    before = oracle.sha(path)
    new = os.path.join(work, "new")
    code, out, err = run(QFSCK, "repair", "-y", "--output-image", new, path)
    case("--output-image repairs a copy", code == 0
         and oracle.sha(path) == before
         and qimg.qemu_check(new)[0] == 0, code, out, err)
    code, _, err = run(QFSCK, "repair", "-y", "--output-image", new, path)
    case("and overwrites nothing", code == 1, code, err)


def check_r():
    path = fresh("check", both)
    code, out, err = run(QFSCK, "check", "-r", "leaks", "--output=json", path)
    said = json.loads(out)
    case("check -r leaks frees leaks only", code == 2
         and said["leaks-fixed"] == 1 and said["corruptions"] == 2,
         code, out, err)
    code, out, err = run(QFSCK, "check", "-r", "all", "--output=json", path)
    said = json.loads(out)
    case("check -r all repairs", code == 0 and said["corruptions-fixed"] == 2
         and said["verdict"] == "clean", code, out, err)
    code, out, err = run(QFSCK, "check", "-r", "some", path)
    case("check -r knows no other word", code == 1, code, err)


def as_fsck():
    link = os.path.join(work, "fsck.qcow2")
    os.symlink(QFSCK, link)
    path = fresh("fsck", both)
    codes = [run(link, *args)[0] for args in (
        ("-n", path), ("-p", path), ("-y", path), ("-y", path),
        ("-Z", path), ("-y", path + "-not-there"))]
    case("fsck.qcow2 has fsck's codes", codes == [4, 5, 1, 0, 16, 8]
         or codes == [4, 4, 1, 0, 16, 8], codes)


def locks():
    path = fresh("lock", both)
    before = oracle.sha(path)
    held = subprocess.Popen(["qemu-io", "-f", "qcow2", path],
                            stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    held.stdin.write(b"length\n")
    held.stdin.flush()
    held.stdout.readline()
    code, _, err = run(QFSCK, "repair", "-y", path)
    case("an image in use is refused, and its user named", code == 1
         and "qemu-io" in err and oracle.sha(path) == before, code, err)
    held.stdin.close()
    held.wait()


try:
    for part in (plan_only, bounded, undo_file, output_image, check_r,
                 as_fsck, locks):
        part()
finally:
    shutil.rmtree(work)
sys.exit(tap.finish())
