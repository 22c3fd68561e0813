#!/usr/bin/env python3
"""qfsck check --data against what qemu-io can and cannot read."""

import os
import re
import sys
import tempfile
import time
import zlib

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "lib"))

from layouts import LAYOUTS                                 # noqa: E402
from tap import Tap                                         # noqa: E402
import make                                                 # noqa: E402
import qcow2                                                # noqa: E402
import tools                                                # noqa: E402

WORK = tempfile.mkdtemp(prefix="payload.")
MB = 1 << 20
tap = Tap()


def path_of(name):
    return os.path.join(WORK, name + ".qcow2")


def check(path, *options):
    """(exit status, the findings that this pass can raise, stdout)."""
    status, report, _, out = tools.qfsck_check(path, "--data", *options)
    mine = [f for f in (report or {}).get("findings", [])
            if 1900 <= f["id"] < 2000]
    return status, mine, out


def not_read_by_qemu(path, offsets, length):
    """The guest offsets where qemu-io gets an error."""
    commands = [a for o in offsets for a in ("-c", "read %d %d" % (o, length))]
    _, out, _ = tools.run(["qemu-io", "-r", "-f", "qcow2", *commands, path])
    said = re.findall(rb"^read (failed|\d+/\d+ bytes at offset)", out, re.M)
    return {o for o, word in zip(offsets, said) if word == b"failed"}


def ranges(findings, cluster):
    """The guest offsets of the clusters that the texts name."""
    found = set()
    for finding in findings:
        for start, end in re.findall(r"0x([0-9a-f]+)-0x([0-9a-f]+)",
                                     finding["message"]):
            found |= set(range(int(start, 16), int(end, 16), cluster))
    return found


def hurt(image, rng, entry):
    """Some bytes of the compressed data, overwritten."""
    offset, length = image.compressed_range(entry)
    at = offset + rng.randrange(min(length, rng.choice((24, length))))
    image.write(at, bytes(rng.randrange(256)
                          for _ in range(rng.choice((1, 2, 8)))))


def text_disk(rng, path, size):
    """A raw disk of words, which packs to about half."""
    words = [bytes(rng.randrange(97, 123) for _ in range(rng.randint(2, 9)))
             for _ in range(5000)]
    some = b" ".join(rng.choice(words) for _ in range(50000))
    with open(path, "wb") as file:
        for at in range(0, size, 4096):
            start = rng.randrange(len(some) - 4096)
            file.write(some[start:start + 4096])
        file.truncate(size)


def lost(out, cluster):
    """The guest offsets of the clusters that the report calls lost."""
    return {o for r in tools.parse(out)["lost"]
            for o in range(r["guest-offset"], r["guest-offset"] + r["length"],
                           cluster)}


def marked(path, cluster):
    """(status, the guest offsets marked in the map, those in doubt, OUT)."""
    out = path + ".out"
    status, told, _ = tools.run([tools.qfsck_path(), "extract",
                                 "--output=json", "--map=" + out + ".map",
                                 path, out])
    doubt = {o for r in tools.parse(told)["lost"] if r.get("doubtful")
             for o in range(r["start"], r["start"] + r["length"], cluster)}
    bad = set()
    with open(out + ".map") as file:
        for start, length in re.findall(r"^(0x\S+) +(0x\S+) +-$",
                                        file.read(), re.M):
            bad |= set(range(int(start, 16), int(start, 16) + int(length, 16),
                             cluster))
    with open(out, "rb") as file:
        data = file.read()
    os.remove(out)
    os.remove(out + ".map")
    return status, bad, doubt, data


