#!/usr/bin/env python3
"""The binaries are hardened: read off the files themselves."""

import os
import platform
import re
import shutil
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "lib"))

from tap import Tap                                         # noqa: E402
import tools                                                # noqa: E402

BUILD = os.environ.get("QFSCK_BUILD", "build")
tap = Tap()


def readelf(*args):
    return subprocess.run(["readelf", "-W", *args], capture_output=True,
                          text=True, timeout=60, check=True).stdout


def look(path, program):
    name = os.path.basename(path) if not program else "qfsck"
    head, dynamic = readelf("-hl", path), readelf("-d", path)
    symbols = readelf("--dyn-syms", path)
    tap.result(re.search(r"Type:\s+DYN", head) and
               (not program or "PIE" in dynamic),
               f"{name} can lie anywhere in memory")
    tap.result("GNU_RELRO" in head and re.search(r"\bNOW\b|BIND_NOW", dynamic),
               f"{name} has its tables of addresses read-only")
    stack = re.search(r"GNU_STACK.*\s(R\S*)\s+0x", head)
    tap.result(stack and stack[1] == "RW", f"{name} runs no code on the stack")
    tap.result(not re.search(r"LOAD.*\sRWE\s", head),
               f"{name} has no memory that is both written and run")
    tap.result("RPATH" not in dynamic and "RUNPATH" not in dynamic,
               f"{name} has no library path of its own")
    tap.result("__stack_chk_" in symbols, f"{name} guards its stack")
    tap.result(len(re.findall(r"__\w+_chk\b", symbols)) > 4,
               f"{name} has glibc's checks of sizes")


def cet():
    """Of an object, as the C library's own parts may have none."""
    name = "the code marks where a jump may lead (CET)"
    if platform.machine() != "x86_64":
        tap.skip(name, "no x86_64")
        return
    notes = readelf("-n", os.path.join(BUILD, "qfsck.o"))
    tap.result("IBT" in notes and "SHSTK" in notes, name, notes.splitlines())


with open(os.path.join(BUILD, "flags"), encoding="utf-8") as flags:
    sanitized = "-fsanitize" in flags.read()
if not shutil.which("readelf"):
    tap.skip("the binaries are hardened", "no readelf")
elif sanitized:
    tap.skip("the binaries are hardened", "a sanitized build")
else:
    look(os.path.realpath(tools.qfsck_path()), True)
    look(tools.library_path(), False)
    cet()
sys.exit(tap.finish())
