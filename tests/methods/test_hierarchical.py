"""Two levels: weighted centres, their groups, and every image by the vote of the nearest centres."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.metrics import adjusted_rand_score

import ilk
from ilk import Hierarchical, TransferClustering, layout
from ilk.errors import ArgumentError
from ilk.layout import neighbor_graph, umap_embedding
from ilk.methods.assign.placer import Space, coordinates
from ilk.methods.hierarchical.first_level import find_centers
from ilk.vectors import descent, fit_pca

CENTERS = np.random.default_rng(0).normal(size=(6, 20)) * 3


def clouds(n: int, seed: int = 0, share: Any = None) -> tuple[np.ndarray, np.ndarray]:
    """Six clouds in 20 dimensions, of equal size or as `share` says."""
    rng = np.random.default_rng(seed)
    truth = rng.choice(6, n, p=share)
    return (CENTERS[truth] + rng.normal(size=(n, 20))).astype(np.float32), truth


def fitted(x: np.ndarray, k: int | str = 6, preset: str = "kmeans", **settings: Any) -> Hierarchical:
    return Hierarchical(k, preset=preset, settings=settings or None).fit(x)


def silent(*_: Any) -> None:
    pass


def test_every_image_weighs_once_and_stands_nearest_to_its_centre() -> None:
    x, _ = clouds(3000)
    pca = fit_pca(x, 10, normalize=True)
    found = find_centers(pca, x, 50, 10, 20, 0, silent)
    rows = coordinates(pca, x)
    assert found.weights.sum() == 3000
    assert found.weights.min() >= 1
    nearest = np.square(rows[:, None] - found.rows[None]).sum(2).argmin(1)
    # one pass has moved the centres: hardly an image is nearer to another one now
    assert np.abs(np.bincount(nearest, minlength=len(found.rows)) - found.weights).sum() < 0.3 * 3000
    apart = np.square(rows - found.rows[nearest]).sum()
    drawn = rows[np.random.default_rng(0).choice(3000, 50, replace=False)]
    assert apart < 0.9 * np.square(rows[:, None] - drawn[None]).sum(2).min(1).sum()


def test_no_more_centres_than_distinct_images() -> None:
    x, _ = clouds(40)
    found = find_centers(fit_pca(x, 10, normalize=True), np.repeat(x, 5, 0), 90, 32, 20, 0, silent)
    assert len(found.rows) == 40
    assert (found.weights == 5).all()


@pytest.mark.parametrize("preset", ["kmeans", "default"])
def test_groups_of_centres_are_the_groups_of_the_images(preset: str) -> None:
    x, truth = clouds(4000)
    model = fitted(x, preset=preset)
    assert len(model.centers_.rows) == 632
    assert adjusted_rand_score(truth, model.labels_) > 0.98
    assert np.array_equal(model.predict(x), model.labels_)
    assert (np.diff(np.bincount(model.labels_)) <= 0).all()
    new, theirs = clouds(500, seed=1)
    assert adjusted_rand_score(theirs, model.predict(new)) > 0.98
    assert any("4,000 distinct images around 632 centres" in note for note in model.notes_)


def test_the_number_of_groups_is_argued_for_on_the_centres() -> None:
    x, truth = clouds(3000)
    model = fitted(x, "auto")
    assert model.n_clusters_ == 6
    assert model.k_choice_.natural == 6
    assert adjusted_rand_score(truth, model.labels_) > 0.98


def test_weights_decide_what_two_groups_are() -> None:
    """On a line, many images at 0 and at 4, few at 10: as centres all three are alike, as images they are not."""
    rng = np.random.default_rng(0)
    at = np.repeat([0.0, 4.0, 10.0], [1000, 1000, 12])
    angle = at / 10 + rng.normal(0, 0.02, len(at))
    x = np.stack([np.cos(angle), np.sin(angle)], 1).astype(np.float32)
    weighted = fitted(x, 2, n_centers=40)
    assert weighted.labels_[0] != weighted.labels_[1500]
    space = Space(fit_pca(x, 2, normalize=True), weighted.centers_.rows)
    assert len(space.rows) <= 40


def test_a_model_holds_centres_and_no_image(tmp_path: Path) -> None:
    x, _ = clouds(4000)
    model = fitted(x, n_centers=60)
    state = model.state()
    assert max(np.asarray(value).shape[0] for value in state.values() if np.ndim(value)) <= 60
    model.save(tmp_path / "model")
    again = ilk.load(tmp_path / "model")
    assert np.array_equal(again.predict(x), model.labels_)
    assert np.array_equal(again.centers_.weights, model.centers_.weights)


def test_a_threshold_refuses_what_is_far_from_all_centres() -> None:
    x, _ = clouds(3000)
    model = fitted(x, n_centers=100).set_params(threshold=0.2)
    assert (model.predict(x) < 0).mean() < 0.03
    assert (model.predict(-x) < 0).mean() > 0.5


def test_features_may_be_a_memory_map(tmp_path: Path) -> None:
    x, _ = clouds(2000)
    np.save(tmp_path / "x.npy", x)
    mapped = fitted(np.load(tmp_path / "x.npy", mmap_mode="r"))
    assert np.array_equal(mapped.labels_, fitted(x).labels_)


def test_fewer_centres_than_groups_are_refused() -> None:
    with pytest.raises(ArgumentError, match="n_centers=5: 6 groups"):
        fitted(clouds(100)[0], n_centers=5)


def test_umap_heeds_weights() -> None:
    x = clouds(300)[0]
    graph = neighbor_graph(torch.from_numpy(x), 10)
    even = umap_embedding(x, graph, n_components=2, epochs=20)
    assert np.array_equal(
        even, umap_embedding(x, graph, n_components=2, epochs=20, weights=np.full(300, 7, np.float32))
    )
    heavy = np.where(np.arange(300) < 150, 9, 1).astype(np.float32)
    assert not np.array_equal(even, umap_embedding(x, graph, n_components=2, epochs=20, weights=heavy))


def test_edges_count_by_the_images_at_their_ends() -> None:
    from scipy.sparse import csr_matrix

    graph = csr_matrix(np.array([[0, 1, 0.5], [1, 0, 0], [0.5, 0, 0]], np.float32))
    found = layout._weighted(graph, np.array([4, 1, 16], np.float32)).toarray()
    np.testing.assert_allclose(found, np.array([[0, 2, 4], [2, 0, 0], [4, 0, 0]]) / 4, rtol=1e-6)


# -- the default pipeline above the numbers that are kept and searched as a whole -------------------------------------


@pytest.fixture
def large(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have 300 images be many. The descent itself, which takes numba half a minute to compile, is tried elsewhere."""

    def near(rows: np.ndarray, k: int, _: int) -> np.ndarray:
        x = torch.from_numpy(rows)
        return layout.neighbors(x, x, k, exclude_self=True, exact=True)[0].numpy()

    monkeypatch.setattr(descent, "_near", near)
    monkeypatch.setattr(sys.modules["ilk.vectors.neighbors"], "EXACT_UP_TO", 300)
    monkeypatch.setattr("ilk.vectors.best.ALL_UP_TO", 1000)


