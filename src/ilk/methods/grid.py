"""The numbers of groups that are tried."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from ilk.errors import ArgumentError, NotEnoughImages

__all__ = ["check_grid", "fit_grid", "number_list"]

USUAL = list(range(2, 11))
"""The numbers of groups of the fourth seed's experiment."""


def number_list(value: Any) -> list[int] | None:
    """Return `k_grid` as ascending whole numbers: from a list, one number, or text such as "2-10,15,20".

    >>> number_list([3, "5-7", 2]), number_list("2-4,519"), number_list(None)
    ([2, 3, 5, 6, 7], [2, 3, 4, 519], None)

    Raises
    ------
    ArgumentError
        Something else, or a number below 2.
    """
    if value is None:
        return None
    parts = list(value) if isinstance(value, list | tuple | range | np.ndarray) else [value]
    text = ",".join("?" if isinstance(part, bool) else str(part).strip() for part in parts)
    found: set[int] = set()
    for piece in filter(None, text.split(",")):
        bounds = re.fullmatch(r"(\d{1,6})(?:-(\d{1,6}))?", piece)
        first, last = (int(bounds[1]), int(bounds[2] or bounds[1])) if bounds else (0, 0)
        if not 2 <= first <= last:
            raise ArgumentError(f"k_grid={value!r}: give whole numbers of at least 2, such as k_grid=2-10,15,20.")
        found.update(range(first, last + 1))
    if not found:
        raise ArgumentError(f"k_grid={value!r}: give at least one number, such as k_grid=2-10.")
    return sorted(found)


def check_grid(grid: list[int] | None, given: Mapping[str, Any] | None, n: int) -> None:
    """Refuse a `k_grid` of the user's that `n` images can never reach; a preset's own list is cut instead."""
    if "k_grid" in (given or {}) and grid:
        fit_grid(grid, n)


def fit_grid(grid: list[int] | None, m: int) -> list[int]:
    """Return the numbers to try for `m` distinct images: `grid`, or 2 … 10. The usual ones are cut where they must be.

    Raises
    ------
    ArgumentError
        A number above m − 1, other than those from 2 to 10.
    NotEnoughImages
        No number is left.
    """
    grid = grid or USUAL
    if grid != USUAL and grid[-1] > m - 1:
        raise ArgumentError(
            f"k_grid: {grid[-1]} groups are too many for {m} images (exact duplicates count once); "
            f"a silhouette needs fewer groups than images. Give numbers from 2 to {m - 1}."
        )
    kept = [k for k in grid if k < m]
    if not kept:
        raise NotEnoughImages(
            f"{m} distinct image(s): too few to choose a number of groups. Give at least 3, or set K with -k."
        )
    return kept
