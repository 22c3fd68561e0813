"""Compares what every state of a disk shows with what it should.

Wrong sectors are kept as {state's key: {guest cluster: bits}}, a bit a
sector, cluster and key being those of the sound image.
"""

SECTOR = 512


def minus(a, b):
    return join(a, b, lambda x, y: x & ~y)


def plus(a, b):
    merged = {k: dict(v) for k, v in a.items()}
    for key, clusters in b.items():
        mine = merged.setdefault(key, {})
        for n, bits in clusters.items():
            mine[n] = mine.get(n, 0) | bits
    return merged


def both(a, b):
    return join(a, b, lambda x, y: x & y)


def join(a, b, how):
    found = {}
    for key, clusters in a.items():
        other = b.get(key, {})
        kept = {n: how(bits, other.get(n, 0)) for n, bits in clusters.items()}
        kept = {n: bits for n, bits in kept.items() if bits}
        if kept:
            found[key] = kept
    return found


def count(wrong):
    return sum(bits.bit_count() for c in wrong.values() for bits in c.values())


def text(wrong, cluster):
    said = []
    for key, clusters in wrong.items():
        n = min(clusters)
        bits = clusters[n]
        said.append("%s: %d sectors, the first at %#x" % (
            "snapshot %s" % key[0].decode(errors="replace") if key else
            "active", sum(b.bit_count() for b in clusters.values()),
            n * cluster + SECTOR * ((bits & -bits).bit_length() - 1)))
    return "; ".join(said)


def differ(want, got):
    """The bits of the sectors that are not alike."""
    if want == got:
        return 0
    bits = 0
    for i in range(0, len(want), SECTOR):
        if want[i:i + SECTOR] != got[i:i + SECTOR]:
            bits |= 1 << i // SECTOR
    return bits


class Sight:
    """What VIEW shows of the disks of GROUND. `matched`: {key of the sound
    image: State of the view, or None}; `wrong`: as above."""

    def __init__(self, ground, view):
        self.ground, self.view = ground, view
        self.wrong, self.matched = {}, {}
        left = list(view.states)
        wanted = list(ground.keys)
        for alike in (self.same_key, self.same_id, self.same_name,
                      self.same_table):
            for key in list(wanted):
                state = next((s for s in left if alike(key, s)), None)
                if state:
                    self.matched[key] = state
                    left.remove(state)
                    wanted.remove(key)
        for key, state in self.matched.items():
            self.keep(key, self.compare(key, state))
        for key in wanted:
            self.match_by_content(key, left)

    # -- which state is which: a repair may have to name snapshots anew --

    def same_key(self, key, state):
        return state.key == key

    def same_id(self, key, state):
        return bool(key and state.key) and key[0] == state.key[0]

    def same_name(self, key, state):
        return bool(key and state.key) and key[1] == state.key[1]

    def same_table(self, key, state):
        if not key or not state.key:
            return False
        sound = self.ground.view.states[self.ground.keys.index(key)]
        return sound.l1_offset == state.l1_offset

    def match_by_content(self, key, left):
        found = [(self.compare(key, s), s) for s in left if s.key and key]
        found.append((self.compare(key, None), None))
        wrong, state = min(found, key=lambda f: count({key: f[0]}))
        self.matched[key] = state
        if state:
            left.remove(state)
        self.keep(key, wrong)

    def keep(self, key, wrong):
        if wrong:
            self.wrong[key] = wrong

    # -- bytes ---------------------------------------------------------

    def compare(self, key, state):
        ground, cluster = self.ground, self.ground.cluster
        disk = ground.disks[key]
        clusters = set(ground.truth[key])
        if state:
            mine = self.view.cluster
            for n in self.view.mapped(state, disk):
                clusters.update(range(n * mine // cluster,
                                      ((n + 1) * mine - 1) // cluster + 1))
        wrong = {}
        for n in clusters:
            length = min(cluster, disk - n * cluster)
            if length <= 0:
                continue
            want = ground.should(key, n)[:length]
            bits = differ(want, self.shown(state, n, length))
            if bits:
                wrong[n] = bits
        return wrong

    def shown(self, state, n, length):
        """The bytes; what cannot be read is not there (and differs)."""
        if not state:
            return b""
        if self.view.cluster == self.ground.cluster:
            data = self.view.bytes_at(state, n)
            return b"" if data is None else self.ended(
                data[:length], state, n * self.ground.cluster)
        return self.pieced(state, n * self.ground.cluster, length)

    def ended(self, data, state, at):
        """Where the disk ends before the sound one does, data are lost and
        zeros are not."""
        return data[:max(0, state.disk - at)].ljust(len(data), b"\0")

    def pieced(self, state, at, length):
        out, end = b"", at + length
        while at < end:
            n, skip = divmod(at, self.view.cluster)
            data = self.view.bytes_at(state, n)
            if data is None:
                return out
            piece = self.ended(data, state, n * self.view.cluster)[
                skip:skip + end - at]
            out += piece
            at += len(piece)
        return out

    def held(self, wrong):
        """The part of WRONG where the sound disk holds something."""
        holds = self.ground.holds
        return both(wrong, {key: {n: holds(key, n) for n in clusters}
                            for key, clusters in wrong.items()})

    def payload(self, damaged, ends_early):
        """The part of what is wrong that is mapped as it should be: other
        bytes stand in its place, and did when it was DAMAGED. A file that
        ENDS_EARLY tells what it cut."""
        found, sound = {}, self.ground.view
        if self.view.refusal or self.view.cluster != self.ground.cluster:
            return found
        for key, clusters in self.wrong.items():
            mine = self.matched[key]
            its = sound.states[self.ground.keys.index(key)]
            for n, bits in clusters.items() if mine else ():
                source = self.view.source(mine, n)
                if not source or source != sound.source(its, n) or \
                        self.view.bytes_at(mine, n) is None or not \
                        self.is_kept(source[0], damaged):
                    continue
                if ends_early:
                    there = max(0, len(self.view.data) - source[0]) // SECTOR
                    bits &= (1 << there) - 1
                if bits:
                    found.setdefault(key, {})[n] = bits
        return found

    def is_kept(self, host, damaged):
        end = host + self.view.cluster
        return self.view.data[host:end][:len(damaged) - host] == \
            damaged[host:end]

    # -- what a report tells of it -------------------------------------

    def told(self, report, wrong, names):
        """The part of WRONG that "lost" of a REPORT covers; NAMES: {key: ids
        that the report may have for that state}."""
        ranges = {}
        for r in (report or {}).get("lost", []):
            ranges.setdefault(r["holder"], []).append(
                (r["guest-offset"], r["guest-offset"] + r["length"]))
        found, cluster = {}, self.ground.cluster
        for key, clusters in wrong.items():
            mine = [r for n in names[key] for r in ranges.get(n, [])]
            for n, bits in clusters.items():
                covered = bits & cover(mine, n * cluster, cluster)
                if covered:
                    found.setdefault(key, {})[n] = covered
        return found


def cover(ranges, at, cluster):
    bits = 0
    for start, end in ranges:
        first = max(0, start - at) // SECTOR
        last = -(-(min(end, at + cluster) - at) // SECTOR)
        if last > first:
            bits |= (1 << last) - (1 << first)
    return bits
