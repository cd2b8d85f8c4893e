"""Rows that lie on the disk, in whatever files, read as one array: what is asked for is copied, and no more.

And rows written as one file, a block at a time.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from pathlib import Path
from typing import Any, final

import numpy as np
import numpy.typing as npt

from ilk.disk.writing import replacing

__all__ = ["DiskRows", "write_rows"]

Ints = npt.NDArray[np.int64]


class DiskRows(np.lib.mixins.NDArrayOperatorsMixin, ABC):
    """(n, d) numbers that are indexed as an array is, and answered with arrays in memory.

    Whatever wants the whole (``np.asarray``, arithmetic) gets it in memory. Nothing can be written.

    Parameters
    ----------
    shape : (int, int)
    dtype : numpy dtype
    """

    ndim = 2

    def __init__(self, shape: tuple[int, int], dtype: npt.DTypeLike) -> None:
        self.shape = shape
        self.dtype = np.dtype(dtype)

    @abstractmethod
    def _read(self, rows: Ints) -> npt.NDArray[Any]:
        """Return the rows (b,), each from 0 to n - 1, as (b, d)."""

    def _slice(self, start: int, stop: int) -> npt.NDArray[Any]:
        """Return the rows from `start` up to `stop`, at least one."""
        return self._read(np.arange(start, stop))

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
        return self.size * self.itemsize

    def __len__(self) -> int:
        return self.shape[0]

    @final
    def __getitem__(self, key: Any) -> Any:
        rows, columns = _spread(key)
        if rows is None or columns is None:  # new axes, masks of single values: rare, and not worth rules of their own
            np.broadcast_to(np.empty((), self.dtype), self.shape)[key]  # what is no index at all is refused unread
            return np.asarray(self)[key]
        if isinstance(rows, int):
            return self._some(_places(np.array(rows), len(self)))[columns]
        if isinstance(rows, slice):
            start, stop, step = rows.indices(len(self))
            if step == 1 and start < stop:
                return self._slice(start, stop)[:, columns]
            return self._some(np.arange(start, stop, step))[:, columns]
        rows = _places(rows, len(self))
        if isinstance(columns, int | slice):
            return self._some(rows)[..., columns]
        pairs, columns = np.broadcast_arrays(rows, _places(columns, self.shape[1]))
        found = self._some(pairs.reshape(-1))
        return found[np.arange(len(found)), columns.reshape(-1)].reshape(pairs.shape)

    def _some(self, rows: Ints) -> npt.NDArray[Any]:
        """Return rows (…) that are there, as (…, d)."""
        found = self._read(rows.reshape(-1)) if rows.size else np.empty((0, self.shape[1]), self.dtype)
        return found.reshape(*rows.shape, self.shape[1])

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> npt.NDArray[Any]:
        if copy is False:
            raise ValueError("rows on the disk cannot be an array without a copy")
        found: npt.NDArray[Any] = self[:].astype(dtype or self.dtype, copy=False)
        return found

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
        whole = [np.asarray(one) if isinstance(one, DiskRows) else one for one in inputs]
        return getattr(ufunc, method)(*whole, **options)

    def astype(self, dtype: Any, copy: bool = True) -> npt.NDArray[Any]:
        """Return all rows in memory as `dtype`."""
        found: npt.NDArray[Any] = np.asarray(self, dtype)
        return found


def _spread(key: Any) -> tuple[Any, Any]:
    """Return what an index says of rows, and of columns: an int, a slice or an array each; None where it says more."""
    parts = list(key) if isinstance(key, tuple) else [key]
    dots = [at for at, one in enumerate(parts) if one is Ellipsis]
    if len(dots) == 1:
        parts[dots[0] : dots[0] + 1] = [slice(None)] * (3 - len(parts))
    if len(parts) > 2:
        return None, None
    rows, columns = (_plain(one) for one in [*parts, *[slice(None)] * (2 - len(parts))])
    return rows, columns


def _plain(one: Any) -> Any:
    """Return an index of one axis as an int, a slice, a mask or an array of whole numbers; None: it is another kind."""
    if isinstance(one, slice):
        return one
    if isinstance(one, list | tuple):
        one = np.array(one, None if len(one) else np.int64)
    if not isinstance(one, np.ndarray):
        return int(one) if hasattr(one, "__index__") and not isinstance(one, bool | np.bool_) else None
    if one.dtype == bool:
        return one if one.ndim == 1 else None
    if one.dtype.kind not in "iu":
        return None
    return one if one.ndim else int(one)


def _places(index: npt.NDArray[Any], n: int) -> Ints:
    """Return the numbers from 0 to n - 1 that an index of an axis of `n` means; IndexError where one means none."""
    if index.dtype == bool:
        if len(index) != n:
            raise IndexError(f"a mask of {len(index):,} for an axis of {n:,}")
        return np.flatnonzero(index)
    outside = index[(index < -n) | (index >= n)]
    if outside.size:
        raise IndexError(f"index {outside.flat[0]} is out of bounds for an axis of {n:,}")
    found = index.astype(np.int64)
    return np.where(found < 0, found + n, found)


def write_rows(path: Path, shape: tuple[int, int], dtype: npt.DTypeLike, blocks: Iterable[npt.NDArray[Any]]) -> None:
    """Write (n, d) numbers that come in blocks of rows as the ``.npy`` file `path`.

    Not through a memory map: on a full disk that is a bus error, and this an OSError.

    Raises
    ------
    OSError
        The disk refuses.
    """
    kind = np.dtype(dtype)
    with replacing(path) as file:
        head = {"descr": np.lib.format.dtype_to_descr(kind), "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(file, head)
        for block in blocks:
            file.write(np.asarray(block, kind).tobytes())
