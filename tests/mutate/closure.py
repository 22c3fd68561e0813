"""Whether an image contradicts itself: what its metadata could tell.

A strict count over a guestview.View, sharing nothing with the program under
test. A damage after which the image is free of contradictions cannot be told
by anyone who has only the image: bytes that read wrong then are counted
apart. A damage that leaves nothing but few leaks looks like a killed writer.
"""

import struct

from qcow2 import COMPRESSED, COPIED, INCOMPAT_DIRTY, OFFSET_MASK, ZERO, \
    round_up

FEW = 16        # clusters that a killed writer may leave counted
L1_FLAGS = OFFSET_MASK | COPIED
V3_FLAGS = OFFSET_MASK | COPIED | ZERO
CONTRADICTED, LEAKS, NOTHING = "contradicted", "leaks", "nothing"


class Closure:
    """What is wrong with a VIEW: `errors` ([sentence]), and how many clusters
    are counted and not named (`leaks`)."""

    def __init__(self, view, counts=True):
        self.view, self.errors, self.leaks = view, [], 0
        self.packed = []            # errors that only `check --data` looks for
        self.ends_early = False     # something named lies past the end
        self.counts_are_gone = False
        if view.refusal:
            self.errors.append("QEMU refuses it: " + view.refusal)
            return
        self.names = {}         # host cluster: how many names
        self.clusters = -(-len(view.data) // view.cluster)
        self.blocks = {}
        self.seen = {}          # L2 table: how many L1 entries name it
        self.count_header()
        self.count_states()
        self.count_snapshots()
        self.count_bitmaps()
        self.look_for_doubles()
        self.look_at_sizes()
        if counts:
            self.count_blocks()
            self.compare()
            self.look_at_flags()

    def tells(self):
        if self.errors or self.packed or self.leaks >= FEW:
            return CONTRADICTED
        return LEAKS if self.leaks else NOTHING

    def error(self, what, *args):
        if len(self.errors) < 50:
            self.errors.append(what % args)

    # -- names ---------------------------------------------------------

    def name(self, offset, length, weight=1, partly=False):
        """Something names these bytes of the file; true if they are there.
        A compressed cluster's last sector may lie past the end."""
        cluster = self.view.cluster
        first, last = offset // cluster, (offset + length - 1) // cluster
        if (first if partly else last) >= self.clusters:
            self.error("%#x lies past the end", offset)
            self.ends_early = True
            return False
        for n in range(first, min(last + 1, self.clusters)):
            self.names[n] = self.names.get(n, 0) + weight
        return True

    def name_table(self, what, offset, length):
        if offset % self.view.cluster:
            self.error("%s at %#x is not aligned", what, offset)
        elif offset == 0:
            self.error("%s at 0", what)
        elif length:
            self.name(offset, length)

    def count_header(self):
        view = self.view
        self.names[0] = 1
        self.name_table("refcount table", view.reftable_at,
                        8 * view.reftable_entries)
        if view.crypto:
            self.name_table("LUKS header", *view.crypto)

    def count_states(self):
        for state in self.view.states:
            if state.l1:
                self.name_table("L1 table", state.l1_offset,
                                8 * len(state.l1))
            for word in state.l1:
                offset = word & OFFSET_MASK
                if word & ~L1_FLAGS:
                    self.error("reserved bits in an L1 entry: %#x", word)
                if offset % self.view.cluster:
                    self.error("L1 entry %#x is not aligned", word)
                elif offset:
                    self.seen[offset] = self.seen.get(offset, 0) + 1
        for offset, weight in self.seen.items():
            if self.name(offset, self.view.cluster, weight):
                for entry in self.view.table(offset).values():
                    self.count_entry(*entry, weight)

    def count_entry(self, word, bits, weight):
        view, host = self.view, word & OFFSET_MASK
        if word & COMPRESSED:
            self.count_compressed(word, bits, weight)
            return
        flags = V3_FLAGS if view.v3 and not view.extended_l2 else L1_FLAGS
        if word & ~flags:
            self.error("reserved bits in an L2 entry: %#x", word)
        there, zero = bits & 0xFFFFFFFF, bits >> 32
        named = host or view.outside and word & COPIED
        if there & zero or there and not named:
            self.error("subclusters %#x of %#x", bits, word)
        if host % view.cluster:
            self.error("L2 entry %#x is not aligned", word)
        elif view.outside:
            if host >= round_up(len(view.beside.data), view.cluster):
                self.error("L2 entry %#x is outside", word)
        elif host:
            self.name(host, view.cluster, weight)
        elif word & COPIED and not word & ZERO:
            self.error("L2 entry %#x names nothing", word)

    def count_compressed(self, word, bits, weight):
        if self.view.outside or bits or word & COPIED:
            self.error("compressed entry %#x, %#x", word, bits)
            return
        self.name(*self.view.compressed_range(word), weight, partly=True)
        if self.view.compressed(word) is None:
            self.packed.append("entry %#x does not inflate" % word)

    def count_snapshots(self):
        view, keys = self.view, set()
        if not view.snapshot_at:
            return
        first = view.snapshot_at[0][0]
        self.name_table("snapshot table", first,
                        view.snapshot_at[-1][1] - first)
        for state, (_, _, field) in zip(view.states[1:], view.snapshot_at):
            if len(state.l1) < field["l1_size"]:
                self.error("a snapshot's L1 lies past the end")
            if state.disk > view.span * field["l1_size"]:
                self.error("a snapshot's disk is larger than its L1")
            if state.key[0] in keys:    # a name may be there twice
                self.error("two snapshots' id: %r", state.key[0])
            keys.add(state.key[0])

    def count_bitmaps(self):
        view = self.view
        if not view.bitmaps:
            if view.autoclear & 1:
                self.error("a bitmaps bit and no bitmaps")
            return
        self.name_table("bitmap directory", view.bitmaps["directory_offset"],
                        view.bitmaps["directory_size"])
        for _, field in view.bitmap_at:
            self.name_table("bitmap table", field["table_offset"],
                            8 * field["table_size"])
            for word in view.words(field["table_offset"],
                                   field["table_size"]):
                if word & OFFSET_MASK:
                    self.name_table("bitmap", word & OFFSET_MASK,
                                    view.cluster)

    # -- counts --------------------------------------------------------

    def count_blocks(self):
        view, bits = self.view, 1 << self.view.refcount_order
        per_block = view.cluster * 8 // bits
        for i, word in enumerate(view.words(view.reftable_at,
                                            view.reftable_entries)):
            if word & ~OFFSET_MASK or word % view.cluster:
                self.error("refcount table entry %#x", word)
            elif word and self.name(word, view.cluster):
                self.blocks.update(refcounts(
                    view.read(word, view.cluster), bits, i * per_block))

    def compare(self):
        dirty = self.view.incompatible & INCOMPAT_DIRTY
        wrong = 0
        for n, names in self.names.items():
            count = self.blocks.get(n, 0)
            wrong += count != names
            if count < names and not dirty:
                self.error("cluster %#x: %d counted, %d names",
                           n * self.view.cluster, count, names)
        self.counts_are_gone = 2 * wrong > len(self.names)
        for n, count in self.blocks.items():
            if self.names.get(n, 0) < count and n < self.clusters:
                self.leaks += 1

    def look_at_flags(self):
        """COPIED exactly where the refcount is 1, in the active disk."""
        view = self.view
        if view.incompatible & INCOMPAT_DIRTY:
            return
        for word in view.states[0].l1:
            offset = word & OFFSET_MASK
            if not offset or offset % view.cluster:
                continue
            self.look_at_flag(word, offset)
            for entry, bits in view.table(offset).values():
                host = entry & OFFSET_MASK
                if host and not entry & COMPRESSED and not view.outside:
                    self.look_at_flag(entry, host)

    def look_at_flag(self, word, offset):
        once = self.blocks.get(offset // self.view.cluster, 0) == 1
        if bool(word & COPIED) != once:
            self.error("COPIED of %#x is wrong", word)

    def look_for_doubles(self):
        """No state of the disk names a table or a cluster twice."""
        for state in self.view.states:
            seen = set()
            for word in state.l1:
                offset = word & OFFSET_MASK
                if not offset or offset % self.view.cluster:
                    continue
                for what in [offset] + [
                        w if w & COMPRESSED else w & OFFSET_MASK
                        for w, _ in self.view.table(offset).values()]:
                    if what in seen:
                        self.error("%#x is named twice", what)
                    if what and not self.view.outside:
                        seen.add(what)

    def look_at_sizes(self):
        """Data past the end of the disk are no VM state's if no snapshot has
        one."""
        view = self.view
        for state, at in zip(view.states, [None] + view.snapshot_at):
            if any(field["vm_state_size"] for _, _, field in view.snapshot_at):
                break
            end = round_up(state.disk, view.cluster)
            if any(n * view.cluster >= end for n in view.mapped(
                    state, len(state.l1) * view.span)
                    if named(view, state, n)):
                self.error("data past the end of the disk")


def named(view, state, n):
    """Whether guest cluster N has a place in the file."""
    index, slot = divmod(n, view.l2_entries)
    word, _ = view.table(state.l1[index] & OFFSET_MASK)[slot]
    return word & COMPRESSED or word & OFFSET_MASK


def refcounts(block, bits, first):
    """{cluster: refcount} of those in a refcount block that are not 0."""
    if block.count(0) == len(block):
        return {}
    found = {}
    if bits >= 8:
        size = bits // 8
        kind = {1: "B", 2: "H", 4: "I", 8: "Q"}[size]
        for at in range(0, len(block), 512):
            piece = block[at:at + 512]
            if piece.count(0) < len(piece):
                for i, n in enumerate(struct.unpack(
                        ">%d%s" % (512 // size, kind), piece)):
                    if n:
                        found[first + at // size + i] = n
        return found
    each, mask = 8 // bits, (1 << bits) - 1
    for at, byte in enumerate(block):
        for i in range(each if byte else 0):
            if byte >> i * bits & mask:
                found[first + at * each + i] = byte >> i * bits & mask
    return found
