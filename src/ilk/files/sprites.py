"""Thumbnails of a run that grew: several folders of them, read as one."""

from __future__ import annotations

import bisect
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ilk.errors import DataError
from ilk.files.packs import Sprites
from ilk.files.sheets import SIDE
from ilk.files.thumbs import squares

__all__ = ["JoinedSprites", "sprites_of"]


class JoinedSprites:
    """Thumbnails in several folders, with the methods of `Sprites`; thread-safe.

    Parameters
    ----------
    folders : sequence of (int, Path)
        Each with the row of the run that its first thumbnail is of, ascending.
    """

    def __init__(self, folders: Sequence[tuple[int, Path]]) -> None:
        self._starts = [start for start, _ in folders]
        self._parts = [Sprites(folder) for _, folder in folders]

    def picture(self, row: int) -> tuple[bytes, str]:
        """Return the thumbnail of image `row` as a file, and its media type: see `Sprites.picture`."""
        part, at = self._at(row)
        return part.picture(at)

    def pixels(self, row: int) -> NDArray[np.uint8]:
        """Return the thumbnail of image `row` as uint8 (h, w, 3): see `Sprites.pixels`."""
        part, at = self._at(row)
        return part.pixels(at)

    def read(self, index: NDArray[np.int64] | Iterable[int], side: int = SIDE) -> NDArray[np.uint8]:
        """Return the central squares of the thumbnails `index`, uint8 (b, side, side, 3): see `Sprites.read`."""
        wanted = np.asarray(index if isinstance(index, np.ndarray) else list(index), np.int64)
        out = np.empty((len(wanted), side, side, 3), np.uint8)
        for at in np.argsort(wanted, kind="stable").tolist():  # each sheet of an older ilk once
            out[at] = squares([self.pixels(int(wanted[at]))], side)[0]
        return out

    def _at(self, row: int) -> tuple[Sprites, int]:
        if row < 0:
            raise IndexError(f"there is no thumbnail {row}")
        at = bisect.bisect_right(self._starts, row) - 1
        if at < 0:
            raise DataError(f"there is no thumbnail {row}")
        return self._parts[at], row - self._starts[at]


def sprites_of(folders: Sequence[tuple[int, Path]]) -> Sprites | JoinedSprites | None:
    """Return the thumbnails in `folders` (`Run.thumbs`); None where there are none."""
    if not folders:
        return None
    return Sprites(folders[0][1]) if len(folders) == 1 and folders[0][0] == 0 else JoinedSprites(folders)
