"""Damage to the snapshot table, the bitmaps and the header extensions."""

from damage import damage
from qcow2 import EXT_BACKING_FORMAT, EXT_CRYPTO, EXT_DATA_FILE, EXT_FEATURES

# -- snapshot table ----------------------------------------------------

SNAPSHOT_EDITS = {
    "snap-l1-offset-unaligned": ("l1_table_offset", lambda v, i: v + 8),
    "snap-l1-offset-beyond": ("l1_table_offset", lambda v, i: i.cluster << 24),
    "snap-l1-offset-zero": ("l1_table_offset", lambda v, i: 0),
    "snap-l1-offset-active": ("l1_table_offset", lambda v, i: i.l1_offset),
    "snap-l1-size-zero": ("l1_size", lambda v, i: 0),
    "snap-l1-size-more": ("l1_size", lambda v, i: v + 1),
    "snap-l1-size-huge": ("l1_size", lambda v, i: 0x7FFFFFFF),
    "snap-id-size-max": ("id_size", lambda v, i: 0xFFFF),
    "snap-name-size-zero": ("name_size", lambda v, i: 0),
    "snap-name-size-max": ("name_size", lambda v, i: 0xFFFF),
    "snap-vm-state-huge": ("extra_vm_state_size", lambda v, i: 1 << 62),
    "snap-extra-size-0": ("extra_size", lambda v, i: 0),
    "snap-extra-size-8": ("extra_size", lambda v, i: 8),
    "snap-extra-size-huge": ("extra_size", lambda v, i: 0x7FFFFFFF),
    "snap-extra-size-1100": ("extra_size", lambda v, i: 1100),
    "snap-disk-size-zero": ("extra_disk_size", lambda v, i: 0),
    "snap-disk-size-huge": ("extra_disk_size", lambda v, i: 1 << 60),
    "snap-disk-size-odd": ("extra_disk_size", lambda v, i: v + 1),
    "snap-date-far": ("date_sec", lambda v, i: 0xFFFFFFFF),
}


def edit_snapshot(image, rng, field, change):
    entries = image.snapshots()
    if not entries:
        return None
    chosen = rng.randrange(len(entries))
    pos = entries[chosen]
    if field.startswith("extra_") and field != "extra_size" \
            and image.snapshot(pos, "extra_size") < 16:
        return None
    old = image.snapshot(pos, field)
    new = change(old, image)
    if new == old:
        return None
    image.put_snapshot(pos, field, new)
    return "snapshot %d %s: %#x becomes %#x" % (chosen, field, old, new)


for _name, _edit in SNAPSHOT_EDITS.items():
    damage(_name, *_edit)(edit_snapshot)


def duplicate_snapshot(image, rng, what):
    entries = image.snapshots()
    if len(entries) < 2:
        return None
    id_a, id_len_a, name_a, name_len_a = image.snapshot_strings(entries[0])
    id_b, id_len_b, name_b, name_len_b = image.snapshot_strings(entries[1])
    source, target, same = (id_a, id_b, id_len_a == id_len_b)
    length = id_len_a
    if what == "name":
        source, target, same = (name_a, name_b, name_len_a == name_len_b)
        length = name_len_a
    if not same:
        return None
    image.write(target, image.read(source, length))
    return "the second snapshot has the %s of the first" % what


damage("snap-duplicate-id", "id")(duplicate_snapshot)
damage("snap-duplicate-name", "name")(duplicate_snapshot)

# -- bitmaps -----------------------------------------------------------

BITMAPS_EXT_EDITS = {
    "bm-count-zero": ("nb_bitmaps", lambda v, i: 0),
    "bm-count-more": ("nb_bitmaps", lambda v, i: v + 1),
    "bm-count-less": ("nb_bitmaps", lambda v, i: v - 1 if v > 1 else v),
    "bm-count-huge": ("nb_bitmaps", lambda v, i: 0xFFFFFFFF),
    "bm-ext-reserved": ("reserved", lambda v, i: 1),
    "bm-dir-size-zero": ("directory_size", lambda v, i: 0),
    "bm-dir-size-huge": ("directory_size", lambda v, i: 1 << 40),
    "bm-dir-size-less": ("directory_size", lambda v, i: v - 8),
    "bm-dir-unaligned": ("directory_offset", lambda v, i: v + 8),
    "bm-dir-beyond": ("directory_offset", lambda v, i: i.cluster << 24),
    "bm-dir-zero": ("directory_offset", lambda v, i: 0),
    "bm-dir-l1": ("directory_offset", lambda v, i: i.l1_offset),
}
BITMAP_EDITS = {
    "bm-table-unaligned": ("table_offset", lambda v, i: v + 8),
    "bm-table-beyond": ("table_offset", lambda v, i: i.cluster << 24),
    "bm-table-l1": ("table_offset", lambda v, i: i.l1_offset),
    "bm-table-size-zero": ("table_size", lambda v, i: 0),
    "bm-table-size-more": ("table_size", lambda v, i: v + 1),
    "bm-table-size-huge": ("table_size", lambda v, i: 0x7FFFFFFF),
    "bm-in-use": ("flags", lambda v, i: v | 1),
    "bm-flags-reserved": ("flags", lambda v, i: v | 1 << 20),
    "bm-type-0": ("type", lambda v, i: 0),
    "bm-type-9": ("type", lambda v, i: 9),
    "bm-granularity-0": ("granularity_bits", lambda v, i: 0),
    "bm-granularity-63": ("granularity_bits", lambda v, i: 63),
    "bm-granularity-more": ("granularity_bits", lambda v, i: v + 1),
    "bm-granularity-less":
        ("granularity_bits", lambda v, i: v - 1 if v > 9 else v),
    "bm-name-size-zero": ("name_size", lambda v, i: 0),
    "bm-name-size-max": ("name_size", lambda v, i: 0xFFFF),
    "bm-extra-size": ("extra_size", lambda v, i: 8),
}


