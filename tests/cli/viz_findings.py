#!/usr/bin/env python3
"""The findings of qfsck viz as a place to work at: what is wrong is reached,
read about and walked through; it is what check says."""
import os
import re
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "screens"))
sys.path.insert(0, HERE)
from screens import QFSCK, Quiet, make, viz                 # noqa: E402
from viz import qfsck                                       # noqa: E402

CASES = ("l1-entry-bent", "l2-entry-beyond", "l2-entry-copied",
         "lost-l2-zeroed", "twice-data", "two-writers", "bitmap-in-use")
DAMAGE = ("fatal", "error", "unread", "leak", "absent")


def screens(image, script, tmp, size="120x40"):
    """The screens that SCRIPT saves, each as its lines."""
    path = os.path.join(tmp, "script")
    with open(path, "w") as file:
        file.write(f"size {size}\nwait\n{script}")
    run = viz("--script", path, image)
    assert run.returncode == 0 and not run.stderr, run.stderr
    lines = run.stdout.splitlines()
    n = int(size.split("x")[1])
    return [lines[i:i + n] for i in range(0, len(lines), n)]


def places(report):
    """Host offsets of what is wrong, ascending, each once."""
    return sorted({f["host-offset"] for f in report["findings"]
                   if f["severity"] in DAMAGE and "host-offset" in f})


def check_next(tap, images, tmp):
    """n in hex goes through all damage in the order of the file, and round;
    N goes back."""
    for case in CASES:
        want = places(qfsck("check", "--output=json", images[case]))
        if not want:
            text = "\n".join(screens(images[case], "key 2 g x n\nsave -\n",
                                     tmp)[0])
            tap.result("nothing is wrong here" in text,
                       f"{case}: n says that nothing is wrong", [text])
            continue
        seen = screens(images[case], "key 2 g x\n" + "key n\nsave -\n" *
                       (len(want) + 1) + "key N\nsave -\n", tmp)
        got = [int(re.match(r" 0x([0-9a-f]+)", s[-3])[1], 16) for s in seen]
        tap.result(got == want + want[:1] + want[-1:]
                   and "round the end" in seen[len(want)][-1]
                   and "round the start" in seen[-1][-1],
                   f"{case}: n goes to {len(want)} damaged places and round",
                   [f"{[hex(g) for g in got]}", seen[-1][-1]])


def check_enter(tap, images, tmp):
    """Enter goes to the entry, or to what is lost on the guest's disk."""
    for case in CASES:
        report = qfsck("check", "--output=json", images[case])
        todo = [("lost", r["guest-offset"]) for r in report["lost"]
                if r.get("state", "active") == "active"]
        todo += [("hex", f["host-offset"]) for f in report["findings"]
                 if f.get("length", 1 << 62) < 4096]
        n = len(report["lost"]) + len(report["findings"])
        seen = screens(images[case], "".join(
            f"key 4 g {'n ' * i}Enter\nwait\nsave -\n"
            for i in range(1, n + 1)), tmp)
        told = ["\n".join(s) for s in seen]
        bad = [(what, hex(off)) for what, off in todo
               if not any(f" 0x{off:x}: " in t and
                          (" disk: " if what == "lost" else "cluster ")
                          in t.splitlines()[1] for t in told)]
        tap.result(not bad and (todo or n < 2),
                   f"{case}: Enter shows {len(todo)} places", bad)


def check_lost(tap, images, tmp):
    """Lost ranges are folded, and say how much they are."""
    first, opened = screens(images["lost-l2-zeroed"],
                            "key 4\nsave -\nkey Right\nsave -\n", tmp)
    tap.result(first[1] == "+ lost guest data (1): 2 MiB"
               and "guest offset" not in first[2]
               and opened[1] == "- lost guest data (1): 2 MiB"
               and "guest offset 0x0, 2 MiB" in opened[2],
               "what is lost is folded, with its size", [first[1], opened[1]])


def check_evidence(tap, images, tmp):
    """The explanation holds the judge's words, and explain's."""
    image = images["l1-entry-bent"]
    why = subprocess.run([QFSCK, "check", "--why", image],
                         capture_output=True, text=True).stdout
    words = re.findall(r"(?:for it|ruled out|against it): (.*)", why)
    explain = subprocess.run([QFSCK, "explain", "1228"], text=True,
                             capture_output=True).stdout
    text = " ".join(" ".join(line.strip("│ ") for line in screens(
        image, "key 4 n n e\nsave -\n", tmp, "84x90")[0]).split())
    lacks = [w for w in words if w not in text]
    body = [s for s in re.findall(r"[A-Z][^.]{30,}\.", " ".join(
        explain.split())) if s in text]
    tap.result(words and not lacks and body and "verdict: " in text
               and "What repair does" in text,
               f"{len(words)} words of witnesses, and what explain tells",
               [*lacks, text])


def check_search(tap, images, tmp):
    """A search goes round the end, opens what is folded, and marks it; Esc
    forgets it."""
    seen = screens(images["l1-entry-bent"],
                   "key 4 Down Left G /\ntype 8 CLUSTERS from\nkey Enter\n"
                   "save -\nkey n\nsave -\nkey N\nsave -\nkey Esc n\nsave -\n"
                   "key /\ntype no such words\nkey Enter\nsave -\n", tmp)
    tap.result(all(any("8 clusters from 0x5000" in line for line in s)
                   for s in seen)
               and "round the" in seen[0][-1] and "round the" in seen[1][-1]
               and "copied" not in seen[0][-1]
               and "\"no such words\" not found" in seen[4][-1],
               "a search opens folds and goes round the end",
               [s[-1] for s in seen])


def main():
    tap = Quiet()
    with tempfile.TemporaryDirectory() as tmp:
        images = make(sorted(CASES), tmp)
        check_next(tap, images, tmp)
        check_enter(tap, images, tmp)
        check_lost(tap, images, tmp)
        check_evidence(tap, images, tmp)
        check_search(tap, images, tmp)
    return tap.finish()


if __name__ == "__main__":
    sys.exit(main())
