"""The images most like one: exact, whatever the features are, and without torch."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from ilk.errors import ArgumentError
from ilk.runs import Similar, similar


def slowly(features: np.ndarray, query: np.ndarray, among: np.ndarray) -> np.ndarray:
    """Cosine of every row in float64; -9 for what may not be found."""
    x, q = features.astype(np.float64), query.astype(np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        cosine = np.nan_to_num(x @ q / (np.linalg.norm(x, axis=1) * np.linalg.norm(q)), nan=0.0)
    return np.where(among & np.isfinite(x).all(1), cosine, -9)


def features_of(seed: int, kind: str) -> np.ndarray:
    rng = np.random.default_rng(seed)
    n, d = int(rng.integers(1, 3000)), int(rng.integers(1, 60))
    x = rng.standard_normal((n, d))
    if kind == "groups":  # so near each other that the coarse copy cannot tell them apart
        x = rng.standard_normal((4, d))[rng.integers(4, size=n)] + 1e-3 * x
    if kind == "spikes":  # one value takes all the range of a byte
        x[:, 0] += 50
    if kind == "zeros":
        x[rng.random(n) < 0.5] = 0
    if kind == "unreadable":
        x[rng.random(n) < 0.3] = np.nan
    return x.astype(rng.choice([np.float16, np.float32]))


@pytest.mark.parametrize("small", [True, False], ids=["coarse first", "as it lies"])
@pytest.mark.parametrize("kind", ["plain", "groups", "spikes", "zeros", "unreadable"])
@pytest.mark.parametrize("seed", range(6))
def test_finds_what_a_full_comparison_finds(seed: int, kind: str, small: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    x = features_of(seed, kind)
    rng = np.random.default_rng(seed)
    among, query = rng.random(len(x)) < 0.8, rng.standard_normal(x.shape[1]).astype(np.float32)
    if not small:
        monkeypatch.setattr(similar, "COPY", 0)
    rows, likes = Similar(x, among).of(query, 12)
    truth = slowly(x, query, among)
    assert len(rows) == len(set(rows.tolist())) == min(12, int((truth > -9).sum()))
    assert (truth[rows] > -9).all()
    np.testing.assert_allclose(likes, np.sort(truth)[::-1][: len(rows)], atol=2e-6)
    np.testing.assert_allclose(likes, truth[rows], atol=2e-6)


def test_leaves_out_what_it_should_and_puts_equals_in_order() -> None:
    x = np.array([[1, 0], [1, 0], [0, 1], [2, 0], [-1, 0]], np.float16)
    rows, likes = Similar(x).of_row(0, 9)
    assert rows.tolist() == [1, 3, 2, 4]
    assert likes.tolist() == [1, 1, 0, -1]
    assert Similar(x).of_row(0, 9, without=[1, 4, 77, -1])[0].tolist() == [3, 2]
    assert len(Similar(x, np.zeros(5, bool)).of_row(0)[0]) == 0


def test_very_large_numbers_are_no_trouble() -> None:
    x = np.array([[1e30, 0], [1e30, 1e30], [1e300, 0], [np.inf, 0]], np.float64)
    rows, likes = Similar(x).of(np.array([1e25, 0]), 4)
    assert rows.tolist() == [0, 1]
    np.testing.assert_allclose(likes, [1, 0.5**0.5], rtol=1e-6)


@pytest.mark.parametrize("vector", [np.zeros(3), np.array([1, np.nan]), np.zeros((1, 2))])
def test_a_vector_of_another_kind_is_refused(vector: np.ndarray) -> None:
    with pytest.raises(ArgumentError, match="2 finite numbers"):
        Similar(np.eye(2)).of(vector)


def test_needs_no_torch() -> None:
    code = "import sys; sys.modules['torch'] = None; import numpy as np; from ilk.runs import Similar; "
    code += "print(Similar(np.eye(3)).of_row(1, 1)[0])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[0]"
