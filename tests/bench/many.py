"""make bench ARGS=--many: a folder of many small images.

One `qfsck check` over all of them, beside a loop of `qemu-img check` over some
of them: the loop starts a program for each, so that its time for all is that of
a part times as many. The runs alternate.
"""
import os
import shutil

import shapes

IMAGES = 10000
SAMPLE = 200
RUNS = 3
SIZE = 512 << 10
HEAD = ["images", "qemu s an image", "cpu", "qfsck s an image", "cpu",
        "images/s", "MiB", "wall x", "cpu x", "aim"]


def fill(folder):
    """The images: copies of one that qemu-io has written to."""
    names = [os.path.join(folder, f"{n:05}.qcow2") for n in range(IMAGES)]
    if os.path.exists(names[-1]):
        return names
    os.makedirs(folder, exist_ok=True)
    shapes.create(names[0], SIZE)
    shapes.run("qemu-io", "-f", "qcow2", "-c", "write -q 0 128k", names[0])
    for name in names[1:]:
        shutil.copyfile(names[0], name)
    return names


def bench(store, tools, print_table):
    tools.log(f"making {IMAGES} images")
    names = fill(os.path.join(store.folder, "many"))
    loop = ["sh", "-c", 'for i; do qemu-img check -q -f qcow2 "$i"; done',
            "loop", *names[:SAMPLE]]
    all_of_them = [tools.QFSCK, "check", "-q", *names]
    tools.measure(all_of_them)      # fills the page cache
    ours, theirs = [], []
    for _ in range(RUNS):
        theirs.append(tools.measure(loop))
        ours.append(tools.measure(all_of_them))
    qemu, qfsck = tools.median(theirs), tools.median(ours)
    for cost, n in ((qemu, SAMPLE), (qfsck, IMAGES)):
        cost.wall /= n
        cost.cpu /= n
    print_table([HEAD, [
        f"{IMAGES} of {SIZE >> 10} KiB", f"{qemu.wall:.6f}",
        f"{qemu.cpu:.6f}", f"{qfsck.wall:.6f}", f"{qfsck.cpu:.6f}",
        f"{1 / qfsck.wall:.0f}", f"{qfsck.mib:.0f}",
        tools.ratio(qemu.wall, qfsck.wall), tools.ratio(qemu.cpu, qfsck.cpu),
        "60"]])
    return 0
