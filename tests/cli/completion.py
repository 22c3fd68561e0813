#!/usr/bin/env python3
"""The shells' completion: commands, options and their words as the program
has them, images alone as arguments; asked of a real bash, and by its keys of
one that has a terminal; of fish by `complete -C`; of a zsh with a terminal.
"""

import os
import pty
import re
import select
import shutil
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "lib"))

from tap import Tap                                         # noqa: E402
import make                                                 # noqa: E402
import tools                                                # noqa: E402

SHARE = os.path.abspath(os.path.join(HERE, "..", "..", "share", "completion"))
WORK = tempfile.mkdtemp(prefix="completion.")
BIN = os.path.join(WORK, "bin")
POOL = os.path.join(WORK, "pool")
tap = Tap()

# Prints what bash would offer for the words given; the last is being typed.
ASK = """
source "$SHARE/qfsck.bash"
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMPREPLY=()
how=$(complete -p "$1") || exit 1
how=${how##*-F } ; ${how%% *}
printf '%s\\n' "${COMPREPLY[@]}"
"""


def environment():
    return dict(os.environ, PATH=BIN + ":" + os.environ["PATH"], SHARE=SHARE,
                LC_ALL="C.UTF-8", HOME=WORK, XDG_CONFIG_HOME=WORK)


def make_pool():
    os.makedirs(os.path.join(POOL, "sub"))
    os.makedirs(BIN)
    for name in ("qfsck", "fsck.qcow2"):
        os.symlink(tools.qfsck_path(), os.path.join(BIN, name))
    for name in ("vm one", "vm.snap1", "alone"):    # by what they hold
        make.build(os.path.join(POOL, name), "1M", [])
    for name in ("vm.qcow2", "notes.txt", "vm.iso"):
        with open(os.path.join(POOL, name), "w", encoding="utf-8") as f:
            f.write("no magic here\n")
    os.mkfifo(os.path.join(POOL, "vm.fifo"))
    os.rename(os.path.join(POOL, "sub"), os.path.join(POOL, "vm.d"))


def bash(*words):
    done = subprocess.run(["bash", "--norc", "-c", ASK, "bash", *words],
                          cwd=POOL, env=environment(), capture_output=True,
                          text=True, timeout=30)
    return sorted(done.stdout.split("\n")[:-1]) + done.stderr.splitlines()


def asked(*words):
    """The first field of what the program itself says."""
    _, out, _ = tools.run([os.path.join(BIN, "qfsck"), *words, "--complete"])
    return [line.split("\t") for line in out.decode().splitlines()]


def commands():
    _, out, _ = tools.run([os.path.join(BIN, "qfsck"), "--help"])
    return re.findall(r"^  qfsck (\w+)", out.decode(), re.M)


def the_tables():
    """What --complete says is what --help says, and all arguments known."""
    for name in commands():
        if name == "explain":
            continue
        _, out, _ = tools.run([os.path.join(BIN, "qfsck"), name, "--help"])
        told = set()
        for line in out.decode().splitlines():
            if re.match(r" +-", line):
                told |= set(re.findall(r"--[\w-]+",
                                       re.split(r"\s{2,}", line.strip())[0]))
        fields = asked(name)
        notes = [f"{f}" for f in fields
                 if len(f) != 4 or f[2] == "unknown" or not f[3]]
        notes += [f"{o}: in one alone of --complete and --help"
                  for o in sorted(told ^ {f[0] for f in fields})]
        tap.result(not notes, f"{name} --complete tells what --help tells",
                   notes)


def same(name, have, want):
    tap.result(have == want, name, [f"offers {have}, not {want}"])


def in_bash():
    images = ["vm one", "vm.d", "vm.qcow2", "vm.snap1"]
    same("bash: all commands", bash("qfsck", ""),
         sorted(commands() + ["--help", "--version"]))
    same("bash: a command begun", bash("qfsck", "ex"), ["explain", "extract"])
    same("bash: images alone", bash("qfsck", "check", "vm"), images)
    same("bash: a second image", bash("qfsck", "check", "alone", "vm.s"),
         ["vm.snap1"])
    same("bash: what begins as nothing", bash("qfsck", "check", "zz"), [""])
    same("bash: from home", bash("qfsck", "check", "~/pool/al"),
         ["~/pool/alone"])
    same("bash: an option", bash("qfsck", "repair", "--ou"),
         ["--output-image=", "--output="])
    same("bash: every option",
         bash("qfsck", "du", "--"),
         sorted(f[0] + ("" if f[2] == "-" else "=") for f in asked("du")))
    same("bash: an option's words",
         bash("qfsck", "check", "--output", "=", "j"), ["json"])
    same("bash: all of them", bash("qfsck", "repair", "--risk", "="),
         ["data", "metadata", "none"])
    same("bash: a letter's words", bash("qfsck", "check", "-r", "l"),
         ["leaks"])
    same("bash: an option's file",
         bash("qfsck", "repair", "--undo", "=", "no"), ["notes.txt"])
    same("bash: an option's folder",
         bash("qfsck", "extract", "--orphans", "=", "vm"), ["vm.d"])
    same("bash: report takes any file",
         bash("qfsck", "report", "no"), ["notes.txt"])
    same("bash: undo begins with an undo file",
         bash("qfsck", "undo", "no"), ["notes.txt"])
    same("bash: and goes on with an image", bash("qfsck", "undo", "x", "al"),
         ["alone"])
    same("bash: extract makes any file",
         bash("qfsck", "extract", "alone", "no"), ["notes.txt"])
    same("bash: a problem's name", bash("qfsck", "explain", "refcount-z"),
         ["refcount-zero"])
    same("bash: fsck.qcow2", bash("fsck.qcow2", "vm"), images)
    same("bash: its options", bash("fsck.qcow2", "-"),
         ["-a", "-f", "-n", "-p", "-y"])


