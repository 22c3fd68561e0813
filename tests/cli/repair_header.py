#!/usr/bin/env python3
"""Damaged fields of the header: repair gives them what the rest of the image
says, and the file is then what it was before the damage."""

import os
import shutil
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "lib"))

import oracle                                               # noqa: E402
import qimg                                                 # noqa: E402
import tools                                                # noqa: E402
from tap import Tap                                         # noqa: E402

STEPS = ["write -P 1 0 8M", "write -P 2 20M 3M"]
SNAP = ["write -P 1 0 8M", ("snap", "one"), "write -P 2 4M 1M"]
PACKED = ["write -c -P %d %dk 4k" % (n + 1, 4 * n) for n in range(40)]

tap = Tap()
work = tempfile.mkdtemp(prefix="qfsck-header.")
made = {}


def sound(name, make):
    """The image of that name, made once."""
    path = os.path.join(work, name)
    if name not in made:
        make(path)
        made[name] = path
    return path


def disk(steps, size="64M", **options):
    return lambda path: qimg.build(path, size, steps, **options)


def overlay(path):
    base = os.path.join(work, "base-of-all.qcow2")
    qimg.build(base, "4M", ["write -P 7 0 4M"])
    qimg.build(path, "4M", ["write -P 1 1M 64k"],
               backing_file=os.path.basename(base), backing_fmt="qcow2")


LAYOUTS = {
    "4k": disk(STEPS, cluster_size=4096),
    "512": disk(STEPS, cluster_size=512),
    "64k": disk(STEPS),
    "extl2": disk(STEPS, extended_l2="on"),
    "v2": disk(STEPS, cluster_size=4096, compat="0.10"),
    "snapshot": disk(SNAP, cluster_size=4096),
    "overlay": overlay,
    "zlib": disk(PACKED, "4M", cluster_size=4096),
    "zstd": disk(PACKED, "4M", cluster_size=4096, compression_type="zstd"),
    "plain": disk(["write -P 1 0 1M"], "4M"),
    "luks": qimg.LAYOUTS["luks"],
}


def damaged(layout, damage):
    image = os.path.join(work, "image")
    shutil.copy(sound(layout, LAYOUTS[layout]), image)
    with qimg.Image(image) as img:
        damage(img)
    return image


def repaired(image, *options):
    """Faults of the way there and back; leaves the repaired image."""
    before = oracle.sha(image)
    status, said = oracle.repair(image, "-y", *options)
    if oracle.sha(image) == before:
        return ["nothing was repaired", said[-900:]]
    faults = [] if status == 0 else ["status %d" % status, said[-900:]]
    code, out, err = tools.run(["qemu-img", "check", image])
    # without the key it gets no further than that
    if code and b"key-secret' is required" not in err:
        faults.append("qemu-img check: %d %s %s" % (code, out[-300:], err))
    after = oracle.sha(image)
    if oracle.repair(image, "-y", *options)[0] or oracle.sha(image) != after:
        faults.append("a second repair is not idle")
    shutil.copy(image, image + ".kept")
    code, undone = oracle.undo(image)
    if code or oracle.sha(image) != before:
        faults.append("undo: " + undone)
    os.remove(image + ".qfsck-undo")
    os.replace(image + ".kept", image)
    return faults


def same(layout, name, damage, but=None, options=()):
    """After the repair the file has the bytes that it had, BUT for what is
    put right by hand in both."""
    image = damaged(layout, damage)
    faults = repaired(image, *options)
    was = os.path.join(work, "was")
    shutil.copy(made[layout], was)
    for path in (image, was):
        with qimg.Image(path) as img:
            if but:
                but(img)
    if oracle.sha(image) != oracle.sha(was):
        faults.append("the file is not what it was")
    tap.result(not faults, "%s, %s" % (layout, name), faults)


def left(layout, name, damage):
    """Nothing speaks for a value: nothing is written."""
    image = damaged(layout, damage)
    before = oracle.sha(image)
    status, said = oracle.repair(image, "-y")
    tap.result(status == 2 and oracle.sha(image) == before,
               "%s, %s" % (layout, name), ["status %d" % status, said[-900:]])


def put(field, value):
    return lambda image: image.put(field, value)


