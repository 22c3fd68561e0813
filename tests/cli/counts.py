#!/usr/bin/env python3
"""One count an image: check, repair -n and the browser tell the same number of
errors. Of the corpus every seventh case; with --all each of them."""
import concurrent.futures
import os
import re
import subprocess
import sys
import tempfile
import zlib

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "lib"))
sys.path.insert(0, os.path.join(HERE, ".."))
import corpus                                               # noqa: E402
import qimg                                                 # noqa: E402
from tap import Tap                                         # noqa: E402

SCRIPT = "size 140x400\nwait\nkey 4\nsave -\n"


def said(*argv):
    return subprocess.run([qimg.qfsck_path(), *argv], capture_output=True,
                          timeout=120, text=True, errors="replace",
                          stdin=subprocess.DEVNULL,
                          env=qimg.environment()).stdout


def first(text):
    """The errors that a report's first line counts."""
    found = re.search(r"(\d+) errors?\b", text.split("\n")[0])
    return int(found[1]) if found else 0


def counts(name):
    with tempfile.TemporaryDirectory() as folder:
        image = corpus.Case(name).make(folder)
        script = os.path.join(folder, "script")
        with open(script, "w", encoding="ascii") as file:
            file.write(SCRIPT)
        seen = said("viz", "--script", script, image)
        return [first(said("check", image)), first(said("repair", "-n", image)),
                sum(map(int, re.findall(r"^[-+] (?:error|fatal) \((\d+)\)",
                                        seen, re.M)))]


def main():
    tap = Tap()
    names = []
    for name in sorted(os.listdir(corpus.CORPUS)):
        case = corpus.Case(name)
        if case.text("verdict").strip() == "corrupt" and \
                not case.text("options") and (
                    "--all" in sys.argv or "-missing" in name or
                    zlib.crc32(name.encode()) % 7 == 0):
            names.append(name)
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for name, told in zip(names, pool.map(counts, names)):
            tap.result(len(set(told)) == 1 and told[0], name, [str(told)])
    tap.result(len(names) > 8, "cases were looked at", names)
    return tap.finish()


sys.exit(main())
