import warnings

import numpy as np
import pytest
import torch
from sklearn.cluster import KMeans
from sklearn.datasets import load_digits, make_blobs
from sklearn.metrics import adjusted_rand_score

from ilk import vectors
from ilk.errors import ArgumentError, DataError, NotEnoughImages
from ilk.vectors import kmeans, l2_normalize, lloyd, starts


def blobs(n=600, d=5, k=6, seed=0, spread=1.0):
    x, truth = make_blobs(n, d, centers=k, cluster_std=spread, random_state=seed)
    return torch.from_numpy(x).float(), truth


def by_loops(x, centers):
    """Labels and inertia of fixed centres, in float64, one row at a time."""
    labels, inertia = [], 0.0
    for row in x.double():
        distances = [float(((row - center) ** 2).sum()) for center in centers.double()]
        labels.append(int(np.argmin(distances)))
        inertia += min(distances)
    return labels, inertia


def test_lloyd_follows_scikit_learn_step_by_step():
    x, _ = blobs(spread=4.0)
    start = x[:6].clone()
    for steps in (1, 2, 5, 300):
        ours = kmeans(x, 6, init=start, max_iter=steps, tol=0)
        theirs = KMeans(6, init=start.numpy(), n_init=1, max_iter=steps, tol=0, algorithm="lloyd")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # "did not converge" is the point here
            theirs.fit(x.numpy())
        np.testing.assert_allclose(ours.centers, theirs.cluster_centers_, rtol=1e-4, atol=1e-4)
        assert (ours.labels.numpy() == theirs.labels_).all()
        assert ours.inertia == pytest.approx(theirs.inertia_, rel=1e-5)


def test_labels_and_inertia_are_those_of_the_returned_centers():
    x, _ = blobs(200, spread=5.0)
    for max_iter in (1, 300):
        result = kmeans(x, 4, max_iter=max_iter)
        labels, inertia = by_loops(x, result.centers)
        assert result.labels.tolist() == labels
        assert result.inertia == pytest.approx(inertia, rel=1e-6)
        assert result.labels.dtype == torch.int64
        assert 1 <= result.n_iter <= max_iter


@pytest.mark.parametrize("k", [10, 40])
def test_inertia_within_one_percent_of_scikit_learn(k):
    x = load_digits().data[:800].astype(np.float32)
    ours = kmeans(torch.from_numpy(x), k, n_init=3).inertia
    theirs = KMeans(k, n_init=3, random_state=0).fit(x).inertia_
    assert ours < 1.01 * theirs


def test_greedy_plus_plus_finds_all_of_many_blobs_at_once():
    # one start each: without D² sampling, or without the greedy trials, some blobs get two centres
    hits = 0
    for seed in range(10):
        x, truth = blobs(900, d=8, k=30, seed=seed, spread=0.3)
        result = kmeans(x, 30, generator=torch.Generator().manual_seed(seed))
        hits += adjusted_rand_score(truth, result.labels) > 0.99
    assert hits >= 9


def test_more_starts_are_never_worse_and_the_best_is_kept():
    x = torch.from_numpy(load_digits().data).float()[:500]
    one = kmeans(x, 20, n_init=1).inertia
    assert kmeans(x, 20, n_init=6).inertia < one


def test_same_seed_same_bits_and_global_generators_untouched():
    x, _ = blobs(spread=5.0)
    state = torch.random.get_rng_state()
    first, second = kmeans(x, 7), kmeans(x, 7)
    assert torch.equal(first.labels, second.labels)
    assert torch.equal(first.centers, second.centers)
    assert torch.equal(state, torch.random.get_rng_state())
    other = kmeans(x, 7, generator=torch.Generator().manual_seed(5))
    assert not torch.equal(first.centers, other.centers)


@pytest.mark.parametrize("spherical", [False, True])
def test_chunks_do_not_change_the_result(spherical):
    x, _ = blobs(500, spread=4.0)
    whole = kmeans(x, 6, spherical=spherical, chunk_bytes=2**28)
    for chunk_bytes in (200, 1_000, 30_000):
        part = kmeans(x, 6, spherical=spherical, chunk_bytes=chunk_bytes)
        assert torch.equal(whole.labels, part.labels)
        torch.testing.assert_close(whole.centers, part.centers, rtol=1e-4, atol=1e-4)


