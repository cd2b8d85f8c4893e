"""Gaussian mixtures with full covariances, by expectation maximisation that can leave a poor start."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

from ilk.vectors.best import Best
from ilk.vectors.gaussians import Gaussians, Start

__all__ = ["MixtureFit", "fit_mixture"]

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]
Doubles = npt.NDArray[np.float64]

_TRIED = 5  # moves that are carried out before a solution counts as final
_SEARCH_ON = 20_000  # evenly spaced rows that starts and moves are tried on
_SPLIT_ON = 2000  # rows of a component that its halves are sought on
_GAIN = 1e-3  # least rise of the mean log-likelihood per row that a move must bring


class MixtureFit(NamedTuple):
    """A fitted mixture.

    Attributes
    ----------
    proba : Best
        Probabilities of the components (n, k): all, or the three best of each row where there are many.
    labels : (n,) int64
        The most probable component.
    log_likelihood : float
        Mean over the rows, in nats.
    converged : bool
    moves : int
        Split-and-merge moves that were kept.
    """

    proba: Best
    labels: Ints
    log_likelihood: float
    converged: bool
    moves: int


class _Sums(NamedTuple):
    """What a Gaussian needs to know of its weighted rows: how many, their sum, the sum of their outer products."""

    n: float
    first: npt.NDArray[np.float64]
    second: npt.NDArray[np.float64]

    @classmethod
    def of(cls, rows: npt.NDArray[Any], weights: Doubles) -> _Sums:
        x = rows.astype(np.float64)
        heavy = x * weights[:, None]
        return cls(float(weights.sum()), heavy.sum(0), x.T @ heavy)

    def with_(self, other: _Sums) -> _Sums:
        return _Sums(self.n + other.n, self.first + other.first, self.second + other.second)

    def moments(self, ridge: float) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Return mean (e,) and covariance (e, e), `ridge` added to its diagonal."""
        mean = self.first / self.n
        return mean, self.second / self.n - np.outer(mean, mean) + ridge * np.eye(len(mean))

    def fit(self, total: float, ridge: float) -> float:
        """Return the log-likelihood of its rows among `total`, each wholly its own, but for what no move changes."""
        if self.n <= len(self.first) + 1:
            return -np.inf
        return float(self.n * (np.log(self.n / total) - 0.5 * np.linalg.slogdet(self.moments(ridge)[1])[1]))


