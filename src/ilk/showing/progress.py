"""Progress of a fit where a person looks: a bar on a terminal or in a notebook; lines where they were asked for."""

from __future__ import annotations

import html
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any, Protocol

from ilk.errors import ArgumentError
from ilk.showing.stages import Stages

__all__ = ["Hook", "watching"]

Hook = Callable[..., Any]
"""Called with a record, and perhaps more; what it returns goes on to the fit."""

_OFTEN, _SELDOM = 0.2, 5.0  # seconds between two looks at a bar, and between two lines


class _Screen(Protocol):
    """Where progress is shown."""

    every: float

    def show(self, stages: Stages) -> None: ...
    def close(self, stages: Stages, ended: str) -> None: ...


@contextmanager
def watching(verbose: Any, hook: Hook | None) -> Iterator[Hook | None]:
    """Yield what a fit calls with its records: `hook`, after what a person sees of them.

    Parameters
    ----------
    verbose
        True: show progress. False: do not. None: show it where a person looks, which is a notebook or a terminal, in
        the main thread; and not where there is a `hook`, which shows what it likes.
    hook
        That of the caller.

    Raises
    ------
    ArgumentError
        `verbose` is none of these; whole numbers count as true or false.
    """
    if not isinstance(verbose, bool | int | None):
        raise ArgumentError(f"verbose={verbose!r}: give True, False, or None for where a person looks.")
    screen = _screen(verbose, hook is not None)
    if screen is None:
        yield hook
        return
    stages, shown = Stages(), 0.0

    def shows(record: Mapping[str, Any], *more: Any) -> Any:
        nonlocal shown
        now = time.monotonic()
        if stages.take(record) and (now - shown >= screen.every or "begin" in record):
            shown = now
            screen.show(stages)
        return None if hook is None else hook(record, *more)

    ended = "stopped"
    try:
        yield shows
        ended = stages.summary()
    finally:
        screen.close(stages, ended)


def _screen(verbose: bool | int | None, hooked: bool) -> _Screen | None:
    """Return where progress is shown; None where it is not."""
    if verbose is not None and not verbose:
        return None
    if verbose is None and (hooked or threading.current_thread() is not threading.main_thread()):
        return None
    if _in_notebook():
        return _Notebook()
    if sys.stderr is not None and sys.stderr.isatty():
        return _Terminal()
    return _Lines() if verbose and sys.stderr is not None else None


def _in_notebook() -> bool:
    """Whether what is displayed goes to a notebook: Jupyter, VS Code, Colab …"""
    get = getattr(sys.modules.get("IPython"), "get_ipython", None)
    return get is not None and hasattr(get(), "kernel")


class _Notebook:
    """One output that changes, of plain HTML: no widgets, and nothing that a saved notebook could not show."""

    every = _OFTEN

    def __init__(self) -> None:
        self._handle: Any = None

    def show(self, stages: Stages) -> None:
        """Show the line with a bar."""
        value = "" if stages.share is None else f" value='{stages.share:.4f}'"
        bar = f"<progress max='1'{value} style='width:200px;vertical-align:middle;margin-right:8px'></progress>"
        self._put(f"<div>{bar}{html.escape(stages.line())}</div>", stages.line())

    def close(self, stages: Stages, ended: str) -> None:
        """Leave one quiet line behind."""
        self._put(f"<div style='opacity:.7'>{html.escape(ended)}</div>", ended)

    def _put(self, page: str, text: str) -> None:
        from IPython.display import display

        data = {"text/html": page, "text/plain": text}
        with suppress(Exception):  # a front end that went away stops no fit
            if self._handle is None:
                self._handle = display(data, raw=True, display_id=True)
            else:
                self._handle.update(data, raw=True)


class _Terminal:
    """A bar on stderr that is gone when the fit has ended."""

    every = _OFTEN

    def __init__(self) -> None:
        self._bar: Any = None

    def show(self, stages: Stages) -> None:
        """Move the bar."""
        from rich.progress import BarColumn, Progress, TextColumn

        if self._bar is None:
            from rich.console import Console

            columns = (BarColumn(bar_width=24), TextColumn("{task.description}", markup=False))
            self._bar = Progress(*columns, console=Console(stderr=True), transient=True, auto_refresh=False)
            self._bar.add_task("", total=None)
            self._bar.start()
        total = None if stages.share is None else 1.0
        self._bar.update(self._bar.task_ids[0], description=stages.line(), total=total, completed=stages.share or 0)
        self._bar.refresh()  # not by a thread of its own

    def close(self, stages: Stages, ended: str) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar.stop()


class _Lines:
    """A line on stderr now and then, and one at the end."""

    every = _SELDOM

    def show(self, stages: Stages) -> None:
        """Write the line."""
        _say(stages.line())

    def close(self, stages: Stages, ended: str) -> None:
        """Write the last line."""
        _say(ended)


def _say(text: str) -> None:
    with suppress(OSError, ValueError):  # whoever read it has left
        sys.stderr.write(f"ilk: {text}\n")
        sys.stderr.flush()
