#!/usr/bin/env python3
"""Hex in qfsck viz: the guest's bytes are those of extract, a search finds
what is there and no more, what is written to a file is what was shown."""
import os
import re
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "screens"))
sys.path.insert(0, HERE)
from screens import QFSCK, Quiet, digest, make              # noqa: E402
from viz_findings import screens                            # noqa: E402

CASES = ("clean-zlib-data", "clean-zstd-data", "clean-snapshots",
         "clean-extended-l2", "lost-l2-zeroed")
ROW = re.compile(r"0x([0-9a-f]{8})   ((?:[0-9a-f]{2} ){16})")


def raw(image, tmp, state=None):
    """The bytes of the disk, as extract writes them."""
    out = os.path.join(tempfile.mkdtemp(dir=tmp), "raw")
    subprocess.run([QFSCK, "extract", *(["-l", state] if state else []),
                    image, out], capture_output=True, timeout=60)
    with open(out, "rb") as file:
        return file.read()


def shown(screen):
    """{offset: 16 bytes} of the rows of a screen."""
    return {int(m[1], 16): bytes.fromhex(m[2])
            for line in screen for m in [ROW.match(line)] if m}


def places(data, needle):
    found, at = [], data.find(needle)
    while at >= 0:
        found.append(at)
        at = data.find(needle, at + 1)
    return found


