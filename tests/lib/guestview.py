"""What a guest reads from a qcow2 file, read as QEMU 7.2 reads it.

A reader of bytes in memory, written from the format's text and QEMU's
behaviour and sharing nothing with the program under test. Each place is read
for itself: what QEMU would no longer answer after it met a damaged entry
elsewhere is read all the same.
"""

import struct

import unpack
from qcow2 import BITMAP, BITMAPS_EXT, COMPRESSED, COPIED, EXT_BACKING_FORMAT, \
    EXT_BITMAPS, EXT_CRYPTO, EXT_DATA_FILE, EXT_END, HEADER, \
    INCOMPAT_COMPRESSION, INCOMPAT_DATA_FILE, INCOMPAT_EXTENDED_L2, \
    OFFSET_MASK, SNAPSHOT, ZERO, round_up

MAX_L1 = 32 << 20
MAX_REFTABLE = 8 << 20
MAX_SNAPSHOTS = 65536
SECTOR = 512


class Refusal(Exception):
    """QEMU would not open the file."""


def refuse_if(wrong, why):
    if wrong:
        raise Refusal(why)


class Beside:
    """The files beside an image, by the names that the image has for them."""

    def __init__(self, base_name=None, base_format=None, base=b"",
                 data_name=None, data=b""):
        self.base_name, self.base_format = base_name, base_format
        self.base, self.data_name, self.data = base, data_name, data


class State:
    """One state of the disk: key None is the active one, else (id, name)."""

    def __init__(self, key, l1_offset, l1, disk):
        self.key, self.l1_offset, self.l1, self.disk = \
            key, l1_offset, l1, disk


