"""Every field of every structure of an image, each with a path as its name.

A structure is an Array of equal entries or a Record of named fields; a field
is reached as STRUCTURE.NAME, say l2.0x50000.17 or header.l1_size.
"""

import qimg
import unpack
from known import Known
from qcow2 import BITMAP, BITMAPS_EXT, EXT_BITMAPS, EXT_CRYPTO, HEADER, \
    SNAPSHOT

V2_FIELDS = 72
MOST_ENTRIES = 400      # of one array that are hit
MOST_BYTES = 256        # of one text or compressed cluster


class Structure:
    """Fields in order; get and put take them by their place in it."""

    def place(self, i):
        """(byte offset, bytes, shift, bits) of field I."""
        raise NotImplementedError

    def get(self, data, i):
        at, size, shift, bits = self.place(i)
        return int.from_bytes(data[at:at + size], "big") >> shift & \
            (1 << bits) - 1

    def put(self, data, i, value):
        at, size, shift, bits = self.place(i)
        if at + size > len(data):       # cut off before
            return
        mask = (1 << bits) - 1
        old = int.from_bytes(data[at:at + size], "big")
        new = old & ~(mask << shift) | (value & mask) << shift
        data[at:at + size] = new.to_bytes(size, "big")

    def bits(self, i):
        return self.place(i)[3]

    def inside(self, data, i):
        at, size, _, _ = self.place(i)
        return at + size <= len(data)


class Array(Structure):
    def __init__(self, at, bits, count, stride=None, hit=None):
        self.at, self.width, self.count = at, bits, count
        self.stride = stride or bits
        self.hit = range(count) if hit is None else hit

    def place(self, i):
        bit = i * self.stride
        if self.width < 8:
            return self.at + bit // 8, 1, bit % 8, self.width
        return self.at + bit // 8, self.width // 8, 0, self.width

    def index(self, name):
        i = int(name)
        if not 0 <= i < self.count:
            raise KeyError(name)
        return i

    def names(self):
        return [str(i) for i in self.hit]

    def siblings(self, i):
        """Others that hold the same kind of thing."""
        return [j for j in self.hit if j != i]

    def neighbour(self, i, step):
        return i + step if 0 <= i + step < self.count else None


class Record(Structure):
    def __init__(self, at, layout, end=None):
        self.fields = [(name, at + o, size) for name, (o, size) in
                       layout.items() if end is None or o + size <= end]

    def place(self, i):
        _, at, size = self.fields[i]
        return at, size, 0, 8 * size

    def index(self, name):
        return [f[0] for f in self.fields].index(name)

    def names(self):
        return [f[0] for f in self.fields]

    def siblings(self, i):
        return [j for j, f in enumerate(self.fields)
                if j != i and f[2] == self.fields[i][2]]

    def neighbour(self, i, step):
        alike = sorted(self.siblings(i) + [i])
        at = alike.index(i) + step
        return alike[at] if 0 <= at < len(alike) else None


