"""One shard as a file: features of some images, the hashes of their content, and their thumbnails.

``<name>.safetensors`` holds ``features`` (m, d), ``hashes`` (m, 16), ``thumbs`` (the files one after the other) and
``ends`` (m,), where each ends; one of an older ilk has ``sheet``, thumbnails of 48 pixels in one picture. Its metadata
hold facts of the images and the digest of all this. The name is that of the hashes: equal names, equal images, but
perhaps not equal features, where another processor made them. So who wants to be certain keeps the digest too.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ilk import disk
from ilk.files.large import release
from ilk.files.sheets import decode_sheet
from ilk.files.thumbs import MOST_BYTES, make_thumb

__all__ = ["OneShard", "name_of", "parts_of"]

Ints = npt.NDArray[np.int64]


def name_of(hashes: bytes) -> str:
    """Return the name of a shard of images with these hashes (16 bytes each, one after the other): 32 hex digits."""
    return hashlib.blake2b(hashes, digest_size=16).hexdigest()


def parts_of(names: set[str]) -> tuple[str, ...]:
    """Return what a shard that has arrays of these names has to hold: this version, or the one before it."""
    return ("features", "hashes", "sheet") if "sheet" in names else ("features", "hashes", "thumbs", "ends")


class OneShard:
    """A shard, mapped: its rows are read when they are asked for.

    Parameters
    ----------
    path : Path
    follow
        Whether a link is good enough.

    Attributes
    ----------
    features : (m, d) memory map
    digest : str
        What it says of its own content; see `sound`.

    Raises
    ------
    OSError
        Missing, or no regular file.
    ValueError
        No shard: arrays are missing, of other types, or do not fit together.
    """

    def __init__(self, path: Path, *, follow: bool = False) -> None:
        tensors, self.metadata = disk.map_tensors(path, follow=follow)
        if missing := [part for part in parts_of(set(tensors)) if part not in tensors]:
            raise ValueError(f"no {missing[0]}")
        self._tensors: Mapping[str, npt.NDArray[Any]] = {part: tensors[part] for part in parts_of(set(tensors))}
        self.features, self.hashes = tensors["features"], tensors["hashes"]
        self.digest = self.metadata.get("digest", "")
        if self.hashes.dtype != np.uint8 or self.hashes.shape[1:] != (16,):
            raise ValueError("no hashes")
        if self.features.ndim != 2 or len(self.features) != len(self.hashes):
            raise ValueError(f"features {self.features.shape} of {len(self.hashes):,} images")

    def __len__(self) -> int:
        return len(self.hashes)

    @property
    def name(self) -> str:
        """What a shard of these images is called."""
        return name_of(self.hashes.tobytes())

    def sound(self) -> bool:
        """Tell whether every byte of it is as its digest says: reads it all, at about 1 s a GB."""
        return disk.tensor_digest(self._tensors, self.metadata.get("facts", "")) == self.digest

    def rows(self, rows: Ints) -> npt.NDArray[Any]:
        """Return the features (b, d) of the images `rows`, and let go of the pages that were read for them."""
        found = np.asarray(self.features[rows])
        release(self.features)
        return found

    def thumbs(self, rows: Ints | None = None) -> list[bytes]:
        """Return thumbnails as files, of all images or of `rows`; b"" for unreadable ones.

        Costs the bytes between the first and the last of the `rows` where these lie close together, else their own.

        Raises
        ------
        ValueError
            They do not lie one after the other, or there is no such row.
        DataError
            The sheet of an older ilk is damaged.
        """
        n = len(self)
        wanted = np.arange(n) if rows is None else np.asarray(rows, np.int64)
        if len(wanted) and not 0 <= wanted.min() <= wanted.max() < n:
            raise ValueError(f"an image beyond the {n:,} that it has")
        if "sheet" in self._tensors:
            cells = decode_sheet(self._tensors["sheet"].tobytes(), n)
            return [make_thumb(cells[row]) for row in wanted]
        found = _cut(self._tensors["thumbs"], np.append(0, self._tensors["ends"].astype(np.int64)), n, wanted)
        release(self._tensors["thumbs"])
        return found


def _cut(data: npt.NDArray[np.uint8], ends: Ints, n: int, rows: Ints) -> list[bytes]:
    """Return the files `rows` among `n` that lie one after the other in `data`."""
    sizes = np.diff(ends)
    if len(sizes) != n or ends[-1] != len(data) or (n and not 0 <= sizes.min() <= sizes.max() <= MOST_BYTES):
        raise ValueError("thumbnails that do not lie one after the other")
    if not len(rows):
        return []
    first, last = int(ends[rows.min()]), int(ends[rows.max() + 1])
    if last - first <= 4 * int(sizes[rows].sum()):
        block = data[first:last].tobytes()
        return [block[ends[row] - first : ends[row + 1] - first] for row in rows]
    return [data[int(ends[row]) : int(ends[row + 1])].tobytes() for row in rows]
