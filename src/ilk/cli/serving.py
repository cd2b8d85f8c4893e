"""`ilk gallery`: the page on this machine, until Ctrl-C."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Annotated, Optional

import typer

from ilk.cli import options as parse
from ilk.cli.arguments import Debug, Fetch, Json, RunPath
from ilk.cli.opening import to_browser

__all__ = ["gallery"]


def gallery(
    run: RunPath,
    port: Annotated[
        Optional[int],
        typer.Option(metavar="N", help="Of 127.0.0.1; 0: any that is free. [default: the run's own, where it is free]"),
    ] = None,
    no_open: Annotated[bool, typer.Option("--no-open", help="Print the address, and open no browser.")] = False,
    exports: Annotated[
        Optional[Path], typer.Option(metavar="DIR", help="Below it the page may export. [default: RUN/exports]")
    ] = None,
    fetch: Fetch = False,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Show the images of RUN by group in the browser: look, correct, group again, export. Ctrl-C ends it.

    For this machine only: nothing is sent anywhere, and only who has the address is let in.
    """
    from ilk.cli.show import Screen
    from ilk.gallery import serving

    screen = Screen(json)
    if fetch:
        parse.let_fetch(run)
    with contextlib.suppress(KeyboardInterrupt), serving(run, port=port, exports=exports) as served:
        about = {"run": str(run), "address": served.address, "port": served.port, "notes": served.notes}
        screen.json({**about, "exports": str(served.gallery.exports)})
        screen.line(f"gallery  {served.address}")
        for note in served.notes:
            screen.note(note)
        screen.line("         Ctrl-C ends it; what you correct is kept at once", "aside")
        if not no_open and not json:
            to_browser(served.once())  # a command line that every user of the machine can read
        served.wait()
    screen.line("closed")
