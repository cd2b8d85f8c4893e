"""Gaussian mixtures with full covariances, by expectation maximisation that can leave a poor start."""

from __future__ import annotations

import warnings
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

__all__ = ["MixtureFit", "fit_mixture"]

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]

_STEPS = 200  # of one run of EM
_TRIED = 5  # moves that are carried out before a solution counts as final
_SEARCH_ON = 20_000  # evenly spaced rows that starts and moves are tried on
_SPLIT_ON = 2000  # rows of a component that its halves are sought on
_GAIN = 1e-3  # least rise of the mean log-likelihood per row that a move must bring


class MixtureFit(NamedTuple):
    """A fitted mixture.

    Attributes
    ----------
    proba : (n, k) float32
        Probabilities of the components.
    log_likelihood : float
        Mean over the rows, in nats.
    converged : bool
    moves : int
        Split-and-merge moves that were kept.
    """

    proba: Floats
    log_likelihood: float
    converged: bool
    moves: int


class _Sums(NamedTuple):
    """What a Gaussian needs to know of its rows: how many, their sum, the sum of their outer products."""

    n: float
    first: npt.NDArray[np.float64]
    second: npt.NDArray[np.float64]

    @classmethod
    def of(cls, rows: npt.NDArray[Any]) -> _Sums:
        x = rows.astype(np.float64)
        return cls(float(len(x)), x.sum(0), x.T @ x)

    def with_(self, other: _Sums) -> _Sums:
        return _Sums(self.n + other.n, self.first + other.first, self.second + other.second)

    def moments(self, ridge: float) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Return mean (e,) and covariance (e, e), `ridge` added to its diagonal."""
        mean = self.first / self.n
        return mean, self.second / self.n - np.outer(mean, mean) + ridge * np.eye(len(mean))

    def fit(self, total: int, ridge: float) -> float:
        """Return the log-likelihood of its rows among `total`, each wholly its own, but for what no move changes."""
        if self.n <= len(self.first) + 1:
            return -np.inf
        return float(self.n * (np.log(self.n / total) - 0.5 * np.linalg.slogdet(self.moments(ridge)[1])[1]))


def fit_mixture(
    x: Floats, n_components: int, *, n_init: int = 3, seed: int = 0, split_merge: bool = True
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

    Cost: EM is O(n k e²) a step. A search adds O(n e²) for the sums, k² determinants, and k fits of two components to
    at most 2,000 rows. Above 20,000 rows, starts and moves are tried on as many evenly spaced ones, and the best goes
    on with all: their order should not follow the groups. Regularised by 1e-4 of the mean variance.

    References
    ----------
    N. Ueda, R. Nakano, Z. Ghahramani, G. Hinton, "SMEM algorithm for mixture models", Neural Computation 12, 2000.
    """
    from sklearn.exceptions import ConvergenceWarning

    ridge = 1e-4 * max(float(x.var(0).mean()), 1e-12)
    # matrices of 10 x 10: waking the threads of BLAS takes most of the time (5.3 s of 5.7 on the digits)
    with threadpool_limits(1, user_api="blas"), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        try:
            some = x[:: -(-len(x) // _SEARCH_ON)]
            model = _gaussians(n_components, ridge, n_init=n_init, init_params="k-means++", random_state=seed).fit(some)
            moves = 0
            while split_merge and n_components > 2 and moves < n_components:
                better = _moved(some, model, ridge, seed)
                if better is None:
                    break
                model, moves = better, moves + 1
            if len(some) < len(x):
                model = _going_on(model, ridge).fit(x)
            proba = model.predict_proba(x).astype(np.float32)
        except ValueError:  # an ill-conditioned covariance
            return None
    if np.bincount(proba.argmax(1), minlength=n_components).min() < 2:
        return None
    return MixtureFit(proba, float(model.lower_bound_), bool(model.converged_), moves)


def _gaussians(k: int, ridge: float, **options: Any) -> Any:
    from sklearn.mixture import GaussianMixture

    return GaussianMixture(k, covariance_type="full", reg_covar=ridge, max_iter=_STEPS, **options)


def _going_on(model: Any, ridge: float) -> Any:
    """Return a mixture, yet to be fitted, that starts where `model` stands."""
    return _gaussians(
        model.n_components,
        ridge,
        weights_init=model.weights_,
        means_init=model.means_,
        precisions_init=model.precisions_,
    )


def _moved(x: Floats, model: Any, ridge: float, seed: int) -> Any:
    """Return a mixture of higher likelihood that one move away from `model` leads to, or None."""
    labels, k, n = model.predict(x), model.n_components, len(x)
    sums = [_Sums.of(x[labels == g]) for g in range(k)]
    own = [one.fit(n, ridge) for one in sums]
    halves = {g: both for g in range(k) if (both := _halves(x[labels == g], ridge, seed)) is not None}
    merged = {(i, j): sums[i].with_(sums[j]) for i in range(k) for j in range(i)}
    loss = {pair: own[pair[0]] + own[pair[1]] - both.fit(n, ridge) for pair, both in merged.items()}
    gain = {g: one.fit(n, ridge) + other.fit(n, ridge) - own[g] for g, (one, other) in halves.items()}
    moves = sorted(
        ((gain[g] - loss[pair], g, pair) for g in gain for pair in merged if g not in pair and gain[g] > loss[pair]),
        reverse=True,
    )
    for _, g, pair in moves[:_TRIED]:
        parts = [*(sums[i] for i in range(k) if i not in (g, *pair)), merged[pair], *halves[g]]
        found = _from_sums(parts, ridge).fit(x)
        if found.lower_bound_ > model.lower_bound_ + _GAIN:
            return found
    return None


def _halves(rows: Floats, ridge: float, seed: int) -> tuple[_Sums, _Sums] | None:
    """Return the sums of the two parts that a mixture of two finds in the rows of a component; None where it cannot."""
    least = 2 * (rows.shape[1] + 2)
    if len(rows) < least:
        return None
    step = max(1, len(rows) // _SPLIT_ON)
    try:
        pair = _gaussians(2, ridge, n_init=3, init_params="k-means++", random_state=seed).fit(rows[::step])
        first = pair.predict(rows) == 0
    except ValueError:
        return None
    if min(first.sum(), len(rows) - first.sum()) < least // 2:
        return None
    return _Sums.of(rows[first]), _Sums.of(rows[~first])


def _from_sums(parts: list[_Sums], ridge: float) -> Any:
    """Return a mixture, yet to be fitted, that starts from these components."""
    total = sum(part.n for part in parts)
    moments = [part.moments(ridge) for part in parts]
    return _gaussians(
        len(parts),
        ridge,
        weights_init=np.array([part.n / total for part in parts]),
        means_init=np.stack([mean for mean, _ in moments]),
        precisions_init=np.stack([np.linalg.inv(covariance) for _, covariance in moments]),
    )
