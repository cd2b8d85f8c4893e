"""Which style is what on a terminal: the one module with colours.

Fixed colours of the 256, of middle lightness: a contrast of at least 3 on white as on black and on what terminals ship
between (`tests/test_colours.py`). The 16 named ones are the theme's, and yellow or cyan is unreadable on half of them.
Rich leaves them all out where NO_COLOR is set, where TERM is dumb, and where nobody looks: in a pipe, in a file.
"""

from __future__ import annotations

import os
import re
import sys
from typing import IO, Any

from rich.console import Console
from rich.theme import Theme

__all__ = ["STYLES", "console", "say", "silence", "word_of"]

STYLES = {
    "word": "color(31)",  # the first word of a line: found, encoder, report …
    "note": "bold color(130)",  # something to know
    "error": "bold color(196)",
    "title": "bold",  # heads of tables, names of what follows
    "aside": "color(243)",  # explanations
}
"""What the command line says by style. Text itself has the terminal's own colour."""

_RICH = {
    "bar.complete": "color(31)",
    "bar.finished": "color(28)",
    "bar.pulse": "color(31)",
    "bar.back": "color(243)",
    "progress.percentage": "color(31)",
    "progress.remaining": "color(243)",
    "progress.elapsed": "color(243)",
    "progress.download": "color(28)",
    "status.spinner": "color(31)",
}
_WORD = 9  # letters of the first column


class _Console(Console):
    def on_broken_pipe(self) -> None:
        """Whoever read our output has left (``| head``): the work goes on in silence."""
        silence(self.file)


def console(*, aside: bool = False, quiet: bool = False) -> Console:
    """Return what prints in these styles: to stdout, or to stderr with `aside`; nothing with `quiet`."""
    # file names are data: no markup, no emoji codes, no colours of their own
    plain: dict[str, Any] = {"highlight": False, "markup": False, "emoji": False, "soft_wrap": True}
    return _Console(stderr=aside, quiet=quiet, theme=Theme({**STYLES, **_RICH}), **plain)


def silence(stream: IO[str]) -> None:
    """Let what is written to `stream` from now on go nowhere."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)


def word_of(text: str) -> int:
    """Return how many letters of a line are its first word, which stands in a column of its own; 0 where none does.

    >>> word_of("found    36 image files"), word_of("left out 2 videos"), word_of("36 images in 3 groups")
    (5, 8, 0)
    """
    found = re.fullmatch(r"([a-z]+(?: [a-z]+)?) +", text[:_WORD])
    return len(found[1]) if found and len(text) >= _WORD == len(found[0]) else 0


def say(text: str) -> None:
    """Print an answer of a few lines to stderr: its first word, up to a colon, in the colour of errors."""
    first, colon, rest = text.partition(":")
    screen = console(aside=True)
    if not colon or first != "ilk" or not screen.is_terminal:
        print(text, file=sys.stderr, flush=True)
        return
    from rich.text import Text

    screen.print(Text.assemble((f"{first}:", "error"), rest))
