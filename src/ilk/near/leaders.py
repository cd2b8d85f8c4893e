"""Stacks of images that are nearly the same: every one within the limit of the image that stands for its stack."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from ilk.near.rows import Coordinates, Floats, Ints, distances, unit

__all__ = ["joined", "lead"]

_BLOCK = 256  # images that are looked at together
_HEADS = 8192  # heads they are held against at a time
_PAIRS = 4096  # pairs measured exactly at a time
_SWAPPED = 512  # images of a stack of equals beyond which its head stays
_SWEEPS = 4  # at most, until no image changes its stack

Nearest = Callable[[Floats], tuple[Ints, Floats]]
"""Rows (n, e) -> for each the numbers and distances (n, m) of some of the nearest others."""


def lead(
    features: npt.NDArray[np.floating],
    best_first: Ints,
    limit: float,
    ties: Ints | None = None,
    nearest: Nearest | None = None,
) -> Ints:
    """Stack images.

    Parameters
    ----------
    features
        (n, d); each row counts by its direction.
    best_first
        (n,) all rows, those that are to stand for others first.
    limit
        Largest distance of a member from its head, of rows of length 1.
    ties
        (n,) int64: among rows with the same number none is better. Then the most central one within the limit of all
        others of its stack stands for it.
    nearest
        Where there are too many images to hold each against all heads: what finds some of the nearest.

    Returns
    -------
    heads : (n,) int64
        For every row the row that stands for its stack; itself where it does. Equal input, equal output.

    Notes
    -----
    Leader clustering: in that order, an image joins the nearest of the heads within the limit, or becomes one. No chain
    makes a stack longer than that. Exact: short coordinates rule most pairs out, and what is left is measured in full.
    n h products of length 65 for h heads, and memory for blocks of 256 x 8,192.

    With `nearest` an image is held against the heads among what that finds, and the heads of the others among them,
    each measured in full: as long as the search takes, and stacks of any size.
    """
    n = len(features)
    short = Coordinates.of(features)
    if nearest is not None:
        head = _among_nearest(features, *nearest(short.rows), best_first, limit)
        return head if ties is None else _central(features, head, limit, ties)
    head, away = np.arange(n), np.full(n, np.inf, np.float32)
    heads = np.empty(0, np.int64)
    for start in range(0, n, _BLOCK):
        rows = best_first[start : start + _BLOCK]
        for first in range(0, len(heads), _HEADS):
            known = heads[first : first + _HEADS]
            i, j = short.may_be_near(short.rows[rows], short.rows[known], limit)
            _join(features, rows[i], known[j], limit, head, away)
        i, j = short.may_be_near(short.rows[rows], short.rows[rows], limit)
        kept = (i < j) & np.isinf(away[rows[i]])  # what is in a stack stands for none
        heads = np.append(heads, _within(features, rows, i[kept], j[kept], limit, head, away))
    return head if ties is None else _central(features, head, limit, ties)


def joined(features: npt.NDArray[np.floating], heads: Ints, new: Ints, limit: float) -> Ints:
    """Return (m,) the nearest of `heads` within `limit` of each of the rows `new` of `features`; itself without one."""
    head, away = np.arange(len(features)), np.full(len(features), np.inf, np.float32)
    short = Coordinates.of(features)
    for start in range(0, len(new), _BLOCK):
        rows = new[start : start + _BLOCK]
        for first in range(0, len(heads), _HEADS):
            known = heads[first : first + _HEADS]
            i, j = short.may_be_near(short.rows[rows], short.rows[known], limit)
            _join(features, rows[i], known[j], limit, head, away)
    return head[new]


def _among_nearest(
    features: npt.NDArray[np.floating], index: Ints, bound: Floats, best_first: Ints, limit: float
) -> Ints:
    """Return the heads (n,) where each row is held against its nearest ones, and against what these belong to.

    `bound` (n, m): distances to the rows `index` that are no larger than the true ones.
    """
    n = len(features)
    i, at = np.nonzero(bound <= limit + 1e-3)
    i, j = np.concatenate([i, index[i, at]]), np.concatenate([index[i, at], i])  # whoever is near is so both ways
    close = _measured(features, i, j) <= limit
    order = np.argsort(i[close], kind="stable")
    i, j = i[close][order], j[close][order]
    start = np.searchsorted(i, np.arange(n + 1))
    rows = best_first[start[best_first + 1] > start[best_first]]
    before = np.arange(n)
    for _ in range(_SWEEPS):  # who comes early knows none of a stack yet; the next time its neighbours do
        head, seen = np.arange(n), np.zeros(n, bool)
        for row in rows:
            beside = j[start[row] : start[row + 1]]
            may = np.concatenate([head[beside], before[beside]])
            may = np.unique(may[seen[may] & (head[may] == may)])
            seen[row] = True
            if len(may):
                apart = _measured(features, np.full(len(may), row), may)
                if apart.min() <= limit:
                    head[row] = may[apart.argmin()]
        if (head == before).all():
            break
        before = head
    return before


def _join(features: npt.NDArray[np.floating], rows: Ints, heads: Ints, limit: float, head: Ints, away: Floats) -> None:
    """Give each of `rows` the nearest of the `heads` it is paired with, where that is within `limit`."""
    apart = _measured(features, rows, heads)
    order = np.lexsort((heads, apart, rows))
    first = np.ones(len(order), bool)
    first[1:] = rows[order][1:] != rows[order][:-1]
    best = order[first]
    best = best[(apart[best] <= limit) & (apart[best] < away[rows[best]])]
    head[rows[best]], away[rows[best]] = heads[best], apart[best]


def _within(
    features: npt.NDArray[np.floating], rows: Ints, i: Ints, j: Ints, limit: float, head: Ints, away: Floats
) -> Ints:
    """Make heads of those of `rows` that no head is near, in their order; pairs i < j may be near. Return the heads."""
    apart = _measured(features, rows[i], rows[j])
    near = apart <= limit
    i, j, apart = i[near], j[near], apart[near]
    bounds = np.searchsorted(i, np.arange(len(rows) + 1))
    found = []
    for at in range(len(rows)):
        if np.isfinite(away[rows[at]]):
            continue
        found.append(rows[at])
        mine = slice(bounds[at], bounds[at + 1])
        nearer = apart[mine] < away[rows[j[mine]]]
        others = rows[j[mine][nearer]]
        head[others], away[others] = rows[at], apart[mine][nearer]
    return np.array(found, np.int64)


def _measured(features: npt.NDArray[np.floating], left: Ints, right: Ints) -> Floats:
    """Return (p,) the distances of pairs of rows of length 1, from differences: 0 for equal ones."""
    found = np.empty(len(left), np.float32)
    step = max(64, min(_PAIRS, (32 << 20) // (4 * max(1, features.shape[1]))))
    for start in range(0, len(left), step):
        part = slice(start, start + step)
        apart = unit(features[left[part]]) - unit(features[right[part]])
        found[part] = np.linalg.norm(apart, axis=1)
    return found


def _central(features: npt.NDArray[np.floating], head: Ints, limit: float, ties: Ints) -> Ints:
    """Put the most central of equals at the head of each stack where all others stay within the limit of it."""
    order = np.argsort(head, kind="stable")
    starts = np.flatnonzero(np.r_[True, head[order][1:] != head[order][:-1]])
    found = head.copy()
    for members in np.split(order, starts[1:]):
        if not 2 < len(members) <= _SWAPPED:
            continue
        apart = distances(rows := unit(features[members]), rows)
        may = (ties[members] == ties[head[members[0]]]) & (apart.max(1) <= limit - 1e-3)
        may[members == head[members[0]]] = True
        found[members] = members[np.where(may, apart.mean(1), np.inf).argmin()]
    return found
