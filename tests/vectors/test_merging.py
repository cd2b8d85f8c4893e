"""Empty clusters that take half of a large one, and fine clusters united into groups."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.cluster import AgglomerativeClustering, KMeans
from sklearn.metrics import adjusted_rand_score

from ilk.errors import ArgumentError, NotEnoughImages
from ilk.vectors import kmeans, merge_centers, split_empty


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


# -- splitting ---------------------------------------------------------------------------------------------------------


def test_halves_lie_on_both_sides_of_the_centre_by_hand() -> None:
    centers = torch.tensor([[1.0, -2.0, 3.0], [7.0, 7.0, 7.0], [5.0, 5.0, 5.0]])
    before = centers.clone()
    found = split_empty(centers, torch.tensor([100.0, 0.0, 1.0]), rng())  # of one row nothing can be split off
    e = 1 / 1024
    assert torch.equal(centers, before)
    torch.testing.assert_close(found[1], torch.tensor([1 * (1 + e), -2 * (1 - e), 3 * (1 + e)]), rtol=1e-7, atol=0)
    torch.testing.assert_close(found[0], torch.tensor([1 * (1 - e), -2 * (1 + e), 3 * (1 - e)]), rtol=1e-7, atol=0)
    assert torch.equal(found[2], centers[2])


def test_large_clusters_are_split_more_often_and_halves_count_half() -> None:
    counts = torch.tensor([301.0, 101.0, 0.0])
    centers = torch.tensor([[1.0], [100.0], [0.0]])
    picked = [float(split_empty(centers, counts, rng(seed))[2]) > 50 for seed in range(400)]
    assert 0.18 < np.mean(picked) < 0.32  # 100 / 400
    many = split_empty(torch.tensor([[1.0], *[[0.0]] * 7]), torch.tensor([8.0, *[0.0] * 7]), rng())
    assert len(many.unique()) >= 3  # halves are halved again; of several empty clusters, all get a place beside it
    assert (many - 1).abs().max() < 0.01


def test_nothing_to_split() -> None:
    centers = torch.eye(3)
    assert split_empty(centers, torch.tensor([1.0, 2.0, 3.0]), rng()) is centers
    assert split_empty(centers, torch.tensor([1.0, 1.0, 0.0]), rng()) is centers


def blobs(n: int = 600, k: int = 6, d: int = 4) -> torch.Tensor:
    g = rng(1)
    return 20 * torch.randn(k, d, generator=g)[torch.randint(0, k, (n,), generator=g)] + torch.randn(n, d, generator=g)


@pytest.mark.parametrize("spherical", [False, True])
def test_kmeans_fills_clusters_that_start_empty_by_splitting(spherical: bool) -> None:
    x = blobs()
    start = torch.cat([x[:2], torch.full((10, 4), 1e4) if not spherical else -x[:1].repeat(10, 1)])
    kept = kmeans(x, 12, init=start, empty="keep", spherical=spherical, generator=rng())
    split = kmeans(x, 12, init=start, empty="split", spherical=spherical, generator=rng())
    assert len(kept.labels.unique()) < len(split.labels.unique()) == 12
    assert split.inertia < kept.inertia
    again = kmeans(x, 12, init=start, empty="split", spherical=spherical, generator=rng())
    assert torch.equal(again.labels, split.labels)


def test_lloyd_is_that_of_scikit_learn_whatever_becomes_of_empty_clusters() -> None:
    x = blobs()
    start = x[torch.randperm(600, generator=rng())[:6]]
    theirs = KMeans(6, init=start.numpy(), n_init=1, max_iter=20, tol=0, algorithm="lloyd").fit(x.numpy())
    for empty in ("farthest", "split", "keep"):
        ours = kmeans(x, 6, init=start, max_iter=20, tol=0.0, empty=empty)
        assert np.array_equal(ours.labels.numpy(), theirs.labels_)
        assert ours.inertia == pytest.approx(theirs.inertia_, rel=1e-5)


def test_random_rows_to_begin_with() -> None:
    x = blobs()
    one, other = (kmeans(x, 50, init="random", max_iter=5, generator=rng(seed)) for seed in (0, 0))
    assert torch.equal(one.labels, other.labels)
    assert not torch.equal(one.labels, kmeans(x, 50, init="random", max_iter=5, generator=rng(1)).labels)
    with pytest.raises(ArgumentError, match="'random'"):
        kmeans(x, 5, init="randm")
    with pytest.raises(ArgumentError, match="split"):
        kmeans(x, 5, empty="splitt")


# -- merging -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("n_groups", [1, 3, 7, 30])
def test_ward_is_that_of_scikit_learn_on_centres_repeated_by_their_sizes(seed: int, n_groups: int) -> None:
    g = rng(seed)
    centers = torch.randn(30, 5, generator=g, dtype=torch.float64)
    sizes = torch.randint(1, 9, (30,), generator=g)
    repeated = centers.repeat_interleave(sizes, 0)
    theirs = AgglomerativeClustering(n_groups, linkage="ward").fit_predict(repeated.numpy())
    ours = merge_centers(centers, sizes, n_groups).repeat_interleave(sizes)
    assert adjusted_rand_score(theirs, ours) == 1


def test_sizes_matter() -> None:
    centers = torch.tensor([[0.0], [1.0], [2.1]])
    assert merge_centers(centers, torch.ones(3), 2).tolist() == [0, 0, 1]
    assert merge_centers(centers, torch.tensor([50.0, 50.0, 1.0]), 2).tolist() == [0, 1, 1]
    assert merge_centers(centers, torch.tensor([50.0, 1.0, 50.0]), 2, how="kmeans").tolist() == [0, 0, 1]


@pytest.mark.parametrize("how", ["ward", "kmeans"])
def test_empty_clusters_follow_the_nearest_full_one(how: str) -> None:
    centers = torch.tensor([[0.0, 0], [9, 9], [8.6, 9], [0.4, 0], [0.3, 0.1]])
    assert merge_centers(centers, torch.tensor([3, 3, 0, 0, 2]), 2, how=how).tolist() == [0, 1, 1, 0, 0]
    with pytest.raises(NotEnoughImages, match="there are 3"):
        merge_centers(centers, torch.tensor([3, 3, 0, 0, 2]), 4, how=how)


def test_what_is_not_allowed_is_named() -> None:
    with pytest.raises(ArgumentError, match="ward or kmeans"):
        merge_centers(torch.eye(3), torch.ones(3), 2, how="single")
    with pytest.raises(ArgumentError, match="3 numbers"):
        merge_centers(torch.eye(3), torch.ones(2), 2)


def test_a_thousand_clusters_take_no_time_and_identical_centres_do_no_harm() -> None:
    found = merge_centers(torch.ones(50, 3), torch.ones(50), 4)
    assert found.unique().tolist() == [0, 1, 2, 3]
    centers = torch.randn(1000, 16, generator=rng())
    assert len(merge_centers(centers, torch.ones(1000), 10).unique()) == 10
