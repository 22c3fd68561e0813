#!/usr/bin/env python3
"""An L2 table that holds the bytes of another one, and L1 entries that lead
to the wrong table: what the guest read right before the repair, QEMU reads
right after it, and what the lost table mapped is never freed.
"""

import os
import shutil
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "lib"))

import oracle                                               # noqa: E402
import qimg                                                 # noqa: E402
import tools                                                # noqa: E402
from tap import Tap                                         # noqa: E402

CLUSTER = 4096
SPAN = 2 << 20
TABLES = 3
KEY = ["--object", "secret,id=key0,data=qfsck"]

qimg.own_folder()
tap = Tap()


def spelled(image):
    """The image as a chain of options, for the tools of QEMU."""
    with qimg.Image(image) as opened:
        luks = opened.get("crypt_method") == 2
    spec = "driver=qcow2,file.filename=" + image
    if luks:
        spec += ",encrypt.key-secret=key0"
    return (KEY if luks else []), spec


def read(image, index, snapshot=None):
    """What QEMU reads of the range of L1 entry INDEX; None: nothing. Each
    range is read by a process of its own, as QEMU reads nothing more of an
    image once it has met a damaged table."""
    key, spec = spelled(image)
    out = image + ".range"
    if snapshot:
        args = ["convert", *key, "-l", "snapshot.name=" + snapshot]
    else:
        args = ["convert", *key]
        spec = "driver=raw,offset=%d,size=%d," % (index * SPAN, SPAN) + \
            spec.replace("driver=", "file.driver=", 1).replace(
                ",file.filename", ",file.file.filename").replace(
                ",encrypt", ",file.encrypt")
    status, _, _ = tools.run(["qemu-img", *args, "-O", "raw", "--image-opts",
                              spec, out])
    if status:
        return None
    with open(out, "rb") as file:
        data = file.read()
    os.remove(out)
    return data[index * SPAN:(index + 1) * SPAN] if snapshot else data


def spans(image, snapshots):
    return {(s, n): read(image, n, s)
            for s in [None, *snapshots] for n in range(TABLES)}


def encrypted(path, snapshots):
    qimg.build_luks(path, [], CLUSTER)
    _, spec = spelled(path)
    qimg.qemu_img("resize", *KEY, "-q", "--image-opts", spec,
                  str(TABLES * SPAN))
    steps = ["write -P %d %d 40k" % (10 * n + k + 1, n * SPAN + k * 60 * 1024)
             for k in range(3) for n in range(TABLES)]
    qimg.qemu_io(spec, *steps, options=KEY + ["--image-opts"])
    for name in snapshots:
        qimg.qemu_img("snapshot", *KEY, "-c", name, "--image-opts", spec)
        qimg.qemu_io(spec, *["write -P %d %d 12k" % (200 + n, n * SPAN + 8192)
                             for n in (0, 2)], options=KEY + ["--image-opts"])


def packed(path, snapshots, kind):
    raw = path + ".raw"
    with open(raw, "wb") as file:
        for n in range(TABLES * SPAN // CLUSTER):
            file.write((b"guest cluster %06d\n" % n * 256)[:CLUSTER])
    qimg.qemu_img("convert", "-c", "-f", "raw", "-O", "qcow2", "-o",
                  "compression_type=%s,cluster_size=%d" % (kind, CLUSTER),
                  raw, path)
    os.remove(raw)
    for name in snapshots:
        qimg.qemu_img("snapshot", "-c", name, path)
        qimg.qemu_io(path, "write -P 200 8192 12k")


def content_of(fill):
    def damage(image, mine, _):
        image.write(image.l2_offset(mine), fill(image))
        return {mine}
    return damage


def copied(image, mine, other):
    image.write(image.l2_offset(mine),
                image.read(image.l2_offset(other), CLUSTER))
    return {mine}


def led_to(image, mine, other):
    image.put64(image.l1_pos(mine), image.u64(image.l1_pos(other)))
    return {mine}


def led_astray(image, mine, _):
    image.put64(image.l1_pos(mine), image.u64(image.l1_pos(mine)) + CLUSTER)
    return {mine}


DAMAGES = {
    "another's bytes": copied,
    "an L1 entry on the other's table": led_to,
    "an L1 entry on the cluster behind the table": led_astray,
    "random bytes": content_of(
        lambda image: qimg.rng_of("copies").randbytes(CLUSTER)),
    "text": content_of(lambda image: (qimg.TEXT * CLUSTER)[:CLUSTER]),
}
MAKERS = {"luks": encrypted,
          "zlib": lambda path, s: packed(path, s, "zlib"),
          "zstd": lambda path, s: packed(path, s, "zstd")}


def host_clusters(path, index):
    """The host clusters of what L1 entry INDEX maps."""
    with qimg.Image(path) as image:
        found = set()
        for word in image.l2_table(image.l2_offset(index)):
            if word & qimg.COMPRESSED:
                at, length = image.compressed_range(word)
                found.update(range(at // CLUSTER, (at + length - 1) //
                                   CLUSTER + 1))
            elif word & qimg.OFFSET_MASK:
                found.add((word & qimg.OFFSET_MASK) // CLUSTER)
        return found


def is_lost(report, index):
    return any(r["holder"] == "active" and r["guest-offset"] <= index * SPAN
               and r["guest-offset"] + r["length"] > index * SPAN
               for r in report["lost"])


def judge(sound, image, snapshots, mine):
    """Faults of what check says and repair does; MINE is damaged."""
    should, before = spans(sound, snapshots), spans(image, snapshots)
    faults = []
    status, report, _, _ = tools.qfsck_check(image)
    if status != 2:
        faults.append("check: exit %s" % status)
    if before[None, mine] != should[None, mine] and not is_lost(report, mine):
        faults.append("what the table mapped is not told as lost")
    code, said = oracle.repair(image, "-y")
    after = spans(image, snapshots)
    faults += ["L1 entry %d of %s: %s" % (
        n, s or "the active disk", "reads otherwise" if got else "reads "
        "nothing") for (s, n), got in after.items()
        if before[s, n] == should[s, n] and got != should[s, n]]
    if after[None, mine] != should[None, mine]:
        with qimg.Image(image) as left:
            freed = [c for c in host_clusters(sound, mine)
                     if not left.refcount(c)]
        faults += ["freed: host clusters %s" % freed[:4]] if freed else []
    again, _ = oracle.repair(image, "-y")
    if again != code:
        faults.append("a second repair: exit %s, not %s" % (again, code))
    return faults and faults + [said[-1500:]]


def one_case(kind, snapshots, name, mine, other):
    sound = os.path.abspath("%s-%d" % (kind, len(snapshots)))
    if not os.path.exists(sound):
        MAKERS[kind](sound, snapshots)
    image = os.path.abspath("image")
    for left in (image + ".qfsck-undo", image + ".qfsck-gave-up"):
        if os.path.exists(left):
            os.remove(left)
    shutil.copy(sound, image)
    with qimg.Image(image) as damaged:
        DAMAGES[name](damaged, mine, other)
    faults = judge(sound, image, snapshots, mine)
    tap.result(not faults, "%s, %d snapshots, table %d: %s" % (
        kind, len(snapshots), mine, name), faults)


def main():
    for kind in MAKERS:
        for snapshots in ([], ["s"]):
            for name, damage in DAMAGES.items():
                if kind == "zlib" and damage is not copied:
                    continue
                one_case(kind, snapshots, name, 1, 2)
                if damage in (copied, led_to):
                    one_case(kind, snapshots, name, 0, 1)
    return tap.finish()


sys.exit(main())
