"""What is done to one field: verbs on its bits, or with its neighbours.

A verb takes (structure, index, old value, argument) and gives the new value;
verbs on several fields change the bytes themselves. Each has a function that
draws an argument, as text, so that a mutation can be written down.
"""


def thirds(bits, which):
    """A mask of the low (0), middle (1) or high (2) third."""
    low, high = bits * which // 3, bits * (which + 1) // 3
    return (1 << max(high, low + 1)) - (1 << low) & (1 << bits) - 1


def no_argument(fields, structure, i, rng):
    return ""


def any_bit(fields, structure, i, rng):
    return str(rng.randrange(structure.bits(i)))


def any_value(fields, structure, i, rng):
    return "%#x" % rng.getrandbits(structure.bits(i))


def any_step(fields, structure, i, rng):
    cluster = fields.cluster
    return "%#x" % rng.choice((1, 1, 2, 8, 16, 256, 512, cluster, cluster,
                               2 * cluster, 16 * cluster))


def any_side(fields, structure, i, rng):
    return rng.choice(("-1", "1"))


def any_sibling(fields, structure, i, rng):
    others = structure.siblings(i)
    return str(rng.choice(others)) if others else None


def swap(data, structure, i, arg):
    j = structure.neighbour(i, int(arg))
    if j is None:
        return
    a, b = structure.get(data, i), structure.get(data, j)
    structure.put(data, i, b)
    structure.put(data, j, a)


def copy(data, structure, i, arg):
    structure.put(data, i, structure.get(data, int(arg)))


def shift(data, structure, i, arg):
    """All fields from I on move by an entry; those before stay."""
    order, step = [], 1
    j = i
    while j is not None and structure.inside(data, j) and len(order) < 8192:
        order.append(j)
        j = structure.neighbour(j, step)
    values = [structure.get(data, j) for j in order]
    values = [0] + values[:-1] if int(arg) > 0 else values[1:] + [0]
    for j, value in zip(order, values):
        if structure.bits(j) == structure.bits(i):
            structure.put(data, j, value)


def on_value(change):
    """A verb that needs the field's own value alone."""
    def act(data, structure, i, arg):
        old, bits = structure.get(data, i), structure.bits(i)
        structure.put(data, i, change(old, bits, arg) & (1 << bits) - 1)
    return act


def random_third(which):
    def change(old, bits, arg):
        mask = thirds(bits, which)
        return old & ~mask | int(arg, 16) & mask
    return change


# name: (act, draws an argument, how often)
VERBS = {
    "zero": (on_value(lambda v, b, a: 0), no_argument, 3),
    "ones": (on_value(lambda v, b, a: -1), no_argument, 2),
    "bit": (on_value(lambda v, b, a: v ^ 1 << int(a)), any_bit, 8),
    "high": (on_value(random_third(2)), any_value, 1),
    "middle": (on_value(random_third(1)), any_value, 2),
    "low": (on_value(random_third(0)), any_value, 2),
    "add": (on_value(lambda v, b, a: v + int(a, 16)), any_step, 3),
    "subtract": (on_value(lambda v, b, a: v - int(a, 16)), any_step, 3),
    "random": (on_value(lambda v, b, a: int(a, 16)), any_value, 2),
    "swap": (swap, any_side, 2),
    "copy": (copy, any_sibling, 3),
    "shift": (shift, any_side, 2),
}


def draw(fields, path, name, rng):
    """The text of a mutation of one field, or None."""
    structure = fields.at[path]
    i = structure.index(name)
    verb = rng.choices(list(VERBS), [v[2] for v in VERBS.values()])[0]
    arg = VERBS[verb][1](fields, structure, i, rng)
    if arg is None:
        return None
    return "%s.%s=%s%s" % (path, name, verb, ":" + arg if arg else "")


def apply(fields, data, text):
    """Does to DATA, a bytearray, what TEXT says."""
    place, what = text.split("=")
    path, _, name = place.rpartition(".")
    structure = fields.at[path]
    verb, _, arg = what.partition(":")
    VERBS[verb][0](data, structure, structure.index(name), arg)
