#!/usr/bin/env python3
"""Many hosts: GNU parallel over ssh, and a Slurm array of jobs.

Three hosts are network namespaces with an sshd each, on a bridge; they share
the pool as they share this machine's files. One of them hangs in the middle of
its work and is then cut off and killed: another takes its images up again, and
what comes out is what one host says. All of it lies in namespaces of the
test's own, and goes with them.
"""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "lib"))
import qimg  # noqa: E402
from tap import Tap  # noqa: E402
from tools import own_folder  # noqa: E402

ROOT = os.path.abspath(os.path.join(HERE, "..", ".."))
SHARE = os.path.join(ROOT, "share", "hosts")
PATH = os.environ.get("PATH", "/usr/bin:/bin") + ":/usr/sbin:/sbin"
os.environ["PATH"] = PATH
QFSCK = qimg.qfsck_path()
INSIDE = "QFSCK_TEST_INSIDE"
NAMES = ("one", "two", "three")
PATIENCE = 250
tap = Tap()

# What the hosts run: that of the second one hangs in its second piece.
PROGRAM = """#!/bin/sh
here=$(echo "$SSH_CONNECTION" | cut -d' ' -f3)
echo "$here" >>%(at)s/worked
if [ "$here" = 10.9.0.2 ] && [ "$(grep -cx "$here" %(at)s/worked)" = 2 ]; then
    echo '{"filename":"%(at)s/pool/i'     # half a line of it comes through
    touch %(at)s/hangs
    exec sleep 1000
fi
exec %(qfsck)s "$@"
"""
SSHD = """Port 22
ListenAddress %(address)s
HostKey %(at)s/host-key
AuthorizedKeysFile %(at)s/key.pub
PidFile none
StrictModes no
UsePAM no
PermitRootLogin yes
PasswordAuthentication no
"""


def run(*argv, **more):
    more.setdefault("timeout", PATIENCE)
    return subprocess.run(argv, stdin=subprocess.DEVNULL, text=True,
                          capture_output=True, **more)


def needed():
    """Why the test cannot be; None if it can."""
    if os.geteuid():
        return "needs root for network namespaces"
    for name in ("ip", "unshare", "perl"):
        if not shutil.which(name):
            return "no " + name
    done = run("unshare", "--net", "--mount", "--pid", "--fork", "sh", "-c",
               "mount -t tmpfs tmpfs /run && mkdir /run/netns && "
               "ip netns add x && ip link add tox type veth peer name xto "
               "&& ip link add brx type bridge")
    return None if done.returncode == 0 else \
        "no network namespaces here: " + done.stderr.strip()


def make_pool():
    os.mkdir("pool")
    for n in range(24):
        qimg.build(os.path.abspath("pool/image-%d.qcow2" % n), "512M",
                   ["write %dM 1M" % n])
    with qimg.Image("pool/image-3.qcow2") as image:
        end = image.clusters()
        image.truncate((end + 2) * image.cluster)
        image.set_refcount(end, 1)
    with qimg.Image("pool/image-5.qcow2") as image:
        image.write(image.l2_offset(image.l1_used()[0]), bytes(image.cluster))
    with open("pool/letter.qcow2", "w", encoding="ascii") as file:
        file.write("Dear reader,\nthis is a letter and no disk.\n")


def by_name(text):
    lines = text.splitlines()
    return sorted(lines, key=lambda line: json.loads(line)["filename"])


def one_host():
    done = run(QFSCK, "check", "-R", "--output=json", os.path.abspath("pool"))
    return by_name(done.stdout), done.returncode


# -- GNU parallel ------------------------------------------------------

def address(n):
    return "10.9.0.%d" % (n + 1)


def make_hosts():
    at = os.getcwd()
    run("ip", "link", "set", "lo", "up")
    run("ip", "link", "add", "bridge", "type", "bridge")
    run("ip", "address", "add", "10.9.0.100/24", "dev", "bridge")
    run("ip", "link", "set", "bridge", "up")
    for key in ("key", "host-key"):
        run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key)
    daemons = []
    for n, name in enumerate(NAMES):
        run("ip", "netns", "add", name)
        run("ip", "link", "add", "to-" + name, "type", "veth", "peer", "name",
            "eth0", "netns", name)
        run("ip", "link", "set", "to-" + name, "master", "bridge", "up")
        for words in (("address", "add", address(n) + "/24", "dev", "eth0"),
                      ("link", "set", "eth0", "up"),
                      ("link", "set", "lo", "up")):
            run("ip", "-n", name, *words)
        with open(name + ".sshd", "w") as file:
            file.write(SSHD % {"address": address(n), "at": at})
        daemons.append(subprocess.Popen(
            ["ip", "netns", "exec", name, shutil.which("sshd"), "-D", "-e",
             "-f", os.path.abspath(name + ".sshd")],
            stdin=subprocess.DEVNULL, stderr=open(name + ".log", "w")))
    with open("program", "w") as file:
        file.write(PROGRAM % {"at": at, "qfsck": QFSCK})
    os.chmod("program", 0o755)
    with open("hosts", "w") as file:
        file.write("# three hosts\n")
        file.writelines("1/root@%s\n" % address(n) for n in range(len(NAMES)))
    return daemons


