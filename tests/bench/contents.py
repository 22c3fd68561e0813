"""make bench ARGS=--contents: what reads or writes the bytes of a disk.

Each line stands beside qemu-img's work of the same kind (`-m 16 -W`, as fast
as it goes), and beside a floor: the bare loop that inflates on every processor
(tests/bench/inflate.c), `cp`, or SHA-256 alone. The runs alternate; ratios are
medians of the pairs, with the least and the greatest. What is written ends
with a sync on all sides: qfsck makes its file durable.
"""
import os
import random
import shutil
import statistics
import struct
import sys

import shapes

MIB = shapes.MIB
DISK_MIB = 512
HEAD = ["work", "qemu s", "floor s", "qfsck s", "cpu", "MiB", "x qemu",
        "from", "to", "x floor", "from", "to", "aim"]


# --- images ---

def part(rng):
    """16 MiB as disks have them: text, records, code-like bytes, noise."""
    words = ["".join(rng.choices("etaoinshrdlucmfwypvbgk", k=rng.randint(2, 9)))
             for _ in range(4000)]
    weights = [1 / (n + 3) for n in range(len(words))]
    text = " ".join(rng.choices(words, weights, k=MIB)).encode()[:5 * MIB]
    records = b"".join(
        struct.pack("<IIQHHI", n, n * 48 % 9973, 1700000000 + n * 7,
                    rng.randrange(12), 0x81a4, rng.getrandbits(20))
        for n in range(4 * MIB // 24))
    code = bytes(rng.choices(range(256), [1 / (n % 61 + 2) for n in range(256)],
                             k=4 * MIB))
    noise = rng.randbytes(2 * MIB)
    return (text + records + code + noise).ljust(16 * MIB, b"\0")


def raw_disk(path):
    data = part(random.Random(1))
    with open(path, "wb") as f:
        for n in range(DISK_MIB // 16):
            turn = n * 4093 * 61 % len(data)
            f.write(data[turn:] + data[:turn])


def converted(*options):
    def make(path, _store):
        raw = path + ".raw"
        try:
            raw_disk(raw)
            shapes.run("qemu-img", "convert", "-f", "raw", "-O", "qcow2",
                       *options, raw, path)
        finally:
            if os.path.exists(raw):
                os.unlink(raw)
    return make


def with_snapshots(path, store):
    shutil.copyfile(store.get("plain-512m"), path)
    rng = random.Random(2)
    for n in range(5):
        shapes.run("qemu-img", "snapshot", "-c", f"s{n}", path)
        writes = [a for _ in range(300) for a in
                  ("-c", f"write -P {n + 1} {rng.randrange(DISK_MIB)}M 64k")]
        shapes.run("qemu-io", "-f", "qcow2", *writes, path)


def on_a_base(path, store):
    base = store.get("zlib-512m")
    shapes.run("qemu-img", "create", "-q", "-f", "qcow2", "-b", base, "-F",
               "qcow2", path)
    rng = random.Random(3)
    writes = [a for _ in range(500) for a in
              ("-c", f"write -P 7 {rng.randrange(DISK_MIB - 1)}M 64k")]
    shapes.run("qemu-io", "-f", "qcow2", *writes, path)


SHAPES = [
    shapes.Shape("zlib-512m", "zlib", converted("-c"), 400),
    shapes.Shape("zlib2m-512m", "zlib, 2 MiB clusters",
                 converted("-c", "-o", "cluster_size=2M"), 400),
    shapes.Shape("zstd-512m", "zstd",
                 converted("-c", "-o", "compression_type=zstd"), 400),
    shapes.Shape("plain-512m", "plain", converted(), DISK_MIB),
    shapes.Shape("snaps-512m", "plain, 5 snapshots", with_snapshots,
                 DISK_MIB + 100),
    shapes.Shape("chain-512m", "overlay on zlib", on_a_base, 40),
]


# --- work ---

IN, OUT, OTHER = "{in}", "{out}", "{other}"
CONVERT = ["qemu-img", "convert", "-m", "16", "-W", "-O", "raw"]
NULL = ["qemu-img", "convert", "-m", "16", "-W", "-n", "--target-image-opts",
        IN, f"driver=null-co,size={DISK_MIB * MIB}"]
COPY = ["cp", "--reflink=auto", IN, OUT]
HASH = [sys.executable, "-c", "import hashlib, sys; "
        "hashlib.file_digest(open(sys.argv[1], 'rb'), 'sha256')", IN]
INFLATE = ["inflate", IN]
# title, shape, qfsck, qemu-img, floor, times as fast as qemu-img it should be
WORKS = (
    ("extract", "zlib-512m", ["extract", IN, OUT], CONVERT + [IN, OUT],
     INFLATE, 3),
    ("extract", "zlib2m-512m", ["extract", IN, OUT], CONVERT + [IN, OUT],
     INFLATE, None),
    ("extract", "zstd-512m", ["extract", IN, OUT], CONVERT + [IN, OUT],
     INFLATE, 1.5),
    ("extract", "plain-512m", ["extract", IN, OUT], CONVERT + [IN, OUT],
     COPY, 1),
    ("extract --hash", "plain-512m", ["extract", "--hash", IN, OUT],
     CONVERT + [IN, OUT], HASH, None),
    ("extract -s s2", "snaps-512m", ["extract", "-s", "s2", IN, OUT],
     CONVERT + ["-l", "snapshot.name=s2", IN, OUT], COPY, 1),
    ("extract", "chain-512m", ["extract", IN, OUT], CONVERT + [IN, OUT],
     ["inflate", OTHER], 3),
    ("check --data", "zlib-512m", ["check", "-q", "--data", IN], NULL,
     INFLATE, 5),
    ("check --data", "zstd-512m", ["check", "-q", "--data", IN], NULL,
     INFLATE, None),
    ("diff --content", "plain-512m", ["diff", "--content", OTHER, IN],
     ["qemu-img", "compare", OTHER, IN], ["inflate", OTHER], None),
)


def filled(argv, names, bench):
    argv = [names.get(a, a) for a in argv]
    if argv[0] == "inflate":
        argv[0] = os.path.join(bench.TOOLS, "inflate")
    return argv


def synced(argv, out):
    """What it writes is on the disk when it ends."""
    if out not in argv:
        return argv
    return ["sh", "-c", 'o=$1; shift; "$@" && sync "$o"', "sh", out, *argv]


def spread(ours, theirs):
    ratios = [b.wall / a.wall for a, b in zip(ours, theirs)]
    return [f"{f(ratios):.2f}" for f in (statistics.median, min, max)]


def one(store, work, folder, args, bench):
    title, name, ours, qemu, floor, aim = work
    names = {IN: store.get(name), OUT: os.path.join(folder, "contents.out"),
             OTHER: store.get("zlib-512m")}
    programs = {"floor": filled(floor, names, bench),
                "qemu": filled(qemu, names, bench),
                "qfsck": [bench.QFSCK] + filled(ours, names, bench)}
    costs = {p: [] for p in programs}
    bench.log(f"running {title} {name}")
    for n in range(args.pairs + 1):
        for program, argv in programs.items():
            if os.path.exists(names[OUT]):
                os.unlink(names[OUT])
            cost = bench.measure(synced(argv, names[OUT]))
            if cost.status:
                sys.exit(f"bench: {argv} ends with {cost.status}")
            if n:               # the first fills the page cache
                costs[program].append(cost)
    if os.path.exists(names[OUT]):
        os.unlink(names[OUT])
    mid = {p: bench.median(c) for p, c in costs.items()}
    least = spread(costs["floor"], costs["qfsck"])
    return [f"{title}, {store.shapes[name].title}", f"{mid['qemu'].wall:.2f}",
            f"{mid['floor'].wall:.2f}", f"{mid['qfsck'].wall:.2f}",
            f"{mid['qfsck'].cpu:.2f}",
            f"{max(c.mib for c in costs['qfsck']):.0f}",
            *spread(costs["qfsck"], costs["qemu"]), *least,
            f"> {aim}" if aim else "-"]


def bench(store, args, tools, print_table):
    store.shapes.update((s.name, s) for s in SHAPES)
    rows, skipped = [HEAD], []
    for work in WORKS:
        try:
            rows.append(one(store, work, args.out or store.folder, args,
                            tools))
        except shapes.NoRoom as why:
            skipped.append(f"{work[0]} {work[1]}: {why}")
    print_table(rows)
    for why in skipped:
        print("skipped", why)
    return 0