def extracted(path, cluster, bad, long):
    """What QEMU cannot read is marked, and what it reads is there: also a
    stream that is too long, which is in doubt."""
    theirs = path + ".theirs"
    tools.run(["cp", path, theirs])
    with qcow2.Image(theirs) as image:
        for guest, pos, _ in image.compressed_entries():
            if guest * cluster in bad:
                image.put64(pos, 0)
    tools.qemu_img("convert", "-O", "raw", theirs, theirs + ".raw")
    with open(theirs + ".raw", "rb") as file:
        want = file.read()
    os.remove(theirs)
    os.remove(theirs + ".raw")
    status, lost_there, doubt, data = marked(path, cluster)
    notes = []
    if status != (1 if bad or long else 0):
        notes.append("extract: exit %s" % status)
    if lost_there != bad | long or doubt != long:
        notes.append("extract marks %s, doubts %s" % (sorted(lost_there),
                                                      sorted(doubt)))
    if any(data[o:o + cluster] != want[o:o + cluster]
           for o in range(0, len(want), cluster) if o not in bad):
        notes.append("extract: not QEMU's bytes")
    return notes


def compare_with_qemu(kind, cluster, seed):
    """What qemu-io cannot read is what --all lists, cluster by cluster."""
    path = path_of("%s-%d-%d" % (kind, cluster, seed))
    rng = make.rng_of("payload", kind, cluster, seed)
    size = cluster * (20 if cluster == 2 * MB else 64)
    if seed == 0:
        make.build(path, size, make.compressed_writes(rng, size, cluster, 16),
                   cluster_size=cluster, compression_type=kind)
    else:
        text_disk(rng, path + ".raw", size)
        tools.qemu_img("convert", "-c", "-f", "raw", "-O", "qcow2", "-o",
                       "cluster_size=%d,compression_type=%s" % (cluster, kind),
                       path + ".raw", path)
        os.remove(path + ".raw")
    with qcow2.Image(path) as image:
        entries = image.compressed_entries()
        for _, _, entry in rng.sample(entries, 12):
            hurt(image, rng, entry)
        offsets = [guest * cluster for guest, _, _ in entries]
    bad = not_read_by_qemu(path, offsets, cluster)
    status, found, out = check(path, "--all")
    damaged = [f for f in found if f["name"] == "compressed-damaged"]
    ours = ranges(damaged, cluster)
    notes = []
    if ours != bad or len(damaged) != len(bad):
        notes.append("qemu-io cannot read %s, we name %s" % (
            sorted(bad), sorted(ours)))
    # what reads, but does not end with the cluster, is in doubt
    if lost(out, cluster) != ranges(found, cluster):
        notes.append("lost: %s" % sorted(lost(out, cluster)))
    if status != (2 if found else 0):
        notes.append("exit %s" % status)
    long = ranges([f for f in found if f["name"] == "compressed-length"],
                  cluster)
    return notes + extracted(path, cluster, bad, long)


def one_finding_a_table():
    """Damage under two L2 tables: two findings, with counts and ranges."""
    cluster, path = 4096, path_of("tables")
    span = cluster * cluster // 8
    writes = ["write -c -P %d %d 4k" % (n + 1, at + n * cluster)
              for at in (0, span) for n in range(20)]
    make.build(path, 4 * span, writes, cluster_size=cluster)
    with qcow2.Image(path) as image:
        for guest, _, entry in image.compressed_entries():
            # 1 to 3 of the first table; every other one of the second
            if guest in (1, 2, 3) or guest >= 512 and guest % 2 == 0:
                offset, _ = image.compressed_range(entry)
                image.write(offset, b"\xff" * 8)
        tables = [image.l2_offset(i) for i in image.l1_used()]
    status, found, out = check(path)
    have = [(f["count"], f["guest-offset"]) for f in found]
    notes = []
    if status != 2 or have != [(3, cluster), (10, span)]:
        notes.append("exit %s, %s" % (status, have))
    if notes:
        return notes
    if "0x1000-0x3fff;" not in found[0]["message"]:
        notes.append(found[0]["message"])
    if "and more" not in found[1]["message"]:
        notes.append(found[1]["message"])
    for table, finding in zip(tables, found):
        if "table at 0x%x," % table not in finding["message"]:
            notes.append(finding["message"])
    if check(path, "--jobs", "1")[2] != out or \
            check(path, "--jobs", "5")[2] != out:
        notes.append("the report depends on the number of jobs")
    return notes