def test_input_kinds_give_the_same_groups(tmp_path):
    x, _ = blobs(300)
    half = x.numpy().astype(np.float16)
    np.save(tmp_path / "x.npy", half)
    memmap = np.load(tmp_path / "x.npy", mmap_mode="r")
    reference = kmeans(torch.from_numpy(half.astype(np.float32)), 6)
    for kind in (memmap, half, torch.from_numpy(half), half.astype(np.float64), np.asfortranarray(half)):
        result = kmeans(kind, 6)
        assert torch.equal(result.labels, reference.labels)
    assert kmeans(half.astype(np.float64), 6).centers.dtype == torch.float64


def test_permutation_shift_and_scale():
    x, _ = blobs(400, spread=3.0)
    x = x.double()
    start = x[:6].clone()
    base = kmeans(x, 6, init=start, tol=0)
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(0))
    assert torch.equal(kmeans(x[order], 6, init=start, tol=0).labels, base.labels[order])
    moved = kmeans(x * 8 + 3, 6, init=start * 8 + 3, tol=0)
    assert torch.equal(moved.labels, base.labels)
    assert moved.inertia == pytest.approx(64 * base.inertia, rel=1e-9)


def test_far_from_the_origin_in_float32():
    # ‖x‖² − 2·x·c + ‖c‖² without the shift is pure rounding here
    x, truth = blobs(300, d=4, k=3, spread=0.5)
    result = kmeans(x + 3_000.0, 3)
    assert adjusted_rand_score(truth, result.labels) == 1.0
    assert result.inertia == pytest.approx(kmeans(x, 3).inertia, rel=1e-3)


def test_spherical_is_kmeans_on_the_sphere():
    x = torch.randn(400, 6, generator=torch.Generator().manual_seed(1)) + 0.5
    start = x[:5].clone()
    result = kmeans(x, 5, spherical=True, init=start, tol=0)
    torch.testing.assert_close(result.centers.norm(dim=1), torch.ones(5))
    unit = l2_normalize(x)
    assert torch.equal(result.labels, (unit @ result.centers.T).argmax(1))
    assert result.inertia == pytest.approx(float((2 - 2 * (unit @ result.centers.T).amax(1)).sum()), rel=1e-4)
    scaled = x * torch.linspace(0.1, 50, len(x))[:, None]
    assert torch.equal(kmeans(scaled, 5, spherical=True, init=start, tol=0).labels, result.labels)
    for number in range(5):  # each centre is the direction of the sum of its members
        mean = unit[result.labels == number].sum(0)
        torch.testing.assert_close(mean / mean.norm(), result.centers[number], rtol=1e-4, atol=1e-5)


def test_spherical_rows_of_zeros_join_and_do_not_disturb():
    x = torch.tensor([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0], [0.1, 0.9], [0.0, 0.0], [0.0, 0.0]])
    result = kmeans(x, 2, spherical=True)
    assert result.labels[0] == result.labels[1] != result.labels[2] == result.labels[3]
    assert torch.isfinite(result.centers).all()
    torch.testing.assert_close(result.centers.norm(dim=1), torch.ones(2))


def test_weights_are_repeated_rows_and_weight_zero_moves_nothing():
    x, _ = blobs(150, spread=4.0)
    x = x.double()
    times = torch.arange(150) % 4
    start = x[1:5].clone()
    weighted = kmeans(x, 4, init=start, sample_weight=times, tol=0)
    repeated = kmeans(x.repeat_interleave(times, 0), 4, init=start, tol=0)
    torch.testing.assert_close(weighted.centers, repeated.centers)
    assert weighted.inertia == pytest.approx(repeated.inertia)
    assert torch.equal(weighted.labels.repeat_interleave(times), repeated.labels)
    with pytest.raises(NotEnoughImages, match="distinct"):
        kmeans(x[:4], 3, sample_weight=torch.tensor([1.0, 0.0, 0.0, 1.0]))


@pytest.mark.parametrize("spherical", [False, True])
@pytest.mark.parametrize("max_iter", [1, 300])
def test_empty_clusters_are_seeded_again(spherical, max_iter):
    x, truth = blobs(300, k=5, spread=0.2)
    start = torch.cat([x[:1], torch.full((4, 5), 1e3) * torch.tensor([[1.0], [2.0], [3.0], [4.0]])])
    if spherical:
        start = x[:1].repeat(5, 1)
    result = kmeans(x, 5, init=start, max_iter=max_iter, spherical=spherical)
    assert torch.bincount(result.labels, minlength=5).min() > 0
    if max_iter > 1 and not spherical:
        assert adjusted_rand_score(truth, result.labels) == 1.0  # the farthest rows lie in five different blobs
    again = kmeans(x, 5, init=start, max_iter=max_iter, spherical=spherical)
    assert torch.equal(result.labels, again.labels)


