"""Runs the real programs, every call under a timeout."""

import atexit
import json
import os
import re
import subprocess
import tempfile
import threading

TIMEOUT = 20
SECRET = ["--object", "secret,id=key0,data=qfsck"]
HERE = os.path.dirname(os.path.abspath(__file__))
CLASSES = {0: "clean", 1: "unchecked", 2: "corrupt", 3: "leaks", 63: "foreign"}


class Refused(Exception):
    """A tool said no."""


def environment():
    env = dict(os.environ)
    env.update(LC_ALL="C", TZ="UTC", NO_COLOR="1")
    return env


def run(args, cwd=None, feed=None, timeout=TIMEOUT):
    """(exit status, stdout, stderr); status "timeout" when it hangs."""
    try:
        done = subprocess.run(args, cwd=cwd, input=feed, timeout=timeout,
                              env=environment(), capture_output=True)
    except subprocess.TimeoutExpired as late:
        return "timeout", late.stdout or b"", late.stderr or b""
    except OSError as why:
        return "not run", b"", str(why).encode()
    return done.returncode, done.stdout, done.stderr


def must(args, **more):
    status, out, err = run(args, **more)
    if status != 0:
        raise Refused("%s: %s: %s" % (" ".join(args), status,
                                      err.decode(errors="replace").strip()))
    return out


def qemu_img(*args, **more):
    return must(["qemu-img", *map(str, args)], **more)


def qemu_io(path, *commands, options=(), **more):
    """Runs the commands in one qemu-io on the qcow2 image PATH."""
    args = ["qemu-io", *options]
    if not any(o == "--image-opts" or o == "-f" for o in options):
        args += ["-f", "qcow2"]
    for command in commands:
        args += ["-c", command]
    out = must(args + [path], **more)
    if b"failed" in out:
        raise Refused("qemu-io %s: %s" % (path, out.decode(errors="replace")))
    return out


def luks_options(path):
    return "driver=qcow2,encrypt.key-secret=key0,file.filename=" + path


def parse(out):
    """The JSON object in a program's output, or None."""
    try:
        return json.loads(out.decode(errors="replace"))
    except ValueError:
        return None


def qemu_check(path, encrypted=False):
    """(exit status, JSON or None, stderr) of `qemu-img check`."""
    args = ["qemu-img", "check", "--output=json"]
    if encrypted:
        args += SECRET + ["--image-opts", luks_options(path)]
    else:
        args += [path]
    status, out, err = run(args, cwd=os.path.dirname(path))
    return status, parse(out), err.decode(errors="replace")


def own_folder():
    """Stand in a folder for scratch files: the test's own, else a new one."""
    if "TMPDIR" in os.environ:
        os.chdir(os.environ["TMPDIR"])
        return
    folder = tempfile.TemporaryDirectory(prefix="qfsck-")
    atexit.register(folder.cleanup)
    os.chdir(folder.name)


def library_path(name="libqfsck.so"):
    """A library of ours: with the objects where O was given, or at the root;
    None: it was not built."""
    root = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
    for folder in (os.environ.get("QFSCK_BUILD", ""), root):
        path = os.path.abspath(os.path.join(folder, name))
        if folder and os.path.exists(path):
            return path
    return None


def qfsck_path():
    default = os.path.join(HERE, "..", "..", "qfsck")
    return os.path.abspath(os.environ.get("QFSCK", default))


def qfsck_check(path, *options):
    """(exit status, JSON or None, stderr, raw stdout) of `qfsck check`."""
    args = [qfsck_path(), "check", "--output=json", *options,
            os.path.basename(path)]
    status, out, err = run(args, cwd=os.path.dirname(path))
    return status, parse(out), err.decode(errors="replace"), out


def peak_memory(args, cwd, timeout=TIMEOUT):
    """KiB of memory that a program held at its peak, resident."""
    child = subprocess.Popen(args, cwd=cwd, env=environment(),
                             stdin=subprocess.DEVNULL,
                             stdout=subprocess.DEVNULL,
                             stderr=subprocess.DEVNULL)
    killer = threading.Timer(timeout, child.kill)
    killer.start()
    _, child.returncode, usage = os.wait4(child.pid, 0)
    killer.cancel()
    return usage.ru_maxrss


def sanitized(program):
    """Whether a sanitizer is built in, which takes memory of its own."""
    with open(program, "rb") as file:
        return b"__asan_init" in file.read()


def last_line(text):
    lines = [l for l in text.splitlines() if l.strip()]
    return re.sub(r"/\S*/", "", lines[-1]) if lines else ""
