"""Graphs in one piece, self-tuning affinities, eigenvectors: by hand and against scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import connected_components
from sklearn.cluster import SpectralClustering
from sklearn.metrics import adjusted_rand_score

from ilk.vectors import connected, kmeans, neighbors, self_tuning, spectral_embedding


def moons(n: int = 200, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    from sklearn.datasets import make_moons

    x, y = make_moons(n, noise=0.05, random_state=seed)
    return x.astype(np.float32), y


def graph_of(x: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    t = torch.from_numpy(x)
    index, distance = neighbors(t, t, k, exclude_self=True)
    return index.numpy(), distance.numpy()


def test_every_edge_of_either_end_is_kept_and_pieces_are_tied_by_the_shortest() -> None:
    x = np.concatenate([np.random.default_rng(s).normal(10 * s, 1, (20, 2)) for s in range(3)]).astype(np.float32)
    index, distance = graph_of(x, 4)
    graph = connected(x, index, distance)
    assert connected_components(graph)[0] == 1
    dense = graph.toarray()
    assert np.array_equal(dense, dense.T)
    own = np.zeros((60, 60), bool)
    own[np.repeat(np.arange(60), 4), index.ravel()] = True
    own |= own.T
    bridges = np.argwhere(np.triu((dense > 0) & ~own))
    assert len(bridges) == 2
    every = np.linalg.norm(x[:, None] - x, axis=2)
    labels = np.repeat(range(3), 20)
    largest = labels[np.bincount(connected_components(csr_matrix(own))[1]).argmax() * 20]
    for i, j in bridges:
        group = labels[i] if labels[i] != largest else labels[j]
        least = every[np.ix_(labels == group, labels == largest)].min()
        assert dense[i, j] == pytest.approx(least, rel=1e-5)


def test_only_mutual_edges_on_demand_and_twins_stay_tied() -> None:
    x = np.array([[0.0], [0.0], [1.0], [5.0]], np.float32)
    index, distance = graph_of(x, 1)
    either = connected(x, index, distance)
    assert either[0, 1] > 0  # no distance, but an edge
    both = connected(x, index, distance, mutual=True)
    assert both.nnz <= either.nnz + 2
    assert connected_components(both)[0] == 1


def test_affinities_are_scaled_by_both_ends() -> None:
    graph = csr_matrix(np.array([[0.0, 2.0, 0.0], [2.0, 0.0, 3.0], [0.0, 3.0, 0.0]]))
    found = self_tuning(graph, np.array([1.0, 2.0, 4.0])).toarray()
    np.testing.assert_allclose(found[0, 1], np.exp(-4 / 2))
    np.testing.assert_allclose(found[1, 2], np.exp(-9 / 8))
    assert (self_tuning(graph, np.zeros(3)).data > 0).all()


@pytest.mark.parametrize("n", [200, 700], ids=["all eigenvectors", "Lanczos"])
def test_eigenvectors_and_groups_are_those_of_scikit_learn(n: int) -> None:
    x, truth = moons(n)
    index, distance = graph_of(x, 10)
    affinity = self_tuning(connected(x, index, distance), distance[:, 6])
    vectors, values = spectral_embedding(affinity, 2)
    degree = np.asarray(affinity.sum(0)).ravel()
    matrix = affinity.toarray() / np.sqrt(np.outer(degree, degree))
    np.testing.assert_allclose(values, 1 - np.linalg.eigvalsh(matrix)[::-1][:3], atol=1e-6)
    np.testing.assert_allclose(matrix @ vectors, vectors * (1 - values[:2]), atol=1e-4)
    assert values[0] == pytest.approx(0, abs=1e-6)
    rows = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    ours = kmeans(torch.from_numpy(rows), 2, n_init=5).labels.numpy()
    theirs = SpectralClustering(2, affinity="precomputed", random_state=0).fit_predict(affinity)
    assert adjusted_rand_score(theirs, ours) > 0.95
    assert adjusted_rand_score(truth, ours) > 0.95
