"""A discriminative head on the space: it learns from what a person said and from the cores of the groups."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ilk.regroup.space import Board, Floats, Ints

__all__ = ["Head", "fit", "learned", "taught_by_all"]

_LEARNS = 8192  # images of cores that it learns from, at most; all that a person said come on top
_CORE = 0.6  # share of a group that is its core: those of the highest probability by a head that did not see them
_SAID = 4.0  # an image that a person spoke of counts as so many of a core
_C = 0.1  # inverse strength of the penalty
_NEVER = -1e4


@dataclass(frozen=True)
class Head:
    """A linear head: (m, p) coordinates -> (m, g) probabilities of the groups `groups`."""

    groups: Ints
    weights: Floats
    offset: Floats

    def __call__(self, x: Floats) -> Floats:
        """Return (m, g) float32 probabilities."""
        z = x @ self.weights.T + self.offset
        z -= z.max(1, keepdims=True, initial=0.0) if z.shape[1] else 0
        e = np.exp(z)
        return np.asarray(e / np.maximum(e.sum(1, keepdims=True), 1e-30), np.float32)


def fit(x: Floats, labels: Ints, weight: Floats, groups: Ints) -> Head:
    """Return the multinomial logistic regression of `labels`, each one of `groups`.

    x : (m, p), labels : (m,), weight : (m,) of each row. L2-penalised; seconds for 8,192 rows and 20 groups. A group
    without a row gets no image.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from threadpoolctl import threadpool_limits

    seen = np.unique(labels)
    every, start = np.zeros((len(groups), x.shape[1]), np.float32), np.where(np.isin(groups, seen), 0.0, _NEVER)
    if len(seen) < 2:
        return Head(groups, every, start.astype(np.float32))
    # products this small take 40 times as long on two threads as on one
    with threadpool_limits(1, "blas"), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # near enough: the order of probabilities is what counts
        made = LogisticRegression(C=_C, max_iter=100, tol=1e-3).fit(x, labels, weight)
    weights, offset = made.coef_, made.intercept_
    if len(seen) == 2:  # one row for the second group
        weights, offset = np.vstack([-weights / 2, weights / 2]), np.array([-offset[0] / 2, offset[0] / 2])
    at = np.searchsorted(groups, seen)
    every[at], start[at] = weights, offset
    return Head(groups, every, start.astype(np.float32))


def learned(board: Board, labels: Ints, taught: npt.NDArray[np.bool_], seed: int = 0) -> Head:
    """Return a head for the groups of `board` that learns from the images `taught` and from cores of `labels`.

    labels : (m,) group of each image; taught : (m,) whether a person said so.
    """
    rng = np.random.default_rng(seed)
    few = _drawn(labels, (labels >= 0) & ((board.said == 0) | taught), taught, rng)
    x, y, said = board.x[few], labels[few], taught[few]
    core = said | _core(x, y, board.groups, rng)
    return fit(x[core], y[core], _weight(said[core]), board.groups)


def taught_by_all(board: Board, seed: int = 0) -> Head:
    """Return a head for the groups of `board` that learns from all of their images, not of cores alone."""
    few = _drawn(board.labels, board.labels >= 0, board.pinned, np.random.default_rng(seed))
    return fit(board.x[few], board.labels[few], _weight(board.pinned[few]), board.groups)


def _weight(said: npt.NDArray[np.bool_]) -> Floats:
    return np.where(said, _SAID, 1.0).astype(np.float32)


def _drawn(labels: Ints, own: npt.NDArray[np.bool_], taught: npt.NDArray[np.bool_], rng: np.random.Generator) -> Ints:
    """Return rows to learn from: up to 8,192 of `own`, all that were `taught`, and one of each group at least."""
    rows = np.flatnonzero(own)
    if len(rows) <= _LEARNS:
        return rows
    first = rows[np.unique(labels[rows], return_index=True)[1]]
    return np.unique(np.concatenate([rng.choice(rows, _LEARNS, replace=False), np.flatnonzero(taught & own), first]))


def _core(x: Floats, y: Ints, groups: Ints, rng: np.random.Generator) -> npt.NDArray[np.bool_]:
    """Return which rows are in the core of their group: those of the highest probability by a head that
    did not see them."""
    certainty = np.zeros(len(x), np.float32)
    half = rng.permutation(len(x)) % 2 == 0
    for here in (half, ~half):
        p = fit(x[~here], y[~here], np.ones(int((~here).sum()), np.float32), groups)(x[here])
        certainty[here] = p[np.arange(len(p)), np.searchsorted(groups, y[here])]
    core = np.zeros(len(x), bool)
    for group in groups.tolist():
        mine = np.flatnonzero(y == group)
        core[mine[np.argsort(-certainty[mine], kind="stable")[: max(1, int(np.ceil(_CORE * len(mine))))]]] = True
    return core