@pytest.mark.usefixtures("large")
def test_a_large_run_says_so_and_predicts_from_what_is_kept(tmp_path: Path) -> None:
    x, truth = clouds(2000)
    np.save(tmp_path / "x.npy", x)
    run = ilk.cluster(np.load(tmp_path / "x.npy"), tmp_path / "run", options={"n_clusters": 6, "preset": "kmeans"})
    assert run.header["neighbors"] == {"exact": False, "recall": 1.0}
    assert any(
        "approximate (nearest-neighbour descent); 100.0% of" in text for text in run.header["summary"]["warnings"]
    )
    model = ilk.load_run(tmp_path / "run").model()
    voter = model._placer().voter
    assert voter.proba.shares.shape == (2000, 3)
    assert voter.cells is not None
    assert adjusted_rand_score(truth, run.labels()) > 0.98
    assert np.array_equal(model.predict(x), run.labels())


@pytest.mark.usefixtures("large")
def test_three_groups_of_an_image_say_what_all_would() -> None:
    x, _ = clouds(2000)
    model = TransferClustering(6, preset="kmeans").fit(x)
    assert model.probabilities_.shape == (2000, 6)
    assert np.array_equal(model.probabilities_.argmax(1), model.labels_)
    np.testing.assert_allclose(model.probabilities_.sum(1), 1, atol=1e-5)
