"""One view of the page in a real browser."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import browser

import ilk
from ilk.gallery import Served, serving

SOFTWARE = ("swiftshader", "GPU stall due to ReadPixels")
"""What Chromium says of WebGL on a machine without a graphics card."""


SHOWN = r"[...document.querySelectorAll('.cell:not([hidden]) img[src]')].map((one) => one.src.match(/thumb\/(\d+)/)[1])"


class View:
    """One view of a run in the browser.

    Attributes
    ----------
    tab : Browser
    run : Path
    """

    def __init__(self, tab: browser.Browser, run: Path, served: Served) -> None:
        self.tab, self.run, self._served = tab, run, served

    def open(self, view: str, ready: str) -> None:
        """Go to a view and wait for the element `ready`."""
        self.tab.visit(self._served.address)
        self.tab.wait("document.body.dataset.ready === 'true'")
        self.tab.key(view)
        self.wait(ready)

    def wait(self, selector: str) -> None:
        """Wait until there is such an element, and it is seen."""
        self.tab.wait(f"Boolean(document.querySelector({json.dumps(selector)})?.getClientRects().length)")

    def count(self, selector: str) -> int:
        return int(self.tab.run(f"document.querySelectorAll({json.dumps(selector)}).length"))

    def text(self, selector: str) -> str:
        return str(self.tab.run(f"document.querySelector({json.dumps(selector)}).textContent"))

    def click(self, selector: str, number: int = 0) -> None:
        self.tab.run(f"document.querySelectorAll({json.dumps(selector)})[{number}].click()")

    def box(self, selector: str) -> tuple[float, float, float, float]:
        """Return left, top, width and height of an element."""
        script = f"(() => {{ const b = document.querySelector({json.dumps(selector)}).getBoundingClientRect()"
        x, y, wide, high = self.tab.run(f"{script}; return [b.x, b.y, b.width, b.height] }})()")
        return x, y, wide, high

    def numbers(self, script: str) -> list[int]:
        return [int(one) for one in self.tab.run(script)]

    def draw(self, *points: tuple[float, float], shift: bool = True) -> None:
        """Drag the mouse over the map through `points`, in parts of its width and height."""
        x, y, wide, high = self.box(".map-window .over")
        held: dict[str, Any] = {"button": "left", "modifiers": 8 * shift}
        path = [(x + a * wide, y + b * high) for a, b in points]
        self.tab.mouse(*path[0], "mousePressed", buttons=1, clickCount=1, **held)
        for spot in path[1:]:
            self.tab.mouse(*spot, "mouseMoved", buttons=1, **held)
        self.tab.mouse(*path[-1], "mouseReleased", clickCount=1, **held)

    def selected(self, number: int) -> list[int]:
        """Return the rows that are selected, of which there must be `number`: by looking at them in the grid."""
        self.tab.wait(f"document.querySelector('.map-said').textContent.startsWith('{number} image')")
        self.tab.key("s")
        self.tab.wait(f"document.querySelectorAll('.cell.selected img[src]').length === {number}")
        return sorted(self.numbers(SHOWN.replace(".cell", ".cell.selected")))

    def done(self) -> list[tuple[str, dict[str, Any]]]:
        """Return the corrections in effect."""
        return [(one.do, dict(one.arguments)) for one, live in ilk.load_run(self.run).corrections.actions() if live]

    def labels(self) -> list[int]:
        return [int(one) for one in ilk.load_run(self.run).labels()]


def looking(tab: browser.Browser, run: Path) -> Iterator[View]:
    """Yield a gallery of `run`; afterwards nothing may have been complained about."""
    tab.problems.clear()
    tab.ask("Emulation.setEmulatedMedia", features=[{"name": "prefers-reduced-motion", "value": "reduce"}])
    with serving(run) as served:
        yield View(tab, run, served)
        tab.visit("about:blank")
    assert [one for one in tab.problems if not any(word in one for word in SOFTWARE)] == []


LEFT = ((0.0, 0.0), (0.5, 0.0), (0.5, 0.999), (0.0, 0.999))
ALL = ((0.0, 0.0), (0.999, 0.0), (0.999, 0.999), (0.0, 0.999))
