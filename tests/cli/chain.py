#!/usr/bin/env python3
"""qfsck check and backing chains, with and without --backing-chain."""

import json
import os
import shutil
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "lib"))

from layouts import LAYOUTS                                 # noqa: E402
from staged import Writer                                   # noqa: E402
from tap import Tap                                         # noqa: E402
import make                                                 # noqa: E402
import qcow2                                                # noqa: E402
import tools                                                # noqa: E402

WORK = tempfile.mkdtemp(prefix="chain.")
CHAIN = "--backing-chain"
LOCKED = "driver=qcow2,file.driver=file,file.filename="
tap = Tap()


def at(name):
    return os.path.join(WORK, name)


def base(name, size="4M"):
    make.build(at(name), size, ["write -P 1 0 1M"], cluster_size=4096)


def overlay(name, base_name, fmt="qcow2", size="4M"):
    """An overlay that names its base as it is given, there or not."""
    tools.qemu_img("create", "-q", "-f", "qcow2", "-u", "-b", base_name, "-F",
                   fmt, at(name), size)


def touch(name, seconds):
    os.utime(at(name), (seconds, seconds))


def corrupt(name):
    """A reserved bit, and the file's time left as it was."""
    before = os.stat(at(name))
    with qcow2.Image(at(name)) as image:
        _, pos, entry = image.normal_entries()[0]
        image.put64(pos, entry | 1 << 57)
    os.utime(at(name), ns=(before.st_atime_ns, before.st_mtime_ns))


def leak(name):
    before = os.stat(at(name))
    with qcow2.Image(at(name)) as image:
        at_end = image.clusters()
        image.truncate((at_end + 1) * image.cluster)
        image.set_refcount(at_end, 1)
    os.utime(at(name), ns=(before.st_atime_ns, before.st_mtime_ns))


def check(*args, cwd=WORK):
    """(exit status, [report of each image])."""
    status, out, _ = tools.run([tools.qfsck_path(), "check", "--output=json",
                                *args], cwd=cwd)
    if len([a for a in args if a[0] != "-"]) > 1:
        return status, [json.loads(line) for line in out.splitlines()]
    return status, [tools.parse(out)]


def human(*args):
    status, out, _ = tools.run([tools.qfsck_path(), "check", *args], cwd=WORK)
    return status, out.decode()


def names(report):
    return [f["name"] for f in report["findings"]]


def said(report):
    """Verdict and findings of an image, and of each file behind it."""
    return [(r["filename"], r["verdict"], names(r))
            for r in [report, *report.get("chain", [])]]


def same(have, want):
    return [] if have == want else ["%s" % (have,), "not %s" % (want,)]


def whole():
    """Three sound layers."""
    base("a0")
    overlay("a1", "a0")
    overlay("a2", "a1")
    status, reports = check(CHAIN, "a2")
    plain = check("a2")
    return same((status, said(reports[0])),
                (0, [(n, "clean", []) for n in ("a2", "a1", "a0")])) + \
        same(("chain" in plain[1][0], plain[0]), (False, 0))


def missing():
    """The base is gone: exit 1, as qemu-img has it."""
    overlay("m1", "gone")
    overlay("m2", "m1")
    with_it = check(CHAIN, "m2")
    without = check("m2")
    return same((with_it[0], said(with_it[1][0])),
                (1, [("m2", "unchecked", ["backing-missing"]),
                     ("m1", "unchecked", ["backing-missing"]),
                     ("gone", "unchecked", [])])) + \
        same((without[0], said(without[1][0])),
             (1, [("m2", "unchecked", ["backing-missing"])])) + \
        same(tools.qemu_check(at("m2"))[0], 1)


def headline(*args):
    return human(*args)[1].splitlines()[0].split(":")[1].strip()


