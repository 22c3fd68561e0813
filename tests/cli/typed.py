#!/usr/bin/env python3
"""Every command that is printed can be typed: in all that the commands say of
damaged images, a file's name is one word of the shell where it stands in a
command."""
import os
import re
import shlex
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "lib"))
sys.path.insert(0, os.path.join(HERE, ".."))
import corpus                                               # noqa: E402
import qimg                                                 # noqa: E402
from tap import Tap                                         # noqa: E402

tap = Tap()
NAME = "my disk's $(id).qcow2"
UNDO = NAME + ".qfsck-undo"
WORD = shlex.quote(NAME).replace("'\"'\"'", "'\\''")
COMMAND = re.compile(r"\b(?:qfsck [a-z]+|qemu-img [a-z]+|--undo=|nbdcopy)"
                     r"(?=[ ']).*")
READ = (["check"], ["check", "--why", "--data", "--all"], ["map"], ["du"],
        ["extract", NAME, "out"], ["repair", "-n"])
ALL = {
    "backing-missing": READ,
    "bad-vmdk": READ,
    "header-magic": READ,
    "bitmap-in-use": READ,
    "leaks-scattered": (["check"], ["repair", "-y", "--risk=none"]),
    "data-on-reftable": READ + (["repair", "-y"], ["undo", UNDO]),
    "refblock-zeroed": (["repair", "-y", "--risk=none"],),
    "given-up-mark": READ + (["repair", "-y", "--trim"],),
    "l2-is-other-l2": (["repair", "-y"], ["repair", "-n"], ["check"],
                       ["repair", "-y", "--risk=data", "--guess"],
                       ["undo", UNDO], ["check", "-r", "all"]),
    "twice-data": (["repair", "-y", "--risk=metadata"], ["repair"],
                   ["check", "-r", "all"]),
}


def run(*argv):
    done = subprocess.run([qimg.qfsck_path(), *argv], text=True, timeout=60,
                          capture_output=True, stdin=subprocess.DEVNULL,
                          env=qimg.environment())
    return done.stdout + done.stderr


def commands(text):
    """The commands in TEXT that name the image."""
    for line in text.splitlines():
        command = COMMAND.search(line)
        if command and "my disk" in command[0]:
            yield command[0]


def folder(case):
    """A folder of its own, with the case's image under the odd name."""
    os.chdir(tempfile.mkdtemp())
    corpus.Case(case).make(os.getcwd())
    os.rename("image.qcow2", NAME)


def of_case(case, asked):
    folder(case)
    good, bad = [], []
    for command in asked:
        if not any(NAME in word for word in command):
            command = [*command, NAME]
        for said in commands(run(*command)):
            (bad if NAME in said.replace(WORD, "") or WORD not in said
             else good).append(f"{' '.join(command)}: {said}")
    tap.result(good and not bad, "commands for " + case, bad)
    return set(good)


def dashed():
    """A name that looks like an option."""
    folder("data-on-reftable")
    os.rename(NAME, "-y.qcow2")
    said = run("check", "--", "-y.qcow2")
    tap.result('"qfsck repair -n ./-y.qcow2"' in said, "a name with a dash",
               said.splitlines())


def typed():
    """What stands behind Next: is typed as it stands."""
    folder("bad-vmdk")
    said = run("check", NAME).split("Next: ")[1].strip()
    words = shlex.split(said)
    tap.result(words == ["qemu-img", "check", "-f", "vmdk", NAME],
               "the shell takes it apart as it was meant", [said])
    folder("data-on-reftable")
    said = [l for l in run("repair", "-y", NAME).splitlines()
            if l.startswith("To take the repair back: ")]
    done = subprocess.run(["sh", "-c", said[0].split(": ", 1)[1].replace(
        "qfsck ", shlex.quote(qimg.qfsck_path()) + " ", 1)], text=True,
        capture_output=True, timeout=60, env=qimg.environment())
    tap.result(done.returncode == 0, "so is the undo",
               said + done.stderr.splitlines())


seen = set()
for name, asked in ALL.items():
    seen |= of_case(name, asked)
tap.result(len(seen) >= 30, "commands are looked at", sorted(seen))
typed()
dashed()
sys.exit(tap.finish())
