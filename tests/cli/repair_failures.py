#!/usr/bin/env python3
"""Repairs that fail, are stopped, or have company.

Every read of a repair fails in turn (a shim, tests/cli/eio.c), every
allocation, and every change of a file (with EIO, with ENOSPC, in the midst,
or by SIGKILL: tests/powercut/shim.c): whatever becomes of it, the image is as
before or as after, the exit code is true, the next repair brings it to its
end, and undo gives back the bytes of the beginning. The same with a repair
that is cut short before, so that the one that fails has to finish it. All of
it over several kinds of repairs. Signals stop at a safe point; nobody else
opens the image meanwhile, and an image in use is not written.

Some of it only, spread over all of it; --all (make check-failures) leaves
nothing out.
"""
import argparse
import concurrent.futures
import errno
import glob
import os
import shutil
import signal
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "lib"))
sys.path.insert(0, os.path.join(HERE, ".."))
import corpus  # noqa: E402
import oracle  # noqa: E402
import qimg  # noqa: E402
from tap import Tap  # noqa: E402

QFSCK = qimg.qfsck_path()
qimg.own_folder()
WORK = os.getcwd()
SHIMS = {"eio.so": os.path.join(HERE, "eio.c"),
         "cut.so": os.path.join(HERE, "..", "powercut", "shim.c")}
FAILURES = 8    # shown of one kind, at most


