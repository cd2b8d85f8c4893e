"""A run in one line, for a terminal."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ilk import disk
from ilk.errors import IlkError
from ilk.runs.names import short_name

__all__ = ["one_line"]

_SHOWN, _LONGEST = 5, 40


def one_line(path: Path, read: Callable[[], tuple[Mapping[str, Any], Sequence[Mapping[str, Any]]]]) -> str:
    """Return what the run at `path` holds, of which `read` gives summary and groups; a damaged one says that it is."""
    try:
        summary, clusters = read()
        groups = sorted((one for one in clusters if one["id"] >= 0 and one["size"]), key=lambda one: -one["size"])
        shown = [f"{_short(short_name(one))} ({one['size']:,})" for one in groups[:_SHOWN]]
        more = [f"{len(groups) - _SHOWN:,} more"] if len(groups) > _SHOWN else []
        count = summary.get("n_corrections", 0)
        by_hand = f", corrected {count:,} times" if count > 1 else ", corrected once" if count else ""
        what = f"{summary['n_images']:,} images in {summary['n_clusters']:,} groups{by_hand}"
        return f"<Run {path}: {what}; {', '.join([*shown, *more])}>"
    except (IlkError, ArithmeticError, LookupError, OSError, TypeError, ValueError) as error:
        return f"<Run {path}: {disk.one_line(error)}>"


def _short(text: str) -> str:
    plain = disk.printable(text)
    return plain if len(plain) <= _LONGEST else f"{plain[: _LONGEST - 1]}…"
