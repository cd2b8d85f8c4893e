"""Arrays one below the other act as one array."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ilk import disk
from ilk.runs import stacked as module
from ilk.runs.stacked import Stacked, stacked


@pytest.fixture
def parts(tmp_path: Path) -> list[Any]:
    draws = np.random.default_rng(0)
    for i, n in enumerate((7, 1, 0, 12)):
        np.save(tmp_path / f"{i}.npy", draws.normal(size=(n, 5)).astype(np.float16))
    return [disk.read_array(tmp_path / f"{i}.npy") for i in range(4)]


READS: list[Callable[[Any], Any]] = [
    lambda x: x[:],
    lambda x: x[3],
    lambda x: x[-1],
    lambda x: x[2:9],
    lambda x: x[::3],
    lambda x: x[::-1],
    lambda x: x[20:30],
    lambda x: x[[7, 0, 19, 7]],
    lambda x: x[np.array([[1, 8], [9, 0]])],
    lambda x: x[np.array([-1, -20])],
    lambda x: x[np.arange(20) % 2 == 0],
    lambda x: x[[]],
    lambda x: x[:, 1],
    lambda x: x[[3, 8], 1:3],
    lambda x: x[4, 2],
    lambda x: x[...],
    lambda x: np.asarray(x, np.float32),
    lambda x: np.isfinite(x).all(1),
    lambda x: x @ np.ones(5, np.float16),
    lambda x: x * 2,
    lambda x: x.astype(np.float32),
    lambda x: (x.shape, x.dtype, x.ndim, x.size, x.nbytes, x.itemsize, len(x)),
    lambda x: list(x),
    lambda x: np.concatenate([x, x]),
]


@pytest.mark.parametrize("read", READS)
def test_reads_as_one_array(parts: list[Any], read: Callable[[Any], Any]) -> None:
    one, many = np.concatenate(parts), Stacked(parts)
    np.testing.assert_array_equal(np.asarray(read(many), dtype=object), np.asarray(read(one), dtype=object))


def test_rows_beyond_are_errors(parts: list[Any]) -> None:
    many = Stacked(parts)
    for row in (20, -21, [0, 20]):
        with pytest.raises(IndexError):
            many[row]


def test_large_ones_stay_on_the_disk(parts: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    assert stacked(parts[:1]) is parts[0]
    assert isinstance(stacked(parts), np.ndarray)
    monkeypatch.setattr(module, "SMALL", 100)
    assert isinstance(stacked(parts), Stacked)
