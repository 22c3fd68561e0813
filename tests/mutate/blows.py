"""Damage that brings questions up: one place, two, or a dozen.

A blow is written as in mutation.py. Most hit L2 entries: bits, halves, random
words, another legal cluster, a neighbour's or a sibling's word, a shift by an
entry. Some hit L1 tables and refcounts, erase sectors of L2 tables, or cut the
file's end off.
"""

import mutation
import strokes
import verbs

HOST = 0x00FFFFFFFFFFFE00
COPIED = 1 << 63
KINDS = {"l2": 78, "l1": 6, "snap-l1": 8, "refblock": 6, "cut": 3,
         "hole": 4}
# name: how often. "lead": to a legal cluster; "astray": to none.
ENTRY = {"bit": 12, "random": 3, "high": 2, "middle": 3, "low": 2, "add": 3,
         "subtract": 3, "swap": 3, "copy": 10, "lead": 14, "astray": 10,
         "zero": 3, "ones": 1, "shift": 1}
COUNT = {"bit": 3, "zero": 3, "random": 2, "add": 2, "subtract": 2, "copy": 1}
STYLES = {1: 40, 2: 25, 12: 35}
TURNS = 30


def pick(rng, weights):
    return rng.choices(list(weights), list(weights.values()))[0]


class Blows:
    """Draws the damage of one case."""

    def __init__(self, fields, rng):
        self.fields, self.rng, self.entry = fields, rng, ENTRY
        self.kinds = {k: w for k, w in KINDS.items()
                      if k in fields.kinds or k in ("cut", "hole")}

    def draw(self):
        """[text of a blow], each of which may do nothing."""
        rng = self.rng
        count = pick(rng, STYLES)
        # of a table that was shifted, nothing tells where its entries were
        self.entry = {v: w for v, w in ENTRY.items()
                      if v != "shift" or count == 1}
        if count == 12:
            count = rng.randint(6, 12)
        alike = count < 3 or rng.random() < .6
        verb = pick(rng, self.entry) if alike and count > 2 else None
        near = rng.random() < .4
        found = [self.one(verb) for _ in range(1 if near else count)]
        while near and len(found) < count:
            found.append(self.beside(found[0], len(found), verb))
        return list(dict.fromkeys(t for t in found if t))

    def one(self, verb):
        rng = self.rng
        kind = "l2" if verb and "l2" in self.kinds else pick(rng, self.kinds)
        if kind in ("cut", "hole"):
            return self.cut() if kind == "cut" else self.hole()
        path = rng.choice(self.fields.kinds[kind])
        name = rng.choice(self.fields.at[path].names())
        return self.on(path, name, verb)

    def cut(self):
        """The last clusters of the file."""
        size = len(self.fields.data)
        least = min(size - 1, 8 * self.fields.cluster)
        return "cut@%#x" % self.rng.randrange(size - least, size)

    def hole(self):
        """Some sectors of an L2 table, or all."""
        cluster, rng = self.fields.cluster, self.rng
        sectors = cluster // 512
        first = rng.choice((0, 0, rng.randrange(sectors)))
        last = rng.choice((first + 1, sectors,
                           rng.randrange(first, sectors) + 1))
        return "hole@%#x+%#x" % (rng.choice(self.fields.places["l2"]) +
                                 512 * first, 512 * (last - first))

    def beside(self, text, n, verb):
        """The entries after the first one that was hit."""
        if not text or "@" in text.split("=")[0]:
            return self.one(verb)
        path, _, name = text.split("=")[0].rpartition(".")
        near = str(int(name) + n * self.rng.choice((1, 1, 1, 2)))
        structure = self.fields.at[path]
        if near not in structure.names():
            return self.one(verb)
        return self.on(path, near, verb)

    def on(self, path, name, verb):
        if path.startswith("refblock"):
            verb = pick(self.rng, COUNT)
        verb = verb or pick(self.rng, self.entry)
        if verb in ("lead", "astray"):
            word = self.lead() if verb == "lead" else self.astray()
            return "%s.%s=random:%#x" % (path, name, word)
        structure = self.fields.at[path]
        arg = verbs.VERBS[verb][1](self.fields, structure,
                                   structure.index(name), self.rng)
        if arg is None:
            return None
        return "%s.%s=%s%s" % (path, name, verb, ":" + arg if arg else "")

    def lead(self):
        places = self.fields.places
        kinds = {"data": 8, "l2": 1, "free": 1, "refblock": 1}
        kinds = {k: w for k, w in kinds.items() if places.get(k)}
        if not kinds:
            return COPIED
        return COPIED | self.rng.choice(places[pick(self.rng, kinds)])

    def astray(self):
        """Behind the end, or not on a cluster's boundary."""
        cluster, rng = self.fields.cluster, self.rng
        clusters = len(self.fields.data) // cluster
        if rng.random() < .5:
            return COPIED | cluster * (clusters + rng.randrange(
                1, rng.choice((4, 64, 1 << 20))))
        return COPIED | cluster * rng.randrange(1, clusters + 1) | \
            512 * rng.randrange(1, max(2, cluster // 512))


class Mixups:
    """Draws what changes places, in every other case; else other damage."""

    def __init__(self, fields, rng):
        self.fields, self.rng = fields, rng

    def draw(self):
        rng = self.rng
        others = [mutation.one(self.fields, rng)
                  for _ in range(rng.choice((0, 0, 1)))]
        return [t for t in [self.first()] + others if t]

    def first(self):
        rng, fields = self.rng, self.fields
        what = rng.choice(("any", "any", "cluster", "header"))
        if what == "any":
            return mutation.one(fields, rng)
        if what == "cluster":
            return "exchanged@%#x=%#x" % (strokes.any_place(fields, rng),
                                          strokes.any_place(fields, rng))
        return "header.%s=%s" % (
            rng.choice(fields.at["header"].names()),
            rng.choice(("swap:1", "swap:-1", "shift:1", "shift:-1")))


def apply(fields, data, texts):
    changed = bytearray(data)
    for text in texts:
        if not text or "@" in text.split("=")[0]:
            strokes.apply(fields, changed, text)
        else:
            verbs.apply(fields, changed, text)
    return bytes(changed)