def no_start():
    """A disk that cannot start: told first, and its tables all the same."""
    notes = []
    for name, base_name, fmt in (("ns1", "ns1-gone", "qcow2"),
                                 ("ns2", "ns2", "qcow2"),
                                 ("ns3", "plain.raw", "qcow9"),
                                 ("ns4", "plain.raw", "qcow2"),
                                 ("ns5", "plain.raw", "vdi")):
        with open(at("plain.raw"), "wb") as file:
            file.truncate(4 << 20)
        make.build(at(name), "4M", ["write -P 1 0 1M"], cluster_size=4096)
        tools.qemu_img("rebase", "-u", "-f", "qcow2", "-F",
                       fmt.replace("9", "2"), "-b", base_name, at(name))
        with qcow2.Image(at(name)) as image:    # what no program writes
            off, length = image.extension(qcow2.EXT_BACKING_FORMAT)
            image.write(off, fmt.encode())
        for damage, tables, exit_code, verdict in (
                (None, "are in order", 1, "unchecked"),
                (leak, "have leaks", 1, "unchecked"),
                (corrupt, None, 2, "corrupt")):
            if damage:
                damage(name)
            for options in ((), (CHAIN,)):
                status, reports = check(*options, name)
                notes += same((status, reports[0]["verdict"],
                               headline(*options, name)),
                              (exit_code, verdict, verdict))
                text = human(*options, name)[1]
                if tables and "and %s" % tables not in text:
                    notes.append("%s: not told: %s" % (name, tables))
                if "no guest can start" not in text:
                    notes.append(name + ": not told that it cannot start")
        # qemu-img opens none of them, and follows a loop for ever
        if name != base_name:
            notes += same(tools.qemu_check(at(name))[0], 1)
    return notes


def no_start_repaired():
    """Its own tables are repaired all the same, and it is not called clean."""
    make.build(at("rp"), "4M", ["write -P 1 0 1M"], cluster_size=4096)
    tools.qemu_img("rebase", "-u", "-f", "qcow2", "-F", "qcow2", "-b", "gone",
                   at("rp"))
    with open(at("rp"), "rb") as file:
        was = file.read()
    corrupt("rp")
    status, out, _ = tools.run([tools.qfsck_path(), "repair", "-y",
                                "--output=json", "rp"], cwd=WORK)
    report = tools.parse(out)
    with open(at("rp"), "rb") as file:
        now = file.read()
    again = tools.run([tools.qfsck_path(), "repair", "-y", "--output=json",
                       "rp"], cwd=WORK)
    return same((status, report["verdict-before"], report["verdict-after"],
                 [f["name"] for f in report["left"]], now == was),
                (1, "corrupt", "unchecked", ["backing-missing"], True)) + \
        same((again[0], tools.parse(again[1])["edits"]), (1, []))


def no_data_file():
    """The data file is gone, of the image or of a base of it."""
    LAYOUTS["datafile"](at("nd0"))
    overlay("nd1", "nd0", size="64M")
    notes = same([check(n)[0] for n in ("nd0", "nd1")], [0, 0])
    for name in os.listdir(WORK):
        if name.startswith("nd0") and name != "nd0":
            os.remove(at(name))
    for name in ("nd0", "nd1"):
        status, reports = check(name)
        notes += same((status, reports[0]["verdict"],
                       "data-file" in names(reports[0])),
                      (1, "unchecked", True))
        notes += same(tools.qemu_check(at(name))[0], 1)
    return notes


def known_formats():
    """A format that QEMU knows and we do not read is no reason to stop."""
    notes = []
    for fmt in ("vmdk", "vdi", "vpc", "vhdx", "qed", "parallels", "qcow"):
        tools.qemu_img("create", "-q", "-f", fmt, at("kf." + fmt), "4M")
        overlay("kf-" + fmt, "kf." + fmt, fmt)
        notes += same((fmt, tools.qemu_check(at("kf-" + fmt))[0]), (fmt, 0))
        notes += same((fmt, check("kf-" + fmt)[0]), (fmt, 0))
        # and without a recorded one
        tools.qemu_img("rebase", "-u", "-f", "qcow2", "-b", "", at("kf-" + fmt))
        with qcow2.Image(at("kf-" + fmt)) as image:
            name = b"kf." + fmt.encode()
            image.put("backing_file_offset", 1024)
            image.put("backing_file_size", len(name))
            image.write(1024, name)
        notes += same((fmt, check("kf-" + fmt)[0]), (fmt, 0))
    return notes


def unreadable():
    """An image that cannot be read has an object of JSON all the same."""
    notes = []
    with open(at("un.raw"), "wb") as file:
        file.truncate(1 << 20)
    for args, code in ((("nowhere",), 1), (("un.raw",), 63),
                       ((CHAIN, "nowhere"), 1), (("-f", "raw", "un.raw"), 63),
                       (("-r", "all", "nowhere"), 1)):
        status, out, err = tools.run([tools.qfsck_path(), "check",
                                      "--output=json", *args], cwd=WORK)
        report = json.loads(out or b"{}")
        notes += same((args, status, report.get("filename"),
                       report.get("verdict")),
                      (args, code, args[-1],
                       "foreign" if code == 63 else "unchecked"))
        if not report.get("error") or \
                report.get("error", "-").encode() not in err:
            notes.append("%s: error %s" % (args, report.get("error")))
    return notes


