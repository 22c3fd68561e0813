"""Sound images that differ in how their disk was filled, for calibrate.

What a witness says rests on the order in which clusters were handed out, and
on how often one was handed out again: so the fills differ in just that.
"""

import os

import ground                # its layouts are made, too  # noqa: F401
import layouts
import make
import tools
from qimg import create, rewrite, rng_of
from tools import SECRET, luks_options, qemu_img

FILL = "fill-"          # and a number
TABLES = "tables-"
MOST = 220              # clusters that one fill writes
DISK = 4 << 20          # bytes at the most, but for the largest clusters
CLUSTERS = (512, 1024, 2048, 4096, 4096, 4096, 16384, 65536)
# Of tests/lib/layouts.py: every fifth image.
OTHERS = ("v2-4096", "v3-512", "v3-4096", "v3-65536", "refbits-1",
          "refbits-2", "refbits-8", "refbits-64", "snap-v2", "snap-512",
          "snap-4k-ref2", "snap-lazy", "snap-many", "bitmap-snap",
          "bitmap-several", "zlib", "zlib-512", "zlib-full", "zstd",
          "extl2-16384", "datafile", "backing", "snap-deleted", "luks",
          "shuffled", "shuffled-snap", "luks-snap",
          "zlib-text", "zstd-snap", "everything")


def in_order(rng, clusters, count):
    return [(n, 1) for n in range(count)]


def with_gaps(rng, clusters, count):
    return [(n, 1) for n in sorted(rng.sample(range(clusters), count))]


def at_random(rng, clusters, count):
    return [(n, 1) for n in rng.sample(range(clusters), count)]


def backwards(rng, clusters, count):
    return [(n, 1) for n in reversed(range(count))]


def in_runs(rng, clusters, count):
    """Files, as a file system lays them out."""
    found = []
    while count > 0:
        long = min(count, rng.choice((1, 2, 3, 5, 8, 13, 30)))
        found.append((rng.randrange(max(1, clusters - long)), long))
        count -= long
    return found


