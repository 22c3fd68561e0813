#!/usr/bin/env python3
"""libqfsck as others use it: installed, found by pkg-config, compiled against,
and of one mind with the program."""

import json
import os
import re
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "lib"))

import known                                                # noqa: E402
import qimg                                                 # noqa: E402
import tools                                                # noqa: E402
from tap import Tap                                         # noqa: E402

ROOT = os.path.abspath(os.path.join(HERE, "..", ".."))
BUILD = os.path.abspath(os.environ.get("QFSCK_BUILD",
                                       os.path.join(ROOT, "build")))
WORK = tempfile.mkdtemp(prefix="library.", dir=os.environ.get("TMPDIR"))
ABI = os.path.join(ROOT, "tests/api/abi")
USES = {"data": 3, "compressed": 4, "l2": 2, "l1": 1, "header": 0}
tap = Tap()


def run(*args, **more):
    done = subprocess.run(args, capture_output=True, text=True, timeout=120,
                          stdin=subprocess.DEVNULL, **more)
    return done.returncode, done.stdout, done.stderr


def shown(*args):
    _, out, _ = qimg.run([qimg.qfsck_path(), *args, "--output=json"])
    return json.loads(out)


def install():
    env = {k: v for k, v in os.environ.items()
           if k not in ("MAKEFLAGS", "MFLAGS", "DESTDIR", "PREFIX")}
    out = run("make", "-o", "all", "install", "PREFIX=" + WORK + "/usr",
              "LIB_SO=" + tools.library_path(),
              "QFSCK=" + qimg.qfsck_path(), "O=" + BUILD, cwd=ROOT, env=env)
    tap.result(out[0] == 0, "it is installed", out[2].splitlines()[-3:])


def flags(*what):
    env = dict(os.environ, PKG_CONFIG_PATH=WORK + "/usr/lib/pkgconfig")
    status, out, err = run("pkg-config", *what, "qfsck", env=env)
    tap.result(status == 0, "pkg-config finds it: " + " ".join(what), [err])
    return out.split()


def compiled():
    """The example, made as its own comment says."""
    example = os.path.join(WORK, "example")
    status, _, err = run(
        "cc", "-Wall", "-Wextra", "-Werror", "-std=c11", "-o", example,
        os.path.join(ROOT, "tests/api/example.c"),
        *flags("--cflags", "--libs"), "-Wl,-rpath," + WORK + "/usr/lib")
    tap.result(status == 0, "the example is compiled", err.splitlines()[:8])
    plain = os.path.join(WORK, "plain.cc")
    with open(plain, "w") as file:
        file.write("#include <qfsck.h>\n"
                   "int main() { return !qfsck_version(); }\n")
    status, _, err = run("c++", "-Wall", "-Werror", "-o",
                         os.path.join(WORK, "plain"), plain,
                         *flags("--cflags", "--libs"),
                         "-Wl,-rpath," + WORK + "/usr/lib")
    tap.result(status == 0 and run(os.path.join(WORK, "plain"))[0] == 0,
               "C++ takes the header", err.splitlines()[:8])
    return example


def abi():
    """What it shows, and how large the records are, is what it was."""
    _, out, _ = run("nm", "-D", "--defined-only",
                    WORK + "/usr/lib/libqfsck.so")
    names = sorted(line.split()[2].split("@")[0] for line in out.splitlines()
                   if not line.endswith("QFSCK_0") or "@" in line)
    records = ("error", "info", "snapshot", "extent", "reference", "result",
               "finding", "lost")
    source = os.path.join(WORK, "sizes.c")
    with open(source, "w") as file:
        file.write("#include <qfsck.h>\n#include <stdio.h>\nint main(void)\n{"
                   + "".join('printf("struct qfsck_%s %%zu\\n", '
                             'sizeof(struct qfsck_%s));' % (r, r)
                             for r in records) + "return 0; }\n")
    run("cc", "-o", os.path.join(WORK, "sizes"), source,
        "-I", WORK + "/usr/include")
    now = "\n".join(names) + "\n" + run(os.path.join(WORK, "sizes"))[1]
    if os.environ.get("QFSCK_BLESS"):
        with open(ABI, "w") as file:
            file.write(now)
    with open(ABI) as file:
        then = file.read()
    # pointers are four bytes elsewhere
    same = now == then or (sys.maxsize < 1 << 32 and
                           now.split("struct")[0] == then.split("struct")[0])
    tap.result(same, "the symbols and records that others were built against",
               ["is:", *now.splitlines(), "was:", *then.splitlines()])


