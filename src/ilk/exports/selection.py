"""Which images an export takes: all of them, or those of some groups, or some by name."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from ilk.errors import ArgumentError
from ilk.runs import Run

__all__ = ["chosen"]

Words = str | int | Iterable[str | int]


def chosen(run: Run, groups: Words | None, images: Words | None) -> npt.NDArray[np.bool_] | None:
    """Return which files of the source were asked for, (n,) bool; None where nothing narrows them down.

    Parameters
    ----------
    run
    groups
        Numbers or names of groups, as `Run.group` takes them; -1 or "not assigned" for what is in none.
    images
        Rows or names of images, as `Run.rows` takes them; with `groups`, these too.

    Raises
    ------
    ArgumentError
        There is no such group or image, or nothing is left.
    """
    if groups is None and images is None:
        return None
    labels = run.labels()
    found = np.zeros(len(labels), bool)
    if groups is not None:
        found |= np.isin(labels, [run.group(one) for one in _words(groups)])
    if images is not None:
        found[run.rows(_words(images))] = True
    if not found.any():
        raise ArgumentError("nothing is chosen: the groups and images that were named hold no image.")
    return found


def _words(given: Words) -> list[Any]:
    return [given] if isinstance(given, str | int | np.integer) else list(given)