def two_streams(rng, clusters, count):
    """Two files that grow at the same time."""
    other, step = clusters // 2, rng.choice((1, 1, 2, 4))
    return [(start + n, step) for n in range(0, count // 2, step)
            for start in (0, other)]


FILLS = (in_order, in_order, with_gaps, at_random, backwards, in_runs,
         in_runs, two_streams)


class Fill:
    """How an image is made, drawn from RNG."""

    def __init__(self, rng):
        self.rng, self.options = rng, {}
        self.luks = rng.random() < .06
        self.cluster = 4096 if self.luks else rng.choice(CLUSTERS)
        self.disk = 1 << 20 if self.luks else min(
            DISK, max(64, rng.choice((128, 512, 1000))) * self.cluster)
        self.clusters = self.disk // self.cluster
        self.packed = not self.luks and rng.random() < .15
        most = 0 if self.luks else 2
        if not self.luks:
            most = self.choose(rng, most)
        self.snapshots = rng.choice((0, 0, 1, 1, 2)) if most else 0
        self.snapshots = min(self.snapshots, most)

    def choose(self, rng, most):
        o = self.options
        o["cluster_size"] = self.cluster
        kind = rng.random()
        if kind < .1:
            o["compat"] = "0.10"
            return most
        if kind < .3:
            o["refcount_bits"] = rng.choice((1, 2, 4, 8, 32, 64))
            most = {1: 0, 2: 1}.get(o["refcount_bits"], most)
        if self.cluster >= 16384 and rng.random() < .4:
            o["extended_l2"] = "on"
        if rng.random() < .1:
            o["lazy_refcounts"] = "on"
        if rng.random() < .1:
            o["preallocation"] = "metadata"
        elif rng.random() < .15:
            o["backing_file"], o["backing_fmt"] = "base", "raw"
        if rng.random() < .06 and "backing_file" not in o:
            o["data_file"] = "data.raw"
            self.packed, most = False, 0
        return most

    def write(self, start, long):
        rng = self.rng
        long = max(1, min(long, self.clusters - start))
        at, length = start * self.cluster, long * self.cluster
        if self.packed and rng.random() < .5:
            return ["write -c -P %d %d %d" % (rng.randint(1, 255), n * self.
                                              cluster, self.cluster)
                    for n in range(start, start + long)]
        return ["write -P %d %d %d" % (rng.randint(1, 255), at, length)]

    def fill(self, count):
        count = max(4, min(count, self.clusters * 3 // 4))
        return [step for part in self.rng.choice(FILLS)(
            self.rng, self.clusters, count) for step in self.write(*part)]

    def reuse(self):
        """Lets go of some clusters, and takes them for others."""
        steps = []
        for _ in range(self.rng.randint(1, 6)):
            start = self.rng.randrange(self.clusters)
            long = min(self.rng.randint(1, 8), self.clusters - start)
            steps.append("%s %d %d" % (
                self.rng.choice(("discard", "discard", "write -z -u",
                                 "write -z")),
                start * self.cluster, long * self.cluster))
        return steps + self.fill(self.rng.randint(4, 40))

    def steps(self):
        """[steps of qemu-io], a snapshot between each and the next."""
        rng = self.rng
        found = [self.fill(rng.choice((12, 40, 90, MOST)))]
        if rng.random() < .35:
            found[0] += self.reuse()
        if rng.random() < .2:
            found[0] += self.fill(rng.randint(4, 30))
        for _ in range(self.snapshots):
            found.append(self.fill(rng.randint(4, 40)) +
                         (self.reuse() if rng.random() < .3 else []))
        return found


class Tables(Fill):
    """A disk of several L2 tables, and something in each."""

    def __init__(self, rng):
        super().__init__(rng)
        self.options = {"cluster_size": rng.choice((512, 512, 1024, 4096))}
        self.luks = self.packed = False
        self.cluster, self.snapshots = self.options["cluster_size"], 0
        self.span = self.cluster // 8
        self.tables = rng.randint(2, 9)
        self.clusters = self.tables * self.span
        self.disk = self.clusters * self.cluster

    def steps(self):
        rng = self.rng
        order = list(range(self.tables))
        if rng.random() < .35:
            rng.shuffle(order)
        found = []
        for table in order:
            start = rng.randrange(self.span - 8)
            found += self.write(table * self.span + start, rng.randint(1, 8))
        return [found]


def run(path, steps, luks):
    """Compressed writes over what is there are refused: no matter."""
    args = ["qemu-io", *(SECRET + ["--image-opts"] if luks else
                         ["-f", "qcow2"])]
    for step in steps:
        args += ["-c", step]
    status, _, err = tools.run(args + [luks_options(path) if luks else path],
                               cwd=os.path.dirname(path))
    if status not in (0, 1):
        raise tools.Refused(err.decode(errors="replace"))


def build(path, fill):
    folder = os.path.dirname(path)
    if fill.luks:
        make.build_luks(path, ())
    else:
        if "backing_file" in fill.options:
            with open(os.path.join(folder, "base"), "wb") as base:
                base.write(b"base" * (fill.disk // 8))
        create(path, fill.disk, **fill.options)
    for n, steps in enumerate(fill.steps()):
        if n:
            qemu_img("snapshot", "-c", "s%d" % n, path)
        run(path, steps, fill.luks)
    if fill.packed and not fill.snapshots and fill.rng.random() < .3:
        rewrite(path, "-c", "-o", "cluster_size=%d" % fill.cluster)
    return path


def names(seed, count, tables=False):
    """COUNT images: fills, and among them the layouts of the other tests; or
    those of several TABLES."""
    rng = rng_of("fills", seed)
    if tables:
        return ["%s%d" % (TABLES, seed * 1000003 + n) for n in range(count)]
    return [rng.choice(OTHERS) if n % 5 == 4 else
            "%s%d" % (FILL, seed * 1000003 + n) for n in range(count)]


def build_named(path, name):
    if name.startswith(FILL):
        return build(path, Fill(rng_of(name)))
    if name.startswith(TABLES):
        return build(path, Tables(rng_of(name)))
    return layouts.LAYOUTS[name](path)
