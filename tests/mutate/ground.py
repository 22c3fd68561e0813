"""The sound images that are mutated, and what their disks hold: the truth."""

import os

import anyimage
import better
import layouts
import qimg
from guestview import Beside, View
from layouts import KB, MB, layout
from make import apply_steps, build, build_luks, create, rng_of
from sight import differ

MARKED = 64 * KB        # bytes of each cluster that say where it stands
MOST_BYTES = 8 * MB     # a larger one of any layout takes too long a case
MOST_READ = 1 << 30     # nor one that is read whole, were it all holes
DATE = 1700000000
# Of tests/lib/layouts.py: too large, or nothing to lose.
NOT_USED = ("v3-1048576", "v2-2097152", "v3-2097152", "snap-2m", "bitmap-2m",
            "zlib-2m", "sparse-1t-2m", "extl2-524288", "refcount-growth",
            "size-0", "size-512", "empty", "prealloc-full", "prealloc-meta",
            "prealloc-falloc")
ANY = "any-"            # and a number: a layout of tests/lib/anyimage.py
MANY_ANY = 24
# Some of each kind, quickly built, for the slice.
SLICE = ("v2-4096", "v3-65536", "refbits-1", "refbits-64", "snap-512",
         "snap-4k-ref2", "bitmap-snap", "zlib-text", "zstd-text", "luks",
         "extl2-16384", "datafile", "backing", "tiny-2m", "shuffled")


