"""Runs programs from a small process of its own.

The peak memory of a child is never told as less than that of the process
which started it: so this one is forked before any image is loaded.
"""

import os
import pickle
import struct
import subprocess
import threading

from tools import environment


MOST = 32 << 20         # bytes of output that are looked at


class Done:
    """How a program ended: status ("timeout" if it hung), its output, KiB of
    memory at its peak, seconds of the processor."""

    def __init__(self, status, out, err, memory, seconds):
        self.status, self.out, self.err = status, out, err
        self.memory, self.seconds = memory, seconds


def execute(args, cwd, timeout):
    with open(os.path.join(cwd, ".out"), "w+b") as out, \
            open(os.path.join(cwd, ".err"), "w+b") as err:
        child = subprocess.Popen(args, cwd=cwd, env=environment(),
                                 stdin=subprocess.DEVNULL, stdout=out,
                                 stderr=err)
        late = []
        killer = threading.Timer(timeout, lambda: (late.append(1),
                                                   child.kill()))
        killer.start()
        _, status, usage = os.wait4(child.pid, 0)
        killer.cancel()
        child.returncode = os.waitstatus_to_exitcode(status)
        texts = []
        for file in (out, err):
            file.seek(0)
            texts.append(file.read(MOST))
    return Done("timeout" if late else child.returncode, *texts,
                usage.ru_maxrss, usage.ru_utime + usage.ru_stime)


def read_exactly(fd, length):
    got = b""
    while len(got) < length:
        more = os.read(fd, length - len(got))
        if not more:
            return None
        got += more
    return got


def send(fd, thing):
    data = pickle.dumps(thing)
    data = struct.pack(">I", len(data)) + data
    while data:
        data = data[os.write(fd, data):]


def receive(fd):
    head = read_exactly(fd, 4)
    return pickle.loads(read_exactly(fd, struct.unpack(">I", head)[0])) \
        if head else None


class Launcher:
    def __init__(self):
        mine, theirs = os.pipe(), os.pipe()
        self.pid = os.fork()
        if not self.pid:
            os.close(mine[1])
            os.close(theirs[0])
            self.serve(mine[0], theirs[1])
            os._exit(0)
        os.close(mine[0])
        os.close(theirs[1])
        self.to, self.back = mine[1], theirs[0]

    @staticmethod
    def serve(source, target):
        while True:
            wanted = receive(source)
            if not wanted:
                return
            send(target, execute(*wanted))

    def run(self, args, cwd, timeout):
        send(self.to, (args, cwd, timeout))
        return receive(self.back)
