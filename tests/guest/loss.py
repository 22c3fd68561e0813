"""Tables that were erased, or that a killed writer left behind: told apart?

Each trial does one of either to a sound image, asks check, and holds what it
says against the truth.
"""

import collections
import os

from grounds import inside
from guests import copy, merged
from qcow2 import OFFSET_MASK, Image
from qimg import qemu_io
from tools import qfsck_check

ERASED = ("table", "several", "part", "l1-entry", "l1-entries")
KILLED = ("killed", "killed-several", "killed-within")


def tables_of(im):
    """{L1 index: [guest clusters that its table maps]}."""
    out = {}
    for n, _, _ in im.normal_entries():
        out.setdefault(n // im.l2_entries, []).append(n)
    return out


def spans(clusters, size):
    return merged((n * size, (n + 1) * size) for n in clusters)


class Trial:
    def __init__(self, ground, what, rng):
        self.ground, self.what, self.rng = ground, what, rng
        self.gone = []          # guest clusters whose mapping is lost
        self.tables = {}        # L1 entry: the table that it led to
        self.path = copy(ground.path, "hurt.qcow2")

    # each returns False where the image has no room for it

    def erase(self, count):
        with Image(self.path) as im:
            held = tables_of(im)
            full = [i for i in held if len(held[i]) >= 16 and inside(
                spans(held[i], im.cluster), self.ground.used)]
            for i in self.rng.sample(full, min(count, len(full))):
                im.write(im.l2_offset(i), bytes(im.cluster))
                self.gone += held[i]
        return bool(self.gone)

    def table(self):
        return self.erase(1)

    def several(self):
        return self.erase(self.rng.randrange(2, 5))

    def part(self):
        """A sector of a table, at the least, is zeros."""
        with Image(self.path) as im:
            held = tables_of(im)
            some = [i for i in held if len(held[i]) >= 16]
            if not some:
                return False
            i = self.rng.choice(some)
            length = self.rng.choice((512, min(4096, im.cluster // 2)))
            k = self.rng.choice(held[i]) % im.l2_entries * 8
            k = k // length * length
            im.write(im.l2_offset(i) + k, bytes(length))
            first = i * im.l2_entries + k // 8
            self.gone = [n for n in held[i]
                         if first <= n < first + length // 8]
        return len(self.gone) >= 8

    def l1_entry(self, count=1):
        with Image(self.path) as im:
            held = tables_of(im)
            some = [i for i in held if len(held[i]) >= 16]
            for i in self.rng.sample(some, min(count, len(some))):
                self.tables[im.l1_pos(i)] = im.l2_offset(i)
                im.put64(im.l1_pos(i), 0)
                self.gone += held[i]
        return bool(some)

    def l1_entries(self):
        return self.l1_entry(self.rng.randrange(2, 5))

    def room(self, im):
        """Ranges of free room that no table maps: {L1 index: [cluster]}."""
        size = im.cluster
        held = {n for n, _, _ in im.normal_entries()}
        out, last = {}, 0
        for a, b in self.ground.used + [(im.get("size"),) * 2]:
            n = -(-last // size)
            while n < a // size:
                i = n // im.l2_entries
                end = min(a // size, (i + 1) * im.l2_entries)
                out.setdefault(i, []).extend(
                    k for k in range(n, min(end, n + 4096)) if k not in held)
                n = end
            last = max(last, b)
        return out

    def fill(self, image_path, clusters):
        qemu_io(image_path, *("write -q -P %d %d %d" % (
            self.rng.randrange(1, 255), n * self.ground.cluster,
            self.ground.cluster) for n in clusters))

    def killed(self, count=1):
        """A new table that its writer never filled."""
        with Image(self.path) as im:
            held = tables_of(im)
            whole = [(i, ns) for i, ns in sorted(self.room(im).items())
                     if i not in held and not inside(
                         self.ground.used,
                         [(i * im.l2_entries * im.cluster,
                           (i + 1) * im.l2_entries * im.cluster)])]
        for i, ns in self.rng.sample(whole, min(count, len(whole))):
            first = self.rng.randrange(max(1, len(ns) - 40))
            self.fill(self.path, ns[first:first + 6 + self.rng.randrange(30)])
            with Image(self.path) as im:
                im.write(im.l2_offset(i), bytes(im.cluster))
        return bool(whole)

    def killed_several(self):
        return self.killed(self.rng.randrange(2, 4))

    def killed_within(self):
        """New clusters whose entries the writer did not get to write."""
        with Image(self.path) as im:
            held, room = tables_of(im), self.room(im)
            some = [i for i in held if len(room.get(i, ())) >= 16]
            if not some:
                return False
            i = self.rng.choice(some)
            at = im.l2_offset(i)
            table = im.read(at, im.cluster)
            first = self.rng.randrange(max(1, len(room[i]) - 40))
        self.fill(self.path,
                  room[i][first:first + 6 + self.rng.randrange(30)])
        with Image(self.path) as im:
            if im.l2_offset(i) != at:
                return False
            im.write(at, table)
        return True


class Figures:
    def __init__(self):
        self.right = collections.Counter()
        self.asked = collections.Counter()
        self.share, self.named, self.wrong = [], [0, 0], []
        self.slots = collections.Counter()

    def add(self, trial, status, report):
        self.asked[trial.what] += 1
        self.answers(trial, report)
        told = bool(report["lost"])
        good = told == bool(trial.gone)
        note = None
        if trial.gone:
            missed = self.missed(trial, report)
            good = good and not missed
            if missed:
                note = "%d bytes in use are not told as lost" % missed
        elif told:
            note = "lost %s" % [
                (hex(r["guest-offset"]), hex(r["length"]))
                for r in report["lost"][:3]]
        if good:
            self.right[trial.what] += 1
            self.names(trial, report)
        else:
            self.wrong.append("%s, %s: exit %s; %s" % (
                trial.ground.name, trial.what, status, note))

    def answers(self, trial, report):
        """Where the judge has tables that no entry names."""
        self.slots["asked"] += len(trial.tables)
        for q in report.get("questions", ()):
            if q["kind"] != "l1-slot":
                continue
            true = trial.tables.get(q["place"])
            for h in q["hypotheses"]:
                for w in h["evidence"]:
                    self.slots[w] += 1
                    self.slots[w + " right"] += h.get("value") == true
            if q["verdict"] in ("likely", "proven"):
                self.slots["answered"] += 1
                self.slots["right"] += q.get("value") == true
                if q.get("value") != true:
                    self.wrong.append("%s, %s: %s, not %s" % (
                        trial.ground.name, trial.what, q, true))

    def missed(self, trial, report):
        """Bytes in use of what was erased that neither is lost nor can be
        given back."""
        truth = merged(
            (a, b) for a, b in spans(trial.gone, trial.ground.cluster))
        used = cut(truth, trial.ground.used)
        lost = ranges_of(report["lost"])
        total = sum(b - a for a, b in used)
        if total and lost:
            here = inside(lost, used)
            self.share.append(here / max(1, sum(b - a for a, b in lost)))
        return total - inside(used, lost) if lost else total

    def names(self, trial, report):
        """The files of what was lost, as their contents have it. A name can
        be lost itself, but no other may be told."""
        lost = ranges_of(report["lost"])
        truth = {path for path, at in trial.ground.files.items()
                 if inside(at, lost)}
        told = {f["path"] for r in report["lost"] for f in r.get("files", ())
                if f.get("path") in trial.ground.known}
        if told - truth:
            self.wrong.append("%s, %s: names %s" % (
                trial.ground.name, trial.what, sorted(told - truth)[:4]))
        self.named[0] += len(truth)
        self.named[1] += len(told & truth)


def ranges_of(lost):
    return merged((r["guest-offset"], r["guest-offset"] + r["length"])
                  for r in lost if r["holder"] == "active")


def cut(pieces, others):
    """What both have; in order."""
    out, k = [], 0
    for a, b in pieces:
        for c, d in others:
            if c < b and a < d:
                out.append((max(a, c), min(b, d)))
    return out


def run(ground, kinds, count, rng, figures):
    for n in range(count):
        what = rng.choice(kinds)
        trial = Trial(ground, what, rng)
        if not getattr(trial, what.replace("-", "_"))():
            continue
        status, report, err, _ = qfsck_check(os.path.abspath(trial.path))
        if not report:
            figures.wrong.append("%s, %s: %s %s" % (
                ground.name, what, status, err))
            continue
        figures.add(trial, status, report)
