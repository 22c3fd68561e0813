#!/usr/bin/env python3
"""Words for people: what is mistyped, what is no image, what explain and
fsck.qcow2 tell, and what a report says of what it did not look at."""
import json
import os
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "lib"))
sys.path.insert(0, os.path.join(HERE, ".."))
import corpus                                               # noqa: E402
import qimg                                                 # noqa: E402
from daemon import Daemon                                   # noqa: E402
from tap import Tap                                         # noqa: E402

tap = Tap()
QFSCK = qimg.qfsck_path()


def run(*argv, program="qfsck"):
    return subprocess.run([program, *argv], executable=QFSCK, text=True,
                          capture_output=True, timeout=60,
                          stdin=subprocess.DEVNULL, env=qimg.environment())


def same(name, got, want):
    tap.result(got == want, name, [repr(got), repr(want)])


def make(case):
    os.makedirs(case, exist_ok=True)
    corpus.Case(case).make(os.path.abspath(case))
    return case + "/image.qcow2"


def mistyped():
    for word, said in (("chekc", "did you mean \"qfsck check\"?"),
                       ("repiar", "did you mean \"qfsck repair\"?"),
                       ("xyzzy", "\"qfsck --help\" lists the commands")):
        done = run(word)
        same("no command " + word, (done.returncode, done.stdout, done.stderr),
             (1, "", f"qfsck: there is no command and no image \"{word}\"; "
              f"{said}\n"))


def explained():
    text = run("explain", "1221").stdout
    lines = text.splitlines()
    same("explain wraps", [l for l in lines if len(l) > 78], [])
    same("explain loses no word of it", " ".join(text.split()).count(
        "freeing them destroys the guest's data for good."), 1)
    every = run("explain").stdout.splitlines()
    some = run("explain", "BITMAP").stdout.splitlines()
    same("explain takes a word", some,
         [l for l in every if "bitmap" in l.lower()])
    done = run("explain", "l2-tabel-erased")
    same("explain takes a name that is mistyped",
         (done.returncode, done.stderr.endswith(
             "did you mean \"l2-table-erased\"?\n")), (1, True))
    done = run("explain", "nothing-like-it")
    same("explain says where all are", (done.returncode, done.stderr.endswith(
        "\"qfsck explain\" lists all\n")), (1, True))


def fsck():
    done = run("--help", program="fsck.qcow2")
    same("fsck.qcow2 --help", (done.returncode, done.stderr,
                               done.stdout.split("\n")[0]),
         (0, "", "Usage: fsck.qcow2 [-a|-p|-n|-y] IMAGE..."))
    done = run(program="fsck.qcow2")
    same("fsck.qcow2 without an image", (done.returncode, done.stdout,
                                         len(done.stderr.splitlines())),
         (16, "", 1))


def foreign():
    image = make("bad-vmdk")
    for command in (["check"], ["repair", "-n"], ["info"], ["map"]):
        done = run(*command, image)
        same(command[0] + " says what it is, and what checks it",
             (done.returncode, done.stderr),
             (63, f"qfsck: {image}: is no qcow2 image: VMDK\n"
              f"  Next: qemu-img check -f vmdk {image}\n"))
    done = run("check", "--output=json", image)
    same("so does JSON", (done.returncode, json.loads(done.stdout)["verdict"]),
         (63, "foreign"))
    qemu = subprocess.run(["qemu-img", "create", "-q", "-f", "vmdk", "x.vmdk",
                           "1M"], env=qimg.environment(), timeout=60)
    words = run("check", "x.vmdk").stderr.split("Next: ")[1].split()
    done = subprocess.run(words, env=qimg.environment(), timeout=60,
                          capture_output=True)
    same("and the command that it names works",
         (qemu.returncode, done.returncode), (0, 0))
    done = run("check", make("bad-ext4"))
    same("without libmagic's details", done.stderr.splitlines()[0],
         "qfsck: bad-ext4/image.qcow2: is no qcow2 image: Linux rev 0.0 ext2 "
         "filesystem data")


