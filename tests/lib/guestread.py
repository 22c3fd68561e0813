"""Reads chosen places of a disk as the guest would, through qemu-nbd.

Disks are larger than what is in them, and a damaged image answers some reads
with an error: each place is asked for by itself.
"""

import os
import socket
import struct
import subprocess
import tempfile
import time

from tools import environment

MOST = 8 << 20          # bytes in one request
MAGIC, OPTION = b"NBDMAGIC", b"IHAVEOPT"


class Disk:
    """The disk that PATH shows, or one of its SNAPSHOTs ("ID", "NAME").

    `size` is -1 where QEMU does not open it.
    """

    def __init__(self, path, snapshot=None, timeout=20):
        self.path, self.size = path, -1
        self.socket = self.server = None
        self.timeout = timeout
        for which in self.names(snapshot):
            if self.serve(which):
                return

    @staticmethod
    def names(snapshot):
        """The ways to name it, the surest first: a repair may rename."""
        if not snapshot:
            return [[]]
        return [["-l", "snapshot.id=%s,snapshot.name=%s" % snapshot],
                ["-l", "snapshot.name=" + snapshot[1]],
                ["-l", "snapshot.id=" + snapshot[0]]]

    def serve(self, which):
        with tempfile.TemporaryDirectory(prefix="nbd.") as folder:
            place = os.path.join(folder, "s")
            self.server = subprocess.Popen(
                ["qemu-nbd", "-r", "-f", "qcow2", "-k", place, *which,
                 self.path], cwd=os.path.dirname(self.path),
                env=environment(), stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            try:
                if self.connect(place) and self.shake_hands():
                    return True
            except OSError:
                self.size = -1
            self.close()
            return False

    def connect(self, place):
        """False if the server ends, or takes too long."""
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(self.timeout)
        end = time.monotonic() + self.timeout
        while self.server.poll() is None and time.monotonic() < end:
            try:
                self.socket.connect(place)
                return True
            except OSError:
                time.sleep(.01)
        return False

    def shake_hands(self):
        if self.take(16) != MAGIC + OPTION:
            return False
        self.take(2)
        self.socket.sendall(struct.pack(">I", 3) + OPTION +
                            struct.pack(">II", 1, 0))
        self.size, _ = struct.unpack(">QH", self.take(10))
        return True

    def take(self, length):
        got = bytearray()
        while len(got) < length:
            more = self.socket.recv(min(1 << 20, length - len(got)))
            if not more:
                raise ConnectionError("qemu-nbd is gone")
            got += more
        return bytes(got)

    def read(self, offset, length):
        """The bytes; None where they cannot be read."""
        if offset + length > self.size or length > MOST:
            return None
        try:
            self.socket.sendall(struct.pack(
                ">IHHQQI", 0x25609513, 0, 0, offset, offset, length))
            _, error, _ = struct.unpack(">IIQ", self.take(16))
            return self.take(length) if not error else None
        except OSError:
            self.size = -1
            return None

    def close(self):
        """The server ends with its only client."""
        if self.socket:
            self.socket.close()
        if self.server and self.server.poll() is None:
            try:
                self.server.wait(self.timeout)
            except subprocess.TimeoutExpired:
                self.server.kill()
                self.server.wait()
        self.socket = self.server = None

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()
