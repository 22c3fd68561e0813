#!/usr/bin/env python3
"""Images behind an NBD server: as a file is, with errors, and cut off."""

import json
import os
import re
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "lib"))

import known                                                # noqa: E402
import qimg                                                 # noqa: E402
from tap import Tap                                         # noqa: E402

tap = Tap()
WORK = tempfile.mkdtemp(prefix="nbd.", dir=os.environ.get("TMPDIR"))
MB = 1 << 20


class Server:
    """nbdkit with what ARGS say, on a socket of its own."""

    def __init__(self, *args):
        self.socket = tempfile.mktemp(prefix="s", dir=WORK)
        self.uri = "nbd+unix:///?socket=" + self.socket
        self.log = open(self.socket + ".log", "w+")
        self.process = subprocess.Popen(
            ["nbdkit", "-f", "-r", "-U", self.socket, *args],
            stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)

    def __enter__(self):
        while not os.path.exists(self.socket):
            if self.process.poll() is not None:
                self.log.seek(0)
                raise qimg.Refused("nbdkit: " + self.log.read())
            time.sleep(.01)
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.log.close()


def text_of(out):
    return out.decode(errors="replace") if isinstance(out, bytes) else out


def qfsck(*args):
    status, out, err = qimg.run([qimg.qfsck_path(), *args], timeout=120)
    return status, text_of(out), text_of(err)


def normal(text, path, uri):
    """The same words for both; what only a local file can tell is left out."""
    text = text.replace("'%s'" % uri, path)    # in a line for the shell
    text = text.replace(json.dumps(uri)[1:-1], path).replace(uri, path)
    text = text.replace(os.path.basename(uri), os.path.basename(path))
    return re.sub(r'\n? *"(disk-size|actual-size|holders-of-locks)":[^\n]*',
                  "", text)


def images():
    healthy = os.path.join(WORK, "healthy")
    qimg.build(healthy, "3G", ["write -P 1 0 3M", "write -P 2 700M 5M",
                               ("snap", "s"), "write -P 3 1M 1M",
                               "write -P 4 2G 9M"], cluster_size=4096)
    damaged = os.path.join(WORK, "damaged")
    qimg.build(damaged, "3G", ["write -P 1 0 3M", ("snap", "s"),
                               "write -P 2 2M 2M"], cluster_size=4096)
    with qimg.Image(damaged) as image:
        table = known.Known(image).active_tables()[0]
    with open(damaged, "r+b") as file:
        file.seek(table + 64)
        file.write(b"\xa5" * 256)
    return healthy, damaged


COMMANDS = (
    ("check", "--output=json"), ("check",), ("check", "--data"),
    ("info", "--output=json"), ("map", "--output=json"),
    ("map", "-s", "s"), ("owners", "--guest", "1M"), ("du", "--output=json"),
    ("diff", "--from=s", "--output=json"),
)


def same_as_a_file(path):
    with Server("file", path) as server:
        for command in COMMANDS:
            here, there = (qfsck(*command, name)
                           for name in (path, server.uri))
            a = normal(here[1] + here[2], path, server.uri)
            b = normal(there[1] + there[2], path, server.uri)
            good = here[0] == there[0] and a == b
            tap.result(good, "%s of %s: as of the file" % (
                " ".join(command), os.path.basename(path)),
                ["exit %s, %s" % (here[0], there[0])] +
                [line for pair in zip(a.splitlines(), b.splitlines())
                 if pair[0] != pair[1] for line in pair][:8])
        out = [os.path.join(WORK, n) for n in ("a.raw", "b.raw")]
        runs = [qfsck("extract", "--hash", "-s", "s", name, to)
                for name, to in zip((path, server.uri), out)]
        with open(out[0], "rb") as one, open(out[1], "rb") as two:
            same = all(one.read(MB) == two.read(MB)
                       for _ in range(3 << 10))
        tap.result(same and runs[0][0] == runs[1][0],
                   "extract of %s: the same bytes" % os.path.basename(path),
                   [str(r) for r in runs])


def in_flight(log):
    """The most reads that were begun and not yet answered."""
    now = most = 0
    for line in log.splitlines():
        if re.search(r"\bRead id=\d+ offset", line):
            now += 1
        elif re.search(r"\.\.\.Read id=\d+", line):
            now -= 1
        most = max(most, now)
    return most


def many_at_once(path):
    log = os.path.join(WORK, "reads.log")
    with Server("--filter=log", "--filter=delay", "file", path,
                "logfile=" + log, "rdelay=20ms", "-t", "64") as server:
        status, _, err = qfsck("check", server.uri)
    with open(log) as file:
        text = file.read()
    tap.result(status == 0 and in_flight(text) >= 16,
               "sixteen reads are in flight where the server is slow",
               ["exit %s, %d in flight" % (status, in_flight(text)), err,
                text[:400]])


def small_requests(path):
    with Server("--filter=blocksize-policy", "file", path,
                "blocksize-minimum=4096", "blocksize-preferred=4096",
                "blocksize-maximum=32768",
                "blocksize-error-policy=error") as server:
        status, out, err = qfsck("check", server.uri)
        tap.result(status == 0, "a server that takes 4 to 32 KiB",
                   [out, err])


