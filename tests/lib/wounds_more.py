"""Wounds to snapshots, to ownership, to the file, the header and payload."""

import struct

from known import SECTOR
from qcow2 import COPIED, OFFSET_MASK, round_up
from wounds import CORRUPT, Expect, content, gone, gone_l1, l1_places, wound

# -- snapshots ---------------------------------------------------------


def forgotten(known, holders):
    return [(h.name, *r) for h in holders
            for r in [(a, l) for _, a, l in known.loss_of_l1(h)]]


def forget(image, known, said, holders, names, places):
    lost = forgotten(known, holders)
    if not lost:
        return None
    return Expect(said, names, places=places, lost=lost, withheld=True,
                  bound=[(h.name, 0, max(h.disk, known.active.disk))
                         for h in holders],
                  keep={t // known.cluster for h in holders
                        for t in h.tables.values()})


@wound("snap-count-zeroed", needs="snapshots")
def count_zeroed(image, known, rng):
    at = image.get("snapshots_offset")
    image.put("nb_snapshots", 0)
    return forget(image, known, "snapshot count is zeroed", known.snapshots,
                  {"snapshot-table-orphaned"}, [(at, known.cluster), (60, 4)])


@wound("snap-count-halved", needs="snapshots")
def count_halved(image, known, rng):
    if len(known.snapshots) < 2:
        return None
    left = len(known.snapshots) // 2
    image.put("nb_snapshots", left)
    return forget(image, known, "snapshot count becomes %d" % left,
                  known.snapshots[left:], {"snapshot-table-orphaned"},
                  [(image.get("snapshots_offset"), known.cluster), (60, 4)])


@wound("snap-pointer-zeroed", needs="snapshots")
def pointer_zeroed(image, known, rng):
    at = image.get("snapshots_offset")
    image.put("snapshots_offset", 0)
    return forget(image, known, "snapshot table pointer is zeroed",
                  known.snapshots, {"snapshot-table-orphaned"},
                  [(at, known.cluster), (64, 8), (60, 4)])


@wound("snap-both-zeroed", needs="snapshots")
def both_zeroed(image, known, rng):
    at = image.get("snapshots_offset")
    # a tool that is killed before it tells the header leaves just this
    if len(known.snapshots) == 1 and \
            known.snapshots[0].tables == known.active.tables:
        return None
    image.put("snapshots_offset", 0)
    image.put("nb_snapshots", 0)
    return forget(image, known, "snapshot table pointer and count are zeroed",
                  known.snapshots, {"snapshot-table-orphaned"},
                  [(at, known.cluster), (64, 8), (60, 4)])


@wound("snap-table-text", "text", needs="snapshots")
@wound("snap-table-random", "random", needs="snapshots")
@wound("snap-table-zeroed", "zeros", needs="snapshots")
def bad_table(image, known, rng, kind):
    at = image.get("snapshots_offset")
    data, _ = content(image, rng, kind, known.cluster)
    image.write(at, data)
    return Expect("snapshot table at %#x becomes %s" % (at, kind),
                  {"snapshot-entry-garbled", "snapshot-table-cut",
                   "snapshot-l1-unaligned", "snapshot-l1-size",
                   "snapshot-l1-outside", "snapshot-id-empty",
                   "snapshot-table-orphaned", "snapshot-table-lost"},
                  places=[(at, known.cluster), (60, 12)],
                  withheld=any(known.loss_of_l1(h) for h in known.snapshots),
                  keep={t // known.cluster for h in known.snapshots
                        for t in h.tables.values()})


SNAPSHOT_FIELDS = {
    "snap-l1-unaligned": ("l1_table_offset", lambda v, k: v + 8,
                          {"snapshot-l1-unaligned"}, True),
    "snap-l1-outside": ("l1_table_offset", lambda v, k: k.cluster << 26,
                        {"snapshot-l1-outside"}, True),
    "snap-l1-huge": ("l1_size", lambda v, k: 0x7FFFFFFF,
                     {"snapshot-l1-size"}, True),
    "snap-disk-huge": ("extra_disk_size", lambda v, k: 1 << 62,
                       {"snapshot-disk-size"}, False),
    "snap-vm-state-huge": ("extra_vm_state_size", lambda v, k: 1 << 62,
                           {"snapshot-vm-state"}, False),
}


