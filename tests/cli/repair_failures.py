#!/usr/bin/env python3
"""Repairs that fail, are stopped, or have company.

Every read of a repair fails in turn (a shim, tests/cli/eio.c), and every
allocation: whatever becomes of it, the image is as before or as after, the
exit code is true, the next repair brings it to its end, and undo gives back
the bytes of the beginning. The same with a repair that is cut short before,
so that the one that fails has to finish it. Signals stop at a safe point;
nobody else opens the image meanwhile, and an image in use is not written.
"""
import argparse
import glob
import os
import shutil
import signal
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "lib"))
import oracle  # noqa: E402
import qimg  # noqa: E402
from tap import Tap  # noqa: E402

QFSCK = qimg.qfsck_path()
qimg.own_folder()
IMAGE = os.path.abspath("disk.qcow2")
SHIMS = {"eio.so": os.path.join(HERE, "eio.c"),
         "cut.so": os.path.join(HERE, "..", "powercut", "shim.c")}
FAILURES = 8    # shown of one kind, at most


def make():
    """Entries, refcounts and a leak to mend."""
    qimg.build(IMAGE, "16M", ["write -P 1 0 64k", "write -P 2 8M 64k",
                              ("snap", "one"), "write -P 3 128k 64k"],
               cluster_size=4096)
    with qimg.Image(IMAGE) as image:
        pos = image.l2_pos(image.l1_used()[0], 2)
        image.put64(pos, image.u64(pos) | 2)
        image.set_refcount((image.normal_entries()[0][2] & qimg.OFFSET_MASK)
                           // image.cluster, 0)
        end = image.clusters()
        image.truncate((end + 1) * image.cluster)
        image.set_refcount(end, 1)


def compile_shims():
    compiler = os.environ.get("CC", "cc").split()
    for name, source in SHIMS.items():
        done = subprocess.run([*compiler, "-D_GNU_SOURCE", "-shared", "-fPIC",
                               "-O1", "-o", name, source, "-ldl"],
                              capture_output=True, text=True)
        if done.returncode:
            return done.stderr
    return None


def content():
    with open(IMAGE, "rb") as file:
        return file.read()


def environment(shim=None, **more):
    env = dict(qimg.environment(), **more)
    if shim:
        env["LD_PRELOAD"] = os.path.abspath(shim)
    return env


def run(*args, shim=None, **more):
    done = subprocess.run([QFSCK, *args], env=environment(shim, **more),
                          stdin=subprocess.DEVNULL, timeout=60,
                          capture_output=True)
    return done.returncode, done.stderr.decode(errors="replace")


def repair(shim=None, **more):
    return run("repair", "-y", "--jobs=1", IMAGE, shim=shim, **more)


def undo_files():
    return sorted(glob.glob(glob.escape(IMAGE) + ".qfsck-undo*"))


class Story:
    """The image before, and what an undisturbed repair makes of it."""

    def __init__(self):
        self.before = content()
        self.status, _ = repair()
        self.after = content()
        self.cut = self.half = None

    def reset(self):
        """In place, so that it stays the same file."""
        for name in undo_files():
            os.remove(name)
        with open(IMAGE, "r+b") as file:
            file.write(self.before)
            file.truncate()

    def prepare_half(self):
        """Where a killed repair has left the image half written."""
        for number in range(1, 100):
            self.reset()
            repair("cut.so", QFSCK_CUT_KILL=str(number))
            now = content()
            if now not in (self.before, self.after):
                with open(undo_files()[0], "rb") as file:
                    self.cut, self.half = file.read(), now
                # further on, so that more than the mark is written
                if number >= 8:
                    return True
        return self.half is not None

    def reset_half(self):
        self.reset()
        with open(IMAGE, "r+b") as file:
            file.write(self.half)
            file.truncate()
        with open(IMAGE + ".qfsck-undo", "wb") as file:
            file.write(self.cut)

    def faults(self, status, half):
        """What must be true after a repair that may have failed."""
        now, found = content(), []
        known = (self.before, self.after, self.half if half else self.before)
        # what could not be read may be left as it is, and is told
        if now not in known and status not in (2, 3):
            found.append("neither as before nor as after")
        if status == self.status and now != self.after:
            found.append("it says that all is well, and it is not")
        if status < 0 or status > 3:
            found.append(f"exit {status}")
        again, said = repair()
        if again != self.status or content() != self.after:
            found.append(f"the next repair ends with {again}: {said[-200:]}")
        return found + self.undo_faults()

    def undo_faults(self):
        names = undo_files()
        for name in reversed(names):
            run("undo", name, IMAGE)
            if content() == self.before:
                return []
        return [f"no undo gives the bytes back: {names}"]


def each(tap, story, what, failing, step, half=False):
    """FAILING(n) is (exit code, said, whether there was an Nth)."""
    bad, number, tried = [], 1, 0
    while number < 2000:
        if half:
            story.reset_half()
        else:
            story.reset()
        status, said, reached = failing(number)
        if not reached:
            break
        tried += 1
        found = story.faults(status, half)
        if half and status != 1 and "was finished" not in said:
            found.append("the interrupted repair is overlooked")
        if found:
            bad.append(f"number {number}: {'; '.join(found)}: exit {status} "
                       f"{said[-200:]}")
        # the first of them read the undo file
        number += 1 if half and number < 12 else step
    where = "a repair that finishes another" if half else "a repair"
    tap.result(not bad and tried > 5 and number < 2000,
               f"any {what} of {where} fails", [f"{tried} tried",
                                                *bad[:FAILURES]])


def failing_read(number):
    reached = os.path.abspath("reached")
    if os.path.exists(reached):
        os.remove(reached)
    status, said = repair("eio.so", EIO_PREFIX=IMAGE, EIO_NTH=str(number),
                          EIO_DONE=reached)
    return status, said, os.path.exists(reached)


class Allocations:
    """Past the last allocation no repair fails any more, many in a row."""

    def __init__(self, good):
        self.good, self.in_a_row = good, 0

    def __call__(self, number):
        status, said = repair(QFSCK_TEST_FAIL_ALLOC=str(number))
        fine = status == self.good and "memory" not in said
        self.in_a_row = self.in_a_row + 1 if fine else 0
        return status, said, self.in_a_row < 12


def failures(tap, story, step):
    each(tap, story, "read", failing_read, step)
    each(tap, story, "allocation", Allocations(story.status), 2 * step)
    if not story.prepare_half():
        tap.result(False, "a killed repair leaves a half-written image")
        return
    each(tap, story, "read", failing_read, step, half=True)
    each(tap, story, "allocation", Allocations(story.status), 2 * step,
         half=True)


class Paused:
    """A repair that stops itself (SIGSTOP) in the midst of change NUMBER."""

    def __init__(self, number):
        self.child = subprocess.Popen(
            [QFSCK, "repair", "-y", "--jobs=1", IMAGE], text=True,
            env=environment("cut.so", QFSCK_CUT_STOP=str(number)),
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE)

    def __enter__(self):
        _, self.state = os.waitpid(self.child.pid, os.WUNTRACED)
        return self

    def is_paused(self):
        return os.WIFSTOPPED(self.state)

    def go_on(self):
        self.child.send_signal(signal.SIGCONT)
        _, said = self.child.communicate(timeout=60)
        return self.child.returncode, said

    def __exit__(self, *exc):
        if self.is_paused() and self.child.returncode is None:
            self.child.kill()
            self.child.communicate()


def signalled(story, number, what):
    """What is wrong after a signal at change NUMBER; None: no such change."""
    story.reset()
    with Paused(number) as paused:
        if not paused.is_paused():
            return None
        paused.child.send_signal(what)
        status, said = paused.go_on()
    found = story.faults(status, False)
    if status not in (1, story.status):
        found.append(f"exit {status}: {said[-200:]}")
    return found


def signals(tap, story):
    for what in (signal.SIGINT, signal.SIGTERM):
        bad, number = [], 1
        while (found := signalled(story, number, what)) is not None:
            bad += [f"change {number}: {f}" for f in found]
            number += 1
        tap.result(not bad and number > 5,
                   f"{what.name} at any change stops at a safe point",
                   [f"{number - 1} changes", *bad[:FAILURES]])


def company(tap, story):
    """Nobody opens the image in the midst of a repair."""
    story.reset()
    changes = 1
    while signalled(story, changes + 1, signal.SIGCONT) is not None:
        changes += 1
    for number in (1, changes // 2, changes):
        story.reset()
        with Paused(number) as paused:
            opened = [subprocess.run(
                ["qemu-io", *mode, "-f", "qcow2", "-c", "read 0 64k", IMAGE],
                capture_output=True, text=True, stdin=subprocess.DEVNULL,
                timeout=60) for mode in ([], ["-r"])]
            status, said = paused.go_on()
        tap.result(all(o.returncode and "lock" in o.stderr for o in opened),
                   f"qemu-io cannot open the image at change {number} of "
                   f"{changes} of a repair",
                   [o.stdout + o.stderr for o in opened])
        tap.result(status == story.status and content() == story.after,
                   "and the repair ends as ever", [str(status), said])


def twice(story):
    """A leak and a low refcount, mended one by one: (bytes, undo files)."""
    story.reset()
    with open(IMAGE, "r+b") as file:
        file.write(story.after)
        file.truncate()
    with qimg.Image(IMAGE) as image:
        image.set_refcount((image.normal_entries()[0][2] & qimg.OFFSET_MASK)
                           // image.cluster, 0)
        end = image.clusters()
        image.truncate((end + 1) * image.cluster)
        image.set_refcount(end, 1)
    states = [content()]
    run("check", "-r", "leaks", IMAGE)
    states.append(content())
    repair()
    states.append(content())
    return states, undo_files()


def two_repairs(tap, story):
    """The undo of the second leaves the first one's possible."""
    states, names = twice(story)
    codes = [run("undo", name, IMAGE) for name in reversed(names)]
    tap.result(len(set(states)) == 3 and len(names) == 2
               and content() == states[0],
               "two repairs are taken back, the last one first",
               [*names, *map(str, codes)])
    states, names = twice(story)
    run("undo", names[-1], IMAGE)
    qimg.qemu_io(IMAGE, "write -P 9 8M 4k")
    written = content()
    status, said = run("undo", names[0], IMAGE)
    tap.result(status == 1 and content() == written,
               "but not after a write in between", [str(status), said])


def held_by_daemon(tap, story):
    if not shutil.which("qemu-storage-daemon"):
        tap.skip("a repair beside qemu-storage-daemon", "not installed")
        return
    story.reset()
    daemon = subprocess.Popen(
        ["qemu-storage-daemon", "--pidfile", "qsd.pid", "--blockdev",
         "driver=qcow2,node-name=disk,file.driver=file,"
         f"file.filename={IMAGE}", "--nbd-server",
         f"addr.type=unix,addr.path={os.getcwd()}/qsd.sock", "--export",
         "type=nbd,id=e,node-name=disk,writable=on"],
        stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(300):
            if os.path.exists("qsd.pid") or daemon.poll() is not None:
                break
            time.sleep(0.05)
        before = oracle.sha(IMAGE)
        status, said = repair()
        alive = daemon.poll() is None
        tap.result(alive and status == 1 and oracle.sha(IMAGE) == before
                   and not undo_files() and "qemu-storage-daemon" in said,
                   "an image that qemu-storage-daemon holds is not written",
                   [f"running: {alive}, exit {status}", said])
    finally:
        daemon.kill()
        daemon.wait()


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--all", action="store_true",
                        help="every read and every allocation, not some")
    args = parser.parse_args()
    tap = Tap()
    if qimg.sanitized(QFSCK):
        tap.skip("failing repairs", "a sanitizer must be loaded first")
        return tap.finish()
    why = compile_shims()
    if why:
        tap.result(False, "the shims compile", why.splitlines())
        return tap.finish()
    make()
    story = Story()
    tap.result(story.status == 0 and story.after != story.before,
               "undisturbed, the repair leaves a clean image")
    signals(tap, story)
    company(tap, story)
    two_repairs(tap, story)
    held_by_daemon(tap, story)
    failures(tap, story, 1 if args.all else 5)
    return tap.finish()


if __name__ == "__main__":
    sys.exit(main())
