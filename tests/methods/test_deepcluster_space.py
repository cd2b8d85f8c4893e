"""The clustering phase: components and whitening against NumPy in float64, clusters, groups and their probabilities."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ilk import compute
from ilk.errors import NotEnoughImages
from ilk.methods.deepcluster.settings import PRESETS
from ilk.methods.deepcluster.space import FineToCoarse, cluster, fit_groups, fit_space, n_fine_of

SETTINGS = PRESETS["tiny"]


def features(n: int = 300, d: int = 20, kind: type = np.float16) -> np.ndarray:
    rng = np.random.default_rng(0)
    return (3 + rng.normal(size=(n, d)) @ rng.normal(size=(d, d))).astype(kind)


@pytest.mark.parametrize(("n", "d", "components"), [(300, 20, 6), (300, 20, 20), (15, 40, 8)])
def test_whitened_rows_are_those_of_numpy_in_float64(n: int, d: int, components: int) -> None:
    x = features(n, d)
    centred = x.astype(np.float64) - x.astype(np.float64).mean(0)
    _, strength, turn = np.linalg.svd(centred, full_matrices=False)
    theirs = centred @ turn[:components].T / strength[:components] * np.sqrt(n - 1)
    np.testing.assert_allclose(theirs.std(0, ddof=1), 1)
    theirs /= np.linalg.norm(theirs, axis=1, keepdims=True)
    ours = fit_space(x, components).rows(x).numpy()
    signs = np.sign((ours * theirs).sum(0))
    np.testing.assert_allclose(ours, theirs * signs, atol=2e-3)


def test_no_components_means_length_1_only_and_too_many_are_cut() -> None:
    x = features()
    rows = fit_space(x, 0).rows(x)
    np.testing.assert_allclose(rows, x / np.linalg.norm(x.astype(np.float32), axis=1, keepdims=True), atol=1e-3)
    assert fit_space(x, 500).width == 20
    assert fit_space(x[:4], 500).width == 3
    assert fit_space(x[:1], 5).width is None


def test_constant_features_are_rows_of_zeros_and_not_infinite() -> None:
    x = np.ones((10, 5), np.float16)
    rows = fit_space(x, 3).rows(x)
    assert torch.isfinite(rows).all()
    with pytest.raises(NotEnoughImages, match="1 kind"):
        fit_groups(x, SETTINGS.replace(pca_dim=3, kmeans_iter=5), 4, 2, compute.generator(0))


def test_no_row_is_left_out_of_kmeans() -> None:
    """All 2,000 rows move the centres: 500 rows a cluster, more than faiss would look at by default."""
    x = torch.randn(2000, 3, generator=compute.generator(0))
    fine = cluster(x, 4, 300, compute.generator(1))
    means = torch.stack([x[fine.labels == c].mean(0) for c in range(4)])
    torch.testing.assert_close(fine.centers, means, atol=0.02, rtol=0)
    own = (x - fine.centers[fine.labels]).square().sum(1).mean()
    assert fine.objective == pytest.approx(float(own), rel=1e-5)


def test_fewer_distinct_rows_than_clusters_give_fewer_clusters() -> None:
    x = torch.eye(3).repeat(10, 1)
    assert len(cluster(x, 8, 5, compute.generator(0)).centers) == 3


@pytest.mark.parametrize("merge", ["ward", "kmeans"])
def test_probabilities_say_the_group_of_the_nearest_fine_cluster(merge: str) -> None:
    x = features()
    settings = SETTINGS.replace(pca_dim=5, merge=merge)
    groups = fit_groups(x, settings, 30, 4, compute.generator(0))
    proba = groups(x)
    assert proba.shape == (300, 4)
    np.testing.assert_allclose(proba.sum(1), 1, rtol=1e-5)
    assert np.array_equal(proba.argmax(1), groups.group[groups.fine(x)].numpy())
    rows = groups.space.rows(x)
    squared = torch.cdist(rows.double(), groups.centers.double()).square()
    nearest = torch.stack([squared[:, groups.group == g].amin(1) for g in range(4)], 1)
    by_hand = (-nearest / groups.spread).softmax(1)
    np.testing.assert_allclose(proba, by_hand, atol=1e-4)
    again = FineToCoarse.of(groups.state())
    assert np.array_equal(again(x), proba)
    assert np.array_equal(groups.on_cpu()(x), proba)
    assert groups.sizes.sum() == 300


def test_how_many_fine_clusters() -> None:
    assert n_fine_of(None, 2, 100_000) == 100
    assert n_fine_of(None, 50, 100_000) == 500
    assert n_fine_of(None, 50, 60) == 50
    assert n_fine_of(10_000, 10, 1_000_000) == 10_000
