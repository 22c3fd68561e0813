#!/usr/bin/env python3
"""qfsck viz without expected files: keys and sizes by chance on many images,
a script's mistakes, exported pictures; the image keeps every byte.

These run under the sanitizers, too.
"""
import glob
import html
import json
import os
import re
import subprocess
import sys
import tempfile
import time
import xml.dom.minidom

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "screens"))
from screens import QFSCK, Quiet, digest, make, viz         # noqa: E402

PAGES = ("l2-is-random", "twice-data", "lost-snapshot-count",
         "snapshot-under-writer", "snapshot-duplicate-name")
CHANCE = ("clean-snapshots", "clean-bitmaps", "clean-extended-l2",
          "clean-zlib", "l2-is-random", "two-writers", "clean-size-0",
          "snapshot-l1-crossing", "clean-terabyte")
# Whether what has no owner may be lost data there.
UNOWNED = {"leaks-scattered": False, "leaks-killed-writer": False,
           "lost-l2-zeroed": True, "lost-l2-part": True, "twice-data": True,
           "given-up-mark": True}
LOST = "no owner, may be lost data"
STALL = 30      # seconds, for all the keys, also under a sanitizer


def check_chance(tap, images, tmp):
    """Keys and sizes by chance: no crash, no stall, no byte changed."""
    for seed, case in enumerate(CHANCE):
        before = digest(images[case])
        script = os.path.join(tmp, "chance")
        with open(script, "w") as file:
            file.write(f"random {seed} 100\nwait\nrandom {seed + 50} 1000\n"
                       f"storm {seed} 200\nsize 80x24\nsave -\n")
        start = time.monotonic()
        run = viz("--script", script, f"--colour={('auto', '256')[seed % 2]}",
                  images[case])
        took = time.monotonic() - start
        good = (run.returncode == 0 and not run.stderr and took < STALL
                and len(run.stdout.splitlines()) == 24
                and digest(images[case]) == before)
        tap.result(good, f"1100 keys and 200 sizes by chance on {case}",
                   [f"exit {run.returncode} after {took:.1f} s", run.stderr])


def check_mistakes(tap, images, tmp):
    image = images["clean-snapshots"]
    for text, words in (("size big\n", "not a size"),
                        ("key Dwon\n", "no such key"),
                        ("dance\n", "unknown command in the script"),
                        ("save\n", "no file to save to")):
        script = os.path.join(tmp, "mistake")
        with open(script, "w") as file:
            file.write(text)
        run = viz("--script", script, image)
        tap.result(run.returncode == 1 and words in run.stderr,
                   f"a script that says {text.strip()!r} is refused",
                   [run.stderr])
    run = viz(image, stdin=subprocess.DEVNULL)
    tap.result(run.returncode == 1 and "needs a terminal" in run.stderr
               and not run.stdout, "without a terminal it says what to do",
               [run.stderr])


def check_pictures(tap, images, tmp):
    for case in ("clean-snapshots", "l2-is-random", "clean-size-0"):
        for end in ("svg", "png", "html"):
            out = os.path.join(tmp, f"{case}.{end}")
            run = viz("--export", out, images[case])
            good = run.returncode == 0 and not run.stderr
            data = open(out, "rb").read() if good else b""
            if end == "png":
                good = good and data[:8] == b"\x89PNG\r\n\x1a\n" \
                    and b"IEND" in data[-12:]
            elif end == "svg":
                good = good and xml.dom.minidom.parseString(data)
            else:
                good = good and data.rstrip().endswith(b"</html>")
            tap.result(good and len(data) < 1_000_000,
                       f"{case} as {end}", [run.stderr, f"{len(data)} bytes"])
    before = digest(images["clean-snapshots"])
    for name in ("image.png", "old.html"):
        target = os.path.join(tmp, name)
        os.link(images["clean-snapshots"], target)
        run = viz("--export", target, images["clean-snapshots"])
        tap.result(run.returncode == 1 and "not replaced" in run.stderr
                   and digest(images["clean-snapshots"]) == before,
                   f"{name} that is there is not replaced", [run.stderr])
    target = os.path.join(tmp, "empty.svg")
    open(target, "w").close()
    run = viz("--export", target, images["clean-snapshots"])
    tap.result(run.returncode == 1 and "not replaced" in run.stderr
               and not os.path.getsize(target),
               "nor is an empty file", [run.stderr])


