#!/usr/bin/env python3
"""The page on an image, and the page over a pool, without a browser.

What the page states is what info, du and the system say; the same image gives
the same bytes; it stays small; HTML and SVG are what they should be. A pool's
page has the worst first, and leads to the images' pages.
"""
import collections
import hashlib
import html
import json
import os
import random
import re
import shutil
import socket
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "screens"))
sys.path.insert(0, os.path.join(HERE, "..", "lib"))
from screens import QFSCK, Quiet, digest, make, viz         # noqa: E402
from tools import own_folder                                # noqa: E402

CASES = ("clean-snapshots", "clean-bitmaps", "clean-zlib", "clean-size-0",
         "clean-extended-l2", "clean-backing-chain", "leaks-scattered",
         "lost-l2-zeroed", "twice-data", "clean-terabyte", "l2-is-random")
# Whose file's clusters du counts by the same names.
SHARES = ("clean-snapshots", "clean-bitmaps", "clean-zlib",
          "clean-extended-l2", "leaks-scattered", "clean-terabyte")
KINDS = {"header": "header", "L1 table": "l1", "L2 table": "l2",
         "refcount table": "refcount-table", "bitmap": "bitmaps",
         "refcount block": "refcount-blocks",
         "snapshot table": "snapshot-table"}
MOST = 300_000      # bytes of a page
TIDY_KNOWS_NOT = re.compile(r"trimming empty <span>")


def qfsck(*args):
    env = dict(os.environ, LC_ALL="C.UTF-8")
    return subprocess.run([QFSCK, *args], capture_output=True, text=True,
                          timeout=300, env=env)


def told(*args):
    return json.loads(qfsck(*args).stdout)


def export(image, out, *options, **env):
    run = viz("--export", out, *options, image, env=env)
    if run.returncode or run.stderr:
        raise SystemExit(f"{image}: {run.stderr}")
    with open(out, encoding="utf-8") as file:
        return file.read()


def facts_of(page):
    """The terms of the page's lists, and what is said of each."""
    return {k: html.unescape(re.sub("<[^>]*>", " ", v)) for k, v in
            re.findall(r"<dt>(.*?)</dt><dd>(.*?)</dd>", page)}


def check_valid(tap, pages, images):
    tidy = shutil.which("tidy")
    for case, path in pages.items():
        if not tidy:
            tap.skip(f"{case}: tidy has nothing against the page", "no tidy")
            continue
        run = subprocess.run([tidy, "-q", "-e", "-utf8", path],
                             capture_output=True, text=True)
        said = [s for s in run.stderr.splitlines()
                if not TIDY_KNOWS_NOT.search(s)]
        tap.result(not said, f"{case}: tidy has nothing against the page",
                   said[:8])
    if not shutil.which("xmllint"):
        tap.skip("xmllint has nothing against the picture", "no xmllint")
        return
    for case in ("clean-snapshots", "l2-is-random"):
        viz("--export", f"{case}.svg", images[case])
        run = subprocess.run(["xmllint", "--noout", "--nonet", f"{case}.svg"],
                             capture_output=True, text=True)
        tap.result(run.returncode == 0 and not run.stderr,
                   f"{case}: xmllint has nothing against the picture",
                   [run.stderr])


def check_shares(tap, case, image, page):
    """The legend of the file's map: as many clusters as du says."""
    du = told("du", "--output=json", image)
    drawn = collections.Counter()
    for name, n in re.findall(r"</i>([^:<]*): [^,]*, (\d+) cluster",
                              page.split(">The file</h2>")[1]):
        drawn[KINDS.get(name, name if name in ("free", "leaked", "compressed")
                        else "data")] += int(n)
    want = collections.Counter({k: v // du["cluster-size"] for k, v in
                                (*du["metadata"].items(),
                                 ("data", du["data"]), ("free", du["free"]),
                                 ("leaked", du["leaked"]))})
    drawn["data"] += drawn.pop("compressed", 0)
    wrong = [(k, drawn[k], want[k]) for k in drawn | want
             if drawn[k] != want[k]]
    tap.result(not wrong and drawn["header"],
               f"{case}: the file's legend has the shares that du has",
               [str(wrong)])


