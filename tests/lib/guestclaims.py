"""Images of real guests whose L2 entries are bent, broken and doubled, and
how right the judge is about them."""

import collections
import sys

from guests import files_of
from qcow2 import COPIED, OFFSET_MASK, Image

VOUCHED = ("guest-holds", "guest-number")


class Hurt:
    """An image, damaged until it is closed."""

    def __init__(self, path, metadata, rng):
        self.image, self.rng = Image(path), rng
        self.found = self.image.normal_entries()
        self.metadata = [e for e in self.found if e[0] in metadata]
        self.old, self.size = [], self.image.file_size()
        self.was = {pos: entry & OFFSET_MASK for _, pos, entry in self.found}
        self.bent = set()

    def write(self, at, data):
        self.old.append((at, self.image.read(at, len(data))))
        self.image.write(at, data)

    def pick(self):
        """An entry that is still sound, more often than not of metadata."""
        while True:
            e = self.rng.choice(self.metadata if self.rng.random() < .6
                                else self.found)
            if e[1] not in self.bent:
                return e

    def put(self, pos, entry):
        self.write(pos, entry.to_bytes(8, "big"))

    def bend(self):
        mine, other = self.pick(), self.pick()
        if mine[1] != other[1]:
            self.bent |= {mine[1], other[1]}
            self.put(mine[1], self.was[other[1]] | COPIED)

    def kill(self):
        mine = self.pick()
        self.bent.add(mine[1])
        self.put(mine[1], self.was[mine[1]] + 512 * self.rng.randrange(1, 8)
                 | COPIED)

    def stray(self):
        """A cluster behind the end that is counted, and nobody's."""
        at = -(-self.image.file_size() // self.image.cluster)
        block, place, bits = self.counted(at)
        if block:
            data = (self.image.read(self.was[self.pick()[1]],
                                    self.image.cluster)
                    if self.rng.random() < .7 else
                    self.rng.randbytes(self.image.cluster))
            self.image.write(at * self.image.cluster, data)
            self.write(place, (1).to_bytes(bits // 8, "big"))

    def counted(self, cluster):
        bits = self.image.refcount_bits
        a_block = self.image.cluster * 8 // bits
        table = self.image.reftable()
        if cluster // a_block >= len(table) or not table[cluster // a_block]:
            return 0, 0, bits
        block = table[cluster // a_block]
        return block, block + cluster % a_block * bits // 8, bits

    def close(self):
        for at, data in reversed(self.old):
            self.image.write(at, data)
        self.image.truncate(self.size)
        self.image.close()


class Figures:
    """How often witnesses and verdicts were right. A cluster with the bytes
    that the entry's own has is as right as that one."""

    def __init__(self):
        self.witness = collections.defaultdict(lambda: [0, 0])
        self.grade = collections.defaultdict(lambda: [0, 0])
        self.wrong, self.vouched, self.answered = [], 0, 0

    def add(self, report, hurt, name):
        for q in report.get("questions", ()):
            was = hurt.was.get(q["place"])
            now = int.from_bytes(hurt.image.read(q["place"], 8), "big")
            for h in q["hypotheses"]:
                right = self.same(hurt, was, self.value(h, now))
                if h["what"] not in ("value", "as-it-stands") or \
                        name.endswith("stray"):
                    continue
                for w in h["evidence"]:
                    self.count(self.witness[w], right)
                for w in h.get("excluded-by", ()):
                    self.count(self.witness["not " + w], not right)
                    if right:
                        self.wrong.append("%s: the truth was excluded: %s" %
                                          (name, q))
            self.judge(q, hurt, was, now, name)

    @staticmethod
    def same(hurt, was, value):
        image = hurt.image
        return was == value or (was and image.read(was, image.cluster) ==
                                image.read(value, image.cluster))

    @staticmethod
    def value(h, now):
        return h["value"] if h["what"] == "value" else now & OFFSET_MASK

    @staticmethod
    def count(row, right):
        row[0] += 1
        row[1] += right

    def judge(self, q, hurt, was, now, name):
        true = [h for h in q["hypotheses"] if
                h["what"] in ("value", "as-it-stands") and
                self.same(hurt, was, self.value(h, now))]
        vouched = any(w in VOUCHED for h in true for w in h["evidence"])
        right = False
        if q["verdict"] in ("likely", "proven"):
            said = {"value": q.get("value"), "as-it-stands":
                    now & OFFSET_MASK}.get(q["answer"], 0)
            right = self.same(hurt, was, said)
            self.count(self.grade[q["verdict"]], right)
            if not right:
                self.wrong.append("%s: %s, and it was %#x" % (name, q, was))
        if vouched:
            self.vouched += 1
            self.answered += right
        if "-v" in sys.argv and vouched and not right and \
                "stray" not in name:
            print("#", name, q, hex(was))


def metadata_of(path, cluster):
    with Image(path) as image:
        size = image.get("size")
    return {n for f in files_of(path, 0, size)
            if f["kind"] in ("metadata", "directory") and
            "journal" not in f.get("path", "") for p in f["pieces"]
            for n in range(p["start"] // cluster,
                           (p["start"] + p["length"] - 1) // cluster + 1)}
