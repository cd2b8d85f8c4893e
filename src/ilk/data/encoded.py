"""What going through all images of a source gives: a row for each, and what became of every file."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, Self

import numpy as np
import numpy.typing as npt
from torch import Tensor

from ilk.data.kept import Kept
from ilk.data.thumbs import ThumbSource
from ilk.errors import Interrupted
from ilk.files import Samples
from ilk.files.large import release, room

__all__ = [
    "Encoded",
    "First",
    "Interrupted",
    "OnProgress",
    "Speed",
    "Work",
    "release",
    "room",
]

OnProgress = Callable[[int, int], bool | None]


@dataclass(frozen=True)
class Work:
    """What is made of the images.

    Attributes
    ----------
    subfolder : str, where in the cache the results are; equal names, equal results
    width : int
        Numbers per image.
    dtype : numpy dtype
    apply : callable uint8 (b, c, h, w) -> (b, width) of `dtype`
        Called by `workers` threads at the same time.
    batch_size, workers : int
    canonical : bool
        Rows come in the order of the content hashes instead of that of the source.
    """

    subfolder: str
    width: int
    dtype: npt.DTypeLike
    apply: Callable[[Tensor], npt.NDArray[Any]]
    batch_size: int
    workers: int
    canonical: bool = False


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


@dataclass(frozen=True)
class Encoded:
    """Features of a source's distinct readable images, and what became of each of its n rows.

    Attributes
    ----------
    features : ndarray float16 (m, d)
        One row per distinct readable image: in the order of the content hashes for features, of the source for the
        pixels that `ilk.data.pack` keeps here (uint8). A memory-mapped temporary file if large. float32 where they are
        the user's own and are given so.
    rows : ndarray (m,) int64
        Row of the source for each row of `features`.
    position : ndarray (n,) int64
        Row of `features` for each image of the source; duplicates share one; -1 = unreadable.
    status : list of str
        "ok", "duplicate" or "unreadable".
    reasons : list of (str or None)
    hashes : sequence of bytes
        16 bytes each; empty where a file could not be read at all.
    sizes, widths, heights : ndarray (n,)
        Bytes; pixels as stored (0 = unknown).
    images_per_second : float
        Of reading, decoding and encoding the `n_encoded` images; 0 where all were in the cache.
    seconds : float
    n_encoded, n_cached : int
        Distinct images that were encoded now, and that were found in the cache.
    thumbs : ThumbSource
    notes : list of str
    samples : Samples
        What is black and white in files with more than 8 bits a sample, as these images were read.
    kept : Kept, optional
        Where `features` and `thumbs` are in a cache, if they are in one.
    whole : Encoded, optional
        Where near duplicates count as one image: the same with a row for each of them.
    """

    features: npt.NDArray[Any]
    rows: npt.NDArray[np.int64]
    position: npt.NDArray[np.int64]
    status: list[str]
    reasons: list[str | None]
    hashes: Sequence[bytes]
    sizes: npt.NDArray[np.int64]
    widths: npt.NDArray[np.int32]
    heights: npt.NDArray[np.int32]
    images_per_second: float
    seconds: float
    n_encoded: int
    n_cached: int
    thumbs: ThumbSource
    notes: list[str] = field(default_factory=list)
    samples: Samples = field(default_factory=Samples)
    kept: Kept | None = None
    whole: Encoded | None = None

    def with_features(self, features: npt.NDArray[Any], **others: Any) -> Self:
        """Return the same with other features, which are in no cache."""
        return replace(self, features=features, kept=None, **others)


class Speed:
    """How fast images are encoded, where some blocks of a source hold none that is new.

    Attributes
    ----------
    seconds : float
        Of the whole, by the clock.
    """

    def __init__(self) -> None:
        self.seconds = 0.0
        self._known = self._new = 0.0  # seconds of all workers with blocks of known images, and with the others
        self._lock = threading.Lock()

    def took(self, seconds: float, n_new: int) -> None:
        """Take in what a worker needed for a block with that many new images; thread-safe."""
        with self._lock:
            if n_new:
                self._new += seconds
            else:
                self._known += seconds

    def of(self, n_encoded: int) -> float:
        """Return the images encoded a second; the share of blocks that were all known does not count as time."""
        if not n_encoded:
            return 0.0
        return n_encoded * (self._known + self._new) / max(self.seconds * self._new, 1e-9)
