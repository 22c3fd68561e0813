"""Counts how often each witness, and each verdict, was right.

A witness speaks for the hypotheses that name it as evidence, and is right
where a hypothesis is true. An order is counted where no other version of the
table speaks as well, and a version where no order does: each has to earn its
bits alone. A table that has no name is one of those who want it: whose, only
its flags tell. What a pointer led to is gone if it is no cluster of the file
that lacks an owner.
"""

import collections
import math
import os
import re

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")

HOST = 0x00FFFFFFFFFFFE00
COMPRESSED = 1 << 62
GRADES = ("proven", "likely", "possible", "open")
DEFS = "check/judge/witnesses.def"
ROW = re.compile(r'QF_WITNESS\((\w+), "([\w-]+)", (\w+), (true|false), '
                 r'(\d+), (\d+), (\d+),')
ALONE = {"order": "versions", "versions": "order"}


# The header's fields that can change places.
WIDE = (8, 24, 40, 48, 64, 72, 80, 88)
NARROW = (16, 20, 32, 36, 56, 60, 96, 100)


def alike(a, b):
    """But for a field that was damaged as well."""
    return a == b or sum(x != y for x, y in zip(a, b)) <= min(16, len(a) // 32)


def width_of(place):
    return 4 if place in NARROW else 8


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
        self.fields, self.tables = fields, fields.known.table
        self.size = 16 if "l2-bits" in fields.kinds else 8

    def word(self, data, place):
        return int.from_bytes(data[place:place + 8], "big")

    def lacks_owner(self, cluster, damaged):
        """True if the damaged file has the cluster, counts it, and no entry
        of a table that was there names it."""
        if cluster >= len(damaged):
            return False
        for table in self.tables:
            for at in range(table, min(table + self.cluster, len(damaged)),
                            self.size):
                word = self.word(damaged, at)
                if not word & COMPRESSED and word & HOST == cluster:
                    return False
        return self.count_of(cluster // self.cluster, damaged) > 0

    def count_of(self, number, damaged):
        """Its refcount, if its block is where it was."""
        for path in self.fields.kinds.get("refblock", ()):
            block = self.fields.at[path]
            first = self.fields.first_of[path]
            if first <= number < first + block.count:
                return block.get(damaged, number - first)
        return 0

    def put_back(self, hypothesis, damaged):
        """(the bytes with what changed places put back, their ranges)."""
        data = bytearray(damaged)
        a, b = hypothesis["pointer-offset"], hypothesis["value"]
        if hypothesis["what"] != "value":
            return self.moved_back(hypothesis["what"], a, b, data)
        width = self.cluster if a >= self.cluster else width_of(a)
        one, two = data[a:a + width], data[b:b + width]
        data[a:a + width] = two.ljust(width, b"\0")[:len(one)]
        data[b:b + width] = one[:len(two)]
        return data, [(a, width), (b, width)]

    def moved_back(self, what, a, word, data):
        width = width_of(a)
        end = 72 if self.data[7] == 2 else 104
        places = [p for p in (WIDE if width == 8 else NARROW) if a <= p < end]
        words = [data[p:p + width] for p in places]
        words = words[1:] + [bytes(width)] if what == "moved-up" else \
            [word.to_bytes(width, "big")] + words[:-1]
        for place, new in zip(places, words):
            data[place:place + width] = new
        return data, [(p, width) for p in places]

    def is_back(self, hypothesis, damaged):
        """True if all that changed places is where it was; two pointers of the
        header that did are the same as the clusters that they lead to."""
        data, ranges = self.put_back(hypothesis, damaged)
        if all(alike(data[at:at + n], self.data[at:at + n])
               for at, n in ranges):
            return True
        a, b = hypothesis["pointer-offset"], hypothesis["value"]
        if hypothesis["what"] != "value":
            return False
        fields = [p for p in WIDE if self.word(data, p) in (a, b)] if \
            a >= self.cluster else [a, b]
        if len(fields) != 2:
            return False
        x, y = (self.word(data, p) for p in fields)
        if not x or not y or x % self.cluster or y % self.cluster:
            return False
        places = [(*fields, 8), (x, y, self.cluster)]
        for one, two, n in places:
            data[one:one + n], data[two:two + n] = \
                data[two:two + n], data[one:one + n]
        return all(alike(data[at:at + n], self.data[at:at + n])
                   for one, two, n in places for at in (one, two))

    def is_true(self, question, hypothesis, damaged):
        if question["kind"] == "changed-places":
            return self.is_back(hypothesis, damaged)
        place, what = question["place"], hypothesis["what"]
        if not question["kind"].startswith("l1-") and \
                place // self.cluster * self.cluster not in self.tables:
            return False
        was, now = self.word(self.data, place), self.word(damaged, place)
        packed, led_to = bool(was & COMPRESSED), was & HOST
        if question["kind"] == "l2-version":
            return what == "value" and \
                hypothesis["value"] == self.begin_of(was)
        if what == "value":
            return not packed and led_to == hypothesis["value"] and \
                hypothesis["pointer-offset"] == place
        if what == "as-it-stands":
            return not packed and not now & COMPRESSED and \
                led_to == now & HOST
        if what == "gone":
            return packed or not led_to or \
                not self.lacks_owner(led_to, damaged)
        return False

    def begin_of(self, word):
        """Where what the entry names begins in the file."""
        if not word & COMPRESSED:
            return word & HOST
        return word & (1 << 62 - (self.cluster.bit_length() - 9)) - 1

    def of(self, question, damaged):
        """The places of the true hypotheses; {0}: none but the unknown."""
        return {i for i, h in enumerate(question["hypotheses"])
                if i and self.is_true(question, h, damaged)} or {0}


def leader(question):
    """The hypothesis that the verdict is about, by its place."""
    hypotheses = question["hypotheses"]
    answer = question.get("answer")
    if answer != "open":
        return next(i for i, h in enumerate(hypotheses)
                    if h["what"] == answer and
                    h.get("value") == question.get("value"))
    free = [i for i, h in enumerate(hypotheses) if not h.get("excluded-by")]
    return max(free, key=lambda i: (hypotheses[i]["bits"], -i))


class Figures:
    def __init__(self):
        with open(os.path.join(ROOT, DEFS)) as file:
            self.kind = {row["name"]: row["kind"].lower()
                         for row in rows(file.read())}
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
        trues = [(q, truth.of(q, damaged)) for q in report.get("questions",
                                                               ())]
        # tables that one of those who ask for them had
        wanted = {q["hypotheses"][i]["value"] for q, true in trues
                  for i in true if i and q["kind"] == "l1-entry"}
        for question, true in trues:
            self.asked += 1
            self.add_witnesses(question, true, wanted)
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

    def add_witnesses(self, question, true, wanted):
        for i, h in enumerate(question["hypotheses"]):
            for name in h.get("excluded-by", []) + h.get("doubted-by", []):
                self.count(name, i not in true)
            # what speaks for the place where an entry stands is an order, too,
            # but nothing follows from it
            if not i or h["what"] == "as-it-stands":
                continue
            kinds = {self.kind[name] for name in h["evidence"]}
            for name in h["evidence"]:
                if ALONE.get(self.kind[name]) not in kinds:
                    self.count(name, i in true or
                               name in ("table-has-an-owner-too-many",
                                        "table-maps-the-same") and
                               h.get("value") in wanted)

    def count(self, name, right):
        self.witness[name][0] += 1
        self.witness[name][1] += bool(right)

    # -- what it comes to ----------------------------------------------

    def merge(self, plain):
        """Counts in what plain() of another run gave."""
        self.images += plain["images"]
        self.asked += plain["questions"]
        self.cut += plain["cut"]
        for mine, name in ((self.witness, "witnesses"),
                           (self.grade, "verdicts"), (self.sets, "sets")):
            for key, (spoke, right) in plain[name].items():
                mine[key][0] += spoke
                mine[key][1] += right

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
