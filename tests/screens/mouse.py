#!/usr/bin/env python3
"""The mouse on a real terminal (tmux): click, double click, wheel and drag;
afterwards the terminal hears of it no more."""
import os
import re
import shutil
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
from screens import QFSCK, Quiet, make                      # noqa: E402
from terminal import Terminal, back, shown                  # noqa: E402

MARKED = r"(?m)^>\* 2 "


class Mouse:
    def __init__(self, tap, terminal, image):
        self.tap, self.terminal, self.image = tap, terminal, image

    def send(self, *events):
        """Events (button, x, y, pressed), each as xterm sends it."""
        for b, x, y, down in events:
            self.terminal.tmux("send-keys", "-t", "s", "-l",
                               f"\033[<{b};{x + 1};{y + 1}"
                               + ("M" if down else "m"))

    def click(self, x, y):
        self.send((0, x, y, True), (0, x, y, False))

    def becomes(self, name, *words):
        good = self.terminal.wait(lambda s: all(re.search(w, s)
                                                for w in words))
        self.tap.result(good, name, self.terminal.screen().splitlines())


def checks(m):
    t = m.terminal
    t.type(f"clear; TERM=xterm-256color {QFSCK} viz {m.image}")
    t.wait(lambda s: shown(s) and "not mapped" in s)
    m.click(22, 0)
    m.becomes("a click on a tab shows that view", "nothing is wrong")
    m.click(8, 0)
    m.becomes("and another", "refcount 1, header")
    m.click(30, 5)
    m.becomes("a click moves the cursor on the map",
              r"(?m)^ 0x(?!0 )[0-9a-f]+ cluster")
    m.click(40, 17)
    m.becomes("and on a snapshot's bar", r"(?m)^> .*·", r"(?m)^ 0x.*cluster")
    m.click(2, 0)
    m.becomes("the guest's disk", "(?m)^ 0x0: ")
    m.send((0, 12, 2, True), (32, 30, 2, True), (32, 40, 2, True),
           (0, 40, 2, False))
    m.becomes("a drag along the bar takes the cursor with it",
              "(?m)^ 0x(80|7f)000: ")
    m.click(15, 0)
    m.becomes("the snapshots", "> +active")
    m.send((65, 5, 5, True), (65, 5, 5, True))
    m.becomes("the wheel goes down the list", "> +[56] ")
    m.click(5, 5)
    m.becomes("a click takes a row", "> +1 ")
    for _ in range(10):     # where the second comes late, it is a click
        m.send(*[(0, 5, 6, down) for down in (True, False, True, False)])
        end = time.monotonic() + 2
        while time.monotonic() < end and not re.search(MARKED, t.screen()):
            time.sleep(.05)
        if re.search(MARKED, t.screen()):
            break
    m.becomes("a double click marks it", MARKED)
    t.keys("q")
    clean = t.wait(back)
    m.tap.result(clean and t.tmux("display", "-p", "-t", "s",
                                  "#{mouse_any_flag}").strip() == "0",
                 "then the terminal is asked for no mouse",
                 t.screen().splitlines())


def main():
    tap = Quiet()
    if not shutil.which("tmux"):
        tap.skip("all of it", "no tmux")
        return tap.finish()
    with tempfile.TemporaryDirectory() as tmp:
        image = make(["clean-snapshots"], tmp)["clean-snapshots"]
        terminal = Terminal(tmp)
        try:
            checks(Mouse(tap, terminal, image))
        finally:
            terminal.close()
    return tap.finish()


if __name__ == "__main__":
    sys.exit(main())
