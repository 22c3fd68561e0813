#!/usr/bin/env python3
"""qfsck --log: a line of JSON a run, whatever becomes of the run."""

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "lib"))

from tap import Tap                                         # noqa: E402
from show import WORK, qfsck                                # noqa: E402
import make                                                 # noqa: E402
import qcow2                                                # noqa: E402
import tools                                                # noqa: E402

tap = Tap()
LOG = os.path.join(WORK, "log")
IMAGE = os.path.join(WORK, "an image.qcow2")


def state(path):
    if not os.path.exists(path):
        return None
    with open(path, "rb") as f:
        data = f.read()
    return {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}


def lines():
    if not os.path.exists(LOG):
        return []
    with open(LOG, encoding="utf-8") as f:
        return [json.loads(line) for line in f]


def logged(*args, **more):
    """(status, stderr, the line that the run added)."""
    before = len(lines())
    status, _, err = qfsck("--log=" + LOG, *args, **more)
    have = lines()
    return status, err, have[-1] if len(have) == before + 1 else None


def is_line(line, args, code, files):
    """FILES: path, state before, state after."""
    want = [{"path": p, "before": b, "after": a, "changed": b != a}
            for p, b, a in files]
    return line and line["arguments"] == [tools.qfsck_path(), *args] and \
        line["exit"] == code and line["files"] == want and \
        line["directory"] == os.getcwd() and line["user"] == os.getuid() and \
        line["seconds"] >= 0 and line["version"] and "commit" in line and \
        time.strptime(line["time"], "%Y-%m-%dT%H:%M:%SZ")


def reading():
    make.build(IMAGE, "4M", ["write -P 1 0 1M"])
    was = state(IMAGE)
    status, err, line = logged("check", IMAGE)
    tap.result(status == 0 and not err and
               is_line(line, ["check", IMAGE], 0, [(IMAGE, was, was)]),
               "a check", [str((status, err, line))])
    out = os.path.join(WORK, "out")
    status, err, line = logged("extract", "--", IMAGE, out)
    tap.result(status == 0 and is_line(
        line, ["extract", "--", IMAGE, out], 0,
        [(IMAGE, was, was), (out, None, state(out))]),
        "a file that the run makes", [str((status, err, line))])
    status, err, line = logged("check", "--nonsense", IMAGE)
    tap.result(status == 1 and is_line(
        line, ["check", "--nonsense", IMAGE], 1, [(IMAGE, was, was)]),
        "wrong use is a run, too", [str((status, err, line))])
    nowhere = os.path.join(WORK, "nowhere.qcow2")
    status, err, line = logged("info", nowhere)
    tap.result(status == 1 and is_line(line, ["info", nowhere], 1, []),
               "a file that is not there", [str((status, err, line))])
    name = os.fsencode(WORK) + b"/\xff\n.qcow2"
    shutil.copy(IMAGE, name)
    count = len(lines())
    done = subprocess.run([tools.qfsck_path(), "--log", LOG, "map", name],
                          stdin=subprocess.DEVNULL, capture_output=True)
    tap.result(done.returncode == 0 and len(lines()) == count + 1 and
               lines()[-1]["files"][0]["after"] == was,
               "a name that is no text", [str(done), str(lines()[-1])])


def repairing():
    with qcow2.Image(IMAGE) as image:
        image.set_refcount(image.clusters() - 1, 0)
    was = state(IMAGE)
    args = ["repair", "-y", IMAGE]
    status, err, line = logged(*args)
    now = state(IMAGE)
    tap.result(status == 0 and was != now and
               is_line(line, args, 0, [(IMAGE, was, now)]),
               "a repair: before and after", [str((status, err, line))])
    undo = IMAGE + ".qfsck-undo"
    record = state(undo)
    status, err, line = logged("undo", undo, IMAGE)
    tap.result(status == 0 and state(IMAGE) == was and line and
               line["files"][1] == {"path": IMAGE, "before": now,
                                    "after": was, "changed": True} and
               line["files"][0]["before"] == record, "and back",
               [str((status, err, line))])


