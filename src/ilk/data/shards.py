"""The cache: what was once made of an image, its features or its decoded pixels, is found again by its content.

``cache/features/<encoder key>/<shard>.safetensors`` each hold 256 images, or more where there are very many: features
float16 (m, d), hashes, sizes, reasons, and the thumbnails as files one after the other (a shard of an older ilk: 48 px
in one WebP sheet). A shard appears in one move and is never changed. The file ``index`` beside them says which image is
in which, so that not all are opened at each start; without it, or where shards are younger, these are looked into.
``cache/pixels/<size>`` is the same with uint8 pixels in the position of features.
``cache/files/<source>`` remembers (name, size, time) → hash, so that unchanged files are not read: `ilk.data.memo`.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import stat
import tempfile
import weakref
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import PIL
from safetensors import SafetensorError
from safetensors.numpy import save

import ilk
from ilk import disk
from ilk.data.index import Index, Names
from ilk.data.keeping import digest as digest
from ilk.data.keeping import not_kept as not_kept
from ilk.data.keeping import write_whole as write_whole
from ilk.data.keeping import writing
from ilk.errors import DataError
from ilk.shards.one import OneShard, name_of, parts_of
from ilk.shards.slots import Slots, by_shard, shard_of

__all__ = [
    "DECODE_VERSION",
    "SHARD",
    "Shard",
    "Store",
    "digest",
    "images_per_shard",
    "not_kept",
    "write_whole",
]

SHARD = 256
"""Images per shard, at most; see `images_per_shard`."""

_BYTES, _MORE_BYTES = 16 * 2**20, 64 * 2**20  # features and thumbnails of a shard, at most
_INDEXED = 16  # shards that the index may lack

DECODE_VERSION = 2
"""Raised when the way files become pixels changes, so that what was cached before is not mixed with what is new."""

_DECODER = f"ilk {ilk.__version__}, Pillow {PIL.__version__}"  # what called a file unreadable; another one tries again


@dataclass
class Shard:
    """Images on their way into a shard: one entry per image; those that are unreadable have zero features, no thumb."""

    hashes: list[bytes] = field(default_factory=list)
    features: list[npt.NDArray[Any]] = field(default_factory=list)
    thumbs: list[bytes] = field(default_factory=list)
    widths: list[int] = field(default_factory=list)
    heights: list[int] = field(default_factory=list)
    reasons: list[str | None] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.hashes)


@dataclass(frozen=True)
class Loaded:
    """What a shard holds but for its thumbnails."""

    features: npt.NDArray[Any]  # (m, d)
    names: Names  # (m,)
    widths: npt.NDArray[np.int32]
    heights: npt.NDArray[np.int32]
    reasons: list[str | None]
    old: bool  # from an older ilk: thumbnails of 48 pixels


def images_per_shard(n: int, row_bytes: int) -> tuple[int, int]:
    """Return how many images a shard of a set of `n` images gets, and how many bytes, at most.

    A process that is killed loses the shard in work, and the folder has n / 256 of them: so few for small sets, and
    16,384 for more than a million, whose shards would be a million files at 10⁹.

    >>> images_per_shard(1000, 2560), images_per_shard(200_000, 2560), images_per_shard(10**7, 2560)
    ((256, 16777216), (2048, 67108864), (16384, 67108864))
    """
    wanted = SHARD if n < 100_000 else 8 * SHARD if n < 1_000_000 else 64 * SHARD
    most = _BYTES if wanted == SHARD else _MORE_BYTES
    return max(1, min(wanted, most // max(1, row_bytes))), most


class Store:
    """The shards of one encoder or image size, and an index of all hashes in them.

    Parameters
    ----------
    folder : Path
        ``cache/features/<encoder key>``; made if need be. Where it must not be written, what is new goes to a temporary
        folder that lives as long as this object, and a note says so.
    n_features : int
        d.
    dtype : numpy dtype
        Of the features.

    Notes
    -----
    To open it costs a look into the folder, the reading of ``index``, and of those shards that it does not know.
    """

    def __init__(self, folder: Path, n_features: int, dtype: npt.DTypeLike = np.float16) -> None:
        self.folder = folder
        self.n_features = n_features
        self.dtype = np.dtype(dtype)
        self.notes: list[str] = []
        self.writes = folder
        self.index = Index()
        self._kind = f"{_DECODER}, {n_features} {self.dtype}"
        try:
            with writing(folder):
                folder.parent.mkdir(parents=True, exist_ok=True)
                disk.own_folder(folder.parent)
                disk.own_folder(folder)
        except DataError as error:
            self._aside(error)
        there = sorted(folder.glob("*.safetensors"))
        self.index.load(folder / "index", self._kind, {path.stem for path in there})
        self._new = 0  # shards that the index on the disk lacks
        for path in there:
            if path.stem not in self.index:
                self._take(path)

    def __contains__(self, name: bytes) -> bool:
        return self.index.get(name) >= 0

    def find(self, names: Names) -> Slots:
        """Return the slots of images by their hashes (n,); -1 for those that are not there. See `ilk.shards.slots`."""
        return self.index.find(names)

    def shard(self, slot: int) -> str:
        """Return the name of the shard that a slot is in."""
        return self.index.shards[shard_of(slot)]

    def by_shard(self, slots: Slots) -> list[tuple[str, npt.NDArray[np.int64], npt.NDArray[np.int64]]]:
        """Return for each shard of `slots` (none of which is -1) its name, which of them are in it, and their rows."""
        return [(self.index.shards[number], among, rows) for number, among, rows in by_shard(slots)]

    def add(self, shard: Shard) -> None:
        """Write a shard, all or nothing, and add it to the index.

        A sound one of the same images that is there already stays as it is: a run may name it.

        Raises
        ------
        DataError
            The disk is full, or the folder cannot be written.
        """
        features = np.stack(shard.features).astype(self.dtype, copy=False)
        text = json.dumps([shard.widths, shard.heights, shard.reasons])
        tensors: dict[str, npt.NDArray[Any]] = {
            "features": features,
            "hashes": np.frombuffer(b"".join(shard.hashes), np.uint8).reshape(len(shard), -1),
            "thumbs": np.frombuffer(b"".join(shard.thumbs), np.uint8),
            "ends": np.cumsum([len(thumb) for thumb in shard.thumbs], dtype=np.uint32),
        }
        name = name_of(b"".join(shard.hashes))
        metadata = {"facts": text, "decoder": _DECODER, "digest": disk.tensor_digest(tensors, text)}
        if not self._is_there(name):
            data = save(tensors, metadata)
            try:
                write_whole(self.writes / f"{name}.safetensors", data)
            except DataError as error:
                self._aside(error)
                write_whole(self.writes / f"{name}.safetensors", data)
        self.index.add(name, shard.hashes, [reason is not None for reason in shard.reasons])
        self._new += 1

    def complete(self) -> None:
        """Write the index, where it has become worth it."""
        if self._new >= max(_INDEXED, len(self.index.shards) // 16) and self.writes == self.folder:
            self.index.save(self.folder / "index", self._kind)
            self._new = 0

    def load(self, name: str) -> Loaded | None:
        """Return what a shard holds; None, with a note, if it is damaged, and then it is dropped."""
        try:
            with disk.open_tensors(self._path(name)) as file:
                tensors = {key: file.get_tensor(key) for key in parts_of(set(file.keys()))}
                metadata = file.metadata()
            features, hashes = tensors["features"], tensors["hashes"]
            if (
                metadata["digest"] == disk.tensor_digest(tensors, metadata["facts"])
                and features.shape == (len(hashes), self.n_features)
                and features.dtype == self.dtype
            ):
                return Loaded(features, _names(hashes), *_facts(metadata["facts"], len(hashes)), "sheet" in tensors)
            wrong: Exception | None = None
        except (SafetensorError, OSError, KeyError, ValueError, TypeError) as error:
            wrong = error
        self._drop(self._path(name), wrong)
        return None

    def features(self, name: str) -> npt.NDArray[Any] | None:
        """Return (m, d) of a shard; None, with a note, if it is damaged, and then it is dropped."""
        loaded = self.load(name)
        return None if loaded is None else loaded.features

    def thumbs(self, name: str, rows: Sequence[int] | None = None) -> list[bytes] | None:
        """Return thumbnails of a shard, of all images or of `rows`: see `OneShard.thumbs`; None if damaged."""
        try:
            found = OneShard(self._path(name), follow=True)
            return found.thumbs(None if rows is None else np.asarray(rows, np.int64))
        except (OSError, ValueError, DataError):
            return None

    def _is_there(self, name: str) -> bool:
        """Tell whether there is a sound shard of that name, with the reasons that this decoder gives."""
        with contextlib.suppress(OSError, ValueError):
            found = OneShard(self._path(name), follow=True)
            fits = found.features.shape[1] == self.n_features and found.features.dtype == self.dtype
            return fits and found.name == name and found.metadata.get("decoder") == _DECODER and found.sound()
        return False

    def _take(self, path: Path) -> None:
        """Add a shard on the disk to the index, without its features."""
        try:
            with disk.open_tensors(path) as file:
                hashes = [row.tobytes() for row in file.get_tensor("hashes")]
                metadata = file.metadata()
                shape = file.get_slice("features").get_shape()
                names = set(file.keys())  # an opened file is no mapping
            reasons = _facts(metadata["facts"], len(hashes))[2]
            if shape[1] != self.n_features or not names.issuperset(parts_of(names)):
                raise ValueError("another shape, or arrays that are missing")
        except (SafetensorError, OSError, KeyError, ValueError, TypeError, IndexError) as error:
            self._drop(path, error)
            return
        bad = [reason is not None for reason in reasons]
        self.index.add(path.stem, hashes, bad, retry=metadata.get("decoder") != _DECODER)
        self._new += 1

    def _drop(self, path: Path, error: Exception | None) -> None:
        """Forget a shard. Its file is removed only where its content is wrong: what cannot be read now may be sound."""
        why = None if error is None else _unread(path, error)
        if why is None:
            self.notes.append(f"a damaged part of the cache was dropped and is made again ({path.name})")
        else:
            self.notes.append(f"a part of the cache cannot be read ({path.name}: {why}): its images are encoded again")
        self.index.drop(path.stem)
        if why is None:
            with contextlib.suppress(OSError):
                path.unlink()

    def _path(self, name: str) -> Path:
        beside = self.writes / f"{name}.safetensors"
        return beside if beside.exists() else self.folder / f"{name}.safetensors"

    def _aside(self, error: DataError) -> None:
        """Write to a temporary folder from now on, if `error` says that we may not write; else raise it."""
        if not disk.forbidden(error) or self.writes != self.folder:
            raise error
        self.notes.append(not_kept(self.folder.parent.parent, error))
        home = Path(tempfile.mkdtemp(prefix="ilk-features-"))
        weakref.finalize(self, shutil.rmtree, home, ignore_errors=True)
        self.writes = home / self.folder.name


def _names(hashes: npt.NDArray[np.uint8]) -> Names:
    if hashes.dtype != np.uint8 or hashes.shape[1:] != (16,):
        raise ValueError("no hashes")
    return np.ascontiguousarray(hashes).view("S16").reshape(-1)


def _facts(text: str, n: int) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32], list[str | None]]:
    """Return widths, heights and reasons of `n` images."""
    widths, heights, reasons = disk.parse_json(text.encode())
    if not all(type(side) is int and 0 <= side < 2**31 for side in (*widths, *heights)):
        raise ValueError("no sizes of images")
    if not all(isinstance(reason, str | None) for reason in reasons):
        raise ValueError("no reasons")
    if not n == len(widths) == len(heights) == len(reasons):
        raise ValueError("another number")
    return np.array(widths, np.int32), np.array(heights, np.int32), reasons


def _unread(path: Path, error: Exception) -> str | None:
    """Say why a shard cannot be read at all, if that, and not its content, is what `error` comes from."""
    with contextlib.suppress(OSError):
        if not stat.S_ISREG(path.lstat().st_mode):
            return None  # a pipe or a link is no shard of ours
    if isinstance(error, OSError):
        return None if isinstance(error, FileNotFoundError) else error.strerror or str(error)
    try:
        disk.file_digest(path)
    except OSError as again:
        return None if isinstance(again, FileNotFoundError) else again.strerror or str(again)
    return None
