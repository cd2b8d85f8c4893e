"""Communities of a graph: partitions of high modularity, each in one piece."""

from __future__ import annotations

import networkx as nx
import numpy as np
import pytest
import torch
from scipy.sparse import csr_matrix, diags
from scipy.sparse.csgraph import connected_components
from sklearn.datasets import load_digits
from sklearn.metrics import adjusted_rand_score

from ilk.vectors import communities, connected, modularity, neighbors, self_tuning


def cliques(n: int, size: int) -> nx.Graph:
    """Cliques in a ring, each tied to the next by one edge."""
    return nx.ring_of_cliques(n, size)


def matrix(graph: nx.Graph) -> csr_matrix:
    return csr_matrix(nx.to_scipy_sparse_array(graph, dtype=float))


def sets(labels: np.ndarray) -> list[set[int]]:
    return [set(np.flatnonzero(labels == own).tolist()) for own in np.unique(labels)]


def digits() -> csr_matrix:
    x = torch.from_numpy(load_digits().data.astype(np.float32))
    index, distance = (found.numpy() for found in neighbors(x, x, 15, exclude_self=True))
    return self_tuning(connected(x.numpy(), index, distance), distance[:, 6])


def test_modularity_is_that_of_networkx() -> None:
    graph = nx.karate_club_graph()  # with weights
    rng = np.random.default_rng(0)
    for labels in (rng.integers(0, 4, 34), np.arange(34), np.zeros(34, int)):
        for resolution in (1.0, 0.3, 2.5):
            theirs = nx.community.modularity(graph, sets(labels), resolution=resolution)
            assert modularity(matrix(graph), labels, resolution=resolution) == pytest.approx(theirs, abs=1e-12)


def test_weight_on_the_diagonal_is_inside() -> None:
    """An aggregated graph has the modularity of the graph it stands for."""
    graph, labels = matrix(cliques(6, 5)), np.repeat([0, 0, 1, 1, 2, 2], 5)
    member = csr_matrix((np.ones(30), np.repeat(np.arange(6), 5), np.arange(31)))
    small = (member.T @ graph @ member).tocsr()
    assert small.diagonal().min() > 0
    assert modularity(small, np.array([0, 0, 1, 1, 2, 2])) == pytest.approx(modularity(graph, labels))
    assert communities(small).tolist() == list(range(6))


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("n", "size"), [(2, 5), (4, 6), (12, 8)])
def test_cliques_are_communities(n: int, size: int, seed: int) -> None:
    assert communities(matrix(cliques(n, size)), seed=seed).tolist() == np.repeat(np.arange(n), size).tolist()


@pytest.mark.parametrize("seed", range(3))
def test_planted_groups_are_found(seed: int) -> None:
    graph = nx.planted_partition_graph(6, 40, 0.4, 0.02, seed=seed)
    order = np.random.default_rng(seed).permutation(240)
    shuffled = matrix(graph)[order][:, order]
    assert adjusted_rand_score(np.repeat(np.arange(6), 40)[order], communities(shuffled, seed=seed)) == 1.0


@pytest.mark.parametrize("seed", range(3))
def test_no_worse_than_networkx_on_a_neighbour_graph(seed: int) -> None:
    graph = digits()
    ours = communities(graph, seed=seed)
    theirs = nx.community.louvain_communities(nx.from_scipy_sparse_array(graph), seed=seed)
    told = np.empty(len(ours), int)
    for number, nodes in enumerate(theirs):
        told[list(nodes)] = number
    assert modularity(graph, ours) > modularity(graph, told) - 0.004
    assert abs(len(np.unique(ours)) - len(theirs)) <= 2
    for own in range(ours.max() + 1):
        inside = np.flatnonzero(ours == own)
        assert connected_components(graph[inside][:, inside], return_labels=False) == 1


def test_a_higher_resolution_gives_more() -> None:
    counts = [communities(digits(), resolution=resolution).max() + 1 for resolution in (0.1, 1.0, 10.0)]
    assert counts[0] < counts[1] < counts[2]


def test_units_do_not_matter_and_equal_seeds_are_equal() -> None:
    graph = digits()
    once = communities(graph, seed=4)
    assert np.array_equal(once, communities(graph, seed=4))
    assert np.array_equal(once, communities(1024 * graph, seed=4))  # a power of two: not even rounding differs
    ids, first = np.unique(once, return_index=True)
    assert ids.tolist() == list(range(len(ids)))
    assert (np.diff(first) > 0).all()


def test_odd_graphs() -> None:
    assert communities(csr_matrix((4, 4))).tolist() == [0, 1, 2, 3]
    assert modularity(csr_matrix((4, 4)), np.zeros(4, int)) == 0
    assert communities(csr_matrix(np.ones((1, 1)))).tolist() == [0]
    alone = nx.disjoint_union(cliques(3, 4), nx.empty_graph(2))  # two nodes without edges stay alone
    assert communities(matrix(alone)).tolist() == [*np.repeat(range(3), 4), 3, 4]
    pair = csr_matrix(np.array([[0, 1.0], [1.0, 0]]))
    assert communities(pair).tolist() == [0, 0]
    assert communities(pair + diags([50.0, 50.0])).tolist() == [0, 1]
    path = matrix(nx.path_graph(400))
    assert modularity(path, communities(path)) > 0.88
