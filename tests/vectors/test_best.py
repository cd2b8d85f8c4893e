"""Probabilities of the best groups."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from ilk.vectors import Best

MODULE = sys.modules["ilk.vectors.best"]


@pytest.fixture
def proba() -> np.ndarray:
    found = np.random.default_rng(0).dirichlet(np.full(7, 0.3), 50).astype(np.float32)
    found[3] = 0
    found[4] *= 0.5
    found[5] = [0.25, 0.25, 0, 0, 0.25, 0.25, 0]
    return found


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(MODULE, "ALL_UP_TO", 10)
    monkeypatch.setattr(MODULE, "_BLOCK", 70)


def test_all_are_kept_where_they_are_few(proba: np.ndarray) -> None:
    assert Best.of(proba).groups is None
    assert np.array_equal(Best.of(proba).dense(), proba)


@pytest.mark.usefixtures("few")
@pytest.mark.parametrize("k", [1, 2, 3])
def test_nothing_of_three_groups_is_lost(proba: np.ndarray, k: int) -> None:
    kept = Best.of(proba[:, :k])
    assert kept.groups is not None
    assert np.array_equal(kept.dense(), proba[:, :k])


@pytest.mark.usefixtures("few")
def test_the_three_best_sum_to_what_all_did(proba: np.ndarray) -> None:
    kept = Best.of(proba)
    dense = kept.dense()
    assert kept.shape == proba.shape
    assert kept.shares.shape == (50, 3)
    np.testing.assert_allclose(dense.sum(1), proba.sum(1), rtol=1e-6)
    assert np.array_equal(dense.argmax(1), proba.argmax(1))
    for row, whole in zip(dense, proba, strict=True):
        best = np.argsort(-whole, kind="stable")[:3]
        expected = np.zeros(7)
        expected[best] = whole[best] * whole.sum() / max(whole[best].sum(), 1e-12)
        np.testing.assert_allclose(row, expected, rtol=1e-5)


@pytest.mark.parametrize("limit", [10, 10**9])
def test_tables_of_both_kinds_answer_alike(proba: np.ndarray, monkeypatch: pytest.MonkeyPatch, limit: int) -> None:
    monkeypatch.setattr(MODULE, "ALL_UP_TO", limit)
    kept = Best.of(proba)
    dense, rng = kept.dense(), np.random.default_rng(1)
    rows, groups = rng.integers(0, 50, 20), rng.integers(0, 7, 20)
    weights = rng.random(20).astype(np.float32)
    assert np.array_equal(kept.of_groups(rows, groups), dense[rows, groups])
    table = np.ones((20, 7), np.float32)
    kept.add_to(table, rows, weights)
    np.testing.assert_allclose(table, 1 + weights[:, None] * dense[rows], rtol=1e-6)
    ids = rng.permutation(7)
    moved = kept.renumbered(ids).dense()
    assert np.array_equal(moved[:, ids], dense)
    assert np.array_equal(kept.take(np.array([4, -1, 0])).dense(), [dense[4], np.zeros(7), dense[0]])
    fewer = np.where(ids < 5, ids, -1)
    assert np.array_equal(kept.renumbered(fewer, 5).dense()[:, fewer[fewer >= 0]], dense[:, fewer >= 0])
