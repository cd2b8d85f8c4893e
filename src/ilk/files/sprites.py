"""Thumbnails of a run that grew: those that it was made with and those of updates, read as one."""

from __future__ import annotations

import bisect
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ilk.errors import DataError
from ilk.files.packs import Sprites, Thumbnails

__all__ = ["JoinedSprites", "sprites_of"]


class JoinedSprites(Thumbnails):
    """Thumbnails in several folders or shards; thread-safe.

    Parameters
    ----------
    parts : sequence of (int, Thumbnails)
        Each with the row of the run that its first thumbnail is of, ascending.
    """

    def __init__(self, parts: Sequence[tuple[int, Thumbnails]]) -> None:
        self._starts = [start for start, _ in parts]
        self._parts = [part for _, part in parts]

    @property
    def old(self) -> bool:  # type: ignore[override]  # as that of `Sprites`
        """Whether the first of them have 48 pixels."""
        return self._parts[0].old

    def picture(self, row: int) -> tuple[bytes, str]:
        """Return the thumbnail of image `row` as a file, and its media type: see `Thumbnails.picture`."""
        part, at = self._at(row)
        return part.picture(at)

    def pixels(self, row: int) -> NDArray[np.uint8]:
        """Return the thumbnail of image `row` as uint8 (h, w, 3): see `Thumbnails.pixels`."""
        part, at = self._at(row)
        return part.pixels(at)

    def _at(self, row: int) -> tuple[Thumbnails, int]:
        if row < 0:
            raise IndexError(f"there is no thumbnail {row}")
        at = bisect.bisect_right(self._starts, row) - 1
        if at < 0:
            raise DataError(f"there is no thumbnail {row}")
        return self._parts[at], row - self._starts[at]


def sprites_of(sources: Sequence[tuple[int, Path | Thumbnails]]) -> Thumbnails | None:
    """Return the thumbnails of a run that are in `sources` (`Run.thumbs`); None where there are none."""
    parts = [(start, Sprites(source) if isinstance(source, Path) else source) for start, source in sources]
    if not parts:
        return None
    return parts[0][1] if len(parts) == 1 and parts[0][0] == 0 else JoinedSprites(parts)
