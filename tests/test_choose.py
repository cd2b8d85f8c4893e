"""The number of groups: the evidence equals scikit-learn's, and the choice follows from the evidence."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from sklearn.datasets import make_blobs
from sklearn.metrics import silhouette_score

from ilk import choose, compute
from ilk.choose import candidates, choose_k
from ilk.errors import NotEnoughImages
from ilk.vectors import kmeans


def blobs(k: int = 5, n: int = 200, d: int = 6, spread: float = 1.0, seed: int = 0) -> np.ndarray:
    centers = np.random.default_rng(seed).normal(0, 12, (k, d))
    return make_blobs(n, d, centers=centers, cluster_std=spread, random_state=seed)[0].astype(np.float32)


def test_table_equals_scikit_learn() -> None:
    x = blobs(spread=4)
    table = choose_k(x, k_max=12, random_state=3).table
    assert [row["k"] for row in table] == list(range(2, 13))
    for row in table:
        labels = kmeans(torch.from_numpy(x), row["k"], n_init=3, generator=compute.generator(3)).labels
        assert row["silhouette"] == pytest.approx(silhouette_score(x, labels.numpy()), abs=6e-5)


@pytest.mark.parametrize("k", [2, 3, 5, 8])
@pytest.mark.parametrize("seed", [0, 1])
def test_obvious_groups_are_counted(k: int, seed: int) -> None:
    assert choose_k(blobs(k, seed=seed), k_max=14, random_state=seed).natural == k


def test_coarse_and_fine_lie_a_factor_away() -> None:
    rng = np.random.default_rng(0)
    far, near = rng.normal(0, 100, (3, 1, 4)), rng.normal(0, 12, (3, 3, 4))
    x = np.repeat((far + near).reshape(9, 4), 20, 0) + rng.normal(0, 1, (180, 4))  # three groups of three
    found = choose_k(x, k_max=12)
    assert {3, 9} <= {found.coarse, found.natural, found.fine}
    score = {row["k"]: row["silhouette"] for row in found.table}
    below, above = [k for k in score if k * 1.5 <= found.natural], [k for k in score if k >= found.natural * 1.5]
    assert found.natural == max(score, key=lambda k: (score[k], -k))
    assert found.coarse == max(below, key=lambda k: (score[k], -k), default=None)
    assert found.fine == max(above, key=lambda k: (score[k], -k), default=None)
    assert found.suggested() == {"coarse": found.coarse, "natural": found.natural, "fine": found.fine}


def test_neighbours_of_the_best_number_are_neither_coarse_nor_fine(monkeypatch: pytest.MonkeyPatch) -> None:
    given = {2: 0.3, 3: 0.5, 4: 0.4, 5: 0.8, 6: 0.9, 7: 0.85, 8: 0.7, 9: 0.6, 10: 0.2}
    monkeypatch.setattr(choose, "silhouette_score", lambda x, labels, **_: given[len(labels.unique())])
    found = choose_k(blobs(), k_max=10)
    assert (found.coarse, found.natural, found.fine) == (3, 6, 9)


def test_smaller_number_wins_a_tie() -> None:
    rows = [{"k": 4, "silhouette": 0.5}, {"k": 2, "silhouette": 0.5}, {"k": 3, "silhouette": 0.1}]
    assert choose._best(rows) == 2
    assert choose._best([], "nothing") == "nothing"


def test_silhouette_of_a_sample_is_close_to_that_of_all() -> None:
    x = blobs(n=1200, spread=4)
    exact, sampled = choose_k(x, k_max=6), choose_k(x, k_max=6, sample_size=300)
    for one, other in zip(exact.table, sampled.table, strict=True):
        assert one["silhouette"] == pytest.approx(other["silhouette"], abs=0.05)
    assert exact.table != sampled.table
    assert sampled.natural == exact.natural


def test_only_distinct_rows_count() -> None:
    x = blobs(n=4).repeat(30, 0)
    assert [row["k"] for row in choose_k(x).table] == [2, 3]
    assert [row["k"] for row in choose_k(x, k_grid=[1, 2, 4, 50]).table] == [2]
    for few in (x[:1], x[:60], np.zeros((40, 3))):
        with pytest.raises(NotEnoughImages, match=r"\d distinct"):
            choose_k(few)


def test_same_seed_same_table_and_the_rows_are_not_changed() -> None:
    x = blobs(spread=6)
    before = x.copy()
    x.flags.writeable = False
    assert choose_k(x, k_max=8, random_state=1) == choose_k(x, k_max=8, random_state=1)
    assert choose_k(x, k_max=8, random_state=1) != choose_k(x, k_max=8, random_state=2)
    assert np.array_equal(x, before)


@pytest.mark.parametrize(("n", "k_max"), [(0, 50), (2, 50), (3, 50), (13, 50), (1000, 50), (10**6, 500), (1000, 2)])
def test_candidates_rise_without_gaps_larger_than_15_percent(n: int, k_max: int) -> None:
    grid = candidates(n, k_max)
    top = min(k_max, n - 1)
    assert grid[:11] == list(range(2, min(12, top) + 1))
    assert all(a < b <= max(a + 1, a * 1.15) for a, b in itertools.pairwise(grid))
    assert not grid or top / 1.15 - 1 <= grid[-1] <= top
