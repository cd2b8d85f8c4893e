"""The two tables of a run, whose rows must make sense together."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ilk.runs.columns import kinds_of
from ilk.runs.tables import read_table

__all__ = ["assignments", "by_image", "images"]

_IMAGES = {name: kind for name, kind in kinds_of("images").items() if name != "content"}  # that is asked for apart
_ASSIGNMENTS = {name: kind for name, kind in kinds_of("assignments").items() if name != "silhouette_reduced"}
_STATUS = {"ok", "unreadable", "duplicate"}


def images(path: Path, start: int = 0) -> dict[str, list[Any]]:
    """Return the columns of images.parquet, from row `start` of the run; raise ValueError where they make no sense.

    What later rows are copies of may stand before them, and is not looked for here.
    """
    table = read_table(path, _IMAGES, more=False)
    n = len(table["index"])
    if table["index"] != list(range(start, start + n)):
        raise ValueError("index does not count the rows")
    if None in table["path"] or not {*table["status"]} <= _STATUS:
        raise ValueError("an image without a name, or of an unknown status")
    if not start and not {*table["duplicate_of"]} <= {*table["path"], None}:
        raise ValueError("a duplicate of an image that is not there")
    if not all(0 <= (value or 0) < 2**53 for name in ("bytes", "width", "height") for value in table[name]):
        raise ValueError("a size below 0, or beyond all sense")
    return table


def assignments(path: Path, stop: int, start: int = 0) -> dict[str, list[Any]]:
    """Return the columns of assignments.parquet of rows from `start` up to `stop`; ValueError where they make none."""
    table = read_table(path, _ASSIGNMENTS)
    index = np.asarray([-1 if i is None else i for i in table["index"]])
    if len(index) and (index.min() < start or index.max() >= stop or len(np.unique(index)) < len(index)):
        raise ValueError("an image that is not in images.parquet, or is there twice")
    table["second"] = [-1 if i is None else i for i in table["second"]]
    for name in ("group", "second", *(["fine"] if "fine" in table else [])):
        if not all(isinstance(i, int) and -2 < i < 2**31 for i in table[name]):
            raise ValueError(f"column {name} holds what is no group")
    return table


def by_image(table: dict[str, list[Any]], column: str, n: int) -> npt.NDArray[np.int64]:
    """Return (n,) the whole numbers of `column`, -2 where an image has none."""
    labels = np.full(n, -2, np.int64)
    labels[np.asarray(table["index"], np.int64)] = np.asarray(table[column], np.int64)
    return labels