def page_of(image, tmp):
    """The page on IMAGE."""
    out = os.path.join(tmp, "page.html")
    if os.path.exists(out):
        os.unlink(out)
    viz("--export", out, image)
    with open(out, encoding="utf-8") as file:
        return file.read()


def size(n):
    """N bytes in the program's words."""
    unit = 0
    while n >= 1024 and unit < 6:
        n, unit = n / 1024, unit + 1
    digits = 0 if n >= 100 or n == int(n) else 1 if n >= 10 else 2
    return f"{n:.{digits}f} {('B', 'KiB', 'MiB', 'GiB', 'TiB')[unit]}"


def qfsck(*args):
    run = subprocess.run([QFSCK, *args], capture_output=True, text=True,
                         timeout=60)
    return json.loads(run.stdout)


def no_words(text):
    """TEXT without the words beside hex: 0x8000 (32 KiB)."""
    words = r"(0x[0-9a-f]+) \((about )?[0-9.]+ [KMGTP]?i?B( \+ [0-9.]+ [KM]iB)*"
    text = re.sub(words + r"; ", r"\1 (", text)
    return re.sub(words + r"\)", r"\1", text)


def check_page(tap, images, tmp):
    """The page states what the JSON states."""
    for case in PAGES:
        page = html.unescape(page_of(images[case], tmp))
        report = qfsck("check", "--output=json", images[case])
        facts = [report["verdict"], report["filename"]]
        for f in report["findings"]:
            facts += [f"{f['id']} {f['name']}",
                      f"; count {f['count']}" if f["count"] > 1 else "",
                      f"fix: {f['fix']}, risk: {f['risk']}",
                      f.get("owner", ""), f.get("other-owner", "")]
            if "host-offset" in f:
                facts.append(f"host 0x{f['host-offset']:x}</a>, "
                             f"{size(f['length'])}")
            if "guest-offset" in f:
                facts.append(f"guest 0x{f['guest-offset']:x}")
            facts.append(f["message"].split(": ")[-1])
        for d in report["diagnosis"]:
            facts += [d["cause"], d["advice"]]
        for lost in report["lost"]:
            end = lost["guest-offset"] + lost["length"]
            facts += [f">0x{lost['guest-offset']:x}<",
                      f">0x{end:x}</td>"
                      f"<td class='n'>{size(lost['length'])}<"]
        page = no_words(page)
        missing = [f for f in facts if no_words(f) not in page]
        tap.result(not missing and len(facts) > 2,
                   f"the page on {case} states {len(facts)} facts of the JSON",
                   missing)


def check_what_if(tap, images, tmp):
    """What marked snapshots hold alone is what du says their deletion
    frees."""
    script = os.path.join(tmp, "what-if")
    for case in ("clean-snapshots", "clean-snapshot-resized",
                 "clean-vm-state"):
        ids = [h["id"] for h in qfsck("du", "--output=json", images[case])
               ["holders"] if h["id"] != "active"]
        for chosen in (ids[:1], ids[-1:], ids[::2], ids):
            keys = " ".join("j Space" if i in chosen else "j" for i in ids)
            with open(script, "w") as file:
                file.write(f"size 90x40\nwait\nkey 3 {keys}\nsave -\n")
            told = re.search(r"would free .*\((\d+) clusters\)",
                             viz("--script", script, images[case]).stdout)
            du = qfsck("du", "--output=json", "--if-deleted",
                       ",".join(chosen), images[case])
            freed = du["if-deleted"]["freed"] // du["cluster-size"]
            tap.result(told and int(told[1]) == freed,
                       f"{case} without {','.join(chosen)}: {freed} clusters",
                       [f"told {told and told[1]}"])


def check_unowned(tap, images, tmp):
    """What has no owner bears one name in check, du, owners, map and page:
    leaked only where nothing is lost or given up."""
    script = os.path.join(tmp, "unowned")
    with open(script, "w") as file:
        file.write("size 90x30\nwait\nkey 2\nsave -\n")
    for case, lost in UNOWNED.items():
        image = images[case]
        du = qfsck("du", "--output=json", image)
        leak = [f for f in qfsck("check", "--output=json", image)["findings"]
                if f["severity"] == "leak" and "host-offset" in f][0]
        host = qfsck("owners", "--output=json",
                     f"--host={leak['host-offset']}", image)["state"]
        name, other = (LOST, "leaked") if lost else ("leaked", LOST)
        room = (du["leaked"], du["may-be-lost"])[lost]
        map_ = viz("--script", script, image).stdout
        page = page_of(image, tmp)
        good = (room and du["leaked"] + du["may-be-lost"] == room
                and host == name and "?!"[lost] in map_
                and f"{'?!'[lost]} {name} " in map_ and other not in map_
                and f">{'?!'[lost]}</i>{name}: " in page
                and f"</i>{other}: " not in page
                and f"<title>{name}</title>" in page
                and ("<text" in page) == ("?!"[lost] + "</text>" in page))
        tap.result(good, f"{case}: {name}", [f"{room} {host}", map_])