def drawn_and_told(page, m):
    """By kind: the cells of the map, and the clusters of its legend."""
    part = page[page.index(f"id='{m}-map'"):]
    drawn, total = collections.Counter(), collections.Counter()
    for kind, path in re.findall(r"<path class='k (k\d+)' d='([^']*)'",
                                 part[:part.index("</svg>")]):
        drawn[kind] += sum(map(int, re.findall(r"h(\d+)", path)))
    for kind, n in re.findall(r"<i class='(k\d+)'[^>]*>[^<]*</i>[^:<]*: "
                              r"[^,]*, (\d+) cluster",
                              part[:part.index("</ul>")]):
        total[kind] += int(n)
    return drawn, total


def check_cells(tap, case, page):
    """The script's cells are as many as there are, and no text is missing."""
    for m in ("guest", "file"):
        d = json.loads(re.search(rf"id='{m}-data'>(.*?)</script>",
                                 page, re.S)[1])
        n = sum(d["runs"][::2])
        tap.result(n == -(-d["end"] // d["unit"]) <= d["cols"] * d["rows"]
                   and all(d["text"][i] for i in d["runs"][1::2]),
                   f"{case}: the {m}'s {n} cells have a text each")
        drawn, total = drawn_and_told(page, m)
        tap.result(drawn == total if n == sum(total.values())
                   else sum(drawn.values()) == n < sum(total.values()),
                   f"{case}: the {m}'s cells are drawn as its legend says",
                   [str(drawn), str(total)])


def check_facts(tap, images):
    image = images["clean-bitmaps"]
    os.utime(image, (86400, 86400))
    page = export(image, "facts.html", "--hash", SOURCE_DATE_EPOCH="3600")
    again = export(image, "facts2.html", "--hash", SOURCE_DATE_EPOCH="3600")
    facts, st = facts_of(page), os.stat(image)
    info = told("info", "--output=json", image)
    with open(image, "rb") as file:
        sha = hashlib.sha256(file.read()).hexdigest()
    version = qfsck("--version").stdout.strip()
    want = {"Path": os.path.realpath(image), "Inode": str(st.st_ino),
            "Device": str(st.st_dev), "SHA-256": sha,
            "Last written": "1970-01-02 00:00:00 UTC",
            "Made": "1970-01-01 01:00:00 UTC", "Version": version,
            "Host": socket.gethostname(),
            "Cluster size": f"({info['cluster-size']} bytes)",
            "File": f"({st.st_size} bytes)",
            "On disk": f"({st.st_blocks * 512} bytes)",
            "Virtual disk": f"({info['virtual-size']} bytes)",
            "Command": f"qfsck viz --export facts.html --hash {image}"}
    wrong = [f"{k}: {facts.get(k)}, not {v}" for k, v in want.items()
             if v not in facts.get(k, "")]
    wrong += [f"{b['name']} is missing" for b in info["bitmaps"]
              if b["name"] not in facts["Bitmaps"]]
    wrong += [f"{f['name']} is missing" for f in info["features"]
              if f["name"] not in facts["Features"]]
    tap.result(not wrong and info["bitmaps"] and info["features"],
               "the page says which image it is, and how it was made", wrong)
    tap.result(page.replace("facts.html", "facts2.html") == again,
               "and is the same another time")
    chain = images["clean-backing-chain"]
    facts = facts_of(export(chain, "chain.html"))
    base = told("info", "--output=json", chain)["backing-filename"]
    tap.result(base in facts["Backing files"]
               and "not asked for" in facts["SHA-256"],
               "it names the backing files", [facts["Backing files"]])
    run = viz("--export", "hash.svg", "--hash", image)
    tap.result(run.returncode == 1 and "--hash is for a page" in run.stderr
               and not os.path.exists("hash.svg"),
               "a picture has no room for a hash", [run.stderr])


def check_names(tap, images):
    """A name that would be markup is none."""
    name = "<b>&'\"\u00fc.qcow2"
    shutil.copyfile(images["clean-zlib"], name)
    page = export(name, "name.html")
    tap.result("<b>&" not in page and html.escape(name).replace("&#x27;",
               "&#39;") in page and facts_of(page)["Path"].endswith(name),
               "the image's name is no markup")


def check_long(tap):
    """A file's long name is cut between letters."""
    os.makedirs("root")
    for n in range(40):
        with open("root/" + "\u00fc" * (60 + n), "w") as file:
            file.write("x" * 70000)
    env = dict(os.environ, PATH=os.environ["PATH"] + ":/usr/sbin:/sbin")
    subprocess.run(["mke2fs", "-q", "-t", "ext4", "-d", "root", "long.raw",
                    "16M"], check=True, env=env, stdout=subprocess.DEVNULL)
    subprocess.run(["qemu-img", "convert", "-O", "qcow2", "long.raw",
                    "long.qcow2"], check=True)
    page = export("long.qcow2", "long.html")
    d = json.loads(re.search(r"id='guest-data'>(.*?)</script>", page,
                             re.S)[1])
    tap.result(any("\u00fc" * 40 in n for n in d["names"]),
               "files with long names are named", d["names"][:3])


def check_empty(tap, images):
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", "-o",
                    "cluster_size=2M,preallocation=metadata", "empty.qcow2",
                    "1G"], check=True)
    page = export("empty.qcow2", "empty.html")
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", "full.qcow2",
                    "8M"], check=True)
    subprocess.run(["qemu-io", "-c", "write -q 0 8M", "full.qcow2"],
                   check=True)
    full = export("full.qcow2", "full.html")
    tap.result("the rest holes: nearly empty" in page
               and "nearly empty" not in full,
               "a file of holes is called nearly empty")
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", "one.qcow2",
                    "2G"], check=True)
    subprocess.run(["qemu-io", "-c", "write -q 0 64k", "-c", "write -q 1G 64k",
                    "one.qcow2"], check=True)
    page = export("one.qcow2", "one.html")
    tap.result("virtual disk 2 GiB (0.0061 % allocated: nearly empty)" in page,
               "and so is a disk that is hardly mapped")


