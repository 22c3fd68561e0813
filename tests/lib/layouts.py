"""The undamaged images: one builder a name, over all structures of qcow2."""

import os

from crafted import add_vm_state, drop_vm_state
from make import apply_steps, build, build_luks, compressed_writes, create, \
    rewrite, rng_of, writes
from tools import qemu_img, qemu_io

KB = 1024
MB = 1024 * KB
LAYOUTS = {}


def layout(name, **fixed):
    def keep(function):
        LAYOUTS[name] = lambda path: function(path, **fixed)
        return function
    return keep


def mixed(path, size, unit, count, kinds=None, **options):
    """A disk with seeded writes, zero writes and discards."""
    rng = rng_of(os.path.basename(path), size, unit, sorted(options.items()))
    kinds = kinds or ("write", "write", "write", "ragged", "write -z",
                      "discard")
    steps = writes(rng, size, unit, count, kinds)
    return build(path, size, steps, **options)


def plain_grid():
    grid = [(512, 256 * KB), (1024, 512 * KB), (4096, 4 * MB),
            (16384, 8 * MB), (65536, 16 * MB), (262144, 16 * MB),
            (1048576, 32 * MB), (2097152, 64 * MB)]
    for cluster, size in grid:
        for compat in ("0.10", "1.1"):
            if compat == "0.10" and cluster in (1024, 16384, 262144, 1048576):
                continue
            name = "v%d-%d" % (2 if compat == "0.10" else 3, cluster)
            layout(name, size=size, unit=min(cluster, 65536), count=14,
                   cluster_size=cluster, compat=compat)(mixed)


def refcount_grid():
    for bits in (1, 2, 4, 8, 32, 64):
        cluster = {1: 4096, 2: 512, 4: 65536, 8: 1024, 32: 4096,
                   64: 512}[bits]
        layout("refbits-%d" % bits, size=cluster * 256, unit=cluster,
               count=14, cluster_size=cluster, refcount_bits=bits)(mixed)


def snapshots(path, size, unit, count=2, **options):
    rng = rng_of("snapshots", size, unit, count, sorted(options.items()))
    steps = writes(rng, size, unit, 8)
    for n in range(count):
        steps.append(("snap", "state %d" % n))
        steps += writes(rng, size, unit, 4, ("write", "ragged", "write -z"))
    return build(path, size, steps, **options)


def snapshot_grid():
    for name, cluster, size, more in (
            ("snap-v3", 65536, 8 * MB, {}),
            ("snap-v2", 4096, 2 * MB, {"compat": "0.10"}),
            ("snap-512", 512, 128 * KB, {}),
            ("snap-4k-ref2", 4096, 4 * MB, {"refcount_bits": 2}),
            ("snap-ref8", 1024, 512 * KB, {"refcount_bits": 8}),
            ("snap-ref64", 4096, 2 * MB, {"refcount_bits": 64}),
            ("snap-lazy", 4096, 2 * MB, {"lazy_refcounts": "on"}),
            ("snap-extl2", 16384, 4 * MB, {"extended_l2": "on"}),
            ("snap-2m", 2 * MB, 32 * MB, {})):
        layout(name, size=size, unit=min(cluster, 65536), cluster_size=cluster,
               **more)(snapshots)
    layout("snap-many", size=1 * MB, unit=4096, count=6,
           cluster_size=4096)(snapshots)


def snapshot_deleted(path):
    rng = rng_of("snap-deleted")
    steps = writes(rng, MB, 4096, 8) + [("snap", "a")]
    steps += writes(rng, MB, 4096, 8) + [("snap", "b")]
    steps += writes(rng, MB, 4096, 4) + [("unsnap", "a")]
    return build(path, MB, steps, cluster_size=4096)


def snapshot_resized(path):
    steps = ["write -P 1 0 64k", ("snap", "small"), ("resize", "8M"),
             "write -P 2 4M 256k", ("snap", "large")]
    return build(path, "1M", steps, cluster_size=4096)


def snapshot_vm_state(path, saved):
    """SAVED: as savevm leaves it; else the active disk has the state too."""
    build(path, "2M", ["write -P 1 0 64k", "write -P 2 1M 64k",
                       "write -b -P 3 0 128k", ("snap", "live")],
          cluster_size=65536)
    add_vm_state(path, 128 * KB)
    if saved:
        drop_vm_state(path)
    return path


def bitmaps(path, size, unit, names, extra=(), **options):
    rng = rng_of("bitmaps", size, unit, sorted(options.items()))
    steps = writes(rng, size, unit, 5)
    for name, more in names:
        steps.append(("bitmap", name, *more))
    steps += writes(rng, size, unit, 5)
    return build(path, size, steps + list(extra), **options)