def secrets():
    """A key's hash is no evidence, but a way to the key."""
    key = os.path.join(WORK, "key")
    with open(key, "w", encoding="ascii") as f:
        f.write("qfsck")
    for args in (["--key-file", key], ["--key-file=" + key], ["--key", key],
                 ["--k=" + key]):
        status, err, line = logged("guest", *args, IMAGE)
        tap.result(status == 1 and line and
                   [f["path"] for f in line["files"]] == [IMAGE],
                   "no hash of a key: " + args[0], [str((err, line))])


def refused():
    other = os.path.join(WORK, "other")
    with open(other, "w", encoding="ascii") as f:
        f.write("something else\n")
    link = os.path.join(WORK, "link")
    os.symlink(IMAGE, link)
    for what, args in (("no command", ["--log=" + LOG]),
                       ("no file", ["--log"]),
                       ("an empty name", ["--log=", "check", IMAGE]),
                       ("no log", ["--log", other, "info", IMAGE]),
                       ("an image", ["--log", IMAGE, "info", other]),
                       ("a folder", ["--log", WORK, "info", IMAGE]),
                       ("a device", ["--log", "/dev/null", "info", IMAGE]),
                       ("a file of the run", ["--log", LOG, "info", LOG])):
        was = state(IMAGE), state(other), state(LOG)
        status, out, err = qfsck(*args)
        tap.result(status == 1 and not out and err and
                   was == (state(IMAGE), state(other), state(LOG)),
                   "refused: " + what, [str((status, out, err))])


def child_of(process):
    path = "/proc/%d/task/%d/children" % (process.pid, process.pid)
    end = time.monotonic() + tools.TIMEOUT
    while time.monotonic() < end:
        with open(path, encoding="ascii") as f:
            children = f.read().split()
        if children:
            return int(children[0])
        time.sleep(.01)
    raise tools.Refused("no child")


def ignores(pid, number):
    """Whether the process still blocks, ignores or catches a signal."""
    with open("/proc/%d/status" % pid, encoding="ascii") as f:
        sets = [int(line.split()[1], 16) for line in f
                if line.startswith(("SigBlk", "SigIgn", "SigCgt"))]
    return any(s >> (number - 1) & 1 for s in sets)


def heed():
    """Whoever runs the tests in the background has it ignored."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def killed():
    """A run that is killed has its line as well."""
    for what, number, to_child in (("the child, kill -9", signal.SIGKILL, True),
                                   ("kill", signal.SIGTERM, False),
                                   ("kill -INT", signal.SIGINT, False)):
        count = len(lines())
        process = subprocess.Popen(
            [tools.qfsck_path(), "--log", LOG, "check", "--files0-from=-"],
            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, preexec_fn=heed)
        child = child_of(process)
        end = time.monotonic() + tools.TIMEOUT
        while not to_child and ignores(child, number) and \
                time.monotonic() < end:
            time.sleep(.01)
        os.kill(child if to_child else process.pid, number)
        try:
            process.wait(tools.TIMEOUT)
        except subprocess.TimeoutExpired:
            process.kill()
        process.stdin.close()
        line = lines()[-1]
        tap.result(len(lines()) == count + 1 and line["exit"] is None and
                   line["signal"] == number and
                   process.wait() == 128 + number, "killed: " + what,
                   [str((process.returncode, line))])


def beside_each_other():
    count = len(lines())
    runs = [subprocess.Popen([tools.qfsck_path(), "--log", LOG, "info", IMAGE],
                             stdout=subprocess.DEVNULL) for _ in range(12)]
    good = all(r.wait(tools.TIMEOUT) == 0 for r in runs)
    tap.result(good and len(lines()) == count + 12,
               "runs beside each other", [str(len(lines()) - count)])


def remote():
    sock = os.path.join(WORK, "s")
    server = subprocess.Popen(["qemu-nbd", "-r", "-t", "-f", "raw", "-k", sock,
                               IMAGE], stdin=subprocess.DEVNULL)
    end = time.monotonic() + tools.TIMEOUT
    while not os.path.exists(sock) and time.monotonic() < end:
        time.sleep(.01)
    uri = "nbd+unix:///?socket=" + sock
    status, err, line = logged("info", uri)
    server.terminate()
    server.wait()
    was = state(IMAGE)
    tap.result(status == 0 and line and line["files"] == [
        {"path": uri, "before": was, "after": was, "changed": False}],
        "an export", [str((status, err, line))])


reading()
repairing()
secrets()
refused()
killed()
beside_each_other()
remote()
sys.exit(tap.finish())
