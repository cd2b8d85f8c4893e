"""Descriptions of groups against plain loops."""

from __future__ import annotations

import numpy as np
import pytest

from ilk.describe import describe


def example(n: int = 60, d: int = 4, k: int = 4, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A space, labels with noise and with an id that nobody has, and confidences."""
    rng = np.random.default_rng(seed)
    labels = rng.choice([-1, *range(k - 1), k + 3], n)
    space = (rng.normal(0, 3, (k + 5, d))[labels] + rng.normal(0, 2, (n, d))).astype(np.float32)
    return space, labels, rng.random(n).astype(np.float32)


def test_rows_equal_a_double_loop() -> None:
    space, labels, confidence = example()
    told = describe(space, labels, confidence)
    ids = sorted(set(labels.tolist()) - {-1})
    centers = {g: np.mean([x for x, label in zip(space, labels, strict=True) if label == g], axis=0) for g in ids}
    for row, label in enumerate(labels):
        away = {g: float(np.sqrt(((space[row] - centers[g]) ** 2).sum())) for g in ids}
        if label < 0:
            assert np.isnan(told.distance[row])
            assert (told.second[row], told.silhouette[row]) == (-1, 0)
            continue
        own = away.pop(label)
        second = min(away, key=away.__getitem__)
        assert told.distance[row] == pytest.approx(own, rel=1e-4)
        assert told.second[row] == second
        assert told.silhouette[row] == pytest.approx((away[second] - own) / max(away[second], own), abs=1e-4)


def test_groups_equal_a_double_loop() -> None:
    space, labels, confidence = example()
    told = describe(space, labels, confidence, n_shown=3)
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
    noise = describe(space, labels, confidence, n_shown=2).groups[-1]
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
    told = describe(space, labels, np.ones(5, np.float32))
    assert (told.second == -1).all()
    assert not told.silhouette.any()
    assert np.array_equal(np.isnan(told.distance), labels < 0)
    assert all(group["nearest"] is None for group in told.groups)
    assert sum(group["size"] for group in told.groups) == 5


def test_coincident_images_are_described_without_nan() -> None:
    told = describe(np.zeros((6, 2), np.float32), np.array([0, 0, 0, 1, 1, 1]), np.ones(6, np.float32))
    assert not told.distance.any()
    assert not told.silhouette.any()
    assert told.second.tolist() == [1, 1, 1, 0, 0, 0]


def test_nothing_that_was_given_is_changed() -> None:
    given = example()
    before = [array.copy() for array in given]
    for array in given:
        array.flags.writeable = False
    describe(*given)
    assert all(np.array_equal(a, b) for a, b in zip(given, before, strict=True))
