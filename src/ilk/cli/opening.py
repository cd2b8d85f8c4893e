"""`ilk open`: the report of a run in the browser."""

from __future__ import annotations

import contextlib
import os
import stat
import sys
from pathlib import Path
from typing import Annotated, Optional

import typer

from ilk.cli import completing
from ilk.cli.arguments import Debug, Json

__all__ = ["open_run", "to_browser"]

_SCREENS = ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER")


def open_run(
    run: Annotated[
        Optional[Path],
        typer.Argument(
            metavar="[RUN]",
            help="A run folder. [default: the newest below ilk-runs/]",
            autocompletion=completing.run_folders,
        ),
    ] = None,
    gallery: Annotated[
        bool, typer.Option("--gallery", help="Open the gallery instead: whole groups, to be corrected; Ctrl-C ends it.")
    ] = False,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Open the report of RUN in the browser. Where there is none, print where the report is."""
    from ilk.cli import overview, serving
    from ilk.cli.show import Screen
    from ilk.errors import ArgumentError

    if run is None and (run := overview.newest()) is None:
        name = next((one.name for one in overview.elsewhere() if one.state == "finished"), None)
        which = "ilk open RUN" if name is None else f"ilk open {overview.quoted(Path(name))}"
        raise ArgumentError(f"there is no finished run below {overview.RUNS}/. Name one: {which}")
    if gallery:
        serving.gallery(run, port=0, no_open=False, exports=None, json=json, debug=debug)
        return
    from ilk.runs import load_run

    path = load_run(run).path / "report.html"
    _check(path, run)
    screen = Screen(json)
    opened = not json and to_browser(path.absolute().as_uri())
    screen.json({"run": str(run), "report": str(path), "opened": opened})
    screen.line(f"report   {path}")
    if not opened and not json:
        screen.line("         no browser could be opened here: open this file in one", "aside")


def _check(path: Path, run: Path) -> None:
    """Raise unless the report is a file of the run's own: a link may lead anywhere."""
    from ilk.cli.overview import quoted
    from ilk.errors import RunError

    try:
        there = stat.S_ISREG(path.lstat().st_mode)
    except OSError:
        there = False
    if not there:
        raise RunError(f"{run} has no report. Type: ilk report {quoted(run)}")


def to_browser(address: str) -> bool:
    """Open `address` in the user's browser and return whether there is one.

    On Linux without a screen none is started: what is found there are browsers of text, which take the terminal.
    """
    import webbrowser

    if sys.platform.startswith("linux") and not any(map(os.environ.get, _SCREENS)):
        return False
    with contextlib.suppress(webbrowser.Error, OSError):
        return webbrowser.open(address)
    return False
