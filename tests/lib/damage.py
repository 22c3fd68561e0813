"""Damage by stated edits: one function a kind, seeded, deterministic.

Each takes an open qcow2.Image and a random.Random and returns a sentence that
says what was changed, or None when the image has no such structure.
"""

from qcow2 import COMPRESSED, COPIED, INCOMPAT_EXTENDED_L2, OFFSET_MASK, \
    ZERO, round_up

DAMAGES = {}


def damage(name, *fixed):
    def keep(function):
        DAMAGES[name] = lambda image, rng: function(image, rng, *fixed)
        return function
    return keep


# -- contents to fill with ---------------------------------------------

TEXT = b"The quick brown fox jumps over the lazy dog, and fsck looks on.\n"


def content(image, rng, kind, length):
    if kind == "zero":
        return bytes(length)
    if kind == "ones":
        return b"\xff" * length
    if kind == "random":
        return rng.randbytes(length)
    if kind == "text":
        return (TEXT * (length // len(TEXT) + 1))[:length]
    tables = image.tables().get(kind)
    if not tables:
        return None
    return image.read(tables[-1], length).ljust(length, b"\0")


def table_length(image, kind):
    if kind == "l1":
        return 8 * image.l1_size
    if kind == "snaptable":
        return image.snapshot_table_size()
    if kind == "snap-l1":
        return 8 * image.snapshot(image.snapshots()[0], "l1_size")
    if kind == "bitmap-dir":
        return image.bitmaps_ext("directory_size")
    if kind == "bitmap-table":
        return 8 * image.bitmap(image.bitmaps()[0], "table_size")
    return image.cluster


def fill(image, rng, kind, what):
    offsets = image.tables()[kind]
    if not offsets:
        return None
    offset = offsets[0] if kind in ("snap-l1", "bitmap-table") \
        else rng.choice(offsets)
    length = table_length(image, kind)
    data = content(image, rng, what, length)
    if not data or data == image.read(offset, length):
        return None
    image.write(offset, data)
    return "%s at %#x, %d bytes, filled with %s" % (kind, offset, length, what)


for _kind, _contents in {
        "l2": ("zero", "ones", "random", "text", "refblock", "l1", "reftable"),
        "l1": ("zero", "random", "text", "l2", "refblock"),
        "refblock": ("zero", "ones", "random", "text", "l2"),
        "reftable": ("zero", "random", "text", "l2"),
        "snaptable": ("zero", "random", "text"),
        "snap-l1": ("zero", "random", "text"),
        "bitmap-dir": ("zero", "random", "text"),
        "bitmap-table": ("zero", "random", "text")}.items():
    for _what in _contents:
        damage("fill-%s-%s" % (_kind, _what), _kind, _what)(fill)


# -- header ------------------------------------------------------------

HEADER_EDITS = {
    "hdr-magic": ("magic", lambda v, i: v ^ 0x100),
    "hdr-version-0": ("version", lambda v, i: 0),
    "hdr-version-4": ("version", lambda v, i: 4),
    "hdr-cluster-bits-0": ("cluster_bits", lambda v, i: 0),
    "hdr-cluster-bits-63": ("cluster_bits", lambda v, i: 63),
    "hdr-cluster-bits-more": ("cluster_bits", lambda v, i: v + 1),
    "hdr-cluster-bits-less": ("cluster_bits", lambda v, i: v - 1),
    "hdr-size-shrunk": ("size", lambda v, i: v // 2),
    "hdr-size-grown": ("size", lambda v, i: v + (1 << 40)),
    "hdr-size-zero": ("size", lambda v, i: 0),
    "hdr-size-max": ("size", lambda v, i: (1 << 64) - 512),
    "hdr-crypt-method-3": ("crypt_method", lambda v, i: 3),
    "hdr-l1-size-less": ("l1_size", lambda v, i: v - 1 if v else None),
    "hdr-l1-size-more": ("l1_size", lambda v, i: v + 1),
    "hdr-l1-size-4g": ("l1_size", lambda v, i: 0x20000000),
    "hdr-l1-unaligned": ("l1_table_offset", lambda v, i: v + 8),
    "hdr-l1-beyond": ("l1_table_offset", lambda v, i: i.cluster << 24),
    "hdr-l1-zero": ("l1_table_offset", lambda v, i: 0),
    "hdr-l1-moved": ("l1_table_offset", lambda v, i: v + i.cluster),
    "hdr-l1-huge": ("l1_table_offset", lambda v, i: (1 << 64) - i.cluster),
    "hdr-rt-unaligned": ("refcount_table_offset", lambda v, i: v + 8),
    "hdr-rt-beyond": ("refcount_table_offset", lambda v, i: i.cluster << 24),
    "hdr-rt-moved": ("refcount_table_offset", lambda v, i: v + i.cluster),
    "hdr-rt-zero": ("refcount_table_offset", lambda v, i: 0),
    "hdr-rt-clusters-0": ("refcount_table_clusters", lambda v, i: 0),
    "hdr-rt-clusters-more": ("refcount_table_clusters", lambda v, i: v + 1),
    "hdr-rt-clusters-huge": ("refcount_table_clusters", lambda v, i: 1 << 31),
    "hdr-snap-count-zero":
        ("nb_snapshots", lambda v, i: 0 if v else None),
    "hdr-snap-count-less":
        ("nb_snapshots", lambda v, i: v - 1 if v > 1 else None),
    "hdr-snap-count-more":
        ("nb_snapshots", lambda v, i: v + 1 if v else None),
    "hdr-snap-count-max": ("nb_snapshots", lambda v, i: 0xFFFFFFFF),
    "hdr-snap-unaligned":
        ("snapshots_offset", lambda v, i: v + 8 if v else None),
    "hdr-snap-beyond":
        ("snapshots_offset", lambda v, i: i.cluster << 24 if v else None),
    "hdr-snap-zero": ("snapshots_offset", lambda v, i: 0 if v else None),
    "hdr-backing-size-max":
        ("backing_file_size", lambda v, i: 0xFFFFFFFF if v else None),
    "hdr-backing-size-2000":
        ("backing_file_size", lambda v, i: 2000 if v else None),
    "hdr-backing-beyond":
        ("backing_file_offset", lambda v, i: 1 << 40 if v else None),
}
HEADER_EDITS_V3 = {
    "hdr-dirty": ("incompatible_features", lambda v, i: v | 1),
    "hdr-corrupt": ("incompatible_features", lambda v, i: v | 2),
    "hdr-incompat-unknown":
        ("incompatible_features", lambda v, i: v | 1 << 40),
    "hdr-compat-unknown": ("compatible_features", lambda v, i: v | 1 << 40),
    "hdr-autoclear-unknown": ("autoclear_features", lambda v, i: v | 1 << 40),
    "hdr-autoclear-no-bitmaps":
        ("autoclear_features", lambda v, i: 0 if v & 1 else None),
    "hdr-autoclear-bitmaps":
        ("autoclear_features", lambda v, i: None if v & 1 else v | 1),
    "hdr-refcount-order-7": ("refcount_order", lambda v, i: 7),
    "hdr-refcount-order-more":
        ("refcount_order", lambda v, i: v + 1 if v < 6 else None),
    "hdr-refcount-order-less":
        ("refcount_order", lambda v, i: v - 1 if v else None),
    "hdr-length-0": ("header_length", lambda v, i: 0),
    "hdr-length-100": ("header_length", lambda v, i: 100),
    "hdr-length-huge": ("header_length", lambda v, i: 1 << 31),
    "hdr-length-odd": ("header_length", lambda v, i: v + 1),
    "hdr-compression-9": ("compression_type", lambda v, i: 9),
    "hdr-no-extl2": ("incompatible_features", lambda v, i:
                     v & ~INCOMPAT_EXTENDED_L2 if i.extended_l2 else None),
}


def edit_header(image, rng, field, change):
    old = image.get(field)
    new = change(old, image)
    if new is None or new == old:
        return None
    image.put(field, new)
    return "header %s: %#x becomes %#x" % (field, old, new)


def edit_header_v3(image, rng, field, change):
    return edit_header(image, rng, field, change) if image.v3 else None


for _name, _edit in HEADER_EDITS.items():
    damage(_name, *_edit)(edit_header)
for _name, _edit in HEADER_EDITS_V3.items():
    damage(_name, *_edit)(edit_header_v3)


# -- refcount table and blocks -----------------------------------------

RT_EDITS = {
    "rt-entry-zero": lambda v, i: 0,
    "rt-entry-unaligned": lambda v, i: v + 512 if i.cluster > 512 else None,
    "rt-entry-reserved": lambda v, i: v | 1,
    "rt-entry-beyond": lambda v, i: i.cluster << 20,
    "rt-entry-huge": lambda v, i: 0x7FFFFFFFFFFFFE00 & ~(i.cluster - 1),
    "rt-entry-header": lambda v, i: 0x200 if i.cluster == 512 else None,
    "rt-entry-l1": lambda v, i: i.l1_offset,
    "rt-entry-self": lambda v, i: i.reftable_offset(),
}


def edit_reftable(image, rng, change):
    used = image.reftable_used()
    index = rng.choice(used)
    pos = image.reftable_offset() + 8 * index
    old = image.u64(pos)
    new = change(old, image)
    if new is None or new == old:
        return None
    image.put64(pos, new)
    return "refcount table entry %d: %#x becomes %#x" % (index, old, new)


for _name, _edit in RT_EDITS.items():
    damage(_name, _edit)(edit_reftable)


@damage("rt-entry-duplicate")
def duplicate_reftable_entry(image, rng):
    table = image.reftable()
    free = [i for i, e in enumerate(table) if not e]
    if not free:
        return None
    used = image.reftable_used()[0]
    image.put64(image.reftable_offset() + 8 * free[0], table[used])
    return "refcount table entry %d names block %d's cluster" % (
        free[0], used)


def edit_refcount(image, rng, change):
    used = image.used_clusters()
    cluster = rng.choice(used)
    old = image.refcount(cluster)
    new = change(old, image.refcount_max(), rng)
    if new == old or not 0 <= new <= image.refcount_max():
        return None
    image.set_refcount(cluster, new)
    return "refcount of cluster %d: %d becomes %d" % (cluster, old, new)


REFCOUNT_EDITS = {
    "ref-plus-one": lambda v, most, rng: v + 1,
    "ref-minus-one": lambda v, most, rng: v - 1,
    "ref-zero": lambda v, most, rng: 0,
    "ref-max": lambda v, most, rng: most,
    "ref-random": lambda v, most, rng: rng.randint(0, most),
}
for _name, _edit in REFCOUNT_EDITS.items():
    damage(_name, _edit)(edit_refcount)


@damage("ref-leak")
def leak(image, rng):
    free = image.free_clusters()
    end = image.file_size() // image.cluster
    if not free:
        image.truncate((end + 4) * image.cluster)
        free = image.free_clusters()
    if not free:
        return None
    chosen = sorted(rng.sample(free, min(len(free), 3)))
    for cluster in chosen:
        image.set_refcount(cluster, 1)
    return "free clusters %s are given refcount 1" % chosen


@damage("ref-many")
def many_refcounts(image, rng):
    used = image.used_clusters()
    for cluster in rng.sample(used, max(1, len(used) // 3)):
        image.set_refcount(cluster, rng.randint(0, min(3,
                                                       image.refcount_max())))
    return "a third of the refcounts are random 0..3"


@damage("ref-metadata-zero")
def metadata_refcount(image, rng):
    tables = image.tables()
    kind = rng.choice([k for k in tables if tables[k]])
    cluster = tables[kind][0] // image.cluster
    if not image.refcount(cluster):
        return None
    image.set_refcount(cluster, 0)
    return "refcount of the %s at cluster %d becomes 0" % (kind, cluster)


# -- L1 and L2 entries -------------------------------------------------

def other_data(image, rng, entry):
    """The host offset of another normal cluster, or None."""
    found = [e & OFFSET_MASK for _, _, e in image.normal_entries()
             if e & OFFSET_MASK != entry & OFFSET_MASK]
    return rng.choice(found) if found else None


POINTER_EDITS = {
    "copied-toggle": lambda v, i, r: v ^ COPIED,
    "reserved-high": lambda v, i, r: v | 1 << 57,
    "reserved-low": lambda v, i, r: v | 1 << 3,
    "unaligned": lambda v, i, r: v + 512 if i.cluster > 512 else None,
    "zero": lambda v, i, r: 0,
    "beyond": lambda v, i, r: v & COPIED | i.cluster << 24,
    "huge": lambda v, i, r: v | 0x00FFFFFFFFFFFE00 & ~(i.cluster - 1),
    "just-past-end": lambda v, i, r: v & COPIED | i.clusters() * i.cluster,
    "to-l1": lambda v, i, r: v & COPIED | i.l1_offset,
    "to-l2": lambda v, i, r: v & COPIED | i.l2_offset(i.l1_used()[-1]),
    "to-refblock": lambda v, i, r: v & COPIED | i.tables()["refblock"][0],
    "to-reftable": lambda v, i, r: v & COPIED | i.reftable_offset(),
    "bitflip": lambda v, i, r: v ^ 1 << r.randrange(64),
    "random": lambda v, i, r: r.getrandbits(64),
}


def edit_l1(image, rng, change):
    used = image.l1_used()
    if not used:
        return None
    index = rng.choice(used)
    old = image.u64(image.l1_pos(index))
    new = change(old, image, rng)
    if new is None or new == old:
        return None
    image.put64(image.l1_pos(index), new)
    return "L1 entry %d: %#x becomes %#x" % (index, old, new)


def edit_l2(image, rng, change):
    found = image.normal_entries()
    if not found:
        return None
    guest, pos, old = rng.choice(found)
    new = change(old, image, rng)
    if new is None or new == old:
        return None
    image.put64(pos, new)
    return "L2 entry of guest cluster %d at %#x: %#x becomes %#x" % (
        guest, pos, old, new)


for _name, _edit in POINTER_EDITS.items():
    damage("l1-" + _name, _edit)(edit_l1)
    damage("l2-" + _name, _edit)(edit_l2)

L2_EDITS = {
    "l2-zero-flag": lambda v, i, r: v ^ ZERO,
    "l2-compressed-flag": lambda v, i, r: v ^ COMPRESSED,
    "l2-to-header": lambda v, i, r:
        v & COPIED if not v & ZERO else None,
    "l2-to-data": lambda v, i, r:
        (lambda o: o and v & COPIED | o)(other_data(i, r, v)),
}
for _name, _edit in L2_EDITS.items():
    damage(_name, _edit)(edit_l2)


def edit_snapshot_l1(image, rng, change):
    entries = image.snapshots()
    if not entries:
        return None
    chosen = rng.choice(entries)
    base = image.snapshot(chosen, "l1_table_offset")
    used = [n for n in range(image.snapshot(chosen, "l1_size"))
            if image.u64(base + 8 * n)]
    if not used or not image.l1_used():
        return None
    pos = base + 8 * rng.choice(used)
    old = image.u64(pos)
    new = change(old, image, rng)
    if new is None or new == old:
        return None
    image.put64(pos, new)
    return "snapshot's L1 entry at %#x: %#x becomes %#x" % (pos, old, new)


for _name in ("copied-toggle", "reserved-low", "unaligned", "zero", "beyond",
              "to-refblock", "to-l2"):
    damage("snap-l1-" + _name, POINTER_EDITS[_name])(edit_snapshot_l1)


@damage("l1-swap")
def swap_l1(image, rng):
    used = image.l1_used()
    if len(used) < 2:
        return None
    a, b = rng.sample(used, 2)
    one, two = image.u64(image.l1_pos(a)), image.u64(image.l1_pos(b))
    image.put64(image.l1_pos(a), two)
    image.put64(image.l1_pos(b), one)
    return "L1 entries %d and %d are swapped" % (a, b)


@damage("l1-duplicate")
def duplicate_l1(image, rng):
    used = image.l1_used()
    others = [n for n in range(image.l1_size) if n != used[0]] if used else []
    if not others:
        return None
    index = rng.choice(others)
    image.put64(image.l1_pos(index), image.u64(image.l1_pos(used[0])))
    return "L1 entry %d is a copy of entry %d" % (index, used[0])


@damage("l2-duplicate-blessed")
def duplicate_blessed(image, rng):
    """Two guest clusters share a host cluster and the refcount agrees."""
    found = [e for e in image.normal_entries()
             if image.refcount((e[2] & OFFSET_MASK) // image.cluster) == 1]
    if len(found) < 2 or image.data_file or image.refcount_max() < 2:
        return None
    (a, pos_a, one), (b, pos_b, two) = rng.sample(found, 2)
    image.set_refcount((two & OFFSET_MASK) // image.cluster, 0)
    image.set_refcount((one & OFFSET_MASK) // image.cluster, 2)
    image.put64(pos_a, one & ~COPIED)
    image.put64(pos_b, one & ~COPIED)
    return "guest clusters %d and %d share %#x, refcount 2" % (
        a, b, one & OFFSET_MASK)


# -- compressed entries ------------------------------------------------

def edit_compressed(image, rng, change):
    found = image.compressed_entries()
    if not found:
        return None
    guest, pos, old = rng.choice(found)
    new = change(old, image)
    if new is None or new == old:
        return None
    image.put64(pos, new)
    return "compressed entry of guest cluster %d: %#x becomes %#x" % (
        guest, old, new)


def compressed_shift(image):
    return 62 - (image.cluster_bits - 8)


COMPRESSED_EDITS = {
    "zip-copied": lambda v, i: v | COPIED,
    "zip-more-sectors": lambda v, i: v + (1 << compressed_shift(i))
        if i.cluster_bits > 9 else None,
    "zip-offset-off": lambda v, i: v + 16,
    "zip-beyond": lambda v, i: v + (i.cluster << 20)
        if compressed_shift(i) > i.cluster_bits + 22 else None,
    "zip-huge": lambda v, i: v | (1 << compressed_shift(i)) - 1,
    "zip-not-compressed": lambda v, i: v & ~COMPRESSED,
}
for _name, _edit in COMPRESSED_EDITS.items():
    damage(_name, _edit)(edit_compressed)


@damage("zip-payload")
def compressed_payload(image, rng):
    found = image.compressed_entries()
    if not found:
        return None
    guest, _, entry = rng.choice(found)
    offset, _ = image.compressed_range(entry)
    image.write(offset, b"\xff" * 8)
    return "first bytes of compressed guest cluster %d at %#x are ones" % (
        guest, offset)


# -- extended L2 -------------------------------------------------------

EXTENDED_EDITS = {
    "extl2-contradiction": lambda e, b, r: (e, b | 1 | 1 << 32),
    "extl2-random": lambda e, b, r: (e, r.getrandbits(64)),
    "extl2-bit0": lambda e, b, r: (e | 1, b),
    "extl2-no-cluster": lambda e, b, r: (0, 3),
    "extl2-none": lambda e, b, r: (e, 0),
    "extl2-all-zero": lambda e, b, r: (e, 0xFFFFFFFF << 32),
    "extl2-compressed": lambda e, b, r:
        (e | COMPRESSED & ~COPIED, b or 1),
}


def edit_extended(image, rng, change):
    found = image.normal_entries() if image.extended_l2 else []
    if not found:
        return None
    guest, pos, entry = rng.choice(found)
    old = entry, image.u64(pos + 8)
    new = change(*old, rng)
    if new == old:
        return None
    image.put64(pos, new[0])
    image.put64(pos + 8, new[1])
    return "extended entry of guest cluster %d: %#x/%#x becomes %#x/%#x" % (
        guest, *old, *new)


for _name, _edit in EXTENDED_EDITS.items():
    damage(_name, _edit)(edit_extended)


# -- file --------------------------------------------------------------

@damage("file-half")
def truncate_half(image, rng):
    size = round_up(image.file_size() // 2, image.cluster)
    image.truncate(size)
    return "file cut to %d bytes" % size


@damage("file-last-cluster")
def truncate_last(image, rng):
    size = (image.clusters() - 1) * image.cluster
    image.truncate(size)
    return "file cut to %d bytes" % size


@damage("file-mid-cluster")
def truncate_middle(image, rng):
    size = (image.clusters() - 1) * image.cluster - image.cluster // 2 - 7
    if size < 2 * image.cluster:
        return None
    image.truncate(size)
    return "file cut to %d bytes" % size


@damage("file-random-size")
def truncate_anywhere(image, rng):
    size = rng.randrange(image.cluster, image.file_size())
    image.truncate(size)
    return "file cut to %d bytes" % size


@damage("file-extended")
def extend(image, rng):
    size = image.file_size() + 3 * image.cluster + 100
    image.truncate(size)
    return "file made longer, %d bytes" % size


@damage("file-garbage-tail")
def garbage_tail(image, rng):
    end = image.clusters() * image.cluster
    image.write(end, rng.randbytes(image.cluster))
    return "a cluster of random bytes after the end"


@damage("data-random")
def random_data(image, rng):
    found = image.normal_entries()
    if not found or image.data_file:
        return None
    offset = rng.choice(found)[2] & OFFSET_MASK
    image.write(offset, rng.randbytes(min(image.cluster, 4096)))
    return "guest data at %#x overwritten: no structure is damaged" % offset