def test_many_empty_clusters_go_to_different_rows_at_once():
    x, truth = blobs(300, k=30, spread=0.01, d=8)
    result = kmeans(x, 30, init=x[:1].repeat(30, 1), max_iter=1)
    assert adjusted_rand_score(truth, result.labels) == 1.0


def test_one_cluster_and_as_many_as_rows():
    x, _ = blobs(50)
    one = kmeans(x, 1)
    torch.testing.assert_close(one.centers[0], x.mean(0), rtol=1e-5, atol=1e-5)
    assert one.labels.unique().tolist() == [0]
    each = kmeans(x, 50)
    assert sorted(each.labels.tolist()) == list(range(50))
    assert each.inertia == pytest.approx(0.0, abs=1e-8)


def test_duplicates():
    x = torch.tensor([[0.1, 0.2]] * 30 + [[0.3, 0.4]] * 30 + [[-5.0, 0.0]])
    result = kmeans(x, 3)
    assert sorted(torch.bincount(result.labels).tolist()) == [1, 30, 30]
    assert result.inertia == pytest.approx(0.0, abs=1e-9)
    with pytest.raises(NotEnoughImages, match=r"4 distinct rows, x has 3"):
        kmeans(x, 4)
    assert kmeans(torch.zeros(9, 2), 1).inertia == 0.0
    with pytest.raises(NotEnoughImages, match="2 distinct rows, x has 1"):
        kmeans(torch.tensor([[0.0], [-0.0]]), 2)
    with pytest.raises(NotEnoughImages, match="distinct"):
        kmeans(torch.tensor([[1.0, 2.0], [2.0, 4.0]]), 2, spherical=True)


def test_a_distinct_row_among_very_many_equal_ones_is_found():
    x = torch.full((5_000, 3), 1 / 3)
    x[3_999] += 1e-3
    assert torch.bincount(kmeans(x, 2).labels).min() == 1


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"n_clusters": 0}, ArgumentError, "n_clusters=0"),
        ({"n_clusters": 2.0}, ArgumentError, "n_clusters=2.0"),
        ({"n_clusters": True}, ArgumentError, "n_clusters=True"),
        ({"n_clusters": 9}, NotEnoughImages, "n_clusters=9 needs at least 9 rows, x has 8"),
        ({"n_init": 0}, ArgumentError, "n_init=0"),
        ({"max_iter": 0}, ArgumentError, "max_iter=0"),
        ({"tol": -1.0}, ArgumentError, r"tol=-1\.0"),
        ({"tol": float("nan")}, ArgumentError, "tol=nan"),
        ({"chunk_bytes": 0}, ArgumentError, "chunk_bytes=0"),
        ({"init": "randm"}, ArgumentError, "init='randm'"),
        ({"init": torch.zeros(3, 2)}, ArgumentError, "init must have the shape"),
        ({"init": torch.full((2, 2), torch.nan)}, DataError, "init holds NaN"),
        ({"sample_weight": torch.ones(3)}, ArgumentError, "sample_weight must have the shape"),
        ({"sample_weight": -torch.ones(8)}, ArgumentError, "negative"),
        ({"sample_weight": torch.full((8,), torch.inf)}, DataError, "sample_weight holds NaN"),
        ({"x": torch.zeros(8)}, ArgumentError, r"shape \(n, d\)"),
        ({"x": torch.zeros(8, 2, dtype=torch.int64)}, ArgumentError, "float"),
        ({"x": [[1.0]]}, ArgumentError, "float"),
        ({"x": torch.zeros(0, 2)}, DataError, "empty"),
        ({"x": torch.full((8, 2), 3e38) * torch.tensor([1.0, -1.0]).repeat(4)[:, None]}, DataError, "too large"),
    ],
)
def test_refusals(arguments, error, words):
    x = torch.arange(16.0).view(8, 2)
    with pytest.raises(error, match=words):
        kmeans(**{"x": x, "n_clusters": 2, **arguments})