def check_bytes(tap, images, tmp):
    for case, image in images.items():
        data = raw(image, tmp)
        spots = [0, len(data) // 3, len(data) // 2, len(data) - 16]
        seen = screens(image, "key 1 b\nwait\n" + "".join(
            f"key :\ntype g{at}\nkey Enter\nwait\nsave -\n" for at in spots),
            tmp)
        rows = [shown(s) for s in seen]
        bad = [hex(at) for part in rows for at, b in part.items()
               if data[at:at + 16] != b]
        tap.result(not bad and all(
            at & ~15 in part for at, part in zip(spots, rows)),
            f"{case}: the disk's bytes are those of extract", bad)


def cursor(screen):
    found = re.match(r" (?:guest offset )?0x([0-9a-f]+)", screen[-3])
    return found and int(found[1], 16)


def check_search(tap, images, tmp):
    """All places, in turn, and round; forwards and back."""
    for case in ("clean-zlib-data", "clean-snapshots"):
        with open(images[case], "rb") as file:
            whole = file.read()
        for what, data, start in (("disk", raw(images[case], tmp), "1 g b"),
                                  ("file", whole, "2 g x")):
            at = next(i for i in range(len(data) // 2, len(data))
                      if data[i] and len(set(data[i:i + 8])) > 1)
            needle = data[at:at + 8]
            want = places(data, needle)
            turns = min(len(want), 12)
            text = f"0x{needle.hex()}"
            for key, order in (("n", want), ("N", want[::-1])):
                first = [w for w in order if w] if order[0] == 0 else order
                seen = screens(
                    images[case], f"key {start}\nwait\nkey /\ntype {text}\n"
                    f"key Enter\nwait\n" + ("key g N\nwait\n" if key == "N"
                                            else "") + "save -\n" +
                    f"key {key}\nwait\nsave -\n" * turns, tmp)
                got = [cursor(s) for s in seen]
                ring = (first + order)[:turns + 1]
                tap.result(got == ring and all("found at" in s[-1] and
                           f"% of the {what}" in s[-1] for s in seen)
                           and any("round the" in s[-1] for s in seen)
                           >= (turns == len(want)),
                           f"{case}: {key} finds {len(want)} places of the "
                           f"{what}", [f"{got[:5]} {ring[:5]}", seen[-1][-1]])
    none = screens(images["clean-snapshots"], "key 1 b /\ntype no such\n"
                   "key Enter\nwait\nsave -\n", tmp)[0]
    tap.result('"no such" not found in the disk' in none[-1],
               "what is not there is not found", none[-1:])


def check_write(tap, images, tmp):
    image = images["clean-zlib-data"]
    data, before = raw(image, tmp), digest(image)
    out, part = os.path.join(tmp, "cluster"), os.path.join(tmp, "part")
    seen = screens(image, "key 1 b\nwait\nkey :\ntype g40000\nkey Enter\nwait\n"
                   f"key w\ntype {out}\nkey Enter\nsave -\n"
                   f"key w\ntype 5k {part}\nkey Enter\nsave -\n"
                   f"key w\ntype {out}\nkey Enter\nsave -\n"
                   f"key w\ntype {image}\nkey Enter\nsave -\n", tmp)
    with open(out, "rb") as file:
        cluster = file.read()
    with open(part, "rb") as file:
        some = file.read()
    size = len(cluster)
    at = 40000 // size * size
    tap.result(size >= 512 and cluster == data[at:at + size]
               and some == data[40000:40000 + 5120] and "5 KiB" in seen[1][-1],
               "w writes the cluster, or as much as is said",
               [f"{size} {len(some)}", seen[0][-1]])
    tap.result("File exists" in seen[2][-1] and "File exists" in seen[3][-1]
               and digest(image) == before,
               "and never over a file that is there", [seen[3][-1]])


def check_yank(tap, images, tmp):
    seen = screens(images["clean-snapshots"], "key 2 :\ntype 0x5000\n"
                   "key Enter y\nsave -\nkey g : Up Enter x\nwait\nsave -\n",
                   tmp)
    tap.result("0x5000" in seen[0][-1] and cursor(seen[1]) == 0x5000,
               "a yanked offset comes back", [seen[0][-1], *seen[1][-4:]])


def check_whose(tap, tmp):
    """The line below tells the place on the disk, and the file."""
    root, image = os.path.join(tmp, "root"), os.path.join(tmp, "ext.qcow2")
    os.makedirs(os.path.join(root, "etc"))
    with open(os.path.join(root, "etc", "motd"), "w") as file:
        file.write("a needle in a haystack\n" * 300)
    disk = os.path.join(tmp, "ext.raw")
    run = subprocess.run(["mke2fs", "-q", "-F", "-t", "ext4", "-d", root,
                          disk, "8M"], capture_output=True, text=True,
                         env=dict(os.environ, PATH=os.environ["PATH"]
                                  + ":/sbin:/usr/sbin"))
    if run.returncode:
        tap.result(False, "mke2fs makes a file system", [run.stderr])
        return
    subprocess.run(["qemu-img", "convert", "-c", "-O", "qcow2", "-o",
                    "cluster_size=4k", disk, image], check=True)
    on_disk = raw(image, tmp).find(b"needle in a hay")
    seen = screens(image, "key 1 b\nwait\nkey /\ntype needle in a hay\n"
                   "key Enter\nwait\nsave -\nkey b\nwait\nsave -\n", tmp)
    tap.result(cursor(seen[0]) == on_disk and "/etc/motd" in seen[0][-2]
               and on_disk > 0 and "compressed" in seen[0][1],
               "a hit in a compressed cluster: whose it is",
               [*seen[0][:2], *seen[0][-4:]])
    tap.result(f"guest offset {on_disk & ~4095:#x}" in seen[1][-2]
               and "/etc" in seen[1][-2] and "the active disk" in seen[1][-2],
               "and in the file: where on the disk, and whose",
               [*seen[1][:2], *seen[1][-4:]])


def main():
    tap = Quiet()
    with tempfile.TemporaryDirectory() as tmp:
        images = make(sorted(CASES), tmp)
        images = {case: images[case] for case in CASES}
        check_bytes(tap, images, tmp)
        check_search(tap, images, tmp)
        check_write(tap, images, tmp)
        check_yank(tap, images, tmp)
        check_whose(tap, tmp)
    return tap.finish()


if __name__ == "__main__":
    sys.exit(main())
