"""Thumbnails of a run that grew: several folders of them, read as one."""

from __future__ import annotations

import bisect
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ilk.errors import DataError
from ilk.files.thumbs import Sprites

__all__ = ["JoinedSprites", "sprites_of"]


class JoinedSprites:
    """Thumbnails in several folders; thread-safe.

    Parameters
    ----------
    folders : sequence of (int, Path)
        Each with the row of the run that its first thumbnail is of, ascending.
    """

    def __init__(self, folders: Sequence[tuple[int, Path]]) -> None:
        self._starts = [start for start, _ in folders]
        self._parts = [Sprites(folder) for _, folder in folders]

    def read(self, index: NDArray[np.int64] | Iterable[int]) -> NDArray[np.uint8]:
        """Return the thumbnails of the rows `index`, as `Sprites.read`; errors as there."""
        wanted = np.asarray(index if isinstance(index, np.ndarray) else list(index), np.int64)
        if not len(wanted):
            return self._parts[0].read(wanted)
        if wanted.min() < 0:
            raise IndexError(f"there is no thumbnail {wanted.min()}")
        part = np.searchsorted(self._starts, wanted, "right") - 1
        if part.min() < 0:
            raise DataError(f"there is no thumbnail {wanted.min()}")
        found: dict[int, NDArray[np.uint8]] = {}
        for at in np.unique(part).tolist():
            found[at] = self._parts[at].read(wanted[part == at] - self._starts[at])
        first = next(iter(found.values()))
        out = np.empty((len(wanted), *first.shape[1:]), np.uint8)
        for at, pixels in found.items():
            out[part == at] = pixels
        return out

    def picture(self, row: int) -> Any:
        """Return the thumbnail of one row as an encoded image and its media type, as `Sprites.picture`."""
        at = bisect.bisect_right(self._starts, row) - 1
        if at < 0:
            raise DataError(f"there is no thumbnail {row}")
        part: Any = self._parts[at]
        return part.picture(row - self._starts[at])


def sprites_of(folders: Sequence[tuple[int, Path]]) -> Sprites | JoinedSprites | None:
    """Return the thumbnails in `folders` (`Run.thumbs`); None where there are none."""
    if not folders:
        return None
    return Sprites(folders[0][1]) if len(folders) == 1 and folders[0][0] == 0 else JoinedSprites(folders)
