"""make bench ARGS=--repair: what a repair takes, beside its check and beside
`qemu-img check -r`.

Of `repair -n`: how many times its own check it takes, in wall and in CPU time,
in runs that alternate, and the bytes of its JSON. Each `repair -y` has a fresh
copy of the damaged image; its time is that of the plan, the undo file, the
writing and the check afterwards.
"""
import os
import statistics
import subprocess

import shapes

# name of the shape, qemu-img's -r (None: it would destroy the data), the
# seconds that repair -y may take at the most
REPAIRS = (("leaks-1t", "leaks", 2), ("refblock-1t", "all", 1),
           ("reftable-1t", "all", None), ("l1-1t", None, None),
           ("garbage-2m", "all", None), ("doubles20k", None, None),
           ("doubles500k", None, None))
# Either program is stopped after so many seconds.
PATIENCE = 60
RUNS = 3
HEAD = ["repair", "check s", "cpu", "-n s", "cpu", "x check", "cpu x", "MiB",
        "KiB JSON", "qemu s", "-y s", "cpu", "MiB", "exit", "wall x", "aim s"]


def remove(*names):
    for name in names:
        if os.path.exists(name):
            os.unlink(name)


def fresh(path, copy):
    remove(copy, copy + ".qfsck-undo")
    shapes.run("cp", "--sparse=always", "--reflink=auto", path, copy)


def patient(measure, *argv):
    return measure(["timeout", str(PATIENCE), *argv])


def told(cost):
    return f"> {PATIENCE}" if cost.status == 124 else f"{cost.wall:.2f}"


def by_qemu(copy, how, measure):
    """(text, seconds) of qemu-img."""
    if not how:
        return "-", None
    cost = patient(measure, "qemu-img", "check", "-q", "-r", how, "-f",
                   "qcow2", copy)
    return told(cost), cost.wall


def plan(path, bench):
    """The columns of check and of repair -n, and whether it ended."""
    checks, plans = [], []
    for _ in range(RUNS):
        checks.append(bench.measure([bench.QFSCK, "check", path]))
        plans.append(patient(bench.measure, bench.QFSCK, "repair", "-n", path))
        if plans[-1].status == 124:
            break
    check, made = bench.median(checks), bench.median(plans)
    ended = plans[-1].status != 124
    cells = [f"{check.wall:.2f}", f"{check.cpu:.2f}", told(plans[-1])
             if not ended else f"{made.wall:.2f}", f"{made.cpu:.2f}"]
    if not ended:
        return cells + ["-", "-", f"{made.mib:.0f}", "-"], False
    said = subprocess.run([bench.QFSCK, "repair", "-n", "--output=json", path],
                          stdin=subprocess.DEVNULL, capture_output=True,
                          check=False).stdout
    return cells + [f"{made.wall / check.wall:.1f}",
                    f"{made.cpu / check.cpu:.1f}", f"{made.mib:.0f}",
                    f"{len(said) / 1024:.0f}"], True


def carry_out(path, how, bench):
    """The columns of qemu-img and of repair -y, but the aim."""
    copy = path + ".copy"
    costs = []
    try:
        fresh(path, copy)
        said, wall = by_qemu(copy, how, bench.measure)
        for _ in range(RUNS):
            fresh(path, copy)
            costs.append(bench.measure([bench.QFSCK, "repair", "-y", copy]))
    finally:
        remove(copy, copy + ".qfsck-undo")
    ours = statistics.median(c.wall for c in costs)
    return [said, f"{ours:.2f}",
            f"{statistics.median(c.cpu for c in costs):.2f}",
            f"{max(c.mib for c in costs):.0f}",
            str(max(c.status for c in costs)),
            f"{wall / ours:.0f}" if wall else "-"]


def one(store, name, how, aim, bench):
    path = store.get(name)
    cells, ended = plan(path, bench)
    cells += carry_out(path, how, bench) if ended else ["-"] * 6
    return [store.shapes[name].title, *cells, f"< {aim}" if aim else "-"]


def bench(store, args, tools, print_table):
    rows, skipped = [HEAD], []
    for name, how, aim in REPAIRS:
        if args.shape and name not in args.shape:
            continue
        tools.log(f"repairing {name}")
        try:
            rows.append(one(store, name, how, aim, tools))
        except shapes.NoRoom as why:
            skipped.append(f"{name}: {why}")
    print_table(rows)
    for why in skipped:
        print("skipped", why)
    return 0
