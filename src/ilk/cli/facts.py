"""What `ilk info` prints: a run, or the cache."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ilk.cli.show import Screen
    from ilk.runs import Run

__all__ = ["cache", "run"]

_KEPT = ("method", "params", "source", "summary", "versions", "created", "command", "commit")


def run(screen: Screen, shown: Run) -> None:
    """Show what a run holds."""
    from ilk.runs import source_name

    header = shown.header
    screen.json({key: shown.summary() if key == "summary" else header.get(key) for key in _KEPT})
    screen.line(f"run      {shown.path}")
    screen.line(f"made     {header['created']} by ilk {header['versions']['ilk']}")
    first, now = header["source"]["n"], len(shown.images()["path"])
    more = f" when it was made; {now:,} with what has joined since" if now > first else ""
    screen.line(f"source   {source_name(header['source'])} ({first:,} files{more})")
    screen.line(f"method   {header['method']}, encoder {header['summary']['encoder']}")
    if header.get("command"):
        screen.line(f"command  {header['command']}")
    as_json, screen.as_json = screen.as_json, False  # no second object
    screen.clustered(shown)
    screen.as_json = as_json


def cache(screen: Screen, state: Mapping[str, Any]) -> None:
    """Show the cache."""
    screen.json(state)
    what = ", ".join(f"{kind} {size / 1e6:,.1f}" for kind, size in state["kinds"].items() if size)
    size = f"{state['bytes'] / 1e6:,.1f} MB" + (f" ({what})" if what else "")
    screen.line(f"cache    {state['path']}: {size + ' freed' if state['cleared'] else size}")
    for path in state["needed_by"]:
        screen.line(f"needed   by {path}, which names what is in it (ilk gather copies that in)")
