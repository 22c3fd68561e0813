#!/usr/bin/env python3
"""Encrypted images with their key: what qfsck reads beside what QEMU reads."""

import ctypes
import gzip
import json
import os
import random
import shutil
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "lib"))

from tap import Tap                                         # noqa: E402
from show import WORK, qfsck                                # noqa: E402
import make                                                 # noqa: E402
import qcow2                                                # noqa: E402
import tools                                                # noqa: E402

tap = Tap()
MB = 1 << 20
KEY = os.path.join(WORK, "key")
with open(KEY, "w", encoding="ascii") as _f:
    _f.write("qfsck")


def at(name):
    return os.path.join(WORK, name)


def packed(name, path):
    """One of the images that are kept: 1 MiB, the passphrase is "qfsck"."""
    source = os.path.join(tools.HERE, "luks-%s.qcow2.gz" % name)
    with gzip.open(source) as f, open(path, "wb") as target:
        shutil.copyfileobj(f, target)
    return path


def old_aes(path):
    tools.qemu_img("create", "-q", *tools.SECRET, "-f", "qcow2", "-o",
                   "encrypt.format=aes,encrypt.key-secret=key0", path, "1M")
    return path


KINDS = {
    "aes-128-cbc plain64": lambda p: packed("65536", p),
    "the same in clusters of 4096": lambda p: packed("4096", p),
    "aes-256-xts plain64": lambda p: packed("xts", p),
    "aes-256-cbc essiv": lambda p: packed("essiv", p),
    "the older AES": old_aes,
}


def written(path, commands):
    tools.qemu_io(tools.luks_options(path), *commands,
                  options=tools.SECRET + ["--image-opts"])


def snapshot(path, name):
    tools.qemu_img("snapshot", *tools.SECRET, "--image-opts", "-c", name,
                   tools.luks_options(path))


def by_qemu(path, *args):
    raw = path + ".qemu"
    tools.qemu_img("convert", *tools.SECRET, "--image-opts", *args,
                   tools.luks_options(path), "-O", "raw", raw)
    with open(raw, "rb") as f:
        return f.read()


def by_us(path, *args, key=KEY):
    """(status, the bytes or None, stderr)."""
    raw = path + ".ours"
    for left in (raw, raw + ".map"):
        if os.path.exists(left):
            os.remove(left)
    more = ["--key-file", key] if key else []
    status, _, err = qfsck("extract", *more, *args, path, raw)
    if not os.path.exists(raw):
        return status, None, err
    with open(raw, "rb") as f:
        return status, f.read(), err


def disks():
    for what, build in KINDS.items():
        path = build(at("disk.qcow2"))
        rng = random.Random(what)
        written(path, make.writes(rng, MB, 4096, 9, ("write", "ragged")))
        snapshot(path, "s")
        written(path, make.writes(rng, MB, 4096, 6, ("write", "write -z")))
        now, then = by_qemu(path), by_qemu(path, "-l", "snapshot.name=s")
        have = by_us(path), by_us(path, "-s", "s")
        tap.result(have[0][:2] == (0, now) and have[1][:2] == (0, then) and
                   now != then and any(now), "the disk and a snapshot: " + what,
                   [h[2] for h in have])
        status, out, err = qfsck("diff", "--from=s", "--content",
                                 "--output=json", "--key-file", KEY, path)
        want = {i for i in range(0, MB, 512)
                if now[i:i + 512] != then[i:i + 512]}
        told = {i for r in tools.parse(out) or () for i in range(
            r["start"], r["start"] + r["length"], 512)}
        tap.result(status == 0 and told == want, "diff --content: " + what,
                   [err, str(sorted(told ^ want)[:9])])


def chains():
    """A key opens the encrypted ones of a chain, the others need none."""
    base, top = packed("65536", at("base.qcow2")), at("top.qcow2")
    written(base, ["write -P 1 0 1M"])
    make.create(top, "2M", backing_file=base, backing_fmt="qcow2")
    tools.qemu_io("driver=qcow2,file.filename=%s,"
                  "backing.encrypt.key-secret=key0" % top,
                  "write -P 2 300k 3k", "write -P 3 1500k 4k",
                  options=tools.SECRET + ["--image-opts"])
    want = bytearray(b"\1" * MB + bytes(MB))
    want[300 << 10:303 << 10] = b"\2" * 3072
    want[1500 << 10:1504 << 10] = b"\3" * 4096
    have = by_us(top)
    tap.result(have[:2] == (0, bytes(want)), "an encrypted base", [have[2]])
    have = by_us(top, key=None)
    tap.result(have[:2] == (1, None) and "--key-file" in have[2],
               "without the key nothing is written", [str(have)])
    with open(at("bad"), "w", encoding="ascii") as f:
        f.write("wrong")
    have = by_us(top, key=at("bad"))
    tap.result(have[:2] == (1, None) and base in have[2] and
               "opens no key slot" in have[2], "whose key is wrong is told",
               [str(have)])


