"""Features and thumbnails of a run's images, read from the shards of a cache as they are asked for."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ilk import disk
from ilk.disk.rows import DiskRows
from ilk.errors import DataError, RunError
from ilk.files import Thumbnails
from ilk.files.large import release
from ilk.files.thumbs import UNSEEN, decode_thumb, media_type
from ilk.shards.one import OneShard
from ilk.shards.slots import Slots, by_shard

__all__ = ["ShardRows", "ShardThumbs", "Shards"]

_OPEN = 64  # shards that are held open: to open one costs a millisecond, and to hold it a file descriptor
_NAME = 16  # bytes of a name, and of a digest


class Shards:
    """Shards of one folder of a cache, by number, each held against its name and its digest; thread-safe.

    At most 64 are held open, as memory maps whose pages are let go when they were read: memory does not grow with what
    they hold.

    Parameters
    ----------
    cache : Path
    folder : (str, str)
        Where they are below it: ``features``, and the encoder's key.
    table : (s, 32) uint8
        Name and digest of each.
    n_features, dtype
        Of every row of features.
    cure : str
        What to do where one is missing or damaged.
    """

    def __init__(
        self,
        cache: Path,
        folder: tuple[str, str],
        table: npt.NDArray[np.uint8],
        n_features: int,
        dtype: npt.DTypeLike,
        cure: str,
    ) -> None:
        self.cache = cache
        self.folder = cache.joinpath(*folder)
        self.n_features, self.dtype = n_features, np.dtype(dtype)
        self._parts, self._table, self._cure = folder, table, cure
        self._open: OrderedDict[int, OneShard] = OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._table)

    def name(self, number: int) -> str:
        """Return the name of a shard, 32 hex digits."""
        return bytes(self._table[number, :_NAME]).hex()

    def check(self) -> None:
        """Look whether all are there, at the cost of one look into the folder.

        Raises
        ------
        RunError
            Some are not, or the folder is not.
        """
        try:
            inside = disk.within(self.cache, *self._parts, "x").parent
            there = {path.name for path in inside.iterdir()}
        except OSError as error:
            why = "is not there" if isinstance(error, FileNotFoundError) else f"cannot be read ({error.strerror})"
            raise RunError(f"the cache folder {self.folder}, which this run needs, {why}. {self._cure}") from None
        gone = [number for number in range(len(self)) if f"{self.name(number)}.safetensors" not in there]
        if gone:
            what = f"{len(gone):,} of the {len(self):,} shards that this run needs are missing"
            raise RunError(f"{what} from {self.folder} ({self.name(gone[0])} …). {self._cure}")

    def check_content(self, number: int) -> None:
        """Hold every byte of a shard against its digest, at about 1 s a GB; RunError where one is another."""
        if not self.one(number).sound():
            raise self.damaged(number, "its checksum is another")

    def one(self, number: int) -> OneShard:
        """Return a shard; RunError where it is missing, damaged, not the one that was noted, or was not noted."""
        if not 0 <= number < len(self):
            raise RunError(f"slots.npy names shard {number:,} of {len(self):,}: the run is damaged. {self._cure}")
        with self._lock:
            if number not in self._open:
                self._open[number] = self._opened(number)
                while len(self._open) > _OPEN:
                    self._open.popitem(last=False)
            self._open.move_to_end(number)
            return self._open[number]

    def damaged(self, number: int, why: object) -> RunError:
        """Return the error that names a shard."""
        path = self.folder / f"{self.name(number)}.safetensors"
        return RunError(f"the shard {path} is missing or damaged ({disk.one_line(why)}). {self._cure}")

    def _opened(self, number: int) -> OneShard:
        name = self.name(number)
        try:
            found = OneShard(disk.within(self.cache, *self._parts, f"{name}.safetensors"))
            if found.name != name:
                raise ValueError("it is of other images")
            if found.digest != bytes(self._table[number, _NAME:]).hex():
                raise ValueError("it has another content than when the run was made")
            if found.features.shape[1] != self.n_features or found.features.dtype != self.dtype:
                raise ValueError(f"features {found.features.dtype} {found.features.shape}")
        except (OSError, ValueError) as error:
            raise self.damaged(number, getattr(error, "strerror", None) or error) from None
        return found


class ShardRows(DiskRows):
    """(n, d) features of n images, each a row of some shard; NaN where an image could not be read.

    Parameters
    ----------
    shards : Shards
    slots : (n,) int64
        Where each image is; duplicates share one. May be a memory map.
    """

    def __init__(self, shards: Shards, slots: Slots) -> None:
        super().__init__((len(slots), shards.n_features), shards.dtype)
        self._shards, self._slots = shards, slots

    def _read(self, rows: npt.NDArray[np.int64]) -> npt.NDArray[Any]:
        return self._of(self._slots[rows])

    def _slice(self, start: int, stop: int) -> npt.NDArray[Any]:
        return self._of(self._slots[start:stop])

    def _of(self, slots: Slots) -> npt.NDArray[Any]:
        slots = np.array(slots)
        release(self._slots)
        found = np.empty((len(slots), self.shape[1]), self.dtype)
        found[slots == -1] = np.nan
        there = np.flatnonzero(slots != -1)
        for number, among, rows in by_shard(slots[there]):
            shard = self._shards.one(number)
            if rows.max() >= len(shard):
                raise self._shards.damaged(number, f"it has {len(shard):,} images, and the run names more")
            found[there[among]] = shard.rows(rows)
        return found


class ShardThumbs(Thumbnails):
    """Thumbnails of n images, each of some shard; grey where an image could not be read; thread-safe.

    Parameters
    ----------
    shards : Shards
    slots : (n,) int64
    """

    old = False

    def __init__(self, shards: Shards, slots: Slots) -> None:
        self._shards, self._slots = shards, slots

    def __len__(self) -> int:
        return len(self._slots)

    def picture(self, row: int) -> tuple[bytes, str]:
        """Return the thumbnail of image `row` as a file, and its media type: see `ilk.files.Sprites.picture`."""
        data = self.files([row])[0] or UNSEEN
        return data, media_type(data)

    def pixels(self, row: int) -> npt.NDArray[np.uint8]:
        """Return the thumbnail of image `row` as uint8 (h, w, 3): see `ilk.files.Sprites.pixels`."""
        return decode_thumb(self.files([row])[0] or UNSEEN)

    def files(self, index: Sequence[int]) -> list[bytes]:
        """Return the thumbnails of the images `index`, byte for byte as they were made; b"" for unreadable ones.

        Raises
        ------
        DataError
            A shard is missing or damaged; it is named.
        IndexError
            There is no image with that number.
        """
        wanted = np.asarray(index, np.int64)
        if len(wanted) and not 0 <= wanted.min() <= wanted.max() < len(self):
            raise IndexError(f"there is no thumbnail {wanted.min() if wanted.min() < 0 else wanted.max()}")
        slots, found = np.array(self._slots[wanted]), [b""] * len(wanted)
        there = np.flatnonzero(slots != -1)
        for number, among, rows in by_shard(slots[there]):
            try:
                thumbs = self._shards.one(number).thumbs(rows)
            except (RunError, ValueError) as error:
                raise DataError(str(error)) from None
            for at, thumb in zip(there[among].tolist(), thumbs, strict=True):
                found[at] = thumb
        return found
