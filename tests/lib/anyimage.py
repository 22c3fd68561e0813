"""Sound images of random layouts, made with the real tools."""

import os

from crafted import add_vm_state, drop_vm_state
from make import apply_step, build_luks, create
from tools import qemu_img, qemu_io, run

CLUSTERS = (512, 1024, 2048, 4096, 8192, 16384, 32768, 65536, 65536, 131072,
            262144, 524288, 1 << 20, 2 << 20)
MOST_DATA = 24 << 20        # bytes that are written, about


class Plan:
    """What an image will be like, in words and as steps."""

    def __init__(self, rng):
        self.options, self.stages = {}, []
        self.cluster = rng.choice(CLUSTERS)
        self.v2 = rng.random() < .2
        self.extended = not self.v2 and self.cluster >= 16384 and \
            rng.random() < .25
        self.refbits = 16 if self.v2 else \
            rng.choice((1, 2, 4, 8, 16, 16, 16, 32, 64))
        self.span = self.cluster * self.cluster // \
            (16 if self.extended else 8)
        self.spans = rng.randint(2, 5)
        self.size = self.span * self.spans - \
            rng.choice((0, 0, 512, self.cluster * 3))
        self.backing = rng.choice(("raw", "qcow2")) \
            if rng.random() < .2 else None
        most = {1: 0, 2: 2}.get(self.refbits, 3)
        self.snapshots = rng.randint(1, most) \
            if most and rng.random() < .5 else 0
        self.bitmaps = rng.randint(1, 2) \
            if not self.v2 and rng.random() < .2 else 0
        self.packed = rng.random() < .25
        self.vm_state = self.snapshots and rng.random() < .2
        self.resize = rng.random() < .15 and \
            not (self.v2 and self.snapshots)
        self.choose_options(rng)
        self.choose_steps(rng)

    def choose_options(self, rng):
        o = self.options
        o["cluster_size"] = self.cluster
        o["compat"] = "0.10" if self.v2 else "1.1"
        if self.refbits != 16:
            o["refcount_bits"] = self.refbits
        if self.extended:
            o["extended_l2"] = "on"
        if not self.v2 and rng.random() < .15:
            o["lazy_refcounts"] = "on"
        if not self.v2 and self.packed and rng.random() < .4:
            o["compression_type"] = "zstd"

    def run(self, rng):
        """Where and how long: a stretch within one L2 table's range."""
        many = max(1, min(10, MOST_DATA // 40 // self.cluster))
        length = rng.randint(1, many) * self.cluster
        start = rng.randrange(self.size // self.cluster) * self.cluster
        if rng.random() < .6:       # near the span's start, as guests do
            start = start // self.span * self.span + \
                rng.randrange(16) * self.cluster
        start = min(start, (self.size - 1) // self.cluster * self.cluster)
        return start, min(length, self.size - start)

    def writes(self, rng, count):
        steps = []
        for _ in range(count):
            start, length = self.run(rng)
            kind = rng.random()
            if kind < .08:
                steps.append("write -z %d %d" % (start, length))
            elif kind < .14:
                steps.append("discard %d %d" % (start, length))
            elif self.packed and kind < .6:
                steps += self.packed_writes(rng, start, length)
            else:
                steps.append("write -P %d %d %d" % (rng.randint(1, 255),
                                                    start, length))
        return steps

    def packed_writes(self, rng, start, length):
        return ["write -c -P %d %d %d" % (rng.randint(1, 255), at,
                                          min(self.cluster,
                                              start + length - at))
                for at in range(start, start + length, self.cluster)]

    def choose_steps(self, rng):
        first = ["write -P %d %d %d" % (rng.randint(1, 255), i * self.span,
                                        min(self.cluster * rng.randint(1, 3),
                                            self.size - i * self.span))
                 for i in range(self.spans)]
        rng.shuffle(first)
        self.stages.append(first + self.writes(rng, rng.randint(2, 8)))
        if self.resize:
            self.stages.append([("resize", str(self.size + self.span))])
        for n in range(self.bitmaps):
            self.stages.append([("bitmap", "b%d" % n, "-g",
                                 str(max(512, self.span >> 9)))])
        for n in range(self.snapshots):
            last = n + 1 == self.snapshots
            if last and self.vm_state:
                self.stages.append(["write -b -P 3 0 %d" % self.cluster])
            self.stages.append([("snap", "state %d" % n)])
            if last and self.vm_state:
                self.stages.append(["vm-state"])
            self.stages.append(self.writes(rng, rng.randint(0, 4)))

    def text(self):
        words = ["cluster %d" % self.cluster, "v2" if self.v2 else "v3",
                 "refcount %d" % self.refbits]
        for name in ("extended", "backing", "snapshots", "bitmaps", "packed",
                     "vm_state", "resize"):
            if getattr(self, name):
                words.append("%s %s" % (name, getattr(self, name)))
        words += ["%s=%s" % i for i in sorted(self.options.items())
                  if i[0] in ("lazy_refcounts", "compression_type")]
        return ", ".join(words)


def do(path, steps):
    """Runs the steps; QEMU may refuse to pack a cluster that is written."""
    commands = [s for s in steps if isinstance(s, str)]
    if commands:
        run(["qemu-io", "-f", "qcow2",
             *[a for c in commands for a in ("-c", c)], path], timeout=60)
    for step in steps:
        if not isinstance(step, str):
            apply_step(path, step)


def make(path, rng):
    """Makes a sound image at PATH; its plan."""
    plan = Plan(rng)
    options = dict(plan.options)
    if plan.backing:
        base = path + ".base"
        qemu_img("create", "-q", "-f", plan.backing, base, str(plan.size))
        qemu_io(base, "write -P 77 0 %d" % min(plan.size, 1 << 20),
                options=["-f", plan.backing])
        os.utime(base, (1e9, 1e9))
        options.update(backing_file=os.path.basename(base),
                       backing_fmt=plan.backing)
    create(path, str(plan.size), **options)
    for stage in plan.stages:
        if stage == ["vm-state"]:
            add_vm_state(path, plan.cluster)
            drop_vm_state(path)
        else:
            do(path, stage)
    return plan


def make_luks(path, rng):
    """An encrypted image; its text."""
    cluster = rng.choice((4096, 65536))
    steps = ["write -P %d %dk %dk" % (rng.randint(1, 255),
                                      rng.randrange(12) * 64, 64)
             for _ in range(rng.randint(1, 5))]
    build_luks(path, steps, cluster_size=cluster)
    return "cluster %d, v3, LUKS" % cluster