class Fields:
    """`kinds`: {kind of structure: [path of a structure]};
    `at`: {path: Structure}; `places`: {kind: [host cluster's offset]}."""

    def __init__(self, ground):
        self.kinds, self.at, self.places = {}, {}, {}
        self.first_of = {}      # path of a refcount block: its first cluster
        self.data, self.cluster = ground.data, ground.cluster
        with qimg.Image(ground.path) as image:
            self.known = Known(image)
            self.add_header(image)
            self.add_extensions(image)
            self.add_tables(image)
            self.add_refcounts(image)
            self.add_snapshots(image)
            self.add_bitmaps(image)
            self.add_clusters(image, ground)

    def add(self, kind, path, structure):
        if structure.names():
            self.kinds.setdefault(kind, []).append(path)
            self.at[path] = structure

    def place(self, kind, offset, length=1):
        at = offset // self.cluster * self.cluster
        while at < offset + length:
            found = self.places.setdefault(kind, [])
            if at not in found and at < len(self.data):
                found.append(at)
            at += self.cluster

    def used(self, at, size, count):
        """Entries that are not zero, and those beside them."""
        found = set()
        for i in range(count):
            entry = self.data[at + i * size:at + (i + 1) * size]
            if any(entry):
                found |= {i - 1, i, i + 1}
        found |= {0, count - 1}
        found = sorted(i for i in found if 0 <= i < count)
        return found[::-(-len(found) // MOST_ENTRIES) or 1]

    def add_array(self, kind, path, at, size, count):
        self.add(kind, path, Array(at, 8 * size, count,
                                   hit=self.used(at, size, count)))
        self.place(kind, at, size * count)

    def add_text(self, kind, path, at, length):
        step = -(-length // MOST_BYTES) or 1
        self.add(kind, path, Array(at, 8, length, hit=range(0, length, step)))

    # -- each structure ------------------------------------------------

    def add_header(self, image):
        self.add("header", "header", Record(
            0, HEADER, None if image.v3 else V2_FIELDS))
        self.place("header", 0)
        if image.get("backing_file_offset"):
            self.add_text("backing-name", "backing-name",
                          image.get("backing_file_offset"),
                          image.get("backing_file_size"))

    def add_extensions(self, image):
        for n, (kind, at, length) in enumerate(image.extensions()):
            path = "ext.%d" % n
            self.add("extension", path, Record(at - 8, {
                "type": (0, 4), "length": (4, 4)}))
            if kind == EXT_BITMAPS:
                self.add("extension", path + ".bitmaps",
                         Record(at, BITMAPS_EXT))
            elif kind == EXT_CRYPTO:
                self.add("extension", path + ".crypto", Record(at, {
                    "offset": (0, 8), "length": (8, 8)}))
                self.add_luks(image, *(image.u64(at + 8 * i)
                                       for i in (0, 1)))
            else:
                self.add_text("extension", path + ".data", at, length)

    def add_luks(self, image, at, length):
        self.add("luks", "luks", Record(at, unpack.LUKS))
        for n, base in enumerate(unpack.slot_bases()):
            self.add("luks", "luks.slot%d" % n,
                     Record(at + base, unpack.LUKS_SLOT))
        material = unpack.number(image.read(at, unpack.LUKS_BYTES),
                                 unpack.LUKS_SLOT["key_offset"],
                                 unpack.slot_bases()[0])
        self.add_text("luks-key", "luks.key", at + 512 * material,
                      16 * unpack.STRIPES)
        self.place("luks", at, length)

    def add_tables(self, image):
        self.add_array("l1", "l1", image.l1_offset, 8, image.l1_size)
        for at in sorted(self.known.table):
            if not image.extended_l2:
                self.add_array("l2", "l2.%#x" % at, at, 8, image.l2_entries)
                continue
            hit = self.used(at, 16, image.l2_entries)
            for kind, shift in (("l2", 0), ("l2-bits", 8)):
                self.add(kind, "%s.%#x" % (kind, at), Array(
                    at + shift, 64, image.l2_entries, 128, hit))
            self.place("l2", at)

    def add_refcounts(self, image):
        at = image.reftable_offset()
        self.add_array("reftable", "reftable", at, 8,
                       image.get("refcount_table_clusters") *
                       image.cluster // 8)
        bits = image.refcount_bits
        for n, block in enumerate(image.reftable()):
            if not block:
                continue
            count = image.refblock_entries()
            self.first_of["refblock.%#x" % block] = n * count
            end = max(0, min(count, image.clusters() + 3 - n * count))
            self.add("refblock", "refblock.%#x" % block,
                     Array(block, bits, count, hit=range(
                         0, end, -(-end // MOST_ENTRIES) or 1)))
            self.place("refblock", block)

    def add_snapshots(self, image):
        if not image.nb_snapshots:
            return
        self.place("snaptable", image.get("snapshots_offset"),
                   image.snapshot_table_size())
        for n, pos in enumerate(image.snapshots()):
            self.add("snaptable", "snap.%d" % n, Record(
                pos, SNAPSHOT, 40 + image.snapshot(pos, "extra_size")))
            at, id_size, _, name_size = image.snapshot_strings(pos)
            self.add_text("snaptable", "snap.%d.text" % n, at,
                          id_size + name_size)
            self.add_array("snap-l1", "snap-l1.%d" % n,
                           image.snapshot(pos, "l1_table_offset"), 8,
                           image.snapshot(pos, "l1_size"))

    def add_bitmaps(self, image):
        for n, pos in enumerate(image.bitmaps()):
            self.add("bitmap-dir", "bitmap.%d" % n, Record(pos, BITMAP))
            self.place("bitmap-dir", pos)
            self.add_text("bitmap-dir", "bitmap.%d.name" % n,
                          pos + 24 + image.bitmap(pos, "extra_size"),
                          image.bitmap(pos, "name_size"))
            at = image.bitmap(pos, "table_offset")
            count = image.bitmap(pos, "table_size")
            self.add_array("bitmap-table", "bitmap-table.%d" % n, at, 8,
                           count)
            for word in (image.u64(at + 8 * i) for i in range(count)):
                if word & qimg.OFFSET_MASK:
                    self.place("bitmap", word & qimg.OFFSET_MASK)

    def add_clusters(self, image, ground):
        for table in self.known.table.values():
            for e in table:
                if e.is_compressed():
                    self.add_packed(image, *image.compressed_range(e.word))
                elif e.word & qimg.OFFSET_MASK and not image.data_file:
                    self.place("data", e.word & qimg.OFFSET_MASK)
        for at in self.places.get("data", ()):
            self.add_text("data", "data.%#x" % at, at,
                          min(image.cluster, len(ground.data) - at))
        for n in image.free_clusters():
            self.place("free", n * image.cluster)

    def add_packed(self, image, at, length):
        self.place("packed", at)
        path = "packed.%#x" % at
        if path not in self.at:
            self.add_text("packed", path, at,
                          min(length, len(self.data) - at))
