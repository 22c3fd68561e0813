"""Headless Chromium, over the pipe that its DevTools protocol has.

    with Browser() as browser:
        page = browser.open("file:///x.html", width=390)
        page.ask("document.title")

Nothing listens on a port, and the profile is a folder that goes away.
"""

import json
import os
import select
import shutil
import subprocess
import tempfile
import time

PATIENCE = 120      # seconds, on a loaded machine


def program():
    """Debian's Chromium, or None."""
    return shutil.which("chromium")


class Gone(Exception):
    """The browser does not answer."""


class Browser:
    def __init__(self):
        self.profile = tempfile.mkdtemp(prefix="chromium-")
        down, self.down = os.pipe()
        self.up, up = os.pipe()
        # the browser reads 3 and writes 4, whatever ours are
        self.process = subprocess.Popen(
            ["sh", "-c", f"exec 3<&{down} 4>&{up}; exec \"$@\"", "sh",
             program(), "--headless", "--no-sandbox", "--disable-gpu",
             "--disable-dev-shm-usage", "--no-first-run",
             "--disable-background-networking", "--hide-scrollbars",
             f"--user-data-dir={self.profile}", "--remote-debugging-pipe",
             "about:blank"],
            env={k: v for k, v in os.environ.items() if k != "LD_PRELOAD"},
            pass_fds=(down, up), stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        os.close(down)
        os.close(up)
        self.buffer, self.last, self.events = b"", 0, []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        os.close(self.down)
        os.close(self.up)
        shutil.rmtree(self.profile, ignore_errors=True)

    def message(self):
        end = time.monotonic() + PATIENCE
        while b"\0" not in self.buffer:
            ready = select.select([self.up], [], [],
                                  max(0, end - time.monotonic()))[0]
            more = os.read(self.up, 1 << 16) if ready else b""
            if not more:
                raise Gone("no answer")
            self.buffer += more
        line, self.buffer = self.buffer.split(b"\0", 1)
        return json.loads(line)

    def call(self, method, session=None, **params):
        self.last += 1
        ask = {"id": self.last, "method": method, "params": params}
        if session:
            ask["sessionId"] = session
        os.write(self.down, json.dumps(ask).encode() + b"\0")
        while True:
            said = self.message()
            if said.get("id") == self.last:
                if "error" in said:
                    raise Gone(str(said["error"]))
                return said["result"]
            if "method" in said:
                self.events.append(said)

    def open(self, url, width=1300, height=900, dark=False, script=True,
             media="screen"):
        target = self.call("Target.createTarget", url="about:blank")
        session = self.call("Target.attachToTarget", flatten=True,
                            targetId=target["targetId"])["sessionId"]
        return Page(self, session, url, width, height, dark, script, media)


class Page:
    def __init__(self, browser, session, url, width, height, dark, script,
                 media):
        self.browser, self.session = browser, session
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.call(f"{domain}.enable")
        self.call("Emulation.setDeviceMetricsOverride", width=width,
                  height=height, deviceScaleFactor=1, mobile=False)
        self.call("Emulation.setEmulatedMedia", media=media, features=[
            {"name": "prefers-color-scheme",
             "value": "dark" if dark else "light"}])
        self.call("Emulation.setScriptExecutionDisabled", value=not script)
        self.call("Page.navigate", url=url)
        self.wait_for("Page.loadEventFired")

    def call(self, method, **params):
        return self.browser.call(method, self.session, **params)

    def mine(self, method):
        return [e["params"] for e in self.browser.events
                if e.get("sessionId") == self.session
                and e["method"] == method]

    def wait_for(self, method):
        while not self.mine(method):
            said = self.browser.message()
            if "method" in said:
                self.browser.events.append(said)

    def ask(self, expression):
        """What a line of script gives."""
        got = self.call("Runtime.evaluate", expression=expression,
                        returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in got:
            raise Gone(json.dumps(got["exceptionDetails"])[:500])
        return got["result"].get("value")

    def mouse(self, kind, x, y):
        self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y,
                  button="none" if kind == "mouseMoved" else "left",
                  clickCount=0 if kind == "mouseMoved" else 1)

    def click(self, x, y):
        self.mouse("mousePressed", x, y)
        self.mouse("mouseReleased", x, y)

    def key(self, name):
        self.call("Input.dispatchKeyEvent", type="keyDown", key=name)
        self.call("Input.dispatchKeyEvent", type="keyUp", key=name)

    def tab(self):
        """The Tab key, which moves the focus only with its number."""
        for kind in ("rawKeyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key="Tab",
                      code="Tab", windowsVirtualKeyCode=9)

    def requests(self):
        """The addresses that were asked for, besides the page's own."""
        return [e["request"]["url"]
                for e in self.mine("Network.requestWillBeSent")][1:]

    def complaints(self):
        """What the browser's console has been told."""
        return [e["exceptionDetails"].get("text", "")
                for e in self.mine("Runtime.exceptionThrown")] + \
            [e["entry"]["text"] for e in self.mine("Log.entryAdded")]
