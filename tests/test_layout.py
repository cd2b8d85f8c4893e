"""Layouts: shape, determinism, and where images stand that UMAP did not place."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
import warnings

import numpy as np
import pytest
import torch
from sklearn.datasets import make_blobs
from sklearn.decomposition import PCA
from sklearn.metrics import silhouette_score

from ilk import layout
from ilk.errors import MissingDependency
from ilk.layout import map_2d, neighbor_graph, umap_embedding, warming_up


def blobs(n: int, d: int = 5, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    x, truth = make_blobs(n, d, centers=3, random_state=seed)
    return x.astype(np.float32), truth


@pytest.mark.parametrize("n", [1, 2, 3, 11, 12, 13, 16, 80])
def test_every_image_has_a_place(n: int) -> None:
    x = blobs(80)[0][:n]
    placed = map_2d(x)
    assert placed.shape == (n, 2)
    assert placed.dtype == np.float32
    assert np.isfinite(placed).all()


@pytest.mark.parametrize("x", [np.zeros((40, 3), "f4"), np.eye(40, 3, dtype="f4"), np.ones((40, 1), "f4")])
def test_coincident_images_have_a_place_too(x: np.ndarray) -> None:
    assert np.isfinite(map_2d(x)).all()


def test_groups_stay_apart() -> None:
    x, truth = blobs(120)
    assert silhouette_score(map_2d(x), truth) > 0.5
    assert silhouette_score(map_2d(np.random.default_rng(0).permutation(x)), truth) < 0.1


@pytest.mark.parametrize("limit", [10_000, 60], ids=["all", "anchors"])
def test_same_seed_same_map_and_the_rows_are_not_changed(limit: int) -> None:
    x = blobs(120)[0]
    before = x.copy()
    x.flags.writeable = False
    assert np.array_equal(map_2d(x, seed=1, limit=limit), map_2d(x, seed=1, limit=limit))
    assert not np.array_equal(map_2d(x, seed=1, limit=limit), map_2d(x, seed=2, limit=limit))
    assert np.array_equal(x, before)


@pytest.mark.parametrize("dense", [0, 512])
@pytest.mark.parametrize("copies", [1, 4], ids=["distinct", "coinciding"])
def test_layout_is_the_same_whatever_the_global_random_numbers(
    copies: int, dense: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(layout, "DENSE", dense)
    x = np.repeat(np.random.default_rng(0).normal(size=(160, 5)).astype(np.float32), copies, axis=0)
    graph = neighbor_graph(torch.from_numpy(x), 15)
    found = []
    for state in (1, 2):
        np.random.seed(state)  # noqa: NPY002
        found.append(umap_embedding(x, graph, n_components=3, epochs=20))
    assert np.array_equal(*found)


def start_of(x: np.ndarray, n_components: int) -> np.ndarray:
    import umap

    graph, random = neighbor_graph(torch.from_numpy(x), 8), np.random.RandomState(0)
    edges = umap.umap_.fuzzy_simplicial_set(
        x, 8, random, "euclidean", knn_indices=graph.index.astype(np.int32), knn_dists=graph.distance
    )[0]
    return layout._start(x, edges, n_components, 0, None)


def test_spectral_start_is_the_subspace_of_a_dense_decomposition(monkeypatch: pytest.MonkeyPatch) -> None:
    x = np.random.default_rng(0).normal(size=(200, 3)).astype(np.float32)
    dense = start_of(x, 4)
    monkeypatch.setattr(layout, "DENSE", 0)
    found = start_of(x, 4)
    overlap = np.linalg.svd(np.linalg.qr(dense)[0].T @ np.linalg.qr(found)[0])[1]
    assert overlap.min() > 0.99


def test_pieces_of_a_graph_start_where_the_images_are() -> None:
    x = np.random.default_rng(0).normal(size=(80, 3)).astype(np.float32)
    x[40:, 0] += 1000
    start = start_of(x, 2)
    assert np.abs(start[:40].mean(0) - start[40:].mean(0)).max() == pytest.approx(20, rel=0.01)


def test_given_graph_gives_the_same_map() -> None:
    x = blobs(60)[0]
    assert np.array_equal(map_2d(x), map_2d(x, graph=neighbor_graph(torch.from_numpy(x), 15)))


def test_few_rows_are_laid_out_by_principal_components() -> None:
    x = blobs(11)[0]
    np.testing.assert_allclose(np.abs(map_2d(x)), np.abs(PCA(2).fit_transform(x)), rtol=1e-3, atol=1e-3)


def test_rows_beyond_the_limit_stand_at_the_mean_of_their_neighbours() -> None:
    x, truth = blobs(200)
    placed = map_2d(x, limit=60, seed=4)
    chosen = np.sort(np.random.default_rng(4).choice(200, 60, replace=False))
    anchors = x[chosen]
    graph = neighbor_graph(torch.from_numpy(anchors), 15)
    alone = umap_embedding(anchors, graph, n_components=2, min_dist=0.1, epochs=200, seed=4)
    assert np.array_equal(placed[chosen], alone)
    for row in np.setdiff1d(np.arange(200), chosen):
        away = np.array([np.sqrt(((x[row] - anchor) ** 2).sum()) for anchor in anchors])
        near = np.argsort(away)[:5]
        expected = sum(alone[j] / away[j] for j in near) / sum(1 / away[j] for j in near)
        np.testing.assert_allclose(placed[row], expected, rtol=1e-3, atol=1e-3)
    assert silhouette_score(placed, truth) > 0.5


def test_a_row_on_an_anchor_stands_where_the_anchor_does() -> None:
    x = np.repeat(blobs(40)[0], 2, 0)
    placed = map_2d(x, limit=60, seed=0)
    chosen = np.random.default_rng(0).choice(80, 60, replace=False)
    pairs = [row for row in range(0, 80, 2) if (row in chosen) != (row + 1 in chosen)]
    assert pairs
    np.testing.assert_allclose(placed[pairs], placed[[row + 1 for row in pairs]], atol=1e-2)


@pytest.mark.parametrize("components", [2, 10])
def test_embedding_of_a_few_rows(components: int) -> None:
    x = blobs(12)[0]
    embedding = umap_embedding(x, neighbor_graph(torch.from_numpy(x), 15), n_components=components)
    assert embedding.shape == (12, components)
    assert np.isfinite(embedding).all()


_LIMITED = """
import numpy as np, torch
from ilk.layout import map_2d
map_2d(np.random.default_rng(0).normal(size=(40, 5)).astype(np.float32))
print(torch.get_num_threads())
"""


def test_a_limit_on_threads_outlives_umap() -> None:
    """In a process of its own: numba meddles only once in each."""
    limited = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "-c", _LIMITED], capture_output=True, text=True, env=limited)
    assert done.stdout.strip() == "1", done.stderr[-500:]


def test_umap_that_does_not_load_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "umap", None)
    with pytest.raises(MissingDependency, match="reducer=pca"):
        map_2d(blobs(40)[0])


def test_warming_up_ends_with_its_block_and_leaves_the_filters(monkeypatch: pytest.MonkeyPatch) -> None:
    def meddle() -> None:
        warnings.simplefilter("ignore")
        time.sleep(0.2)

    monkeypatch.setattr(layout, "_compile", meddle)
    before = list(warnings.filters)
    with warming_up(wanted=False) as start:
        start()
        assert not _warming()
    with warming_up() as start:
        assert not _warming()
        start()
        start()
        assert _warming()
    assert not _warming()
    assert list(warnings.filters) == before


def test_warming_up_never_raises(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "umap", None)
    with warming_up() as start:
        start()


def _warming() -> bool:
    return any(thread.name == "ilk-umap" for thread in threading.enumerate())
