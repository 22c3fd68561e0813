"""Damage with its truth: what was lost, who is guilty, what must be said.

A wound takes an open qcow2.Image, its Known and a random.Random, damages the
image, and returns what an honest report has to say of it; or None when the
image has no such structure.
"""

import os
import struct

from known import SECTOR
from qcow2 import COPIED, OFFSET_MASK
from staged import punch

WOUNDS = {}
NEEDS = {}      # wound: a word that an image's plan must have

CORRUPT = {2}


class Expect:
    def __init__(self, said, names, places=(), lost=(), bound=None, what=None,
                 codes=CORRUPT, keep=(), withheld=False, options=(),
                 stories=()):
        self.said = said            # what was done
        self.names = names          # findings, one of which must be there
        self.places = places        # [(host offset, length)]: one is named
        self.lost = list(lost)      # [(holder, guest offset, length)]
        self.bound = bound          # no more than this is said to be lost
        self.what = what            # a pattern in that finding's message
        self.codes = codes
        self.keep = set(keep)       # host clusters that stay allocated
        self.withheld = withheld    # no leak may be freed
        self.options = options      # of the check
        self.stories = set(stories)  # diagnoses that may be made


def wound(name, *fixed, needs=""):
    def keep(function):
        WOUNDS[name] = lambda i, k, r: function(i, k, r, *fixed)
        NEEDS[name] = needs
        return function
    return keep


# -- contents that overwrite a table -----------------------------------

TEXT = b"Dear diary, today I was written over somebody's only map.\n"


def ext4_directory(length):
    """Blocks of 4 KiB as ext4 writes them, names and all."""
    out = b""
    names = [b".", b"..", b"lost+found", b"Documents", b"report-2024.odt",
             b"photo.jpeg", b".bashrc"]
    while len(out) < length:
        block = b""
        for n, name in enumerate(names):
            size = 8 + (len(name) + 3) // 4 * 4
            if n == len(names) - 1:
                size = 4096 - len(block)
            block += struct.pack("<IHBB", 12 + n + len(out) // 512, size,
                                 len(name), 1 + (n < 4)) + name
            block = block.ljust(len(block) + -len(block) % 4, b"\0")
        out += block.ljust(4096, b"\0")
    return out[:length]