def mixed(path, **layout):
    """Entries, refcounts and a leak to mend."""
    qimg.build(path, "16M", ["write -P 1 0 64k", "write -P 2 8M 64k",
                             ("snap", "one"), "write -P 3 128k 64k"],
               cluster_size=4096, **layout)
    with qimg.Image(path) as image:
        pos = image.l2_pos(image.l1_used()[0], 2)
        image.put64(pos, image.u64(pos) | 2)
        image.set_refcount((image.normal_entries()[0][2] & qimg.OFFSET_MASK)
                           // image.cluster, 0)
        end = image.clusters()
        image.truncate((end + 1) * image.cluster)
        image.set_refcount(end, 1)


def version_2(path):
    mixed(path, compat="0.10")


def old_data(path):
    """And free clusters that hold something, inside and at the end."""
    version_2(path)
    with qimg.Image(path) as image:
        cluster = image.normal_entries()[-1]
        image.put64(cluster[1], 0)
        image.set_refcount((cluster[2] & qimg.OFFSET_MASK) // image.cluster, 0)
        end = image.clusters()
        image.truncate((end + 5) * image.cluster)
        image.write((end + 2) * image.cluster, b"old data" * 500)


def refcount_block(path):
    """Text in the place of the only one."""
    mixed(path)
    with qimg.Image(path) as image:
        block = image.reftable()[image.reftable_used()[0]]
        image.write(block, b"no refcounts " * (image.cluster // 13))


def of_corpus(name):
    return lambda path: corpus.Case(name).make(os.path.dirname(path))


# kind: (what makes the image, further options of the repair)
KINDS = {
    "mixed": (mixed, ()),
    "leaks": (of_corpus("leaks-killed-writer"), ()),
    "trim": (of_corpus("leaks-killed-writer"), ("--trim",)),
    "double owners": (of_corpus("twice-data-blessed"), ()),
    "lost refcount block": (refcount_block, ()),
    "lost refcount table": (of_corpus("reftable-outside"), ()),
    "snapshot table": (of_corpus("snapshot-extra-short"), ()),
    "bitmaps": (of_corpus("bitmap-dir-text"), ()),
    "version 2": (version_2, ()),
    "version 2, trim": (old_data, ("--trim",)),
}


def compile_shims():
    compiler = os.environ.get("CC", "cc").split()
    for name, source in SHIMS.items():
        done = subprocess.run([*compiler, "-D_GNU_SOURCE", "-shared", "-fPIC",
                               "-O1", "-o", name, source, "-ldl"],
                              capture_output=True, text=True)
        if done.returncode:
            return done.stderr
    return None


def environment(shim=None, **more):
    env = dict(qimg.environment(), **more)
    if shim:
        env["LD_PRELOAD"] = os.path.join(WORK, shim)
    return env


def run(*args, shim=None, **more):
    done = subprocess.run([QFSCK, *args], env=environment(shim, **more),
                          stdin=subprocess.DEVNULL, timeout=60,
                          capture_output=True)
    return done.returncode, done.stderr.decode(errors="replace")


class Story:
    """The image before, and what an undisturbed repair makes of it."""

    def __init__(self, kind):
        maker, self.options = KINDS[kind]
        self.kind = kind
        self.dir = os.path.join(WORK, kind.replace(" ", "-"))
        os.mkdir(self.dir)
        self.image = os.path.join(self.dir, "image.qcow2")
        maker(self.image)
        # a case may keep its image elsewhere
        self.image = os.path.realpath(self.image)
        self.before = self.content()
        self.status, _ = self.repair()
        self.after = self.plain = self.content()
        self.cut = self.half = None
        if self.options:
            # what cannot be read may keep it from the trimming alone
            self.reset()
            run("repair", "-y", self.image)
            self.plain = self.content()

    def content(self):
        with open(self.image, "rb") as file:
            return file.read()

    def repair(self, shim=None, **more):
        return run("repair", "-y", "--jobs=1", *self.options, self.image,
                   shim=shim, **more)

    def undo_files(self):
        return sorted(glob.glob(glob.escape(self.image) + ".qfsck-undo*"))

    def reset(self):
        """In place, so that it stays the same file."""
        for name in glob.glob(glob.escape(self.image) + ".qfsck-*"):
            os.remove(name)
        with open(self.image, "r+b") as file:
            file.write(self.before)
            file.truncate()

    def prepare_half(self):
        """Where a killed repair has left the image half written."""
        for number in range(1, 100):
            self.reset()
            self.repair("cut.so", QFSCK_CUT_KILL=str(number))
            now = self.content()
            if now not in (self.before, self.after):
                with open(self.undo_files()[0], "rb") as file:
                    self.cut, self.half = file.read(), now
                # further on, so that more than the mark is written
                if number >= 8:
                    return True
        return self.half is not None

    def reset_half(self):
        self.reset()
        with open(self.image, "r+b") as file:
            file.write(self.half)
            file.truncate()
        with open(self.image + ".qfsck-undo", "wb") as file:
            file.write(self.cut)

    def faults(self, status, half, torn=False):
        """What must be true after a repair that may have failed."""
        now, found = self.content(), []
        known = (self.before, self.after, self.plain,
                 self.half if half else self.before)
        # a table that cannot be read is built anew instead of found again
        if status == 0 == self.status and now not in known \
                and run("check", "-q", self.image)[0] == 0:
            again, said = self.repair()
            if again or self.content() != now:
                found.append(f"the next repair does more: {said[-200:]}")
            return found + self.undo_faults()
        # what could not be read may be left as it is, and is told
        if now not in known and status not in (2, 3) and not torn:
            found.append("neither as before nor as after")
        if status == self.status and now not in (self.after, self.plain):
            found.append("it says that all is well, and it is not")
        if status not in range(4) and not (torn and status == -9):
            found.append(f"exit {status}")
        again, said = self.repair()
        if again != self.status or self.content() != self.after:
            found.append(f"the next repair ends with {again}: {said[-200:]}")
        return found + self.undo_faults()

    def undo_faults(self):
        names = self.undo_files()
        for name in reversed(names):
            run("undo", name, self.image)
            if self.content() == self.before:
                return []
        return [f"no undo gives the bytes back: {names}"]


def each(tap, story, what, failing, numbers, half=False, torn=False):
    """FAILING(n) is (exit code, said, whether there was an Nth). TORN: it
    cannot roll back by itself."""
    bad, tried = [], 0
    for number in numbers:
        if half:
            story.reset_half()
        else:
            story.reset()
        status, said, reached = failing(number)
        if not reached:
            break
        tried += 1
        found = story.faults(status, half, torn)
        if half and status != 1 and "was finished" not in said:
            found.append("the interrupted repair is overlooked")
        if found:
            bad.append(f"number {number}: {'; '.join(found)}: exit {status} "
                       f"{said[-200:]}")
    else:
        bad.append("there is no end of them")
    where = "a repair that finishes another" if half else "a repair"
    tap.result(not bad and tried, f"{story.kind}: any {what} of {where} fails",
               [f"{tried} tried", *bad[:FAILURES]])


def spread(first, step, dense=0):
    """The first DENSE numbers, then every STEPth, counted from FIRST, and
    rarer and rarer if not every one is asked for."""
    number = 1
    while number < 100000:
        if number <= dense or step == 1:
            yield number
            number += 1
            continue
        yield number + first % step
        number += max(step, number // 12)


def failing_read(story):
    reached = os.path.join(story.dir, "reached")

    def fail(number):
        if os.path.exists(reached):
            os.remove(reached)
        status, said = story.repair("eio.so", EIO_PREFIX=story.image,
                                    EIO_NTH=str(number), EIO_DONE=reached)
        return status, said, os.path.exists(reached)
    return fail


def failing_allocation(story):
    """Past the last allocation no repair fails any more, many in a row."""
    in_a_row = [0]

    def fail(number):
        status, said = story.repair(QFSCK_TEST_FAIL_ALLOC=str(number))
        fine = status == story.status and "memory" not in said
        in_a_row[0] = in_a_row[0] + 1 if fine else 0
        return status, said, in_a_row[0] < 12
    return fail


def failing_change(story, how, code):
    """HOW as the shim has it: this one alone, or all from then on."""
    def fail(number):
        setting = f"{number}:{code}" if code else str(number)
        status, said = story.repair("cut.so", **{how: setting})
        return status, said, number <= story.changes
    return fail


def count_changes(story):
    """The changes of an undisturbed repair."""
    trace, number = os.path.join(story.dir, "trace"), 0
    story.reset()
    story.repair("cut.so", QFSCK_CUT_TRACE=trace)
    with open(trace, "rb") as file:
        while line := file.readline():
            operation, _, length, _ = line.split(b" ", 3)
            file.seek(int(length) if operation == b"write" else 0, 1)
            number += 1
    return number


def changes(tap, story, some):
    """Every change fails, or the process is killed in its midst."""
    story.changes = count_changes(story)
    for i, (how, code, what) in enumerate((
            ("QFSCK_CUT_KILL", 0, "change killed in the midst"),
            ("QFSCK_CUT_ONCE", errno.EIO, "change (EIO)"),
            ("QFSCK_CUT_ONCE", errno.ENOSPC, "change (ENOSPC)"),
            ("QFSCK_CUT_FAIL", errno.EIO, "change (EIO, and all after it)"))):
        each(tap, story, what, failing_change(story, how, code),
             spread(some + i, 4 if some else 1),
             torn=how != "QFSCK_CUT_ONCE")
    story.reset()
    status, said = story.repair("cut.so", QFSCK_CUT_SHORT="1")
    tap.result(status == story.status and story.content() == story.after,
               f"{story.kind}: short writes change nothing", [status, said])


def failures(tap, story, some):
    """SOME: not all of it, but other ones for each kind."""
    reads, allocations = (7, 23) if some else (1, 1)
    changes(tap, story, some)
    each(tap, story, "read", failing_read(story), spread(some, reads))
    each(tap, story, "allocation", failing_allocation(story),
         spread(some, allocations))
    if not story.prepare_half():
        tap.result(False, f"{story.kind}: a killed repair leaves a "
                   "half-written image")
        return
    # the first of them read the undo file
    each(tap, story, "read", failing_read(story), spread(some, 2 * reads, 8),
         half=True)
    each(tap, story, "allocation", failing_allocation(story),
         spread(some, 2 * allocations, 8), half=True)


class Paused:
    """A repair that stops itself (SIGSTOP) in the midst of change NUMBER."""

    def __init__(self, story, number):
        self.child = subprocess.Popen(
            [QFSCK, "repair", "-y", "--jobs=1", *story.options, story.image],
            text=True,
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
    with Paused(story, number) as paused:
        if not paused.is_paused():
            return None
        paused.child.send_signal(what)
        status, said = paused.go_on()
    # before the undo file a signal simply ends the program
    if status == -what and story.content() == story.before \
            and not story.undo_files():
        return []
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
                   f"{story.kind}: {what.name} at any change stops at a safe "
                   "point",
                   [f"{number - 1} changes", *bad[:FAILURES]])


def company(tap, story):
    """Nobody opens the image in the midst of a repair."""
    story.reset()
    changes = 1
    while signalled(story, changes + 1, signal.SIGCONT) is not None:
        changes += 1
    for number in (1, changes // 2, changes):
        story.reset()
        with Paused(story, number) as paused:
            opened = [subprocess.run(
                ["qemu-io", *mode, "-f", "qcow2", "-c", "read 0 64k", story.image],
                capture_output=True, text=True, stdin=subprocess.DEVNULL,
                timeout=60) for mode in ([], ["-r"])]
            status, said = paused.go_on()
        tap.result(all(o.returncode and "lock" in o.stderr for o in opened),
                   f"qemu-io cannot open the image at change {number} of "
                   f"{changes} of a repair",
                   [o.stdout + o.stderr for o in opened])
        tap.result(status == story.status and story.content() == story.after,
                   "and the repair ends as ever", [str(status), said])


def twice(story):
    """A leak and a low refcount, mended one by one: (bytes, undo files)."""
    story.reset()
    with open(story.image, "r+b") as file:
        file.write(story.after)
        file.truncate()
    with qimg.Image(story.image) as image:
        image.set_refcount((image.normal_entries()[0][2] & qimg.OFFSET_MASK)
                           // image.cluster, 0)
        end = image.clusters()
        image.truncate((end + 1) * image.cluster)
        image.set_refcount(end, 1)
    states = [story.content()]
    run("check", "-r", "leaks", story.image)
    states.append(story.content())
    story.repair()
    states.append(story.content())
    return states, story.undo_files()


def two_repairs(tap, story):
    """The undo of the second leaves the first one's possible."""
    states, names = twice(story)
    codes = [run("undo", name, story.image) for name in reversed(names)]
    tap.result(len(set(states)) == 3 and len(names) == 2
               and story.content() == states[0],
               "two repairs are taken back, the last one first",
               [*names, *map(str, codes)])
    states, names = twice(story)
    run("undo", names[-1], story.image)
    qimg.qemu_io(story.image, "write -P 9 8M 4k")
    written = story.content()
    status, said = run("undo", names[0], story.image)
    tap.result(status == 1 and story.content() == written,
               "but not after a write in between", [str(status), said])


def held_by_daemon(tap, story):
    if not shutil.which("qemu-storage-daemon"):
        tap.skip("a repair beside qemu-storage-daemon", "not installed")
        return
    story.reset()
    daemon = subprocess.Popen(
        ["qemu-storage-daemon", "--pidfile", "qsd.pid", "--blockdev",
         "driver=qcow2,node-name=disk,file.driver=file,"
         f"file.filename={story.image}", "--nbd-server",
         f"addr.type=unix,addr.path={os.getcwd()}/qsd.sock", "--export",
         "type=nbd,id=e,node-name=disk,writable=on"],
        stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(300):
            if os.path.exists("qsd.pid") or daemon.poll() is not None:
                break
            time.sleep(0.05)
        before = oracle.sha(story.image)
        status, said = story.repair()
        alive = daemon.poll() is None
        tap.result(alive and status == 1 and oracle.sha(story.image) == before
                   and not story.undo_files() and "qemu-storage-daemon" in said,
                   "an image that qemu-storage-daemon holds is not written",
                   [f"running: {alive}, exit {status}", said])
    finally:
        daemon.kill()
        daemon.wait()


class Said:
    """What one kind has to say, until it is its turn."""

    def __init__(self):
        self.results = []

    def result(self, *args):
        self.results.append(args)


def one_kind(number, kind, everything):
    said = Said()
    try:
        story = Story(kind)
        said.result(story.after != story.before, f"{kind}: undisturbed, "
                    "there is something to repair")
        failures(said, story, 0 if everything else number + 1)
    except Exception as trouble:        # the others go on
        said.result(False, f"{kind}: the test itself", [repr(trouble)])
    return said.results


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--all", action="store_true",
                        help="every read, allocation and change, not some")
    parser.add_argument("--only", default="", help="kinds with this name")
    args = parser.parse_args()
    tap = Tap()
    if qimg.sanitized(QFSCK):
        tap.skip("failing repairs", "a sanitizer must be loaded first")
        return tap.finish()
    why = compile_shims()
    if why:
        tap.result(False, "the shims compile", why.splitlines())
        return tap.finish()
    if not args.only:
        KINDS["disturbed"] = KINDS["mixed"]
        story = Story("disturbed")
        signals(tap, story)
        company(tap, story)
        two_repairs(tap, story)
        held_by_daemon(tap, story)
        KINDS["disturbed trim"] = KINDS["trim"]
        signals(tap, Story("disturbed trim"))
        del KINDS["disturbed"], KINDS["disturbed trim"]
    kinds = [k for k in KINDS if args.only in k]
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for results in pool.map(one_kind, range(len(kinds)), kinds,
                                [args.all] * len(kinds)):
            for result in results:
                tap.result(*result)
    return tap.finish()


if __name__ == "__main__":
    sys.exit(main())
