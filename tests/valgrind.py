#!/usr/bin/env python3
"""Runs check and repair -n on the images of the corpus under valgrind: no
access to what is not there, no use of what was never set, no leak.

    tests/valgrind.py [NAME...]      only cases whose name holds a NAME
"""
import concurrent.futures
import os
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "lib"))
sys.path.insert(0, HERE)
import corpus                                               # noqa: E402
import qimg                                                 # noqa: E402
from tap import Tap                                         # noqa: E402

FAULT = 99
VALGRIND = ["valgrind", "-q", "--error-exitcode=%d" % FAULT, "--leak-check=full",
            "--errors-for-leak-kinds=definite", "--show-leak-kinds=definite"]
COMMANDS = (["check", "--data", "--why", "--jobs=1"], ["repair", "-n"])


def judge(name):
    """What valgrind has against a case."""
    bad = []
    case = corpus.Case(name)
    with tempfile.TemporaryDirectory() as folder:
        image = case.make(folder)
        for command in COMMANDS:
            done = subprocess.run(
                [*VALGRIND, qimg.qfsck_path(), *command, image], text=True,
                capture_output=True, stdin=subprocess.DEVNULL, timeout=900,
                errors="replace", env=qimg.environment())
            if done.returncode not in (0, 1, 2, 3, 63):
                bad += [" ".join(command), *done.stderr.splitlines()]
    return bad


def main():
    tap = Tap()
    names = [n for n in sorted(os.listdir(corpus.CORPUS))
             if os.path.isdir(os.path.join(corpus.CORPUS, n)) and
             (not sys.argv[1:] or any(a in n for a in sys.argv[1:]))]
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for name, bad in zip(names, pool.map(judge, names)):
            tap.result(not bad, name, bad[:40])
    return tap.finish()


sys.exit(main())
