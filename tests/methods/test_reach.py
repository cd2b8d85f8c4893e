"""How far groups reach: new images of the same kind are taken in, what lies elsewhere is told apart."""

from __future__ import annotations

import numpy as np
import pytest

from ilk.methods import TransferClustering
from ilk.methods.assign.rejection import LIMIT, Reach, lost_when_new
from ilk.vectors import fit_pca


def sketches(n: int, seed: int, groups: int = 3, side: int = 12) -> np.ndarray:
    """Images of `groups` kinds; each is a mixture of few strokes of its kind, and a little noise."""
    rng = np.random.default_rng(seed)
    strokes = np.random.default_rng(7).uniform(0, 1, (groups, 4, side, side)) > 0.8
    weights = rng.dirichlet(np.ones(4) * 3, n)
    mixed = np.einsum("nk,nkhw->nhw", weights, strokes[np.arange(n) % groups].astype(float))
    return np.clip(60 + 400 * mixed + rng.normal(0, 6, (n, side, side)), 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def model() -> TransferClustering:
    options = {"pca_dim": 12}
    return TransferClustering(3, encoder="pixels", preset="kmeans", settings=options).fit(sketches(600, 0))


def test_typical_by_hand() -> None:
    values = np.concatenate([np.arange(101), np.full(20, 7.0)]).astype(np.float32)
    labels = np.repeat([0, 1], [101, 20])
    reach = Reach.of(values, labels, 2)
    assert reach.usual.tolist() == [90.0, 7.0]
    assert reach.spread[0] == 40.0  # nothing lies farther out than the way from the median to the 90th percentile
    group = np.zeros(4, np.int64)
    found = reach.typical(np.float32([50, 90, 130, 170]), group)
    np.testing.assert_allclose(found, [1, 1, LIMIT, LIMIT**2], rtol=1e-5)
    assert reach.typical(np.float32([8]), group[:1] + 1) < 1e-6  # all the same: whatever differs is strange


def test_a_long_tail_of_the_whole_set_is_granted_to_every_group() -> None:
    rng = np.random.default_rng(0)
    groups = [scale * rng.exponential(size=2000) for scale in (1.0, 50.0)]
    values = np.concatenate(groups).astype(np.float32)
    reach = Reach.of(values, np.repeat([0, 1], 2000), 2)
    for group, mine in enumerate(groups):
        refused = (reach.typical(mine, np.full(2000, group)) < LIMIT).mean()
        assert 0.002 < refused < 0.008


def test_a_handful_of_images_has_the_tail_of_all() -> None:
    values = np.arange(100, dtype=np.float32)
    reach = Reach.of(values, np.where(np.arange(100) < 5, 1, 0), 2)
    assert reach.usual[1] == pytest.approx(np.quantile(values, 0.9))


def test_without_anything_measured_nothing_is_out_of_reach() -> None:
    reach = Reach.of(np.empty(0, np.float32), np.empty(0, np.int64), 2)
    assert reach.typical(np.float32([0, 1e6]), np.array([0, 1])).tolist() == [1, 1]


def test_distance_from_the_plane_by_hand() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(40, 6)).astype(np.float32)
    pca = fit_pca(x, 2, normalize=True)
    unit = x / np.linalg.norm(x, axis=1, keepdims=True) - pca.mean.numpy()
    basis = pca.components.numpy()
    expected = np.linalg.norm(unit - unit @ basis.T @ basis, axis=1)
    np.testing.assert_allclose(pca.lost(x).numpy(), expected, atol=1e-6)
    assert float(fit_pca(x, 6).lost(x).max()) < 1e-5  # the whole space is no plane to be off


def test_a_plane_is_judged_by_images_it_does_not_know() -> None:
    """Forty images in 200 dimensions: a plane of 30 shows nearly all of its own images, and little of new ones."""
    rng = np.random.default_rng(0)
    x, new = rng.normal(size=(2, 40, 200)).astype(np.float32)
    rows, found = lost_when_new(x, 30)
    assert rows.tolist() == list(range(40))
    pca = fit_pca(x, 30, normalize=True)
    own, other = float(pca.lost(x).median()), float(pca.lost(new).median())
    assert own < 0.6 * other
    assert abs(float(np.median(found)) - other) < 0.1 * other


def test_new_images_of_the_same_kind_are_taken_in(model: TransferClustering) -> None:
    placed = model.predict(sketches(600, 1))
    assert (placed < 0).mean() < 0.04
    assert (placed[placed >= 0] == model.labels_[:600][placed >= 0]).mean() > 0.99  # kinds come in the same order


def test_strangers_are_none_of_these(model: TransferClustering) -> None:
    rng = np.random.default_rng(3)
    known = sketches(200, 2)
    strangers = {
        "noise": rng.integers(0, 256, (200, 12, 12), np.uint8),
        "shuffled": rng.permuted(known.reshape(200, -1), axis=1).reshape(known.shape),
        "negatives": 255 - known,
    }
    for name, images in strangers.items():
        assert (model.predict(images) < 0).mean() > 0.95, name


def test_both_measures_are_needed(model: TransferClustering) -> None:
    """A stranger in the plane is told by its neighbours only, one off the plane by its distance from it only."""
    voter = model.assigner_.voter
    known = voter.space[:1] + np.float32(1e-3)
    at_home, far_off = np.zeros(1, np.float32), 3 * voter.lost.usual[:1] + voter.lost.spread.max()
    apart = known + 10 * voter.near.usual.max()
    assert voter(known, at_home).sum() > 0.9
    assert voter(apart, at_home).sum() < LIMIT
    assert voter(known, far_off).sum() < LIMIT
