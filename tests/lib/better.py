"""Compares one repair with qemu-img's, sector by sector of every holder.

Of a sound image, a damaged copy of it, the copy as `qemu-img check -r all`
leaves it and the copy as `qfsck repair -y` leaves it: what is right after the
damage, or after qemu-img, must be right after qfsck.
"""

import os
import shutil
import struct

import oracle
import qimg
import tools
from guestread import Disk
from known import Known

SECTOR = 512
WHOLE = 128 << 10       # larger clusters are read in three places
PIECE = 4096
MOST = 300              # clusters of one holder that are looked at
UNFIT = (struct.error, ValueError, IndexError, MemoryError, OverflowError,
         RecursionError, UnicodeDecodeError, TypeError, OSError)


def unique(at, length):
    """Bytes that stand nowhere else."""
    return b"".join(b"qfsck test: cluster at %016x, sector %06d\n".ljust(
        SECTOR, b".") % (at, n) for n in range(-(-length // SECTOR)))[:length]


def mark(path, most=1 << 30):
    """Gives every cluster of data a content of its own: MOST bytes of it."""
    with qimg.Image(path) as image:
        known = Known(image)
        places = {e.word & qimg.OFFSET_MASK for t in known.table
                  for e in known.normal(t)}
    with open(path + ".data" if image.data_file else path, "r+b") as file:
        size = file.seek(0, os.SEEK_END)
        for at in sorted(places):
            file.seek(at)
            file.write(unique(at, max(0, min(image.cluster, size - at,
                                             most))))


class Mapped:
    """Which host clusters each holder has for which guest clusters."""

    def __init__(self, path):
        self.holders, self.owners, self.keys = {}, {}, []
        try:
            with qimg.Image(path) as image:
                self.read(image)
        except UNFIT:
            pass

    def read(self, image):
        if max(image.get("nb_snapshots"), image.bitmaps_ext("nb_bitmaps"),
               image.l1_size >> 12) > 1000:
            raise ValueError("a hostile count")
        known = Known(image)
        self.keys = [None] + [self.key(image, p) for p in image.snapshots()]
        meta = {at // image.cluster for places in image.tables().values()
                for at in places} | {0}
        for key, holder in zip(self.keys, known.holders):
            found = self.holders.setdefault(key, {})
            last = -(-known.active.disk // image.cluster)
            for index, table in holder.tables.items():
                if key is None:
                    meta.add(table // image.cluster)
                for e in known.data(table):
                    guest = index * image.l2_entries + e.index
                    hosts = known.host_clusters(e)
                    if guest < last:
                        found[guest] = hosts
                    if key is None and not e.is_compressed():
                        for host in hosts:
                            self.owners[host] = 1 + self.owners.get(host, 0)
        for host in meta:
            if host in self.owners:
                self.owners[host] += 1

    @staticmethod
    def key(image, pos):
        at, length, name_at, name_length = image.snapshot_strings(pos)
        return (image.read(at, length).decode(),
                image.read(name_at, name_length).decode())

    def doubles(self):
        """Host clusters with two owners in one state of the disk."""
        return sum(n > 1 for n in self.owners.values())


class Sound:
    """The undamaged image."""

    def __init__(self, path):
        self.path, self.map = path, Mapped(path)
        with qimg.Image(path) as image:
            self.cluster = image.cluster
            self.size = image.get("size")
            self.outside = image.data_file      # the data are not in here
        self.disks = {}
        self.kept = {}

    def disk(self, key):
        if key not in self.disks:
            self.disks[key] = Disk(self.path, key)
        return self.disks[key]

    def close(self):
        for disk in self.disks.values():
            disk.close()

    def pieces(self, guest):
        """[(guest offset, length)] of a cluster that are looked at."""
        at = guest * self.cluster
        length = min(self.cluster, self.size - at)
        if length <= WHOLE:
            return [(at, length)]
        middle = (guest * 7919 % (length // PIECE)) * PIECE
        return [(at, PIECE), (at + middle, PIECE),
                (at + length - PIECE, PIECE)]


def same_sectors(should, is_):
    if should is None or is_ is None:
        return [False] * (len(should or b"") // SECTOR)
    if should == is_:
        return [True] * (len(should) // SECTOR)
    return [should[n:n + SECTOR] == is_[n:n + SECTOR]
            for n in range(0, len(should) - SECTOR + 1, SECTOR)]


def refcounts(path, hosts):
    """{host cluster: its refcount}; 0 where none can be read."""
    with qimg.Image(path) as image:
        try:
            table = image.reftable()
            image.reftable = lambda: table      # read once
            return {h: image.refcount(h) for h in hosts}
        except UNFIT:
            return dict.fromkeys(hosts, 0)


class Trial:
    """The four images of one case, and what is wrong with the repair."""

    def __init__(self, sound, damaged, ours, rival):
        self.sound, self.damaged = sound, damaged
        self.ours, self.rival = ours, rival
        self.maps = {p: Mapped(p) for p in (ours, rival)}
        self.faults = []
        self.count = {damaged: 0, ours: 0, rival: 0}    # right sectors
        self.lost = {}          # {key: guest clusters wrong in ours}

    def wanted(self, key):
        found = set(self.sound.map.holders.get(key, {}))
        for other in self.maps.values():
            found |= set(other.holders.get(key, {}))
        last = -(-self.sound.size // self.sound.cluster)
        found = sorted(g for g in found if g < last)
        step = -(-len(found) // MOST) or 1
        return found[::step]

    def compare(self, key):
        disks = {p: Disk(p, key) for p in self.count}
        try:
            for guest in self.wanted(key):
                for at, length in self.sound.pieces(guest):
                    self.compare_piece(key, guest, at, length, disks)
        finally:
            for disk in disks.values():
                disk.close()

    def compare_piece(self, key, guest, at, length, disks):
        should = self.sound.disk(key).read(at, length)
        if should is None:
            return
        right = {p: same_sectors(should, d.read(at, length))
                 for p, d in disks.items()}
        for p, sectors in right.items():
            self.count[p] += sum(sectors)
        if not all(right[self.ours]):
            self.lost.setdefault(key, set()).add(guest)
        for other, said in ((self.damaged, "was right before the repair"),
                            (self.rival, "is right after qemu-img's")):
            worse = [n for n, good in enumerate(right[other])
                     if good and not right[self.ours][n]]
            if worse:
                self.faults.append("%s: sector at %#x %s (%d sectors)" % (
                    key or "active", at + worse[0] * SECTOR, said,
                    len(worse)))

    # -- what is still in the file -------------------------------------

    def lost_hosts(self):
        """Host clusters of what ours does not show, bytes still there."""
        hosts = set()
        for key, guests in self.lost.items():
            for guest in guests:
                hosts |= self.sound.map.holders[key].get(guest, set())
        return {h for h in hosts if self.same_bytes(h, self.damaged)}

    def same_bytes(self, host, path):
        pieces = []
        for name in (self.sound.path, path):
            with open(name, "rb") as file:
                file.seek(host * self.sound.cluster)
                pieces.append(file.read(self.sound.cluster))
        # the file's last cluster may have been a part of one
        return pieces[0] == pieces[1][:len(pieces[0])] and any(pieces[0])

    def held(self, path, hosts):
        count = refcounts(path, hosts)
        return {h for h in hosts if count[h] and self.same_bytes(h, path)}

    def judge_kept(self, keep):
        if self.sound.outside:
            return
        hosts = self.lost_hosts()
        mine, theirs = (self.held(p, hosts) for p in (self.ours, self.rival))
        for given_up in sorted(theirs - mine)[:1]:
            self.faults.append("lost data at host cluster %d are free, and "
                               "not after qemu-img's (%d)" % (
                                   given_up, len(theirs - mine)))
        gone = (keep & hosts) - mine
        if gone:
            self.faults.append("lost data are freed: host clusters %s" %
                               sorted(gone)[:6])
        self.mine, self.theirs = len(mine), len(theirs)

    def judge_better(self):
        mine, theirs = self.maps[self.ours], self.maps[self.rival]
        if self.count[self.ours] > self.count[self.rival] or \
                len(mine.keys) > len(theirs.keys) or \
                mine.doubles() < theirs.doubles():
            return
        if not self.sound.outside and self.mine > self.theirs:
            return
        self.faults.append("not better than qemu-img's: %d sectors, %d" % (
            self.count[self.ours], self.count[self.rival]))

    def judge(self, keep=(), strictly=False):
        if sha_or_none(self.ours) == sha_or_none(self.rival):
            return self.faults      # one repair can do no more than another
        for key in self.sound.map.keys:
            self.compare(key)
        self.judge_kept(set(keep))
        if strictly:
            self.judge_better()
        return self.faults


def sha_or_none(path):
    return oracle.sha(path) if os.path.exists(path) else None


# -- the repair itself -------------------------------------------------

def honest(path, status, before):
    """Faults of an exit code."""
    faults = []
    if status not in (0, 1, 2, 3, 63):
        return ["repair ended with %s" % status]
    if status in (1, 63) and oracle.sha(path) != before:
        faults.append("it failed and changed the image")
    qemu, report, errors = tools.qemu_check(path)
    if status == 0 and qemu != 0 and "'data-file' is required" not in errors:
        faults.append("qfsck says clean, qemu-img check %s: %s" % (
            qemu, tools.last_line(errors)))
    if status == 3 and qemu not in (0, 3):
        faults.append("qfsck says leaks, qemu-img check %s: %s" % (
            qemu, tools.last_line(errors)))
    if status in (0, 2, 3):
        again, _, _, _ = tools.qfsck_check(path)
        if again != status:
            faults.append("repair ended with %s, check says %s" % (
                status, again))
    return faults


def reversible(path, status, before):
    """Faults of a second repair, and of undo; the image is PATH again."""
    faults = []
    done = oracle.sha(path)
    shutil.copy(path, path + ".done")
    again, _ = oracle.repair(path, "-y")
    if again != status or oracle.sha(path) != done:
        faults.append("a second repair is not idle (%s, then %s)" % (
            status, again))
    if done != before:
        code, said = oracle.undo(path)
        if code or oracle.sha(path) != before:
            faults.append("undo does not give the bytes back (%s): %s" % (
                code, said[-200:]))
    os.replace(path + ".done", path)
    return faults


def trial(sound, damaged, keep=(), strictly=False):
    """(faults, what repair said) of repairing a copy of DAMAGED."""
    ours, rival = damaged + ".ours", damaged + ".qemu"
    for copy in (ours, rival):
        tools.must(["cp", "--sparse=auto", damaged, copy])
    before = oracle.sha(ours)
    status, said = oracle.repair(ours, "-y")
    faults = honest(ours, status, before) + reversible(ours, status, before)
    tools.run(["qemu-img", "check", "-q", "-r", "all", "-f", "qcow2", rival],
              timeout=30)
    faults += Trial(sound, damaged, ours, rival).judge(keep, strictly)
    return faults, said
