"""Reads differential.rules: the differences that are meant, each by name.

A rule is a stanza of `key: value` lines ended by an empty line:

    rule: NAME
    damage: GLOB GLOB ...       kinds of damage it speaks of
    layout: GLOB ...            layouts it speaks of (any, when absent)
    qemu: VERDICT ...           what qemu-img says
    ours: VERDICT ...           what qfsck says
    finding: NAME NAME ...      one of these must be raised by qfsck
    numbers: more               ours may count more corruptions, or
             fewer leaks        that, and fewer leaks, or
             any                anything (default: the same numbers; the same leaks
                                where the verdicts differ)
    why: ...                    why ours is the truth (may run on, indented)
"""

from fnmatch import fnmatchcase

KEYS = ("rule", "damage", "layout", "qemu", "ours", "finding", "numbers",
        "why")


def stanza(lines):
    rule, key = {}, None
    for line in lines:
        if line[0] in " \t":
            rule[key] += " " + line.strip()
            continue
        key, _, value = line.partition(":")
        if key not in KEYS or key in rule:
            raise ValueError("bad line in the rules: " + line)
        rule[key] = value.strip()
    for key in ("rule", "damage", "qemu", "ours", "why"):
        if not rule.get(key):
            raise ValueError("rule without %s: %s" % (key, lines))
    return rule


def load(path):
    rules, lines = [], []
    with open(path) as file:
        for line in list(file) + ["\n"]:
            line = line.rstrip("\n")
            if line.startswith("#"):
                continue
            if line.strip():
                lines.append(line)
            elif lines:
                rules.append(stanza(lines))
                lines = []
    return rules


def any_glob(globs, name):
    return any(fnmatchcase(name, g) for g in globs.split())


def numbers_fit(rule, qemu, ours):
    how = rule.get("numbers")
    if how == "any" or qemu.verdict in ("unchecked", "foreign"):
        return True
    if how == "fewer leaks":
        return ours.corruptions >= qemu.corruptions and \
            ours.leaks <= qemu.leaks
    if how == "more":
        return ours.corruptions >= qemu.corruptions and \
            ours.leaks == qemu.leaks
    if qemu.verdict != ours.verdict:
        return qemu.leaks == ours.leaks
    return (qemu.corruptions, qemu.leaks) == (ours.corruptions, ours.leaks)


def explains(rule, case, qemu, ours):
    if not any_glob(rule["damage"], case.damage):
        return False
    if not any_glob(rule.get("layout", "*"), case.layout):
        return False
    if qemu.verdict not in rule["qemu"].split():
        return False
    if ours.verdict not in rule["ours"].split():
        return False
    wanted = rule.get("finding", "").split()
    if wanted and not any(any_glob(" ".join(wanted), n) for n in ours.names):
        return False
    return numbers_fit(rule, qemu, ours)


def find(rules, case, qemu, ours):
    """The first rule that explains the difference, or None."""
    for rule in rules:
        if explains(rule, case, qemu, ours):
            return rule
    return None
