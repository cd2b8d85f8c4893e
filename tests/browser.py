"""A headless Chromium, driven over the DevTools protocol through two pipes: no port, no driver, no further package."""

from __future__ import annotations

import base64
import json
import os
import select
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
OPTIONS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--no-default-browser-check"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-extensions"),
    *("--disable-dev-shm-usage", "--hide-scrollbars", "--window-size=1280,900", "--remote-debugging-pipe"),
)

KEYS = {
    "Enter": 13,
    "Escape": 27,
    " ": 32,
    "Tab": 9,
    "ArrowLeft": 37,
    "ArrowUp": 38,
    "ArrowRight": 39,
    "ArrowDown": 40,
    "F2": 113,
}


def find() -> str | None:
    """Return the installed Chromium, or None."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


class Browser:
    """One tab of a headless Chromium.

    Attributes
    ----------
    problems : list of str
        Errors and warnings of the console, uncaught exceptions, violations of the page's own policy.
    requests : list of str
        Addresses the page asked for, ``data:`` and the page itself left out.
    """

    def __init__(self, write: int, read: int) -> None:
        self.problems: list[str] = []
        self.requests: list[str] = []
        self._write, self._read, self._number, self._session = write, read, 0, ""
        self._buffer = b""
        target = self._ask("Target.createTarget", {"url": "about:blank"}, "")["targetId"]
        self._session = self._ask("Target.attachToTarget", {"targetId": target, "flatten": True}, "")["sessionId"]
        self.version = str(self._ask("Browser.getVersion", {}, "")["product"])
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.ask(f"{domain}.enable")

    def ask(self, method: str, **params: Any) -> dict[str, Any]:
        """Call `method` of the DevTools protocol and return its result."""
        return self._ask(method, params, self._session)

    def open(self, path: Path, fragment: str = "") -> None:
        """Open a local page and wait until it is loaded."""
        self.page = path.resolve().as_uri()
        self.loaded = False
        self.ask("Page.navigate", url=self.page + fragment)
        self._until(lambda: self.loaded, "the page to load")

    def visit(self, address: str) -> None:
        """Open an address of a server on this machine and wait until it is loaded."""
        self.page, self.loaded = address, False
        self.ask("Page.navigate", url=address)
        self._until(lambda: self.loaded, "the page to load")

    def key(self, name: str, *, ctrl: bool = False, shift: bool = False) -> None:
        """Press and release a key: a character, or a name such as ``Enter`` or ``ArrowLeft``."""
        code = KEYS.get(name, ord(name.upper()[0]))
        common = {"key": name, "modifiers": 2 * ctrl + 8 * shift, "windowsVirtualKeyCode": code}
        text = {} if ctrl or (len(name) > 1 and name != "Enter") else {"text": "\r" if name == "Enter" else name}
        self.ask("Input.dispatchKeyEvent", type="keyDown", **common, **text)
        self.ask("Input.dispatchKeyEvent", type="keyUp", **common)

    def type(self, text: str) -> None:
        """Put `text` where the cursor is."""
        self.ask("Input.insertText", text=text)

    def run(self, script: str) -> Any:
        """Return the value of an expression, or of a promise, in the page."""
        answer = self.ask("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in answer:
            raise AssertionError(json.dumps(answer["exceptionDetails"])[:2000])
        return answer["result"].get("value")

    def wait(self, script: str) -> None:
        """Wait until the expression `script` is true in the page."""
        self._until(lambda: bool(self.run(script)), script)

    def mouse(self, x: float, y: float, kind: str = "mouseMoved", **more: Any) -> None:
        """Move the mouse to (x, y) of the window, or press (``mousePressed``) and release it there."""
        self.ask("Input.dispatchMouseEvent", type=kind, x=x, y=y, **more)

    def show_map(self) -> None:
        """Scroll to the map of a report and wait until it is drawn."""
        self.run(
            "document.documentElement.style.scrollBehavior = 'auto'; document.getElementById('map').scrollIntoView()"
        )
        self.wait("document.getElementById('map-live').dataset.ready === 'true'")

    def hover(self, number: int) -> str:
        """Move the mouse onto point `number` of the map from elsewhere; return the name that the page then shows."""
        self.mouse(2, 2)
        self.wait("document.getElementById('map-card').hidden")
        place = f"document.querySelectorAll('#map-live .point')[{number}].getBoundingClientRect()"
        box = self.run(f"(() => {{ const b = {place}; return [b.x + b.width / 2, b.y + b.height / 2] }})()")
        self.mouse(*box)
        self.wait("!document.getElementById('map-card').hidden")
        return str(self.run("document.querySelector('#map-card .name').textContent"))

    def look(self, target: Path, *, whole: bool = False) -> Path:
        """Save a picture of the window, or of the whole page, as PNG."""
        data = self.ask("Page.captureScreenshot", format="png", captureBeyondViewport=whole)["data"]
        target.write_bytes(base64.b64decode(data))
        return target

    def _ask(self, method: str, params: dict[str, Any], session: str) -> dict[str, Any]:
        self._number += 1
        number = self._number
        message = {"id": number, "method": method, "params": params} | ({"sessionId": session} if session else {})
        os.write(self._write, json.dumps(message).encode() + b"\0")
        while True:
            told = self._next(60)
            if told.get("id") == number:
                if "error" in told:
                    raise AssertionError(f"{method}: {told['error']}")
                return dict(told["result"])
            self._note(told)

    def _next(self, seconds: float) -> dict[str, Any]:
        end = time.monotonic() + seconds
        while b"\0" not in self._buffer:
            if not select.select([self._read], [], [], max(0.0, end - time.monotonic()))[0]:
                raise TimeoutError(f"Chromium said nothing for {seconds} s")
            data = os.read(self._read, 1 << 20)
            if not data:
                raise EOFError("Chromium ended")
            self._buffer += data
        message, _, self._buffer = self._buffer.partition(b"\0")
        return dict(json.loads(message))

    def _note(self, event: dict[str, Any]) -> None:
        kind, told = event.get("method"), event.get("params", {})
        if kind == "Page.loadEventFired":
            self.loaded = True
        elif kind == "Runtime.exceptionThrown":
            self.problems.append(json.dumps(told["exceptionDetails"])[:2000])
        elif kind == "Log.entryAdded":
            self.problems.append(f"{told['entry']['level']}: {told['entry']['text']}"[:2000])
        elif kind == "Runtime.consoleAPICalled" and told["type"] in ("error", "warning", "assert"):
            self.problems.append(f"{told['type']}: {json.dumps(told['args'])}"[:2000])
        elif kind == "Page.javascriptDialogOpening":
            self.problems.append(f"dialog: {told['message']}")
        elif kind == "Network.requestWillBeSent":
            url = told["request"]["url"]
            if not url.startswith(("data:", "about:")) and url.partition("#")[0] != self.page:
                self.requests.append(url[:500])

    def _until(self, done: Callable[[], bool], what: str, seconds: float = 60) -> None:
        end = time.monotonic() + seconds
        while not done():
            if time.monotonic() > end:
                raise TimeoutError(f"waited {seconds} s for {what}; the console said {self.problems}")
            with suppress(TimeoutError):
                self._note(self._next(0.02))


@contextmanager
def browser() -> Iterator[Browser]:
    """Yield a tab of the installed Chromium, and end it afterwards."""
    program = find()
    assert program is not None, "no Chromium is installed"
    to_read, to_write = os.pipe()
    from_read, from_write = os.pipe()
    with tempfile.TemporaryDirectory(prefix="ilk-chromium-", ignore_cleanup_errors=True) as profile:
        command = f'exec "$0" "$@" 3<&{to_read} 4>&{from_write}'  # Chromium reads from 3 and writes to 4
        process = subprocess.Popen(
            ["bash", "-c", command, program, *OPTIONS, f"--user-data-dir={profile}", "about:blank"],
            pass_fds=(to_read, from_write),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(to_read)
        os.close(from_write)
        try:
            yield Browser(to_write, from_read)
        finally:
            os.close(to_write)
            os.close(from_read)
            process.terminate()
            process.wait(30)