def only_in_a_snapshot():
    """What only a snapshot still holds is looked at, and named."""
    path = path_of("snapshot")
    make.build(path, "1M", ["write -c -P 1 0 4k", "write -c -P 2 4k 4k",
                            ("snap", "old")], cluster_size=4096)
    with qcow2.Image(path) as image:
        offset, _ = image.compressed_range(image.compressed_entries()[0][2])
    make.apply_steps(path, ["write -P 3 0 4k"])
    with qcow2.Image(path) as image:
        image.write(offset, b"\xff" * 8)
    status, found, out = check(path)
    if status != 2 or len(found) != 1 or found[0]["guest-offset"] != 0:
        return ["exit %s, %s" % (status, found)]
    if [r["holder"] for r in tools.parse(out)["lost"]] != ["1"]:
        return [out.decode()]
    if "old" not in found[0]["owner"] or "active" in found[0]["owner"]:
        return [found[0]["owner"]]
    return []


def shared_by_all():
    """A cluster that five disk states share is read and named once."""
    path = path_of("shared")
    make.build(path, "1M", ["write -c -P 1 0 4k"] +
               [("snap", "s%d" % n) for n in range(4)] +
               ["write -P 9 64k 4k"], cluster_size=4096)
    with qcow2.Image(path) as image:
        offset, _ = image.compressed_range(image.compressed_entries()[0][2])
        image.write(offset, b"\xff" * 8)
    status, found, out = check(path)
    if status != 2 or [f["count"] for f in found] != [1]:
        return ["exit %s, %s" % (status, found)]
    lost = tools.parse(out)["lost"]
    want = [{"holder": h, "guest-offset": 0, "length": 4096}
            for h in ("active", "1", "2", "3", "4")]
    return [] if lost == want else ["lost: %s" % lost]


def one_for_a_million():
    """262144 entries that name the same bytes cost no more than a few."""
    path = path_of("million")
    make.build(path, "512G", ["write -c -P 1 0 2M"], cluster_size=2 * MB)
    with qcow2.Image(path) as image:
        _, pos, entry = image.compressed_entries()[0]
        image.write(pos, entry.to_bytes(8, "big") * image.l2_entries)
    start = time.monotonic()
    status, found, _ = check(path)
    seconds = time.monotonic() - start
    notes = [] if not found else ["%s %s" % (status, found)]
    with qcow2.Image(path) as image:
        image.write(image.compressed_range(entry)[0], b"\xff" * 8)
    status, found, _ = check(path)
    if [f["count"] for f in found] != [262144]:
        notes.append("%s" % found)
    return notes + (["%.0f s" % seconds] if seconds > 100 else [])


def other_cluster():
    """An entry that points into the middle of another's data."""
    path = path_of("shifted")
    make.build(path, "1M", ["write -c -P 1 0 4k", "write -c -P 2 4k 4k"],
               cluster_size=4096)
    with qcow2.Image(path) as image:
        _, pos, entry = image.compressed_entries()[0]
        image.put64(pos, entry + 3)
    status, found, _ = check(path)
    if status != 2 or [f["name"] for f in found] != ["compressed-damaged"]:
        return ["exit %s, %s" % (status, found)]
    return []


