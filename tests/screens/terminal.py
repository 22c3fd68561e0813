#!/usr/bin/env python3
"""The browser on a real terminal (tmux): it gives the terminal back.

After quitting, Ctrl-C, each signal, a crash, a stop and going on, the
terminal has the modes it had, the shell's screen is there again, and no
stray character stands in it.
"""
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
from screens import QFSCK, Quiet, digest, make              # noqa: E402

PATIENCE = 20       # seconds for the screen to become as awaited
PROMPT = "ready>"


class Terminal:
    def __init__(self, folder, width=80, height=24):
        self.socket = os.path.join(folder, "tmux")
        self.folder = folder
        self.tmux("-f", "/dev/null", "new-session", "-d", "-x", str(width),
                  "-y", str(height), "-s", "s",
                  "env LC_ALL=C.UTF-8 HISTFILE= bash --norc --noprofile")
        self.type(f"PS1='{PROMPT} '; clear")
        self.wait(lambda s: s.startswith(PROMPT) and s.count(PROMPT) == 1)

    def tmux(self, *args):
        return subprocess.run(["tmux", "-S", self.socket, *args],
                              capture_output=True, text=True).stdout

    def type(self, text):
        self.tmux("send-keys", "-t", "s", "-l", text)
        self.keys("Enter")

    def keys(self, *names):
        self.tmux("send-keys", "-t", "s", *names)

    def screen(self):
        return self.tmux("capture-pane", "-p", "-t", "s")

    def resize(self, width, height):
        self.tmux("resize-window", "-t", "s", "-x", str(width), "-y",
                  str(height))

    def wait(self, awaited):
        """Until the screen is as awaited; whether it became so."""
        end = time.monotonic() + PATIENCE
        while not awaited(self.screen()):
            if time.monotonic() > end:
                return False
            time.sleep(0.05)
        return True

    def modes(self):
        """What stty says, and where the cursor is."""
        path = os.path.join(self.folder, "modes")
        if os.path.exists(path):
            os.remove(path)
        self.type(f"clear; stty -g >{path}.new; mv {path}.new {path}")
        end = time.monotonic() + PATIENCE
        while not os.path.exists(path) and time.monotonic() < end:
            time.sleep(0.05)
        with open(path) as file:
            return (file.read(),
                    self.tmux("display", "-p", "-t", "s",
                              "#{cursor_flag} #{alternate_on} "
                              "#{mouse_any_flag} #{keypad_cursor_flag}"))

    def close(self):
        self.tmux("kill-server")


def shown(screen):
    return re.search("1 ?Guest", screen) \
        and "clean" in screen


def back(screen):
    lines = screen.strip().splitlines()
    return bool(lines) and lines[-1].strip() == PROMPT \
        and not re.search("1 ?Guest", screen)


class Checks:
    def __init__(self, tap, terminal, image):
        self.tap, self.terminal, self.image = tap, terminal, image
        self.before = terminal.modes()

    def start(self, options=""):
        self.terminal.type(f"clear; {QFSCK} viz {options} {self.image}")
        return self.terminal.wait(shown)

    def process(self):
        return int(subprocess.run(
            ["pgrep", "-n", "-f", f"viz.*{self.image}"], check=True,
            capture_output=True, text=True).stdout)

    def ends(self, name, end, options=""):
        """Start, END it, and see that all is as before."""
        good = self.start(options)
        end()
        clean = self.terminal.wait(back)
        left = self.terminal.screen()
        after = self.terminal.modes()
        self.tap.result(good and clean and after == self.before, name,
                        [f"started {good}, clean {clean}", *left.splitlines(),
                         f"before {self.before}", f"after {after}"])


def checks(tap, terminal, image):
    c = Checks(tap, terminal, image)
    c.ends("q gives the terminal back", lambda: terminal.keys("q"))
    c.ends("Ctrl-C does", lambda: terminal.keys("C-c"))
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT,
                   signal.SIGSEGV, signal.SIGABRT):
        c.ends(f"{number.name} does",
               lambda number=number: os.kill(c.process(), number))
    for options in ("--colour=16", "--colour=mono", "--ascii"):
        c.ends(f"q with {options} does", lambda: terminal.keys("q"), options)
    stop_and_go(c)
    storm(c)
    colours(c)


def colours(c):
    """Colours where they are wanted, none with NO_COLOR or mono."""
    t = c.terminal
    for env, options, wanted in (("", "", True), ("NO_COLOR=1", "", False),
                                 ("", "--colour=mono", False),
                                 ("NO_COLOR=1", "--colour=256", True)):
        t.type(f"clear; {env} {QFSCK} viz {options} {c.image}")
        good = t.wait(shown)
        escapes = t.tmux("capture-pane", "-p", "-e", "-t", "s")
        has = bool(re.search(r"\033\[(\d+;)*[349][0-8](;\d+)*m", escapes))
        t.keys("q")
        t.wait(back)
        c.tap.result(good and has == wanted,
                     f"{env or 'no environment'}, {options or 'no option'}: "
                     + ("colours" if wanted else "no colours"),
                     [f"shown {good}, colours {has}"])


def stop_and_go(c):
    """Ctrl-Z, then fg: the shell's screen, then the browser's again."""
    t = c.terminal
    good = c.start()
    t.keys("C-z")
    stopped = t.wait(lambda s: "Stopped" in s and not re.search("1 ?Guest", s))
    stopped_modes = t.modes()
    t.type("fg")
    again = t.wait(shown)
    t.keys("3")
    alive = t.wait(lambda s: "referenced" in s)
    t.keys("q")
    clean = t.wait(back)
    c.tap.result(good and stopped and stopped_modes == c.before and again
                 and alive and clean and t.modes() == c.before,
                 "Ctrl-Z and fg", [f"{good} {stopped} {again} {alive} "
                                   f"{clean}", *t.screen().splitlines()])


def storm(c):
    """Sizes down to 1x1, one on the other; then the screen is whole."""
    t = c.terminal
    good = c.start()
    for width, height in ((20, 5), (1, 1), (200, 60), (2, 30), (150, 2),
                          (7, 3), (1, 1), (33, 9), (80, 24)) * 2:
        t.resize(width, height)
        time.sleep(0.02)
    whole = t.wait(shown)
    t.keys("?")
    alive = t.wait(lambda s: "any other key closes" in s)
    t.keys("Escape")
    t.keys("q")
    clean = t.wait(back)
    c.tap.result(good and whole and alive and clean
                 and t.modes() == c.before, "a storm of sizes",
                 [f"{good} {whole} {alive} {clean}",
                  *t.screen().splitlines()])


def main():
    tap = Quiet()
    if not shutil.which("tmux") or not shutil.which("pgrep"):
        tap.skip("all of it", "no tmux or no pgrep")
        return tap.finish()
    with tempfile.TemporaryDirectory() as tmp:
        image = make(["clean-snapshots"], tmp)["clean-snapshots"]
        before = digest(image)
        terminal = Terminal(tmp)
        try:
            checks(tap, terminal, image)
        finally:
            terminal.close()
        tap.result(digest(image) == before, "the image keeps every byte")
    return tap.finish()


if __name__ == "__main__":
    sys.exit(main())
