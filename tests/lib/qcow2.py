"""A small reader and editor of qcow2 files, for tests.

Written from the format's text and sharing nothing with the program under
test.  It believes what it reads: use it on images that were sound when they
were opened, then damage them through it.
"""

import struct

OFFSET_MASK = 0x00FFFFFFFFFFFE00
COPIED = 1 << 63
COMPRESSED = 1 << 62
ZERO = 1

INCOMPAT_DIRTY = 1
INCOMPAT_CORRUPT = 2
INCOMPAT_DATA_FILE = 4
INCOMPAT_COMPRESSION = 8
INCOMPAT_EXTENDED_L2 = 16

EXT_END = 0
EXT_BACKING_FORMAT = 0xE2792ACA
EXT_FEATURES = 0x6803F857
EXT_BITMAPS = 0x23852875
EXT_CRYPTO = 0x0537BE77
EXT_DATA_FILE = 0x44415441
EXT_GAVE_UP = 0x51464755

# name: (offset, bytes)
HEADER = {
    "magic": (0, 4),
    "version": (4, 4),
    "backing_file_offset": (8, 8),
    "backing_file_size": (16, 4),
    "cluster_bits": (20, 4),
    "size": (24, 8),
    "crypt_method": (32, 4),
    "l1_size": (36, 4),
    "l1_table_offset": (40, 8),
    "refcount_table_offset": (48, 8),
    "refcount_table_clusters": (56, 4),
    "nb_snapshots": (60, 4),
    "snapshots_offset": (64, 8),
    "incompatible_features": (72, 8),
    "compatible_features": (80, 8),
    "autoclear_features": (88, 8),
    "refcount_order": (96, 4),
    "header_length": (100, 4),
    "compression_type": (104, 1),
}

# Snapshot table entry, fixed part: name: (offset, bytes)
SNAPSHOT = {
    "l1_table_offset": (0, 8),
    "l1_size": (8, 4),
    "id_size": (12, 2),
    "name_size": (14, 2),
    "date_sec": (16, 4),
    "date_nsec": (20, 4),
    "vm_clock": (24, 8),
    "vm_state_size": (32, 4),
    "extra_size": (36, 4),
    "extra_vm_state_size": (40, 8),
    "extra_disk_size": (48, 8),
    "extra_icount": (56, 8),
}

# Bitmap directory entry, fixed part: name: (offset, bytes)
BITMAP = {
    "table_offset": (0, 8),
    "table_size": (8, 4),
    "flags": (12, 4),
    "type": (16, 1),
    "granularity_bits": (17, 1),
    "name_size": (18, 2),
    "extra_size": (20, 4),
}

# Bitmaps header extension, its data: name: (offset, bytes)
BITMAPS_EXT = {
    "nb_bitmaps": (0, 4),
    "reserved": (4, 4),
    "directory_size": (8, 8),
    "directory_offset": (16, 8),
}


def round_up(value, unit):
    return (value + unit - 1) // unit * unit


