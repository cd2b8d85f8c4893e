"""The classical baselines on real digits: known levels, what each refuses, and what each shows."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.cluster import KMeans as TheirKMeans
from sklearn.datasets import load_digits
from sklearn.decomposition import NMF as TheirNMF  # noqa: N811
from sklearn.metrics import adjusted_rand_score

from ilk import metrics
from ilk.errors import ArgumentError, DataError
from ilk.methods import NMF, Agglomerative, KMeans, RandomGroups, Spectral, UMAPMixture, find
from ilk.methods.assign import rules
from ilk.runs import checked_figure

DATA = load_digits()
IMAGES, TRUTH = np.round(DATA.images * 255 / 16).astype(np.uint8), DATA.target


def accuracy(cls: Any, **options: Any) -> float:
    return metrics.accuracy(TRUTH, cls(10, **options).fit(IMAGES).labels_)


def test_kmeans_is_that_of_scikit_learn() -> None:
    theirs = TheirKMeans(10, n_init=20, random_state=0).fit(IMAGES.reshape(len(IMAGES), -1) / 255)
    ours = KMeans(10).fit(IMAGES)
    assert adjusted_rand_score(theirs.labels_, ours.labels_) > 0.95
    square = np.square(IMAGES.reshape(len(IMAGES), -1) / 255 - ours.assigner_.centers[ours.labels_]).sum()
    assert square == pytest.approx(theirs.inertia_, rel=0.01)


def test_neighbour_graphs_see_what_kmeans_does_not() -> None:
    kmeans = accuracy(KMeans)
    assert accuracy(Spectral) > kmeans
    assert accuracy(Agglomerative) > kmeans + 0.03
    assert accuracy(RandomGroups) < 0.2


@pytest.mark.slow
def test_umap_and_a_mixture_are_the_strongest_of_them() -> None:
    assert accuracy(UMAPMixture, settings={"umap_epochs": 100}) > 0.85


def test_umap_itself_in_short() -> None:
    few = np.isin(TRUTH, (0, 1, 6)).nonzero()[0][:240]
    model = UMAPMixture(3, settings={"umap_epochs": 20, "umap_dim": 2}).fit(IMAGES[few])
    assert adjusted_rand_score(TRUTH[few], model.labels_) > 0.8
    assert model.embedding_.shape == (240, 2)
    assert np.array_equal(model.predict(IMAGES[few[:40]]), model.labels_[:40])


def test_plain_factors_are_those_of_scikit_learn() -> None:
    rows = (IMAGES[:400].reshape(400, -1) / 255).astype(np.float32)
    model = NMF(10, settings={"n_init": 2}).fit(IMAGES[:400])
    codes = model.assigner_.codes(rows)
    theirs = TheirNMF(10, init="nndsvda", max_iter=1000, random_state=0, tol=1e-4).fit(rows).reconstruction_err_
    ours = np.linalg.norm(rows - codes @ model.assigner_.components)
    assert ours == pytest.approx(theirs, rel=0.01)


@pytest.mark.parametrize("settings", [{"assign": "largest"}, {"locality": 100.0}, {"nmf_components": 16}])
def test_other_ways_to_read_factors(settings: dict[str, Any]) -> None:
    model = NMF(10, settings={**settings, "max_iter": 50, "n_init": 3}).fit(IMAGES[:500])
    assert 5 <= len(np.unique(model.labels_)) <= 10
    assert np.array_equal(model.predict(IMAGES[:50]), model.labels_[:50])


def test_mutual_edges_and_all_columns_are_options() -> None:
    for cls, options in [
        (Agglomerative, {"preset": "mutual"}),
        (Agglomerative, {"settings": {"neighbors_in": "features", "linkage": "average"}}),
        (Spectral, {"preset": "pixels"}),
    ]:
        model = cls(10, **options).fit(IMAGES[:300])
        assert np.array_equal(model.predict(IMAGES[:50]), model.labels_[:50])
        assert len(np.unique(model.labels_)) == 10


def test_confidence_says_where_groups_meet() -> None:
    for cls in (KMeans, Spectral, Agglomerative):
        model = cls(10, settings={"n_init": 3} if cls is not Agglomerative else None).fit(IMAGES)
        right = np.zeros(len(TRUTH), bool)
        for group in range(10):  # right: as most of its group are
            mine = model.labels_ == group
            right[mine] = TRUTH[mine] == np.bincount(TRUTH[mine]).argmax()
        assert model.confidence_[right].mean() > model.confidence_[~right].mean() + 0.01, cls.__name__
    assert RandomGroups(10).fit(IMAGES).confidence_.max() < 0.11


def test_strangers_are_less_sure_than_digits() -> None:
    model = Spectral(10).fit(IMAGES)
    noise = np.random.default_rng(0).integers(0, 256, (50, 8, 8), np.uint8)
    assert model.predict_proba(noise).sum(1).mean() < 0.5 < model.predict_proba(IMAGES[:50]).sum(1).mean()


def test_what_they_show() -> None:
    shown = {cls.__name__: cls(10, preset="tiny").fit(IMAGES[:200]).figures() for cls in (KMeans, NMF, Spectral)}
    shown["Agglomerative"] = Agglomerative(10).fit(IMAGES[:200]).figures()
    for figures in shown.values():
        for figure in figures:
            checked_figure(figure)
    assert shown["KMeans"][0]["rows"][0]["images"].shape == (10, 8, 8)
    spectrum = shown["Spectral"][0]["series"]["eigenvalue"]
    assert len(spectrum) == 11
    assert (np.diff(spectrum) >= -1e-9).all()
    tree = shown["Agglomerative"][0]
    assert np.isnan(tree["series"]["height of the merge"]).sum() == 29  # 30 branches, 29 merges


def test_negative_features_are_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    model = NMF(3, preset="tiny", encoder="classic")
    monkeypatch.setattr("ilk.encoders.encode", _negated())
    with pytest.raises(DataError, match="encoder=pixels"):
        model.fit(IMAGES[:60])


def _negated() -> Any:
    import dataclasses

    from ilk.encoders.encode import encode

    def negated(*arguments: Any, **options: Any) -> Any:
        found = encode(*arguments, **options)
        return dataclasses.replace(found, features=-found.features)

    return negated


@pytest.mark.parametrize("cls", [KMeans, Spectral, Agglomerative, NMF])
def test_features_of_an_encoder_count_by_their_direction(cls: Any) -> None:
    model = cls(3, preset="tiny", encoder="classic").fit(IMAGES[:90])
    assert np.array_equal(model.predict(IMAGES[:30]), model.labels_[:30])
    longer = model.encoded_.features[model.encoded_.position] * np.float16(2)
    assert np.array_equal(model._proba(longer).argmax(1), model.labels_)


def test_coefficients_are_of_directions_and_worked_out_once(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []
    codes = rules.ByCodes.codes
    monkeypatch.setattr(rules.ByCodes, "codes", lambda self, rows: (calls.append(len(rows)), codes(self, rows))[1])
    model = NMF(3, preset="tiny", encoder="classic").fit(IMAGES[:90])
    assert calls == [90]
    place = model.assigner_
    assert isinstance(place, rules.ByCodes)
    assert place.normalize
    rows = rules.unit_rows(model.encoded_.features)
    assert np.array_equal(place.codes(rows[:30]), model.embedding_[:30])
    state = place.state()
    assert rules.ByCodes.from_state(state).normalize
    del state["place_normalize"]  # as kept before there was such a flag
    assert not rules.ByCodes.from_state(state).normalize


def test_memberships_are_even_between_centres() -> None:
    centers = np.array([[0.0, 0.0], [2.0, 0.0]], np.float32)
    found = rules.ByCenters(centers, False)(np.array([[0.0, 0.0], [1.0, 5.0], [0.5, 0.0]]))
    np.testing.assert_allclose(found, [[1, 0], [0.5, 0.5], [0.9, 0.1]], atol=1e-6)


@pytest.mark.parametrize(
    ("name", "settings", "hint"),
    [
        ("spectral", {"neighbors_in": "pixel"}, "features"),
        ("agglomerative", {"linkage": "wards"}, "'ward'"),
        ("nmf", {"assign": "max"}, "largest"),
        ("nmf", {"locality": -1}, "from 0"),
        ("umap_gmm", {"reducer": "tsne"}, "umap"),
        ("kmeans", {"n_init": 0}, "at least 1"),
        ("kmeans", {"pca_dim": 2.5}, "whole"),
    ],
)
def test_settings_out_of_range_are_named(name: str, settings: dict[str, Any], hint: str) -> None:
    with pytest.raises(ArgumentError, match=hint):
        find(name)(3, settings=settings).resolved()


@pytest.mark.parametrize("k", [1, "auto", 2.5, True])
def test_the_number_of_groups_must_be_given(k: Any) -> None:
    with pytest.raises(ArgumentError, match="n_clusters"):
        KMeans(k).resolved()
