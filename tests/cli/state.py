#!/usr/bin/env python3
"""check --state: what did not change is not read again, and counts as before;
what did, is; a run that was killed is gone on with; no other file is touched.
"""
import fcntl
import json
import os
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
import qimg  # noqa: E402
from tap import Tap  # noqa: E402

QFSCK = qimg.qfsck_path()
HERE = os.path.dirname(os.path.abspath(__file__))
tap = Tap()


def check(*argv, **more):
    env = dict(qimg.environment(), **more)
    return subprocess.run([QFSCK, "check", "--state=state", *argv],
                          capture_output=True, timeout=60, env=env, text=True,
                          stdin=subprocess.DEVNULL)


def shown(done):
    return (done.stdout + done.stderr).splitlines()


def settle():
    """What was written a moment before is not kept."""
    time.sleep(0.3)


def lines(*argv, **more):
    """(the object of each image, the exit code)."""
    done = check("--output=json", *argv, **more)
    decoder, text, objects = json.JSONDecoder(), done.stdout.strip(), {}
    while text:
        one, end = decoder.raw_decode(text)
        objects[one["filename"]] = one
        text = text[end:].strip()
    return objects, done.returncode


def anew(*argv):
    """The images that were read again."""
    return sorted(os.path.basename(n) for n, o in lines(*argv)[0].items()
                  if not o.get("unchanged"))


def make_pool():
    os.makedirs("pool")
    for name in ("a", "b", "leaks", "lost", "base"):
        qimg.build(os.path.abspath(f"pool/{name}"), "512M",
                   ["write 0 1M", "write 100M 1M"])
    with qimg.Image("pool/leaks") as image:
        end = image.clusters()
        image.truncate((end + 2) * image.cluster)
        image.set_refcount(end, 1)
        image.set_refcount(end + 1, 1)
    with qimg.Image("pool/lost") as image:
        image.write(image.l2_offset(image.l1_used()[0]), bytes(image.cluster))
    qimg.create(os.path.abspath("pool/overlay"), "512M", backing_file="base",
                backing_fmt="qcow2")
    with open("pool/letter.qcow2", "w", encoding="ascii") as file:
        file.write("Dear reader,\nthis is a letter and no disk.\n")
    os.symlink("a", "pool/tab\tand\nline\\end")


def the_same():
    settle()
    first, code = lines("pool")
    tap.result(code == 2 and not any("unchanged" in o for o in first.values()),
               "the first run checks all", [str(code)])
    shim = os.path.abspath("eio.so")
    subprocess.run(["cc", "-shared", "-fPIC", "-D_GNU_SOURCE", "-o", shim,
                    os.path.join(HERE, "eio.c"), "-ldl"], check=True)
    watched = {"LD_PRELOAD": shim, "EIO_NTH": "1", "EIO_DONE": "was-read",
               "EIO_PREFIX": os.path.abspath("pool") + "/"}
    second, again = lines("pool")
    fields = [{k: v for k, v in o.items() if k not in ("unchanged", "checked")}
              for o in second.values()]
    tap.result(again == 2 and fields == list(first.values())
               and all(o["unchanged"] for o in second.values()),
               "the second says the same of all",
               [json.dumps(o) for o in second.values()])
    if qimg.sanitized(QFSCK):
        tap.skip("and reads none of them", "sanitized")
    else:
        # the magic is looked at where no name tells what it is
        named = [f"pool/{n}" for n in ("a", "leaks", "lost", "overlay")]
        lines(*named, **watched)
        tap.result(not os.path.exists("was-read"), "and reads none of them")
        os.utime("pool/a")
        lines(*named, **watched)
        tap.result(os.path.exists("was-read"), "but one that was touched")
    settle()
    done = check("pool")
    tap.result("lost: corrupt, 1 error, up to 512 MiB lost" in done.stdout
               and "a: clean" in done.stdout and
               "qfsck check pool/leaks" in done.stdout
               and done.returncode == 2, "in words as well", shown(done))
    done = check("-q", "pool")
    tap.result("clean; unchanged" not in done.stdout
               and "lost: corrupt" in done.stdout,
               "-q says nothing of what is clean", shown(done))
    done = check("--summary", "pool")
    tap.result("7 images: 4 clean, 1 with leaks, 1 corrupt, 1 of another "
               "format; 7 unchanged since they were checked"
               in done.stdout.splitlines(), "the totals say how many",
               shown(done))
    odd = "pool/tab\tand\nline\\end"
    os.rename(odd, odd + ".2")
    os.link("pool/b", odd)
    settle()
    lines(odd, "pool/b")
    tap.result(anew(odd, "pool/b") == [], "a name may hold anything")
    os.remove(odd)
    os.rename(odd + ".2", odd)