def keys():
    path = packed("65536", at("keys.qcow2"))
    written(path, ["write -P 5 0 64k"])
    want = by_qemu(path)
    for name, text, good in (("line", b"qfsck\n", True),
                             ("two", b"qfsck\n\n", False),
                             ("longer", b"qfsck1", False),
                             ("shorter", b"qfsc", False),
                             ("empty", b"", False),
                             ("huge", bytes(MB + 1), False)):
        with open(at(name), "wb") as f:
            f.write(text)
        have = by_us(path, key=at(name))
        tap.result(have[:2] == ((0, want) if good else (1, None)) and
                   bool(have[2]) != good, "key file: " + name, [str(have)])
    have = by_us(path, key=at("nowhere"))
    tap.result(have[:2] == (1, None) and "cannot be opened" in have[2],
               "no key file", [str(have)])
    status, out, err = qfsck("extract", "--key-file=-", path, "-",
                             feed=b"qfsck")
    tap.result((status, out) == (0, want), "the key on standard input", [err])
    plain = make.build(at("plain.qcow2"), "1M", ["write -P 1 0 64k"])
    have = by_us(plain)
    tap.result(have[:2] == (1, None) and "is not encrypted" in have[2],
               "a key that is not needed", [str(have)])
    status, _, err = qfsck("extract", "--key-file", KEY, "--orphans",
                           at("orphans"), path)
    tap.result(status == 1 and "--key-file" in err, "with --orphans", [err])


def second_slot():
    """The passphrase of any slot opens, and a damaged slot is passed over."""
    path = packed("65536", at("slots.qcow2"))
    written(path, ["write -P 5 0 64k"])
    want = by_qemu(path)
    with open(path, "r+b") as f:
        data = f.read()
        head = data.index(b"LUKS\xba\xbe")
        f.seek(head + 208)
        first = f.read(48)
        material = int.from_bytes(first[40:44], "big") * 512
        f.seek(head + 208 + 2 * 48 + 40)
        other = int.from_bytes(f.read(4), "big") * 512
        f.seek(head + other)
        f.write(data[head + material:head + other][:4000 * 16])
        f.seek(head + 208 + 2 * 48)
        f.write(first[:40])
        f.seek(head + 208 + 8)
        f.write(bytes(32))
    have = by_us(path)
    tap.result(have[:2] == (0, want), "the third slot's key", [have[2]])
    with open(path, "r+b") as f:
        f.seek(head + 72)
        f.write(b"sha3-000\0")
    have = by_us(path)
    tap.result(have[:2] == (1, None) and '"sha3-000"' in have[2],
               "a hash that is not known", [str(have)])
    with open(path, "r+b") as f:
        f.seek(head + 8)
        f.write(b"serpent\0")
        f.seek(head + 72)
        f.write(b"sha256\0\0\0")
    have = by_us(path)
    tap.result(have[:2] == (1, None) and '"serpent"' in have[2],
               "a cipher that is not known", [str(have)])


def damage():
    """What is not there is zeros and told, never decrypted."""
    path = packed("4096", at("cut.qcow2"))
    written(path, ["write -P 5 0 64k", "write -P 6 64k 4k"])
    want = bytearray(by_qemu(path))
    with qcow2.Image(path) as image:
        image.put64(image.l2_pos(0, 3), (1 << 40) | qcow2.COPIED)
    want[12288:16384] = bytes(4096)
    status, have, err = by_us(path)
    tap.result(status == 1 and have == want and "0x3000 to 0x4000" in err,
               "a cluster past the end", [str(status), err])


