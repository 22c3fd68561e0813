"""What is done to whole clusters: cut, holed, filled, torn, misplaced.

    cut@LENGTH              the file ends there
    hole@PLACE+LENGTH       zeros, from sector to sector
    fill@PLACE+LENGTH=WHAT  ones, random bytes or text
    torn@PLACE+KEPT=WHAT    of the cluster, KEPT bytes stay; the rest is zero,
                            random, or what the cluster at 0xN has there
    misplaced@PLACE=0xN     the cluster holds what is written for 0xN
    exchanged@PLACE=0xN     the two have each other's bytes
"""

import random

from damage import TEXT

SECTOR = 512


def content(what, length, text):
    if what == "zero":
        return bytes(length)
    if what == "ones":
        return b"\xff" * length
    if what == "text":
        return (TEXT * (length // len(TEXT) + 1))[:length]
    return random.Random(text).randbytes(length)


def put(data, at, new):
    """A file may end within its last cluster, and does not grow."""
    end = min(len(data), at + len(new))
    data[at:end] = new[:max(0, end - at)]


def apply(fields, data, text):
    verb, rest = text.split("@")
    place, _, what = rest.partition("=")
    at, _, length = place.partition("+")
    at, length = int(at, 0), int(length or "0", 0)
    cluster = fields.cluster
    if verb == "cut":
        del data[at:]
    elif verb in ("hole", "fill"):
        put(data, at, content(what or "zero", length, text))
    elif verb == "torn":
        other = bytes(data[int(what, 0):int(what, 0) + cluster]) if \
            what.startswith("0x") else content(what, cluster, text)
        put(data, at + length, other.ljust(cluster, b"\0")[length:])
    else:
        there = int(what, 0)
        mine, theirs = (bytes(data[o:o + cluster]).ljust(cluster, b"\0")
                        for o in (at, there))
        put(data, at, theirs)
        if verb == "exchanged":
            put(data, there, mine)


def any_place(fields, rng):
    return rng.choice(fields.places[rng.choice(sorted(fields.places))])


def sectors(fields, rng, at):
    """A run of sectors within a cluster, or all of it."""
    many = fields.cluster // SECTOR
    if rng.random() < .5 or many == 1:
        return at, fields.cluster
    first = rng.randrange(many)
    return at + first * SECTOR, SECTOR * rng.randint(1, min(8, many - first))


def draw(fields, rng):
    """The text of a stroke."""
    verb = rng.choice(("cut", "hole", "hole", "fill", "torn", "torn",
                       "misplaced", "misplaced", "exchanged"))
    at, other = any_place(fields, rng), any_place(fields, rng)
    if verb == "cut":
        return "cut@%#x" % rng.choice(
            (at, at + rng.randrange(fields.cluster),
             rng.randrange(len(fields.data))))
    if verb == "hole":
        return "hole@%#x+%#x" % sectors(fields, rng, at)
    if verb == "fill":
        return "fill@%#x+%#x=%s" % (*sectors(fields, rng, at), rng.choice(
            ("ones", "random", "text")))
    if verb == "torn":
        kept = SECTOR * rng.randrange(1, max(2, fields.cluster // SECTOR))
        return "torn@%#x+%#x=%s" % (at, kept % fields.cluster, rng.choice(
            ("zero", "random", "%#x" % other)))
    return "%s@%#x=%#x" % (verb, at, other)
