"""Rows on the disk answer to every index as an array of numbers does, and read what they are asked for."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from ilk.disk.rows import DiskRows

N, D = 11, 5


class Counting(DiskRows):
    """Rows of an array, which are counted as they are read."""

    def __init__(self, whole: npt.NDArray[Any]) -> None:
        super().__init__(whole.shape, whole.dtype)
        self.whole, self.count = whole, 0

    def _read(self, rows: npt.NDArray[np.int64]) -> npt.NDArray[Any]:
        self.count += len(rows)
        return self.whole[rows]


WHOLE = np.random.default_rng(0).normal(size=(N, D)).astype(np.float16)


def some_axis(rng: np.random.Generator, n: int) -> Any:
    """An index of one axis: every kind there is, right ones mostly."""
    kind = rng.integers(10)
    shape = tuple(rng.integers(0, 4, rng.integers(1, 3)))
    if kind == 0:
        return int(rng.integers(-n - 1, n + 1))
    if kind == 1:
        return rng.choice([np.int32, np.uint8, np.int64])(rng.integers(0, n))
    if kind in (2, 3):
        bounds = [None if rng.random() < 0.3 else int(one) for one in rng.integers(-n - 2, n + 3, 2)]
        return slice(*bounds, int(rng.choice([1, 1, 2, -1, -3])))
    if kind in (4, 5):
        return rng.integers(-n, n, shape)
    if kind == 6:
        return rng.integers(0, n, shape).tolist()
    if kind == 7:
        return rng.random(n) < 0.5
    if kind == 8:
        return (rng.random(n) < 0.5).tolist()
    return np.array(rng.integers(-n, n))


def outcome(array: Any, key: Any) -> Any:
    try:
        return array[key]
    except IndexError:
        return IndexError
    except ValueError:  # numpy: masks and lists that do not go together
        return IndexError


def same(a: Any, b: Any) -> bool:
    if a is IndexError or b is IndexError:
        return a is b
    return np.shape(a) == np.shape(b) and np.asarray(a).dtype == np.asarray(b).dtype and bool((a == b).all())


@pytest.mark.parametrize("seed", range(10))
def test_every_index_means_what_it_means_for_an_array(seed: int) -> None:
    rng = np.random.default_rng(seed)
    for _ in range(200):
        rows, columns = some_axis(rng, N), some_axis(rng, D)
        for key in (rows, (rows,), (rows, columns), (..., columns), (rows, ...), (rows, ..., columns)):
            assert same(outcome(Counting(WHOLE), key), outcome(WHOLE, key)), key


ODD = [
    (),
    ...,
    None,
    (None, 2),
    (0, None),
    True,
    np.False_,
    np.array(True),
    WHOLE > 0,
    (0, 1, 2),
    (..., ...),
    [],
    ([], []),
]
ODD += [
    1.0,
    [0.5],
    "x",
    np.zeros(3),
    np.zeros(N + 1, bool),
    [True, False],
    N,
    -N - 1,
    (0, D),
    ([0], [D]),
    [[0, 1], [2, 3]],
]


@pytest.mark.parametrize("key", ODD, ids=str)
def test_odd_ones_too(key: Any) -> None:
    assert same(outcome(Counting(WHOLE), key), outcome(WHOLE, key))


def test_only_what_is_asked_for_is_read() -> None:
    rows = Counting(WHOLE)
    rows[3], rows[[1, 4, -1]], rows[2:4, 1], rows[WHOLE[:, 0] > 9], rows[5:5], rows[[0, 1], [2, 2]]
    assert rows.count == 1 + 3 + 2 + 0 + 0 + 2
    with pytest.raises(IndexError):
        rows[np.zeros(3)]
    assert rows.count == 8  # what is no index costs nothing


def test_it_is_an_array_for_whoever_wants_the_whole() -> None:
    rows = Counting(WHOLE)
    assert (np.asarray(rows) == WHOLE).all()
    assert np.asarray(rows, np.float32).dtype == np.float32
    assert ((rows + 1) == WHOLE + 1).all()
    assert np.isfinite(rows).all()
    assert (rows.shape, rows.ndim, rows.size, rows.nbytes, rows.itemsize, len(rows)) == (
        (N, D),
        2,
        N * D,
        2 * N * D,
        2,
        N,
    )
    assert rows.astype(np.float64).dtype == np.float64
    with pytest.raises(ValueError, match="copy"):
        np.array(rows, copy=False)