def fit_mixture(
    x: Floats,
    n_components: int,
    *,
    n_init: int = 3,
    seed: int = 0,
    split_merge: bool = True,
    sample_weight: Floats | None = None,
) -> MixtureFit | None:
    """Fit a mixture of Gaussians with full covariances to the rows of `x`.

    Parameters
    ----------
    x : (n, e) float32
    n_components : int
    n_init : int
        k-means++ starts; the one of highest likelihood goes on.
    seed : int
    split_merge : bool
        Whether the best start may be improved by moves: two components become one and a third becomes two, where that
        raises the likelihood.
    sample_weight : (n,), optional
        How many rows each row counts for; positive.

    Returns
    -------
    MixtureFit, or None where a component collapses: one that has fewer than two rows, or an ill-conditioned covariance.

    Notes
    -----
    EM never moves a component across the gap between two groups, so a start that splits one group and merges two
    others keeps them so. A move is chosen by the likelihood of whole rows, which needs only their sums: halves of each
    component are fitted once, all pairs are merged by adding their sums. The five most promising moves are carried out
    by EM at most; the first that gains is kept, and the search begins anew, n_components times at most. On the
    handwritten digits one move raises the mean log-likelihood from 11.1 to 11.6, and the accuracy from .88 to .97, for
    all of four layouts tried. Labels choose none of it.

    Cost: EM is O(n k e²) a step, by blocks of rows. A search adds O(n e²) for the sums, k² determinants, and k fits of
    two components to at most 2,000 rows. Above 20,000 rows, starts and moves are tried on as many evenly spaced ones,
    and the best goes on with all: their order should not follow the groups. Regularised by 1e-4 of the mean variance.

    References
    ----------
    N. Ueda, R. Nakano, Z. Ghahramani, G. Hinton, "SMEM algorithm for mixture models", Neural Computation 12, 2000.
    """
    weights = np.ones(len(x)) if sample_weight is None else np.asarray(sample_weight, np.float64)
    weights = weights * (len(x) / weights.sum())
    mean = np.average(x, axis=0, weights=weights) if sample_weight is not None else None
    variance = x.var(0) if mean is None else np.average((x - mean) ** 2, axis=0, weights=weights)
    ridge = 1e-4 * max(float(variance.mean()), 1e-12)
    # matrices of 10 x 10: waking the threads of BLAS takes most of the time (5.3 s of 5.7 on the digits)
    with threadpool_limits(1, user_api="blas"):
        try:
            step = -(-len(x) // _SEARCH_ON)
            some, mass = x[::step], weights[::step]
            model = _best_start(some, mass, n_components, n_init, ridge, seed)
            moves = 0
            while split_merge and n_components > 2 and moves < n_components:
                better = _moved(some, mass, model, ridge, seed)
                if better is None:
                    break
                model, moves = better, moves + 1
            if len(some) < len(x):
                model = Gaussians.fit(x, Start(model.shares, model.means, model.covariances), ridge, weights)
            proba, labels = model.probabilities(x), model.labels(x)
        except (ValueError, np.linalg.LinAlgError):  # an ill-conditioned covariance
            return None
    if np.bincount(labels, minlength=n_components).min() < 2:
        return None
    return MixtureFit(proba, labels, model.lower_bound, model.converged, moves)


def _best_start(x: Floats, weights: Doubles, k: int, n_init: int, ridge: float, seed: int) -> Gaussians:
    """Return the fit of highest likelihood of those from `n_init` k-means++ starts, each of k rows."""
    from sklearn.cluster import kmeans_plusplus

    random = np.random.RandomState(seed)
    best: Gaussians | None = None
    for _ in range(n_init):
        heavy = None if np.ptp(weights) == 0 else weights
        rows = kmeans_plusplus(x, k, sample_weight=heavy, random_state=random)[1]
        narrow = np.repeat(ridge * np.eye(x.shape[1])[None], k, 0)
        found = Gaussians.fit(x, Start(np.full(k, 1 / k), x[rows].astype(np.float64), narrow), ridge, weights)
        if best is None or found.lower_bound > best.lower_bound:
            best = found
    assert best is not None
    return best


def _moved(x: Floats, weights: Doubles, model: Gaussians, ridge: float, seed: int) -> Gaussians | None:
    """Return a mixture of higher likelihood that one move away from `model` leads to, or None."""
    labels, k, n = model.labels(x), len(model.means), float(weights.sum())
    mine = [labels == g for g in range(k)]
    sums = [_Sums.of(x[rows], weights[rows]) for rows in mine]
    own = [one.fit(n, ridge) for one in sums]
    halves = {
        g: both for g, rows in enumerate(mine) if (both := _halves(x[rows], weights[rows], ridge, seed)) is not None
    }
    merged = {(i, j): sums[i].with_(sums[j]) for i in range(k) for j in range(i)}
    loss = {pair: own[pair[0]] + own[pair[1]] - both.fit(n, ridge) for pair, both in merged.items()}
    gain = {g: one.fit(n, ridge) + other.fit(n, ridge) - own[g] for g, (one, other) in halves.items()}
    moves = sorted(
        ((gain[g] - loss[pair], g, pair) for g in gain for pair in merged if g not in pair and gain[g] > loss[pair]),
        reverse=True,
    )
    for _, g, pair in moves[:_TRIED]:
        parts = [*(sums[i] for i in range(k) if i not in (g, *pair)), merged[pair], *halves[g]]
        found = Gaussians.fit(x, _from_sums(parts, ridge), ridge, weights)
        if found.lower_bound > model.lower_bound + _GAIN:
            return found
    return None


def _halves(rows: Floats, weights: Doubles, ridge: float, seed: int) -> tuple[_Sums, _Sums] | None:
    """Return the sums of the two parts that a mixture of two finds in the rows of a component; None where it cannot."""
    least = 2 * (rows.shape[1] + 2)
    if len(rows) < least:
        return None
    step = max(1, len(rows) // _SPLIT_ON)
    try:
        pair = _best_start(rows[::step], weights[::step], 2, 3, ridge, seed)
        first = pair.labels(rows) == 0
    except (ValueError, np.linalg.LinAlgError):
        return None
    if min(first.sum(), len(rows) - first.sum()) < least // 2:
        return None
    return _Sums.of(rows[first], weights[first]), _Sums.of(rows[~first], weights[~first])


def _from_sums(parts: list[_Sums], ridge: float) -> Start:
    """Return where a mixture of these components begins."""
    total = sum(part.n for part in parts)
    moments = [part.moments(ridge) for part in parts]
    return Start(
        np.array([part.n / total for part in parts]),
        np.stack([mean for mean, _ in moments]),
        np.stack([covariance for _, covariance in moments]),
    )
