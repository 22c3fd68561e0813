"""What a sound image holds: the truth that a damage is measured against.

Read before the damage, table by table and sharing nothing with the program
under test: every holder (the active disk, each snapshot by its id), which L2
tables it names, and which guest clusters have data in the file.
"""

import struct

from qcow2 import COMPRESSED, OFFSET_MASK, ZERO

SECTOR = 512


class Holder:
    def __init__(self, name, l1_offset, l1_size, disk):
        self.name, self.l1_offset, self.l1_size = name, l1_offset, l1_size
        self.disk = disk
        self.tables = {}        # L1 index: host offset of the L2 table


class Entry:
    """One L2 entry that is not zero."""

    def __init__(self, index, pos, word, bitmap):
        self.index, self.pos, self.word, self.bitmap = \
            index, pos, word, bitmap

    def is_compressed(self):
        return bool(self.word & COMPRESSED)


class Known:
    def __init__(self, image):
        self.image = image
        self.cluster = image.cluster
        self.span = image.l2_entries * image.cluster
        self.backing = bool(image.get("backing_file_offset"))
        self.holders = [Holder("active", image.l1_offset, image.l1_size,
                               image.get("size"))]
        for pos in image.snapshots():
            at, length, _, _ = image.snapshot_strings(pos)
            disk = image.snapshot(pos, "extra_disk_size") \
                if image.snapshot(pos, "extra_size") >= 16 \
                else image.get("size")
            self.holders.append(Holder(
                image.read(at, length).decode(),
                image.snapshot(pos, "l1_table_offset"),
                image.snapshot(pos, "l1_size"), disk))
        self.table = {}         # host offset: [Entry]
        for holder in self.holders:
            raw = image.read(holder.l1_offset, 8 * holder.l1_size)
            for index, word in enumerate(
                    struct.unpack(">%dQ" % (len(raw) // 8), raw)):
                if word & OFFSET_MASK:
                    holder.tables[index] = word & OFFSET_MASK
                    self.read_table(word & OFFSET_MASK)

    # -- reading -------------------------------------------------------

    def read_table(self, offset):
        if offset in self.table:
            return
        raw = self.image.read(offset, self.cluster)
        size, found = self.image.l2_entry_size, []
        for start in range(0, len(raw), SECTOR):
            sector = raw[start:start + SECTOR]
            if not any(sector):
                continue
            for at in range(0, len(sector) - size + 1, size):
                word = int.from_bytes(sector[at:at + 8], "big")
                bitmap = int.from_bytes(sector[at + 8:at + 16], "big") \
                    if size == 16 else None
                if word or bitmap:
                    found.append(Entry((start + at) // size,
                                       offset + start + at, word, bitmap))
        self.table[offset] = found

    # -- who and what --------------------------------------------------

    @property
    def active(self):
        return self.holders[0]

    @property
    def snapshots(self):
        return self.holders[1:]

    def has_data(self, entry):
        """Whether the guest loses anything when this entry goes."""
        if entry.is_compressed():
            return True
        if entry.bitmap is not None:
            return bool(entry.word & OFFSET_MASK) and \
                bool(entry.bitmap & 0xFFFFFFFF)
        return bool(entry.word & OFFSET_MASK) and not entry.word & ZERO

    def data(self, offset):
        return [e for e in self.table[offset] if self.has_data(e)]

    def normal(self, offset):
        return [e for e in self.data(offset) if not e.is_compressed()]

    def host_clusters(self, entry):
        """The numbers of the host clusters that an entry takes."""
        if entry.is_compressed():
            at, length = self.image.compressed_range(entry.word)
        elif entry.word & OFFSET_MASK:
            at, length = entry.word & OFFSET_MASK, self.cluster
        else:
            return set()
        return set(range(at // self.cluster,
                         (at + length - 1) // self.cluster + 1))

    def users(self, offset):
        """[(holder, L1 index)] of the L2 table at OFFSET."""
        return [(h, i) for h in self.holders
                for i, t in h.tables.items() if t == offset]

    def active_tables(self, wanted=1):
        """Tables within the active disk that map at least WANTED clusters."""
        last = -(-self.active.disk // self.span)
        return [t for i, t in sorted(self.active.tables.items())
                if i < last and len(self.data(t)) >= wanted]

    def all_tables(self, wanted=1):
        return [t for t in sorted(self.table) if len(self.data(t)) >= wanted
                and any(i * self.span < h.disk for h, i in self.users(t))]

    # -- losses --------------------------------------------------------

    def guest(self, l1_index, index, count=1):
        return l1_index * self.span + index * self.cluster, \
            count * self.cluster

    def loss_of(self, offset, entries=None):
        """What all holders lose when ENTRIES (all) of a table are gone."""
        lost = []
        for holder, l1_index in self.users(offset):
            for e in self.data(offset) if entries is None else entries:
                lost.append((holder.name, *self.guest(l1_index, e.index)))
        return self.clip(lost)

    def span_of(self, offset):
        """The whole range that a table maps, for every holder."""
        return self.clip([(h.name, i * self.span, self.span)
                          for h, i in self.users(offset)])

    def loss_of_l1(self, holder, indices=None):
        """What HOLDER loses when these entries of its L1 table are gone."""
        lost = []
        for i, t in holder.tables.items():
            if indices is None or i in indices:
                lost += [(holder.name, *self.guest(i, e.index))
                         for e in self.data(t)]
        return self.clip(lost)

    def clip(self, ranges):
        """Cut at the holders' disks: VM state is no part of a disk."""
        disk = {h.name: h.disk for h in self.holders}
        cut = [(n, a, min(l, disk[n] - a)) for n, a, l in ranges
               if a < disk[n]]
        return merge(cut)

    def clusters_of(self, offset, entries=None):
        """Host clusters of the data of a table."""
        found = set()
        for e in self.data(offset) if entries is None else entries:
            found |= self.host_clusters(e)
        return found


def merge(ranges):
    out = []
    for name, at, length in sorted(ranges):
        if out and out[-1][0] == name and out[-1][1] + out[-1][2] >= at:
            last = out.pop()
            length = max(last[1] + last[2], at + length) - last[1]
            at = last[1]
        out.append((name, at, length))
    return out


def uncovered(inner, outer):
    """Those of INNER that do not lie within OUTER."""
    outer = merge(outer)
    return [r for r in merge(inner)
            if not any(o[0] == r[0] and o[1] <= r[1] and
                       o[1] + o[2] >= r[1] + r[2] for o in outer)]


def text(ranges):
    return " ".join("%s:%#x+%#x" % r for r in ranges[:6]) + \
        (" ..." if len(ranges) > 6 else "")
