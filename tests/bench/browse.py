"""make bench ARGS=--browse: the browser on a terminal of 200x60.

On images of 8 TiB with 50 snapshots: how long until the first screen is there,
until all is read and checked, how long a key takes until the screen answers
(median and worst of many, in every view), and the most memory it had.
"""
import fcntl
import os
import pty
import re
import select
import statistics
import struct
import termios
import time

SHAPES = ("snap50-8t", "snap50-spread", "snap50")
HEAD = ["image", "first screen s", "whole s", "key ms", "worst ms", "at",
        "MiB"]
# (view, its key, keys to press there)
KEYS = (("guest", b"1", b"jl+j-0GgooG"), ("file", b"2", b"jl+j-0GgooG]m"),
        ("snapshots", b"3", b"jj  sskG"), ("findings", b"4", b"jjkG"),
        ("owners", b"5", b"jk"), ("hex", b"6", b"jj]][Gg"),
        ("info", b"7", b"jjkG"), ("file again", b"2", b"++++0"))
VERDICT = re.compile(rb"clean|corrupt|leaks")
PATIENCE = 300
QUIET = .2      # seconds without a byte: it has nothing more to say


class Session:
    def __init__(self, program, image):
        self.start = time.monotonic()
        self.pid, self.fd = pty.fork()
        if not self.pid:
            os.environ.update(TERM="xterm-256color", LC_ALL="C.UTF-8")
            os.execv(program, [program, "viz", image])
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ,
                    struct.pack("HHHH", 60, 200, 0, 0))

    def said(self, patience):
        """What comes within PATIENCE seconds, once there is any."""
        if not select.select([self.fd], [], [], patience)[0]:
            return b""
        try:
            return os.read(self.fd, 1 << 16)
        except OSError:
            return b""

    def until(self, pattern):
        text, end = b"", time.monotonic() + PATIENCE
        while not pattern.search(text) and time.monotonic() < end:
            text += self.said(1)
        return time.monotonic() - self.start

    def cpu(self):
        with open(f"/proc/{self.pid}/stat") as file:
            return sum(map(int, file.read().rsplit(")")[-1].split()[11:13]))

    def settle(self):
        """Until it neither works nor speaks."""
        end, quiet = time.monotonic() + PATIENCE, 0
        while quiet < 3 and time.monotonic() < end:
            before = self.cpu()
            quiet = 0 if self.said(QUIET) or self.cpu() > before + 1 \
                else quiet + 1

    def key(self, key):
        """Milliseconds until the first byte of the answer; None: none."""
        while self.said(0):
            pass
        start = time.monotonic()
        os.write(self.fd, key)
        if not self.said(QUIET):
            return None
        took = time.monotonic() - start
        while self.said(.02):
            pass
        return took * 1000

    def peak(self):
        with open(f"/proc/{self.pid}/status") as file:
            return int(re.search(r"VmHWM:\s+(\d+)", file.read())[1]) >> 10

    def close(self):
        os.write(self.fd, b"q")
        while self.said(1):
            pass
        os.close(self.fd)
        os.waitpid(self.pid, 0)


def look(program, image):
    s = Session(program, image)
    first = s.until(re.compile(rb"Guest"))
    whole = s.until(VERDICT)
    s.settle()
    took = []
    for view, to, keys in KEYS:
        for key in (to, *(bytes([k]) for k in keys)):
            took.append((s.key(key), f"{key.decode()} in {view}"))
        s.settle()
    took = [t for t in took if t[0] is not None]
    worst = max(took)
    peak = s.peak()
    s.close()
    return (f"{first:.3f}", f"{whole:.2f}",
            f"{statistics.median(t[0] for t in took):.1f}",
            f"{worst[0]:.1f}", worst[1], str(peak))


def bench(store, args, tools, print_table):
    rows = [HEAD]
    for name in args.shape or SHAPES:
        path = store.get(name)
        # the page cache is filled by the first of three, the best counts
        rows.append([store.shapes[name].title,
                     *min((look(tools.QFSCK, path) for _ in range(3)),
                          key=lambda r: float(r[3]))])
    print_table(rows)
    return 0
