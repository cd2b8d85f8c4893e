"""The cache: what was once made of an image, its features or its decoded pixels, is found again by its content.

``cache/features/<encoder key>/<shard>.safetensors`` each hold up to 256 images: features float16 (m, d), hashes, sizes,
reasons, and the thumbnails as files one after the other (a shard of an older ilk: 48 px in one WebP sheet). A shard
appears in one move and is never changed.
``cache/pixels/<size>`` is the same with uint8 pixels in the position of features.
``cache/files/<source>`` remembers (name, size, time) → hash, so that unchanged files are not even read.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import itertools
import json
import shutil
import stat
import tempfile
import weakref
from collections.abc import Iterator, Mapping
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
from ilk.errors import DataError, IlkError
from ilk.files.sheets import decode_sheet
from ilk.files.thumbs import MOST_BYTES, make_thumb

__all__ = [
    "DECODE_VERSION",
    "SHARD",
    "Memo",
    "Position",
    "Shard",
    "Store",
    "digest",
    "not_kept",
    "write_whole",
]

SHARD = 256
"""Images per shard, at most."""

DECODE_VERSION = 2
"""Raised when the way files become pixels changes, so that what was cached before is not mixed with what is new."""

Position = tuple[str, int]  # (shard, row)

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
class Facts:
    """What a shard says about its images, features and thumbnails apart."""

    hashes: list[bytes]
    widths: list[int]
    heights: list[int]
    reasons: list[str | None]
    old: bool = False  # from an older ilk: thumbnails of 48 pixels


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
    """

    def __init__(self, folder: Path, n_features: int, dtype: npt.DTypeLike = np.float16) -> None:
        self.folder = folder
        self.n_features = n_features
        self.dtype = np.dtype(dtype)
        self.notes: list[str] = []
        self.writes = folder
        self._index: dict[bytes, Position] = {}
        self._facts: dict[str, Facts] = {}
        try:
            with _writing(folder):
                folder.parent.mkdir(parents=True, exist_ok=True)
                disk.own_folder(folder.parent)
                disk.own_folder(folder)
        except DataError as error:
            self._aside(error)
        for path in sorted(folder.glob("*.safetensors")):
            self._take(path)

    def __contains__(self, name: bytes) -> bool:
        return name in self._index

    def position(self, name: bytes) -> Position | None:
        """Return (shard, row) of a hash, or None."""
        return self._index.get(name)

    def facts(self, position: Position) -> tuple[int, int, str | None]:
        """Return (width, height, reason) of an image."""
        facts, row = self._facts[position[0]], position[1]
        return facts.widths[row], facts.heights[row], facts.reasons[row]

    def add(self, shard: Shard) -> None:
        """Write a shard, all or nothing, and add it to the index.

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
        name = hashlib.blake2b(b"".join(shard.hashes), digest_size=16).hexdigest()
        metadata = {"facts": text, "decoder": _DECODER, "digest": _digest(tensors, text)}
        data = save(tensors, metadata)
        try:
            write_whole(self.writes / f"{name}.safetensors", data)
        except DataError as error:
            self._aside(error)
            write_whole(self.writes / f"{name}.safetensors", data)
        self._enter(name, Facts(shard.hashes, shard.widths, shard.heights, shard.reasons))

    def features(self, name: str) -> npt.NDArray[Any] | None:
        """Return (m, d) of a shard; None, with a note, if it is damaged, and then it is dropped."""
        try:
            with disk.open_tensors(self._path(name)) as file:
                tensors = {key: file.get_tensor(key) for key in _tensors(file)}
                metadata = file.metadata()
            features: npt.NDArray[Any] = tensors["features"]
            sound = metadata["digest"] == _digest(tensors, metadata["facts"])
            shape = len(self._facts[name].hashes), self.n_features
            if sound and features.shape == shape and features.dtype == self.dtype:
                return features
            wrong: Exception | None = None
        except (SafetensorError, OSError, KeyError, ValueError, TypeError) as error:
            wrong = error
        self._drop(self._path(name), wrong)
        return None

    def thumbs(self, name: str) -> list[bytes] | None:
        """Return the thumbnails of a shard, b"" for unreadable images; None if they cannot be read."""
        n = len(self._facts[name].hashes)
        try:
            with disk.open_tensors(self._path(name)) as file:
                if self._facts[name].old:
                    return [make_thumb(cell) for cell in decode_sheet(file.get_tensor("sheet").tobytes(), n)]
                data, ends = file.get_tensor("thumbs").tobytes(), [0, *file.get_tensor("ends").tolist()]
        except (SafetensorError, OSError, KeyError, DataError):
            return None
        thumbs = [data[a:b] for a, b in itertools.pairwise(ends)]
        sound = len(thumbs) == n and ends[-1] == len(data) and b"".join(thumbs) == data
        return thumbs if sound and max(map(len, thumbs)) <= MOST_BYTES else None

    def has_old_thumbs(self, position: Position) -> bool:
        """Whether the thumbnail of an image is one of 48 pixels, as an older ilk made them."""
        return self._facts[position[0]].old

    def _take(self, path: Path) -> None:
        """Add a shard on the disk to the index, without its features."""
        try:
            with disk.open_tensors(path) as file:
                hashes = [row.tobytes() for row in file.get_tensor("hashes")]
                metadata = file.metadata()
                d = file.get_slice("features").get_shape()[1]
                old = "sheet" in _tensors(file)
            widths, heights, reasons = disk.parse_json(metadata["facts"].encode())
            if not all(type(side) is int and 0 <= side < 2**31 for side in (*widths, *heights)):
                raise ValueError("no sizes of images")
            if not all(isinstance(reason, str | None) for reason in reasons):
                raise ValueError("no reasons")
            if d != self.n_features or not len(hashes) == len(widths) == len(heights) == len(reasons):
                raise ValueError("another shape")
        except (SafetensorError, OSError, KeyError, ValueError, TypeError, IndexError) as error:
            self._drop(path, error)
            return
        facts = Facts(hashes, widths, heights, reasons, old)
        self._enter(path.stem, facts, retry=metadata.get("decoder") != _DECODER)

    def _enter(self, name: str, facts: Facts, retry: bool = False) -> None:
        self._facts[name] = facts
        for row, content in enumerate(facts.hashes):
            if not (retry and facts.reasons[row] is not None):
                self._index.setdefault(content, (name, row))

    def _drop(self, path: Path, error: Exception | None) -> None:
        """Forget a shard. Its file is removed only where its content is wrong: what cannot be read now may be sound."""
        why = None if error is None else _unread(path, error)
        if why is None:
            self.notes.append(f"a damaged part of the cache was dropped and is made again ({path.name})")
        else:
            self.notes.append(f"a part of the cache cannot be read ({path.name}: {why}): its images are encoded again")
        for content in self._facts.pop(path.stem, Facts([], [], [], [])).hashes:
            if self._index.get(content, ("", 0))[0] == path.stem:
                del self._index[content]
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


def _tensors(file: Any) -> tuple[str, ...]:
    """Return what an opened shard has to hold: this version, or the one before it."""
    names = set(file.keys())  # an opened file is no mapping
    return ("features", "hashes", "sheet") if "sheet" in names else ("features", "hashes", "thumbs", "ends")


def not_kept(cache: Path, error: BaseException) -> str:
    """Return the note that `cache` must not be written, for the reason in `error`."""
    while not isinstance(error, OSError):
        error = error.__context__ or OSError("it is refused")
    why = error.strerror or error
    return (
        f"the cache {cache} cannot be written ({why}): nothing new is kept for later runs; choose another with --cache"
    )


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


def digest(*parts: Any) -> str:
    """Return 32 hex digits that stand for the JSON of `parts`.

    Examples
    --------
    >>> digest("a", {"b": 1}) == digest("a", {"b": 1}), len(digest())
    (True, 32)
    """
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"))
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def _digest(tensors: Mapping[str, npt.NDArray[Any]], text: str) -> str:
    found = hashlib.blake2b(text.encode(), digest_size=16)
    for name in sorted(tensors):
        found.update(np.ascontiguousarray(tensors[name]).view(np.uint8).reshape(-1).data)
    return found.hexdigest()


@contextlib.contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        help_ = "free some space" if full else "check its permissions"
        raise DataError(f"cannot write {path}: {error.strerror or error}; {help_} or choose another --cache") from None


def write_whole(path: Path, data: bytes) -> None:
    """Write a file so that it is there whole or not at all, even after a power cut.

    Raises
    ------
    DataError
        The disk is full, or the folder cannot be written. Nothing half-written remains.
    """
    with _writing(path.parent):
        path.parent.parent.mkdir(parents=True, exist_ok=True)
        disk.own_folder(path.parent)
        disk.write_bytes(path, data)


class Memo:
    """What the files of a source held when they were last read: stamp → hash.

    Parameters
    ----------
    path : Path
        A safetensors file below ``cache/files``; absent or damaged counts as empty.
    stamps : list of bytes, or None
        Of the source's rows, see `ImageSource.stamps`.
    """

    def __init__(self, path: Path, stamps: list[bytes] | None) -> None:
        self._path = path
        self._stamps = stamps
        self._known: dict[bytes, bytes] = {}
        if stamps is None or not path.is_file():
            return
        with contextlib.suppress(SafetensorError, OSError, KeyError, ValueError), disk.open_tensors(path) as file:
            pairs = file.get_tensor("pairs")
            if pairs.shape[1] == 32 and file.metadata()["digest"] == _digest({"pairs": pairs}, ""):
                self._known = {row[:16].tobytes(): row[16:].tobytes() for row in pairs}

    def get(self, row: int) -> bytes | None:
        """Return the hash of a row's content if its file is as it was, else None."""
        return None if self._stamps is None else self._known.get(self._stamps[row])

    def save(self, hashes: list[bytes]) -> None:
        """Remember the hashes (b"" where unknown) of all rows; files that are gone are forgotten."""
        if self._stamps is None:
            return
        pairs = {stamp: name for stamp, name in zip(self._stamps, hashes, strict=True) if stamp and name}
        if not pairs or pairs == self._known:
            return
        table = np.frombuffer(b"".join(a + b for a, b in pairs.items()), np.uint8).reshape(-1, 32)
        tensors = {"pairs": table}
        with contextlib.suppress(IlkError):  # a memo only saves time: the next run reads the files again
            write_whole(self._path, save(tensors, {"digest": _digest(tensors, "")}))