SHELLS = {
    "bash": (["bash", "--norc", "--noprofile", "-i"],
             'source "$SHARE/qfsck.bash"; echo rea""dy\n'),
    "zsh": (["zsh", "-f", "-i"],
            'fpath=($SHARE $fpath); autoload -U compinit; compinit -u -D; '
            'echo rea""dy\n'),
}


def by_key(shell, typed, want):
    """TYPED at a shell with a terminal, then what the line has become."""
    argv, begin = SHELLS[shell]
    if not shutil.which(shell):
        tap.skip(f"{shell}: {typed!r} and the tab key", f"no {shell}")
        return
    pid, fd = pty.fork()
    if pid == 0:
        os.chdir(POOL)
        env = dict(environment(), TERM="dumb", PS1="$ ")
        os.execvpe(shell, argv, env)
    text, end = "", time.monotonic() + 20
    os.write(fd, begin.encode())
    stage = 0
    while time.monotonic() < end and stage < 2:
        if select.select([fd], [], [], 0.1)[0]:
            try:
                text += os.read(fd, 4096).decode(errors="replace")
            except OSError:
                break
        if stage == 0 and re.search(r"ready\r\n.*\$ ", text, re.S):
            os.write(fd, typed.encode() + b"\t")
            text, stage = "", 1
        elif stage == 1 and want in text:
            stage = 2
    os.close(fd)
    os.waitpid(pid, 0)
    tap.result(stage == 2, f"{shell}: {typed!r} and the tab key", [repr(text)])


def in_fish():
    if not shutil.which("fish"):
        tap.skip("fish", "no fish")
        return
    for line, want in (("qfsck check vm", {"vm one", "vm.d", "vm.qcow2",
                                           "vm.snap1"}),
                       ("qfsck ex", {"explain", "extract"}),
                       ("qfsck repair --outp", {"--output=",
                                                "--output-image="}),
                       ("qfsck repair --risk=", {"--risk=none", "--risk=data",
                                                 "--risk=metadata"}),
                       ("qfsck undo no", {"notes.txt"}),
                       ("qfsck report no", {"notes.txt"}),
                       ("qfsck explain refcount-z", {"refcount-zero"}),
                       ("fsck.qcow2 al", {"alone"})):
        done = subprocess.run(
            ["fish", "--no-config", "-c",
             "source $SHARE/qfsck.fish; complete -C $argv[1]", line],
            cwd=POOL, env=environment(), capture_output=True, text=True,
            timeout=60)
        have = {text.split("\t")[0].replace("\\ ", " ").rstrip("/")
                for text in done.stdout.splitlines()}
        tap.result(have == want and not done.stderr, f"fish: {line}",
                   [f"offers {sorted(have)}", *done.stderr.splitlines()[:5]])


def syntax(shell, file):
    name = f"{shell} has nothing against {file}"
    if not shutil.which(shell):
        tap.skip(name, f"no {shell}")
        return
    done = subprocess.run([shell, "-n", os.path.join(SHARE, file)],
                          capture_output=True, text=True, timeout=60)
    tap.result(done.returncode == 0 and not done.stderr, name,
               done.stderr.splitlines()[:5])


make_pool()
the_tables()
syntax("bash", "qfsck.bash")
syntax("zsh", "_qfsck")
syntax("fish", "qfsck.fish")
if shutil.which("bash"):
    in_bash()
    by_key("bash", "qfsck check al", "alone ")
    by_key("bash", "qfsck check vm\\ o", "\\ one ")
    by_key("bash", "qfsck check --output=j", "json ")
else:
    tap.skip("bash", "no bash")
in_fish()
by_key("zsh", "qfsck check al", "alone")
by_key("zsh", "qfsck check vm\\ o", "one")
by_key("zsh", "qfsck check --output=j", "json")
by_key("zsh", "qfsck expl", "explain ")
by_key("zsh", "qfsck undo no", "notes.txt")
by_key("zsh", "qfsck report no", "notes.txt")
by_key("zsh", "fsck.qcow2 vm.s", "vm.snap1")
shutil.rmtree(WORK)
sys.exit(tap.finish())