def bitmap_grid():
    enabled = [("b0", ())]
    several = [("b0", ()), ("off", ("--disable",)), ("fine", ("-g", "512")),
               ("coarse", ("-g", "64k"))]
    layout("bitmap", size=8 * MB, unit=65536, names=enabled,
           cluster_size=65536)(bitmaps)
    layout("bitmap-several", size=2 * MB, unit=4096, names=several,
           cluster_size=4096)(bitmaps)
    layout("bitmap-512", size=256 * KB, unit=512, names=several,
           cluster_size=512)(bitmaps)
    layout("bitmap-snap", size=2 * MB, unit=4096, names=several,
           extra=[("snap", "s"), "write -P 9 64k 64k"],
           cluster_size=4096)(bitmaps)
    layout("bitmap-2m", size=32 * MB, unit=65536, names=enabled,
           cluster_size=2 * MB)(bitmaps)


def compressed(path, size, unit, fully=False, **options):
    rng = rng_of("compressed", size, unit, sorted(options.items()))
    steps = compressed_writes(rng, size, unit, 12)
    steps += writes(rng, size, unit, 4)
    build(path, size, steps, **options)
    if fully:
        rewrite(path, "-c", "-o", ",".join(
            "%s=%s" % item for item in options.items()))
    return path


def compressed_grid():
    layout("zlib", size=8 * MB, unit=65536, cluster_size=65536)(compressed)
    layout("zlib-512", size=64 * KB, unit=512, cluster_size=512)(compressed)
    layout("zlib-v2", size=MB, unit=4096, cluster_size=4096,
           compat="0.10")(compressed)
    layout("zlib-2m", size=64 * MB, unit=2 * MB,
           cluster_size=2 * MB)(compressed)
    layout("zlib-full", size=4 * MB, unit=65536, fully=True,
           cluster_size=65536)(compressed)
    layout("zstd", size=8 * MB, unit=65536, cluster_size=65536,
           compression_type="zstd")(compressed)
    layout("zstd-full", size=MB, unit=4096, fully=True, cluster_size=4096,
           compression_type="zstd")(compressed)
    layout("zstd-extl2", size=4 * MB, unit=16384, cluster_size=16384,
           extended_l2="on", compression_type="zstd")(compressed)


def compressed_snapshots(path):
    rng = rng_of("compressed-snap")
    steps = compressed_writes(rng, MB, 4096, 12) + [("snap", "s")]
    steps += writes(rng, MB, 4096, 12)
    return build(path, MB, steps, cluster_size=4096)


def data_file(path, **options):
    name = os.path.basename(path) + ".data"
    rng = rng_of("data-file", sorted(options.items()))
    create(path, 4 * MB, data_file=name, **options)
    apply_steps(path, writes(rng, 4 * MB, 65536, 10))
    return path


def backing(path, base_format="qcow2", **options):
    base = path + ".base"
    qemu_img("create", "-q", "-f", base_format, base, "4M")
    qemu_io(base, "write -P 7 0 1M", options=["-f", base_format])
    create(path, "4M", backing_file=os.path.basename(base),
           backing_fmt=base_format, **options)
    apply_steps(path, ["write -P 1 64k 64k", "write -P 2 1M 64k",
                       "write -z 256k 128k", "write -P 3 600k 4k"])
    return path


def shorter_backing(path):
    """The base is smaller than the overlay, as a template often is."""
    base = path + ".base"
    build(base, "1M", ["write -P 7 0 512k"])
    create(path, "8M", backing_file=os.path.basename(base),
           backing_fmt="qcow2")
    apply_steps(path, ["write -P 1 900k 300k", "write -P 2 4M 64k"])
    return path


def luks(path, **options):
    steps = ["write -P 1 0 128k", "write -P 2 512k 64k", "write -z 0 64k"]
    return build_luks(path, steps, **options)


def preallocated(path, how, **options):
    build(path, "4M", ["write -P 1 0 64k", "write -P 2 2M 64k"],
          preallocation=how, **options)
    return path


def resized(path, to, *args, **options):
    build(path, "2M", ["write -P 1 0 256k", "write -P 2 1M 256k",
                       ("resize", to, *args)] +
          (["write -P 3 6M 64k"] if to == "8M" else []), **options)
    return path


def shrunk(path):
    return resized(path, "1200k", "--shrink", cluster_size=4096)


