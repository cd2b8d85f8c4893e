import numpy as np
import pytest
import torch
from sklearn.neighbors import NearestNeighbors

from ilk.errors import ArgumentError, DataError, NotEnoughImages
from ilk.vectors import NeighborIndex, neighbors


def normal(n, d, seed=0):
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed))


def by_loops(queries, reference, k, skip_own):
    """Nearest first, equal distances by index, in float64."""
    found = []
    for i, query in enumerate(queries.double()):
        distance = [float(((query - row) ** 2).sum() ** 0.5) for row in reference.double()]
        order = sorted((value, j) for j, value in enumerate(distance) if not (skip_own and i == j))
        found.append([j for _, j in order[:k]])
    return found


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
@pytest.mark.parametrize("n", [30, 5_000])  # below and above the two-round selection
def test_against_scikit_learn(metric, n):
    queries, reference = normal(40, 12) + 0.3, normal(n, 12, seed=1) + 0.3
    index, distance = neighbors(queries, reference, 7, metric=metric)
    oracle = NearestNeighbors(n_neighbors=7, metric=metric, algorithm="brute").fit(reference.double().numpy())
    theirs_distance, theirs = oracle.kneighbors(queries.double().numpy())
    assert (index.numpy() == theirs).all()
    np.testing.assert_allclose(distance, theirs_distance, rtol=1e-4, atol=1e-6)
    assert index.dtype == torch.int64
    assert distance.dtype == torch.float32


@pytest.mark.parametrize("exclude_self", [False, True])
def test_against_loops_with_many_equal_distances(exclude_self):
    x = torch.randint(0, 4, (60, 2), generator=torch.Generator().manual_seed(0)).float()
    index, _ = neighbors(x, x, 40, exclude_self=exclude_self)
    distances = torch.cdist(x, x, compute_mode="donot_use_mm_for_euclid_dist")
    for i, wanted in enumerate(by_loops(x, x, 40, exclude_self)):
        assert distances[i, index[i]].tolist() == distances[i, wanted].tolist()
        assert len(set(index[i].tolist())) == 40
    grid = torch.arange(10.0)[:, None].repeat(1, 3)
    assert neighbors(grid, grid, 5, exclude_self=exclude_self)[0].tolist() == by_loops(grid, grid, 5, exclude_self)


def test_a_row_is_not_its_own_neighbor_but_its_duplicate_is():
    x = normal(3_000, 20) * 5 + 40
    x[2_500] = x[3]
    index, distance = neighbors(x, x, 4, exclude_self=True)
    assert not (index == torch.arange(3_000)[:, None]).any()
    assert index[3, 0] == 2_500
    assert index[2_500, 0] == 3
    assert distance[3, 0] == 0.0
    assert distance[2_500, 0] == 0.0
    both, distance = neighbors(x, x, 1)
    assert (distance == 0).all()
    assert (both[:, 0] == torch.where(torch.arange(3_000) == 2_500, 3, torch.arange(3_000))).all()


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
def test_all_rows_equal(metric):
    x = torch.full((200, 3), 0.1)
    index, distance = neighbors(x, x, 5, exclude_self=True, metric=metric)
    assert (distance == 0).all()
    assert not (index == torch.arange(200)[:, None]).any()
    assert all(len(set(row)) == 5 for row in index.tolist())
    assert torch.equal(index, neighbors(x, x, 5, exclude_self=True, metric=metric)[0])


@pytest.mark.parametrize("exclude_self", [False, True])
@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
def test_chunks_do_not_change_the_result(metric, exclude_self):
    x = normal(700, 6)
    index, distance = neighbors(x, x, 9, metric=metric, exclude_self=exclude_self)
    for chunk_bytes in (2_000, 20_000, 300_000, 2**30):
        part = neighbors(x, x, 9, metric=metric, exclude_self=exclude_self, chunk_bytes=chunk_bytes)
        assert torch.equal(index, part[0])
        assert torch.equal(distance, part[1])


