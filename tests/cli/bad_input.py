#!/usr/bin/env python3
"""What is no image, and images whose header lies.

Another format is named (exit 63); what cannot be an image at all is refused
with the reason (exit 1); absurd sizes are an error or a finding, in bounded
memory and time. Nothing crashes and nothing hangs.
"""
import os
import random
import shutil
import socket
import struct
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
import qimg  # noqa: E402
from tap import Tap  # noqa: E402

QFSCK = qimg.qfsck_path()
NOBODY = 65534


# What is told of those that libmagic says much of, or nothing that helps.
NAMED = {"disk.vmdk": "VMDK", "disk.vdi": "VDI", "disk.vhdx": "VHDX",
         "disk.vpc": "VHD", "disk.qed": "QED", "disk.qcow": "qcow version 1",
         "ext2.raw": "ext2", "zeros.raw": "image: ", "random.raw": "image: ",
         "byte.raw": "image: "}


def check(*argv, **more):
    return subprocess.run([QFSCK, "check", *argv], capture_output=True,
                          timeout=60, stdin=subprocess.DEVNULL,
                          env=qimg.environment(), **more)


def text(done):
    return (done.stdout + done.stderr).decode(errors="replace").splitlines()


def put(name, data):
    with open(name, "wb") as file:
        file.write(data)
    return name


def libmagic(name):
    """What file(1) says, up to the first comma."""
    if not shutil.which("file"):
        return None
    out = subprocess.run(["file", "-b", name], capture_output=True, text=True)
    return out.stdout.strip().split(",")[0]


def other_formats(tap):
    names = []
    for kind in ("vmdk", "vdi", "vhdx", "vpc", "qed", "qcow"):
        name = "disk." + kind
        status, _, _ = qimg.run(["qemu-img", "create", "-q", "-f", kind, name,
                                 "16M"])
        if status == 0:
            names.append(name)
    ext2 = bytearray(1 << 20)
    struct.pack_into("<H", ext2, 0x438, 0xef53)
    struct.pack_into("<I", ext2, 0x44c, 1)
    boot = bytearray(4096)
    boot[510:512] = b"\x55\xaa"
    names += [put("ext2.raw", bytes(ext2)), put("boot.raw", bytes(boot)),
              put("letter.txt", b"Dear reader, this is no disk.\n"),
              put("page.html", b"<!DOCTYPE html><html></html>\n"),
              put("zeros.raw", bytes(1 << 20)),
              put("random.raw", random.Random(1).randbytes(1 << 16)),
              put("byte.raw", b"x")]
    for name in names:
        done = check(name)
        what = NAMED.get(name) or libmagic(name)
        tap.result(done.returncode == 63 and
                   b"is no qcow2 image" in done.stderr and
                   (what is None or what.encode() in done.stderr),
                   f"{name} is {what}", [str(done.returncode), *text(done)])


def as_nobody(argv):
    def drop():
        if os.getuid() == 0:
            os.setgid(NOBODY)
            os.setuid(NOBODY)
    return check(argv, preexec_fn=drop)


def no_images(tap):
    os.mkdir("folder")
    os.mkfifo("fifo")
    server = socket.socket(socket.AF_UNIX)
    server.bind("socket")
    os.symlink("loop", "loop")
    put("empty.qcow2", b"")
    rows = {"fifo": b"is a special file",
            "socket": b"", "loop": b"", "missing.qcow2": b"No such file",
            "empty.qcow2": b"is empty", "/dev/null": b"is a special file",
            "": b"No such file", "x" * 5000: b"too long"}
    for name, words in rows.items():
        done = check(name)
        tap.result(done.returncode == 1 and words in done.stderr
                   and not done.stdout, f"{name[:40]!r} is refused",
                   [str(done.returncode), *text(done)])
    done = check("folder")
    tap.result(done.returncode == 0 and b"no qcow2 image" in done.stderr,
               "a folder without an image is told", text(done))
    server.close()
    qimg.build(os.path.abspath("secret.qcow2"), "1M")
    os.chmod("secret.qcow2", 0)
    os.chmod(".", 0o755)
    if os.access(QFSCK, os.X_OK) and os.getuid() == 0 and not may_run():
        tap.skip("an unreadable file", "another user cannot run the program")
        return
    done = as_nobody("secret.qcow2")
    tap.result(done.returncode == 1 and b"Permission denied" in done.stderr,
               "an unreadable file is refused", text(done))


def may_run():
    try:
        return as_nobody("--help").returncode == 0
    except (OSError, subprocess.SubprocessError):
        return False


def edited(name, *edits, sound="sound.qcow2"):
    """A sound image with (offset, struct format, value) put over it."""
    shutil.copy(sound, name)
    with open(name, "r+b") as file:
        for offset, form, value in edits:
            file.seek(offset)
            file.write(struct.pack(form, value))
    return name


