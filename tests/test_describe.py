"""Descriptions of groups against plain loops."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import silhouette_samples

import ilk.describe
from ilk.describe import Description, describe


def example(n: int = 60, d: int = 4, k: int = 4, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A space, labels with noise and with an id that nobody has, and confidences."""
    rng = np.random.default_rng(seed)
    labels = rng.choice([-1, *range(k - 1), k + 3], n)
    space = (rng.normal(0, 3, (k + 5, d))[labels] + rng.normal(0, 2, (n, d))).astype(np.float32)
    return space, labels, rng.random(n).astype(np.float32)


def told_of(space: np.ndarray, labels: np.ndarray, confidence: np.ndarray, n_shown: int = 12) -> Description:
    """What is told of groups that were sought in the features themselves."""
    return describe(space, space, labels, confidence, n_shown=n_shown)


def test_rows_equal_a_double_loop() -> None:
    space, labels, confidence = example()
    told = told_of(space, labels, confidence)
    ids = sorted(set(labels.tolist()) - {-1})
    centers = {g: np.mean([x for x, label in zip(space, labels, strict=True) if label == g], axis=0) for g in ids}
    for row, label in enumerate(labels):
        away = {g: float(np.sqrt(((space[row] - centers[g]) ** 2).sum())) for g in ids}
        if label < 0:
            assert np.isnan(told.distance[row])
            assert told.second[row] == -1
            continue
        own = away.pop(label)
        second = min(away, key=away.__getitem__)
        assert told.distance[row] == pytest.approx(own, rel=1e-4)
        assert told.second[row] == second


def pulled_apart(n: int = 300, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """One cloud of features, cut in three; and a layout, narrower, in which the three parts lie far from each other."""
    rng = np.random.default_rng(seed)
    features = rng.normal(0, 1, (n, 8)).astype(np.float32)
    labels = np.argsort(np.argsort(features[:, 0])) * 3 // n
    layout = (10 * np.eye(3)[labels] + rng.normal(0, 0.3, (n, 3))).astype(np.float32)
    return features, layout, labels


def test_the_silhouette_is_that_of_the_features_and_the_other_is_called_reduced() -> None:
    features, layout, labels = pulled_apart()
    labels[::10] = -1
    mine = labels >= 0
    told = describe(layout, features, labels, np.ones(len(labels), np.float32), reduced=True)
    here, there = (silhouette_samples(x[mine], labels[mine]) for x in (features, layout))
    np.testing.assert_allclose(told.silhouette[mine], here, atol=1e-4)
    np.testing.assert_allclose(told.silhouette_reduced[mine], there, atol=1e-4)
    assert here.mean() < 0.1 < 0.9 < there.mean()
    assert np.isnan(told.silhouette[~mine]).all()
    assert np.isnan(told.silhouette_reduced[~mine]).all()
    assert told.samples == {"silhouette": None, "silhouette_reduced": None}
    for group in told.groups[:-1]:
        rows = labels[mine] == group["id"]
        assert group["quality"]["silhouette"] == pytest.approx(here[rows].mean(), abs=1e-4)
        assert group["quality"]["silhouette_reduced"] == pytest.approx(there[rows].mean(), abs=1e-4)


def test_without_a_reduced_space_there_is_no_silhouette_of_it() -> None:
    told = told_of(*example())
    assert np.isnan(told.silhouette_reduced).all()
    assert {group["quality"]["silhouette_reduced"] for group in told.groups[:-1]} == {None}


def test_beyond_its_work_distances_are_to_a_sample_of_every_group(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(3)
    labels = np.repeat([0, 1, 2], [2000, 900, 40])
    x = (rng.normal(0, 1, (2940, 6)) + 2.0 * np.eye(6)[labels]).astype(np.float32)
    one = np.ones(2940, np.float32)
    exact = describe(x, x, labels, one)
    monkeypatch.setattr(ilk.describe, "WORK", 2940 * 36 * 400)
    told = describe(x, x, labels, one)
    assert (exact.samples["silhouette"], told.samples["silhouette"]) == (None, 400)
    assert not np.array_equal(told.silhouette, exact.silhouette)
    for group, true in zip(told.groups, exact.groups, strict=True):
        assert group["quality"]["silhouette"] == pytest.approx(true["quality"]["silhouette"], abs=0.03)
    assert np.abs(told.silhouette - exact.silhouette).mean() < 0.03
    assert np.array_equal(describe(x, x, labels, one).silhouette, told.silhouette)


def test_groups_equal_a_double_loop() -> None:
    space, labels, confidence = example()
    told = told_of(space, labels, confidence, n_shown=3)
    ids = sorted(set(labels.tolist()) - {-1})
    centers = {g: space[labels == g].mean(0) for g in ids}
    assert [group["id"] for group in told.groups] == [*ids, -1]
    for group in told.groups[:-1]:
        g, rows = group["id"], [row for row in range(len(labels)) if labels[row] == group["id"]]
        assert (group["name"], group["size"]) == (f"group {g}", len(rows))
        assert group["nearest"] == min(set(ids) - {g}, key=lambda o, g=g: np.linalg.norm(centers[o] - centers[g]))
        assert group["exemplars"] == sorted(rows, key=told.distance.__getitem__)[:3]
        doubtful = sorted(rows, key=lambda row: (confidence[row], told.silhouette[row]))
        assert group["borderline"] == [row for row in doubtful[:6] if row not in group["exemplars"]][:3]
        assert group["quality"]["silhouette"] == pytest.approx(
            np.mean([told.silhouette[row] for row in rows]), abs=1e-5
        )
        assert group["quality"]["confidence"] == pytest.approx(np.mean([confidence[row] for row in rows]), abs=1e-5)


def test_noise_is_a_group_of_its_own_without_quality() -> None:
    space, labels, confidence = example()
    noise = told_of(space, labels, confidence, n_shown=2).groups[-1]
    rows = np.flatnonzero(labels == -1)
    assert noise == {
        "id": -1,
        "name": "not assigned",
        "size": len(rows),
        "nearest": None,
        "exemplars": rows[:2].tolist(),
        "borderline": [],
        "quality": None,
    }


@pytest.mark.parametrize("labels", [np.zeros(5, int), np.full(5, -1), np.array([-1, 0, 0, -1, 0])])
def test_one_group_or_none_has_no_second(labels: np.ndarray) -> None:
    space = np.random.default_rng(0).normal(size=(5, 2)).astype(np.float32)
    told = told_of(space, labels, np.ones(5, np.float32))
    assert (told.second == -1).all()
    assert np.isnan(told.silhouette).all()
    assert all(group["quality"] is None or group["quality"]["silhouette"] is None for group in told.groups)
    assert np.array_equal(np.isnan(told.distance), labels < 0)
    assert all(group["nearest"] is None for group in told.groups)
    assert sum(group["size"] for group in told.groups) == 5


def test_coincident_images_are_described_without_nan() -> None:
    told = told_of(np.zeros((6, 2), np.float32), np.array([0, 0, 0, 1, 1, 1]), np.ones(6, np.float32))
    assert not told.distance.any()
    assert not told.silhouette.any()
    assert told.second.tolist() == [1, 1, 1, 0, 0, 0]


def test_nothing_that_was_given_is_changed() -> None:
    space, *rest = example()
    given = (space, space[:, :2].copy(), *rest)
    before = [array.copy() for array in given]
    for array in given:
        array.flags.writeable = False
    describe(*given, reduced=True)
    assert all(np.array_equal(a, b) for a, b in zip(given, before, strict=True))
