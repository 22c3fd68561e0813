"""Guests that a real kernel writes: a Linux that runs as a program (Debian's
user-mode-linux) mounts file systems on raw disks and works in them."""

import os
import signal
import subprocess

KERNEL = "linux.uml"
MIB = 1 << 20
# (name, kind, size in MiB, how it is made)
DISKS = (
    ("ext4-1k", "ext4", 60, ("mke2fs", "-q", "-t", "ext4", "-b", "1024")),
    ("ext4-4k", "ext4", 120, ("mke2fs", "-q", "-t", "ext4", "-b", "4096")),
    ("xfs", "xfs", 300, ("mkfs.xfs", "-q", "-m", "rmapbt=1")),
    ("btrfs", "btrfs", 200, ("mkfs.btrfs", "-q")),
)

INIT = """#!/bin/sh
export PATH=/usr/sbin:/sbin:/usr/bin:/bin
mount -t proc proc /proc
[ -e /dev/ubda ] || mount -t devtmpfs dev /dev
mount -t tmpfs tmp /mnt
for row in %(rows)s; do
    mkdir /mnt/${row%%:*}
    mount -t ${row##*:} /dev/ubd${row%%:*} /mnt/${row%%:*} || echo FAILED
done
for row in %(rows)s; do
    python3 %(here)s/writer.py /mnt/${row%%:*} %(seed)d %(rounds)d &
done
wait
for row in %(rows)s; do umount /mnt/${row%%:*} || echo FAILED; done
echo CLOSED
echo o > /proc/sysrq-trigger
sleep 60
"""

WRITER = """
import os, random, sys
root, seed, rounds = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
rng = random.Random(seed)
live, folders = [], [root]
for r in range(rounds):
    for n in range(40):
        k, name = rng.random(), "an entry of some name %d-%d-%d" % (seed, r, n)
        if k < .1:
            folders.append(os.path.join(rng.choice(folders[-9:]), name))
            os.mkdir(folders[-1])
        elif k < .7 or not live:
            live.append(os.path.join(rng.choice(folders[-9:]), name))
            with open(live[-1], "wb") as f:
                f.write(rng.randbytes(rng.choice((0, 50, 3000, 40000))))
            if k < .2:
                os.setxattr(live[-1], "user.x", rng.randbytes(900))
                os.symlink("y" * rng.choice((10, 900)), live[-1] + ".link")
        elif k < .8:
            old = live.pop(rng.randrange(len(live)))
            live.append(old + "r")
            os.rename(old, old + "r")
        else:
            os.unlink(live.pop(rng.randrange(len(live))))
    if r % 5 == 4:
        big = os.path.join(root, "big%d-%d" % (seed, r))
        os.mkdir(big)
        for n in range(300):
            open(os.path.join(big, "entry number %d" % n), "w").close()
    if r % 2 == 0:
        os.sync()
    print("ROUND", r, flush=True)
"""


def boot(seen, seed, rounds, go_on):
    """Runs the kernel on the disks *.raw as long as GO_ON of what it says; what
    it said. SEEN is a folder that it sees as well (/dev in there is another
    one)."""
    rows = " ".join("%s:%s" % (chr(ord("a") + n), kind)
                    for n, (_, kind, _, _) in enumerate(DISKS))
    with open(seen + "/init", "w") as f:
        f.write(INIT % {"rows": rows, "here": seen, "seed": seed,
                        "rounds": rounds})
    os.chmod(seen + "/init", 0o755)
    with open(seen + "/writer.py", "w") as f:
        f.write(WRITER)
    child = subprocess.Popen(
        [KERNEL, "mem=300M", "root=/dev/root", "rootfstype=hostfs",
         "rootflags=/", "rw", "init=%s/init" % seen, "con=null",
         "con0=fd:0,fd:1", "quiet",
         *("ubd%d=%s.raw" % (n, name)
           for n, (name, *_) in enumerate(DISKS))],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL, start_new_session=True)
    text = b""
    while go_on(text.decode(errors="replace")):
        more = os.read(child.stdout.fileno(), 4096)
        if not more:
            break
        text += more
    try:
        os.killpg(child.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    child.wait()
    return text.decode(errors="replace")
