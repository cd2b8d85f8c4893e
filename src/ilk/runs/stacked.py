"""Arrays one below the other, read as one: what lies on the disk stays there until its rows are asked for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

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
        return np.concatenate(arrays)
    found: Any = Stacked(arrays)
    return found  # type: ignore[no-any-return]


class Stacked(np.lib.mixins.NDArrayOperatorsMixin):
    """(n, d) floats in several memory maps. Rows and slices are copies of what was asked for, and of no more.

    Whatever wants the whole (``np.asarray``, arithmetic) gets it in memory.

    Examples
    --------
    >>> one = Stacked([np.zeros((2, 3)), np.ones((1, 3))])
    >>> one.shape, one[[2, 0]][:, 0].tolist(), one[1:].sum(), one[-1].tolist()
    ((3, 3), [1.0, 0.0], np.float64(3.0), [1.0, 1.0, 1.0])
    """

    ndim = 2

    def __init__(self, arrays: Sequence[npt.NDArray[Any]]) -> None:
        self._arrays = list(arrays)
        self._starts = np.cumsum([0, *map(len, arrays)])
        self.dtype = np.result_type(*(one.dtype for one in arrays))
        self.shape = (int(self._starts[-1]), int(arrays[0].shape[1]))

    @property
    def size(self) -> int:
        """Number of values."""
        return self.shape[0] * self.shape[1]

    @property
    def itemsize(self) -> int:
        """Bytes of a value."""
        return int(self.dtype.itemsize)

    @property
    def nbytes(self) -> int:
        """Bytes of all."""
        return self.size * self.dtype.itemsize

    def __len__(self) -> int:
        return int(self.shape[0])

    def __getitem__(self, key: Any) -> Any:
        if isinstance(key, tuple):
            rows, *rest = key
            found = self[rows]
            return found[rest[0]] if isinstance(rows, int | np.integer) else found[(slice(None), *rest)]
        if key is Ellipsis:
            return self[:]
        if isinstance(key, int | np.integer):
            return self._rows(np.array([np.arange(len(self))[key]]))[0]
        if isinstance(key, slice):
            start, stop, step = key.indices(len(self))
            return self._slice(start, stop) if step == 1 else self._rows(np.arange(len(self))[key])
        return self._rows(np.arange(len(self))[np.asarray(key) if len(key) else np.empty(0, np.int64)])

    def _slice(self, start: int, stop: int) -> npt.NDArray[Any]:
        pieces = [
            one[max(start - low, 0) : max(stop - low, 0)]
            for one, low in zip(self._arrays, self._starts.tolist(), strict=False)
            if start < low + len(one) and low < stop
        ]
        return (
            np.concatenate(pieces).astype(self.dtype, copy=False)
            if pieces
            else np.empty((0, self.shape[1]), self.dtype)
        )

    def _rows(self, rows: npt.NDArray[np.int64]) -> npt.NDArray[Any]:
        flat = rows.reshape(-1)
        found = np.empty((len(flat), self.shape[1]), self.dtype)
        part = np.searchsorted(self._starts, flat, "right") - 1
        for at in np.unique(part).tolist():
            mine = part == at
            found[mine] = self._arrays[at][flat[mine] - self._starts[at]]
        return found.reshape(*rows.shape, self.shape[1])

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> npt.NDArray[Any]:
        if copy is False:
            raise ValueError("several arrays cannot be one without a copy")
        found: npt.NDArray[Any] = self[:].astype(dtype or self.dtype, copy=False)
        return found

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
        whole = [np.asarray(one) if isinstance(one, Stacked) else one for one in inputs]
        return getattr(ufunc, method)(*whole, **options)

    def astype(self, dtype: Any, copy: bool = True) -> npt.NDArray[Any]:
        """Return all rows in memory as `dtype`."""
        found: npt.NDArray[Any] = np.asarray(self, dtype)
        return found