def check_doubtful(tap, images, tmp):
    """Clusters that two claim are a kind of their own, as many as du says."""
    script = os.path.join(tmp, "doubtful")
    with open(script, "w") as file:
        file.write("size 90x30\nwait\nkey 2 /\ntype claimed by\nkey Enter\n"
                   "save -\n")
    for case in ("twice-data", "two-writers", "data-on-refblock",
                 "twice-l2-blessed"):
        du = qfsck("du", "--output=json", images[case])
        map_ = viz("--script", script, images[case]).stdout
        page = page_of(images[case], tmp)
        told = re.search(r"</i>claimed by two: [^,]*, (\d+) clus",
                         page.split(">The file</h2>")[1])
        cells = re.sub(r"(?m)^ *[\d.]+ [KMGT]?i?B ", "",
                       map_.split("\n", 1)[1])
        n = du["owned-twice"] // du["cluster-size"]
        good = (told and int(told[1]) == n and "claimed by two: " in map_
                and len(re.findall(r"D(?! claimed)", cells)) == n)
        tap.result(good, f"{case}: {n} clusters are claimed by two",
                   [str(told), map_])


def holds_locks(pid):
    for path in glob.glob(f"/proc/{pid}/fdinfo/*"):
        try:
            with open(path) as file:
                if "OFDLCK" in file.read():
                    return True
        except OSError:
            pass        # closed meanwhile
    return False


def check_lock(tap, images):
    """A reader beside readers, and not beside a writer."""
    image = images["clean-zlib"]
    writer = subprocess.Popen(["qemu-io", image], stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE)
    writer.stdin.write(b"length\n")
    writer.stdin.flush()
    writer.stdout.readline()
    refused = viz("--script", os.devnull, image)
    shared = viz("-U", "--script", os.devnull, image)
    writer.communicate()
    tap.result(refused.returncode == 1 and "qemu-io" in refused.stderr
               and shared.returncode == 0,
               "beside a writer only with -U",
               [refused.stderr, shared.stderr])
    # the script's end is awaited with the image open
    browser = subprocess.Popen([QFSCK, "viz", "--script", "-", image],
                               stdin=subprocess.PIPE)
    end = time.monotonic() + 20
    while not holds_locks(browser.pid) and time.monotonic() < end:
        time.sleep(.05)
    writes = subprocess.run(["qemu-io", "-c", "write 0 512", image],
                            capture_output=True, text=True)
    reads = subprocess.run(["qemu-img", "check", "-q", image],
                           capture_output=True)
    browser.communicate(b"")
    tap.result(writes.returncode and "lock" in writes.stderr
               and reads.returncode == 0 and browser.returncode == 0,
               "while it looks, others may read and not write",
               [writes.stderr, str(reads.returncode)])


def main():
    tap = Quiet()
    with tempfile.TemporaryDirectory() as tmp:
        # fontconfig keeps what it has read: that is no leak of ours
        hush = os.path.join(tmp, "hush")
        with open(hush, "w") as file:
            file.write("leak:libfontconfig\n")
        os.environ["LSAN_OPTIONS"] = \
            f"suppressions={hush}:print_suppressions=0"
        images = make(sorted({*CHANCE, *PAGES, *UNOWNED, "data-on-refblock",
                              "twice-l2-blessed", "clean-snapshot-resized",
                              "clean-vm-state"}), tmp)
        check_chance(tap, images, tmp)
        check_mistakes(tap, images, tmp)
        check_pictures(tap, images, tmp)
        check_page(tap, images, tmp)
        check_what_if(tap, images, tmp)
        check_unowned(tap, images, tmp)
        check_doubtful(tap, images, tmp)
        check_lock(tap, images)
    return tap.finish()


if __name__ == "__main__":
    sys.exit(main())