def changes():
    settle()
    lines("pool")
    tap.result(anew("pool") == [], "all is known")
    qimg.qemu_io(os.path.abspath("pool/a"), "write 7M 64k")
    settle()
    tap.result(anew("pool") == ["a"], "what was written is read again")
    tap.result(anew("pool") == [], "and once is enough")
    os.utime("pool/base")
    settle()
    tap.result(anew("pool") == ["base", "overlay"],
               "what stands on another image depends on that as well")
    os.rename("pool/base", "pool/bass")
    tap.result(anew("pool/overlay") == ["overlay"] and
               anew("pool/overlay") == ["overlay"] and
               lines("pool/overlay")[1] == 1,
               "one whose base is gone is looked at each time")
    os.rename("pool/bass", "pool/base")
    settle()
    lines("pool")
    tap.result(anew("--data", "pool/a", "pool/b") == ["a", "b"],
               "another way of checking is another check")
    lines("pool")
    with open("pool/b", "r+b") as file:     # the same bytes, and now
        head = file.read(4)
        file.seek(0)
        file.write(head)
        file.flush()
        os.fsync(file.fileno())
    now = os.stat("pool/b").st_ctime
    lines("pool/b")
    if time.time() - now < 0.1:
        tap.result(anew("pool/b") == ["b"],
                   "what was written a moment before is not trusted")
    else:
        tap.skip("what was written a moment before is not trusted",
                 "the machine is slow")
    settle()
    lines("pool")
    os.remove("pool/b")
    os.utime("pool/a")
    settle()
    lines("pool")
    with open("state", encoding="utf-8") as file:
        text = file.read()
    tap.result("/pool/b\t" not in text and "/pool/a\t" in text
               and text.count("/pool/a\t") == 1,
               "the file has a line an image that is there", [text])


def killed():
    """The report on the third image fills a pipe."""
    os.remove("state")
    os.mkdir("row")
    for n in range(5):
        qimg.build(os.path.abspath(f"row/{n}"), "512M", ["write 0 9M"])
    with qimg.Image("row/2") as image:
        l2 = image.l2_offset(image.l1_used()[0])
        image.write(l2, qimg.random.Random(3).randbytes(image.cluster))
    settle()
    child = subprocess.Popen(
        [QFSCK, "check", "--state=state", "--jobs=1", "--all",
         "--output=json", "row"], stdout=subprocess.PIPE)
    fcntl.fcntl(child.stdout, fcntl.F_SETPIPE_SZ, 4096)
    for _ in range(600):
        with open(f"/proc/{child.pid}/wchan", encoding="ascii") as file:
            if "pipe" in file.read():
                break
        time.sleep(0.1)
    child.send_signal(signal.SIGKILL)
    child.communicate(timeout=60)
    with open("state", "a", encoding="utf-8") as file:
        file.write(os.path.abspath("row/4") + "\t12\t34")     # cut short
    tap.result(anew("--all", "row") == ["2", "3", "4"],
               "a run that was killed is gone on with")
    tap.result(anew("--all", "row") == [], "to its end")


def wrong_files():
    with open("pool/a", "rb") as file:
        before = file.read()
    for name, what in (("pool/a", "an image"), ("pool/letter.qcow2", "a text"),
                       (".", "a folder"), ("none/state", "no place")):
        done = subprocess.run([QFSCK, "check", f"--state={name}", "pool"],
                              capture_output=True, timeout=60)
        tap.result(done.returncode == 1 and not done.stdout and
                   name.encode() in done.stderr, f"{what} is no state",
                   [str(done.stderr)])
    with open("pool/a", "rb") as file:
        tap.result(file.read() == before, "and stays what it was")
    with open("state", "rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        done = check("pool")
        tap.result(done.returncode == 1 and "another qfsck" in done.stderr,
                   "two runs do not share a state", shown(done))
    with open("state", "wb") as file:
        file.write(b"QFSCK-STATE 1\n\t\t\n" + os.urandom(4000) + b"\n/x\t1\n")
    tap.result(lines("pool")[1] == 2 and anew("pool") == [],
               "what is not understood in it is passed over")
    done = check("--backing-chain", "pool/a")
    tap.result(done.returncode == 1, "chains have no state", shown(done))


qimg.own_folder()
make_pool()
the_same()
changes()
killed()
wrong_files()
sys.exit(tap.finish())
