#!/usr/bin/env python3
"""Every example in the README and the manual does what stands there: those with
their output say just that, the others come through without an error. One that
cannot be run here has to be named below."""
import os
import pty
import re
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "lib"))
import qimg                                                 # noqa: E402
from tap import Tap                                         # noqa: E402

ROOT = os.path.abspath(os.path.join(HERE, "..", ".."))
tap = Tap()

# What needs more than images: the build, systemd, libvirt.
ELSEWHERE = re.compile(r"make |systemctl |virsh |\ttr |nbdkit|qfsck report")


def text_of(name):
    with open(os.path.join(ROOT, name), encoding="utf-8") as file:
        return file.read()


def blocks():
    """The indented blocks of the README."""
    return re.findall(r"(?:^    .*\n(?:\n(?=    ))?)+", text_of("README.md"),
                      re.M)


def plain(line):
    """A line of the man page without its troff."""
    return line.replace("\\-", "-").replace("\\(aq", "'").strip()


def environment():
    env = qimg.environment()
    env["PATH"] = os.path.abspath("bin") + ":" + env["PATH"]
    return env


def shell(command):
    return subprocess.run(["sh", "-c", command], capture_output=True,
                          timeout=60, text=True, stdin=subprocess.DEVNULL,
                          env=environment())


def on_terminal(command, keys):
    """(exit code, what it said) on a terminal where KEYS are typed."""
    child, terminal = pty.fork()
    if child == 0:
        os.execvpe("sh", ["sh", "-c", command],
                   dict(environment(), TERM="xterm"))
    said = b""
    os.write(terminal, keys)
    while True:
        try:
            piece = os.read(terminal, 65536)
        except OSError:     # Linux says so at the terminal's end
            break
        if not piece:
            break
        said += piece
    os.close(terminal)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), said.decode(
        errors="replace")


def run(command):
    """(exit code, what it said)."""
    if re.match(r"qfsck repair [^-]\S*$", command):
        return on_terminal(command, b"a\n")
    if re.match(r"qfsck viz [^-]", command):
        return on_terminal(command, b"q")
    done = shell(command)
    return done.returncode, done.stdout + done.stderr


# -- images ------------------------------------------------------------

def erased(path):
    qimg.build(path, "2G", ["write 0 40M", "write 512M 20M"])
    with qimg.Image(path) as image:
        image.write(image.l2_offset(0), bytes(image.cluster))


def crashed(path):
    qimg.build(path, "4M", ["write 0 4M"])
    with qimg.Image(path) as image:
        for cluster in range(39, 69):
            image.set_refcount(cluster, 0)


def whole(path):
    """A snapshot S, a bitmap since a full backup, and a write after both."""
    qimg.build(path, "8M", ["write 0 1M", ("snap", "S")])
    shutil.copy(path, "full.qcow2")
    qimg.build(path, "8M", ["write 0 1M", ("snap", "S"), ("bitmap", "B"),
                            ("bitmap", "since-full"), "write 2M 1M"])


def leaking(path):
    qimg.build(path, "8M", ["write 0 1M"])
    with qimg.Image(path) as image:
        end = image.clusters()
        image.truncate((end + 4) * image.cluster)
        for cluster in range(end, end + 4):
            image.set_refcount(cluster, 1)


# -- the README --------------------------------------------------------

def tour():
    """Commands with their output, in their order."""
    erased(os.path.abspath("disk.qcow2"))
    crashed(os.path.abspath("crash.qcow2"))
    for block in blocks():
        lines = [l[4:] for l in block.splitlines()]
        if not lines[0].startswith("$ "):
            continue
        for part in re.split(r"^\$ ", "\n".join(lines), flags=re.M)[1:]:
            command, _, want = part.partition("\n")
            code, said = run(command)
            if command.startswith("qemu-img"):  # its words change
                tap.result(code == 0, command, said.splitlines())
                continue
            tap.result(said.strip() == want.strip(), "README: " + command,
                       said.splitlines() + ["wanted:"] + want.splitlines())


NAMES = {"IMAGE": "disk.qcow2", "OFF": "0x50000", "OUT": "out.raw",
         "/var/lib/libvirt/images": "pool"}


def filled(command):
    for name, value in NAMES.items():
        command = re.sub(r"(?<![\w-])%s(?![\w-])" % re.escape(name), value,
                         command)
    return command


def commands_of_readme():
    for block in blocks():
        for line in block.splitlines():
            line = line[4:]
            if line.startswith("$ "):
                break
            if line and not ELSEWHERE.match(line):
                yield re.split(r"\s{2,}", line)[0]


def commands_of_manual():
    """What stands in the page between .nf and .fi, but for the synopses."""
    page = text_of("qfsck.1")
    for block in re.findall(r"^\.nf\n(.*?)^\.fi", page, re.M | re.S):
        for line in block.splitlines():
            if re.match(r"\t?(qfsck|find) ", line) and \
                    "[" not in line and \
                    not re.search("IMAGE|FOLDER|UNDOFILE|qfsck report", line):
                yield plain(line)
            elif re.match(r"0 3 \* \* 0 ", line):
                yield plain(line).split("root", 1)[1].strip()


def each(where, commands, least):
    commands = list(commands)
    tap.result(len(commands) >= least, f"{where}: {least} examples",
               commands)
    for command in commands:
        for name in ("out.raw", "disk.raw"):
            if os.path.exists(name):
                os.remove(name)
        code, said = run(filled(command))
        tap.result(code == 0 and "Usage:" not in said and
                   "--help" not in said, f"{where}: {command}",
                   [filled(command), str(code), *said.splitlines()])


def fresh():
    os.chdir(tempfile.mkdtemp())
    os.mkdir("bin")
    os.symlink(qimg.qfsck_path(), "bin/qfsck")
    os.mkdir("pool")
    for name in ("a", "b"):
        qimg.build(os.path.abspath(f"pool/{name}.qcow2"), "4M", ["write 0 1M"])


fresh()
tour()
fresh()
whole(os.path.abspath("disk.qcow2"))
each("README", commands_of_readme(), 12)
fresh()
whole(os.path.abspath("disk.qcow2"))
manual = list(commands_of_manual())
repairs = [c for c in manual if re.match("qfsck (repair|undo) ", c)]
each("manual", [c for c in manual if c not in repairs], 7)
leaking(os.path.abspath("disk.qcow2"))
for command, want in zip(repairs, (3, 0, 0)):
    code, said = run(command)
    tap.result(code == want, "manual: " + command,
               [str(code), *said.splitlines()])
tap.result(len(repairs) == 3, "manual: a repair, and its undo", repairs)
sys.exit(tap.finish())
