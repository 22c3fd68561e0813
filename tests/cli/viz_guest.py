#!/usr/bin/env python3
"""The browser's view of the guest's disk says what map, check and guest say.

Every stretch that map tells is of the kind that the view shows there; what
check calls lost is lost there, and seen at every zoom; files are found and
named; and the same place is found in the file and back.
"""
import collections
import html
import os
import re
import struct
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "screens"))
sys.path.insert(0, os.path.join(HERE, "..", "lib"))
from guests import *                                        # noqa: E402,F403
from screens import Quiet, digest, make, viz                # noqa: E402
from tools import own_folder                                # noqa: E402

MIB = 1 << 20
PROBES = 40     # stretches of a disk that are looked at
CASES = ("clean-snapshots", "clean-backing-chain", "clean-extended-l2",
         "clean-zlib", "lost-l2-zeroed", "lost-l2-part", "twice-data",
         "l2-is-random", "two-writers", "l2-entry-beyond",
         "clean-snapshot-resized", "backing-corrupt-chain",
         "clean-data-file")
OWN = ("of this state only", "shared with snapshots", "claimed by two")
BASES = ("from the backing file", "from the second backing file",
         "from deeper backing files")
STATUS = re.compile(r"^ (0x[0-9a-f]+): (.*)$", re.M)


def qfsck(*args):
    status, out, err = run([qfsck_path(), *args])
    return status, parse(out), err.decode(errors="replace")


def screens(image, lines, *args, size="300x50"):
    """The screens that the script's `save -` lines print."""
    wide, high = size.split("x")
    status, out, err = run(
        [qfsck_path(), "viz", *args, "--script", "-", image],
        feed="\n".join([f"size {size}", "wait", *lines, ""]).encode())
    assert status == 0 and not err, (status, err)
    rows = out.decode().split("\n")[:-1]
    assert len(rows) % int(high) == 0
    return ["\n".join(rows[i:i + int(high)])
            for i in range(0, len(rows), int(high))]


def go(place):
    return ["key :", f"type {place}", "key Enter"]


def allowed(e):
    """How the view may name what map tells of a stretch."""
    if e.get("lost"):
        return ("lost",)
    if "error" in e:
        return ("damaged",)
    if e["data"] and not e["zero"]:
        return ((BASES[min(e["depth"], 3) - 1],) if e["depth"]
                else (*OWN, "compressed"))
    return ("zeros",) if e["present"] else ("not mapped", "zeros")


def probe(image, holder, offsets):
    """What the view says at each offset of the disk of state number HOLDER."""
    lines = ["key " + "] " * holder, "wait"] if holder else []
    for off in offsets:
        lines += [*go(f"g{off:#x}"), "save -"]
    found = []
    for off, text in zip(offsets, screens(image, lines)):
        place, kind = STATUS.search(text).groups()
        assert int(place, 16) == off, text
        found.append(kind)
    return found


def check_kinds(tap, case, image):
    states = [None] + [s["id"] for s in
                       qfsck("info", "--output=json", image)[1]
                       .get("snapshots", [])]
    report = qfsck("check", "--output=json", image)[1]
    for n, state in enumerate(states[:3]):
        extents = qfsck("map", "--output=json",
                        *(["-s", state] if state else []), image)[1]
        step = len(extents) // PROBES + 1
        some = [e for e in extents[::step] if e["length"]]
        at = [off for e in some
              for off in (e["start"], e["start"] + e["length"] - 1)]
        said = probe(image, n, at)
        wrong = [(hex(off), kind, e) for off, kind, e in
                 zip(at, said, [e for e in some for _ in "ab"])
                 if not kind.startswith(allowed(e))]
        lost = [r for r in report["lost"]
                if str(r["holder"]) == (state or "active")
                and r["guest-offset"] < extents[-1]["start"]
                + extents[-1]["length"]]
        ends = [off for r in lost for off in
                (r["guest-offset"], r["guest-offset"] + r["length"] - 1)]
        wrong += [(hex(off), kind, "lost by check") for off, kind in
                  zip(ends, probe(image, n, ends) if ends else [])
                  if not kind.startswith("lost")]
        tap.result(not wrong and at,
                   f"{case}, state {state or 'active'}: {len(at)} places as "
                   f"map has them, {len(ends)} as check", map(str, wrong[:5]))


def group_of(e):
    """The kinds of the page's legend that a stretch of map counts in."""
    first = allowed(e)[0]
    return "data" if first in OWN else "nothing" \
        if first in ("zeros", "not mapped") else first