def ssh():
    return ("ssh -F none -i %s/key -o UserKnownHostsFile=/dev/null "
            "-o StrictHostKeyChecking=no -o LogLevel=ERROR -o BatchMode=yes "
            "-o ConnectTimeout=20 -o ServerAliveInterval=2 "
            "-o ServerAliveCountMax=6" % os.getcwd())


def answers():
    """Whether all hosts let one in; what they say, if not."""
    end = time.monotonic() + 30
    for n in range(len(NAMES)):
        while True:
            done = run(*ssh().split(), "root@" + address(n), "true")
            if not done.returncode:
                break
            if time.monotonic() > end:
                return done.stderr + open(NAMES[n] + ".log").read()
            time.sleep(.1)
    return None


def start(*options):
    env = dict(qimg.environment(), QFSCK=os.path.abspath("program"),
               SSH=ssh(), PATH=PATH, HOME=os.getcwd())
    return subprocess.Popen(
        [os.path.join(SHARE, "qfsck-hosts"), "hosts", os.path.abspath("pool"),
         *options], env=env, text=True, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def kill_host(name):
    run("ip", "link", "delete", "to-" + name)
    for pid in run("ip", "netns", "pids", name).stdout.split():
        with contextlib.suppress(ProcessLookupError):   # it has ended
            os.kill(int(pid), signal.SIGKILL)


def wait_for(name, process):
    end = time.monotonic() + PATIENCE
    while not os.path.exists(name) and process.poll() is None and \
            time.monotonic() < end:
        time.sleep(.05)
    return os.path.exists(name)


def by_parallel():
    if not all(map(shutil.which, ("parallel", "sshd", "ssh-keygen"))):
        tap.skip("GNU parallel over ssh", "no GNU parallel, or no sshd")
        return
    os.mkdir("/run/sshd")
    make_hosts()
    refused = answers()
    if refused is not None:
        tap.skip("GNU parallel over ssh", "sshd lets nobody in here: "
                 + " ".join(refused.split())[-200:])
        return
    alone, code = one_host()
    work = start()
    hung = wait_for("hangs", work)
    kill_host("two")
    out, err = work.communicate(timeout=PATIENCE)
    worked = []
    if os.path.exists("worked"):
        with open("worked") as file:
            worked = file.read().split()
    tap.result(hung and set(worked) == {address(n) for n in range(3)},
               "all three hosts work, and one dies in the middle",
               [str(worked), err])
    tap.result(out.splitlines() == alone and work.returncode == code == 2,
               "what comes out is what one host says",
               [str(work.returncode), out, err])
    tap.result("25 images: 1 corrupt" in err, "the totals are told",
               err.splitlines())
    # a dead host is left out; none that lives: told, and no "clean"
    work = start("--no-guest")
    out, err = work.communicate(timeout=PATIENCE)
    tap.result(out.splitlines() == alone and work.returncode == 2,
               "a host that is dead from the beginning is done without",
               [str(work.returncode), out, err])
    kill_host("one")
    kill_host("three")
    work = start()
    out, err = work.communicate(timeout=PATIENCE)
    tap.result(work.returncode == 1 and not out and
               "pieces are left that no host could do" in err,
               "without any host the code is 1", [out, err])


# -- merging -----------------------------------------------------------

def merge(*files):
    return run(os.path.join(SHARE, "qfsck-merge"), *files)


def by_merge():
    def line(name, verdict):
        return json.dumps({"filename": name, "verdict": verdict}) + "\n"

    with open("a.jsonl", "w") as file:
        file.write(line("b", "unchecked") + line("a", "clean") + '{"filena')
    with open("b.jsonl", "w") as file:
        file.write(line("b", "leaks") + line("c", "in-use"))
    done = merge("a.jsonl", "b.jsonl")
    tap.result(done.stdout == line("a", "clean") + line("b", "leaks") +
               line("c", "in-use") and done.returncode == 3 and
               "3 images: 1 leaks, 1 in-use, 1 clean" in done.stderr and
               "1 lines are no report" in done.stderr,
               "of two lines the last counts, and half a line does not",
               [done.stdout, done.stderr, str(done.returncode)])
    with open("c.jsonl", "w") as file:
        file.write(line("a", "clean") + line("d", "foreign"))
    done = merge("c.jsonl")
    tap.result(done.returncode == 63 and
               "2 images: 1 foreign, 1 clean" in done.stderr,
               "another format is no failure", [done.stderr])
    done = merge("nowhere")
    tap.result(done.returncode == 1 and "nowhere" in done.stderr,
               "a file that is not there is told", [done.stderr])


# -- Slurm -------------------------------------------------------------

SLURM = """ClusterName=test
SlurmctldHost=%(host)s(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/none
CredType=cred/none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/linear
ReturnToService=2
SlurmctldPort=16817
SlurmdPort=16818
StateSaveLocation=%(at)s/slurm
SlurmdSpoolDir=%(at)s/slurm/spool
SlurmctldPidFile=%(at)s/slurm/ctld.pid
SlurmdPidFile=%(at)s/slurm/d.pid
SlurmctldLogFile=%(at)s/slurm/ctld.log
SlurmdLogFile=%(at)s/slurm/d.log
MailProg=/bin/true
SchedulerParameters=batch_sched_delay=0
NodeName=%(host)s NodeAddr=127.0.0.1 CPUs=1 State=UNKNOWN
PartitionName=all Nodes=ALL Default=YES State=UP OverSubscribe=FORCE:3
"""


def slurm_words():
    out = []
    for name in ("ctld", "d"):
        try:
            with open("slurm/%s.log" % name) as file:
                out += file.read().splitlines()[-8:]
        except OSError:
            pass
    return out


def start_slurm():
    """Whether there is a node that takes jobs."""
    host = os.uname().nodename.split(".")[0]
    os.makedirs("slurm/spool")
    with open("slurm.conf", "w") as file:
        file.write(SLURM % {"host": host, "at": os.getcwd()})
    os.environ["SLURM_CONF"] = os.path.abspath("slurm.conf")
    run("ip", "link", "set", "lo", "up")
    # they end with the namespace that they are in
    for daemon in (["slurmctld", "-D"], ["slurmd", "-D", "-N", host]):
        subprocess.Popen(daemon, stdin=subprocess.DEVNULL,
                         stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    end = time.monotonic() + 60
    while time.monotonic() < end:
        if run("sinfo", "-h", "-o", "%t").stdout.strip() in ("idle", "mix"):
            return True
        time.sleep(.2)
    return False


def by_slurm():
    if not all(map(shutil.which, ("slurmctld", "slurmd", "sbatch"))):
        tap.skip("an array of Slurm's", "no Slurm (slurm-wlm)")
        return
    if not start_slurm():
        tap.skip("an array of Slurm's", "Slurm does not come up here: "
                 + " ".join(slurm_words())[-300:])
        return
    alone, code = one_host()
    done = run("sbatch", "--wait", "--array=1-4", "--output=slurm-%a.out",
               "--export=ALL,QFSCK=" + QFSCK,
               os.path.join(SHARE, "qfsck-slurm"), os.path.abspath("pool"),
               os.path.abspath("results"))
    merged = merge("results")
    tap.result(done.returncode == 0 and merged.stdout.splitlines() == alone
               and merged.returncode == code,
               "an array of Slurm's says what one host says",
               [done.stderr, merged.stdout, merged.stderr, *slurm_words()])


def main():
    own_folder()
    if INSIDE not in os.environ:
        why = needed()
        if why:
            print("1..0 # SKIP " + why)
            return 0
        return subprocess.run(
            ["unshare", "--net", "--mount", "--pid", "--fork",
             "--kill-child", "--mount-proc", sys.executable,
             os.path.abspath(__file__)],
            env=dict(os.environ, TMPDIR=os.getcwd(), **{INSIDE: "1"})
        ).returncode
    run("mount", "-t", "tmpfs", "tmpfs", "/run")
    os.mkdir("/run/netns")
    make_pool()
    by_merge()
    by_parallel()
    by_slurm()
    return tap.finish()


sys.exit(main())
