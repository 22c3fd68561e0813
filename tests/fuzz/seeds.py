#!/usr/bin/env python3
"""Makes the images that the fuzzers begin with: small, and of every sort.

    tests/fuzz/seeds.py FOLDER
"""
import gzip
import json
import os
import shutil
import sys

LIB = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib")
sys.path.insert(0, LIB)
import qimg  # noqa: E402

WRITES = ["write -P 1 0 8k", "write -P 2 40k 4k", "write -z 16k 8k"]
SEEDS = {
    "v2": (WRITES, dict(compat="0.10", cluster_size=512)),
    "v3": (WRITES, dict(cluster_size=512)),
    "refcounts1": (WRITES, dict(cluster_size=1024, refcount_bits=1)),
    "refcounts64": (WRITES, dict(cluster_size=1024, refcount_bits=64)),
    "snapshots": ([*WRITES, ("snap", "one"), "write -P 3 0 4k",
                   ("snap", "two"), "write -P 4 4k 4k"],
                  dict(cluster_size=1024)),
    "bitmaps": ([*WRITES, ("bitmap", "b", "-g", "4k"), "write -P 5 0 4k"],
                dict(cluster_size=4096)),
    "compressed": (["write -c -P 6 0 4k", "write -c -P 7 4k 4k"],
                   dict(cluster_size=4096)),
    "zstd": (["write -c -P 6 0 4k", "write -c -P 7 4k 4k"],
             dict(cluster_size=4096, compression_type="zstd")),
    "extended": (["write -P 1 0 2k", "write -P 2 20k 20k"],
                 dict(cluster_size=16384, extended_l2="on")),
    "lazy": (WRITES, dict(cluster_size=512, lazy_refcounts="on")),
}


def main():
    folder = os.path.abspath(sys.argv[1])
    os.makedirs(folder, exist_ok=True)
    for name, (steps, options) in SEEDS.items():
        path = os.path.join(folder, name)
        if not os.path.exists(path):
            qimg.build(path, "64k" if name != "extended" else "256k", steps,
                       **options)
            with open(path, "ab") as file:
                file.write(b"\0")       # the byte of the options
    make_undo_file(os.path.join(folder, "undo-file"))
    make_disks(folder)
    make_lists(folder)
    for name in ("luks-4096", "luks-65536"):
        with gzip.open(os.path.join(LIB, name + ".qcow2.gz")) as packed, \
                open(os.path.join(folder, name), "wb") as file:
            shutil.copyfileobj(packed, file)


def make_lists(folder):
    """What is kept of a pool, names, reports; the first byte tells which."""
    report = {"filename": "a\u00e9.qcow2", "verdict": "corrupt", "format":
              "qcow2", "corruptions": 3, "check-errors": 0, "lost": [
                  {"guest-offset": 0, "length": 65536, "holder": "active"}],
              "findings": [{"id": 1221, "name": "l2-table-erased",
                            "severity": "error", "count": 1, "message": "x"}]}
    kept = {"how": "", "kind": "corrupt", "note": "x", "seconds": 1.5,
            "behind": [], "report": report}
    for name, text in (("list-state", "\3" + "/x\\t\t1\t2\t3\t4\t" +
                        json.dumps(kept) + "\n"),
                       ("list-kept", "\6" + json.dumps(kept) + "\n"),
                       ("list-names", "\1a.qcow2\0driver=qcow2,file.filename="
                        "b\0"),
                       ("list-reports", "\2" + json.dumps(report) + "\n"),
                       ("list-page", "\2<!DOCTYPE html><title>a</title>\n")):
        with open(os.path.join(folder, name), "w", encoding="utf-8") as file:
            file.write(text)


DISKS = {
    "disk-ext2": (256, ["mke2fs", "-q", "-t", "ext2"]),
    "disk-ext4": (512, ["mke2fs", "-q", "-t", "ext4", "-O", "^has_journal"]),
    "disk-fat12": (128, ["mkfs.fat", "-F", "12"]),
    "disk-ntfs": (1024, ["mkntfs", "-F", "-q", "-Q", "-p", "0", "-s", "512",
                         "-H", "1", "-S", "1"]),
    "disk-exfat": (1024, ["mkfs.exfat", "-c", "4096", "-b", "4096"]),
    "disk-gpt": (256, ["sgdisk", "-a", "1", "-n", "1:100:200", "-n",
                       "2:210:300"]),
}


def make_disks(folder):
    """Guests' disks, where the tools are there to make them."""
    for name, (kib, tool) in DISKS.items():
        path = os.path.join(folder, name)
        if not os.path.exists(path):
            with open(path, "wb") as file:
                file.truncate(kib << 10)
            qimg.run([*tool, path])


def make_undo_file(path):
    """Of a repair, where there is a program to make one."""
    if os.path.exists(path) or not os.path.exists(qimg.qfsck_path()):
        return
    image = path + ".image"
    qimg.build(image, "64k", WRITES, cluster_size=512)
    with qimg.Image(image) as made:
        end = made.clusters()
        made.truncate((end + 20) * made.cluster)
        made.write(made.clusters() * made.cluster - 99, b"old data")
        made.set_refcount(end, 1)
    qimg.run([qimg.qfsck_path(), "repair", "-y", "--trim", "--undo=" + path,
              image])
    os.remove(image)


if __name__ == "__main__":
    main()
