"""What encoding gives: features, and what became of every image."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from ilk.encoders.shards import SHARD
from ilk.errors import ArgumentError, DataError, IlkError

__all__ = ["Encoded", "First", "Halves", "Interrupted", "OnProgress", "ThumbSource", "check_room", "room"]

OnProgress = Callable[[int, int], bool | None]
Halves = npt.NDArray[np.float16]

_IN_MEMORY = 256 * 2**20  # bytes of features above which they live in a file
MOST_FLATTENED = 8 * 2**30  # bytes of flattened maps


class Interrupted(IlkError):
    """Encoding was stopped on request; what was done by then is in the cache."""


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
        One row per distinct readable image, in the order of the source. A memory-mapped temporary file if large.
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

    features: Halves
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


def check_room(n: int, d: int, pool: Any) -> None:
    """Raise ArgumentError where the flattened maps of `n` images, of `d` numbers each, are too much to keep.

    >>> check_room(45_000, 94_080, "flatten")
    """
    size = n * d * 2
    if pool == "flatten" and size > MOST_FLATTENED:
        raise ArgumentError(
            f"pool='flatten': {n:,} images of {d:,} numbers each make {size / 2**30:.1f} GiB of features; "
            f"{MOST_FLATTENED / 2**30:g} GiB are allowed. Use pool=gap (the mean over positions, far smaller), "
            f"or at most {MOST_FLATTENED // (2 * d):,} images."
        )


def room(m: int, d: int, folder: Path | None = None) -> Halves:
    """Return float16 (m, d), in memory, or in a nameless file in `folder` that vanishes with it.

    Raises
    ------
    DataError
        The disk is full.
    """
    size = m * d * 2
    if size < _IN_MEMORY:
        return np.zeros((m, d), np.float16)
    with tempfile.TemporaryFile(dir=folder) as file:
        try:  # a hole in a mapped file that cannot be filled later would end the process without a word
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(file.fileno(), 0, size)
        except OSError as error:
            where = folder or tempfile.gettempdir()
            raise DataError(
                f"{size / 1e9:.1f} GB for the features do not fit into {where} ({error.strerror}); "
                f"free some space, or {'choose another --cache' if folder else 'set TMPDIR to another disk'}"
            ) from None
        return np.memmap(file, np.float16, "w+", shape=(m, d))
