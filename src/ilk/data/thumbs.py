"""The thumbnails of a source's rows, as files: made while the images are decoded, and kept in the cache."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, final

import numpy as np
import numpy.typing as npt

from ilk import compute
from ilk.data.shards import SHARD, Position, Store
from ilk.data.sources import THUMB, ImageSource
from ilk.files.thumbs import UNSEEN, decode_thumb, squares

__all__ = ["NoThumbs", "ScannedThumbs", "ThumbSource", "Thumbs", "as_squares"]

_RECENT = 8  # shards whose thumbnails are in memory: a megabyte each
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
    positions : list of (Position or None)
        One per row of the source; duplicates share one; None has no picture.
    """

    def __init__(self, store: Store, positions: list[Position | None], keep: Any = None) -> None:
        self._store = store
        self._positions = positions
        self._keep = keep  # a temporary cache lives as long as its thumbnails
        self._recent: OrderedDict[str, list[bytes] | None] = OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._positions)

    def files(self, index: Sequence[int]) -> list[bytes]:
        """Return the thumbnails of the rows `index`, byte for byte as they were made."""
        found = []
        for row in index:
            position = self._positions[row]
            shard = None if position is None else self._shard(position[0])
            found.append(b"" if position is None or shard is None else shard[position[1]])
        return found

    def _shard(self, name: str) -> list[bytes] | None:
        with self._lock:
            if name not in self._recent:
                self._recent[name] = self._store.thumbs(name)
                if len(self._recent) > _RECENT:
                    self._recent.popitem(last=False)
            self._recent.move_to_end(name)
            return self._recent[name]
