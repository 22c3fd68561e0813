"""The image shapes of the bench, and how each is made.

qemu-img and qemu-io make what they make in reasonable time. What would take
them hours (200,000 scattered writes, fifty snapshots of 16 million clusters)
is written into the tables, to the same bytes in the fields that a check
reads; `qemu-img check` calls every undamaged shape clean, and the bench stops
where it does not.

All images are sparse: only their tables take room.
"""
import array
import os
import random
import shutil
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "lib"))
import qcow2  # noqa: E402  (tests/lib is no package)

MIB = 1 << 20
GIB = 1 << 30
TIB = 1 << 40
# Part of the file names: raise it when a shape changes.
EDITION = 1


def words(raw):
    values = array.array("Q", raw)
    values.byteswap()
    return values


def raw_of(values):
    values = array.array("Q", values)
    values.byteswap()
    return values.tobytes()


def run(*argv, feed=None):
    subprocess.run(argv, check=True, stdout=subprocess.DEVNULL,
                   input=feed, text=True)


def create(path, size, **options):
    text = ",".join(f"{k}={v}" for k, v in options.items())
    run("qemu-img", "create", "-q", "-f", "qcow2",
        *(("-o", text) if text else ()), path, str(size))


# -- ways to make an image: each takes the path to fill ------------------

def mapped(size, **options):
    def make(path, _store):
        create(path, size, preallocation="metadata", **options)
    return make


def copy_of(base, then):
    """Start from another shape, which is made if it is not there."""
    def make(path, store):
        shutil.copyfile(os.devnull, path)
        run("cp", "--sparse=always", "--reflink=auto", store.get(base), path)
        then(path)
    return make


def snapshots_shared(count):
    """COUNT snapshots of the same disk: qemu-img takes the first one."""
    def then(path):
        run("qemu-img", "snapshot", "-c", "first", path)
        if count > 1:
            with qcow2.Image(path) as image:
                multiply_snapshot(image, count)
    return then