def edit_bitmaps_ext(image, rng, field, change):
    if not image.bitmaps():
        return None
    old = image.bitmaps_ext(field)
    new = change(old, image)
    if new == old:
        return None
    image.put_bitmaps_ext(field, new)
    return "bitmaps extension %s: %#x becomes %#x" % (field, old, new)


def edit_bitmap(image, rng, field, change):
    entries = image.bitmaps()
    if not entries:
        return None
    chosen = rng.randrange(len(entries))
    old = image.bitmap(entries[chosen], field)
    new = change(old, image)
    if new == old:
        return None
    image.put_bitmap(entries[chosen], field, new)
    return "bitmap %d %s: %#x becomes %#x" % (chosen, field, old, new)


for _name, _edit in BITMAPS_EXT_EDITS.items():
    damage(_name, *_edit)(edit_bitmaps_ext)
for _name, _edit in BITMAP_EDITS.items():
    damage(_name, *_edit)(edit_bitmap)

BITMAP_TABLE_EDITS = {
    "bm-entry-reserved": lambda v, i: v | 1 << 60,
    "bm-entry-ones": lambda v, i: 1,
    "bm-entry-ones-and-offset": lambda v, i: v | 1 if v > 1 else v,
    "bm-entry-zero": lambda v, i: 0,
    "bm-entry-beyond": lambda v, i: i.cluster << 24,
    "bm-entry-unaligned": lambda v, i: i.l1_offset + 512
        if i.cluster > 512 else v,
    "bm-entry-l1": lambda v, i: i.l1_offset,
}


def edit_bitmap_table(image, rng, change):
    entries = [p for p in image.bitmaps() if image.bitmap(p, "table_size")]
    if not entries:
        return None
    chosen = rng.choice(entries)
    pos = image.bitmap(chosen, "table_offset")
    old = image.u64(pos)
    new = change(old, image)
    if new == old:
        return None
    image.put64(pos, new)
    return "bitmap table entry at %#x: %#x becomes %#x" % (pos, old, new)


for _name, _edit in BITMAP_TABLE_EDITS.items():
    damage(_name, _edit)(edit_bitmap_table)

# -- header extensions -------------------------------------------------

EXTENSIONS = {
    "backing-format": EXT_BACKING_FORMAT,
    "features": EXT_FEATURES,
    "crypto": EXT_CRYPTO,
    "data-file": EXT_DATA_FILE,
}


def extension_length(image, rng, kind, length):
    place = image.extension(kind)
    if not place:
        return None
    image.put_number(place[0] - 4, 4, length)
    return "extension %#x at %#x: length becomes %#x" % (
        kind, place[0] - 8, length)


def extension_type(image, rng, kind):
    place = image.extension(kind)
    if not place:
        return None
    image.put_number(place[0] - 8, 4, 0x51464B21)
    return "extension %#x at %#x: its type becomes unknown" % (
        kind, place[0] - 8)


for _name, _kind in EXTENSIONS.items():
    damage("ext-%s-length" % _name, _kind, 0x7FFFFFFF)(extension_length)
    damage("ext-%s-unknown" % _name, _kind)(extension_type)

LUKS_EDITS = {
    "luks-offset-unaligned": (0, lambda v, i: v + 8),
    "luks-offset-beyond": (0, lambda v, i: i.cluster << 24),
    "luks-offset-l1": (0, lambda v, i: i.l1_offset),
    "luks-length-zero": (8, lambda v, i: 0),
    "luks-length-huge": (8, lambda v, i: 1 << 40),
}


def edit_luks(image, rng, at, change):
    place = image.extension(EXT_CRYPTO)
    if not place:
        return None
    old = image.u64(place[0] + at)
    new = change(old, image)
    image.put64(place[0] + at, new)
    return "encryption header pointer +%d: %#x becomes %#x" % (at, old, new)


for _name, _edit in LUKS_EDITS.items():
    damage(_name, *_edit)(edit_luks)


@damage("luks-magic")
def luks_magic(image, rng):
    place = image.extension(EXT_CRYPTO)
    if not place:
        return None
    image.write(image.u64(place[0]), b"NOPE")
    return "the LUKS header's magic is overwritten"
