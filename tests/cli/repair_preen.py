#!/usr/bin/env python3
"""qfsck repair -p: what risks nothing, and all of it or nothing.

A writer with lazy refcounts that was killed leaves refcounts that are behind:
QEMU makes up for them on opening, and preen does. Where more is wrong, a plan
that leaves the verdict as it was is not carried out, and what more would be
done is told.
"""

import os
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "lib"))

import oracle                                               # noqa: E402
import qimg                                                 # noqa: E402
import tools                                                # noqa: E402
from tap import Tap                                         # noqa: E402

NEEDS = '%d repair%s need%s --risk=%s: qfsck repair -y %s'


def killed(path):
    qimg.killed_lazy_writer(path)


def closed(path):
    """The same refcounts, but no writer was killed."""
    killed(path)
    with qimg.Image(path) as image:
        image.put("incompatible_features", 0)


def killed_and_bent(path):
    """And an entry is damaged: the counts may be behind for its cluster."""
    killed(path)
    with qimg.Image(path) as image:
        _, pos, word = image.normal_entries()[0]
        image.put64(pos, word | 0x200)


def faults_cured(path):
    before = oracle.guest(path)
    status, said = oracle.repair(path, "-p")
    if status or tools.qemu_check(path)[0]:
        return [said]
    return [] if oracle.guest(path) == before else ["the guest's data"]


def faults_left(path, count, risk):
    before = oracle.sha(path)
    status, said = oracle.repair(path, "-p")
    s = "" if count == 1 else "s"
    wanted = NEEDS % (count, s, "s" if count == 1 else "", risk, path)
    faults = []
    if status != 2 or oracle.sha(path) != before:
        faults.append("status %s, or the image was changed" % status)
    if wanted not in said.splitlines():
        faults.append("not told: " + wanted)
    _, report, _, _ = tools.qfsck_check(path)
    _, out, _ = tools.run([tools.qfsck_path(), "repair", "-p",
                           "--output=json", path])
    if tools.parse(out).get("beyond-risk") != {"repairs": count,
                                               "risk": risk}:
        faults.append(out.decode())
    return faults + said.splitlines() if faults else []


def faults_kept(path):
    """No count speaks for the cluster, as the counts are behind; but it is
    not given up, nor is the innocent entry moved that it reaches into."""
    killed(path + ".sound")
    status, said = oracle.repair(path, "-y")
    with qimg.Image(path) as image, qimg.Image(path + ".sound") as sound:
        words, should = ([e[2] for e in i.normal_entries()]
                         for i in (image, sound))
    bent = [should[0] | 0x200] + should[1:]
    if (status, words) in ((0, should), (2, bent)):
        return []
    return ["status %s, entries %s" % (status, [hex(w) for w in words]), said]


def main():
    tap = Tap()
    for name, make, judge in (
            ("killed lazy writer: cured", killed, faults_cured),
            ("no dirty bit: nothing is done", closed,
             lambda p: faults_left(p, 1, "metadata")),
            ("a damaged entry, too: it is not given up", killed_and_bent,
             faults_kept)):
        with tempfile.TemporaryDirectory(prefix="qfsck-preen.") as folder:
            path = os.path.join(folder, "image")
            make(path)
            tap.result(not (faults := judge(path)), name, faults)
    return tap.finish()


if __name__ == "__main__":
    sys.exit(main())
