#!/usr/bin/env python3
"""The browser is in nobody's way.

Once it has read the image, a writer may start; it says that the file has
changed, and R rereads it with the cursor where it was. When its terminal
goes away it ends, also if SIGHUP is ignored.
"""
import glob
import json
import os
import pty
import shutil
import signal
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
from screens import QFSCK, Quiet, digest, make              # noqa: E402
from terminal import PATIENCE, Terminal, back, shown        # noqa: E402

CHANGED = "The image has changed since it was read"


def becomes(awaited):
    end = time.monotonic() + PATIENCE
    while not awaited():
        if time.monotonic() > end:
            return False
        time.sleep(.05)
    return True


def hung_up(tap, image, how, **options):
    """The pty's other end is closed: nothing can be read or shown."""
    master, slave = pty.openpty()
    env = dict(os.environ, TERM="xterm", LC_ALL="C.UTF-8")
    run = subprocess.Popen([QFSCK, "viz", image], stdin=slave, stdout=slave,
                           stderr=subprocess.DEVNULL, env=env, **options)
    os.close(slave)
    seen = b""
    while b"clean" not in seen:
        seen += os.read(master, 4096)
    os.close(master)
    try:
        code = run.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        code = "none: it runs on"
        run.kill()
        run.wait()
    tap.result(code in (1, -signal.SIGHUP), f"no terminal any more, {how}",
               [f"exit {code}"])


def ignored():
    signal.signal(signal.SIGHUP, signal.SIG_IGN)


class Beside:
    def __init__(self, tap, terminal, image):
        self.tap, self.terminal, self.image = tap, terminal, image

    def browse(self):
        """Open, look at the bytes of a place, wait for the lock to go."""
        t = self.terminal
        t.type(f"clear; {QFSCK} viz {self.image}")
        good = t.wait(shown)
        t.keys("6", ":")
        t.tmux("send-keys", "-t", "s", "-l", "0x30010")
        t.keys("Enter")
        return good and t.wait(lambda s: "0x30010" in s) \
            and becomes(lambda: not self.locks())

    def locks(self):
        """What OFD locks the browser holds."""
        pid = subprocess.run(["pgrep", "-n", "-f", f"viz.*{self.image}"],
                             check=True, capture_output=True,
                             text=True).stdout.strip()
        held = []
        for path in glob.glob(f"/proc/{pid}/fdinfo/*"):
            with open(path) as file:
                held += [x for x in file if "OFDLCK" in x]
        return held

    def says(self, name, good, words, keys=()):
        t = self.terminal
        if keys:
            t.keys(*keys)
        told = t.wait(lambda s: all(w in s for w in words))
        self.tap.result(good and told, name,
                        [f"{good} {told}", *t.screen().splitlines()])

    def quit(self):
        self.terminal.keys("q")
        self.terminal.wait(back)


def beside_io(b):
    good = b.browse()
    before = digest(b.image)
    b.tap.result(good, "the image has been read, and is not locked",
                 b.terminal.screen().splitlines())
    writer = subprocess.Popen(["qemu-io", b.image], stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True)
    writer.stdin.write("write -P 7 0 64k\nflush\n")
    writer.stdin.flush()
    wrote = becomes(lambda: digest(b.image) != before)
    b.says("qemu-io writes; the browser says so", wrote, [CHANGED, "clean, "])
    b.says("R does not read beside a writer",
           True, ["not reread: is in use", "qemu-io"], ["R"])
    told = writer.communicate("quit\n")[0]
    b.says("R rereads and stays where it was",
           writer.returncode == 0 and "wrote 65536/65536" in told,
           ["0x30010", "image reopened"], ["R"])
    b.says("then nothing has changed", becomes(lambda: not b.locks()),
           ["0x30020", "clean\n"], ["Down"])
    b.quit()


def beside_guest(b):
    """The guest's disk: an entry is written meanwhile, R shows it."""
    t = b.terminal
    free = [e for e in json.loads(subprocess.run(
        [QFSCK, "map", "--output=json", b.image], check=True,
        capture_output=True, text=True).stdout) if not e["present"]]
    at = free[-1]["start"]
    good = b.browse()
    t.keys("1", ":")
    t.tmux("send-keys", "-t", "s", "-l", f"g{at:#x}")
    b.says("a place of the disk that is not mapped", good,
           [f" {at:#x}: not mapped"], ["Enter"])
    wrote = subprocess.run(["qemu-io", "-c", f"write -P 5 {at} 4k", b.image],
                           capture_output=True)
    b.says("it is written to; the browser says so", not wrote.returncode,
           [CHANGED])
    b.says("R shows what is there now", True,
           [f" {at:#x}: of this state only at 0x", "image reopened"], ["R"])
    b.tap.result(becomes(lambda: not b.locks()), "and again no lock is held")
    b.quit()


def beside_nbd(b):
    socket = b.image + ".sock"
    good = b.browse()
    server = subprocess.Popen(["qemu-nbd", "-f", "qcow2", "-t", "-k", socket,
                               b.image])
    good = good and becomes(lambda: os.path.exists(socket))
    wrote = subprocess.run(
        ["qemu-io", "-f", "raw", "-c", "write -P 9 128k 64k", "-c", "flush",
         f"nbd+unix:///?socket={socket}"], capture_output=True, text=True)
    b.says("qemu-nbd serves it for writing; the browser says so",
           good and not wrote.returncode, [CHANGED])
    server.terminate()
    server.wait()
    b.terminal.resize(20, 5)
    b.says("also where there is little room", True, ["changed: R rereads"])
    b.terminal.resize(80, 24)
    b.quit()


def beside_files(b):
    good = b.browse()
    shutil.copy(b.image, b.image + ".new")
    os.replace(b.image + ".new", b.image)
    b.says("another file took its name", good,
           ["Another file has the image's name now"])
    b.says("R reads that one", True, ["image reopened"], ["R"])
    b.says("and it has not changed", True, ["clean\n"], ["Down"])
    os.rename(b.image, b.image + ".away")
    b.says("it was renamed", True, ["The image was removed or renamed"])
    b.says("R then says why not", True, ["not reread: ", "No such file"],
           ["R"])
    b.says("and what was read is still shown", True,
           ["The image was removed or renamed", "clean, "], ["1"])
    os.rename(b.image + ".away", b.image)
    b.quit()


def main():
    tap = Quiet()
    if not shutil.which("tmux") or not shutil.which("pgrep"):
        tap.skip("all of it", "no tmux or no pgrep")
        return tap.finish()
    with tempfile.TemporaryDirectory() as tmp:
        image = make(["clean-snapshots"], tmp)["clean-snapshots"]
        hung_up(tap, image, "which was not its own", start_new_session=True)
        hung_up(tap, image, "SIGHUP ignored", start_new_session=True,
                preexec_fn=ignored)
        terminal = Terminal(tmp)
        try:
            b = Beside(tap, terminal, image)
            beside_io(b)
            beside_guest(b)
            beside_nbd(b)
            beside_files(b)
        finally:
            terminal.close()
    return tap.finish()


if __name__ == "__main__":
    sys.exit(main())