def lengths():
    for layout in ("4k", "512", "v2", "snapshot"):
        # the last ones reach over tables, past the end, beyond QEMU's limit
        for n in (0, 1, 31, 1000, 5000, 70000, 0x20000000, 0xffffffff):
            if layout != "512" or n != 1000:
                same(layout, "l1_size %d" % n, put("l1_size", n))
    same("64k", "l1_size 0", put("l1_size", 0))
    same("64k", "l1_size 70000", put("l1_size", 70000))
    # the table's end is the disk's, or a snapshot tells
    for layout in ("4k", "v2", "snapshot"):
        same(layout, "size 1 TiB", put("size", 1 << 40))


def not_its_own(image):
    """The table has no room for more: data stand behind it."""
    image.put("l1_size", 0)
    image.put("size", 1 << 40)


def surplus(image):
    """A longer table that is in order, as after a VM state was saved."""
    image.put("l1_size", 40)


def kept_long():
    image = damaged("4k", surplus)
    before = oracle.sha(image)
    status, said = oracle.repair(image, "-y")
    tap.result(status == 0 and oracle.sha(image) == before,
               "a longer table that is sound stays", [said])


def set_bit(image):
    image.put("incompatible_features",
              image.get("incompatible_features") ^ qimg.INCOMPAT_COMPRESSION)


def kinds():
    for layout in ("zlib", "zstd", "plain"):
        same(layout, "the compression bit flipped", set_bit)
    same("zlib", "compression type 1",
         lambda image: image.put_number(104, 1, 1))
    same("zstd", "compression type 0",
         lambda image: image.put_number(104, 1, 0))


def mixed_all(image):
    """No compressed cluster can be inflated any more."""
    set_bit(image)
    at = image.u64(image.l2_offset(0)) & ((1 << 50) - 1)
    image.write(at, b"\xff" * 8192)


def names():
    same("overlay", "a name of 2000 bytes", put("backing_file_size", 2000))
    same("overlay", "a name behind the cluster",
         put("backing_file_offset", 1 << 30))
    left("overlay", "no name where it is said to be",
         lambda image: (image.put("backing_file_size", 2000),
                        image.put("backing_file_offset", 60000)))


def units():
    """Fields by which all others are read."""
    same("4k", "width of refcounts", put("refcount_order", 0))
    for layout in ("4k", "64k", "snapshot"):
        same(layout, "the data file bit",
             put("incompatible_features", qimg.INCOMPAT_DATA_FILE))
    same("64k", "the extended L2 bit", put("incompatible_features", 16))
    same("extl2", "no extended L2 bit", put("incompatible_features", 0))
    same("64k", "the header's length", put("header_length", 108))
    left("4k", "a named data file is not doubted", named_data_file)


def named_data_file(image):
    """With its name in the list of extensions, the bit is right."""
    image.put("incompatible_features", qimg.INCOMPAT_DATA_FILE)
    at = image.get("header_length")
    image.write(at, (0x44415441).to_bytes(4, "big") +
                (8).to_bytes(4, "big") + b"data.raw" + bytes(8))


def half_a_table(image):
    """The table without its second block, as one was that is long stale."""
    image.put64(image.reftable_offset() + 8, 0)
    image.put("refcount_table_offset", 0)


def pointers():
    for offset in (0, 0x200, 0x30000, 1 << 40):
        same("4k", "refcount table at 0x%x" % offset,
             put("refcount_table_offset", offset))
        same("4k", "L1 table at 0x%x" % offset,
             put("l1_table_offset", offset))
        same("snapshot", "snapshot table at 0x%x" % offset,
             put("snapshots_offset", offset))
    image = damaged("4k", half_a_table)
    faults = repaired(image)
    _, said = oracle.repair(damaged("4k", half_a_table), "-n")
    if "counts every cluster" in said:
        faults.append(said[-900:])
    tap.result(not faults, "4k, an older refcount table is not taken", faults)
    same("snapshot", "snapshot table at the refcount table",
         lambda image: image.put("snapshots_offset",
                                 image.get("refcount_table_offset")))
    same("4k", "a snapshot table of no snapshots",
         put("snapshots_offset", 0x2200))
    for count in (1, 3, 70000, 0xffffffff):
        same("4k", "%d snapshots, and no table" % count,
             put("nb_snapshots", count))
    same("4k", "a name of no length", put("backing_file_offset", 1 << 40))
    same("4k", "LUKS, and no header of it", put("crypt_method", 2))


