#!/usr/bin/env python3
"""qfsck repair --trim: what free clusters take is given back, and undo puts
it there again; nothing else is touched."""

import json
import os
import shutil
import signal
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "lib"))
sys.path.insert(0, os.path.join(HERE, ".."))

import corpus                                               # noqa: E402
import differential                                         # noqa: E402
import oracle                                               # noqa: E402
import qimg                                                 # noqa: E402
from tap import Tap                                         # noqa: E402

QFSCK = qimg.qfsck_path()
qimg.own_folder()
tap = Tap()


def case(name, good, *detail):
    tap.result(good, name, [str(d)[-400:] for d in detail] if not good else [])


def run(*args, **env):
    done = subprocess.run([QFSCK, *args], stdin=subprocess.DEVNULL,
                          timeout=60, capture_output=True,
                          env=dict(qimg.environment(), **env))
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def trimmed(*args):
    """(exit code, what --output=json says of the trimming, all of it)"""
    status, out, err = run("repair", "--trim", "--output=json", *args)
    said = json.loads(out) if out.startswith("{") else {}
    return status, said.get("trim"), said or err


def on_disk(path):
    return os.stat(path).st_blocks * 512


def bloated(name, cluster=65536, **options):
    """Free clusters inside, with old data in them, and a free tail."""
    path = os.path.abspath(name)
    qimg.build(path, "8M", ["write -P 1 0 1M", "write -P 2 1M 1M",
                            ("snap", "one"), "write -P 3 4M 1M",
                            "discard 0 512k", "discard 4M 256k"],
               cluster_size=cluster, **options)
    with qimg.Image(path) as image:
        for cl in image.free_clusters():
            image.write(cl * cluster, b"old data " * 7)
            image.write((cl + 1) * cluster - 9, b"old data ")
        end = image.clusters()
        image.truncate((end + 9) * cluster)
        image.write((end + 3) * cluster, b"tail" * 400)
    return path


def free_is_zero(path):
    with qimg.Image(path) as image:
        return all(not any(image.read(cl * image.cluster, image.cluster))
                   for cl in image.free_clusters())


def whole_story(name, cluster=65536, **options):
    path = bloated(name, cluster, **options)
    before, views, room = oracle.sha(path), oracle.views(path), on_disk(path)
    size = os.path.getsize(path)
    status, plan, said = trimmed("-n", path)
    case(f"{name}: -n shows it and writes nothing",
         status == 0 and plan and not plan["applied"]
         and plan["free-clusters"] >= 9 and plan["file-size-after"] < size
         and oracle.sha(path) == before
         and not os.path.exists(path + ".qfsck-undo"), status, said)
    status, done, said = trimmed("-y", path)
    case(f"{name}: what was shown is done", status == 0 and done
         and dict(done, applied=False) == plan and done["applied"]
         and os.path.getsize(path) == plan["file-size-after"]
         and (cluster < 4096 or free_is_zero(path)), status, said)
    gained = room - on_disk(path)
    case(f"{name}: the room is gained as it says",
         0 < gained <= done["punched-bytes"] + done["cut-bytes"],
         gained, done)
    case(f"{name}: the guest's data are untouched, and qemu-img agrees",
         oracle.views(path) == views and qimg.qemu_check(path)[0] == 0)
    again = oracle.sha(path)
    status, more, said = trimmed("-y", path)
    case(f"{name}: a second time there is nothing to trim",
         status == 0 and more and not more["applied"]
         and more["file-size-after"] == more["file-size-before"]
         and oracle.sha(path) == again, said)
    kept = on_disk(path + ".qfsck-undo")
    code, said = oracle.undo(path)
    case(f"{name}: undo gives every byte back", code == 0
         and oracle.sha(path) == before, code, said)
    case(f"{name}: zeros are not kept", kept < done["punched-bytes"]
         + done["cut-bytes"] + (64 << 10), kept, done)


def only_when_clean():
    """A lost L2 table: what is free may be its data."""
    for name in ("lost-l2-zeroed", "lost-l1-zeroed", "l2-is-random",
                 "truncated"):
        folder = os.path.abspath(name)
        os.mkdir(folder)
        path = corpus.Case(name).make(folder)
        with qimg.Image(path) as image:
            free = [cl for cl in image.free_clusters()][-3:]
            for cl in free:
                image.write(cl * image.cluster, b"who knows")
            image.truncate(image.file_size() + 4 * image.cluster)
        size = os.path.getsize(path)
        status, plan, said = trimmed("-y", path)
        case(f"{name}: not trimmed, and it says why", plan is not None
             and not plan["applied"] and plan.get("reason")
             and os.path.getsize(path) >= size, status, said)