class View:
    """One file. `refusal`: why QEMU does not open it, or None; `away`: that
    is a file beside it, the image's own tables may be sound."""

    def __init__(self, data, beside=None):
        self.data, self.beside = data, beside or Beside()
        self.states, self.refusal, self.tables = [], None, {}
        self.away = False
        self.base, self.key, self.locked = None, None, False
        self.compression = unpack.ZLIB
        self.snapshot_at, self.bitmap_at, self.extensions = [], [], []
        try:
            self.open_header()
            self.open_extensions()
            self.open_tables()
            self.open_snapshots()
            self.open_bitmaps()
        except Refusal as why:
            self.refusal = str(why)
            self.states = []

    # -- numbers -------------------------------------------------------

    def read(self, offset, length):
        return self.data[offset:offset + length].ljust(length, b"\0")

    def number(self, offset, size):
        return int.from_bytes(self.read(offset, size), "big")

    def get(self, field):
        return self.number(*HEADER[field])

    def words(self, offset, count):
        """COUNT words; what lies past the end of the file is not given."""
        raw = self.data[offset:offset + 8 * count]
        raw += bytes(-len(raw) % 8)
        return struct.unpack(">%dQ" % (len(raw) // 8), raw)

    def validate(self, offset, count, size, most, what):
        refuse_if(count * size > most or offset % self.cluster or
                  offset + count * size >= 1 << 63, what)

    # -- opening, in QEMU's order --------------------------------------

    def open_header(self):
        refuse_if(self.read(0, 4) != b"QFI\xfb", "magic")
        self.version = self.get("version")
        refuse_if(self.version not in (2, 3), "version")
        self.cluster_bits = self.get("cluster_bits")
        refuse_if(not 9 <= self.cluster_bits <= 21, "cluster size")
        self.cluster = 1 << self.cluster_bits
        self.v3 = self.version == 3
        self.header_length = self.get("header_length") if self.v3 else 72
        refuse_if(self.v3 and not 104 <= self.header_length <= self.cluster,
                  "header length")
        self.backing_at = self.get("backing_file_offset")
        refuse_if(self.backing_at > self.cluster, "backing file offset")
        self.incompatible = self.get("incompatible_features") if self.v3 else 0
        self.autoclear = self.get("autoclear_features") if self.v3 else 0
        refuse_if(self.incompatible & ~31, "unknown feature")
        if self.v3 and self.header_length > 104:
            self.compression = self.get("compression_type")
        refuse_if(self.compression > 1 or bool(self.compression) != bool(
            self.incompatible & INCOMPAT_COMPRESSION), "compression type")
        self.extended_l2 = bool(self.incompatible & INCOMPAT_EXTENDED_L2)
        refuse_if(self.extended_l2 and self.cluster_bits < 14, "subclusters")
        self.outside = bool(self.incompatible & INCOMPAT_DATA_FILE)
        self.refcount_order = self.get("refcount_order") if self.v3 else 4
        refuse_if(self.refcount_order > 6, "refcount width")
        self.crypt = self.get("crypt_method")
        refuse_if(self.crypt not in (0, 1, 2), "encryption method")
        self.entry_size = 16 if self.extended_l2 else 8
        self.l2_entries = self.cluster // self.entry_size
        self.span = self.l2_entries * self.cluster
        self.size = self.get("size") // SECTOR * SECTOR

    def open_extensions(self):
        self.base_format, self.data_name, self.crypto = None, None, None
        self.bitmaps = None
        offset = self.header_length
        end = self.backing_at or self.cluster
        while offset < end:
            kind, length = self.number(offset, 4), self.number(offset + 4, 4)
            offset += 8
            refuse_if(offset > end or length > end - offset,
                      "extension too large")
            if kind == EXT_END:
                break
            self.extensions.append((kind, offset, length))
            self.open_extension(kind, offset, length)
            offset += round_up(length, 8)
        self.locked = self.crypt == 1       # the old method: by a password
        if self.crypt == 2:
            refuse_if(not self.crypto, "no encryption header")
            at, length = self.crypto
            luks = self.data[at:at + min(length, 1 << 22)]
            why = unpack.luks_is_odd(luks[:unpack.LUKS_BYTES].ljust(
                unpack.LUKS_BYTES, b"\0"))
            refuse_if(why, "LUKS header: %s" % why)
            self.key = unpack.unlock(luks)
            self.locked = not self.key      # without the secret who can tell

    def open_extension(self, kind, offset, length):
        if kind == EXT_BACKING_FORMAT:
            refuse_if(length >= 16, "backing format too long")
            self.base_format = self.read(offset, length).split(b"\0")[0]
        elif kind == EXT_CRYPTO:
            refuse_if(not self.crypt or length != 16, "encryption header")
            self.crypto = self.number(offset, 8), self.number(offset + 8, 8)
            refuse_if(self.crypto[0] % self.cluster, "encryption header")
        elif kind == EXT_DATA_FILE:
            self.data_name = self.read(offset, length).split(b"\0")[0]
        elif kind == EXT_BITMAPS and self.autoclear & 1:
            refuse_if(length != 24, "bitmaps extension")
            field = {n: self.number(offset + o, s)
                     for n, (o, s) in BITMAPS_EXT.items()}
            refuse_if(field["reserved"] or
                      not 0 < field["nb_bitmaps"] <= 65535 or
                      field["directory_offset"] % self.cluster or
                      field["directory_size"] > 65535 * 2048, "bitmaps")
            self.bitmaps = field

    def open_tables(self):
        clusters = self.get("refcount_table_clusters")
        refuse_if(not clusters, "no refcount table")
        self.reftable_at = self.get("refcount_table_offset")
        self.reftable_entries = clusters * self.cluster // 8
        self.validate(self.reftable_at, self.reftable_entries, 8,
                      MAX_REFTABLE, "refcount table")
        self.validate(self.get("snapshots_offset"), self.get("nb_snapshots"),
                      40, 40 * MAX_SNAPSHOTS, "snapshot table")
        l1_at, l1_size = self.get("l1_table_offset"), self.get("l1_size")
        self.validate(l1_at, l1_size, 8, MAX_L1, "L1 table")
        refuse_if(l1_size < -(-self.get("size") // self.span),
                  "L1 table too small")
        self.states = [State(None, l1_at, self.words(l1_at, l1_size),
                             self.size)]
        self.open_neighbours()
        refuse_if(self.autoclear & 2 and not self.outside, "raw data file")

    def open_neighbours(self):
        self.away = True
        if self.backing_at:
            self.open_base()
        refuse_if(self.outside and (
            not self.data_name or self.data_name != self.beside.data_name),
            "data file")
        self.away = False

    def open_base(self):
        length = self.get("backing_file_size")
        refuse_if(length > min(1023, self.cluster - self.backing_at),
                  "backing file name")
        name = self.read(self.backing_at, length).split(b"\0")[0]
        beside = self.beside
        if not name:
            return
        refuse_if(name != beside.base_name, "backing file")
        wanted = self.base_format or beside.base_format
        refuse_if(wanted not in (b"qcow2", b"raw"), "backing format")
        self.base = Raw(beside.base) if wanted == b"raw" else \
            View(beside.base)
        refuse_if(self.base.refusal, "backing file")

    def open_snapshots(self):
        pos = self.get("snapshots_offset")
        first = pos
        for _ in range(self.get("nb_snapshots")):
            field = {n: self.number(pos + o, s)
                     for n, (o, s) in SNAPSHOT.items()}
            extra = field["extra_size"]
            refuse_if(extra > 1024, "snapshot's extra data")
            at = pos + 40 + extra
            middle = at + field["id_size"]
            last = middle + field["name_size"]
            refuse_if(last - first > 64 << 20, "snapshot table")
            if pos >= len(self.data):       # zeros, from here on
                break
            disk = field["extra_disk_size"] if extra >= 16 else self.size
            l1_size = field["l1_size"]
            bad = 8 * l1_size > MAX_L1 or \
                field["l1_table_offset"] % self.cluster
            self.states.append(State(
                (self.read(at, middle - at), self.read(middle, last - middle)),
                field["l1_table_offset"], () if bad else self.words(
                    field["l1_table_offset"], l1_size), 0 if bad else disk))
            self.snapshot_at.append((pos, last, field))
            pos = round_up(last, 8)

    def open_bitmaps(self):
        if not self.bitmaps:
            return
        pos = self.bitmaps["directory_offset"]
        end = pos + self.bitmaps["directory_size"]
        refuse_if(end > round_up(len(self.data), self.cluster),
                  "bitmap directory")
        while pos < end:
            field = {n: self.number(pos + o, s)
                     for n, (o, s) in BITMAP.items()}
            last = pos + 24 + field["extra_size"] + field["name_size"]
            refuse_if(last > end or not self.bitmap_is_fit(field),
                      "bitmap directory")
            self.bitmap_at.append((pos, field))
            pos = round_up(last, 8)
        refuse_if(len(self.bitmap_at) != self.bitmaps["nb_bitmaps"],
                  "number of bitmaps")

    def bitmap_is_fit(self, field):
        return not (not field["table_size"] or not field["table_offset"] or
                    field["table_offset"] % self.cluster or
                    field["table_size"] > 0x8000000 or
                    not 0 < field["name_size"] <= 1023 or
                    field["extra_size"] or field["type"] != 1 or
                    not 9 <= field["granularity_bits"] <= 31 or
                    field["flags"] & ~3) and (
                        field["flags"] & 1 or all(
                            self.bitmap_entry_is_fit(word) for word in
                            self.words(field["table_offset"],
                                       field["table_size"])))

    def bitmap_entry_is_fit(self, word):
        offset = word & OFFSET_MASK
        return not (word & ~(OFFSET_MASK | 1) or offset % self.cluster or
                    offset and word & 1)

    # -- tables --------------------------------------------------------

    def table(self, offset):
        """{index: (word, subclusters)} of the L2 table at OFFSET."""
        if offset not in self.tables:
            raw = self.data[offset:offset + self.cluster]
            raw += bytes(-len(raw) % 16)
            found, step = {}, self.entry_size // 8
            for at in range(0, len(raw), SECTOR):
                piece = raw[at:at + SECTOR]
                if piece.count(0) == len(piece):
                    continue
                words = struct.unpack(">%dQ" % (len(piece) // 8), piece)
                for n in range(0, len(words), step):
                    bits = words[n + 1] if step == 2 else 0
                    if words[n] or bits:
                        found[at // self.entry_size + n // step] = \
                            words[n], bits
            self.tables[offset] = found
        return self.tables[offset]

    def mapped(self, state, end):
        """Guest clusters below byte END that have an entry."""
        found = set()
        last = min(len(state.l1), -(-end // self.span))
        for index, word in enumerate(state.l1[:last]):
            offset = word & OFFSET_MASK
            if offset and offset % self.cluster == 0:
                first = index * self.l2_entries
                found.update(first + n for n in self.table(offset))
        return found

    def source(self, state, n):
        """Where guest cluster N has its bytes: (host offset, subclusters),
        the same with "packed", or None if it has none in this file."""
        index, slot = divmod(n, self.l2_entries)
        word = state.l1[index] if index < len(state.l1) else 0
        offset = word & OFFSET_MASK
        if not offset or offset % self.cluster:
            return None
        word, bits = self.table(offset).get(slot, (0, 0))
        if word & COMPRESSED:
            return (*self.compressed_range(word), "packed")
        if not word & OFFSET_MASK or word & ZERO and not self.extended_l2:
            return None
        return word & OFFSET_MASK, bits

    # -- bytes ---------------------------------------------------------

    def bytes_at(self, state, n):
        """The bytes of guest cluster N; None if they cannot be read."""
        index, slot = divmod(n, self.l2_entries)
        word = state.l1[index] if index < len(state.l1) else 0
        offset = word & OFFSET_MASK
        if not offset:
            return self.below(n)
        if offset % self.cluster:
            return None
        word, bits = self.table(offset).get(slot, (0, 0))
        if word & COMPRESSED:
            return self.compressed(word)
        if self.extended_l2:
            return self.subclusters(n, word, bits)
        if word & ZERO:
            if not self.v3 or word & OFFSET_MASK & (self.cluster - 1):
                return None
            return bytes(self.cluster)
        if not word & OFFSET_MASK and not (self.outside and word & COPIED):
            return self.below(n)
        return self.host(n, word & OFFSET_MASK)

    def subclusters(self, n, word, bits):
        there, zero = bits & 0xFFFFFFFF, bits >> 32
        host = word & OFFSET_MASK
        named = host or self.outside and word & COPIED
        if there & zero or there and not named:
            return None
        size = self.cluster // 32
        own = self.host(n, host) if named else b""
        if own is None:
            return None
        if there == 0xFFFFFFFF:
            return own
        below, out = self.below(n), []
        for i in range(32):
            source = own if there >> i & 1 else below
            out.append(bytes(size) if zero >> i & 1 else
                       source[i * size:(i + 1) * size])
        return b"".join(out)

    def host(self, n, offset):
        if offset % self.cluster or self.locked:
            return None
        if self.outside:
            if offset != n * self.cluster:
                return None
            return self.beside.data[offset:offset + self.cluster].ljust(
                self.cluster, b"\0")
        data = self.read(offset, self.cluster)
        return unpack.decrypt(self.key, offset // SECTOR, data) \
            if self.key else data

    def compressed_range(self, word):
        """(host offset, length) that a compressed entry names."""
        shift = 62 - (self.cluster_bits - 8)
        offset = word & ((1 << shift) - 1) & ((1 << 56) - 1)
        sectors = word >> shift & ((1 << (62 - shift)) - 1)
        return offset, (sectors + 1) * SECTOR - offset % SECTOR

    def compressed(self, word):
        if self.outside:
            return None
        offset, length = self.compressed_range(word)
        packed = self.data[offset:offset + length]
        return unpack.unpack(packed, self.cluster, self.compression)

    def below(self, n):
        """What shows where this file has nothing."""
        if not self.base:
            return bytes(self.cluster)
        return self.base.disk(n * self.cluster, self.cluster)

    def disk(self, offset, length, state=None):
        """LENGTH bytes of a state (the active one); what cannot be read, and
        what lies past the end, are zeros."""
        state = state or self.states[0]
        out, at, end = [], offset, min(offset + length, state.disk)
        while at < end:
            n, skip = divmod(at, self.cluster)
            piece = (self.bytes_at(state, n) or bytes(self.cluster))[
                skip:skip + end - at]
            out.append(piece)
            at += len(piece)
        return b"".join(out).ljust(length, b"\0")


class Raw:
    """A raw file that is another's base."""
    refusal = None

    def __init__(self, data):
        self.data = data

    def disk(self, offset, length):
        return self.data[offset:offset + length].ljust(length, b"\0")
