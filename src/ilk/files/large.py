"""Arrays that may be larger than memory."""

from __future__ import annotations

import mmap
import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ilk.errors import DataError

__all__ = ["release", "room"]

_IN_MEMORY = 256 * 2**20  # bytes above which an array lives in a file


def room(m: int, d: int, dtype: npt.DTypeLike = np.float16, folder: Path | None = None) -> npt.NDArray[Any]:
    """Return (m, d) of `dtype`, in memory, or in a nameless file in `folder` that vanishes with it.

    Raises
    ------
    DataError
        The disk is full.
    """
    size = m * d * np.dtype(dtype).itemsize
    if size < _IN_MEMORY:
        return np.zeros((m, d), dtype)
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            if hasattr(os, "posix_fallocate"):
                # a hole in a mapped file that cannot be filled later would end the process without a word
                os.posix_fallocate(file.fileno(), 0, size)
            return np.memmap(file, dtype, "w+", shape=(m, d))
    except OSError as error:
        where = folder or tempfile.gettempdir()
        raise DataError(
            f"{size / 1e9:.1f} GB do not fit into {where} ({error.strerror}); "
            f"free some space, or {'choose another --cache' if folder else 'set TMPDIR to another disk'}"
        ) from None


def release(array: Any) -> None:
    """Let go of the memory that a mapped file took as it was read or filled; all that was written stays in the file.

    For any array: nothing is done where none of it is mapped, or where changes to it are kept in memory alone.
    """
    while isinstance(array, np.ndarray) and not isinstance(array, np.memmap):
        array = array.base
    mapped = getattr(array, "_mmap", None)
    if mapped is not None and array.mode != "c" and hasattr(mmap, "MADV_DONTNEED"):
        mapped.madvise(mmap.MADV_DONTNEED)
