#!/usr/bin/env python3
"""Lost L2 tables that repair restores from other versions of the table."""

import os
import shutil
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "lib"))

import oracle                                               # noqa: E402
import qimg                                                 # noqa: E402
from tap import Tap                                         # noqa: E402

CLUSTER = 4096
OFFSET = qimg.OFFSET_MASK
SHARED = ["write -P 1 0 256k", "write -P 2 512k 128k", ("snap", "one")]
COMPRESSED = ["write -c -P %d %dk 4k" % (n, 4 * n) for n in range(64)]
COMPRESSED += ["write -P 2 512k 128k", ("snap", "one")]
OWN = "write -P 3 64k 4k"

tap = Tap()
work = tempfile.mkdtemp(prefix="qfsck-older.")


def active_table(image):
    return image.l2_offset(0)


def snapshot_table(image):
    pos = image.snapshots()[0]
    return image.u64(image.snapshot(pos, "l1_table_offset")) & OFFSET


def erase(image, place):
    image.write(place(image), bytes(CLUSTER))


def overwrite(image, place):
    image.write(place(image), b"not a table, but some text.. " * 141 + b"....")


def keep_one(image, place):
    """All but one entry overwritten."""
    entry = image.read(place(image) + 128, 8)
    overwrite(image, place)
    image.write(place(image) + 128, entry)


def case(name, steps, damage, place, check, size="2M", options=("-y",),
         **layout):
    # a name of its own: what the guest sees is remembered by it
    sound = os.path.join(work, "sound-%d" % len(os.listdir(work)))
    image = os.path.join(work, "image")
    qimg.build(sound, size, steps, cluster_size=CLUSTER, **layout)
    shutil.copy(sound, image)
    with qimg.Image(image) as damaged:
        damage(damaged, place)
    before = oracle.sha(image)
    status, said = oracle.repair(image, *options)
    done = said.split("Not done without --guess")[0]
    shown = "from the older version" in done or "from an older copy" in done
    faults = check(sound, image, status, shown)
    if oracle.sha(image) != before:
        again, _ = oracle.repair(image, *options)
        faults += ["second repair: %s" % again] if again != status else []
        code, undone = oracle.undo(image)
        if code or oracle.sha(image) != before:
            faults.append("undo: " + undone)
        os.remove(image + ".qfsck-undo")
    tap.result(not faults, name, faults and faults + [said[-1500:]])


def whole(sound, image, status, shown):
    faults = [] if status == 0 and shown else ["status %s" % status]
    if oracle.views(image) != oracle.sound_views(sound):
        faults.append("the guest sees something else than before")
    return faults


def but_own(holder, guest):
    """What only the lost table had stays lost, and is not freed."""
    def judge(sound, image, status, shown):
        faults = [] if status == 3 and shown else ["status %s" % status]
        should, now = oracle.sound_views(sound), oracle.views(image)
        for who in should:
            bad = oracle.sectors_that_differ(should[who], now[who])
            lost = range(guest, guest + CLUSTER, oracle.SECTOR)
            if bad != (list(lost) if who == holder else []):
                faults.append("%s: %s" % (who, [hex(b) for b in bad[:9]]))
        return faults
    return judge


def untouched(sound, image, status, shown):
    return ["status %s" % status] if shown or status == 0 else []


def offered(sound, image, status, shown):
    """Not restored: what is right now stays right."""
    faults = untouched(sound, image, status, shown)
    _, said = oracle.repair(image, "-n")
    return faults + ([] if "Not done without --guess" in said else [said])