def elf(length):
    """The start of a program, and code that looks like none of our tables."""
    head = b"\x7fELF\x02\x01\x01" + bytes(9) + struct.pack(
        "<HHIQQQIHHHHHH", 3, 62, 1, 0x1060, 64, 14000, 0, 64, 56, 13, 64, 31,
        30)
    body = bytes((7 * n * n + 3 * n + 0x89) & 0xFF for n in range(4096))
    return (head + body * (length // 4096 + 1))[:length]


def content(image, rng, kind, length):
    if kind == "zeros":
        return bytes(length), "zero"
    if kind == "ones":
        return b"\xff" * length, "0xff"
    if kind == "random":
        return rng.randbytes(length), None
    if kind == "text":
        return (TEXT * (length // len(TEXT) + 1))[:length], "text"
    if kind == "ext4dir":
        return ext4_directory(length), "ext4|directory"
    if kind == "elf":
        return elf(length), "ELF"
    if kind == "refblock":
        block = max(image.tables()["refblock"], key=lambda at: sum(
            map(bool, image.read(at, 4096))))
        return image.read(block, length).ljust(length, b"\0"), \
            "refcount block" if image.refcount_bits >= 8 else None
    if kind == "reftable":
        return image.read(image.reftable_offset(),
                          length).ljust(length, b"\0"), "refcount table"
    if kind == "snaptable":
        at = image.get("snapshots_offset")
        return (image.read(at, length).ljust(length, b"\0"),
                "snapshot table") if image.nb_snapshots else (None, None)
    raise ValueError(kind)


OVER = ("ones", "random", "text", "ext4dir", "elf", "refblock", "reftable",
        "snaptable")


# -- L2 tables ---------------------------------------------------------

def gone(image, known, table, said, names, entries=None, **more):
    """A table or a part of it is lost, for all that use it."""
    lost = known.loss_of(table, entries)
    if not lost:
        return None
    more.setdefault("places", [(table, known.cluster)])
    more.setdefault("bound", known.span_of(table))
    return Expect(said, names, lost=lost, withheld=True,
                  keep=known.clusters_of(table, entries), **more)


def some_table(known, rng, wanted=1):
    tables = known.all_tables(wanted)
    return rng.choice(tables) if tables else None


@wound("l2-zeroed", "written")
@wound("l2-holed", "punched")
def erase_l2(image, known, rng, how):
    table = some_table(known, rng)
    if not table:
        return None
    stories = []
    if how == "written":
        image.write(table, bytes(known.cluster))
    else:
        punch(image.path, table, known.cluster)
        stories = ["punch-hole", "host-crash"]
    return gone(image, known, table, "L2 table at %#x is zeroed (%s)" % (
        table, how), {"l2-table-erased"}, stories=stories)


def overwrite_l2(image, known, rng, kind):
    table = some_table(known, rng)
    if not table:
        return None
    data, what = content(image, rng, kind, known.cluster)
    if data is None or data == image.read(table, known.cluster):
        return None
    image.write(table, data)
    names = {"l2-table-garbage"}
    if kind == "refblock" and image.refcount_bits == 64:
        names.add("l2-table-erased")    # its ones are sound entries
    if not any(data):
        return None
    if kind in ("refblock", "reftable", "snaptable"):
        # few words that are not zero: each of them is told by itself
        if sum(map(any, zip(*[iter(data)] * 8))) < 16:
            names |= {"l2-entry-outside", "l2-entry-unaligned",
                      "l2-entry-reserved", "cluster-shared-metadata",
                      "l2-table-partly-erased", "l2-table-erased"}
            what = None
    return gone(image, known, table, "L2 table at %#x becomes %s" % (
        table, kind), names, what=what, stories=["punch-hole"])


for _kind in OVER:
    wound("l2-becomes-" + _kind, _kind)(overwrite_l2)


@wound("l2-becomes-guest-data")
def l2_guest_data(image, known, rng):
    """A writer took the table's cluster for a data cluster."""
    table = some_table(known, rng)
    others = [e for t in known.table for e in known.normal(t)]
    if not table or not others:
        return None
    entry = rng.choice(others)
    data = image.read(entry.word & OFFSET_MASK, known.cluster)
    if len(data) < known.cluster or not any(data):
        return None
    image.write(table, data)
    return gone(image, known, table, "L2 table at %#x becomes guest data" %
                table, {"l2-table-garbage"})


@wound("l2-becomes-other-l2")
def l2_copy(image, known, rng):
    """One table's bytes are written over another one's."""
    tables = known.active_tables()
    if len(tables) < 2:
        return None
    victim, other = rng.sample(tables, 2)
    image.write(victim, image.read(other, known.cluster))
    want = gone(image, known, victim, "L2 table at %#x becomes a copy of the "
                "one at %#x" % (victim, other),
                {"l2-table-copy", "cluster-shared-data"},
                places=[(victim, known.cluster), (other, known.cluster)] +
                [(e.word & OFFSET_MASK, known.cluster)
                 for e in known.data(other)])
    # which of the two is the copy can be told only by what lies in the file
    want.bound = known.span_of(victim) + known.span_of(other)
    return want


@wound("l2-partly-zeroed", "zeros")
@wound("l2-partly-text", "text")
@wound("l2-partly-ext4dir", "ext4dir")
@wound("l2-partly-random", "random")
def part_of_l2(image, known, rng, kind):
    """Some sectors of a table, as a torn or misplaced write leaves it."""
    table = some_table(known, rng, 2)
    if not table or known.cluster < 2 * SECTOR:
        return None
    hit = rng.choice(known.data(table))
    sectors = known.cluster // SECTOR
    length = min(rng.choice((1, 1, 2, 8)), sectors - 1)
    first = min(max(0, (hit.pos - table) // SECTOR - rng.randrange(length)),
                sectors - length)
    data, _ = content(image, rng, kind, length * SECTOR)
    at = table + first * SECTOR
    entries = [e for e in known.data(table) if at <= e.pos <
               at + length * SECTOR]
    image.write(at, data)
    names = {"l2-table-partly-erased", "l2-table-erased"}
    if kind != "zeros":
        names |= {"l2-table-garbage", "l2-entry-unaligned",
                  "l2-entry-outside", "l2-entry-reserved"}
    return gone(image, known, table, "%d sectors of the L2 table at %#x from "
                "%#x on become %s" % (length, table, at, kind), names,
                entries)


@wound("l2-entry-unaligned", lambda w, i: w | 0x200, "l2-entry-unaligned")
@wound("l2-entry-outside", lambda w, i: w & ~OFFSET_MASK | i.cluster << 26,
       "l2-entry-outside")
@wound("l2-entry-pointer-lost", lambda w, i: COPIED, "l2-entry-nothing")
def odd_entry(image, known, rng, change, name):
    tables = [t for t in known.active_tables() if known.normal(t)]
    if not tables or (name == "l2-entry-unaligned" and known.cluster == 512):
        return None
    table = rng.choice(tables)
    entry = rng.choice(known.normal(table))
    if name == "l2-entry-nothing" and (image.extended_l2 or
                                       not entry.word & COPIED):
        return None
    image.put64(entry.pos, change(entry.word, image))
    return gone(image, known, table, "L2 entry at %#x becomes %#x" % (
        entry.pos, change(entry.word, image)), {name}, [entry],
        places=[(entry.pos, 8)], bound=known.loss_of(table, [entry]))


# -- L1 tables ---------------------------------------------------------

def gone_l1(image, known, holder, said, names, indices=None, **more):
    lost = known.loss_of_l1(holder, indices)
    if not lost:
        return None
    keep = set()
    for i, t in holder.tables.items():
        if indices is None or i in indices:
            keep |= known.clusters_of(t) | {t // known.cluster}
    more.setdefault("bound", known.clip([(holder.name, 0, holder.disk)]))
    return Expect(said, names, lost=lost, keep=keep, withheld=True, **more)


def l1_places(known, holder, indices=None):
    return [(holder.l1_offset, 8 * holder.l1_size)] + \
        [(t, known.cluster) for i, t in holder.tables.items()
         if indices is None or i in indices]


def some_holder(known, rng, whose):
    if whose == "active":
        return known.active
    return rng.choice(known.snapshots) if known.snapshots else None


ERASED_L1 = {"l1-table-erased", "l1-entry-erased", "l2-table-orphaned"}


@wound("l1-zeroed", "active")
@wound("snap-l1-zeroed", "snapshot", needs="snapshots")
def zero_l1(image, known, rng, whose):
    holder = some_holder(known, rng, whose)
    if not holder:
        return None
    image.write(holder.l1_offset, bytes(8 * holder.l1_size))
    return gone_l1(image, known, holder, "L1 table of %s at %#x is zeroed" % (
        holder.name, holder.l1_offset), ERASED_L1,
        places=l1_places(known, holder))


@wound("l1-entry-zeroed", "active")
@wound("snap-l1-entry-zeroed", "snapshot", needs="snapshots")
def zero_l1_entry(image, known, rng, whose):
    holder = some_holder(known, rng, whose)
    used = [i for i, t in holder.tables.items() if known.data(t) and
            i * known.span < holder.disk] if holder else []
    if not used:
        return None
    index = rng.choice(used)
    image.put64(holder.l1_offset + 8 * index, 0)
    return gone_l1(image, known, holder, "L1 entry %d of %s at %#x is zeroed" %
                   (index, holder.name, holder.l1_offset + 8 * index),
                   ERASED_L1, [index],
                   places=l1_places(known, holder, [index]))


@wound("l1-text", "active", "text")
@wound("l1-random", "active", "random")
@wound("l1-ones", "active", "ones")
@wound("snap-l1-text", "snapshot", "text", needs="snapshots")
@wound("snap-l1-random", "snapshot", "random", needs="snapshots")
def garbage_l1(image, known, rng, whose, kind):
    holder = some_holder(known, rng, whose)
    if not holder:
        return None
    length = max(SECTOR, 8 * holder.l1_size)
    data, _ = content(image, rng, kind, length)
    image.write(holder.l1_offset, data)
    return gone_l1(image, known, holder, "L1 table of %s at %#x becomes %s" % (
        holder.name, holder.l1_offset, kind),
        {"l1-table-garbage", "l1-entry-unaligned", "l1-entry-outside",
         "l1-entry-reserved", "l1-tables-crossing"},
        places=l1_places(known, holder))


@wound("l1-entry-outside")
def outside_l1_entry(image, known, rng):
    used = [i for i, t in known.active.tables.items() if known.data(t) and
            i * known.span < known.active.disk]
    if not used:
        return None
    index = rng.choice(used)
    pos = known.active.l1_offset + 8 * index
    image.put64(pos, COPIED | known.cluster << 26)
    return gone_l1(image, known, known.active, "L1 entry %d points past the "
                   "end" % index, {"l1-entry-outside"}, [index],
                   places=[(pos, 8)],
                   bound=known.clip([("active", index * known.span,
                                      known.span)]))


# -- refcounts ---------------------------------------------------------

@wound("refblock-zeroed", "zeros")
@wound("refblock-ones", "ones")
@wound("refblock-random", "random")
@wound("refblock-text", "text")
@wound("refblock-holed", "hole")
@wound("refblock-elf", "elf")
def bad_refblock(image, known, rng, kind):
    block = rng.choice(image.tables()["refblock"])
    if kind == "hole":
        punch(image.path, block, known.cluster)
        what = "zero"
    else:
        data, what = content(image, rng, kind, known.cluster)
        if image.refcount_bits == 1 and kind == "ones":
            return None
        image.write(block, data)
    return Expect("refcount block at %#x becomes %s" % (block, kind),
                  {"refblock-wrong"}, places=[(block, known.cluster)],
                  bound=[], what=what)


@wound("reftable-zeroed", "zeros")
@wound("reftable-random", "random")
@wound("reftable-text", "text")
def bad_reftable(image, known, rng, kind):
    at = image.reftable_offset()
    data, _ = content(image, rng, kind, known.cluster)
    image.write(at, data)
    return Expect("refcount table at %#x becomes %s" % (at, kind),
                  {"reftable-empty", "reftable-entry-unaligned",
                   "reftable-entry-reserved", "reftable-entry-outside"},
                  places=[(at, known.cluster *
                           image.get("refcount_table_clusters"))], bound=[])


@wound("refcount-0-data", "data")
@wound("refcount-0-l2", "l2")
@wound("refcount-0-metadata", "metadata")
def refcount_zero(image, known, rng, kind):
    if kind == "data":
        hosts = sorted(set().union(*[known.clusters_of(t)
                                     for t in known.table]))
    elif kind == "l2":
        hosts = [t // known.cluster for t in known.table]
    else:
        tables = image.tables()
        hosts = [at // known.cluster for kind in
                 ("l1", "reftable", "refblock", "snaptable", "snap-l1",
                  "bitmap-dir", "bitmap-table") for at in tables[kind]] + [0]
    hosts = [h for h in hosts if image.refcount(h)]
    if not hosts:
        return None
    host = rng.choice(hosts)
    image.set_refcount(host, 0)
    return Expect("refcount of %s at %#x becomes 0" % (
        kind, host * known.cluster), {"refcount-zero"},
        places=[(host * known.cluster, known.cluster)], bound=[])
