"""A run as a notebook shows it."""

from __future__ import annotations

import contextlib
from typing import Any

from ilk import showing
from ilk.errors import IlkError
from ilk.files import Thumbnails, sprites_of
from ilk.runs import Run, guessed, needed, plain_name, source_name

__all__ = ["run_page"]


def run_page(run: Run) -> str:
    """Return the groups of `run` with pictures, the largest first, as HTML of at most 500 KB.

    Raises
    ------
    RunError
        The run is damaged. A run without thumbnails is shown without pictures.
    """
    with needed(run):
        summary, header = run.summary(), run.header
        groups = sorted((group for group in run.clusters() if group["size"]), key=_order)
        sprites = sprites_of(run.thumbs())
        shown = [
            showing.Group(plain_name(group), group["size"], _pictures(sprites, group), _note(group)) for group in groups
        ]
        what = f"{summary['n_images']:,} images in {summary['n_clusters']:,} groups"
        made = f"{source_name(header['source'])}; {header['method']}, encoder {summary['encoder']}"
        if count := summary.get("n_corrections"):
            made += f"; {count:,} correction{'s' * (count > 1)} by hand"
        levels = {name: level["k"] for name, level in run.suggestions().items()}
        why = (header.get("choice") or {}).get("why") or ""
        foot = [made, f"{run.path}: report.html there has all of it"]
        return showing.page(what, shown, rows=run.k_table(), suggested=levels, why=str(why), foot=foot)


def _order(group: dict[str, Any]) -> tuple[bool, int]:
    return group["id"] < 0, -group["size"]


def _note(group: dict[str, Any]) -> str:
    words = guessed(group)
    return f"looks like {', '.join(words)}" if words else ""


def _pictures(sprites: Thumbnails | None, group: dict[str, Any]) -> Any:
    if sprites is None:
        return []
    with contextlib.suppress(IlkError, IndexError):
        return list(sprites.read(group["exemplars"][: showing.PICTURES]))
    return []
