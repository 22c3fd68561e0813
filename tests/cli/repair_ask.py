#!/usr/bin/env python3
"""Without -n, -p and -y, repair asks on a terminal: each answer, and none."""
import os
import pty
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
import oracle                                               # noqa: E402
from qimg import Image, build, qfsck_check, qfsck_path      # noqa: E402
from tap import Tap                                         # noqa: E402

NAME = "ask.qcow2"
ASKED = (b"[?]: ", b"[q]uit: ")
LEAK, COPIED = "refcount-leak", "copied-l2"


def make(path):
    """Four leaked clusters, and a COPIED flag that is missing."""
    build(path, "8M", ["write -P 1 0 1M"])
    with Image(path) as image:
        end = image.clusters()
        image.truncate((end + 4) * image.cluster)
        for cluster in range(end, end + 4):
            image.set_refcount(cluster, 1)
        at = image.l2_pos(0, 3)
        image.put64(at, image.u64(at) & ~(1 << 63))


def talk(path, answers):
    """(exit code, what it said, questions asked) with these answers."""
    child, terminal = pty.fork()
    if child == 0:
        os.execv(qfsck_path(), ["qfsck", "repair", path])
    said, questions, answers = b"", 0, list(answers)
    while True:
        try:
            piece = os.read(terminal, 65536)
        except OSError:     # Linux says so at the terminal's end
            break
        if not piece:
            break
        said += piece
        if said.endswith(ASKED):
            questions += 1
            os.write(terminal, answers.pop(0) if answers else b"\x04")
    os.close(terminal)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return status, said.decode(), questions


# answers; exit code, what is left, questions
CASES = [
    ("yes to both", [b"y\n", b"y\n"], 0, set(), 2),
    ("all, at the first", [b"a\n"], 0, set(), 1),
    ("no, then yes", [b"n\n", b"y\n"], 3, {LEAK}, 2),
    ("yes, then no", [b"y\n", b"n\n"], 2, {COPIED}, 2),
    ("nonsense is asked again", [b"what\n", b"\n", b"a\n"], 0, set(), 3),
    ("no to both", [b"n\n", b"n\n"], 2, {LEAK, COPIED}, 2),
    ("quit", [b"q\n"], 2, {LEAK, COPIED}, 1),
    ("yes, then quit", [b"y\n", b"q\n"], 2, {LEAK, COPIED}, 2),
    ("explained, and shown", [b"?\n", b"p\n", b"a\n"], 0, set(), 3),
    ("each edit, one refused", [b"e\n", b"n\n", b"y\n"], 3, {LEAK}, 3),
    ("each edit, all of them", [b"e\n", b"a\n", b"e\n", b"y\n"], 0, set(), 4),
    ("each edit, then quit", [b"e\n", b"q\n"], 2, {LEAK, COPIED}, 2),
    ("the end of the input", [b"\x04"], 2, {LEAK, COPIED}, 1),
]


def one(tap, folder, name, answers, want, left, asked):
    path = os.path.join(folder, NAME)
    make(path)
    before = oracle.sha(path)
    status, said, questions = talk(path, answers)
    report = qfsck_check(path)[1]
    names = {f["name"] for f in report["findings"]}
    good = status == want and names == left and questions == asked
    undo = path + ".qfsck-undo"
    if len(left) == 2:
        good = good and oracle.sha(path) == before and \
            os.listdir(folder) == [NAME] and "nothing was written" in said
    else:
        oracle.undo(path)
        good = good and oracle.sha(path) == before
        os.remove(undo)
    os.remove(path)
    tap.result(good, name, [f"exit {status}, left {names}, {questions} "
                            "questions", *said.splitlines()])


def main():
    tap = Tap()
    with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR")) as folder:
        for case in CASES:
            one(tap, folder, *case)
    return tap.finish()


if __name__ == "__main__":
    sys.exit(main())