def test_permutation_and_scale():
    x, queries = normal(900, 6), normal(50, 6, seed=2)
    index, distance = neighbors(queries, x, 5)
    order = torch.randperm(900, generator=torch.Generator().manual_seed(0))
    moved, same = neighbors(queries, x[order], 5)
    assert torch.equal(order[moved], index)
    assert torch.equal(same, distance)
    assert torch.equal(neighbors(queries * 4, x * 4, 5)[1], distance * 4)
    scaled = x * torch.linspace(0.5, 9, 900)[:, None]
    assert torch.equal(neighbors(queries, x, 5, metric="cosine")[0], neighbors(queries, scaled, 5, metric="cosine")[0])


def test_all_rows_asked_for():
    x = normal(40, 3)
    index, _ = neighbors(x, x, 40)
    assert (index.sort(1)[0] == torch.arange(40)).all()
    index, _ = neighbors(x, x, 39, exclude_self=True)
    assert (index != torch.arange(40)[:, None]).all()


def test_cosine_of_rows_of_zeros_is_one():
    x = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 0.0], [-1.0, 0.0], [3.0, 0.1]])
    index, distance = neighbors(x, x, 4, metric="cosine", exclude_self=True)
    assert distance[0].tolist() == [1.0] * 4
    assert index[1].tolist() == [4, 0, 2, 3]
    assert distance[1, 1:].tolist() == [1.0, 1.0, 2.0]


def test_memmap_of_halves(tmp_path):
    x = normal(500, 8).half()
    np.save(tmp_path / "x.npy", x.numpy())
    memmap = np.load(tmp_path / "x.npy", mmap_mode="r")
    ours = neighbors(memmap, memmap, 3, exclude_self=True)
    theirs = neighbors(x.float(), x.float(), 3)
    assert torch.equal(ours[0], neighbors(*[x.float()] * 2, 3, exclude_self=True)[0])
    assert theirs[0].shape == (500, 3)


def test_refusals():
    x = normal(10, 3)
    with pytest.raises(ArgumentError, match="metric='manhattan'"):
        neighbors(x, x, 2, metric="manhattan")
    with pytest.raises(ArgumentError, match="same object"):
        neighbors(x, x.clone(), 2, exclude_self=True)
    with pytest.raises(ArgumentError, match="n_neighbors=0"):
        neighbors(x, x, 0)
    with pytest.raises(ArgumentError, match="3 wide on cpu, reference is 2 wide"):
        neighbors(x, x[:, :2], 2)
    with pytest.raises(NotEnoughImages, match="n_neighbors=10 needs at least 11 rows"):
        neighbors(x, x, 10, exclude_self=True)
    with pytest.raises(NotEnoughImages, match="reference has 10"):
        neighbors(x, x, 11)
    bad = x.clone()
    bad[4, 0] = torch.nan
    with pytest.raises(DataError, match="queries holds NaN or infinite values, first in row 4"):
        neighbors(bad, x, 2)
    with pytest.raises(DataError, match="reference holds NaN"):
        neighbors(x, bad, 2)


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
@pytest.mark.parametrize("n", [3, 30, 5_000, 70_000])  # one block, and two
def test_an_index_finds_the_same_to_the_bit(metric, n):
    reference, queries = normal(n, 12, seed=1) + 0.3, normal(40, 12) + 0.3
    index = NeighborIndex(reference, metric=metric)
    assert len(index) == n
    truth = neighbors(queries, reference, 3, metric=metric)
    for one, other in zip(index(queries, 3), truth, strict=True):
        assert torch.equal(one, other)
    for i in range(5):  # whatever the company
        alone = index(queries[i : i + 1], 3)
        assert all(torch.equal(one[0], other[i]) for one, other in zip(alone, truth, strict=True))


def test_an_index_refuses_what_a_search_refuses():
    with pytest.raises(ArgumentError, match="metric='manhattan'"):
        NeighborIndex(normal(5, 2), metric="manhattan")
    with pytest.raises(DataError, match="reference holds NaN"):
        NeighborIndex(torch.tensor([[1.0], [torch.nan]]))
    index = NeighborIndex(normal(5, 2))
    with pytest.raises(NotEnoughImages, match="reference has 5"):
        index(normal(1, 2), 6)
    with pytest.raises(DataError, match="queries holds NaN"):
        index(torch.full((1, 2), torch.nan), 1)
    with pytest.raises(ArgumentError, match="3 wide"):
        index(normal(1, 3), 1)