def after_a_loss():
    """What an earlier repair gave up may lie in free clusters."""
    path = bloated("lossy.qcow2")
    with qimg.Image(path) as image:
        entry = image.l1()[image.l1_used()[0]] & qimg.OFFSET_MASK
        image.write(entry, b"\xff" * image.cluster)
    run("repair", "-y", path)
    status, plan, said = trimmed("-y", path)
    case("not trimmed after a repair that gave something up",
         plan is not None and not plan["applied"], status, said)


def grown():
    """The file ended in a cluster that is freed, and what is new lies behind
    it: all of it is trimmed at once."""
    path = os.path.abspath("grown.qcow2")
    qimg.build(path, "8M", ["write -P 1 0 1M", ("snap", "one")],
               cluster_size=4096)
    with qimg.Image(path) as image:
        image.put_snapshot(image.snapshots()[0], "extra_size", 1100)
        table = image.get("snapshots_offset")
    before = oracle.sha(path)
    status, done, said = trimmed("-y", path)
    case("a table that moved from the file's end", status == 0
         and os.path.getsize(path) > table + 4096, status, said)
    now = oracle.sha(path)
    status, more, said = trimmed("-y", path)
    case("is trimmed at once", more and not more["applied"]
         and done["applied"] and oracle.sha(path) == now, done, said)
    code, said = oracle.undo(path)
    case("and comes back", code == 0 and oracle.sha(path) == before, said)


def others_do_not_trim():
    path = bloated("plain.qcow2")
    before = oracle.sha(path)
    for args in (["check", "-r", "leaks"], ["check", "-r", "all"],
                 ["repair", "-y"]):
        run(*args, path)
        case(f"{' '.join(args)} does not trim", oracle.sha(path) == before)
    status, out, err = run("repair", "--trim", path)
    case("without a terminal and without -y it is only shown",
         status == 0 and "To trim" in out and "nothing was written" in err
         and oracle.sha(path) == before,
         status, out, err)


def a_copy():
    path = bloated("original.qcow2")
    before, room = oracle.sha(path), on_disk(path)
    status, done, said = trimmed("-y", "--output-image=copy.qcow2", path)
    case("--output-image trims the copy alone",
         status == 0 and done and done["applied"]
         and oracle.sha(path) == before and on_disk(path) == room
         and os.path.getsize("copy.qcow2") < os.path.getsize(path),
         status, said)


def a_data_file():
    qimg.qemu_img("create", "-q", "-f", "qcow2", "-o",
                  "data_file=ext.raw,cluster_size=65536", "ext.qcow2", "8M")
    qimg.qemu_io("ext.qcow2", "write -P 1 0 1M", "discard 0 512k")
    with qimg.Image("ext.qcow2") as image:
        image.truncate(image.file_size() + 5 * image.cluster)
    data, size = oracle.sha("ext.raw"), os.path.getsize("ext.qcow2")
    status, done, said = trimmed("-y", os.path.abspath("ext.qcow2"))
    case("the external data file is not touched", status == 0 and done
         and done["applied"] and oracle.sha("ext.raw") == data
         and os.path.getsize("ext.qcow2") < size, status, said)


def no_holes():
    """A file system that cannot punch."""
    shim = os.path.abspath("cut.so")
    compiler = os.environ.get("CC", "cc").split()
    subprocess.run([*compiler, "-D_GNU_SOURCE", "-shared", "-fPIC", "-O1",
                    "-o", shim, os.path.join(HERE, "..", "powercut",
                                             "shim.c"), "-ldl"], check=True)
    path = bloated("noholes.qcow2")
    before, end = oracle.sha(path), os.path.getsize(path)
    status, out, err = run("repair", "--trim", "-y", path, LD_PRELOAD=shim,
                           QFSCK_CUT_NOPUNCH="1")
    case("without holes the end is cut off, and it says so",
         status == 0 and "cannot punch" in out
         and os.path.getsize(path) < end and not free_is_zero(path),
         status, out, err)
    code, said = oracle.undo(path)
    case("and undo gives it back", code == 0 and oracle.sha(path) == before,
         said)
    path = bloated("few.qcow2")
    before = oracle.sha(path)
    status, out, err = run("repair", "--trim", "-y", path, LD_PRELOAD=shim,
                           QFSCK_CUT_NOPUNCH="2")
    case("where it finds out late, zeros are written",
         status == 0 and free_is_zero(path), status, out, err)
    code, said = oracle.undo(path)
    case("and undo gives them back", code == 0
         and oracle.sha(path) == before, said)


