#!/usr/bin/env python3
"""A hostile file takes no more memory than its real size justifies.

Peak memory of a check, beyond that of a small sound image: at most 64 MiB
where the file holds next to nothing, and a small multiple of its bytes on
disk where it is full of garbage.
"""
import os
import random
import struct
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
import qimg  # noqa: E402
from tap import Tap  # noqa: E402

QFSCK = qimg.qfsck_path()
FREE = 64 << 10         # KiB
# A garbage L1 entry of 8 bytes is kept as a table and in a group.
TIMES = 12
JOBS = "--jobs=2"


def header(l1=(0, 0), reftable=(0x10000, 1), snapshots=(0, 0), size=1 << 30):
    """A version 3 header of 64 KiB clusters; places are (offset, count)."""
    return struct.pack(
        ">IIQIIQIIQQIIQQQQII", 0x514649fb, 3, 0, 0, 16, size, 0, l1[1], l1[0],
        reftable[0], reftable[1], snapshots[1], snapshots[0], 0, 0, 0, 4, 104)


def make(name, head, length, *pieces):
    with open(name, "wb") as file:
        file.write(head)
        for offset, data in pieces:
            file.seek(offset)
            file.write(data)
        file.truncate(length)
    return name


def holes_everywhere():
    """Tables of QEMU's largest sizes in a file of 1 TiB that holds nothing."""
    return make("holes", header(l1=(0x2000000, 4 << 20), reftable=(0x10000, 128),
                                snapshots=(0x8000000, 65536)), 1 << 40)


def l1_noise():
    noise = random.Random(1).randbytes(8 << 20)
    return make("l1-noise", header(l1=(0x100000, 1 << 20)), 16 << 20,
                (0x100000, noise))


def reftable_noise():
    noise = random.Random(2).randbytes(8 << 20)
    return make("reftable-noise", header(reftable=(0x100000, 128)), 16 << 20,
                (0x100000, noise))


def snapshot_noise():
    noise = random.Random(3).randbytes(16 << 20)
    return make("snapshot-noise", header(snapshots=(0x100000, 65536)),
                18 << 20, (0x100000, noise))


def snapshots_on_one_table():
    """16384 snapshots of 40 bytes, each with the same L1 table of 32 MiB."""
    entry = struct.pack(">QIHHIIQII", 0x2000000, 4 << 20, 0, 0, 0, 0, 0, 0, 0)
    return make("snapshots-one", header(snapshots=(0x100000, 16384)), 1 << 30,
                (0x100000, entry * 16384))


def snapshots_crossing():
    """16384 snapshots whose long L1 tables cross each other."""
    entries = b"".join(struct.pack(">QIHHIIQII", 0x2000000 + i * 65536,
                                   4 << 20, 0, 0, 0, 0, 0, 0, 0)
                       for i in range(16384))
    return make("snapshots-cross", header(snapshots=(0x100000, 16384)),
                1 << 33, (0x100000, entries))


def far_away():
    """Sparse: one mapped cluster at the end of 1 TiB."""
    last = (1 << 40) - 65536
    return make("far", header(l1=(0x100000, 2)), 1 << 40,
                (0x100000, struct.pack(">Q", 0x110000 | 1 << 63)),
                (0x110000, struct.pack(">Q", last | 1 << 63)))


def repair_of_garbage(tap, base):
    """A refcount table of 262144 words of garbage is one thing to repair."""
    path = qimg.build(os.path.abspath("garbage.qcow2"), "32M",
                      ["write -P 1 0 64k"], cluster_size=2 << 20)
    with qimg.Image(path) as image:
        image.write(image.reftable_offset(),
                    random.Random(7).randbytes(image.cluster))
    for verb in (["check"], ["repair", "-n"]):
        args = [QFSCK, *verb, "--output=json", path]
        _, out, _ = qimg.run(args, timeout=300)
        peak = qimg.peak_memory(args, ".", 300)
        tap.result(len(out) < 200 << 10, "%s of a garbage refcount table: "
                   "short" % verb[0], ["%d bytes" % len(out)])
        tap.result(peak - base <= FREE, "%s of a garbage refcount table: "
                   "memory in proportion" % verb[0],
                   ["%d KiB more" % (peak - base)])


def main():
    tap = Tap()
    qimg.own_folder()
    if qimg.sanitized(QFSCK):
        tap.skip("peak memory", "a sanitizer takes its own")
        return tap.finish()
    sound = qimg.build(os.path.abspath("sound.qcow2"), "64M",
                       ["write -P 1 0 1M"])
    base = qimg.peak_memory([QFSCK, "check", JOBS, sound], ".")
    for case in (holes_everywhere, l1_noise, reftable_noise, snapshot_noise,
                 snapshots_on_one_table, snapshots_crossing, far_away):
        name = case()
        real = os.stat(name).st_blocks // 2
        status, _, err = qimg.run([QFSCK, "check", JOBS, name],
                                   timeout=300)
        tap.result(status in (0, 1, 2, 3), f"{name} has a verdict",
                   [str(status), *err.decode(errors="replace").splitlines()])
        peak = qimg.peak_memory([QFSCK, "check", JOBS, name], ".", 300)
        tap.result(peak - base <= FREE + TIMES * real,
                   f"{name}: memory in proportion",
                   [f"{peak - base} KiB for a file of {real} KiB on disk"])
        print(f"# {name}: {peak - base} KiB for {real} KiB on disk")
        os.unlink(name)
    repair_of_garbage(tap, base)
    return tap.finish()


if __name__ == "__main__":
    sys.exit(main())
