"""A qemu-storage-daemon that serves one image while much is done to it."""

import json
import os
import socket
import subprocess
import threading
import time

from tools import TIMEOUT, Refused, environment


class Daemon:
    """The image PATH behind an NBD export, with a QMP monitor."""

    def __init__(self, path, options=""):
        self.path, self.lock = path, threading.Lock()
        folder = os.path.dirname(path)
        self.nbd = os.path.join(folder, "nbd.sock")
        self.qmp = os.path.join(folder, "qmp.sock")
        self.process = subprocess.Popen(
            ["qemu-storage-daemon",
             "--blockdev", "driver=file,node-name=file,filename=%s" % path,
             "--blockdev", "driver=qcow2,node-name=disk,file=file,"
             "discard=unmap" + options,
             "--nbd-server", "addr.type=unix,addr.path=" + self.nbd,
             "--export", "type=nbd,id=nbd,node-name=disk,name=disk,"
             "writable=on",
             "--chardev", "socket,id=m,path=%s,server=on,wait=off" % self.qmp,
             "--monitor", "m"], env=environment(), stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        self.socket = self.connect()
        self.answers = self.socket.makefile("r")
        self.answers.readline()
        self.do("qmp_capabilities")

    def connect(self):
        end = time.monotonic() + TIMEOUT
        while time.monotonic() < end:
            if self.process.poll() is not None:
                raise Refused(self.process.stderr.read().decode())
            if os.path.exists(self.nbd):
                client = socket.socket(socket.AF_UNIX)
                client.settimeout(TIMEOUT)
                client.connect(self.qmp)
                return client
            time.sleep(.02)
        raise Refused("the daemon does not come up")

    def do(self, command, **arguments):
        """The answer, or None where the daemon refused."""
        with self.lock:
            self.socket.sendall(json.dumps(
                {"execute": command, "arguments": {
                    k.replace("_", "-"): v
                    for k, v in arguments.items()}}).encode() + b"\n")
            while True:
                line = self.answers.readline()
                if not line:
                    raise Refused("the daemon is gone")
                answer = json.loads(line)
                if "return" in answer:
                    return answer["return"]
                if "error" in answer:
                    return None

    def end(self):
        try:
            self.do("quit")
        except (Refused, OSError):
            pass
        try:
            self.process.wait(TIMEOUT)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.socket.close()
        self.process.stderr.close()

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.socket.close()
        self.process.stderr.close()


class Client(threading.Thread):
    """Writes, discards and zeroes at random through NBD, till stopped."""

    def __init__(self, daemon, rng, unit, first, last):
        super().__init__(daemon=True)
        self.rng, self.unit = rng, unit
        self.first, self.last = first, last     # in units
        self.over = threading.Event()
        self.process = subprocess.Popen(
            ["qemu-io", "-f", "raw",
             "nbd+unix:///disk?socket=" + daemon.nbd], env=environment(),
            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL)
        self.start()

    def command(self):
        verb = self.rng.choice(("aio_write -q -P 3", "aio_write -q -P 4",
                                "aio_write -q -P 5", "write -q -P 6",
                                "write -q -z -u", "write -q -z",
                                "discard -q", "flush"))
        if verb == "flush":
            return verb
        length = self.rng.randint(1, 8)
        at = self.rng.randrange(self.first, self.last - length)
        return "%s %d %d" % (verb, at * self.unit, length * self.unit)

    def run(self):
        try:
            while not self.over.is_set():
                batch = [self.command() for _ in range(10)]
                self.process.stdin.write("".join(
                    c + "\n" for c in batch).encode())
                self.process.stdin.flush()
                time.sleep(.005)
        except OSError:
            pass

    def stop(self):
        self.over.set()
        self.join(TIMEOUT)
        self.process.kill()
        self.process.communicate()


class Manager(threading.Thread):
    """Snapshots come and go, bitmaps too, and the disk grows."""

    def __init__(self, daemon, rng, acts, size, unit, pause=.05):
        super().__init__(daemon=True)
        self.server, self.rng, self.acts = daemon, rng, acts
        self.size, self.unit, self.pause = size, unit, pause
        self.names, self.count, self.done = [], 0, 0
        self.over = threading.Event()
        self.start()

    def act(self):
        act = self.rng.choice(self.acts)
        self.count += 1
        name = "x%d" % self.count
        if act == "snapshot" and len(self.names) < 3:
            if self.server.do("blockdev-snapshot-internal-sync",
                              device="disk", name=name) is not None:
                self.names.append(name)
        elif act == "snapshot":
            self.server.do("blockdev-snapshot-delete-internal-sync",
                           device="disk", name=self.names.pop(
                               self.rng.randrange(len(self.names))))
        elif act == "bitmap":
            self.server.do("block-dirty-bitmap-add", node="disk",
                           name=name, persistent=True)
            self.server.do("block-dirty-bitmap-remove", node="disk",
                           name="x%d" % self.rng.randint(1, self.count))
        elif act == "resize":
            self.size += self.unit * self.rng.randint(1, 4000)
            self.server.do("block_resize", node_name="disk", size=self.size)
        self.done += 1

    def run(self):
        try:
            while not self.over.is_set():
                self.act()
                time.sleep(self.rng.uniform(0, 2 * self.pause))
        except (Refused, OSError, ValueError):
            pass

    def stop(self):
        self.over.set()
        self.join(TIMEOUT)
