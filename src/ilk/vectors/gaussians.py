"""Expectation maximisation for Gaussians with full covariances: one matrix product a step, rows by blocks, weights."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

import numpy as np
import numpy.typing as npt

from ilk.vectors.best import Best

__all__ = ["Gaussians", "Start"]

Doubles = npt.NDArray[np.float64]

_STEPS = 200  # of one run
_STILL = 1e-3  # rise of the mean log-likelihood at which a run ends
_BLOCK = 2**20  # numbers in a block
_KEPT = 2**23  # numbers of products that are kept between steps

Floats = npt.NDArray[Any]


class Start(NamedTuple):
    """Where a run begins: shares (k,), means (k, e) and covariances (k, e, e) of the components."""

    shares: Doubles
    means: Doubles
    covariances: Doubles


@dataclass(frozen=True)
class Gaussians:
    """A fitted mixture.

    Attributes
    ----------
    shares, means, covariances
        As in `Start`.
    lower_bound : float
        Mean log-likelihood of a row, before the last step.
    converged : bool
    """

    shares: Doubles
    means: Doubles
    covariances: Doubles
    lower_bound: float
    converged: bool

    @classmethod
    def fit(cls, x: Floats, start: Start, ridge: float, weights: Doubles | None = None) -> Self:
        """Go on from `start` until the likelihood of the rows of `x` (n, e), times `weights` (n,), rises no more.

        Raises
        ------
        numpy.linalg.LinAlgError
            A covariance is ill-conditioned.

        Notes
        -----
        A step is two products of (n, 1 + e + e (e + 1) / 2) numbers, a row with all products of two of its numbers, by
        blocks: nothing is as large as rows times components. In double precision, around the mean.
        """
        origin = x.mean(0, dtype=np.float64)
        found = start._replace(means=start.means - origin)
        bound, converged = -np.inf, False
        products = _Products(x, origin, found.means.shape[0])
        total = float(len(x)) if weights is None else float(weights.sum())
        for _ in range(_STEPS):
            before, bound = bound, 0.0
            sums = np.zeros((len(found.means), products.width))
            log_odds = _log_odds(found)
            for first, last, block in products:
                odds, likelihood = _responsibilities(block, log_odds)
                own = None if weights is None else weights[first:last]
                bound += float(likelihood.sum() if own is None else likelihood @ own)
                sums += (odds if own is None else odds * own[:, None]).T @ block
            bound /= total
            found = _from_sums(sums, x.shape[1], ridge)
            if abs(bound - before) < _STILL:
                converged = True
                break
        _log_odds(found)  # raises where the last step has left an ill-conditioned one
        return cls(found.shares, found.means + origin, found.covariances, bound, converged)

    def probabilities(self, x: Floats) -> Best:
        """Return how much each row of `x` (n, e) belongs to each component."""
        log_odds, origin = _log_odds(self._start(x)), x.mean(0, dtype=np.float64)

        def block(start: int, stop: int) -> Floats:
            return _responsibilities(_products(x[start:stop], origin), log_odds)[0]

        return Best.by_blocks(len(x), len(self.means), block)

    def labels(self, x: Floats) -> npt.NDArray[np.int64]:
        """Return the most probable component of each row (n,)."""
        log_odds, origin = _log_odds(self._start(x)), x.mean(0, dtype=np.float64)
        found = np.empty(len(x), np.int64)
        for first, last, block in _Products(x, origin, len(self.means)):
            found[first:last] = (block @ log_odds).argmax(1)
        return found

    def _start(self, x: Floats) -> Start:
        return Start(self.shares, self.means - x.mean(0, dtype=np.float64), self.covariances)


class _Products:
    """Blocks of a row's numbers and their products; kept where they are few."""

    def __init__(self, x: Floats, origin: Doubles, k: int) -> None:
        e = x.shape[1]
        self.x, self.origin, self.width = x, origin, 1 + e + e * (e + 1) // 2
        self.step = max(1, _BLOCK // max(self.width, k))
        self.kept: list[Doubles] | None = [] if len(x) * self.width <= _KEPT else None

    def __iter__(self) -> Iterator[tuple[int, int, Doubles]]:
        n = len(self.x)
        for number, first in enumerate(range(0, n, self.step)):
            last = min(n, first + self.step)
            if self.kept is None:
                yield first, last, _products(self.x[first:last], self.origin)
                continue
            if number == len(self.kept):
                self.kept.append(_products(self.x[first:last], self.origin))
            yield first, last, self.kept[number]


def _products(x: Floats, origin: Doubles) -> Doubles:
    """Return 1, the numbers of each row less `origin`, and all products of two of them."""
    rows = x.astype(np.float64) - origin
    i, j = np.triu_indices(x.shape[1])
    return np.hstack([np.ones((len(rows), 1)), rows, rows[:, i] * rows[:, j]])


def _log_odds(found: Start) -> Doubles:
    """Return (w, k): times the products of a row, the logarithm of how probable each component is."""
    e = found.means.shape[1]
    lower = np.linalg.cholesky(found.covariances)
    inverse = np.linalg.inv(lower)
    precision = inverse.transpose(0, 2, 1) @ inverse
    linear = np.einsum("kij,kj->ki", precision, found.means)
    half_log_det = np.log(np.diagonal(lower, axis1=1, axis2=2)).sum(1)
    constant = np.log(found.shares) - 0.5 * e * np.log(2 * np.pi) - half_log_det
    constant -= 0.5 * np.einsum("ki,ki->k", linear, found.means)
    i, j = np.triu_indices(e)
    square = precision[:, i, j] * np.where(i == j, -0.5, -1.0)
    return np.ascontiguousarray(np.hstack([constant[:, None], linear, square]).T)


def _responsibilities(products: Doubles, log_odds: Doubles) -> tuple[Doubles, Doubles]:
    """Return probabilities (b, k) and the log-likelihood of each row (b,)."""
    odds = products @ log_odds
    most = odds.max(1, keepdims=True)
    odds -= most
    np.exp(odds, out=odds)
    total = odds.sum(1, keepdims=True)
    odds /= total
    return odds, (np.log(total) + most)[:, 0]


def _from_sums(sums: Doubles, e: int, ridge: float) -> Start:
    """Return shares, means and covariances from weighted sums of products (k, w)."""
    n = sums[:, 0] + 10 * np.finfo(np.float64).eps
    means = sums[:, 1 : e + 1] / n[:, None]
    i, j = np.triu_indices(e)
    covariances = np.empty((len(n), e, e))
    covariances[:, i, j] = sums[:, e + 1 :] / n[:, None] - means[:, i] * means[:, j]
    covariances[:, j, i] = covariances[:, i, j]
    covariances[:, range(e), range(e)] += ridge
    return Start(n / n.sum(), means, covariances)