def amended(path):
    return build(path, "2M", ["write -P 1 0 256k", ("amend", "compat=1.1"),
                              "write -z 0 64k"], compat="0.10",
                 cluster_size=4096)


def downgraded(path):
    return build(path, "2M", ["write -P 1 0 256k", "write -z 64k 64k",
                              ("amend", "compat=0.10")], cluster_size=4096)


def wider_refcounts(path):
    return build(path, "2M", ["write -P 1 0 256k",
                              ("amend", "refcount_bits=64"),
                              "write -P 2 1M 64k"], cluster_size=4096)


def zeroed(path, **options):
    steps = ["write -P 1 0 512k", "write -z 0 128k", "write -z -u 128k 128k",
             "discard 256k 64k", "write -z 1M 256k", "write -P 4 1M 4k"]
    return build(path, "2M", steps, **options)


def sparse_large(path, **options):
    """A terabyte with a few islands: many L1 entries, one or two L2."""
    return build(path, "1T", ["write -P 1 0 64k", "write -P 2 512G 128k",
                              "write -P 3 1048575M 64k"], **options)


def committed(path):
    base = path + ".low"
    build(base, "2M", ["write -P 7 0 512k"], cluster_size=4096)
    top = path + ".top"
    create(top, "2M", backing_file=os.path.basename(base),
           backing_fmt="qcow2", cluster_size=4096)
    apply_steps(top, ["write -P 1 64k 640k", "write -z 0 64k"])
    qemu_img("commit", "-q", "-f", "qcow2", top)
    os.remove(top)
    os.replace(base, path)
    return path


def odd_size(path):
    """A disk that ends within a cluster."""
    return build(path, str(MB + 3 * 512), ["write -P 1 0 64k",
                                          "write -P 2 1M 1536"],
                 cluster_size=65536)


def empty(path, size="4M", **options):
    return build(path, size, **options)


def refcount_growth(path):
    """So many clusters that the refcount table had to grow and move."""
    return build(path, "40M", ["write -P 1 0 20M"], cluster_size=512)


def register():
    plain_grid()
    refcount_grid()
    snapshot_grid()
    bitmap_grid()
    compressed_grid()
    layout("lazy", size=4 * MB, unit=4096, count=14, cluster_size=4096,
           lazy_refcounts="on")(mixed)
    for cluster in (16384, 65536, 524288):
        layout("extl2-%d" % cluster, size=cluster * 32, unit=cluster // 8,
               count=20, cluster_size=cluster, extended_l2="on")(mixed)
    for function, name, fixed in (
            (snapshot_deleted, "snap-deleted", {}),
            (snapshot_resized, "snap-resized", {}),
            (snapshot_vm_state, "snap-vmstate", {"saved": True}),
            (snapshot_vm_state, "snap-vmstate-open", {"saved": False}),
            (compressed_snapshots, "zlib-snap", {}),
            (data_file, "datafile", {}),
            (data_file, "datafile-raw", {"data_file_raw": "on"}),
            (data_file, "datafile-extl2", {"extended_l2": "on"}),
            (backing, "backing", {}),
            (backing, "backing-raw", {"base_format": "raw"}),
            (backing, "backing-extl2", {"extended_l2": "on"}),
            (backing, "backing-v2", {"compat": "0.10"}),
            (shorter_backing, "backing-short", {}),
            (luks, "luks", {}),
            (luks, "luks-4k", {"cluster_size": 4096}),
            (preallocated, "prealloc-meta", {"how": "metadata"}),
            (preallocated, "prealloc-full", {"how": "full"}),
            (preallocated, "prealloc-falloc",
             {"how": "falloc", "cluster_size": 4096}),
            (resized, "grown", {"to": "8M", "cluster_size": 4096}),
            (shrunk, "shrunk", {}),
            (amended, "amended", {}),
            (downgraded, "downgraded", {}),
            (wider_refcounts, "refbits-amended", {}),
            (zeroed, "zeroed", {"cluster_size": 65536}),
            (zeroed, "zeroed-v2", {"cluster_size": 4096, "compat": "0.10"}),
            (zeroed, "zeroed-extl2",
             {"cluster_size": 16384, "extended_l2": "on"}),
            (sparse_large, "sparse-1t", {}),
            (sparse_large, "sparse-1t-2m", {"cluster_size": 2 * MB}),
            (committed, "committed", {}),
            (odd_size, "odd-size", {}),
            (empty, "empty", {}),
            (empty, "size-0", {"size": "0"}),
            (empty, "size-512", {"size": "512", "cluster_size": 512}),
            (refcount_growth, "refcount-growth", {})):
        layout(name, **fixed)(function)


register()