def told():
    """SIGUSR1 while what is trimmed is recorded."""
    path = os.path.abspath("told.qcow2")
    qimg.build(path, "64M", ["write -P 1 0 1M"], cluster_size=65536)
    with qimg.Image(path) as image:
        end = image.clusters() * image.cluster
        image.write(end, os.urandom(1 << 20) * 12)
    # stopped before the tenth change, which is one of the undo file
    done = subprocess.Popen(
        [QFSCK, "repair", "--trim", "-y", path], stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env=dict(qimg.environment(), QFSCK_CUT_STOP="10",
                 LD_PRELOAD=os.path.abspath("cut.so")))
    pid, how = os.waitpid(done.pid, os.WUNTRACED)
    stopped = os.WIFSTOPPED(how)
    size = os.path.getsize(path + ".qfsck-undo")
    os.kill(pid, signal.SIGUSR1)
    os.kill(pid, signal.SIGCONT)
    _, err = done.communicate(timeout=60)
    case("SIGUSR1 tells how far the recording is", stopped
         and 0 < size < 12 << 20 and b"MiB recorded" in err
         and done.returncode == 0, stopped, size, err)


def small_disk():
    """Undo sees that the room is gone before it writes anything."""
    os.mkdir("small")
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8M", "none",
                       "small"], capture_output=True).returncode:
        tap.skip("undo without room", "cannot mount")
        return
    try:
        path = os.path.abspath("small/disk.qcow2")
        shutil.copy(bloated("large.qcow2"), path)
        before = oracle.sha(path)
        run("repair", "-y", "--trim", "--undo=kept", path)
        with open("small/filler", "wb") as file:
            try:
                while True:
                    file.write(bytes(65536))
                    file.flush()
            except OSError:
                pass
        now = oracle.sha(path)
        status, _, err = run("undo", "kept", path)
        case("undo without room changes nothing, and says so",
             status == 1 and "put back what was trimmed" in err
             and oracle.sha(path) == now != before, status, err)
        os.remove("small/filler")
        status, _, err = run("undo", "kept", path)
        case("with room it works", status == 0
             and oracle.sha(path) == before, err)
    finally:
        subprocess.run(["umount", "small"], check=False)


def damages(count):
    """Any damage on any layout: repaired and trimmed, judged as a repair."""
    cases = [c for c in differential.plan(7, 4 * len(qimg.DAMAGES))
             if not c.layout.startswith(("sparse", "backing"))]

    class Args:
        seed = 7
    bench = differential.Bench(Args)
    try:
        for one in cases[::len(cases) // count][:count]:
            bench.make(one.layout)
            path = bench.damaged(one)
            if not path:
                continue
            os.mkdir("one")
            image = os.path.abspath("one/image.qcow2")
            shutil.move(path, image)
            faults = oracle.judge(bench.sound(one.layout), image, one.layout,
                                  ("--trim",))
            shutil.rmtree("one")
            tap.result(not faults, one.name, [one.said] + faults)
    finally:
        bench.close()


def main():
    whole_story("v3.qcow2")
    whole_story("v2.qcow2", compat="0.10")
    whole_story("small.qcow2", 512)
    whole_story("wide.qcow2", 4096, refcount_bits=64)
    only_when_clean()
    after_a_loss()
    grown()
    others_do_not_trim()
    a_copy()
    a_data_file()
    if qimg.sanitized(QFSCK):
        tap.skip("without holes", "a sanitizer must be loaded first")
    else:
        no_holes()
        told()
    small_disk()
    damages(int(sys.argv[1]) if len(sys.argv) > 1 else 12)
    return tap.finish()


if __name__ == "__main__":
    sys.exit(main())