def with_errors(healthy, damaged):
    with Server("--filter=error", "file", healthy,
                "error-pread-rate=100%") as server:
        status, out, err = qfsck("check", server.uri)
        tap.result(status == 1 and server.uri in err and
                   "Input/output error" in err and not out.strip(),
                   "every read fails: told, exit 1",
                   ["exit %s" % status, out, err])
    for seed in range(8):
        with Server("--filter=error", "file", damaged,
                    "error-pread-rate=30%") as server:
            status, out, err = qfsck("check", "--output=json", server.uri)
            said = [json.loads(line).get("verdict")
                    for line in [out] if line.strip()]
            tap.result(status in (1, 2) and "clean" not in said and
                       "leaks" not in said,
                       "some reads fail: never a wrong verdict (%d)" % seed,
                       ["exit %s, %s" % (status, said), err])


def each_cluster():
    """A read that touches one cluster fails, for each cluster of the file in
    turn: what the check must read is never passed over in silence."""
    path, bad = os.path.join(WORK, "each"), os.path.join(WORK, "each.bad")
    qimg.build(path, "4M", ["write -P 1 0 12k", ("snap", "s"),
                            ("bitmap", "b", "-g", "4k"), "write -P 2 3M 8k"],
               cluster_size=4096)
    with qimg.Image(path) as image:
        data = {(e[2] & qimg.OFFSET_MASK) // 4096
                for e in image.normal_entries()}
        count = image.clusters()
    wrong, told = [], 0
    read = ("bad=$(cat %s); if [ $4 -le $bad ] && [ $(($4 + $3)) -gt $bad ]; "
            "then echo EIO failed >&2; exit 1; fi; dd if=%s skip=$4 count=$3 "
            "iflag=skip_bytes,count_bytes 2>/dev/null" % (bad, path))
    with Server("eval", "get_size=echo %d" % os.path.getsize(path),
                "pread=" + read) as server:
        for cluster in range(count):
            with open(bad, "w") as file:
                file.write("%d" % (cluster * 4096))
            status, out, _ = qfsck("check", "--output=json", server.uri)
            verdict = json.loads(out)["verdict"] if out.strip() else ""
            told += status in (1, 2)
            if status not in ((0, 1, 2) if cluster in data else (1, 2)) or (
                    status and verdict in ("clean", "leaks")):
                wrong.append("cluster %d: exit %s, %s" % (cluster, status,
                                                          verdict))
    tap.result(not wrong and told >= count - len(data) > 8,
               "a cluster that cannot be read, each in turn",
               wrong + ["%d of %d, %d data" % (told, count, len(data))])


def dies(path):
    size = os.path.getsize(path)
    for after in (1, 2, 4, 6):
        count = os.path.join(WORK, "count%d" % after)
        read = ("echo x >>%s; test $(wc -l <%s) -gt %d && kill -9 $PPID; "
                "dd if=%s skip=$4 count=$3 iflag=skip_bytes,count_bytes "
                "2>/dev/null" % (count, count, after, path))
        with Server("eval", "get_size=echo %d" % size,
                    "pread=" + read) as server:
            status, out, err = qfsck("check", "--output=json", server.uri)
            verdict = json.loads(out)["verdict"] if out.strip() else ""
            tap.result(status in (1, 2) and verdict not in ("clean", "leaks"),
                       "the server dies after %d reads" % after,
                       ["exit %s %s" % (status, verdict), err])


def as_a_base(path):
    overlay = os.path.join(WORK, "overlay")
    with Server("file", path) as server:
        qimg.qemu_img("create", "-q", "-f", "qcow2", "-u", "-F", "qcow2",
                      "-b", server.uri, overlay, "3G")
        a, b = (qfsck("extract", "--hash", name, "%s.raw" % name)
                for name in (path, overlay))
        hashes = [re.findall(r"\b[0-9a-f]{64}\b", r[1] + r[2]) for r in (a, b)]
        tap.result(a[0] == b[0] == 0 and hashes[0] and hashes[0] == hashes[1],
                   "a base behind a server is read", [str(a), str(b)])
    status, out, _ = qfsck("check", "--output=json", overlay)
    report = json.loads(out)
    tap.result(status == 1 and report["verdict"] == "unchecked",
               "the base's server is gone: unchecked", [out])


def refused(path):
    for name, command, wanted in (
            ("nbd+unix:///?socket=%s/none" % WORK, "check",
             "cannot connect to the NBD server"),
            ("https://localhost/a.qcow2", "check", "nbdkit -r -U - curl"),
            ("ssh://localhost/a.qcow2", "map", "nbdkit -r -U - ssh"),
            ("json:{\"driver\":\"raw\"}", "info", "qemu-nbd -r -f raw")):
        status, out, err = qfsck(command, name)
        tap.result(status == 1 and wanted in err and not out,
                   "%s of %s: a clear line" % (command, name.split(":")[0]),
                   ["exit %s" % status, out, err])
    with Server("file", path) as server:
        for args in (("-n",), ("-y",)):
            status, out, err = qfsck("repair", *args, server.uri)
            tap.result(status == 1 and "nbdcopy" in err and not out,
                       "repair %s: files only" % args,
                       ["exit %s" % status, out, err])


def main():
    try:
        healthy, damaged = images()
        same_as_a_file(healthy)
        same_as_a_file(damaged)
        many_at_once(healthy)
        small_requests(healthy)
        with_errors(healthy, damaged)
        each_cluster()
        dies(healthy)
        as_a_base(healthy)
        refused(healthy)
    finally:
        subprocess.run(["rm", "-rf", WORK], check=True)
    return tap.finish()


sys.exit(main())
