"""A mutation by its text: one or two changes of an image's bytes."""

import strokes
import verbs

PAIRS = .3          # so many cases have two changes
STROKES = .25       # so many changes are of whole clusters
TURNS = 30


def one(fields, rng):
    if rng.random() < STROKES:
        return strokes.draw(fields, rng)
    path = rng.choice(fields.kinds[rng.choice(sorted(fields.kinds))])
    name = rng.choice(fields.at[path].names())
    return verbs.draw(fields, path, name, rng)


def draw(fields, data, rng):
    """The text of a mutation that changes something; None: none found."""
    wanted = 2 if rng.random() < PAIRS else 1
    found = []
    for _ in range(TURNS):
        text = one(fields, rng)
        if text and text not in found and apply(fields, data, text) != data:
            found.append(text)
        if len(found) == wanted:
            return ",".join(found)
    return None


def parts(text):
    return text.split(",")


def apply(fields, data, text):
    """The bytes after the changes of TEXT."""
    changed = bytearray(data)
    for part in parts(text):
        if "@" in part.split("=")[0]:
            strokes.apply(fields, changed, part)
        else:
            verbs.apply(fields, changed, part)
    return bytes(changed)
