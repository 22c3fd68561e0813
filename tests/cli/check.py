#!/usr/bin/env python3
"""qfsck check from the outside: exit codes, options, several images.

Exit codes and the keys of the JSON are qemu-img's; a report is the same for
any number of jobs; the image's bytes are never changed.
"""
import hashlib
import itertools
import json
import os
import re
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
import qimg  # noqa: E402
from tap import Tap  # noqa: E402

QFSCK = qimg.qfsck_path()
# name -> exit code; made by make_images()
IMAGES = {"clean.qcow2": 0, "leaks.qcow2": 3, "corrupt.qcow2": 2,
          "text.qcow2": 63, "missing.qcow2": 1}
GRAVEST = (2, 1, 3, 63, 0)


def run(*argv, **more):
    more.setdefault("stdin", subprocess.DEVNULL)
    return subprocess.run([str(a) for a in argv], capture_output=True,
                          timeout=60, env=qimg.environment(), **more)


def check(*argv, **more):
    return run(QFSCK, "check", *argv, **more)


def text(done):
    return (done.stdout + done.stderr).decode(errors="replace").splitlines()


def make_images():
    for name in ("clean.qcow2", "leaks.qcow2", "corrupt.qcow2"):
        qimg.build(os.path.abspath(name), "64M",
                   ["write -P 1 0 1M", "write -P 2 20M 1M", ("snap", "s1"),
                    "write -P 3 512k 1M"])
    qimg.build(os.path.abspath("garbage.qcow2"), "512M", ["write -P 1 0 9M"])
    with qimg.Image("leaks.qcow2") as image:
        end = image.clusters()
        image.truncate((end + 3) * image.cluster)
        for n in range(3):
            image.set_refcount(end + n, 1)
    with qimg.Image("corrupt.qcow2") as image:
        pos = image.l2_pos(image.l1_used()[0], 3)
        image.put64(pos, image.u64(pos) | 2)
    with qimg.Image("garbage.qcow2") as image:
        l2 = image.l2_offset(image.l1_used()[0])
        image.write(l2, qimg.random.Random(3).randbytes(image.cluster))
    with open("text.qcow2", "w", encoding="ascii") as file:
        file.write("Dear reader,\nthis is a letter and no disk.\n")


def exit_codes(tap):
    for name, code in IMAGES.items():
        done = check(name)
        tap.result(done.returncode == code, f"{name} exits {code}",
                   [str(done.returncode), *text(done)])
    for pair in itertools.permutations(IMAGES, 2):
        want = next(c for c in GRAVEST if c in [IMAGES[n] for n in pair])
        done = check(*pair)
        tap.result(done.returncode == want,
                   f"{' and '.join(pair)} exit {want}", text(done))
    done = check(*IMAGES)
    tap.result(done.returncode == 2, "all of them exit 2")


def as_qemu_img(tap):
    """The figures of an undamaged image are qemu-img's, to the number."""
    theirs = qimg.parse(run("qemu-img", "check", "--output=json",
                            "clean.qcow2").stdout)
    ours = qimg.parse(check("--output=json", "clean.qcow2").stdout)
    for key, value in theirs.items():
        tap.result(ours.get(key) == value, f"{key} is qemu-img's",
                   [f"{ours.get(key)}, not {value}"])
    tap.result(ours["verdict"] == "clean" and ours["findings"] == [],
               "a clean image has no findings", [json.dumps(ours)])
    for name in ("leaks.qcow2", "corrupt.qcow2"):
        theirs = qimg.parse(run("qemu-img", "check", "--output=json",
                                name).stdout)
        ours = qimg.parse(check("--output=json", name).stdout)
        for key in ("leaks", "corruptions"):
            tap.result(ours[key] == theirs.get(key, 0),
                       f"{name}: {key} as qemu-img counts them",
                       [f"{ours[key]}, not {theirs.get(key, 0)}"])


def lists_of_names(tap):
    names = b"\0".join(n.encode() for n in ("clean.qcow2", "leaks.qcow2"))
    with open("names", "wb") as file:
        file.write(names + b"\0")
    plain = check("clean.qcow2", "leaks.qcow2")
    tap.result(check("--files0-from=names").stdout == plain.stdout,
               "--files0-from reads names from a file")
    tap.result(check("--files0-from=-", stdin=None, input=names).stdout
               == plain.stdout, "--files0-from=- reads names from stdin")
    both = check("--files0-from=names", "corrupt.qcow2")
    tap.result(both.returncode == 2 and
               both.stdout.startswith(plain.stdout[:plain.stdout.rindex(b"2 ")])
               and both.stdout.endswith(
                   b"3 images: 1 clean, 1 with leaks, 1 corrupt\n"),
               "names from a file and arguments go together", text(both))
    one = check("--jobs", "1", "clean.qcow2", "leaks.qcow2", "corrupt.qcow2")
    two = check("--jobs", "2", "clean.qcow2", "leaks.qcow2", "corrupt.qcow2")
    tap.result(one.stdout == two.stdout and one.returncode == two.returncode,
               "several images at once print what they print in turn",
               text(two))
    none = check("--files0-from=no-such-file")
    tap.result(none.returncode == 1 and b"no-such-file" in none.stderr,
               "a missing list is an error", text(none))
    with open("empty-list", "wb"):
        pass
    none = check("--files0-from=empty-list")
    tap.result(none.returncode == 1, "an empty list is an error", text(none))
    odd = "new\nline é.qcow2"
    os.link("clean.qcow2", odd)
    done = check("--files0-from=-", stdin=None, input=odd.encode())
    tap.result(done.returncode == 0, "a name may hold a line end", text(done))


