#!/usr/bin/env python3
"""Folders as arguments: the images in them, and with -R below them; each file
once; what is no image is passed over, what cannot be looked into is told. An
image alone, without a command, is checked."""
import json
import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
import qimg  # noqa: E402
from tap import Tap  # noqa: E402

QFSCK = qimg.qfsck_path()
tap = Tap()


def run(*argv):
    return subprocess.run([QFSCK, *argv], capture_output=True, timeout=60,
                          stdin=subprocess.DEVNULL, env=qimg.environment())


def names(*argv):
    """(the images that are checked, the exit code, stderr)."""
    done = run("check", "--output=json", *argv)
    return ([json.loads(l)["filename"] for l in done.stdout.splitlines()],
            done.returncode, done.stderr.decode())


def same(argv, want, code, name, said=""):
    have = names(*argv)
    tap.result(have[:2] == (want, code) and said in have[2], name,
               [str(have)])


def make_pool():
    os.makedirs("pool/deep/deeper")
    os.makedirs("empty")
    for name in ("pool/b.qcow2", "pool/a disk", "pool/deep/c.qcow2",
                 "pool/deep/deeper/d", "pool/.hidden"):
        qimg.build(os.path.abspath(name), "1M", ["write 0 64k"])
    for name in ("pool/notes.txt", "pool/raw.img", "pool/broken.qcow2"):
        with open(name, "w", encoding="ascii") as file:
            file.write("no image\n" * 100)
    os.mkfifo("pool/pipe")
    os.symlink("b.qcow2", "pool/a-link")
    os.symlink("../../elsewhere", "pool/deep/elsewhere")
    os.symlink("..", "pool/deep/up")
    os.link("pool/b.qcow2", "pool/deep/twin")
    qimg.build(os.path.abspath("elsewhere"), "1M", [])


def folders():
    top = ["pool/.hidden", "pool/a disk", "pool/b.qcow2", "pool/broken.qcow2"]
    deep = ["pool/deep/c.qcow2", "pool/deep/deeper/d", "pool/deep/elsewhere"]
    same(["pool"], top, 63, "a folder's images, by magic and by name, once")
    same(["pool/"], top, 63, "a slash at its end changes nothing")
    same(["-R", "pool"], top + deep, 63, "-R looks below, and into no link")
    same(["--recursive", "pool/deep"], deep + ["pool/deep/twin"], 0,
         "one of two names for a file is enough")
    same(["pool/deep", "elsewhere", "pool/deep/deeper"],
         ["pool/deep/c.qcow2", "pool/deep/elsewhere", "pool/deep/twin",
          "elsewhere", "pool/deep/deeper/d"], 0,
         "folders and images are checked in the order of their naming")
    same(["-R", "pool/deep", "pool/deep/deeper"],
         deep + ["pool/deep/twin"], 0,
         "a folder that is named twice is checked once")
    same(["pool/b.qcow2", "pool/a-link"], ["pool/b.qcow2", "pool/a-link"], 0,
         "what is named by itself is checked, whatever it is a link to")
    same(["empty"], [], 0, "a folder without an image is no failure",
         "empty: no qcow2 image")
    with open("list", "wb") as file:
        file.write(b"pool/deep\0elsewhere\0")
    same(["--files0-from=list"],
         ["pool/deep/c.qcow2", "pool/deep/elsewhere", "pool/deep/twin",
          "elsewhere"], 0, "a list of names may hold a folder")
    done = run("check", "pool/deep/deeper")
    tap.result(done.returncode == 0 and b"d: clean" in done.stdout
               and b"1 image: 1 clean" in done.stdout,
               "a folder with one image is a pool", [str(done)])


def shards():
    """Every image falls to one host, and stays there."""
    os.makedirs("wide/sub")
    for n in range(60):
        os.link("elsewhere", f"wide/{n}.qcow2")
        os.link("elsewhere", f"wide/sub/{n}.qcow2")
    with open("list", "wb") as file:
        for n in range(120):
            sub = "sub/" if n % 2 else ""
            file.write(f"wide/{sub}{n // 2}.qcow2\0".encode())
    every = names("--files0-from=list")[0]
    parts = [names("--files0-from=list", f"--shard={i}/3") for i in (1, 2, 3)]
    tap.result(sorted(sum((p[0] for p in parts), [])) == sorted(every)
               and all(p[0] == [n for n in every if n in p[0]] for p in parts),
               "three hosts share all images, each in order", [str(parts)])
    tap.result(all(20 <= len(p[0]) <= 60 for p in parts),
               "each has its share", [str(len(p[0])) for p in parts])
    tap.result(names("--files0-from=list", "--shard=1/1")[0] == every,
               "one host of one has them all")
    for n in range(0, 40):
        with open(f"wide/own{n}.qcow2", "wb") as file:
            file.write(b"QFI\xfb")
    before = names("wide", "--shard=2/3")[0]
    for n in range(0, 40, 2):
        os.remove(f"wide/own{n}.qcow2")
    os.rename("wide", "mounted")
    after = names("mounted/", "--shard=2/3")[0]
    left = [n.replace("wide/", "mounted/") for n in before]
    tap.result(after == [n for n in left if os.path.exists(n)] and len(after) > 2,
               "whatever goes, and wherever it is mounted, all stay",
               [str(before), str(after)])
    done = run("check", "elsewhere", "--shard=1/2")
    other = run("check", "elsewhere", "--shard=2/2")
    tap.result(done.returncode == other.returncode == 0 and
               (b"clean" in done.stdout) != (b"clean" in other.stdout),
               "no image at all is no failure", [str(done), str(other)])
    for word in ("0/2", "3/2", "1", "1/2/3", "a/b", "1/0", "-1/2"):
        done = run("check", f"--shard={word}", "elsewhere")
        tap.result(done.returncode == 1 and word.encode() in done.stderr,
                   f"--shard={word} is refused", [str(done)])


def no_way_in():
    if os.geteuid() == 0:
        tap.skip("a folder that may not be read is told", "root reads all")
        return
    os.chmod("pool/deep/deeper", 0)
    have = names("-R", "pool/deep")
    os.chmod("pool/deep/deeper", 0o755)
    tap.result(have[1] == 1 and "pool/deep/deeper: cannot look" in have[2]
               and "pool/deep/c.qcow2" in have[0],
               "a folder that may not be read is told", [str(have)])


def alone():
    for argv in (["elsewhere"], ["./elsewhere", "-q"], ["pool/deep", "-R"],
                 ["elsewhere", "pool/deep/c.qcow2", "--output=json"]):
        have, want = run(*argv), run("check", *argv)
        tap.result((have.returncode, have.stdout) ==
                   (want.returncode, want.stdout) and have.returncode == 0,
                   f"qfsck {' '.join(argv)} checks", [str(have)])
    for word in ("chekc", "not-there.qcow2"):
        done = run(word)
        tap.result(done.returncode == 1 and word.encode() in done.stderr,
                   f"{word} is neither a command nor an image", [str(done)])
    os.symlink("elsewhere", "info")
    done = run("info")
    tap.result(b"clean" not in done.stdout,
               "a command goes before an image of its name", [str(done)])


qimg.own_folder()
make_pool()
folders()
shards()
no_way_in()
alone()
sys.exit(tap.finish())