# what is put over the header, and the exit codes that are right
LIES = {
    "version 0": ([(4, ">I", 0)], (1, 63)),
    "version 4": ([(4, ">I", 4)], (1,)),
    "cluster_bits 0": ([(20, ">I", 0)], (1,)),
    "cluster_bits 8": ([(20, ">I", 8)], (1,)),
    "cluster_bits 22": ([(20, ">I", 22)], (1,)),
    "cluster_bits 63": ([(20, ">I", 63)], (1,)),
    "cluster_bits 2^32-1": ([(20, ">I", 0xffffffff)], (1,)),
    "refcount_order 7": ([(96, ">I", 7)], (1,)),
    "header_length 0": ([(100, ">I", 0)], (1,)),
    "header_length 2^32-1": ([(100, ">I", 0xffffffff)], (1,)),
    "encryption method 9": ([(32, ">I", 9)], (1,)),
    "unknown incompatible features": ([(72, ">Q", 1 << 40)], (1,)),
    "an L1 table of 4 GiB": ([(36, ">I", 1 << 29)], (2,)),
    "an L1 table of 32 GiB": ([(36, ">I", 0xffffffff)], (2,)),
    "an L1 table past the end": ([(40, ">Q", 1 << 50)], (2,)),
    "an L1 table unaligned": ([(40, ">Q", 0x10200)], (2,)),
    "an L1 table at the end of all": ([(40, ">Q", 2**64 - 65536)], (2,)),
    "a refcount table of 2^48 bytes": ([(56, ">I", 0xffffffff)], (2,)),
    "a refcount table of none": ([(56, ">I", 0)], (2,)),
    "a refcount table past the end": ([(48, ">Q", 1 << 60)], (2,)),
    "a refcount table unaligned": ([(48, ">Q", 0x10001)], (2,)),
    "2^32-1 snapshots": ([(60, ">I", 0xffffffff), (64, ">Q", 0)], (2,)),
    "2^32-1 snapshots in the header": ([(60, ">I", 0xffffffff),
                                        (64, ">Q", 0x10000)], (2,)),
    "snapshots at the end of all": ([(60, ">I", 5),
                                     (64, ">Q", 2**64 - 65536)], (2,)),
    "a disk of 2^64-1 bytes": ([(24, ">Q", 2**64 - 1)], (2,)),
    "a backing name past the header": ([(8, ">Q", 1 << 40),
                                        (16, ">I", 10)], (2,)),
    "a backing name of 4 GiB": ([(8, ">Q", 0x200),
                                 (16, ">I", 0xffffffff)], (2,)),
    "an extension of 4 GiB": ([(112, ">I", 0x12345678),
                               (116, ">I", 0xffffffff)], (2,)),
}


def lies(tap):
    qimg.build(os.path.abspath("sound.qcow2"), "64M", ["write -P 1 0 1M"])
    limit = 64 << 10
    base = qimg.peak_memory([QFSCK, "check", "sound.qcow2"], ".")
    sanitized = qimg.sanitized(QFSCK)
    for name, (edits, codes) in LIES.items():
        image = edited("lie.qcow2", *edits)
        done = check(image)
        tap.result(done.returncode in codes, f"{name} exits "
                   f"{' or '.join(map(str, codes))}",
                   [str(done.returncode), *text(done)])
        if sanitized:
            continue
        peak = qimg.peak_memory([QFSCK, "check", image], ".")
        tap.result(peak - base <= limit, f"{name} takes little memory",
                   [f"{peak - base} KiB more than a sound image"])