def filesystem():
    """guest tells of the file system what it tells of the plain disk."""
    raw, path, plain = at("fs.raw"), at("fs.qcow2"), at("fsplain.qcow2")
    folder = at("folder")
    os.makedirs(folder)
    with open(os.path.join(folder, "hello"), "wb") as f:
        f.write(b"hello " * 1000)
    tools.must(["mke2fs", "-q", "-t", "ext4", "-d", folder, "-L", "secret",
                raw, "1M"])
    packed("xts", path)
    tools.qemu_img("convert", "-q", *tools.SECRET, "-n", "-f", "raw", raw,
                   "--target-image-opts", tools.luks_options(path))
    tools.qemu_img("convert", "-f", "raw", "-O", "qcow2", raw, plain)
    args = ["guest", "--output=json"]
    have = tools.parse(qfsck(*args, "--key-file", KEY, path)[1])
    want = tools.parse(qfsck(*args, plain)[1])
    none = qfsck(*args, path)
    tap.result(have["volumes"] == want["volumes"] and
               "secret" in json.dumps(have) and
               b"secret" not in none[1], "guest: the file system",
               [json.dumps(have), json.dumps(want), str(none)])
    have = tools.parse(qfsck(*args, "--key-file", KEY, "--path=/hello",
                             path)[1])
    want = tools.parse(qfsck(*args, "--path=/hello", plain)[1])
    where = [[(p["start"], p["length"]) for p in t["files"][0]["pieces"]]
             for t in (have, want)]
    tap.result(where[0] and where[0] == where[1] and
               have["files"][0]["size"] == 6000, "guest --path",
               [str(have), str(want)])
    out = at("hello.out")
    status, _, err = qfsck("extract", "--key-file", KEY, "--path=/hello", path,
                           out)
    with open(out, "rb") as f:
        tap.result(status == 0 and f.read() == b"hello " * 1000,
                   "extract --path", [err])


def library():
    """Reads that begin and end anywhere, through the library."""
    name = tools.library_path()
    if tools.sanitized(name):
        tap.skip("the library", "a sanitized one loads into no other program")
        return
    path = packed("xts", at("lib.qcow2"))
    written(path, make.writes(random.Random(3), MB, 4096, 30, ("ragged",)))
    want = by_qemu(path)
    lib = ctypes.CDLL(name)
    img, state = ctypes.c_void_p(), ctypes.c_void_p()
    lib.qfsck_open(path.encode(), 0, ctypes.byref(img), None)
    wrong = lib.qfsck_unlock(img, b"wrong", ctypes.c_size_t(5), None)
    right = lib.qfsck_unlock(img, b"qfsck", ctypes.c_size_t(5), None)
    rng, bad = random.Random(5), 0
    for _ in range(2):
        lib.qfsck_state_open(img, None, 0, ctypes.byref(state), None)
        for _ in range(100):
            off = rng.randrange(MB)
            n = min(rng.choice((1, 511, 513, 5000, 70000)), MB - off)
            buf = ctypes.create_string_buffer(n)
            bad += lib.qfsck_state_read(state, buf, ctypes.c_size_t(n),
                                        ctypes.c_uint64(off), None, None)
            bad += buf.raw != want[off:off + n]
        lib.qfsck_state_close(state)
    lib.qfsck_close(img)
    tap.result(wrong and not right and not bad, "the library",
               [str((wrong, right, bad))])


def plugin():
    path = packed("essiv", at("plugin.qcow2"))
    written(path, make.writes(random.Random(3), MB, 4096, 9, ("ragged",)))
    sock, out = at("s"), at("copied")
    so = tools.library_path("nbdkit-qfsck-plugin.so")
    if not so or not shutil.which("nbdkit") or tools.sanitized(so):
        tap.skip("the plugin", "no nbdkit, or a sanitized plugin")
        return
    server = subprocess.Popen(["nbdkit", "-f", "-U", sock, so, path,
                               "key-file=" + KEY], stdin=subprocess.DEVNULL)
    end = time.monotonic() + tools.TIMEOUT
    while not os.path.exists(sock) and time.monotonic() < end:
        time.sleep(.01)
    tools.must(["nbdcopy", "nbd+unix:///?socket=" + sock, out])
    server.terminate()
    server.wait()
    with open(out, "rb") as f:
        tap.result(f.read() == by_qemu(path), "the plugin")
    with open(at("bad"), "w", encoding="ascii") as f:
        f.write("wrong")
    status, _, err = tools.run(["nbdkit", "-f", "-U", sock + "2", so, path,
                                "key-file=" + at("bad")])
    tap.result(status == 1 and b"opens no key slot" in err,
               "the plugin with a wrong key", [str(status), str(err)])


for case in (disks, chains, keys, second_slot, damage, filesystem, library,
             plugin):
    case()
sys.exit(tap.finish())
