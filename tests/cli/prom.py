#!/usr/bin/env python3
"""check --prom: a Prometheus textfile with true figures, replaced in one step,
and never another file."""
import os
import re
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
import qimg  # noqa: E402
from tap import Tap  # noqa: E402

QFSCK = qimg.qfsck_path()
SAMPLE = re.compile(r'(qfsck_\w+)(?:\{((?:\w+="(?:[^"\\\n]|\\["\\n])*",?)*)\})?'
                    r' (-?[0-9.e+-]+)')
LABEL = re.compile(r'(\w+)="((?:[^"\\\n]|\\["\\n])*)"')
tap = Tap()


def check(*argv, prom="qfsck.prom"):
    return subprocess.run([QFSCK, "check", f"--prom={prom}", *argv],
                          capture_output=True, timeout=60,
                          stdin=subprocess.DEVNULL, env=qimg.environment())


def read():
    """{name: {labels: value}}; None where the format is broken."""
    found, helped, typed = {}, set(), set()
    with open("qfsck.prom", encoding="utf-8") as file:
        for line in file.read().split("\n")[:-1]:
            if line.startswith("# HELP "):
                helped.add(line.split()[2])
            elif line.startswith("# TYPE "):
                typed.add(line.split()[2])
            elif sample := SAMPLE.fullmatch(line):
                labels = tuple(v for _, v in LABEL.findall(sample[2] or ""))
                if labels in found.setdefault(sample[1], {}):
                    return None
                found[sample[1]][labels] = float(sample[3])
            else:
                return None
    return found if helped == typed == set(found) else None


def make_pool():
    os.mkdir("pool")
    for name in ("clean", "leaks", 'a "lost" one\\', b"no utf8\xff".decode(
            errors="surrogateescape")):
        qimg.build(os.path.abspath(f"pool/{name}"), "512M", ["write 0 1M"])
    with qimg.Image("pool/leaks") as image:
        end = image.clusters()
        image.truncate((end + 3) * image.cluster)
        for n in range(3):
            image.set_refcount(end + n, 1)
    with qimg.Image('pool/a "lost" one\\') as image:
        image.write(image.l2_offset(image.l1_used()[0]), bytes(image.cluster))
    with open("pool/letter.qcow2", "w", encoding="ascii") as file:
        file.write("Dear reader,\nthis is a letter and no disk.\n")


def figures():
    before = int(time.time())
    done = check("pool")
    after = time.time() + 1
    have = read()
    tap.result(have is not None and done.returncode == 2,
               "the file is in Prometheus' format", [str(done)])
    lost = 'pool/a \\"lost\\" one\\\\'
    tap.result(have["qfsck_image_verdict"] == {
        (lost, "corrupt"): 1, ("pool/clean", "clean"): 1,
        ("pool/leaks", "leaks"): 1, ("pool/letter.qcow2", "foreign"): 1,
        ("pool/no utf8\\\\xff", "clean"): 1}, "each image has its verdict",
        [str(have)])
    tap.result(have["qfsck_image_errors"][lost,] == 1 and
               have["qfsck_image_errors"]["pool/clean",] == 0 and
               have["qfsck_image_lost_bytes"][lost,] == 512 << 20 and
               have["qfsck_image_leaked_bytes"]["pool/leaks",] == 3 << 16 and
               ("pool/letter.qcow2",) not in have["qfsck_image_errors"],
               "and its figures", [str(have)])
    tap.result({k[0]: v for k, v in have["qfsck_images"].items()} == {
        "clean": 2, "leaks": 1, "corrupt": 1, "foreign": 1, "unchecked": 0,
        "in-use": 0, "gone": 0}, "the totals are true", [str(have)])
    times = [have["qfsck_last_run_timestamp_seconds"][()],
             have["qfsck_image_last_check_timestamp_seconds"]["pool/clean",]]
    tap.result(all(before <= t <= after for t in times)
               and 0 < have["qfsck_image_check_duration_seconds"]
               ["pool/clean",] <= have["qfsck_last_run_duration_seconds"][()],
               "so are the times", [str(have)])


def passed_over():
    time.sleep(0.3)
    check("--state=state", "pool/clean")
    first = read()
    time.sleep(1.1)
    check("--state=state", "pool/clean")
    second = read()
    name = "qfsck_image_last_check_timestamp_seconds"
    tap.result(first[name] == second[name] and
               first["qfsck_image_check_duration_seconds"] ==
               second["qfsck_image_check_duration_seconds"],
               "what is passed over keeps its times", [str(first), str(second)])
    tap.result(first["qfsck_last_run_timestamp_seconds"] !=
               second["qfsck_last_run_timestamp_seconds"],
               "the run has its own", [str(second)])


def replacing():
    with open("qfsck.prom", "rb") as held:
        old = held.read()
        done = check("pool/leaks")
        held.seek(0)
        tap.result(held.read() == old and done.returncode == 3,
                   "the old file is replaced, and not written over",
                   [str(done)])
    tap.result([n for n in os.listdir(".") if "prom." in n] == [],
               "nothing is left beside it", os.listdir("."))
    os.rename("qfsck.prom", "real.prom")
    os.symlink("real.prom", "qfsck.prom")
    check("pool/clean")
    tap.result(os.path.islink("qfsck.prom") and
               list(read()["qfsck_image_verdict"]) ==
               [("pool/clean", "clean")], "a link stays one", [str(read())])
    with open("pool/clean", "rb") as file:
        before = file.read()
    done = check("pool/leaks", prom="pool/clean")
    with open("pool/clean", "rb") as file:
        tap.result(done.returncode == 1 and file.read() == before
                   and b"another kind" in done.stderr,
                   "an image is no such file", [str(done)])
    done = check("pool/clean", prom="none/x.prom")
    tap.result(done.returncode == 1 and b"none/x.prom" in done.stderr,
               "a file that cannot be written is an error", [str(done)])


qimg.own_folder()
make_pool()
figures()
passed_over()
replacing()
sys.exit(tap.finish())
