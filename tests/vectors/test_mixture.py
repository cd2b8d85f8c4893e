"""Gaussian mixtures that leave a poor start."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score
from sklearn.mixture import GaussianMixture

from ilk.vectors import fit_mixture
from ilk.vectors.gaussians import Gaussians, Start


def islands(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Two groups close to each other, six far off, one of these long: starts by distance halve the long one."""
    rng = np.random.default_rng(seed)
    centers = np.array([[0, 0], [3.2, 0], [40, 0], [0, 40], [40, 40], [-40, 0], [0, -40], [-40, -40]], float)
    spread = np.full((8, 2), 0.5)
    spread[4] = [9, 0.5]
    labels = np.repeat(np.arange(8), 120)
    return (centers[labels] + rng.normal(size=(960, 2)) * spread[labels]).astype(np.float32), labels


@pytest.mark.parametrize("seed", range(4))
def test_a_move_repairs_a_start_that_halves_one_group_and_merges_two(seed: int) -> None:
    x, truth = islands()
    stuck = fit_mixture(x, 8, n_init=1, seed=seed, split_merge=False)
    found = fit_mixture(x, 8, n_init=1, seed=seed)
    assert stuck is not None
    assert found is not None
    assert found.log_likelihood >= stuck.log_likelihood
    assert adjusted_rand_score(truth, found.labels) > 0.99


def test_some_start_needs_the_move() -> None:
    """Without this the test above could not fail."""
    x, truth = islands()
    stuck = [fit_mixture(x, 8, n_init=1, seed=seed, split_merge=False) for seed in range(4)]
    assert min(adjusted_rand_score(truth, fit.labels) for fit in stuck if fit) < 0.9
    assert max(fit.moves for seed in range(4) if (fit := fit_mixture(x, 8, n_init=1, seed=seed))) > 0


def test_without_moves_it_is_scikit_learn() -> None:
    x, _ = islands(1)
    found = fit_mixture(x, 5, n_init=2, seed=3, split_merge=False)
    assert found is not None
    ridge = 1e-4 * float(x.var(0).mean())
    theirs = GaussianMixture(5, reg_covar=ridge, n_init=2, init_params="k-means++", random_state=3, max_iter=200).fit(x)
    np.testing.assert_allclose(found.proba.dense(), theirs.predict_proba(x), atol=1e-6)
    assert found.log_likelihood == pytest.approx(theirs.score(x), abs=1e-3)


def test_probabilities_sum_to_one_and_the_seed_decides() -> None:
    x, _ = islands(2)
    found = [fit_mixture(x, 4, seed=0) for _ in range(2)]
    assert found[0] is not None
    np.testing.assert_allclose(found[0].proba.dense().sum(1), 1, atol=1e-5)
    assert np.array_equal(found[0].proba.dense(), found[1].proba.dense())  # type: ignore[union-attr]


def test_a_component_without_rows_is_a_collapse() -> None:
    x = np.repeat(np.eye(3, dtype=np.float32), 5, 0)
    assert fit_mixture(x, 6) is None


def test_many_rows_are_searched_on_some_and_fitted_on_all() -> None:
    x, truth = islands(3)
    order = np.random.default_rng(0).permutation(30 * len(x))
    many = np.repeat(x, 30, 0)[order] + np.random.default_rng(1).normal(0, 0.1, (30 * len(x), 2)).astype(np.float32)
    found = fit_mixture(many, 8, n_init=1)
    assert found is not None
    assert found.proba.shape == (28_800, 8)
    assert adjusted_rand_score(np.repeat(truth, 30)[order], found.labels) > 0.99
    ridge = 1e-4 * float(many.var(0).mean())
    best = GaussianMixture(
        8, reg_covar=ridge, means_init=[many[np.repeat(truth, 30)[order] == g].mean(0) for g in range(8)]
    )
    assert found.log_likelihood == pytest.approx(best.fit(many).score(many), abs=5e-3)


def begin(x: np.ndarray) -> Start:
    return Start(np.full(4, 0.25), x[:4].astype(float), np.repeat(np.eye(2)[None], 4, 0))


def test_a_weight_is_that_many_rows() -> None:
    x, _ = islands(3)
    weights = np.random.default_rng(0).integers(1, 5, len(x))
    once = Gaussians.fit(x, begin(x), 1e-3, weights.astype(float))
    often = Gaussians.fit(np.repeat(x, weights, 0), begin(x), 1e-3)
    np.testing.assert_allclose(once.means, often.means, rtol=1e-6)
    np.testing.assert_allclose(once.covariances, often.covariances, rtol=1e-6)
    np.testing.assert_allclose(once.shares, often.shares, rtol=1e-6)
    assert once.lower_bound == pytest.approx(often.lower_bound)
    assert not np.allclose(once.shares, Gaussians.fit(x, begin(x), 1e-3).shares, rtol=1e-3)


def test_weights_move_the_fit() -> None:
    x, truth = islands()
    found = fit_mixture(x, 8, sample_weight=np.where(truth == 0, 9, 1).astype(np.float32))
    assert found is not None
    even = fit_mixture(x, 8)
    assert even is not None
    assert found.log_likelihood != pytest.approx(even.log_likelihood, abs=1e-3)


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    x, _ = islands(1)
    whole = Gaussians.fit(x, begin(x), 1e-3)
    monkeypatch.setattr("ilk.vectors.gaussians._BLOCK", 600)
    monkeypatch.setattr("ilk.vectors.gaussians._KEPT", 0)
    parts = Gaussians.fit(x, begin(x), 1e-3)
    np.testing.assert_allclose(parts.means, whole.means, rtol=1e-9)
    assert np.array_equal(parts.labels(x), whole.labels(x))


def test_many_groups_of_many_rows_keep_three(monkeypatch: pytest.MonkeyPatch) -> None:
    x, _ = islands(1)
    whole = fit_mixture(x, 8)
    monkeypatch.setattr("ilk.vectors.best.ALL_UP_TO", 100)
    found = fit_mixture(x, 8)
    assert whole is not None
    assert found is not None
    assert found.proba.shares.shape == (960, 3)
    assert np.array_equal(found.labels, whole.labels)
    np.testing.assert_allclose(found.proba.dense(), whole.proba.dense(), atol=0.02)