def check_shares(tap, case, image):
    """The page's legend of the disk: as many clusters as map and check say."""
    out = f"{case}.html"
    viz("--export", out, image)
    with open(out, encoding="utf-8") as f:
        disk = html.unescape(f.read()).split(">The file</h2>")[0]
    info = qfsck("info", "--output=json", image)[1]
    extents = qfsck("map", "--output=json", image)[1]
    unit = min([info["cluster-size"]] + [e["length"] for e in extents
                                         if e["length"]])
    drawn, told = collections.Counter(), collections.Counter()
    for name, n in re.findall(r"</i>([^:<]*): [^,]*, (\d+) cluster", disk):
        drawn["data" if name in (*OWN, "compressed") else "nothing"
              if name in ("zeros", "not mapped") else name] += int(n)
    for e in extents:
        told[group_of(e)] += -(-e["length"] // unit)
    total = sum(drawn.values())
    scale = sum(told.values()) / total if total else 0
    wrong = [(k, drawn[k], told[k]) for k in drawn | told
             if drawn[k] * scale != told[k]]
    tap.result(not wrong and total and (scale == 1 or scale == int(scale)
               or 1 / scale == int(1 / scale)),
               f"{case}: the page's legend has the shares that map has",
               [str(wrong), f"unit {unit}, scale {scale}"])


def kinds_of(e):
    """The keys of the kinds that a stretch of map may be drawn as."""
    if e.get("lost"):
        return {"lost"}
    if "error" in e:
        return {"damaged"}
    if e["data"] and not e["zero"]:
        return {("base", "base-2", "base-3")[min(e["depth"], 3) - 1]} \
            if e["depth"] else {"own", "shared", "compressed", "doubtful"}
    return {"zero"} if e["present"] else {"unmapped", "zero"}


def shares(extents, start, end):
    """How many of the bytes from START to END may be of each kind."""
    found = collections.Counter()
    for e in extents:
        n = min(end, e["start"] + e["length"]) - max(start, e["start"])
        if n > 0:
            for kind in kinds_of(e):
                found[kind] += n
    return found


def wrong_cell(cell, found, unit):
    """Why the cell is not as map has it, or None."""
    *_, kind, beside = cell
    empty = {"zero", "unmapped"}
    for grave in ("damaged", "lost"):
        if found[grave]:
            return None if kind == grave == beside else f"hides {grave}"
    if kind not in found or beside not in found:
        return "is nowhere there"
    if kind == "doubtful":      # map does not tell; du does
        return None
    if found[kind] + unit < max(found.values()):
        return "is not the most of it"
    if kind in empty and beside in empty and set(found) - empty:
        return "hides data"
    return None


def look_at_zoom(extents, n, unit, mode):
    """What is wrong with the cells and the screen of zoom N, as saved."""
    bad = []
    with open(f"zoom{n}.cells") as file:
        cells = [(*map(int, line.split()[:5]), *line.split()[5:])
                 for line in file]
    with open(f"zoom{n}.txt", encoding="utf-8") as file:
        screen = file.read().split("\n")
    end = extents[-1]["start"] + extents[-1]["length"]
    for cell in cells:
        x, y, _, start, stop, kind, beside = cell
        why = wrong_cell(cell, shares(extents, start, stop), unit) \
            if start < end else None
        if why:
            bad.append(f"zoom {n}, {start:#x} to {stop:#x}: {kind}, {beside}: "
                       + why)
        letter = LETTERS.get(kind if mode == "--ascii" or kind in GRAVE
                             else None)
        if mode == "--ascii" and kind in ("zero", "unmapped"):
            letter = LETTERS[beside]
        shown = screen[y].ljust(400)[x]
        if letter and shown != letter and not (
                mode != "--ascii" and shown in GRAVEST.get(kind, "")):
            bad.append(f"zoom {n}, {x},{y}: {shown} for {kind}")
    return bad, cells


LETTERS = {"unmapped": ",", "zero": "0", "shared": "=", "own": "@",
           "base": "b", "base-2": "d", "base-3": "e", "compressed": "c",
           "doubtful": "D", "lost": "L", "damaged": "X"}
GRAVE = ("doubtful", "lost", "damaged")
# Two cells share a character: it has the letter of the graver.
GRAVEST = {"doubtful": "LX", "lost": "X"}
ZOOMS = 9


def check_zooms(tap, case, image):
    """At every zoom the cells are what map and check have there, what is worst
    in one is not hidden, and the screen shows it."""
    report = qfsck("check", "--output=json", image)[1]
    extents = qfsck("map", "--output=json", image)[1]
    at = [r["guest-offset"] for r in report["lost"]
          if r["holder"] == "active"][:1] or [0]
    unit = min([qfsck("info", "--output=json", image)[1]["cluster-size"]]
               + [e["length"] for e in extents if e["length"]])
    for mode in ("--ascii", "--colour=256"):
        lines = [*go(f"g{at[0]:#x}")]
        for n in range(ZOOMS):
            lines += [f"cells zoom{n}.cells", f"save zoom{n}.txt", "key +"]
        for name in [f"zoom{n}.{end}" for n in range(ZOOMS)
                     for end in ("cells", "txt")]:
            if os.path.exists(name):
                os.unlink(name)
        screens(image, lines, mode, size="60x20")
        wrong, seen = [], 0
        for n in range(ZOOMS):
            bad, cells = look_at_zoom(extents, n, unit, mode)
            wrong += bad
            seen += len(cells)
        tap.result(not wrong and seen >= ZOOMS,
                   f"{case}, {mode}: {seen} cells at {ZOOMS} zooms are as map "
                   "has them", wrong[:6])


def entry(kind, start, sectors):
    return struct.pack("<4B4BII", 0, 0, 0, 0, kind, 0, 0, 0, start, sectors)


def make_guest():
    """A disk with two partitions; a snapshot; then a table is erased."""
    os.makedirs("root/etc")
    with open("root/etc/passwd", "w") as f:
        f.write("root:x:0:0::/root:/bin/sh\n" * 400)
    path = raw("disk.raw", 64 * MIB)
    sectors = MIB // 512
    put(path, 0, bytes(446) + entry(0x83, sectors, 8 * sectors)
        + entry(0x83, 16 * sectors, 40 * sectors) + bytes(32) + b"\x55\xaa")
    for at, size, label, root in ((1, 8, "boot", None),
                                  (16, 40, "root", "root")):
        fs = raw("fs", size * MIB)
        quiet("mke2fs", "-q", "-t", "ext4", "-L", label, "-E",
              "root_owner=0:0", *(["-d", root] if root else []), fs)
        with open(fs, "rb") as f:
            put(path, at * MIB, f.read())
    out = image(path, 16384)
    qemu_img("snapshot", "-c", "before", out)
    return out


def check_files(tap, disk):
    told = qfsck("guest", "--path=/etc/passwd", "--output=json", disk)[1]
    piece = told["files"][0]["pieces"][0]
    first, found, host, back, missing, late, wrong = screens(
        disk, ["save -", *go("/etc/passwd"), "wait", "save -",
               "key v", "save -", "key v", "wait", "save -",
               *go("/etc/shadow"), "wait", "save -",
               *go("g64M"), "save -", *go("nowhere"), "save -"])
    bar = first.split("\n")[2]
    tap.result('partition 1 (ext4 "boot")' in bar
               and 'partition 2 (ext4 "root")' in bar
               and bar.index("boot") < bar.index("root")
               and " The active disk: 64 MiB" in first,
               "the first view has the disk's partitions", [bar])
    off, kind = STATUS.search(found).groups()
    at = piece["extents"][0]["host-offset"]
    tap.result(int(off, 16) == piece["start"] and f"at {at:#x} of the file"
               in kind and 'partition 2 (ext4 "root"): /etc/passwd' in found,
               ":/etc/passwd goes to the file, and it is named there",
               [off, kind, *found.split("\n")[-3:]])
    tap.result(f" {at & ~16383:#x} cluster" in host,
               "v goes to the same cluster in the file",
               host.split("\n")[-3:])
    off = STATUS.search(back)
    tap.result(off and int(off[1], 16) == piece["start"] & ~16383,
               "and v back to the disk", back.split("\n")[-3:])
    tap.result('no file system of this disk has "/etc/shadow"' in missing
               and "past the end of the disk, which has 64 MiB" in late
               and '"nowhere" is no place' in wrong,
               "what cannot be gone to is said",
               [s.split("\n")[-1] for s in (missing, late, wrong)])


def check_moves(tap, disk):
    """States, the mouse on the bar and on the map, the finding's range."""
    second, bar, again = screens(
        disk, ["key ]", "wait", "save -", "key [", "wait", "click 150 2",
               "wait", "save -", "click 11 3", "wait", "save -"])
    off = STATUS.search(bar)
    tap.result('The disk of snapshot 1 ("before")' in second
               and off and int(off[1], 16) == 32 * MIB // 16384 * 16384
               and STATUS.search(again)[1] == "0x0",
               "] shows the snapshot's disk, a click on the bar goes there",
               [*second.split("\n")[:3], str(off)])
    with open(disk, "r+b") as f:
        f.seek(40)
        f.seek(struct.unpack(">Q", f.read(8))[0])
        table = struct.unpack(">Q", f.read(8))[0] & 0xfffffffffffe00
        f.seek(table)
        f.write(bytes(16384))
    lost = qfsck("check", "--output=json", disk)[1]["lost"][0]
    shown, entries = screens(
        disk, ["key 4 /", "type active disk", "key Enter Enter", "wait",
               "save -", "key x", "save -"])
    tap.result(int(STATUS.search(shown)[1], 16) == lost["guest-offset"]
               and "lost: " in shown and f"0x{table:08x}" in entries,
               "Enter on what was lost shows it, x the entry that is gone",
               [*shown.split("\n")[-3:], *entries.split("\n")[:3]])


def check_chance(tap, disk):
    """Keys by chance, while files are looked up: no crash, no byte changed."""
    before = digest(disk)
    shown = screens(disk, ["random 7 200", "wait", "random 70 200",
                           "storm 7 40", "size 80x24", "save -"],
                    size="80x24")
    tap.result(len(shown) == 1 and digest(disk) == before,
               "400 keys by chance on a disk with files")


def main():
    tap = Quiet()
    own_folder()
    images = make(CASES, os.getcwd())
    for case in CASES:
        check_kinds(tap, case, images[case])
        check_shares(tap, case, images[case])
        check_zooms(tap, case, images[case])
    disk = make_guest()
    check_files(tap, disk)
    check_chance(tap, disk)
    check_moves(tap, disk)
    return tap.finish()


if __name__ == "__main__":
    sys.exit(main())