def guessed(sound, image, status, shown):
    should, now = oracle.sound_views(sound), oracle.views(image)
    back = 256 << 10
    bad = [b for b in oracle.sectors_that_differ(should[None], now[None])
           if b < back]
    # what was discarded, or written at another place
    return ([] if status == 3 and shown and len(bad) * oracle.SECTOR <
            back // 2 else ["status %s" % status, len(bad)])


def become_other(image, _):
    """The first L2 table turns into a copy of the second."""
    image.write(image.l2_offset(0), image.read(image.l2_offset(1), CLUSTER))


def erase_sector(image, place):
    """The entries of the sector with index 128."""
    image.write(place(image) + 1024, bytes(512))


def become_block(image, _):
    """The first L2 table turns into a copy of a refcount block."""
    block = image.u64(image.reftable_offset()) & OFFSET
    image.write(image.l2_offset(0), image.read(block, CLUSTER))


def own_kept(sound, image, status, _):
    """What only the lost table had is not freed as a leak."""
    with qimg.Image(sound) as was, qimg.Image(image) as now:
        lost = [was.u64(was.l2_offset(0) + 8 * n) & OFFSET
                for n in range(2, 8)]
        freed = [hex(off) for off in lost
                 if not now.refcount(off // CLUSTER)]
    return ([] if status in (2, 3) else ["status %s" % status]) + freed


def forget(image, index):
    """The L1 entry is zero; the table remains."""
    image.put64(image.l1_pos(index), 0)


def placed(sound, image, status, _):
    return whole(sound, image, status, True)


def main():
    # a discard leaves a table of its own, and no data
    alike = SHARED + ["discard 0 4k"]
    case("an erased table of which the snapshot has all", alike, erase,
         active_table, whole)
    case("the snapshot's table, from the active disk's", alike, erase,
         snapshot_table, but_own("one", 0))
    case("an overwritten table", alike, overwrite, active_table, whole)
    case("a table with clusters of its own", SHARED + [OWN], erase,
         active_table, but_own(None, 64 << 10))
    case("compressed clusters", COMPRESSED + ["discard 512k 4k"], erase,
         active_table, whole)
    case("a sound entry is left", SHARED + [OWN], keep_one, active_table,
         untouched)
    # a snapshot of before has nothing there either, and its count is as low
    parted = ["write -P 1 0 64k", ("snap", "one"), "write -P 2 512k 128k",
              ("snap", "two"), "write -P 3 1m 4k"]
    case("a part that two versions lack", parted, erase_sector, active_table,
         untouched)
    case("a part that one version lacks",
         ["write -P 1 0 64k", "write -P 2 512k 128k", ("snap", "two"),
          "write -P 3 1m 4k"], erase_sector, active_table, whole)
    # more behind it than a killed writer has on its way
    first, more = "write -P 1 0 256k", "write -P 5 8m 36m"
    freed = [first, ("snap", "one"), OWN, more, ("unsnap-kept", "one")]
    case("a stale copy in a freed cluster", freed, erase, active_table,
         but_own(None, 64 << 10), size="64M")
    case("a stale copy, and the table overwritten", freed, overwrite,
         active_table, but_own(None, 64 << 10), size="64M")
    case("a stale copy, compressed clusters",
         COMPRESSED[:64] + freed[1:], erase, active_table,
         but_own(None, 64 << 10), size="64M")
    case("a stale copy of which most was freed",
         [first, ("snap", "one"), "write -P 3 0 200k", more,
          ("unsnap-kept", "one")], erase, active_table, untouched, size="64M")
    case("a stale copy that was overwritten since",
         freed + ["write -P 4 6m 4k"], erase, active_table, untouched,
         size="64M")
    case("a table that became a copy of another",
         ["write -P 1 0 32k", "write -P 2 2M 8k", ("snap", "one"),
          ("snap", "two"), "write -P 3 8k 24k"], become_other, None, own_kept,
         size="8M")
    # its counts of one are sound entries of zeros
    case("a table that became a refcount block", ["write -P 1 0 900k"],
         become_block, None, own_kept, size="8M", refcount_bits=64)
    # the places of what was discarded are used again
    reused = freed + ["discard 4k 40k", "write -P 6 1m 128k"]
    case("a stale copy of which clusters were used again", reused, erase,
         active_table, offered, size="64M")
    case("the same, as a guess", reused, erase, active_table, guessed,
         size="64M", options=("-y", "--guess"))
    case("the only empty L1 entry", ["write -P 1 0 3m", "write -P 2 3m 5m"],
         forget, 2, placed, size="8M")
    return tap.finish()


try:
    sys.exit(main())
finally:
    shutil.rmtree(work)