def snapshot_field(image, known, rng, field, change, names, loses):
    n = rng.randrange(len(known.snapshots))
    holder, pos = known.snapshots[n], image.snapshots()[n]
    if field.startswith("extra") and image.snapshot(pos, "extra_size") < 16:
        return None
    image.put_snapshot(pos, field, change(image.snapshot(pos, field), known))
    lost = known.loss_of_l1(holder) if loses else []
    return Expect("%s of snapshot %s changes" % (field, holder.name), names,
                  places=[(pos, 40)], lost=lost, withheld=bool(lost),
                  bound=[(holder.name, 0, 1 << 62)],
                  keep={t // known.cluster for t in holder.tables.values()})


for _name, _fields in SNAPSHOT_FIELDS.items():
    wound(_name, *_fields, needs="snapshots")(snapshot_field)


@wound("snap-same-id", needs="snapshots")
def same_id(image, known, rng):
    if len(known.snapshots) < 2:
        return None
    one, two = rng.sample(image.snapshots(), 2)
    a, length, _, _ = image.snapshot_strings(one)
    b, other, _, _ = image.snapshot_strings(two)
    if length != other:
        return None
    image.write(b, image.read(a, length))
    return Expect("two snapshots have one id", {"snapshot-id-twice"},
                  places=[(one, 60), (two, 60)], bound=[])


# -- two owners --------------------------------------------------------

def two_entries(known, rng):
    """Two normal entries of the active disk, in any tables."""
    found = [(t, e) for t in known.active_tables() for e in known.normal(t)]
    return rng.sample(found, 2) if len(found) > 1 else None


@wound("double-data")
def double_data(image, known, rng):
    pair = two_entries(known, rng)
    if not pair:
        return None
    (ta, a), (tb, b) = pair
    image.put64(a.pos, b.word)
    return double(image, known, ta, a, b.word & OFFSET_MASK, "entry at %#x "
                  "points to the data of the one at %#x" % (a.pos, b.pos),
                  {"cluster-shared-data"}, known.loss_of(ta, [a]) +
                  sharers(known, b))


def sharers(known, entry):
    """All that names the host cluster of ENTRY, in whatever table."""
    lost = []
    for table in known.table:
        lost += known.loss_of(table, [
            e for e in known.normal(table)
            if (e.word ^ entry.word) & OFFSET_MASK == 0])
    return lost


@wound("double-data-blessed")
def double_blessed(image, known, rng):
    pair = two_entries(known, rng)
    if not pair or image.refcount_max() < 2:
        return None
    (ta, a), (tb, b) = pair
    old, new = a.word & OFFSET_MASK, b.word & OFFSET_MASK
    if image.refcount(old // known.cluster) != 1 or \
            image.refcount(new // known.cluster) != 1 or \
            len(known.users(ta)) > 1 or len(known.users(tb)) > 1:
        return None
    image.put64(a.pos, b.word & ~COPIED)
    image.put64(b.pos, b.word & ~COPIED)
    image.set_refcount(new // known.cluster, 2)
    image.set_refcount(old // known.cluster, 0)
    want = double(image, known, ta, a, new, "entries at %#x and %#x share "
                  "%#x with refcount 2" % (a.pos, b.pos, new),
                  {"cluster-shared-data"}, known.loss_of(ta, [a]) +
                  known.loss_of(tb, [b]))
    want.keep, want.withheld = set(), False
    return want


def double(image, known, table, entry, target, said, names, bound,
           **more):
    return Expect(said, names, places=[(target, known.cluster)],
                  lost=known.loss_of(table, [entry]), bound=bound,
                  withheld=True, keep=known.host_clusters(entry), **more)


META = ("l1", "l2", "reftable", "refblock", "snaptable", "snap-l1",
        "bitmap-dir", "bitmap-table")


@wound("double-metadata")
def double_metadata(image, known, rng):
    tables = image.tables()
    tables["header"] = [0]
    kind = rng.choice([k for k in tables if tables[k] and k != "header"])
    target = rng.choice(tables[kind])
    found = [(t, e) for t in known.active_tables() for e in known.normal(t)]
    if not found:
        return None
    table, entry = rng.choice(found)
    image.put64(entry.pos, entry.word & ~OFFSET_MASK | target)
    return double(image, known, table, entry, target, "entry at %#x points "
                  "to the %s at %#x" % (entry.pos, kind, target),
                  {"cluster-shared-metadata", "refblock-shared"},
                  known.loss_of(table, [entry]))


@wound("double-metadata-blessed")
def double_metadata_blessed(image, known, rng):
    if image.refcount_max() < 2:
        return None
    want = double_metadata(image, known, rng)
    if not want:
        return None
    target = want.places[0][0] // known.cluster
    image.set_refcount(target, image.refcount(target) + 1)
    for host in want.keep:
        image.set_refcount(host, max(0, image.refcount(host) - 1))
    want.keep, want.withheld = set(), False
    want.said += ", refcount raised"
    return want


@wound("double-l2")
def double_l2(image, known, rng):
    used = [i for i, t in known.active.tables.items() if known.data(t) and
            i * known.span < known.active.disk]
    if len(used) < 2:
        return None
    a, b = rng.sample(used, 2)
    ta, tb = known.active.tables[a], known.active.tables[b]
    image.put64(known.active.l1_offset + 8 * a,
                image.u64(known.active.l1_offset + 8 * b))
    return Expect("L1 entries %d and %d both name the table at %#x" % (
        a, b, tb), {"l2-table-shared", "cluster-shared-data"},
        places=[(tb, known.cluster)],
        lost=known.clip([r for r in known.loss_of(ta) if r[0] == "active"]),
        bound=known.clip([("active", i * known.span, known.span)
                          for i in (a, b)] + known.loss_of(tb)),
        withheld=True, keep=known.clusters_of(ta) | {ta // known.cluster})


# -- the file and its header -------------------------------------------

@wound("file-cut")
def cut(image, known, rng):
    """Truncated anywhere behind the first clusters."""
    low = max(4 * known.cluster, image.reftable_offset() + 1)
    high = image.file_size()
    if high - low < 2 * known.cluster:
        return None
    size = rng.randrange(low, high - known.cluster)
    gone_from = round_up(size, known.cluster)
    lost = []
    for table in known.table:
        if table >= gone_from:
            lost += known.loss_of(table)
        else:
            past = [e for e in known.normal(table)
                    if e.word & OFFSET_MASK >= gone_from]
            lost += known.loss_of(table, past)
    # whose table of snapshots is gone, nobody can name them
    if known.snapshots and image.get("snapshots_offset") + \
            image.snapshot_table_size() > size:
        lost = [r for r in lost if r[0] == "active"]
    if not lost:
        return None
    image.truncate(size)
    return Expect("the file is cut at %#x" % size, {
        "l2-entry-outside", "l1-entry-outside", "header-l1-outside",
        "snapshot-l1-outside", "reftable-entry-outside"}, lost=lost,
        stories=["truncated"])


@wound("disk-shrunk")
def shrunk(image, known, rng):
    """The size in the header is smaller than it was."""
    mapped = [(a, l) for _, a, l in known.loss_of_l1(known.active)]
    end = max((a + l for a, l in mapped), default=0)
    if end < 2 * known.cluster or known.snapshots:
        return None
    size = rng.randrange(1, end // SECTOR) * SECTOR
    image.put("size", size)
    behind = [("active", max(a, round_up(size, known.cluster)), a + l)
              for a, l in mapped if a + l > round_up(size, known.cluster)]
    if not behind:
        return None
    return Expect("the disk's size becomes %d" % size,
                  {"data-beyond-disk"}, places=[(24, 8)],
                  lost=[(n, a, e - a) for n, a, e in behind],
                  keep=set().union(*[known.clusters_of(t)
                                     for t in known.table]))


@wound("packed-flipped", needs="packed")
def flipped(image, known, rng):
    found = [(t, e) for t in known.table for e in known.data(t)
             if e.is_compressed()]
    if not found:
        return None
    table, entry = rng.choice(found)
    at, _ = image.compressed_range(entry.word)
    image.write(at, bytes(b ^ 0xFF for b in image.read(at, 8)))
    return Expect("compressed bytes at %#x are flipped" % at,
                  {"compressed-damaged", "compressed-length"},
                  places=[(at // known.cluster * known.cluster,
                           2 * known.cluster)],
                  lost=known.loss_of(table, [entry]), bound=same_bytes(
                      known, at, 8), options=["--data"])


def same_bytes(known, at, length):
    """All that has compressed bytes there."""
    lost = []
    for table in known.table:
        for e in known.data(table):
            if not e.is_compressed():
                continue
            first, size = known.image.compressed_range(e.word)
            if first < at + length and at < first + size:
                lost += known.loss_of(table, [e])
    return lost


# -- bitmaps -----------------------------------------------------------

BITMAP_FIELDS = {
    "bitmap-in-use": ("flags", lambda v, k: v | 1, {"bitmap-in-use"}, {0}),
    "bitmap-granularity": ("granularity_bits", lambda v, k: 63,
                           {"bitmap-directory"}, CORRUPT),
    "bitmap-granularity-off": ("granularity_bits",
                               lambda v, k: v + 12,
                               {"bitmap-size", "bitmap-directory"}, None),
    "bitmap-table-outside": ("table_offset", lambda v, k: k.cluster << 26,
                             {"bitmap-table"}, CORRUPT),
    "bitmap-table-unaligned": ("table_offset", lambda v, k: v + 8,
                               {"bitmap-table"}, CORRUPT),
    "bitmap-reserved": ("flags", lambda v, k: v | 1 << 20,
                        {"bitmap-directory"}, CORRUPT),
}


def bitmap_field(image, known, rng, field, change, names, codes):
    entries = image.bitmaps()
    pos = rng.choice(entries)
    old = image.bitmap(pos, field)
    if field == "granularity_bits" and codes is None:
        # told only if the table would have another length
        bits = change(old, known)
        size = known.active.disk // SECTOR * SECTOR
        need = -(-(-(-(-(-size >> bits)) // 8)) // known.cluster)
        codes = CORRUPT
        if need == image.bitmap(pos, "table_size") and bits < 32:
            return None
    image.put_bitmap(pos, field, change(old, known))
    return Expect("%s of the bitmap entry at %#x changes" % (field, pos),
                  names, places=[(pos, 24)], bound=[], codes=codes)


for _name, _fields in BITMAP_FIELDS.items():
    wound(_name, *_fields, needs="bitmaps")(bitmap_field)


@wound("bitmap-same-name", needs="bitmaps")
def same_name(image, known, rng):
    entries = image.bitmaps()
    if len(entries) < 2:
        return None
    names = [(p + 24 + image.bitmap(p, "extra_size"),
              image.bitmap(p, "name_size")) for p in entries]
    image.write(names[1][0], image.read(*names[0]))
    return Expect("two bitmaps have one name", {"bitmap-name-twice"},
                  places=[(entries[1], 40)], bound=[])


@wound("bitmap-bit-off", needs="bitmaps")
def bit_off(image, known, rng):
    image.put("autoclear_features", 0)
    return Expect("the bitmaps' autoclear bit is off", {"bitmaps-stale"},
                  bound=[], codes={0, 3})


# -- encryption --------------------------------------------------------

@wound("luks-magic", needs="LUKS")
def luks_magic(image, known, rng):
    place = image.extension(0x0537BE77)
    image.write(image.u64(place[0]), b"NOPE")
    return Expect("the LUKS magic is overwritten", {"luks-header"},
                  places=[(image.u64(place[0]), 592)])


@wound("luks-slot", needs="LUKS")
def luks_slot(image, known, rng):
    place = image.extension(0x0537BE77)
    at = image.u64(place[0]) + 208      # the first key slot
    struct.pack(">I", 0)
    image.write(at, b"\x12\x34\x56\x78")
    return Expect("the first key slot's state is damaged", {"luks-key-slot",
                                                            "luks-header"},
                  places=[(at - 208, 592)])


__all__ = ["gone_l1", "l1_places", "META", "gone"]