def check_size(tap):
    """1 TiB with 50 snapshots, written to here and there between them."""
    dice = random.Random(1)
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", "big.qcow2",
                    "1T"], check=True)
    for n in range(50):
        subprocess.run(["qemu-img", "snapshot", "-c", f"state {n}",
                        "big.qcow2"], check=True)
        subprocess.run(["qemu-io", "--cache", "unsafe", "big.qcow2"],
                       check=True, text=True, stdout=subprocess.DEVNULL,
                       input="".join(
                           f"write -q -z {dice.randrange(1 << 24) << 16} 64k\n"
                           if k % 2 else "write -q -P 0 "
                           f"{dice.randrange(1 << 24) << 16} 512\n"
                           for k in range(12)))
    page = export("big.qcow2", "big.html", "--hash")
    os.unlink("big.qcow2")
    tap.result(len(page) < MOST and page.count("<tr class='bar") == 51,
               f"1 TiB with 50 snapshots is a page of {len(page)} bytes")


def rows_of(page):
    return [(html.unescape(re.sub("<[^>]*>", "", cells[1])
                           .split("\n")[0]),
             re.search(r"href='([^']*)'", cells[1]), cells)
            for cells in (re.findall(r"<td[^>]*>(.*?)</td>", row, re.S)
                          for row in re.findall(r"<tr><td>.*?</tr>", page,
                                                re.S))]