def append(image, data):
    """A new place at the end of the file, with refcount 1."""
    where = qcow2.round_up(image.file_size(), image.cluster)
    used = qcow2.round_up(len(data), image.cluster)
    image.truncate(where + used)
    image.write(where, data)
    for at in range(where, where + used, image.cluster):
        image.set_refcount(at // image.cluster, 1)
    return where


def snapshot_entry(l1_offset, l1_size, disk, number):
    ident, name = str(number).encode(), b"s%d" % number
    fields = ((l1_offset, 8), (l1_size, 4), (len(ident), 2), (len(name), 2),
              (1700000000 + number, 4), (0, 4), (0, 8), (0, 4), (24, 4),
              (0, 8), (disk, 8), ((1 << 64) - 1, 8))
    entry = b"".join(v.to_bytes(n, "big") for v, n in fields) + ident + name
    return entry.ljust(qcow2.round_up(len(entry), 8), b"\0")


def multiply_snapshot(image, count):
    """From the one snapshot that QEMU took to COUNT that share its tables."""
    first = image.snapshots()[0]
    l1_size = image.snapshot(first, "l1_size")
    l1_first = image.snapshot(first, "l1_table_offset")
    l1 = image.read(l1_first, 8 * l1_size)
    old_table = image.get("snapshots_offset")
    disk = image.get("size")
    places = [l1_first] + [append(image, l1) for _ in range(count - 1)]
    table = append(image, b"".join(
        snapshot_entry(at, l1_size, disk, n)
        for n, at in enumerate(places, 1)))
    image.put("snapshots_offset", table)
    image.put("nb_snapshots", count)
    image.set_refcount(old_table // image.cluster, 0)
    raise_shared_refcounts(image, count + 1)


def raise_shared_refcounts(image, now):
    """Every refcount of 2 becomes NOW: 16 bits each, all below 256."""
    assert image.refcount_bits == 16 and now < 256
    table = bytes(now if b == 2 else b for b in range(256))
    for block in image.reftable():
        if block:
            raw = image.read(block, image.cluster)
            image.write(block, raw.translate(table))


def snapshots_written(count, writes, size):
    """A snapshot, then WRITES clusters written at random; COUNT times."""
    def then(path):
        dice = random.Random(1)
        for n in range(count):
            run("qemu-img", "snapshot", "-c", f"s{n}", path)
            run("qemu-io", "-f", "qcow2", path, feed="".join(
                f"write -q -P 0 {dice.randrange(size >> 16) << 16} 64k\n"
                for _ in range(writes)))
            # What was written is zeros: give the room back.
            run("fallocate", "--dig-holes", path)
    return then


def shuffled(part):
    """Scatter the host clusters of a PART (0 to 1) of the L2 entries."""
    def then(path):
        dice = random.Random(2)
        with qcow2.Image(path) as image:
            tables = [image.l2_offset(i) for i in image.l1_used()]
            entries = array.array("Q")
            for at in tables:
                entries.extend(words(image.read(at, image.cluster)))
            scatter(entries, part, dice)
            per = image.l2_entries
            for n, at in enumerate(tables):
                image.write(at, raw_of(entries[n * per:(n + 1) * per]))
    return then


def scatter(entries, part, dice):
    if part >= 1:
        dice.shuffle(entries)
        return
    chosen = dice.sample(range(len(entries)), int(len(entries) * part))
    values = [entries[i] for i in chosen]
    dice.shuffle(values)
    for i, value in zip(chosen, values):
        entries[i] = value


class Writer:
    """Fills an empty image as QEMU's allocator does.

    It takes the next free cluster of the file; a refcount block is taken
    where the ones before it end, an L2 table at the first write to its range.
    """

    def __init__(self, image):
        self.image = image
        self.per_block = image.refblock_entries()
        self.following = image.clusters()
        self.blocks = {0: image.reftable()[0]}
        self.l1 = array.array("Q", bytes(8 * image.l1_size))
        self.freed = []

    def take(self, most=1):
        """(first, number) of up to MOST clusters in a row."""
        if self.following % self.per_block == 0:
            at = self.following << self.image.cluster_bits
            self.blocks[self.following // self.per_block] = at
            self.following += 1
        first = self.following
        most = min(most, self.per_block - first % self.per_block)
        self.following += most
        return first, most

    def take_table(self, index):
        """An L2 table of its own for the L1 entry INDEX: its host offset."""
        at = self.take()[0] << self.image.cluster_bits
        self.l1[index] = at | qcow2.COPIED
        return at

    def entries(self, count):
        """L2 entries for COUNT new clusters."""
        made = array.array("Q")
        shift = self.image.cluster_bits
        while len(made) < count:
            first, got = self.take(count - len(made))
            made.extend(range(first << shift | qcow2.COPIED,
                              (first + got) << shift | qcow2.COPIED,
                              1 << shift))
        return made

    def move_reftable(self, clusters):
        """Room for more refcount blocks, as when QEMU outgrew the table."""
        old, number = self.image.reftable_offset(), \
            self.image.get("refcount_table_clusters")
        shift = self.image.cluster_bits
        self.freed += range(old >> shift, (old >> shift) + number)
        first, got = self.take(clusters)
        assert got == clusters
        self.image.put("refcount_table_offset", first << shift)
        self.image.put("refcount_table_clusters", clusters)

    def finish(self):
        image = self.image
        image.truncate(self.following << image.cluster_bits)
        image.write(image.l1_offset, raw_of(self.l1))
        for number, at in self.blocks.items():
            used = min(self.per_block,
                       self.following - number * self.per_block)
            image.put64(image.reftable_offset() + 8 * number, at)
            image.write(at, b"\0\1" * used)
        for cluster in self.freed:
            image.set_refcount(cluster, 0)


def random_order(size, writes):
    """WRITES clusters written in random order to an empty disk."""
    def make(path, _store):
        create(path, size)
        guests = random.Random(3).sample(range(size >> 16), writes)
        with qcow2.Image(path) as image:
            write_guests(image, guests)
    return make


def write_guests(image, guests):
    writer = Writer(image)
    places, tables = {}, {}
    for guest in guests:
        index, slot = divmod(guest, image.l2_entries)
        if index not in tables:
            places[index] = writer.take_table(index)
            tables[index] = array.array("Q", bytes(image.cluster))
        tables[index][slot] = writer.entries(1)[0]
    writer.finish()
    for index, table in tables.items():
        image.write(places[index], raw_of(table))


def mapped_by_hand(size, cluster):
    """What preallocation=metadata makes, where that takes minutes."""
    def make(path, _store):
        create(path, size, cluster_size=cluster)
        with qcow2.Image(path) as image:
            writer = Writer(image)
            blocks = size // cluster // writer.per_block * 11 // 10
            writer.move_reftable(blocks * 8 // cluster + 1)
            for index in range(size // cluster // image.l2_entries):
                at = writer.take_table(index)
                image.write(at, raw_of(writer.entries(image.l2_entries)))
            writer.finish()
    return make


def zero_refcount_table(path):
    with qcow2.Image(path) as image:
        length = image.get("refcount_table_clusters") * image.cluster
        image.write(image.reftable_offset(), bytes(length))


def zero_l1_entries(path):
    with qcow2.Image(path) as image:
        image.write(image.l1_pos(1000), bytes(8 * 100))


def zero_l2_tables(path):
    """100 tables: what they mapped was never written, so it only leaks."""
    with qcow2.Image(path) as image:
        for index in range(1000, 1100):
            image.write(image.l2_offset(index), bytes(image.cluster))


def zero_refcount_block(path):
    with qcow2.Image(path) as image:
        used = image.reftable_used()
        image.write(image.reftable()[used[len(used) // 2]],
                    bytes(image.cluster))


def two_owners(count):
    """COUNT entries, anywhere, lead to the cluster of another one as well."""
    def then(path):
        dice = random.Random(4)
        with qcow2.Image(path) as image:
            tables = [image.l2_offset(i) for i in image.l1_used()]
            entries = array.array("Q")
            for at in tables:
                entries.extend(words(image.read(at, image.cluster)))
            total, per = len(entries), image.l2_entries
            for i in dice.sample(range(total), count):
                entries[i] = entries[dice.randrange(total)]
            for n, at in enumerate(tables):
                image.write(at, raw_of(entries[n * per:(n + 1) * per]))
    return then


def garbage_refcount_table(path):
    with qcow2.Image(path) as image:
        length = image.get("refcount_table_clusters") * image.cluster
        image.write(image.reftable_offset(), random.Random(6).randbytes(length))


class Shape:
    def __init__(self, name, title, make, mib, aim=None, damaged=False,
                 named_only=False):
        self.name, self.title, self.make = name, title, make
        self.mib = mib          # disk room while it is made and kept
        self.aim = aim          # times faster than qemu-img, from the plan
        self.damaged = damaged
        self.named_only = named_only


SHAPES = [
    Shape("mapped-1t", "1 TiB mapped", mapped(TIB), 170, 12),
    Shape("mapped-8t", "8 TiB mapped", mapped(8 * TIB), 1350, 10),
    Shape("snap50", "1 TiB, 50 shared snapshots",
          copy_of("mapped-1t", snapshots_shared(50)), 170, 80),
    Shape("snap10", "1 TiB, 10 snapshots, writes between",
          copy_of("mapped-1t", snapshots_written(10, 2000, TIB)), 3000, 12),
    Shape("small-256g", "256 GiB, 4 KiB clusters",
          mapped_by_hand(256 * GIB, 4096), 680, 25),
    Shape("snap50-8t", "8 TiB, 50 shared snapshots",
          copy_of("mapped-8t", snapshots_shared(50)), 1350, named_only=True),
    Shape("snap50-spread", "8 TiB, 50 snapshots, writes between",
          copy_of("random-8t", snapshots_written(50, 200, 8 * TIB)), 1200,
          named_only=True),
    Shape("random-8t", "8 TiB, 4,000 random writes",
          random_order(8 * TIB, 4000), 300, named_only=True),
    Shape("extl2-1t", "1 TiB, extended L2",
          mapped(TIB, extended_l2="on"), 300, 8),
    Shape("random-64g", "64 GiB, 200,000 random writes",
          random_order(64 * GIB, 200000), 10, 100),
    Shape("mapped-256g", "256 GiB mapped", mapped(256 * GIB), 42,
          named_only=True),
    Shape("shuffled-256g", "256 GiB, host clusters shuffled",
          copy_of("mapped-256g", shuffled(1)), 42, 1000),
    Shape("reftable-1t", "1 TiB, refcount table zeroed",
          copy_of("mapped-1t", zero_refcount_table), 170, damaged=True),
    Shape("l1-1t", "1 TiB, 100 L1 entries zeroed",
          copy_of("mapped-1t", zero_l1_entries), 170, damaged=True),
    Shape("leaks-1t", "1 TiB, 819,200 leaks",
          copy_of("mapped-1t", zero_l2_tables), 170, damaged=True,
          named_only=True),
    Shape("refblock-1t", "1 TiB, a refcount block lost",
          copy_of("mapped-1t", zero_refcount_block), 170, damaged=True,
          named_only=True),
    Shape("doubles20k", "256 GiB, 20,000 clusters with two owners",
          copy_of("mapped-256g", two_owners(20000)), 42, damaged=True,
          named_only=True),
    Shape("doubles500k", "256 GiB, 500,000 clusters with two owners",
          copy_of("mapped-256g", two_owners(500000)), 42, damaged=True,
          named_only=True),
    Shape("mapped-2m", "1 TiB, 2 MiB clusters",
          mapped(TIB, cluster_size=2 << 20), 10, named_only=True),
    Shape("garbage-2m", "1 TiB, 2 MiB clusters, refcount table of garbage",
          copy_of("mapped-2m", garbage_refcount_table), 10, damaged=True,
          named_only=True),
    # 10 GiB of tables: only where it is asked for, and on a file system
    # that takes a file of this size (XFS, tmpfs).
    Shape("mapped-64t", "64 TiB mapped", mapped(64 * TIB), 11000,
          named_only=True),
]
QUICK = ("mapped-1t", "small-256g", "snap50")


def curve_shapes():
    """{curve: [(x, Shape)]}: how the cost grows, one thing at a time."""
    gib = {64: "64 GiB", 256: "256 GiB", 1024: "1 TiB", 4096: "4 TiB"}
    by_name = {s.name: s for s in SHAPES}
    sizes = [(g, by_name.get({256: "mapped-256g", 1024: "mapped-1t"}.get(g))
              or Shape(f"mapped-{g}g", f"{t} mapped", mapped(g * GIB),
                       g // 6 + 2)) for g, t in gib.items()]
    snaps = [(n, by_name.get(f"snap{n}" if n == 50 else "")
              or Shape(f"snap{n}-shared", f"1 TiB, {n} shared snapshots",
                       copy_of("mapped-1t", snapshots_shared(n)), 200))
             for n in (1, 10, 50, 200)]
    parts = [(p, by_name["mapped-256g"] if p == 0 else
              by_name["shuffled-256g"] if p == 100 else
              Shape(f"shuffled{p}-256g", f"256 GiB, {p} % shuffled",
                    copy_of("mapped-256g", shuffled(p / 100)), 42))
             for p in (0, 1, 10, 100)]
    return {"size in GiB": sizes, "snapshots": snaps,
            "% of clusters shuffled": parts}


class NoRoom(Exception):
    pass


class Store:
    """The folder that keeps the images from one run to the next."""

    def __init__(self, folder, most_mib, log):
        self.folder, self.most_mib, self.log = folder, most_mib, log
        self.shapes = {s.name: s for s in SHAPES}
        os.makedirs(folder, exist_ok=True)

    def path(self, name):
        return os.path.join(self.folder, f"{name}.{EDITION}.qcow2")

    def used_mib(self):
        return sum(e.stat().st_blocks for e in os.scandir(self.folder)) // 2048

    def check_room(self, shape):
        free = shutil.disk_usage(self.folder).free // MIB
        if shape.mib * 1.2 + 512 > free:
            raise NoRoom(f"{self.folder} has {free} MiB left, "
                         f"{shape.name} takes {shape.mib}")
        if self.used_mib() + shape.mib > self.most_mib:
            raise NoRoom(f"{shape.name} takes {shape.mib} MiB, which passes "
                         f"--max-mib {self.most_mib}")

    def get(self, name):
        """The path of a shape's image, made now if it is not there."""
        shape, path = self.shapes[name], self.path(name)
        if os.path.exists(path):
            return path
        self.check_room(shape)
        self.log(f"making {name} ({shape.title})")
        try:
            shape.make(path + ".part", self)
            os.rename(path + ".part", path)
        except (OSError, subprocess.CalledProcessError) as why:
            raise NoRoom(f"{name} cannot be made: {why}") from why
        finally:
            if os.path.exists(path + ".part"):
                os.unlink(path + ".part")
        return path
