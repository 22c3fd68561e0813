"""Makes images with the real tools: qemu-img and qemu-io.

An image is described by options of `qemu-img create` and a list of steps:

    "write -P 1 0 64k"        a qemu-io command (runs are given to one qemu-io)
    ("snap", NAME)            qemu-img snapshot -c
    ("unsnap", NAME)          qemu-img snapshot -d
    ("unsnap-kept", NAME)     the same, and the freed clusters are not
                              punched, as where the host cannot do it
    ("goto", NAME)            qemu-img snapshot -a
    ("bitmap", NAME, ...)     qemu-img bitmap --add with further options
    ("resize", SIZE, ...)     qemu-img resize
    ("amend", OPTIONS)        qemu-img amend -o
"""

import gzip
import os
import random
import shutil

from tools import HERE, SECRET, luks_options, qemu_img, qemu_io


def options_text(options):
    return ",".join("%s=%s" % (k.replace("__", ".").rstrip("_"), v)
                    for k, v in options.items())


def create(path, size="4M", **options):
    """qemu-img create; a double underscore in an option's name is a dot."""
    args = ["create", "-q", "-f", "qcow2"]
    if options:
        args += ["-o", options_text(options)]
    qemu_img(*args, path, size, cwd=os.path.dirname(path))


def apply_step(path, step):
    verb, rest = step[0], list(step[1:])
    if verb == "snap":
        qemu_img("snapshot", "-c", rest[0], path)
    elif verb == "goto":
        qemu_img("snapshot", "-a", rest[0], path)
    elif verb == "unsnap":
        qemu_img("snapshot", "-d", rest[0], path)
    elif verb == "unsnap-kept":
        qemu_img("snapshot", "-d", rest[0], "--image-opts",
                 "driver=qcow2,pass-discard-snapshot=off,file.filename=" +
                 path)
    elif verb == "bitmap":
        qemu_img("bitmap", "--add", *rest[1:], "-f", "qcow2", path, rest[0])
    elif verb == "resize":
        qemu_img("resize", "-q", *rest[1:], "-f", "qcow2", path, rest[0])
    elif verb == "amend":
        qemu_img("amend", "-q", "-f", "qcow2", "-o", rest[0], path)
    else:
        raise ValueError("no step " + verb)


def apply_steps(path, steps, io_options=()):
    pending = []
    for step in list(steps) + [None]:
        if isinstance(step, str):
            pending.append(step)
            continue
        if pending:
            qemu_io(path, *pending, options=io_options,
                    cwd=os.path.dirname(path))
            pending = []
        if step:
            apply_step(path, step)


def build(path, size="4M", steps=(), **options):
    create(path, size, **options)
    apply_steps(path, steps)
    return path


def build_luks(path, steps=(), cluster_size=65536):
    """A LUKS image of 1 MiB; the steps are qemu-io commands only.

    The empty image is kept packed: its making measures the CPU, which takes
    seconds and fails on a busy machine.
    """
    packed = os.path.join(HERE, "luks-%d.qcow2.gz" % cluster_size)
    with gzip.open(packed) as source, open(path, "wb") as target:
        shutil.copyfileobj(source, target)
    if steps:
        qemu_io(luks_options(path), *steps,
                options=SECRET + ["--image-opts"])
    return path


def rewrite(path, *args):
    """qemu-img convert PATH onto itself, with the given arguments."""
    temporary = path + ".new"
    qemu_img("convert", "-q", "-f", "qcow2", "-O", "qcow2", *args,
             path, temporary)
    os.replace(temporary, path)


def writes(rng, size, unit, count, kinds=("write",)):
    """COUNT seeded qemu-io commands on a disk of SIZE bytes."""
    commands = []
    for _ in range(count):
        kind = rng.choice(kinds)
        start = rng.randrange(size // unit) * unit
        length = unit * rng.randint(1, 4)
        if kind == "write -c" or start + length > size:
            length = unit
        if kind == "ragged":
            shift = rng.randrange(unit // 512) * 512
            length = max(512, length - shift - 512)
            kind, start = "write", start + shift
            length = min(length, size - start)
        if kind.startswith("write") and "-z" not in kind:
            kind += " -P %d" % rng.randint(1, 255)
        commands.append("%s %d %d" % (kind, start, length))
    return commands


def compressed_writes(rng, size, unit, count):
    """As writes(), compressed; qemu refuses to compress over a cluster."""
    starts = sorted(rng.sample(range(size // unit), count))
    return ["write -c -P %d %d %d" % (rng.randint(1, 255), n * unit, unit)
            for n in starts]


def rng_of(*words):
    return random.Random(":".join(map(str, words)))