def wrapping_snapshot(tap):
    """Its L1 table ends exactly where 64 bits do."""
    path = os.path.abspath("wrap.qcow2")
    qimg.build(path, "64M", ["write -P 1 0 1M", ("snap", "s")])
    with qimg.Image(path) as image:
        snapshot = image.snapshots()[0]
        image.put_snapshot(snapshot, "l1_table_offset", 2**64 - 65536)
        image.put_snapshot(snapshot, "l1_size", 65536 // 8)
    done = check("wrap.qcow2")
    tap.result(done.returncode == 2 and b"snapshot-l1-outside" in done.stdout,
               "a snapshot's L1 table that ends at 2^64 is outside",
               text(done))


def truncated(tap):
    with open("sound.qcow2", "rb") as file:
        sound = file.read()
    for length in (1, 3):
        done = check(put("short.qcow2", sound[:length]))
        tap.result(done.returncode == 63, f"{length} bytes are no image",
                   text(done))
    for length in (4, 8, 71, 72, 103):
        done = check(put("short.qcow2", sound[:length]))
        tap.result(done.returncode == 1 and b"header" in done.stderr,
                   f"a header of {length} bytes is cut short", text(done))
    for length in (104, 112, 65536, 65537, len(sound) // 2, len(sound) - 1):
        done = check(put("short.qcow2", sound[:length]))
        tap.result(done.returncode in (0, 2), f"a file cut to {length} bytes "
                   "has a verdict", [str(done.returncode), *text(done)])


# what is put over magic and version, and what stands where 72 bytes end
STARTS = {
    "no magic": ([(0, ">I", 0)], b"qcow2's 0x514649fb", 63),
    "a magic with one bit turned": ([(0, ">I", 0x514649fa)],
                                    b"0x514649fa", 63),
    "version 0": ([(4, ">I", 0)], b"version 0", 63),
    "version 9": ([(4, ">I", 9)], b"version 9", 1),
    "neither": ([(0, ">Q", 0)], b"and a wrong version", 63),
}
# every command that reads an image, its exit code, and how it is called
READERS = {"check": (2,), "info": (0,), "map": (0,), "du": (0,),
           "owners": (0, "--host=0"), "guest": (0,),
           "diff": (0, "sound.qcow2"), "extract": (0, "--hash"),
           "viz": (0, "--export=map.svg"), "repair": (2, "-n")}


def starts(tap):
    """Magic or version alone are damaged: what to type is told, and works."""
    old = os.path.abspath("old.qcow2")
    qimg.build(old, "64M", ["write -P 1 0 1M"], compat="0.10")
    rows = [("v3", "sound.qcow2", name, row) for name, row in STARTS.items()]
    rows += [("v2", old, name, row) for name, row in STARTS.items()]
    rows.append(("v2", old, "version 3", ([(4, ">I", 3)], b"version 3", 1)))
    for layout, sound, name, (edits, words, code) in rows:
        image = edited("start.qcow2", *edits, sound=sound)
        before = open(image, "rb").read()
        done = check(image)
        tap.result(done.returncode == code and words in done.stderr
                   and b"qfsck check -f qcow2 start.qcow2" in done.stderr
                   and not done.stdout,
                   f"{layout}, {name}: says what to type",
                   [str(done.returncode), *text(done)])
        done = check("-f", "qcow2", image)
        tap.result(done.returncode == 2 and b"corrupt" in done.stdout
                   and b"qfsck repair -n -f qcow2 start.qcow2" in done.stdout,
                   f"{layout}, {name}: is read with -f qcow2", text(done))
        for command, (status, *more) in READERS.items():
            argv = [QFSCK, command, "-f", "qcow2", image, *more]
            if command == "diff":
                argv = [QFSCK, command, "-f", "qcow2", sound, image]
            if command == "extract":
                argv.append("start.raw")
            done = subprocess.run(argv, capture_output=True, timeout=60,
                                  stdin=subprocess.DEVNULL)
            for made in ("start.raw", "start.raw.map", "map.svg"):
                if os.path.exists(made):
                    os.remove(made)
            tap.result(done.returncode == status
                       and open(image, "rb").read() == before,
                       f"{layout}, {name}: {command} -f qcow2",
                       [str(done.returncode), *text(done)])


def other_words(tap):
    """-f of another format, and of what is no qcow2 image."""
    for command, (_, *more) in READERS.items():
        argv = [QFSCK, command, "-f", "raw", *more, "sound.qcow2"]
        if command == "extract":
            argv.append("start.raw")
        done = subprocess.run(argv, capture_output=True, timeout=60,
                              stdin=subprocess.DEVNULL)
        tap.result(done.returncode == 63 and b'"raw"' in done.stderr,
                   f"{command} -f raw", [str(done.returncode), *text(done)])
    for name in ("zeros.raw", "random.raw", "letter.txt", "disk.qcow",
                 "disk.vdi"):
        if os.path.exists(name):
            done = check("-f", "qcow2", name)
            tap.result(done.returncode == 63 and b"-f qcow2" not in
                       done.stderr, f"{name} is not believed", text(done))


def doubtful_version(tap):
    """A header that makes sense as either version: told, not put right."""
    image = os.path.abspath("either.qcow2")
    qimg.build(image, "64M", ["write -P 1 0 1M"], compat="0.10")
    with open(image, "r+b") as file:
        file.write(struct.pack(">IIQI", 0x514649fb, 0, 96, 8))
        file.seek(96)
        file.write(struct.pack(">II", 4, 104))
    before = open(image, "rb").read()
    done = check("-f", "qcow2", image)
    tap.result(done.returncode == 2 and b"of version 2 or of version 3" in
               done.stdout, "a version that cannot be told is told",
               text(done))
    done = subprocess.run([QFSCK, "repair", "-y", "-f", "qcow2", image],
                          capture_output=True, timeout=60)
    tap.result(done.returncode == 2 and open(image, "rb").read() == before,
               "and is left as it is", text(done))


def block_device(tap):
    made = subprocess.run(["losetup", "--find", "--show", "--read-only",
                           "sound.qcow2"], capture_output=True, text=True)
    if made.returncode:
        tap.skip("a block device", "no loop device may be set up")
        return
    device = made.stdout.strip()
    try:
        done = check(device)
        tap.result(done.returncode == 0 and b"clean" in done.stdout,
                   "a block device is checked", text(done))
    finally:
        subprocess.run(["losetup", "--detach", device], check=False)


def main():
    tap = Tap()
    qimg.own_folder()
    other_formats(tap)
    no_images(tap)
    lies(tap)
    wrapping_snapshot(tap)
    truncated(tap)
    starts(tap)
    other_words(tap)
    doubtful_version(tap)
    block_device(tap)
    return tap.finish()


if __name__ == "__main__":
    sys.exit(main())