@pytest.mark.parametrize("bad", [torch.nan, torch.inf, -torch.inf])
def test_values_that_are_not_finite_are_named_by_row(bad):
    x, _ = blobs(100)
    x[37, 2] = bad
    with pytest.raises(DataError, match="first in row 37"):
        kmeans(x, 3)


# -- several starts in lock-step ---------------------------------------------------------------------------------------


def alone(monkeypatch):
    """Let every start go by itself."""
    monkeypatch.setattr(lloyd, "_COLUMNS", 1)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"spherical": True},
        {"init": "random"},
        {"empty": "keep"},
        {"empty": "split"},
        {"sample_weight": torch.arange(600) % 3},
        {"max_iter": 2},
        {"chunk_bytes": 4_000},
    ],
)
def test_lock_step_gives_what_starts_give_alone(options, monkeypatch):
    x, _ = blobs(spread=0.5)
    state = torch.Generator().manual_seed(3)
    together = kmeans(x, 6, n_init=9, generator=state, **options)
    alone(monkeypatch)
    other = torch.Generator().manual_seed(3)
    apart = kmeans(x, 6, n_init=9, generator=other, **options)
    assert torch.equal(together.labels, apart.labels)
    torch.testing.assert_close(together.centers, apart.centers, rtol=1e-6, atol=1e-6)
    assert together.n_iter == apart.n_iter
    assert together.inertia == pytest.approx(apart.inertia, rel=1e-6)
    assert torch.equal(state.get_state(), other.get_state())


@pytest.mark.parametrize("weighted", [False, True])
def test_every_start_ends_where_scikit_learn_does(weighted):
    x = torch.from_numpy(load_digits().data).float()
    weight = (torch.arange(len(x)) % 4).float() if weighted else None
    mean, variance = vectors.Rows.of(x).moments()
    problem = lloyd.Problem(vectors.Rows.of(x), 10, weight, mean, None, "farthest", 300, 1e-4 * variance)
    begins = starts.draw_starts(problem, "k-means++", 8, torch.Generator().manual_seed(0))
    runs = lloyd.iterate(problem, begins, torch.Generator())
    assert len({run.n_iter for run in runs}) > 2  # they end at different times
    for begin, run in zip(begins, runs, strict=True):
        theirs = KMeans(10, init=begin.numpy(), n_init=1, tol=1e-4, algorithm="lloyd")
        theirs.fit(x.numpy(), sample_weight=None if weight is None else weight.numpy())
        assert run.inertia == pytest.approx(theirs.inertia_, rel=1e-4)
    least = kmeans(x, 10, n_init=8, sample_weight=weight).inertia
    assert least == pytest.approx(min(run.inertia for run in runs), rel=1e-6)


def test_centers_are_the_means_of_their_rows_though_sums_followed_a_far_one():
    # a far row leaves a group together with near ones: the float32 sum of what left has lost the near ones' digits
    x = torch.cat([torch.tensor([[1e7, 0.0]]), torch.randn(2_000, 2, generator=torch.Generator().manual_seed(0))])
    problem = lloyd.Problem(vectors.Rows.of(x), 2, None, torch.zeros(2).double(), None, "farthest", 10, 1e18)
    run = lloyd.Run.of(problem, torch.tensor([[0.0, 0.0], [-1e4, 0.0]]))
    lloyd.assign(problem, [run])
    assert (run.labels == 0).all()
    run.centers, run.anew = torch.tensor([[0.0, 0.0], [3.0, 0.0]]), False
    lloyd.assign(problem, [run])
    mean = x[run.labels == 0].double().mean(0)
    assert 100 < run.changes < 200
    assert (run.sums[0] / run.counts[0] - mean).abs().max() > 1e-4
    lloyd._advance(problem, run, torch.Generator())
    assert run.resting
    torch.testing.assert_close(run.centers[0].double(), mean, rtol=0, atol=1e-6)


def test_how_many_starts_go_together_is_bounded():
    def lot(n, k, empty="farthest"):
        rows = vectors.Rows.of(torch.zeros(1, 2).expand(n, 2))
        return lloyd.together(lloyd.Problem(rows, k, None, torch.zeros(2), None, empty, 1, 0.0))

    assert lot(70_000, 10) == 25
    assert lot(70_000, 10, "split") == 1
    assert lot(70_000, 1_000) == 1
    assert lot(4_000_000, 10) == 1
    assert lot(10**9, 10) == 1


def test_the_public_list():
    assert all(hasattr(vectors, name) for name in vectors.__all__)
