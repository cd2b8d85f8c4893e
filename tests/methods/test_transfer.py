"""Transfer clustering: the pipeline on known groups, its parts against plain loops."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from sklearn.cluster import DBSCAN, KMeans
from sklearn.datasets import load_digits, make_blobs
from sklearn.decomposition import PCA
from sklearn.metrics import adjusted_rand_score

from ilk.errors import ArgumentError, DataError, IlkError, NotEnoughImages
from ilk.layout import neighbor_graph
from ilk.methods import TransferClustering
from ilk.methods import pipeline as steps
from ilk.methods.assign.voting import Voter
from ilk.metrics import scores
from ilk.vectors import Best, gaussians, neighbors


def transfer(k: int | str = 4, preset: str = "tiny", **options: Any) -> TransferClustering:
    return TransferClustering(k, encoder="pixels", preset=preset, device="cpu", **options)


def patterns(sizes: tuple[int, ...] = (30, 30, 30, 30), noise: float = 25, seed: int = 0) -> tuple[np.ndarray, Any]:
    """Images of len(sizes) patterns under noise, in random order: uint8 (n, 12, 12), and which pattern each is."""
    rng = np.random.default_rng(seed)
    truth = rng.permutation(np.repeat(np.arange(len(sizes)), sizes))
    clean = np.random.default_rng(7).integers(0, 256, (len(sizes), 12, 12))[truth]
    return np.clip(clean + rng.normal(0, noise, clean.shape), 0, 255).astype(np.uint8), truth


def digits(n: int = 1797, classes: tuple[int, ...] = tuple(range(10)), seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    images, truth = load_digits(return_X_y=True)
    chosen = np.random.default_rng(seed).permutation(np.flatnonzero(np.isin(truth, classes)))[:n]
    return np.rint(images[chosen] * 255 / 16).astype(np.uint8).reshape(-1, 8, 8), truth[chosen]


def mixed_up(images: np.ndarray) -> np.ndarray:
    """The same grey levels at every pixel, but no longer of the same image."""
    return np.random.default_rng(0).permuted(images, axis=0)


# -- the pipeline ------------------------------------------------------------------------------------------------------


def test_digits_are_found_and_chance_is_not() -> None:
    images, truth = digits(600)
    assert scores(truth, transfer(10, "default").fit(images).labels_)["acc"] >= 0.82
    assert scores(truth, transfer(10, "default", reducer="none", clusterer="kmeans").fit(images).labels_)["acc"] < 0.78
    assert scores(truth, transfer(10, "default").fit(mixed_up(images)).labels_)["acc"] < 0.25


def test_umap_and_mixture_are_repeatable_and_draw_from_no_global_generator() -> None:
    images, _ = patterns(noise=90)
    np.random.random()  # noqa: NPY002 - the global state is the point
    before = np.random.get_state()[1].tolist()  # noqa: NPY002
    one, same, other = (transfer(preset="default", random_state=seed).fit(images) for seed in (1, 1, 2))
    assert np.array_equal(one.embedding_, same.embedding_)
    assert np.array_equal(one.probabilities_, same.probabilities_)
    assert not np.array_equal(one.embedding_, other.embedding_)
    assert np.random.get_state()[1].tolist() == before  # noqa: NPY002


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_all_digits_are_found(seed: int) -> None:
    images, truth = digits()
    found = scores(truth, transfer(10, "default", random_state=seed).fit(images).labels_)
    assert found["acc"] >= 0.85
    assert found["nmi"] >= 0.88


def test_held_out_digits_find_their_group() -> None:
    images, truth = digits(600, classes=(0, 2, 4, 6))
    model = transfer(4, "default").fit(images[:400])
    meaning = np.array([np.bincount(truth[:400][model.labels_ == group]).argmax() for group in range(4)])
    placed = model.predict(images[400:])
    assert np.mean((placed >= 0) & (meaning[placed] == truth[400:])) >= 0.95
    placed = model.predict(mixed_up(images[400:]))
    assert np.mean((placed >= 0) & (meaning[placed] == truth[400:])) < 0.5


@pytest.mark.parametrize("reducer", ["none", "pca", "umap", PCA(5, random_state=0)], ids=str)
@pytest.mark.parametrize(
    "clusterer", ["gmm", "kmeans", "hdbscan", "agglomerative", KMeans(4, n_init=3, random_state=0)], ids=str
)
def test_every_reducer_goes_with_every_clusterer(reducer: Any, clusterer: Any) -> None:
    images, truth = patterns()
    model = transfer(reducer=reducer, clusterer=clusterer).fit(images)
    assert adjusted_rand_score(truth, model.labels_) == 1
    assert np.array_equal(model.predict(images), model.labels_)
    assert np.mean(model.predict(patterns(seed=1)[0]) >= 0) > 0.9


@pytest.mark.parametrize("preset", ["tiny", "kmeans", "default"])
@pytest.mark.parametrize("k", [3, 4, 6])
def test_auto_finds_the_number_of_obvious_groups(preset: str, k: int) -> None:
    images, truth = patterns((25,) * k)
    model = transfer("auto", preset, settings={"k_max": 9}).fit(images)
    assert model.n_clusters_ == model.k_choice_.natural == k
    assert adjusted_rand_score(truth, model.labels_) == 1


def test_groups_are_numbered_by_size() -> None:
    images, truth = patterns((10, 50, 20, 35))
    labels = transfer().fit(images).labels_
    assert np.bincount(labels).tolist() == [50, 35, 20, 10]
    assert [np.unique(truth[labels == group]).tolist() for group in range(4)] == [[1], [3], [2], [0]]


def test_noise_of_hdbscan_stays_noise() -> None:
    images, _ = patterns((40, 40))
    odd = np.random.default_rng(3).integers(0, 256, (5, 12, 12), np.uint8)
    model = transfer("auto", clusterer="hdbscan").fit(np.concatenate([images, odd]))
    assert (model.n_clusters_, model.k_choice_) == (2, None)
    assert (model.labels_[-5:] == -1).all()
    assert not model.probabilities_[-5:].any()
    assert np.array_equal(model.predict(odd), model.labels_[-5:])
    assert model.labels_[:80].min() == 0


def test_nothing_but_noise_is_an_error() -> None:
    with pytest.raises(DataError, match="every image is noise"):
        transfer("auto", clusterer="hdbscan").fit(np.random.default_rng(0).integers(0, 256, (60, 12, 12), np.uint8))


@pytest.mark.parametrize("clusterer", ["gmm", "kmeans", "agglomerative", KMeans(3)], ids=str)
def test_images_that_differ_in_brightness_alone_look_the_same(clusterer: Any) -> None:
    images = np.arange(1, 61, dtype=np.uint8)[:, None, None] * np.ones((60, 12, 12), np.uint8)
    with pytest.raises(NotEnoughImages, match="look the same"):
        transfer(3, clusterer=clusterer).fit(images)


def test_few_images_are_grouped_in_pca_space_and_the_run_says_so() -> None:
    images, truth = patterns((7, 7, 7, 7))
    model = transfer(preset="default").fit(images)
    assert adjusted_rand_score(truth, model.labels_) == 1
    assert any("too few for UMAP" in note for note in model.notes_)
    assert any("K-means instead" in note for note in model.notes_)


def test_objects_bring_their_own_number_of_groups() -> None:
    images, truth = patterns()
    model = transfer("auto", clusterer=DBSCAN(eps=0.3, min_samples=4)).fit(images)
    assert (model.n_clusters_, model.k_choice_) == (4, None)
    assert adjusted_rand_score(truth, model.labels_) == 1


class _Wrong:
    def fit_predict(self, x: np.ndarray) -> np.ndarray:
        return np.zeros((len(x), 2))


@pytest.mark.parametrize(
    ("options", "hint"),
    [
        ({"reducer": "umpa"}, "Did you mean 'umap'"),
        ({"clusterer": "kmean"}, "Did you mean 'kmeans'"),
        ({"clusterer": object()}, "fit_predict"),
        ({"reducer": 3}, "fit_transform"),
        ({"clusterer": _Wrong()}, "shape"),
        ({"threshold": 1.5}, "threshold"),
        ({"threshold": "high"}, "threshold"),
        ({"random_state": None}, "random_state"),
        ({"random_state": 2**32}, "random_state"),
        ({"settings": {"pca_dim": 0}}, "pca_dim"),
        ({"settings": {"pca_dim": None}}, "pca_dim"),
        ({"settings": {"n_neighbors_vote": 2.5}}, "n_neighbors_vote"),
        ({"settings": {"umap_epochs": 0}}, "umap_epochs"),
        ({"settings": {"min_dist": "low"}}, "min_dist"),
        *(({"k": k}, "n_clusters") for k in (0, 1, -3, 2.0, True, "many", None)),
    ],
)
def test_options_are_checked_by_name(options: dict[str, Any], hint: str) -> None:
    with pytest.raises(ArgumentError, match=hint):
        transfer(**options).fit(patterns()[0])


def test_none_of_these_for_images_far_from_all_groups() -> None:
    images, _ = patterns()
    model = transfer().fit(images)
    strangers = np.random.default_rng(5).integers(0, 256, (50, 12, 12), np.uint8)
    assert (model.predict(strangers) == -1).all()
    assert model.predict_proba(strangers).sum(1).max() < model.threshold
    assert (model.predict(patterns(seed=1)[0]) >= 0).mean() > 0.95
    assert (transfer(threshold=0.0).fit(images).predict(strangers) >= 0).any()


def test_confidence_falls_with_the_distance() -> None:
    images, truth = patterns()
    model = transfer().fit(images)
    start, end = images[truth == 0][0].astype(float), np.random.default_rng(5).integers(0, 256, (12, 12))
    path = np.array([start + (end - start) * share for share in np.linspace(0, 1, 12)]).astype(np.uint8)
    confidence = model.predict_proba(path).sum(1)
    assert confidence[0] == pytest.approx(1)
    assert (np.diff(confidence) <= 1e-6).all()


# -- its steps ---------------------------------------------------------------------------------------------------------


def blobs(n: int = 120, d: int = 3, k: int = 3, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    x, truth = make_blobs(n, d, centers=k, random_state=seed)
    return x.astype(np.float32), truth.astype(np.int64)


@pytest.mark.parametrize("clusterer", ["gmm", "kmeans", "agglomerative"])
def test_group_gives_labels_that_are_the_best_of_their_probabilities(clusterer: str) -> None:
    x, truth = blobs()
    found = steps.group(x, 3, clusterer, 2, 0)
    assert (found.clusterer, found.notes) == (clusterer, [])
    assert adjusted_rand_score(truth, found.labels) > 0.95
    proba = found.proba.dense()
    assert np.array_equal(proba.argmax(1), found.labels)
    np.testing.assert_allclose(proba.sum(1), 1, rtol=1e-5)


def _impatient(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(gaussians, "_STEPS", 1)


def _singular(patch: pytest.MonkeyPatch) -> None:
    def fit(*args: Any) -> Any:
        raise np.linalg.LinAlgError("not positive definite")

    patch.setattr(gaussians.Gaussians, "fit", fit)


@pytest.mark.parametrize(
    ("x", "mixture", "clusterer", "note"),
    [
        (blobs(14)[0], None, "kmeans", "K-means instead of a Gaussian mixture, which takes"),
        (np.concatenate([blobs(90, k=2)[0], [[900, 900, 900]]]).astype("f4"), None, "kmeans", "a component collapsed"),
        (blobs()[0], _singular, "kmeans", "a component collapsed"),
        (blobs()[0], _impatient, "gmm", "did not converge"),
        (blobs()[0], None, "gmm", None),
    ],
    ids=["few", "lonely image", "singular", "slow", "fine"],
)
def test_mixture_falls_back_and_says_so(
    monkeypatch: pytest.MonkeyPatch, x: np.ndarray, mixture: Any, clusterer: str, note: str | None
) -> None:
    if mixture is not None:
        mixture(monkeypatch)
    found = steps.group(x, 3, "gmm", 2, 0)
    assert found.clusterer == clusterer
    assert len(np.unique(found.labels)) == 3
    assert found.notes == [] if note is None else note in found.notes[0]


def test_large_trees_grow_on_the_neighbour_graph(monkeypatch: pytest.MonkeyPatch) -> None:
    x, truth = blobs()
    monkeypatch.setattr(steps, "MOST_FOR_A_FULL_TREE", 50)
    assert adjusted_rand_score(truth, steps.group(x, 3, "agglomerative", 1, 0).labels) > 0.95


def test_hdbscan_of_four_images_is_a_named_error() -> None:
    with pytest.raises(NotEnoughImages, match="at least 5"):
        steps.group(blobs(4)[0], None, "hdbscan", 1, 0)


@pytest.mark.parametrize(
    ("labels", "renamed"),
    [
        ([5, 2, 2, 9, 9, 9], [2, 1, 1, 0, 0, 0]),
        ([3, 3, 1, 1, -1], [0, 0, 1, 1, -1]),  # a tie: the group of the first image comes first
        ([-1, 4, -1, 7, 7], [-1, 1, -1, 0, 0]),
        ([-1, -1], [-1, -1]),
        ([0], [0]),
    ],
)
def test_groups_are_renamed_by_size_and_noise_stays(labels: list[int], renamed: list[int]) -> None:
    assert steps.by_size(np.array(labels), None)[0].tolist() == renamed


def test_probabilities_move_with_their_groups() -> None:
    rng = np.random.default_rng(0)
    proba = rng.dirichlet(np.ones(4), 40).astype(np.float32)
    labels, found = steps.by_size(proba.argmax(1), Best.of(proba))
    assert found is not None
    moved = found.dense()
    assert np.array_equal(moved.argmax(1), labels)
    assert np.array_equal(np.sort(moved, 1), np.sort(proba, 1))


def test_neighbour_shares_are_counted_one_by_one() -> None:
    x, labels = blobs(40, 2, 3)
    x[20:] += np.random.default_rng(0).normal(0, 3, (20, 2))
    labels[::7] = -1
    proba = steps._neighbour_shares(x, labels, 6, None).dense()
    index = neighbor_graph(torch.from_numpy(x), 6).index
    for row, label in enumerate(labels):
        counts = np.array([sum(labels[j] == group for j in index[row]) / 6 for group in range(3)])
        counts[label] = counts.max() + 1e-3  # its own group wins, whoever its neighbours are
        expected = counts / counts.sum() if label >= 0 else np.zeros(3)
        np.testing.assert_allclose(proba[row], expected, rtol=1e-5)


def distances(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return np.array([[np.sqrt(((a - b) ** 2).sum()) for b in y.astype(float)] for a in x.astype(float)])


NOTHING_LOST = (np.empty(0, np.int64), np.empty(0, np.float32))


def voter_of(space: np.ndarray, labels: np.ndarray, proba: np.ndarray, votes: int, lost: Any = NOTHING_LOST) -> Voter:
    return Voter.fit(space, neighbor_graph(torch.from_numpy(space), votes + 1), labels, proba, votes, lost)


def test_reach_of_every_group_by_hand() -> None:
    x, labels = blobs(60, 2, 3)
    labels[0] = -1
    labels[labels == 2] = np.where(np.arange((labels == 2).sum()) < 5, 2, 1)  # five images say little of a tail
    voter = voter_of(x, labels, np.zeros((60, 3), np.float32), 4)
    away = np.sort(distances(x, x), 1)[:, 1:5].mean(1)
    parts = [away[labels == 0], away[labels == 1], away]
    usual = np.array([np.quantile(mine, 0.9) for mine in parts])
    way = usual - [np.median(mine) for mine in parts]
    ways = [(a - usual[group]) / way[group] for a, group in zip(away, labels, strict=True) if group >= 0]
    np.testing.assert_allclose(voter.near.usual, usual, rtol=1e-4)
    np.testing.assert_allclose(voter.near.spread, way * max(1, np.quantile(ways, 0.995)), rtol=1e-3)
    assert np.isinf(voter.lost.usual).all()


def test_reach_of_one_image_is_positive_enough_to_divide_by() -> None:
    voter = voter_of(np.zeros((1, 2), np.float32), np.zeros(1, np.int64), np.ones((1, 1), np.float32), 15)
    assert voter.near.usual[0] == 0 < voter.near.spread[0]


def vote_by_loops(queries: np.ndarray, lost: np.ndarray, voter: Voter, votes: int) -> np.ndarray:
    result, proba = [], voter.proba.dense()
    same = 1e-4 * np.median(voter.near.usual)
    for row, off in zip(distances(queries, voter.space), lost, strict=True):
        near = np.argsort(row, kind="stable")[:votes]
        if row[near[0]] <= same:
            twins = [j for j in near if row[j] <= same]
            result.append(np.mean([proba[j] for j in twins], axis=0))
            continue
        share = np.sum([proba[j] / row[j] for j in near], axis=0) / np.sum([1 / row[j] for j in near])
        best = share.argmax()
        beyond = (row[near].mean() - voter.near.usual[best]) / voter.near.spread[best]
        outside = (off - voter.lost.usual[best]) / voter.lost.spread[best]
        result.append(share * 0.2 ** min(max(beyond, outside, 0), 12))
    return np.array(result)


@pytest.mark.parametrize("votes", [1, 5, 15, 1000])
def test_vote_equals_a_double_loop(votes: int) -> None:
    space, labels = blobs(80, 3, 3)
    proba = np.random.default_rng(0).dirichlet(np.ones(3), 80).astype(np.float32)
    rng = np.random.default_rng(1)
    voter = voter_of(space, labels, proba, votes, (np.arange(80), rng.random(80).astype(np.float32)))
    queries = np.concatenate([space[:10], space[10:40] + rng.normal(0, 1, (30, 3)), rng.normal(0, 30, (10, 3))])
    queries = queries.astype(np.float32)
    space[3] = space[0] + np.float32([6e-5, 0, 0])  # twins, but for rounding, that disagree
    voter = Voter(space, Best.of(proba), voter.near, voter.lost, votes)
    lost = rng.uniform(0, 2, len(queries)).astype(np.float32)
    found = voter(queries, lost)
    expected = vote_by_loops(queries, lost, voter, min(votes, 80))
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-5)
    assert np.isfinite(found).all()


def test_confidence_is_what_the_vote_would_say_without_the_image() -> None:
    space, labels = blobs(60, 3, 3)
    labels[7] = -1
    proba = np.random.default_rng(0).dirichlet(np.ones(3), 60).astype(np.float32)
    graph = neighbor_graph(torch.from_numpy(space), 6)
    lost = np.random.default_rng(2).random(60).astype(np.float32)
    voter = Voter.fit(space, graph, labels, proba, 5, (np.arange(0, 60, 2), lost[::2]))
    found = voter.confidence(graph, labels, lost)
    for i in range(60):
        others = Voter(np.delete(space, i, 0), Best.of(np.delete(proba, i, 0)), voter.near, voter.lost, 5)
        row, own = others(space[i : i + 1], lost[i : i + 1])[0], max(labels[i], 0)
        # the vote scales by the reach of its best group, the confidence by that of the image's own
        if row.argmax() == own:
            assert found[i] == pytest.approx(row[own] if labels[i] >= 0 else 0, rel=1e-3, abs=1e-5)


def test_graph_of_the_neighbours_starts_with_the_row_itself() -> None:
    x = torch.from_numpy(blobs()[0])
    graph = neighbor_graph(x, 7)
    index, distance = neighbors(x, x, 6, exclude_self=True)
    assert np.array_equal(graph.index, np.hstack([np.arange(120)[:, None], index.numpy()]))
    assert np.array_equal(graph.distance[:, 1:], distance.numpy())
    assert not graph.distance[:, 0].any()


def test_stop_while_encoding_leaves_nothing_fitted() -> None:
    model = transfer()
    with pytest.raises(IlkError, match="stopped"):
        model.fit(patterns()[0], on_epoch=lambda record, state: "done" in record)
    assert not hasattr(model, "labels_")