def loop():
    """A chain that comes back to itself ends."""
    overlay("l1", "l2")
    overlay("l2", "l3")
    overlay("l3", "l1")
    status, reports = check(CHAIN, "l1", "l2", "l3")
    return same((status, [r["verdict"] for r in reports]),
                (1, ["unchecked"] * 3)) + \
        same(["backing-loop" in names(r) for r in reports], [True] * 3) + \
        same(check("l1")[0], 1)


def own_corruption_first():
    """The image's own 2 goes before the chain's 1."""
    base("o1")
    tools.qemu_img("rebase", "-u", "-f", "qcow2", "-F", "raw", "-b", "gone",
                   at("o1"))
    corrupt("o1")
    return same(check(CHAIN, "o1")[0], 2)


def damaged_base():
    """A damaged base is a warning of the overlay, and 2 for the chain."""
    base("d0")
    overlay("d1", "d0")
    corrupt("d0")
    status, reports = check(CHAIN, "d1")
    return same((status, said(reports[0])),
                (2, [("d1", "clean", ["backing-damaged"]),
                     ("d0", "corrupt", ["l2-entry-reserved"])])) + \
        same(check("d1")[0], 0)


def leaking_base():
    """A base that only leaks: 3."""
    base("k0")
    overlay("k1", "k0")
    leak("k0")
    status, reports = check(CHAIN, "k1")
    return same((status, said(reports[0])),
                (3, [("k1", "clean", []), ("k0", "leaks", ["refcount-leak"])]))


def modified_base():
    """A base written to after its overlay; one second decides."""
    base("n0")
    overlay("n1", "n0")
    notes = []
    for seconds, want in ((0, []), (-1, []), (1, ["backing-newer"]),
                          (86400 * 9, ["backing-newer"])):
        touch("n1", 1600000000)
        touch("n0", 1600000000 + seconds)
        status, reports = check("n1")
        notes += same((status, names(reports[0])), (0, want))
    return notes


def formats():
    """What is recorded against what is there, beside what QEMU opens."""
    with open(at("f.raw"), "wb") as file:
        file.truncate(4 << 20)
    base("f.qcow2")
    overlay("f1", "f.raw", "qcow2")
    overlay("f2", "f.qcow2", "raw", "1M")
    overlay("f3", "f.raw", "raw")
    notes = same(tools.qemu_check(at("f1"))[0], 1)
    notes += same(check("f1")[1][0]["verdict"], "unchecked")
    notes += same((check(CHAIN, "f1")[0], names(check("f1")[1][0])),
                  (1, ["backing-format-wrong"]))
    notes += same((check(CHAIN, "f2")[0], names(check("f2")[1][0])),
                  (0, ["backing-format-raw"]))
    notes += same(tools.qemu_check(at("f2"))[0], 0)
    status, reports = check(CHAIN, "f3")
    return notes + same((status, said(reports[0])),
                        (0, [("f3", "clean", []), ("f.raw", "clean", [])]))


def foreign_base():
    """A base of a format that is not checked: 63, as for such an image."""
    tools.qemu_img("create", "-q", "-f", "vmdk", at("v.vmdk"), "4M")
    overlay("v1", "v.vmdk", "vmdk")
    return same((check(CHAIN, "v1")[0], check("v1")[0]), (63, 0))


def remote_base():
    """A base that no program serves is missing; what is not read here is not."""
    overlay("r1", "nbd://127.0.0.1:1/x", "raw")
    overlay("r2", "https://127.0.0.1:1/x", "raw")
    notes = []
    for name, wanted, alone in (("r1", "backing-missing", 1),
                                ("r2", "backing-damaged", 0)):
        status, reports = check(CHAIN, name)
        notes += same((status, names(reports[0])), (1, [wanted])) + \
            same(check(name)[0], alone)
    return notes


def names_as_qemu_resolves():
    """Relative, file: and json: names from two working directories."""
    os.makedirs(at("dir"))
    base("dir/b")
    base("b")
    by_json = 'json:{"driver":"qcow2","file":{"driver":"file","filename":"%s"}}'
    notes = []
    for name in ("b", "./b", "../b", at("b"), "file:b", "file:dir/b",
                 "file:" + at("b"), by_json % "b", by_json % "dir/b",
                 'json:{"driver":"qcow2","file.filename":"dir/b"}'):
        overlay("dir/o", name)
        for cwd, path in ((WORK, "dir/o"), (at("dir"), "o")):
            theirs = tools.run(["qemu-img", "check", path], cwd=cwd)[0]
            status, reports = check(CHAIN, path, cwd=cwd)
            if (theirs == 0) != (status == 0):
                notes.append("%s from %s: qemu %s, %s" % (
                    name, cwd, theirs, said(reports[0])))
    return notes