def image_options(tap):
    os.link("clean.qcow2", "a,b.qcow2")
    for opts in ("driver=qcow2,file.filename=clean.qcow2",
                 "driver=qcow2,file.driver=file,file.filename=clean.qcow2",
                 "file.filename=clean.qcow2,driver=qcow2",
                 "driver=qcow2,file.filename=a,,b.qcow2"):
        done = check("--image-opts", opts)
        tap.result(done.returncode == 0, f"--image-opts {opts}", text(done))
    done = check("--image-opts", "driver=qcow2")
    tap.result(done.returncode == 1, "--image-opts without a file",
               text(done))


def output(tap):
    done = check("-q", "clean.qcow2")
    tap.result(done.returncode == 0 and text(done) == [],
               "-q says nothing about a clean image", text(done))
    done = check("-q", "corrupt.qcow2")
    tap.result(done.returncode == 2 and b"corrupt" in done.stdout,
               "-q tells what is wrong", text(done))
    done = check("--output=json", *IMAGES)
    lines = [qimg.parse(l) for l in done.stdout.splitlines()]
    tap.result(None not in lines and [l["filename"] for l in lines]
               == list(IMAGES), "several images give a line of JSON each",
               text(done))
    tap.result([l["verdict"] for l in lines] == ["clean", "leaks", "corrupt",
                                                 "foreign", "unchecked"],
               "every line has its verdict", text(done))
    one = check("--output=json", "corrupt.qcow2")
    tap.result(len(one.stdout.splitlines()) > 10
               and qimg.parse(one.stdout)["verdict"] == "corrupt",
               "one image gives one object, laid out to be read")
    done = check("-p", "clean.qcow2")
    tap.result(done.returncode == 0 and done.stdout
               == check("clean.qcow2").stdout,
               "-p leaves stdout as it is", text(done))
    with open("/dev/full", "wb") as full:
        done = subprocess.run([QFSCK, "check", "clean.qcow2"], stdout=full,
                              stderr=subprocess.PIPE, timeout=60)
    tap.result(done.returncode == 1 and done.stderr,
               "a report that cannot be written is an error",
               [str(done.returncode)])


def wrong_use(tap):
    for argv in ([], ["--no-such-option", "clean.qcow2"],
                 ["--output=xml", "clean.qcow2"],
                 ["--jobs=many", "clean.qcow2"],
                 ["--jobs=-1", "clean.qcow2"],
                 ["-r", "nonsense", "clean.qcow2"]):
        done = check(*argv)
        tap.result(done.returncode == 1 and done.stderr and not done.stdout,
                   f"check {' '.join(argv)} is refused with a word",
                   text(done))
    done = check("-f", "raw", "clean.qcow2")
    tap.result(done.returncode == 63, "-f raw is a format not checked",
               text(done))
    for argv in (["-f", "qcow2"], ["-T", "none"], ["--cache=writeback"]):
        done = check(*argv, "clean.qcow2")
        tap.result(done.returncode == 0, f"{' '.join(argv)} is taken",
                   text(done))
    done = run(QFSCK, "no-such-command")
    tap.result(done.returncode == 1 and b"no-such-command" in done.stderr,
               "an unknown command is refused by name", text(done))
    done = run(QFSCK, "--version")
    tap.result(done.returncode == 0 and re.fullmatch(
        rb"qfsck \d+\.\d+( \(commit [0-9a-f]{12}\+?\))?\n", done.stdout),
               "--version", text(done))
    done = run(QFSCK, "--help")
    tap.result(done.returncode == 0 and b"check" in done.stdout, "--help")


def a_screenful(tap):
    done = check("garbage.qcow2")
    lines = done.stdout.decode().splitlines()
    screen = sum(max(1, (len(l) + 79) // 80) for l in lines)
    tap.result(done.returncode == 2 and screen <= 24,
               "a random L2 table takes at most 24 lines of 80",
               [f"{screen} lines", *lines])
    every = check("--all", "garbage.qcow2").stdout.decode().splitlines()
    tap.result(len(every) > 1000, "--all lists every entry",
               [f"{len(every)} lines"])


def jobs(tap):
    for name in ("clean.qcow2", "corrupt.qcow2", "garbage.qcow2"):
        for options in ([], ["--output=json"], ["--all"]):
            outs = {check(f"--jobs={n}", *options, name).stdout
                    for n in (1, 2, 8)}
            tap.result(len(outs) == 1, f"{name} {' '.join(options)}: 1, 2 and "
                       "8 jobs print the same bytes")


def digest(name):
    with open(name, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest(), os.stat(name).st_mtime_ns


def main():
    tap = Tap()
    qimg.own_folder()
    make_images()
    names = [n for n in os.listdir(".") if n.endswith(".qcow2")]
    before = {n: digest(n) for n in names}
    exit_codes(tap)
    as_qemu_img(tap)
    lists_of_names(tap)
    image_options(tap)
    output(tap)
    wrong_use(tap)
    a_screenful(tap)
    jobs(tap)
    for name in names:
        tap.result(digest(name) == before[name],
                   f"{name} is as it was, to the byte and the second")
    return tap.finish()


if __name__ == "__main__":
    sys.exit(main())
