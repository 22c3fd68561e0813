#!/usr/bin/env python3
"""Files of more than 2^31 clusters, which qemu-img gives up on.

They are sparse: what counts is that the check takes neither the time nor the
memory that their size suggests, and finds what is there. And the bound on
memory and the number of jobs leave the output as it is.
"""
import json
import os
import resource
import struct
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
from tap import Tap  # noqa: E402

QFSCK = os.environ.get("QFSCK") or os.path.abspath(
    os.path.join(os.path.dirname(__file__), "..", "..", "qfsck"))
IMG = "huge.qcow2"


def run(*argv):
    return subprocess.run(argv, capture_output=True, text=True, timeout=100)


def make(cluster, size):
    run("qemu-img", "create", "-q", "-f", "qcow2", "-o",
        f"cluster_size={cluster}", IMG, "64M")
    run("qemu-io", "-c", "write 0 1M", IMG)
    os.truncate(IMG, size)


def first_l2():
    with open(IMG, "rb") as f:
        head = f.read(72)
        f.seek(struct.unpack(">Q", head[40:48])[0])
        return struct.unpack(">Q", f.read(8))[0] & 0xfffffffffffe00


def check(*argv):
    out = run(QFSCK, "check", "--output=json", *argv, IMG)
    return out.returncode, out.stdout


def sparse(tap, name, cluster, size):
    try:
        make(cluster, size)
    except OSError as e:
        tap.skip(name, str(e))
        return
    code, text = check()
    tap.result(code == 0, f"{name}: clean", [str(code), text[:200]])
    far = size - 8 * cluster & ~(cluster - 1)
    if far >= 1 << 56:
        far = 1 << 55
    with open(IMG, "r+b") as f:
        f.seek(first_l2())
        f.write(struct.pack(">Q", 1 << 63 | far))
    code, text = check()
    found = {f["name"]: f for f in json.loads(text)["findings"]}
    tap.result(code == 2 and
               found.get("refcount-zero", {}).get("host-offset") == far,
               f"{name}: a cluster at its end is found", [text[:400]])


def one_table(tap):
    """Every entry of a large L1 table names one and the same L2 table."""
    run("qemu-img", "create", "-q", "-f", "qcow2", IMG, "120T")
    run("qemu-io", "-c", "write 0 64M", IMG)
    with open(IMG, "r+b") as f:
        n, off = struct.unpack(">IQ", f.read(48)[36:])
        f.seek(off)
        entry = f.read(8)
        f.seek(off)
        f.write(entry * n)
    code, text = check()
    tap.result(code == 2 and "l2-table-shared" in text,
               f"{n} L1 entries name one table: no hang", [str(code)])


def same_output(tap):
    make(65536, 1 << 30)
    with open(IMG, "r+b") as f:
        f.seek(first_l2())
        f.write(os.urandom(4096))
    want = check("--jobs", "1")
    for argv in (("--jobs", "2"), ("--jobs", "8"), ("--max-memory", "1M"),
                 ("--max-memory", "16M", "--jobs", "8")):
        tap.result(check(*argv) == want, f"{' '.join(argv)}: the same bytes")


def extract(tap, name, size, cluster, writes):
    """What is not mapped is passed over, not gone through."""
    run("qemu-img", "create", "-q", "-f", "qcow2", "-o",
        f"cluster_size={cluster}", IMG, str(min(size, 1 << 60)))
    for at in writes:
        run("qemu-io", "-c", f"write -P 7 {at} 64k", IMG)
    with open(IMG, "r+b") as f:
        f.seek(24)
        f.write(struct.pack(">Q", size))
    want = b"\7" * 65536
    start = time.monotonic()
    out = run(QFSCK, "extract", IMG, "raw")
    seconds = time.monotonic() - start
    found = os.path.getsize("raw") == size
    with open("raw", "rb") as f:
        for at in writes:
            f.seek(at)
            found = found and f.read(65536) == want
    tap.result(out.returncode == 0 and found and seconds < 20 and
               os.stat("raw").st_blocks * 512 <= len(writes) * 131072,
               f"extract: {name}", [str(out), f"{seconds:.1f} s"])
    os.remove("raw")


def main():
    tap = Tap()
    with tempfile.TemporaryDirectory(dir="/dev/shm") as tmp:
        os.chdir(tmp)
        sparse(tap, "2^31 clusters of 512 bytes", 512, 1200 << 30)
        sparse(tap, "2^30 clusters of 64 KiB", 65536, 64 << 40)
        sparse(tap, "4 EiB", 65536, 4 << 60)
        extract(tap, "1 EiB", 1 << 60, 2 << 20, (0, 1 << 45, (1 << 60) - 65536))
        for size in (1 << 60, 4 << 60, 5 << 60, (1 << 63) - 4096):
            extract(tap, f"a header that says {size}", size, 2 << 20,
                    (0, 1 << 45))
        same_output(tap)
        one_table(tap)
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss >> 10
        # 4 EiB take 146 MiB, nearly all of it the maps of the ledger
        tap.result(peak < 256, f"peak memory {peak} MiB")
    return tap.finish()


if __name__ == "__main__":
    sys.exit(main())
