"""Neighbours above the number of rows up to which they are exact; here that is 200."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest
import torch

from ilk.vectors import Cells, NeighborIndex, descent, is_exact, neighbors, recall
from ilk.vectors.repeats import repeats

MODULE = sys.modules["ilk.vectors.neighbors"]
METRICS = pytest.mark.parametrize("metric", ["euclidean", "cosine"])


@pytest.fixture(autouse=True)
def _few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(MODULE, "EXACT_UP_TO", 200)


def normal(n: int, d: int = 12, seed: int = 0) -> torch.Tensor:
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed)) + 0.3


def repeated(n: int, distinct: int, seed: int = 0) -> torch.Tensor:
    """Rows that are equal by the dozen, some kinds far more often than others."""
    kinds = (np.random.default_rng(seed).random(n) ** 3 * distinct).astype(np.int64)
    return normal(distinct, seed=seed)[torch.from_numpy(kinds)]


def share(found: torch.Tensor, true: torch.Tensor) -> float:
    """How many of what was found are as near as the true last neighbour."""
    return float((found <= true[:, -1:] * (1 + 1e-5) + 1e-7).float().mean())


def test_the_limit_is_rows_and_pairs() -> None:
    assert is_exact(10**6, 200)
    assert not is_exact(201, 201)
    assert is_exact(100, 400)
    assert not is_exact(101, 400)
    assert is_exact(10**6, 10**6, "cuda")


def test_twins_are_equal_rows() -> None:
    x = repeated(5000, 300).numpy()
    x[17] = 0
    first, of = repeats(x)
    assert np.array_equal(x[first][of], x)
    assert len(first) == len(np.unique(x, axis=0))
    assert (np.diff(first) > 0).all()
    assert np.array_equal(first, [np.flatnonzero(of == g)[0] for g in range(len(first))])


def test_rows_whose_sums_agree_by_chance_are_no_twins(monkeypatch: pytest.MonkeyPatch) -> None:
    class Zeros:
        def integers(self, *_: Any) -> Any:
            return np.zeros(12, np.uint64)

    x = repeated(300, 5).numpy()
    x[:, 1:] = 0
    monkeypatch.setattr("numpy.random.default_rng", lambda _: Zeros())
    words = x.view(np.uint32)
    words[:, 0] = words[0, 0]
    x[5, 3] = 7
    first, of = repeats(x)
    assert np.array_equal(x[first][of], x)


@METRICS
@pytest.mark.parametrize("exclude_self", [False, True])
@pytest.mark.parametrize("distinct", [1, 2, 3, 12, 150])
def test_equal_rows_stand_for_each_other(metric: str, exclude_self: bool, distinct: int) -> None:
    """So few distinct rows are searched exactly: all distances must be the true ones."""
    x = repeated(900, distinct)
    index, distance = neighbors(x, x, 9, metric=metric, exclude_self=exclude_self)
    true = neighbors(x, x, 9, metric=metric, exclude_self=exclude_self, exact=True)[1]
    assert torch.equal(distance, true)
    assert all(len(set(row)) == 9 for row in index.tolist())
    assert not (exclude_self and bool((index == torch.arange(900)[:, None]).any()))


@pytest.mark.parametrize("exclude_self", [False, True])
def test_rows_of_zeros_are_at_cosine_distance_one(exclude_self: bool) -> None:
    x = repeated(600, 40)
    x[::7] = 0
    x[3] = -x[4:60].mean(0)  # most are farther from it than any row of zeros
    distance = neighbors(x, x, 9, metric="cosine", exclude_self=exclude_self)[1]
    true = neighbors(x, x, 9, metric="cosine", exclude_self=exclude_self, exact=True)[1]
    torch.testing.assert_close(distance, true)


def test_all_other_rows_may_be_asked_for() -> None:
    x = repeated(210, 30)
    index, _ = neighbors(x, x, 209, exclude_self=True)
    assert (index.sort(1)[0] == torch.stack([torch.arange(210)[torch.arange(210) != i] for i in range(210)])).all()


def test_what_the_descent_has_lost_is_searched_for(monkeypatch: pytest.MonkeyPatch) -> None:
    x = normal(400)
    near = neighbors(x, x, 13, exclude_self=True, exact=True)[0].numpy()
    near[::5, 2:] = -1
    monkeypatch.setattr(descent, "_near", lambda rows, k, _: near[:, :k])
    index, distance = neighbors(x, x, 9, exclude_self=True)
    true = neighbors(x, x, 9, exclude_self=True, exact=True)
    assert torch.equal(index, true[0])
    assert torch.equal(distance, true[1])


def test_without_pynndescent_it_is_exact(monkeypatch: pytest.MonkeyPatch) -> None:
    x = normal(400)
    monkeypatch.setitem(sys.modules, "pynndescent", None)
    assert torch.equal(neighbors(x, x, 9, exclude_self=True)[0], neighbors(x, x, 9, exclude_self=True, exact=True)[0])


def test_recall_counts_what_was_found() -> None:
    x = normal(300)
    true = neighbors(x, x, 10, exclude_self=True, exact=True)[1]
    assert recall(x, true) == 1
    assert recall(x, torch.cat([true[:, :5], true[:, -1:] * 2 + torch.zeros(300, 5)], 1)) == 0.5


@pytest.mark.slow
@METRICS
def test_a_descent_finds_nearly_all_and_the_same_again(metric: str) -> None:
    x = normal(4000)
    x[1000:1500] = x[:500]
    x[2000:2600] = x[7]
    x[::11] = 0
    found = [neighbors(x, x, 15, metric=metric, exclude_self=True) for _ in range(2)]
    assert torch.equal(found[0][0], found[1][0])
    assert torch.equal(found[0][1], found[1][1])
    assert share(found[0][1], neighbors(x, x, 15, metric=metric, exclude_self=True, exact=True)[1]) > 0.98
    assert recall(x, found[0][1], metric=metric) > 0.98


@METRICS
def test_cells_find_nearly_all(metric: str) -> None:
    x, new = normal(5000), normal(600, seed=1)
    index = NeighborIndex(x, metric=metric)
    assert index.exact
    near, away = index(new, 9)
    assert not index.exact
    assert index.recall is not None
    assert index.recall > 0.99
    assert share(away, neighbors(new, x, 9, metric=metric, exact=True)[1]) > 0.99
    one = [index(new[i : i + 1], 9) for i in range(50)]
    assert torch.equal(torch.cat([row for row, _ in one]), near[:50])
    assert torch.equal(torch.cat([row for _, row in one]), away[:50])


def test_cells_search_few_of_the_rows() -> None:
    x = normal(20_000, 3)
    cells = Cells.of_rows(x)
    assert cells.probes < len(cells.centers) / 4


@pytest.mark.parametrize("distinct", [1, 5, 60])
def test_cells_of_few_distinct_rows(distinct: int) -> None:
    x, new = repeated(900, distinct), normal(300, seed=1)
    away = NeighborIndex(x, cells=Cells.of_rows(x))(new, 20)[1]
    torch.testing.assert_close(away, neighbors(new, x, 20, exact=True)[1])


def test_cells_are_data() -> None:
    x, new = normal(2000), normal(300, seed=1)
    cells = Cells.of_rows(x)
    again = Cells.from_state(cells.state(), (2000, 12))
    found = [NeighborIndex(x, cells=one)(new, 9) for one in (cells, again)]
    assert torch.equal(found[0][0], found[1][0])
    with pytest.raises(ValueError, match="cells"):
        Cells.from_state(cells.state(), (1999, 12))
    bad = cells.of.numpy().copy()
    bad[3] = len(cells.centers)
    nan = cells.centers.numpy().copy()
    nan[0] = np.nan
    for change in ({"of": bad}, {"of": -bad}, {"centers": nan}, {"centers": nan[:0]}, {"probes": 0}, {"recall": 2}):
        with pytest.raises(ValueError, match="cells"):
            Cells.from_state({**cells.state(), **change}, (2000, 12))