def check_pool(tap, images, pages):
    os.makedirs("night/more pages", exist_ok=True)
    hit = "night/more pages/a: b.html"
    shutil.copyfile(pages["lost-l2-zeroed"], hit)
    names = [*images.values(), "not there.qcow2"]
    lines = qfsck("check", "--output=json", *names).stdout
    with open("night/1.jsonl", "w") as file:
        file.write(lines.splitlines()[0].replace('"clean"', '"corrupt"')
                   + "\n")
    with open("night/2.jsonl", "w") as file:
        file.write(lines)
    made = qfsck("report", "--export=night/pool.html", "night/1.jsonl",
                 "night/2.jsonl", hit, pages["twice-data"])
    with open("night/pool.html", encoding="utf-8") as file:
        page = file.read()
    verdicts = {o["filename"]: o["verdict"] for o in
                map(json.loads, lines.splitlines())}
    rows = rows_of(page)
    order = [("corrupt", "unchecked", "leaks", "clean").index(
        verdicts[name.removesuffix("cannot open: No such file or directory")
                 .split("\u25b6")[0]]) for name, _, _ in
        [(re.match(r"(.*?\.qcow2)", n)[1], a, c) for n, a, c in rows]]
    tap.result(made.returncode == 0 and not made.stderr
               and len(rows) == len(names) and order == sorted(order),
               "a pool's page has every image once, the worst first",
               [made.stderr, str(order)])
    links = {re.match(r"(.*?\.qcow2)", n)[1]: a[1] for n, a, _ in rows if a}
    tap.result(links == {
        images["lost-l2-zeroed"]: "./more%20pages/a%3A%20b.html",
        images["twice-data"]: ".././twice-data.html"},
        "and leads to the images' pages", [str(links)])
    lost = [c for n, _, c in rows if n.startswith(images["lost-l2-zeroed"])]
    tap.result(lost and lost[0][2:] == ["2 MiB", "1", "512"],
               "it tells what is lost and leaked", [str(lost)])
    if shutil.which("tidy"):
        run = subprocess.run(["tidy", "-q", "-e", "-utf8", "night/pool.html"],
                             capture_output=True, text=True)
        tap.result(not run.stderr, "tidy has nothing against it",
                   run.stderr.splitlines()[:8])
    piped = subprocess.run([QFSCK, "report", "-"], input=lines,
                           capture_output=True, text=True)
    tap.result(piped.returncode == 0 and len(rows_of(piped.stdout))
               == len(names), "from a pipe to a pipe", [piped.stderr])
    alone = "".join(qfsck("check", "--output=json", images[c]).stdout
                    for c in ("clean-zlib", "twice-data"))
    piped = subprocess.run([QFSCK, "report", "-"], input=alone,
                           capture_output=True, text=True)
    tap.result(piped.returncode == 0 and alone.count("\n") > 20
               and [c[0] for _, _, c in rows_of(piped.stdout)]
               == ["<b class='corrupt'>corrupt</b>",
                   "<b class='clean'>clean</b>"],
               "objects over several lines do as well", [piped.stderr])


def check_pool_mistakes(tap, images):
    before = digest("night/pool.html")
    for args, words in (
            (["--export=night/pool.html", "night/1.jsonl"], "not replaced"),
            ([images["clean-zlib"]], "is no output of"),
            (["full.svg"], "is no output of"),
            (["nowhere.jsonl"], "cannot be read"),
            (["--export=no/where.html", "night/1.jsonl"], "no such folder"),
            (["--export=night/x.html", "night/1.jsonl", "half.jsonl"],
             "is no output of")):
        with open("half.jsonl", "w") as file:
            file.write('{"filename": "x", "verdict"')
        with open("full.svg", "w") as file:
            file.write("<svg/>")
        run = qfsck("report", *args)
        tap.result(run.returncode == 1 and words in run.stderr
                   and not run.stdout and digest("night/pool.html") == before
                   and not os.path.exists("night/x.html"),
                   f"report {' '.join(map(os.path.basename, args))}: {words}",
                   [run.stderr])


def main():
    tap = Quiet()
    own_folder()
    # fontconfig keeps what it has read: that is no leak of ours
    with open("hush", "w") as file:
        file.write("leak:libfontconfig\n")
    os.environ["LSAN_OPTIONS"] = \
        f"suppressions={os.path.abspath('hush')}:print_suppressions=0"
    images = make(CASES, os.getcwd())
    before = {c: digest(p) for c, p in images.items()}
    pages = {}
    for case in CASES:
        page = export(images[case], f"{case}.html")
        pages[case] = os.path.abspath(f"{case}.html")
        check_cells(tap, case, page)
        if case in SHARES:
            check_shares(tap, case, images[case], page)
    check_valid(tap, pages, images)
    check_facts(tap, images)
    check_names(tap, images)
    check_long(tap)
    check_empty(tap, images)
    check_pool(tap, images, pages)
    check_pool_mistakes(tap, images)
    check_size(tap)
    tap.result(all(digest(p) == before[c] for c, p in images.items()),
               "no image was changed")
    return tap.finish()


if __name__ == "__main__":
    sys.exit(main())