def longer_stream():
    """A stream that goes on behind its cluster: QEMU's bytes, in doubt."""
    path, cluster = path_of("longer"), 65536
    make.build(path, "1M", ["write -c -P 1 0 64k", "write -c -P 2 64k 64k"])
    text = b"".join(b"%d " % n for n in range(30000))[:cluster + 7000]
    packer = zlib.compressobj(9, zlib.DEFLATED, -12)
    stream = packer.compress(text) + packer.flush()
    with qcow2.Image(path) as image:
        _, pos, _ = image.compressed_entries()[0]
        end = image.file_size()
        image.truncate(end + cluster)
        image.write(end, stream)
        image.set_refcount(end // cluster, 1)
        image.put64(pos, qcow2.COMPRESSED | end |
                    len(stream) // 512 << 62 - (image.cluster_bits - 8))
    status, bad, doubt, data = marked(path, cluster)
    notes = extracted(path, cluster, set(), {0})
    if data[:cluster] != text[:cluster] or status != 1 or doubt != {0}:
        notes.append("exit %s, marked %s, in doubt %s" % (status, bad, doubt))
    return notes


def the_map():
    """qfsck map --data calls lost what does not inflate."""
    path = path_of("tables")
    notes = []
    for args, want in ((("--data",), 13), ((), 0)):
        status, out, _ = tools.run([tools.qfsck_path(), "map",
                                    "--output=json", *args, path])
        n = sum(e["length"] for e in tools.parse(out) if e.get("lost"))
        if n != want * 4096 or status != (1 if want else 0):
            notes.append("%s: exit %s, %d lost" % (args, status, n))
    return notes


def guest(path):
    tools.qemu_img("convert", "--salvage", "-f", "qcow2", "-O", "raw", path,
                   path + ".raw")
    with open(path + ".raw", "rb") as file:
        return file.read()


def neighbours():
    """A sector of two clusters' data: both are told, and not handed out as
    whole"""
    cluster, path = 4096, path_of("neighbours")
    rng = make.rng_of("neighbours")
    text_disk(rng, path + ".raw", 40 * cluster)
    tools.qemu_img("convert", "-c", "-f", "raw", "-O", "qcow2", "-o",
                   "cluster_size=%d" % cluster, path + ".raw", path)
    sound, notes = guest(path), []
    with qcow2.Image(path) as image:
        places = [image.compressed_range(e)[0]
                  for _, _, e in image.compressed_entries()[1:]]
    for at in (p // 512 * 512 for p in places if p % 512 > 64):
        with qcow2.Image(path) as image:
            kept = image.read(at, 512)
            image.write(at, bytes(512))
        is_ = guest(path)
        wrong = {n for n in range(0, len(sound), cluster)
                 if sound[n:n + cluster] != is_[n:n + cluster]}
        _, _, out = check(path)
        if not wrong <= lost(out, cluster):
            notes.append("sector %#x: wrong %s, lost %s" % (
                at, sorted(wrong), sorted(lost(out, cluster))))
        _, out, _ = tools.run([tools.qfsck_path(), "extract", "--output=json",
                               path, path + ".out"])
        told = {n for r in tools.parse(out)["lost"]
                for n in range(r["start"], r["start"] + r["length"], cluster)}
        for name in (path + ".out", path + ".out.map"):
            if os.path.exists(name):
                os.remove(name)
        if not wrong <= told:
            notes.append("sector %#x: wrong %s, extract says %s" % (
                at, sorted(wrong), sorted(told)))
        with qcow2.Image(path) as image:
            image.write(at, kept)
    return notes


def without_the_option():
    """No payload is read without --data."""
    path = path_of("tables")
    status, report, _, _ = tools.qfsck_check(path)
    if status != 0 or report["findings"]:
        return ["exit %s, %s" % (status, report["findings"])]
    return []


for kind in ("zlib", "zstd"):
    for cluster in (512, 4096, 65536, 2 * MB):
        if kind == "zstd" and cluster == 512:
            continue    # qemu finds nothing that packs well enough
        for seed in range(2):
            notes = compare_with_qemu(kind, cluster, seed)
            tap.result(not notes, "%s, clusters of %d, seed %d: as qemu-io "
                       "reads" % (kind, cluster, seed), notes)
for case in (one_finding_a_table, only_in_a_snapshot, shared_by_all,
             one_for_a_million, other_cluster, longer_stream, the_map,
             neighbours,
             without_the_option):
    notes = case()
    tap.result(not notes, case.__doc__.rstrip("."), notes)
for name in sorted(LAYOUTS):
    if name.startswith(("zlib", "zstd", "extl2-65536", "snap-v3", "datafile",
                        "luks")):
        path = path_of(name)
        LAYOUTS[name](path)
        status, found, _ = check(path)
        notes = ["exit %s, %s" % (status, found)] if status or found else []
        tap.result(not notes, name + " is sound", notes)
tools.run(["rm", "-rf", WORK])
sys.exit(tap.finish())