def objects():
    """JSON of each image named, also of those that cannot be read."""
    names = [make("bad-vmdk"), make("bad-cluster-bits-63"),
             make("clean-snapshots"), "nosuch"]
    for command in (["check"], ["repair", "-n"]):
        done = run(*command, "--output=json", *names)
        told = [json.loads(l) for l in done.stdout.splitlines()]
        same(command[0] + ": an object an image",
             [o["filename"] for o in told], names)
        alone = [json.loads(run(*command, "--output=json", n).stdout)
                 for n in names]
        same(command[0] + ": also of one alone",
             [o["filename"] for o in alone], names)


def figures():
    text = run("check", make("l2-is-text")).stdout
    same("no fragmentation of a table that is none", "fragmented" in text,
         False)
    text = run("check", make("clean-size-0")).stdout
    same("nor of an empty disk", "fragmented" in text, False)
    image = make("clean-zlib")
    text = run("check", image).stdout
    count = json.loads(run("check", "--output=json", image).stdout)
    count = count["compressed-clusters"]
    words = "compressed cluster%s (--data)\n" % ("s" if count > 1 else "")
    same("what was not inflated is said",
         f"  Not looked at: the content of {count} {words}" in text, True)
    text = run("check", "--data", image).stdout
    same("and not where it was", "Not looked at" in text, False)
    image = make("clean-backing")
    same("the base, too", "Not looked at: the tables of the backing file "
         "(--backing-chain)\n" in run("check", image).stdout, True)
    same("and not where it was",
         "Not looked at" in run("check", "--backing-chain", image).stdout,
         False)
    same("nor where it is not there",
         "Not looked at" in run("check", make("backing-missing")).stdout,
         False)
    text = run("check", make("size-shrunk")).stdout
    same("offsets in words", "from guest offset 0x300000 (3 MiB) to 0x800000 "
         "(8 MiB)\n" in text, True)


def quoted():
    """A command that is printed can be typed."""
    name = "my disk's.qcow2"
    os.rename(make("lost-l2-zeroed"), name)
    for words in (["check", name], ["repair", "-n", name]):
        text = run(*words).stdout
        same(words[0] + ": the name in a command is one word of the shell",
             "'my disk'\\''s.qcow2'" in text, True)


def grammar():
    text = run("check", make("snapshot-table-text")).stdout
    same("one snapshot", "counts 1 snapshot;" in text, True)


def units():
    """A wrong size of clusters is said on top, its consequences are not."""
    image = os.path.abspath("units")
    qimg.build(image, "64M", ["write 0 8M", "write 20M 4M"])
    for bits in (12, 15, 17):
        with qimg.Image(image) as file:
            file.write(20, bits.to_bytes(4, "big"))
        done, full = run("check", image), run("check", "--all", image)
        said = "cluster_bits is %d, and only with 16\n" % bits
        told = json.loads(run("check", "--output=json", image).stdout)
        same(f"cluster_bits {bits} for 16",
             (done.returncode, said in done.stdout, said in full.stdout,
              "\n  error " in done.stdout, "\n  error " in full.stdout,
              told["wrong-field"]),
             (2, True, True, False, True,
              {"field": "cluster_bits", "stated": bits, "likely": 16}))
    same("not of an image whose size is right", "wrong-field" in json.loads(
        run("check", "--output=json", make("refblock-zeroed")).stdout), False)


def base_in_use():
    """A base that a program writes to is not called damaged."""
    base, top = os.path.abspath("base"), os.path.abspath("top")
    qimg.build(base, "4M", ["write 0 1M"])
    qimg.create(top, "4M", backing_file=base, backing_fmt="qcow2")
    server = Daemon(base)
    try:
        done = run("check", "--backing-chain", top)
        told = json.loads(run("check", "--backing-chain", "--output=json",
                              top).stdout)
    finally:
        server.end()
    same("not damaged, but not checked",
         ("damaged" in done.stdout, "was not checked" in done.stdout,
          done.returncode), (False, True, 1))
    same("as JSON",
         (told["verdict"], [c["verdict"] for c in told["chain"]],
          [f["name"] for f in told["findings"] if "damaged" in f["name"]]),
         ("clean", ["in-use"], []))


os.chdir(tempfile.mkdtemp())
mistyped()
explained()
fsck()
foreign()
objects()
figures()
quoted()
grammar()
units()
base_in_use()
sys.exit(tap.finish())
