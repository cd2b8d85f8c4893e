"""Joining groups, and the smallest parts that they fall into."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from ilk.regroup.space import Board, Floats, Ints

__all__ = ["joined", "parted", "ward"]

_LEAVES = 24  # smallest parts of a group that are sought, at most; more where there are few groups
_IN_A_LEAF = 3  # images that a smallest part has on average, at least
_SAMPLE = 4096  # images of a group that its parts are sought in
_FEWEST = 2  # groups that remain

Joins = list[tuple[int, int, float]]


def joined(board: Board) -> list[tuple[int, int]]:
    """Return the columns of groups that become one, in order (into, gone), down to 2 groups or as far as is allowed.

    Groups with images put there by hand never become one with another such, nor with what they were split from; of two
    the one with such images takes the other, else the larger one.
    """
    count = len(board.groups)
    inside = board.labels >= 0
    at = board.columns(board.labels[inside])
    held = np.isin(board.groups, board.labels[board.pinned])
    apart = held[:, None] & held
    for pair in board.grouping.apart:
        if np.isin(pair, board.groups).all():
            one, other = board.columns(np.array(pair))
            apart[one, other] = apart[other, one] = True
    sizes = np.bincount(at, minlength=count).astype(float)
    found = ward(_means(board.x[inside], at, count), sizes, apart, held)
    return [(into, gone) for into, gone, _ in found]


def parted(x: Floats, columns: Ints, here: npt.NDArray[np.bool_], high: int, seed: int) -> tuple[Ints, Sequence[Ints]]:
    """Return the smallest part of each image, and what leaves its part, in order, up to `high` groups.

    x : (m, p). columns : (m,) group of each. here : (m,) whether it is in any. Each group's parts (K-means) are joined
    to one by Ward's rule; the joins are taken back, that of the largest added squared distance first.

    Returns
    -------
    leaf : (m,) int64
        Unlike in each two groups; -1 in none.
    leave : list of (…,) int64
        Leaves.
    """
    leaf = np.full(len(x), -1, np.int64)
    groups = np.unique(columns[here])
    most = max(_LEAVES, -(-2 * high // max(1, len(groups))))
    undone: list[tuple[float, int, Ints]] = []
    for group in groups.tolist():
        mine = np.flatnonzero(here & (columns == group))
        inner, means = _kmeans(x[mine], min(most, len(mine) // _IN_A_LEAF), seed)
        first = int(leaf.max()) + 1
        leaf[mine] = inner + first
        sizes = np.bincount(inner, minlength=len(means)).astype(float)
        below = [[first + i] for i in range(len(means))]
        for turn, (into, gone, cost) in enumerate(ward(means, sizes)):
            undone.append((cost, turn, np.array(below[gone], np.int64)))
            below[into] += below[gone]
    undone.sort(key=lambda one: (-one[0], -one[1]))  # what was joined last within a group comes first: costs only grow
    return leaf, [leaves for _, _, leaves in undone[: max(0, high - len(groups))]]


def ward(
    means: npt.NDArray[np.float64],
    sizes: npt.NDArray[np.float64],
    apart: npt.NDArray[np.bool_] | None = None,
    held: npt.NDArray[np.bool_] | None = None,
) -> Joins:
    """Return what is joined, in order: (into, gone, added squared distance); with `apart` until two are left, else one.

    Parameters
    ----------
    means : (k, p)
    sizes : (k,)
    apart : (k, k) bool, optional
        What must not become one.
    held : (k,) bool, optional
        These take others; of two alike the larger one does.
    """
    means, sizes, count = means.copy(), sizes.copy(), len(means)
    blocked = np.zeros((count, count), bool) if apart is None else apart.copy()
    np.fill_diagonal(blocked, True)
    firm = np.zeros(count, bool) if held is None else held.copy()
    square = (means**2).sum(1)
    cost = np.maximum(square[:, None] + square - 2 * means @ means.T, 0) * _weight(sizes[:, None], sizes)
    cost[blocked] = np.inf
    found: Joins = []
    while len(found) < count - (1 if apart is None else _FEWEST):
        one, other = divmod(int(cost.argmin()), count)
        added = float(cost[one, other])
        if not np.isfinite(added):
            break
        into, gone = (one, other) if (firm[one], sizes[one]) >= (firm[other], sizes[other]) else (other, one)
        found.append((into, gone, added))
        total = sizes[into] + sizes[gone]
        means[into] = (sizes[into] * means[into] + sizes[gone] * means[gone]) / total
        sizes[into], firm[into] = total, firm[into] | firm[gone]
        blocked[into] |= blocked[gone]
        blocked[:, into] |= blocked[:, gone]
        blocked[gone] = blocked[:, gone] = True
        row = ((means - means[into]) ** 2).sum(1) * _weight(sizes, total)
        cost[into] = cost[:, into] = np.where(blocked[into], np.inf, row)
        cost[gone] = cost[:, gone] = np.inf
    return found


def _weight(one: npt.NDArray[np.float64], other: npt.NDArray[np.float64] | float) -> npt.NDArray[np.float64]:
    return np.asarray(one * other / np.maximum(one + other, 1e-12))


def _means(x: Floats, at: Ints, count: int) -> npt.NDArray[np.float64]:
    order = np.argsort(at, kind="stable")
    starts = np.searchsorted(at[order], np.arange(count))
    return np.asarray(np.add.reduceat(x[order].astype(float), starts) / np.bincount(at, minlength=count)[:, None])


def _kmeans(x: Floats, count: int, seed: int) -> tuple[Ints, npt.NDArray[np.float64]]:
    """Return the part of each row, and the means of the parts; none is empty."""
    if count < 2:
        return np.zeros(len(x), np.int64), x.mean(0, keepdims=True).astype(float)
    from sklearn.cluster import KMeans
    from sklearn.exceptions import ConvergenceWarning
    from threadpoolctl import threadpool_limits

    few = x[:: -(-len(x) // _SAMPLE)]
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # fewer different rows than parts
        made = KMeans(min(count, len(few)), n_init=1, max_iter=50, random_state=seed).fit(few)
    inner = np.unique(made.predict(x), return_inverse=True)[1].astype(np.int64)
    return inner, _means(x, inner, int(inner.max()) + 1)
