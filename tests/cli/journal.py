#!/usr/bin/env python3
"""check --output=journal: a line an image with its priority; where standard
output leads to the journal, fields of its own in the native protocol."""
import os
import socket
import struct
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
import qimg  # noqa: E402
from tap import Tap  # noqa: E402

QFSCK = qimg.qfsck_path()
ODD = "pool/two\nlines"
tap = Tap()


def check(*argv, **more):
    env = dict(qimg.environment(), **more)
    env.pop("JOURNAL_STREAM", None)
    env.update(more)
    return subprocess.run([QFSCK, "check", "--output=journal", *argv],
                          capture_output=True, timeout=60, env=env,
                          stdin=subprocess.DEVNULL)


def fields(message):
    """The fields of a datagram in the journal's native protocol."""
    found, at = {}, 0
    while at < len(message):
        end = message.index(b"\n", at)
        key, equals, value = message[at:end].partition(b"=")
        if not equals:
            length, = struct.unpack_from("<Q", message, end + 1)
            value = message[end + 9:end + 9 + length]
            end += 9 + length
            assert message[end:end + 1] == b"\n"
        found[key.decode()] = value.decode()
        at = end + 1
    return found


def received(journal):
    journal.setblocking(False)
    found = []
    try:
        while True:
            found.append(fields(journal.recv(1 << 16)))
    except BlockingIOError:
        return found


def make_pool():
    os.mkdir("pool")
    for name in ("pool/clean", "pool/leaks", "pool/lost", ODD):
        qimg.build(os.path.abspath(name), "512M", ["write 0 1M"])
    with qimg.Image("pool/leaks") as image:
        end = image.clusters()
        image.truncate((end + 1) * image.cluster)
        image.set_refcount(end, 1)
    with qimg.Image("pool/lost") as image:
        image.write(image.l2_offset(image.l1_used()[0]), bytes(image.cluster))
    with open("pool/letter.qcow2", "w", encoding="ascii") as file:
        file.write("Dear reader,\nthis is a letter and no disk.\n")


PLAIN = [
    "<6>pool/clean: clean",
    "<5>pool/leaks: leaks: up to 64 KiB wasted",
    "<5>pool/letter.qcow2: another format: is no qcow2 image: "
    "ASCII text",
    "<3>pool/lost: corrupt: 1 error, up to 512 MiB lost: l2-table-erased",
    "<6>pool/two\\x0alines: clean",
    "<6>5 images: 2 clean, 1 with leaks, 1 corrupt, 1 of another format"]


def plain():
    done = check("pool")
    have = done.stdout.decode().splitlines()
    tap.result(have == PLAIN and done.returncode == 2 and not done.stderr,
               "a line an image, with its priority", have)
    done = check("-q", "--jobs=1", "pool")
    have = done.stdout.decode().splitlines()
    tap.result(have == [l for l in PLAIN if not l.endswith("clean")],
               "-q leaves clean ones out", have)
    done = check("pool", QFSCK_JOURNAL_SOCKET="none")
    tap.result(done.stdout.decode().splitlines() == PLAIN,
               "without a journal it is the same", [str(done)])
    done = check("--summary", "pool")
    tap.result(done.returncode == 1 and not done.stdout,
               "a summary is another thing", [str(done)])


def native(journal):
    done = check("pool", QFSCK_JOURNAL_SOCKET="journal")
    have = received(journal)
    tap.result(not done.stdout and not done.stderr and done.returncode == 2,
               "the journal has all of it", [str(done)])
    tap.result(sorted(h["MESSAGE"] for h in have) ==
               sorted(l[3:] for l in PLAIN) and
               all(f"<{h['PRIORITY']}>{h['MESSAGE']}" in PLAIN for h in have)
               and have[-1]["MESSAGE"] == PLAIN[-1][3:],
               "with the same words and priorities", [str(h) for h in have])
    by_name = {h.get("QFSCK_IMAGE"): h for h in have}
    lost = by_name.get("pool/lost", {})
    tap.result(lost.get("QFSCK_VERDICT") == "corrupt" and
               lost.get("QFSCK_LOST_BYTES") == str(512 << 20) and
               lost.get("QFSCK_ERRORS") == "1" and
               lost.get("SYSLOG_IDENTIFIER") == "qfsck" and
               by_name["pool/leaks"]["QFSCK_LEAKED_BYTES"] == "65536" and
               by_name.get(ODD, {}).get("QFSCK_VERDICT") == "clean",
               "each has its fields, whatever its name", [str(by_name)])


def told_by_systemd(journal):
    """Not for us: it says of another file than our output."""
    own = os.stat("pool")
    done = check("pool", JOURNAL_STREAM=f"{own.st_dev}:{own.st_ino}")
    tap.result(done.stdout.decode().splitlines() == PLAIN and
               not received(journal),
               "an output that was led elsewhere gets plain lines",
               [str(done)])


qimg.own_folder()
make_pool()
plain()
with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
    server.bind("journal")
    native(server)
    told_by_systemd(server)
sys.exit(tap.finish())
