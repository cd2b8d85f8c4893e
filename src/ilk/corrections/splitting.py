"""A group in two halves, by its features alone: the same answer each time, in seconds for 50,000 images."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["split_in_two"]

Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.floating[Any]]

_FEW = 8192  # rows that the halves are sought in first
_TURNS, _LAST = 100, 10  # at most, in these, and then in all
_POWER = 50  # multiplications that bring out the widest direction


def split_in_two(features: Floats, examples: Bools | None = None) -> Bools:
    """Return which rows go to the new half.

    Parameters
    ----------
    features : (n, d) float
        Finite; only their directions count.
    examples : (n,) bool, optional
        Rows that are to go, whatever else does. None: the halves are those that the features have, and the smaller one
        goes (of equal ones that without the first row).

    Returns
    -------
    (n,) bool
        Not all and, unless all rows are alike, not none of them.

    Notes
    -----
    K-means with two centres on rows of length 1. It starts from the means of the two sides of the widest direction
    (first principal component), or of the examples and of all others; the examples stay on their side (Basu, Banerjee
    and Mooney, Semi-supervised clustering by seeding, ICML 2002). Of more than 8,192 rows the halves are sought in so
    many, evenly spaced, and then in all, in at most 10 turns of O(n d).
    """
    x = np.array(features, np.float32)
    x /= np.maximum(np.sqrt(np.einsum("ij,ij->i", x, x))[:, None], 1e-12)
    few = np.arange(0, len(x), -(-len(x) // _FEW))
    if examples is not None:
        few = np.union1d(few, np.flatnonzero(examples))
    fixed = np.zeros(len(x), bool) if examples is None else examples
    first = x[few]
    side = _turned(first, _widest(first) if examples is None else fixed[few], fixed[few], _TURNS)
    if len(few) < len(x) and side.any() and not side.all():
        side = _turned(x, _nearer(x, first[side].mean(0), first[~side].mean(0)) | fixed, fixed, _LAST)
    elif len(few) < len(x):
        side = fixed.copy()
    if examples is not None:
        return side
    n = int(side.sum())
    return ~side if 2 * n > len(side) or (2 * n == len(side) and side[0]) else side


def _turned(x: Floats, side: Bools, fixed: Bools, turns: int) -> Bools:
    """Return the sides after at most `turns` of Lloyd's algorithm; rows that are `fixed` stay on the first."""
    total = np.ones(len(x), np.float32) @ x
    for _ in range(turns):
        n = int(side.sum())
        if n in (0, len(x)):
            break
        here = side.astype(np.float32) @ x
        turned = _nearer(x, here / n, (total - here) / (len(x) - n)) | fixed
        if (turned == side).all():
            break
        side = turned
    return side


def _nearer(x: Floats, here: Floats, there: Floats) -> Bools:
    """Whether each row is nearer to `here` than to `there`."""
    return np.asarray(x @ (here - there) > (here @ here - there @ there) / 2)


def _widest(x: Floats) -> Bools:
    """Return the side of each row along the direction in which rows differ the most."""
    middle = x.mean(0)
    direction = x[int(np.argmin(x @ middle))] - middle
    for _ in range(_POWER):
        along = x @ direction - middle @ direction
        direction = along @ x - along.sum() * middle
        length = np.linalg.norm(direction)
        if not length:
            break
        direction = direction / length
    return np.asarray(x @ direction > middle @ direction)
