"""Arrays one below the other, read as one: what lies on the disk stays there until its rows are asked for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ilk.disk.rows import DiskRows

__all__ = ["SMALL", "Stacked", "stacked"]

SMALL = 64 << 20
"""Bytes up to which arrays are simply copied into one."""


def stacked(arrays: Sequence[npt.NDArray[Any]]) -> npt.NDArray[Any]:
    """Return (n, d) arrays of one width as one: the array itself where there is one, a copy where they are small.

    Large ones become a `Stacked`, which acts as an array for whoever reads rows of it.
    """
    if len(arrays) == 1:
        return arrays[0]
    if sum(one.nbytes for one in arrays) <= SMALL:
        return np.concatenate([np.asarray(one) for one in arrays])
    found: Any = Stacked(arrays)
    return found  # type: ignore[no-any-return]


class Stacked(DiskRows):
    """(n, d) floats in several memory maps. Rows and slices are copies of what was asked for, and of no more.

    Examples
    --------
    >>> one = Stacked([np.zeros((2, 3)), np.ones((1, 3))])
    >>> one.shape, one[[2, 0]][:, 0].tolist(), one[1:].sum(), one[-1].tolist()
    ((3, 3), [1.0, 0.0], np.float64(3.0), [1.0, 1.0, 1.0])
    """

    def __init__(self, arrays: Sequence[npt.NDArray[Any]]) -> None:
        self._arrays = list(arrays)
        self._starts = np.cumsum([0, *map(len, arrays)])
        shape = int(self._starts[-1]), int(arrays[0].shape[1])
        super().__init__(shape, np.result_type(*(one.dtype for one in arrays)))

    def _slice(self, start: int, stop: int) -> npt.NDArray[Any]:
        pieces = [
            one[max(start - low, 0) : max(stop - low, 0)]
            for one, low in zip(self._arrays, self._starts.tolist(), strict=False)
            if start < low + len(one) and low < stop
        ]
        return np.concatenate(pieces).astype(self.dtype, copy=False)

    def _read(self, rows: npt.NDArray[np.int64]) -> npt.NDArray[Any]:
        found = np.empty((len(rows), self.shape[1]), self.dtype)
        part = np.searchsorted(self._starts, rows, "right") - 1
        for at in np.unique(part).tolist():
            mine = part == at
            found[mine] = self._arrays[at][rows[mine] - self._starts[at]]
        return found