def base_in_use():
    """A base that a machine writes to cannot be checked; with -U it can."""
    base("u0")
    overlay("u1", "u0")
    with Writer(at("u0"), LOCKED) as writer:
        notes = same(check(CHAIN, "u1")[0], 1)
        notes += same(check(CHAIN, "-U", "u1")[0], 0)
        writer.close()
    return notes


def one_base_many_overlays():
    """A template, its overlays, one of them with overlays of its own."""
    os.makedirs(at("pool"))
    base("pool/template")
    for n in range(4):
        overlay("pool/vm%d" % n, "template")
    overlay("pool/vm4", "vm1")
    overlay("pool/vm5", "vm4")
    leak("pool/template")
    images = ["pool/vm%d" % n for n in (0, 5, 2, 3, 1, 4)]
    status, out = human(CHAIN, *images)
    tree = out.partition("stand on them:\n")[2]
    want = """\
  pool/template: leaks
  |-- pool/vm0: clean
  |-- pool/vm1: clean
  |   `-- pool/vm4: clean
  |       `-- pool/vm5: clean
  |-- pool/vm2: clean
  `-- pool/vm3: clean
"""
    return same((status, tree), (3, want)) + \
        same(out.count("refcount-leak: "), 1) + \
        same(out.count("pool/vm1: clean\n"), 2)


def base_as_an_argument():
    """The base given too, before and after its overlay: checked once."""
    base("g0")
    overlay("g1", "g0")
    corrupt("g0")
    notes = []
    for order in (("g0", "g1"), ("g1", "g0")):
        status, out = human(CHAIN, *order)
        notes += same((status, out.count("l2-entry-reserved: ")), (2, 1))
        status, reports = check(CHAIN, *order)
        notes += same((status, {r["filename"]: r["verdict"] for r in reports}),
                      (2, {"g0": "corrupt", "g1": "clean"}))
    return notes


def another_name_for_a_base():
    """A link to a base is the same base."""
    base("s0")
    os.symlink("s0", at("s0-link"))
    os.link(at("s0"), at("s0-hard"))
    for n, name in enumerate(("s0", "s0-link", "s0-hard")):
        overlay("s1-%d" % n, name)
    corrupt("s0")
    _, out = human(CHAIN, "s1-0", "s1-1", "s1-2")
    return same(out.count("l2-entry-reserved: "), 1)


def shorter_base():
    """A template smaller than the disk: a note, as that is how it is done."""
    base("t0", "1M")
    overlay("t1", "t0", size="8M")
    status, reports = check(CHAIN, "t1")
    severities = [f["severity"] for f in reports[0]["findings"]]
    return same((status, names(reports[0]), severities),
                (0, ["backing-shorter"], ["note"]))


def deep():
    """Sixty layers."""
    base("deep0")
    for n in range(60):
        overlay("deep%d" % (n + 1), "deep%d" % n)
    status, reports = check(CHAIN, "deep60")
    return same((status, len(reports[0]["chain"])), (0, 60))


def quiet():
    """-q prints nothing about a sound chain."""
    base("q0")
    overlay("q1", "q0")
    return same(human(CHAIN, "-q", "q1"), (0, ""))


def data_file_from_elsewhere():
    """A data file is found from another working directory."""
    os.makedirs(at("df"))
    LAYOUTS["datafile"](at("df/image"))
    return same(names(check("df/image")[1][0]), []) + \
        same(names(check("image", cwd=at("df"))[1][0]), [])


for case in (whole, missing, no_start, no_start_repaired, no_data_file,
             known_formats, unreadable, loop, own_corruption_first, damaged_base,
             leaking_base, modified_base, formats, foreign_base, remote_base,
             names_as_qemu_resolves, base_in_use, one_base_many_overlays,
             base_as_an_argument, another_name_for_a_base, shorter_base, deep,
             quiet, data_file_from_elsewhere):
    notes = case()
    tap.result(not notes, case.__doc__.rstrip("."), notes)
for name in sorted(LAYOUTS):
    if name.startswith("backing"):
        LAYOUTS[name](at(name))
        status, reports = check(CHAIN, name)
        loud = [f["name"] for r in [reports[0], *reports[0]["chain"]]
                for f in r["findings"] if f["severity"] != "note"]
        notes = same((status, loud), (0, []))
        tap.result(not notes, name + " is sound", notes)
shutil.rmtree(WORK)
sys.exit(tap.finish())