def packed(path, size, cluster, count, more=(), **options):
    """Compressed clusters of text, each its own."""
    create(path, size, cluster_size=cluster, **options)
    rng = rng_of("packed", size, cluster, sorted(options.items()))
    steps, files = [], []
    for n in sorted(rng.sample(range(size // cluster), count)):
        files.append("%s.%d.text" % (path, n))
        with open(files[-1], "wb") as file:
            file.write(better.unique(n, cluster * 7 // 8) +
                       rng.randbytes(cluster // 8))
        steps.append("write -c -s %s %d %d" % (files[-1], n * cluster,
                                               cluster))
    apply_steps(path, steps + list(more))
    for file in files:
        os.remove(file)
    return path


def shuffled(path, cluster, count, snaps=0):
    """Single clusters written in any order: neighbours tell nothing."""
    rng = rng_of("shuffled", os.path.basename(path), cluster, count)
    places = rng.sample(range(count * 3), count)
    steps = ["write -P %d %d %d" % (rng.randint(1, 255), n * cluster, cluster)
             for n in places]
    for n in range(snaps):
        at = len(steps) * (n + 1) // (snaps + 1)
        steps.insert(at, ("snap", "state %d" % n))
    return build(path, count * 3 * cluster, steps, cluster_size=cluster)


def luks_with_snapshots(path):
    build_luks(path, ["write 0 128k", "write 512k 64k"], cluster_size=4096)
    for name, step in (("one", "write 64k 128k"), ("two", "write 640k 64k")):
        qimg.must(["qemu-img", "snapshot", "-c", name, *qimg.SECRET,
                   "--image-opts", qimg.luks_options(path)])
        qimg.qemu_io(qimg.luks_options(path), step,
                     options=qimg.SECRET + ["--image-opts"])
    return path


def everything(path):
    """Snapshots, bitmaps, compressed clusters and a base in one image."""
    layouts.backing(path, cluster_size=4096)
    packed_at = ["write -c -P %d %d 4k" % (n, 2 * MB + n * 8192)
                 for n in range(1, 9)]
    apply_steps(path, packed_at + [
        ("bitmap", "one"), ("snap", "a"), "write -P 5 1M 32k",
        "write -c -P 6 3M 4k", ("bitmap", "two", "-g", "64k"),
        ("snap", "b"), "write -P 7 128k 64k", "write -z 2M 16k"])
    return path


def grow_table(path):
    """So many clusters that the refcount table has grown and moved."""
    return build(path, MB, ["write -P 1 0 768k"], cluster_size=512)


def few(path, snap=False, **options):
    """Large clusters with little in them."""
    steps = ["write -P 1 0 64k", "write -P 2 4M 64k", "write -P 3 10M 64k"]
    if snap:
        steps += [("snap", "s"), "write -P 4 4M 64k"]
    return build(path, 16 * MB, steps, cluster_size=2 * MB, **options)


def two_tables(path, **options):
    """Two L2 tables of sixty-four KiB clusters, far apart."""
    return build(path, "2G", ["write -P 1 0 256k", "write -P 2 1G 256k",
                              "write -P 3 300k 64k"], **options)


for _function, _name, _fixed in (
        (packed, "zlib-text", dict(size=MB, cluster=4096, count=24)),
        (packed, "zstd-text", dict(size=MB, cluster=4096, count=24,
                                   compression_type="zstd")),
        (packed, "zlib-text-64k", dict(size=4 * MB, cluster=65536, count=12)),
        (packed, "zstd-text-64k", dict(size=4 * MB, cluster=65536, count=12,
                                       compression_type="zstd")),
        (packed, "zstd-snap", dict(
            size=MB, cluster=4096, count=16, compression_type="zstd",
            more=[("snap", "s"), "write -P 3 512k 64k"])),
        (shuffled, "shuffled", dict(cluster=4096, count=60)),
        (shuffled, "shuffled-snap", dict(cluster=4096, count=60, snaps=2)),
        (shuffled, "shuffled-64k", dict(cluster=65536, count=20, snaps=1)),
        (luks_with_snapshots, "luks-snap", {}),
        (everything, "everything", {}),
        (grow_table, "reftable-grown", {}),
        (few, "tiny-2m", {}),
        (few, "tiny-2m-v2", dict(compat="0.10")),
        (few, "tiny-2m-snap", dict(snap=True)),
        (few, "tiny-2m-extl2", dict(extended_l2="on")),
        (two_tables, "two-tables", {}),
        (two_tables, "two-tables-v2", dict(compat="0.10"))):
    layout(_name, **_fixed)(_function)


def names(seed):
    """All layouts, in an order of their own."""
    found = [n for n in layouts.LAYOUTS if n not in NOT_USED]
    found += ["%s%d" % (ANY, seed * MANY_ANY + i) for i in range(MANY_ANY)]
    rng_of("layouts", seed).shuffle(found)
    return found


def make(name, seed, folder):
    """Builds a layout in FOLDER; false where it is too large."""
    os.makedirs(folder)
    path = os.path.join(folder, "image%d" % seed)
    if name.startswith(ANY):
        anyimage.make(path, rng_of("mutate", name))
    else:
        layouts.LAYOUTS[name](path)
    better.mark(path, MARKED)
    with qimg.Image(path) as image:
        for pos in image.snapshots():
            image.put_snapshot(pos, "date_sec", DATE)
            image.put_snapshot(pos, "date_nsec", 0)
    os.utime(path, (2e9, 2e9))
    return not name.startswith(ANY) or (
        blocks(path) <= MOST_BYTES and
        all(os.path.getsize(os.path.join(folder, n)) <= MOST_READ
            for n in os.listdir(folder)))


def blocks(path):
    return 512 * os.stat(path).st_blocks


class Ground:
    """One sound image: its bytes, and every state of its disk."""

    def __init__(self, name, seed, folder):
        self.name, self.seed, self.folder = name, seed, folder
        self.file = "image%d" % seed
        self.path = os.path.join(folder, self.file)
        with open(self.path, "rb") as file:
            self.data = file.read()
        self.beside_names = [n for n in os.listdir(folder) if n != self.file]
        self.beside = self.find_beside()
        self.view = View(self.data, self.beside)
        if self.view.refusal:
            raise ValueError("%s: %s" % (name, self.view.refusal))
        self.cluster = self.view.cluster
        self.encrypted = bool(self.view.crypt)
        self.truth, self.keys = {}, []
        for state in self.view.states:
            self.keys.append(state.key)
            self.truth[state.key] = self.read_state(state)
        self.disks = {s.key: s.disk for s in self.view.states}

    def find_beside(self):
        beside = Beside()
        with qimg.Image(self.path) as image:
            at = image.get("backing_file_offset")
            if at:
                beside.base_name = image.read(
                    at, image.get("backing_file_size"))
                beside.base = self.contents(beside.base_name.decode())
                kind = image.extension(qimg.EXT_BACKING_FORMAT)
                beside.base_format = image.read(*kind) if kind else b"raw"
            if image.data_file:
                beside.data_name = (self.file + ".data").encode()
                beside.data = self.contents(self.file + ".data")
        return beside

    def contents(self, name):
        with open(os.path.join(self.folder, name), "rb") as file:
            return file.read()

    def read_state(self, state):
        """{guest cluster: its bytes} of what is not as without the image."""
        found = {}
        for n in self.view.mapped(state, state.disk):
            data = self.view.bytes_at(state, n)
            if data != self.view.below(n):
                found[n] = data
        return found

    def should(self, key, n):
        """The bytes of guest cluster N."""
        data = self.truth[key].get(n)
        return self.view.below(n) if data is None else data

    def holds(self, key, n):
        """The bits of the sectors of guest cluster N that hold something."""
        data = self.truth[key].get(n)
        return 0 if data is None else differ(data, self.view.below(n))

    def case_id(self, text):
        return "%s:%d:%s" % (self.name, self.seed, text)