def expected(path):
    """What the example should print of IMAGE's check and maps."""
    report = shown("check", path)
    lines = ["verdict %s corruptions %d leaks %d" % (
        report["verdict"], report.get("corruptions", 0),
        report.get("leaks", 0))]
    lines += ["finding %d %s %d %s" % (f["id"], f["name"], f["count"],
                                      f["message"])
              for f in report["findings"]]
    lines += ["lost %s %d %d" % (r["holder"], r["guest-offset"], r["length"])
              for r in report["lost"]]
    return lines


def mapped(path, state):
    """{(start, length, host offset)} of the data, by the map command."""
    args = ("-s", state) if state != "active" else ()
    return {(e["start"], e["length"], e.get("offset"))
            for e in shown("map", *args, path)
            if e["data"] and not e.get("compressed")}


def agree(example, path, states):
    status, out, err = run(example, path)
    lines = out.splitlines()
    head = [line for line in lines
            if line.split()[0] in ("verdict", "finding", "lost")]
    wanted = expected(path)
    tap.result(status == 0 and head == wanted,
               "%s: the report is check's" % os.path.basename(path),
               ["exit %s" % status, err, *head, "wanted:", *wanted])
    for state in states:
        data = {(int(m[1]), int(m[2]), int(m[3])) for m in (
            re.match(r"extent %s (\d+) (\d+) data (\d+)" % state, line)
            for line in lines) if m}
        tap.result(data == mapped(path, state), "%s: the map of %s" % (
            os.path.basename(path), state),
            [str(sorted(data ^ mapped(path, state))[:4])])
    sums = dict(line.split()[1:3] for line in lines
                if line.startswith("read "))
    raw = os.path.join(WORK, "raw")
    for state in states:
        args = ("-s", state) if state != "active" else ()
        qimg.run([qimg.qfsck_path(), "extract", *args, path, raw])
        with open(raw, "rb") as file:
            total = sum(file.read(1 << 20))
        os.remove(raw)
        tap.result(sums.get(state) == str(total), "%s: the bytes of %s" % (
            os.path.basename(path), state), [str(sums), str(total)])


def owners(example, path):
    with qimg.Image(path) as image:
        cluster = image.cluster
    for offset in range(0, os.path.getsize(path), 3 * cluster):
        _, out, _ = run(example, path, str(offset))
        mine = sorted(tuple(map(int, re.findall(r"\d+", line)))
                      for line in out.splitlines()
                      if line.startswith("owner"))
        answer = shown("owners", "--host", str(offset), path)
        theirs = sorted(o["pointer-offset"] or 0 for o in answer["owners"])
        good = len(mine) == len(theirs) and "refcount %s\n" % \
            answer["refcount"] in out
        if not good:
            tap.result(False, "the owners of %#x" % offset,
                       [str(mine), str(answer)])
            return
    tap.result(True, "the owners of every third cluster")


def errors(example):
    for name, wanted in ((os.path.join(WORK, "none"), "cannot open"),
                         (__file__, "no qcow2 image")):
        status, out, err = run(example, name)
        tap.result(status == 1 and wanted in err and not out,
                   "an error in words: " + wanted, [out, err])


def main():
    if tools.library_path() is None:
        tap.skip("libqfsck", "no library was built here")
        return tap.finish()
    install()
    example = compiled()
    abi()
    path = os.path.join(WORK, "a.qcow2")
    qimg.build(path, "64M", ["write -P 1 0 300k", ("snap", "1"),
                             "write -P 2 100k 1M", "write -P 3 40M 70k"],
               cluster_size=4096)
    agree(example, path, ("active", "1"))
    owners(example, path)
    with qimg.Image(path) as image:
        table = known.Known(image).active_tables()[0]
    with open(path, "r+b") as file:
        file.seek(table)
        file.write(bytes(4096))
    agree(example, path, ())
    errors(example)
    subprocess.run(["rm", "-rf", WORK], check=True)
    return tap.finish()


sys.exit(main())
