"""What going through all images of a source gives: a row for each, and what became of every file."""

from __future__ import annotations

import mmap
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from ilk.data.shards import SHARD
from ilk.errors import DataError, Interrupted

__all__ = ["Encoded", "First", "Interrupted", "OnProgress", "ThumbSource", "release", "room"]

OnProgress = Callable[[int, int], bool | None]

_IN_MEMORY = 256 * 2**20  # bytes of features above which they live in a file


class First(Protocol):
    """Rows of a source that are to be encoded before all others, and who wants to see them."""

    rows: npt.NDArray[np.int64]

    def __call__(
        self,
        rows: npt.NDArray[np.int64],
        features: npt.NDArray[np.float16],
        thumbs: Callable[[Iterable[int]], npt.NDArray[np.uint8]],
    ) -> None:
        """Take in the distinct readable ones among `rows`: their numbers (m,), features (m, d), thumbnails of rows."""


class ThumbSource(Protocol):
    """Thumbnails of the rows of a source."""

    def read(self, index: Iterable[int]) -> npt.NDArray[np.uint8]:
        """Return uint8 (b, 48, 48, 3)."""

    def blocks(self, size: int = SHARD) -> Iterator[npt.NDArray[np.uint8]]:
        """Yield the thumbnails of all rows in order."""


@dataclass(frozen=True)
class Encoded:
    """Features of a source's distinct readable images, and what became of each of its n rows.

    Attributes
    ----------
    features : ndarray float16 (m, d)
        One row per distinct readable image: in the order of the content hashes for features, of the source for the
        pixels that `ilk.data.pack` keeps here (uint8). A memory-mapped temporary file if large.
    rows : ndarray (m,) int64
        Row of the source for each row of `features`.
    position : ndarray (n,) int64
        Row of `features` for each image of the source; duplicates share their twin's; -1 = unreadable.
    status : list of str
        "ok", "duplicate" or "unreadable".
    reasons : list of (str or None)
    hashes : list of bytes
        16 bytes each; empty where a file could not be read at all.
    sizes, widths, heights : ndarray (n,)
        Bytes; pixels as stored (0 = unknown).
    images_per_second : float
        Of reading, decoding and encoding.
    seconds : float
    n_encoded, n_cached : int
        Distinct images that were encoded now, and that were found in the cache.
    thumbs : ThumbSource
    notes : list of str
    """

    features: npt.NDArray[Any]
    rows: npt.NDArray[np.int64]
    position: npt.NDArray[np.int64]
    status: list[str]
    reasons: list[str | None]
    hashes: list[bytes]
    sizes: npt.NDArray[np.int64]
    widths: npt.NDArray[np.int32]
    heights: npt.NDArray[np.int32]
    images_per_second: float
    seconds: float
    n_encoded: int
    n_cached: int
    thumbs: ThumbSource
    notes: list[str] = field(default_factory=list)


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
    with tempfile.TemporaryFile(dir=folder) as file:
        try:  # a hole in a mapped file that cannot be filled later would end the process without a word
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(file.fileno(), 0, size)
        except OSError as error:
            where = folder or tempfile.gettempdir()
            raise DataError(
                f"{size / 1e9:.1f} GB do not fit into {where} ({error.strerror}); "
                f"free some space, or {'choose another --cache' if folder else 'set TMPDIR to another disk'}"
            ) from None
        return np.memmap(file, dtype, "w+", shape=(m, d))


def release(array: npt.NDArray[Any]) -> None:
    """Let go of the memory that a mapped file took while it was filled; what was written stays in the file."""
    mapped = getattr(array, "_mmap", None)
    if mapped is not None and hasattr(mmap, "MADV_DONTNEED"):
        mapped.madvise(mmap.MADV_DONTNEED)