class Image:
    """One qcow2 file, open for reading and editing."""

    def __init__(self, path):
        self.path = path
        self.file = open(path, "r+b", buffering=0)
        self.version = self.get("version")
        self.cluster_bits = self.get("cluster_bits")
        self.cluster = 1 << self.cluster_bits
        self.v3 = self.version >= 3
        self.incompatible = self.get("incompatible_features") if self.v3 else 0
        self.extended_l2 = bool(self.incompatible & INCOMPAT_EXTENDED_L2)
        self.data_file = bool(self.incompatible & INCOMPAT_DATA_FILE)
        self.l2_entry_size = 16 if self.extended_l2 else 8
        self.l2_entries = self.cluster // self.l2_entry_size
        self.refcount_order = self.get("refcount_order") if self.v3 else 4
        self.refcount_bits = 1 << self.refcount_order
        self.l1_size = self.get("l1_size")
        self.l1_offset = self.get("l1_table_offset")
        self.nb_snapshots = self.get("nb_snapshots")

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()

    def close(self):
        self.file.close()

    # -- bytes ---------------------------------------------------------

    def read(self, offset, length):
        self.file.seek(offset)
        return self.file.read(length)

    def write(self, offset, data):
        self.file.seek(offset)
        self.file.write(data)

    def number(self, offset, size):
        return int.from_bytes(self.read(offset, size), "big")

    def put_number(self, offset, size, value):
        self.write(offset, (value & ((1 << 8 * size) - 1)).to_bytes(size, "big"))

    def u64(self, offset):
        return self.number(offset, 8)

    def put64(self, offset, value):
        self.put_number(offset, 8, value)

    def file_size(self):
        return self.file.seek(0, 2)

    def truncate(self, size):
        self.file.truncate(size)

    def clusters(self):
        return round_up(self.file_size(), self.cluster) // self.cluster

    # -- header --------------------------------------------------------

    def get(self, field):
        return self.number(*HEADER[field])

    def put(self, field, value):
        offset, size = HEADER[field]
        self.put_number(offset, size, value)

    def header_length(self):
        return self.get("header_length") if self.v3 else 72

    def extensions(self):
        """[(type, offset of the data, length)], without the end marker."""
        found = []
        offset = self.header_length()
        limit = self.get("backing_file_offset") or self.cluster
        while offset + 8 <= limit:
            kind = self.number(offset, 4)
            length = self.number(offset + 4, 4)
            if kind == EXT_END:
                break
            found.append((kind, offset + 8, length))
            offset += 8 + round_up(length, 8)
        return found

    def extension(self, kind):
        """(offset of the data, length) or None."""
        for have, offset, length in self.extensions():
            if have == kind:
                return offset, length
        return None

    def add_extension(self, kind, data):
        """Behind the others, of an image without a backing file."""
        last = self.extensions()[-1:]
        at = last[0][1] + round_up(last[0][2], 8) if last \
            else self.header_length()
        self.put_number(at, 4, kind)
        self.put_number(at + 4, 4, len(data))
        self.write(at + 8, data + bytes(-len(data) % 8 + 8))

    def drop_extension(self, kind):
        """What is behind it moves up; a backing file's name stays."""
        offset, length = self.extension(kind)
        behind = offset + round_up(length, 8)
        last = self.extensions()[-1]
        end = last[1] + round_up(last[2], 8)
        rest = self.read(behind, end - behind)
        self.write(offset - 8, rest + bytes(end - offset + 8 - len(rest)))

    # -- L1 and L2 -----------------------------------------------------

    def l1_pos(self, index):
        return self.l1_offset + 8 * index

    def l1(self):
        raw = self.read(self.l1_offset, 8 * self.l1_size)
        return list(struct.unpack(">%dQ" % (len(raw) // 8), raw))

    def l1_used(self):
        """Indices of the L1 entries that name an L2 table."""
        return [i for i, e in enumerate(self.l1()) if e & OFFSET_MASK]

    def l2_offset(self, l1_index):
        return self.u64(self.l1_pos(l1_index)) & OFFSET_MASK

    def l2_pos(self, l1_index, l2_index):
        return self.l2_offset(l1_index) + self.l2_entry_size * l2_index

    def l2_table(self, offset):
        """The first words of the entries of the L2 table at OFFSET."""
        raw = self.read(offset, self.cluster).ljust(self.cluster, b"\0")
        words = struct.unpack(">%dQ" % (self.cluster // 8), raw)
        return list(words[:: self.l2_entry_size // 8])

    def entries(self):
        """[(guest cluster, position, entry)] that are not zero, active."""
        found = []
        for i in self.l1_used():
            base = self.l2_offset(i)
            for j, entry in enumerate(self.l2_table(base)):
                if entry:
                    pos = base + self.l2_entry_size * j
                    found.append((i * self.l2_entries + j, pos, entry))
        return found

    def normal_entries(self):
        return [e for e in self.entries()
                if not e[2] & COMPRESSED and e[2] & OFFSET_MASK]

    def compressed_entries(self):
        return [e for e in self.entries() if e[2] & COMPRESSED]

    def compressed_range(self, entry):
        """(host offset, length) that a compressed entry names."""
        shift = 62 - (self.cluster_bits - 8)
        offset = entry & ((1 << shift) - 1)
        sectors = (entry >> shift) & ((1 << (62 - shift)) - 1)
        return offset, (sectors + 1) * 512 - (offset & 511)

    # -- refcounts -----------------------------------------------------

    def reftable_offset(self):
        return self.get("refcount_table_offset")

    def reftable(self):
        size = self.get("refcount_table_clusters") * self.cluster
        raw = self.read(self.reftable_offset(), size)
        return list(struct.unpack(">%dQ" % (len(raw) // 8), raw))

    def reftable_used(self):
        return [i for i, e in enumerate(self.reftable()) if e]

    def refblock_entries(self):
        return self.cluster * 8 // self.refcount_bits

    def refcount_place(self, cluster):
        """(byte offset, bytes, shift in the byte), or None without block."""
        table = self.reftable()
        block, index = divmod(cluster, self.refblock_entries())
        if block >= len(table) or not table[block]:
            return None
        bit = index * self.refcount_bits
        size = max(1, self.refcount_bits // 8)
        return table[block] + bit // 8, size, bit % 8

    def refcount(self, cluster):
        place = self.refcount_place(cluster)
        if not place:
            return 0
        offset, size, shift = place
        return self.number(offset, size) >> shift & self.refcount_max()

    def refcount_max(self):
        return (1 << self.refcount_bits) - 1

    def set_refcount(self, cluster, count):
        place = self.refcount_place(cluster)
        if not place:
            raise ValueError("no refcount block for cluster %d" % cluster)
        offset, size, shift = place
        old = self.number(offset, size)
        new = old & ~(self.refcount_max() << shift) | count << shift
        self.put_number(offset, size, new)

    def used_clusters(self):
        return [c for c in range(self.clusters()) if self.refcount(c)]

    def free_clusters(self):
        return [c for c in range(self.clusters()) if not self.refcount(c)
                and self.refcount_place(c)]

    # -- snapshots -----------------------------------------------------

    def snapshots(self):
        """Positions of the snapshot table's entries."""
        found = []
        pos = self.get("snapshots_offset")
        for _ in range(self.get("nb_snapshots")):
            found.append(pos)
            length = 40 + sum(self.snapshot(pos, f) for f in
                              ("id_size", "name_size", "extra_size"))
            pos = round_up(pos + length, 8)
        return found

    def snapshot(self, pos, field):
        offset, size = SNAPSHOT[field]
        return self.number(pos + offset, size)

    def put_snapshot(self, pos, field, value):
        offset, size = SNAPSHOT[field]
        self.put_number(pos + offset, size, value)

    def snapshot_strings(self, pos):
        """(position of the id, its length, of the name, its length)."""
        at = pos + 40 + self.snapshot(pos, "extra_size")
        id_size = self.snapshot(pos, "id_size")
        return at, id_size, at + id_size, self.snapshot(pos, "name_size")

    def snapshot_table_size(self):
        entries = self.snapshots()
        if not entries:
            return 0
        at, _, name_at, name_size = self.snapshot_strings(entries[-1])
        return round_up(name_at + name_size, 8) - entries[0]

    # -- bitmaps -------------------------------------------------------

    def bitmaps_ext(self, field):
        place = self.extension(EXT_BITMAPS)
        offset, size = BITMAPS_EXT[field]
        return self.number(place[0] + offset, size) if place else 0

    def put_bitmaps_ext(self, field, value):
        place = self.extension(EXT_BITMAPS)
        offset, size = BITMAPS_EXT[field]
        self.put_number(place[0] + offset, size, value)

    def bitmaps(self):
        """Positions of the bitmap directory's entries."""
        found = []
        pos = self.bitmaps_ext("directory_offset")
        for _ in range(self.bitmaps_ext("nb_bitmaps")):
            found.append(pos)
            length = 24 + self.bitmap(pos, "name_size") + \
                self.bitmap(pos, "extra_size")
            pos = round_up(pos + length, 8)
        return found

    def bitmap(self, pos, field):
        offset, size = BITMAP[field]
        return self.number(pos + offset, size)

    def put_bitmap(self, pos, field, value):
        offset, size = BITMAP[field]
        self.put_number(pos + offset, size, value)

    # -- places of metadata --------------------------------------------

    def tables(self):
        """{kind: [offset of each table or block of that kind]}."""
        kinds = {
            "l1": [self.l1_offset],
            "l2": [self.l2_offset(i) for i in self.l1_used()],
            "reftable": [self.reftable_offset()],
            "refblock": [e for e in self.reftable() if e],
            "snaptable": [],
            "snap-l1": [],
            "bitmap-dir": [],
            "bitmap-table": [],
        }
        if self.get("nb_snapshots"):
            kinds["snaptable"] = [self.get("snapshots_offset")]
            kinds["snap-l1"] = [self.snapshot(p, "l1_table_offset")
                                for p in self.snapshots()]
        if self.extension(EXT_BITMAPS):
            kinds["bitmap-dir"] = [self.bitmaps_ext("directory_offset")]
            kinds["bitmap-table"] = [self.bitmap(p, "table_offset")
                                     for p in self.bitmaps()]
        return kinds
