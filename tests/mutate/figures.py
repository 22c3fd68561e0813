"""Counts how often each witness, and each verdict, was right.

A witness speaks for the hypotheses that name it as evidence. Where the unknown
is among those it tells nothing; else it is right if a true one is among them.
Against a hypothesis it is right if that is not true. The unknown is true where
no other is; what led behind the end of a file that was cut stands as it did,
and is gone as well.
"""

import collections
import math
import re

HOST = 0x00FFFFFFFFFFFE00
COMPRESSED = 1 << 62
GRADES = ("proven", "likely", "possible", "open")
DEFS = "check/judge/witnesses.def"
ROW = re.compile(r'QF_WITNESS\((\w+), "([\w-]+)", (\w+), (true|false), '
                 r'(\d+), (\d+), (\d+),')


def rows(text):
    """The rows of witnesses.def: NAME, name, kind, may exclude, figures."""
    return [dict(id=m[1], name=m[2], kind=m[3], may_exclude=m[4] == "true",
                 bits=int(m[5]), spoke=int(m[6]), right=int(m[7]))
            for m in ROW.finditer(text)]


def bits_borne_out(spoke, right):
    """-log2 of the rate of wrong answers, rounded down and conservative."""
    return max(0, int(-math.log2((spoke - right + 1) / (spoke + 2))))


class Truth:
    """What the pointers of the sound image said."""

    def __init__(self, fields):
        self.data, self.cluster = fields.data, fields.cluster
        self.tables = fields.known.table

    def is_true(self, question, hypothesis, damaged):
        place, what = question["place"], hypothesis["what"]
        if question["kind"] != "l1-entry" and \
                place // self.cluster * self.cluster not in self.tables:
            return False
        was, now = (int.from_bytes(d[place:place + 8], "big")
                    for d in (self.data, damaged))
        packed, led_to = bool(was & COMPRESSED), was & HOST
        if what == "value":
            return not packed and led_to == hypothesis["value"] and \
                hypothesis["pointer-offset"] == place
        if what == "as-it-stands":
            return not packed and not now & COMPRESSED and \
                led_to == now & HOST
        if what == "gone":
            return not packed and (not led_to or led_to >= len(damaged))
        return False

    def of(self, question, damaged):
        """The places of the true hypotheses; {0}: none but the unknown."""
        return {i for i, h in enumerate(question["hypotheses"])
                if i and self.is_true(question, h, damaged)} or {0}


def leader(question):
    """The hypothesis that the verdict is about, by its place."""
    hypotheses = question["hypotheses"]
    free = [i for i, h in enumerate(hypotheses) if not h.get("excluded-by")]
    return max(free, key=lambda i: (hypotheses[i]["bits"], -i))


class Figures:
    def __init__(self):
        self.images = self.asked = self.cut = 0
        self.witness = collections.defaultdict(lambda: [0, 0])
        self.grade = collections.defaultdict(lambda: [0, 0])
        self.sets = collections.defaultdict(lambda: [0, 0])

    def add_image(self, case, report, truth, damaged):
        """[what was wrong] with the verdicts proven and likely."""
        self.images += 1
        if report.get("questions-cut"):     # a part tells nothing
            self.cut += 1
            return []
        wrong = []
        for question in report.get("questions", ()):
            true = truth.of(question, damaged)
            self.asked += 1
            self.add_witnesses(question, true)
            best = leader(question)
            grade = question["verdict"]
            right = best in true
            hypothesis = question["hypotheses"][best]
            said = "+".join(hypothesis["evidence"]) or "nothing"
            for count in (self.grade[grade], self.sets[
                    question["kind"] + " " + hypothesis["what"] + " " + said]):
                count[0] += 1
                count[1] += right
            if not right and grade in ("proven", "likely"):
                wrong.append("%s: %s at %#x: %s %#x, for %s" % (
                    case, grade, question["place"], hypothesis["what"],
                    hypothesis.get("value", 0), said))
        return wrong

    def add_witnesses(self, question, true):
        spoken = collections.defaultdict(set)
        for i, h in enumerate(question["hypotheses"]):
            for name in h["evidence"]:
                spoken[name].add(i)
            for name in h.get("excluded-by", []) + h.get("doubted-by", []):
                self.count(name, i not in true)
        for name, places in spoken.items():
            if 0 not in places:
                self.count(name, bool(true & places))

    def count(self, name, right):
        self.witness[name][0] += 1
        self.witness[name][1] += bool(right)

    # -- what it comes to ----------------------------------------------

    def merge(self, other):
        for name in ("images", "asked", "cut"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for name in ("witness", "grade", "sets"):
            for key, (spoke, right) in getattr(other, name).items():
                mine = getattr(self, name)[key]
                mine[0] += spoke
                mine[1] += right

    def plain(self):
        return {"images": self.images, "questions": self.asked,
                "cut": self.cut, "witnesses": dict(self.witness),
                "verdicts": dict(self.grade), "sets": dict(self.sets)}

    def table(self, defs):
        lines = ["%d images, %d questions (%d images with too many)" % (
            self.images, self.asked, self.cut), "",
            "%-28s %9s %9s %7s %5s %5s" % ("witness", "spoke", "right",
                                           "wrong", "earns", "has")]
        for row in defs:
            spoke, right = self.witness.get(row["name"], (0, 0))
            lines.append("%-28s %9d %9d %7d %5d %5d%s" % (
                row["name"], spoke, right, spoke - right,
                bits_borne_out(spoke, right), row["bits"],
                "  excludes" if row["may_exclude"] else ""))
        lines += ["", "%-28s %9s %9s %7s  %s" % (
            "verdict", "given", "right", "wrong", "right of 100")]
        for grade in GRADES:
            given, right = self.grade.get(grade, (0, 0))
            lines.append("%-28s %9d %9d %7d  %.4f" % (
                grade, given, right, given - right,
                100 * right / max(1, given)))
        return "\n".join(lines)
