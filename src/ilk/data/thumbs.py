"""The thumbnails of a source's rows, as files: made while the images are decoded, and kept in the cache."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import final

import numpy as np
import numpy.typing as npt

from ilk import compute
from ilk.data.shards import SHARD, Store
from ilk.data.sources import THUMB, ImageSource
from ilk.files.thumbs import UNSEEN, decode_thumb, squares
from ilk.shards.slots import Slots

__all__ = ["NoThumbs", "ScannedThumbs", "ThumbSource", "Thumbs", "as_squares"]

_AT_ONCE = 64  # thumbnails a thread makes before it takes up the next ones


def as_squares(thumbs: Sequence[bytes]) -> npt.NDArray[np.uint8]:
    """Return thumbnails as uint8 (b, 48, 48, 3): their central squares, grey where one is empty."""
    return squares([decode_thumb(thumb or UNSEEN) for thumb in thumbs], THUMB)


class ThumbSource(ABC):
    """Thumbnails of the rows of a source."""

    @abstractmethod
    def __len__(self) -> int:
        """Number of rows."""

    @abstractmethod
    def files(self, index: Sequence[int]) -> list[bytes]:
        """Return the thumbnails of the rows `index` (see `ilk.files.make_thumb`); b"" where there is no picture."""

    @final
    def read(self, index: Iterable[int]) -> npt.NDArray[np.uint8]:
        """Return uint8 (b, 48, 48, 3), the central squares; grey for an image that could not be read."""
        return as_squares(self.files([int(row) for row in index]))

    @final
    def blocks(self, size: int = SHARD) -> Iterator[list[bytes]]:
        """Yield the thumbnails of all rows in order, `size` at a time."""
        for start in range(0, len(self), size):
            yield self.files(range(start, min(start + size, len(self))))


class NoThumbs(ThumbSource):
    """The thumbnails of rows that have no pictures: none, whatever is asked for."""

    def __len__(self) -> int:
        return 0

    def files(self, index: Sequence[int]) -> list[bytes]:
        """Return nothing."""
        return []


class ScannedThumbs(ThumbSource):
    """Thumbnails made from the images when they are asked for, on all cores.

    Parameters
    ----------
    source : ImageSource
        At its own size.
    """

    def __init__(self, source: ImageSource) -> None:
        self._source = source

    def __len__(self) -> int:
        return len(self._source)

    def files(self, index: Sequence[int]) -> list[bytes]:
        """Return the thumbnails of the rows `index`, each made from its image."""
        parts = [index[i : i + _AT_ONCE] for i in range(0, len(index), _AT_ONCE)]
        if len(parts) < 2:
            return [thumb for part in parts for thumb in self._source.scan(part).thumbs]
        with ThreadPoolExecutor(min(len(parts), compute.threads())) as pool:
            return [thumb for block in pool.map(self._source.scan, parts) for thumb in block.thumbs]


class Thumbs(ThumbSource):
    """Thumbnails of a source's rows, read from the shards; thread-safe.

    Parameters
    ----------
    store : Store
    slots : (n,) int64
        Where each row of the source is in it, see `ilk.shards.slots`; duplicates share one; -1 has no picture.
    """

    def __init__(self, store: Store, slots: Slots) -> None:
        self._store = store  # a temporary cache lives as long as it
        self._places = slots

    def __len__(self) -> int:
        return len(self._places)

    def files(self, index: Sequence[int]) -> list[bytes]:
        """Return the thumbnails of the rows `index`, byte for byte as they were made."""
        found = [b""] * len(index)
        slots = self._places[np.asarray(index, np.int64)]
        there = np.flatnonzero(slots >= 0)
        for shard, among, rows in self._store.by_shard(slots[there]):
            thumbs = self._store.thumbs(shard, rows.tolist())
            for at, thumb in zip(there[among].tolist(), thumbs or [], strict=thumbs is not None):
                found[at] = thumb
        return found