def luks():
    where = lambda image: image.extension(qimg.EXT_CRYPTO)[0]  # noqa: E731
    same("luks", "the extension's type",
         lambda image: image.put_number(where(image) - 8, 4, 0x51464B21))
    same("luks", "the pointer", lambda image: image.put64(where(image), 0x200))
    same("luks", "the pointer, to another cluster",
         lambda image: image.put64(where(image), image.get("l1_table_offset")))
    same("luks", "the length",
         lambda image: image.put64(where(image) + 8, 1 << 40))
    same("luks", "the method", put("crypt_method", 0))
    left("luks", "a header that is gone",
         lambda image: (image.write(image.u64(where(image)), bytes(1024)),
                        image.put64(where(image), 0x200)))


def first(magic, version):
    """What the file begins with; None: as it is."""
    def damage(image):
        if magic is not None:
            image.put_number(0, 4, magic)
        if version is not None:
            image.put_number(4, 4, version)
    return damage


def and_an_entry(image):
    first(0, 9)(image)
    _, pos, entry = image.normal_entries()[0]
    image.put64(pos, entry | 1 << 57)


def starts():
    """Magic and version, by the user's word that it is a qcow2 image."""
    word = ("-f", "qcow2")
    for layout in sorted(LAYOUTS):
        for magic, version in ((0, None), (0x514649fa, None), (None, 0),
                               (None, 9), (None, 0x30000003), (0, 0)):
            same(layout, "magic %s, version %s" % (magic, version),
                 first(magic, version), options=word)
    same("v2", "version 3", first(None, 3), options=word)
    same("64k", "magic, version and an entry", and_an_entry, options=word)
    image = damaged("4k", first(0, None))
    before = oracle.sha(image)
    status, said = oracle.repair(image, "-y")
    tap.result(status == 63 and oracle.sha(image) == before and
               "-f qcow2" in said, "without -f nothing is written",
               ["status %d" % status, said[-900:]])
    was = oracle.sha(sound("4k", LAYOUTS["4k"]))
    status, out, _ = tools.run([tools.qfsck_path(), "check", "-r", "all",
                                *word, image])
    os.remove(image + ".qfsck-undo")
    tap.result(status == 0 and oracle.sha(image) == was,
               "check -r all -f qcow2", [out.decode()])
    image = damaged("4k", first(0, None))
    for more, want in ((("-p",), 2), (("-y", "--risk=none"), 2)):
        status, said = oracle.repair(image, *more, *word)
        tap.result(status == want and oracle.sha(image) == before and
                   "qfsck repair -y -f qcow2" in said,
                   "%s says what to type" % (more,), [said[-900:]])


def bitmap_names():
    with tempfile.TemporaryDirectory(dir=work) as folder:
        image = os.path.join(folder, "image")
        qimg.build(image, "2M", ["write -P 1 0 64k", ("bitmap", "a"),
                                 ("bitmap", "b")])
        was = oracle.views(image)
        with qimg.Image(image) as img:
            img.write(img.bitmaps()[0] + 24, b"b")
        faults = repaired(image)
        _, out, _ = tools.run(["qemu-img", "info", image])
        if out.decode().count("name: b") != 1 or oracle.views(image) != was:
            faults.append(out.decode())
        tap.result(not faults, "two bitmaps of one name", faults)


def in_use():
    with tempfile.TemporaryDirectory(dir=work) as folder:
        image = os.path.join(folder, "image")
        qimg.killed_bitmap_writer(image, cluster_size=4096)
        before = oracle.sha(image)
        for option in ((), ("--in-use-bitmaps=keep",)):
            status, said = oracle.repair(image, "-y", *option)
            tap.result(status == 0 and oracle.sha(image) == before and
                       "--in-use-bitmaps=remove" in said,
                       "a bitmap in use is kept %s" % (option,), [said])
        faults = repaired(image, "--in-use-bitmaps=remove")
        _, out, _ = tools.run([tools.qfsck_path(), "check", image])
        if b"bitmap-in-use" in out:
            faults.append(out.decode())
        tap.result(not faults, "and removed where it is said", faults)


def main():
    lengths()
    left("4k", "l1_size and size damaged", not_its_own)
    kept_long()
    kinds()
    left("zlib", "no stream speaks for a kind", mixed_all)
    names()
    units()
    pointers()
    luks()
    starts()
    bitmap_names()
    in_use()
    return tap.finish()


try:
    sys.exit(main())
finally:
    shutil.rmtree(work)
