"""make bench ARGS=--repair: what a repair takes, beside `qemu-img check -r`.

Each run has a fresh copy of the damaged image. The time of `qfsck repair -y`
is that of the plan, the undo file, the writing and the check afterwards.
"""
import os
import statistics

import shapes

# name of the shape, qemu-img's -r, the seconds it may take at the most
REPAIRS = (("leaks-1t", "leaks", 2), ("refblock-1t", "all", 1),
           ("reftable-1t", "all", None), ("l1-1t", None, None))
# qemu-img is stopped after so many seconds.
PATIENCE = 60
HEAD = ["repair", "qemu s", "qfsck s", "cpu", "MiB", "exit", "wall x", "aim s"]


def fresh(path, copy):
    for name in (copy, copy + ".qfsck-undo"):
        if os.path.exists(name):
            os.unlink(name)
    shapes.run("cp", "--sparse=always", "--reflink=auto", path, copy)


def by_qemu(copy, how, measure):
    """(text, seconds) of qemu-img; no HOW: it would destroy the data."""
    if not how:
        return "-", None
    cost = measure(["timeout", str(PATIENCE), "qemu-img", "check", "-q", "-r",
                    how, "-f", "qcow2", copy])
    if cost.status == 124:
        return f"> {PATIENCE}", float(PATIENCE)
    return f"{cost.wall:.2f}", cost.wall


def one(store, name, how, aim, bench):
    path = store.get(name)
    copy = os.path.join(store.folder, "repair.copy")
    costs = []
    try:
        fresh(path, copy)
        said, wall = by_qemu(copy, how, bench.measure)
        for _ in range(3):
            fresh(path, copy)
            costs.append(bench.measure([bench.QFSCK, "repair", "-y", copy]))
    finally:
        for leftover in (copy, copy + ".qfsck-undo"):
            if os.path.exists(leftover):
                os.unlink(leftover)
    ours = statistics.median(c.wall for c in costs)
    return [store.shapes[name].title, said, f"{ours:.2f}",
            f"{statistics.median(c.cpu for c in costs):.2f}",
            f"{max(c.mib for c in costs):.0f}",
            str(max(c.status for c in costs)),
            f"{wall / ours:.0f}" if wall else "-",
            f"< {aim}" if aim else "-"]


def bench(store, tools, print_table):
    rows, skipped = [HEAD], []
    for name, how, aim in REPAIRS:
        try:
            rows.append(one(store, name, how, aim, tools))
        except shapes.NoRoom as why:
            skipped.append(f"{name}: {why}")
    print_table(rows)
    for why in skipped:
        print("skipped", why)
    return 0
