"""How a run names shards of a cache instead of copying what they hold, and how a cache knows which runs need it.

In the run: ``shards`` of run.json (where the cache is, which folder of it, what a row is), ``shards.npy`` (s, 32) uint8
(name and digest of each shard) and ``slots.npy`` (n,) int64 (shard and row of every image). In the cache:
``needed/<digest of a path>.json`` with the path of a run.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ilk import disk
from ilk.errors import RunError
from ilk.shards.rows import ShardRows, Shards, ShardThumbs
from ilk.shards.slots import Slots

__all__ = ["FILES", "Named", "Naming", "forget", "needed_by", "note", "read", "unfit", "write"]

FILES = ("shards.npy", "slots.npy")
"""What a run has instead of features and thumbnails."""

CURE = (
    "Give the command that made the run again, with --cache where the cache was moved: what is missing is made again, "
    "and nothing else changes."
)
_KIND = "features"  # the only folder of a cache that a run may name something of
_KEY = re.compile(r"[0-9a-f]{32}(-[\w.~+-]{1,200})?")  # of an encoder, and how files with more than 8 bits were read
_WIDEST = 1 << 20  # numbers of a row
_NOTES = "needed"
_NOTE = re.compile(r"[0-9a-f]{32}\.json")
_NOTE_BYTES = 1 << 16
_MOST_NOTES = 100_000


@dataclass(frozen=True)
class Naming:
    """Shards that are to be named.

    Attributes
    ----------
    cache : Path
    key : str
        Their folder below ``features``: the encoder's key.
    names, digests : list of str
        32 hex digits each.
    slots : (n,) int64
        Where each image is; -1: nowhere, it could not be read.
    n_features, dtype
        Of a row of features.
    """

    cache: Path
    key: str
    names: list[str]
    digests: list[str]
    slots: Slots
    n_features: int
    dtype: np.dtype[Any]


@dataclass(frozen=True)
class Named:
    """Shards that a run names.

    Attributes
    ----------
    shards : Shards
    slots : (n,) int64 memory map
    """

    shards: Shards
    slots: Slots

    @property
    def cache(self) -> Path:
        """The cache that the run needs."""
        return self.shards.cache

    def features(self) -> Any:
        """Return what acts as the (n, d) features: see `ShardRows`."""
        return ShardRows(self.shards, self.slots)

    def thumbs(self) -> ShardThumbs:
        """Return the thumbnails of all images."""
        return ShardThumbs(self.shards, self.slots)


def write(folder: Path, naming: Naming) -> dict[str, Any]:
    """Write the files of a run, in `folder`, that name shards; return the entry of run.json."""
    rows = [bytes.fromhex(name + digest) for name, digest in zip(naming.names, naming.digests, strict=True)]
    table = np.frombuffer(b"".join(rows), np.uint8).reshape(-1, 32)
    arrays: tuple[npt.NDArray[Any], ...] = (table, naming.slots)
    for name, array in zip(reversed(FILES), reversed(arrays), strict=True):  # the table last: see `jobs.mend`
        with disk.replacing(folder / name) as file:
            np.save(file, array, allow_pickle=False)
    return {
        "cache": str(naming.cache),
        "key": naming.key,
        "n": len(naming.names),
        "n_features": naming.n_features,
        "dtype": str(naming.dtype),
    }


def read(folder: Path, record: Mapping[str, Any], n: int) -> Named:
    """Return the shards that the run in `folder`, of `n` images, names. None of them is opened.

    The cache is where run.json says, or where that lies as seen from the run: both may have been moved together.

    Raises
    ------
    RunError
        The files are damaged, or name what is no shard of a cache.
    """
    cache, key, beside = Path(record["cache"]), record["key"], record.get("beside")
    wrong = unfit(cache, key)
    if wrong is None and (record["dtype"] != "float16" or not 0 < record["n_features"] <= _WIDEST):
        wrong = "rows that no shard has"
    if wrong is not None:
        raise RunError(f"{folder / 'run.json'} is damaged ({wrong}). {CURE}")
    if beside is not None and not (cache / _KIND / key).is_dir():
        moved = Path(os.path.normpath(folder.absolute() / beside))
        cache = moved if (moved / _KIND / key).is_dir() else cache
    table, slots = (_array(folder / name) for name in FILES)
    if table.dtype != np.uint8 or table.shape != (record["n"], 32):
        raise RunError(f"{folder / FILES[0]} is damaged ({table.dtype} {table.shape}). {CURE}")
    if slots.dtype != np.int64 or slots.shape != (n,):
        raise RunError(f"{folder / FILES[1]} is damaged ({slots.dtype} {slots.shape} for {n:,} images). {CURE}")
    return Named(Shards(cache, (_KIND, key), table, record["n_features"], record["dtype"], CURE), slots)


def _array(path: Path) -> npt.NDArray[Any]:
    try:
        return disk.read_array(path)
    except (OSError, ValueError) as error:
        raise RunError(f"{path} is missing or damaged ({disk.one_line(error)}). {CURE}") from None


def unfit(cache: Path, key: str) -> str | None:
    r"""Say why a run does not name shards of this folder; None where it may.

    A path such as ``\\server\share`` is the address of a server, which a run of somebody else must not have asked.

    >>> unfit(Path("/home/me/.cache/ilk"), "0" * 32), unfit(Path("/home/me/.cache/ilk"), "../" + "0" * 32)
    (None, 'no cache has a folder features/../00000000000000000000000000000000')
    """
    if not cache.is_absolute() or str(cache).replace("\\", "/").startswith("//"):
        return f"{cache} is no whole path of this machine"
    return None if _KEY.fullmatch(key) else f"no cache has a folder {_KIND}/{key}"


# -- which runs need a cache -------------------------------------------------------------------------------------------


def note(run: Path, record: Mapping[str, Any]) -> dict[str, Any]:
    """Leave a note of `run` in the cache that it names; return the entry of run.json with where that is from the run.

    A cache that must not be written keeps no note.
    """
    run, cache = run.absolute(), Path(record["cache"])
    with contextlib.suppress(OSError):
        if cache.is_dir():
            notes = disk.own_folder(cache / _NOTES)
            name = hashlib.blake2b(os.fsencode(run), digest_size=16).hexdigest()
            disk.write_bytes(notes / f"{name}.json", json.dumps({"run": str(run)}).encode())
    try:
        return {**record, "beside": os.path.relpath(cache, run)}
    except ValueError:  # on another drive
        return {**record, "beside": None}


def needed_by(cache: Path) -> list[Path]:
    """Return the runs that need `cache`, as far as it knows: those that were moved or removed count no more."""
    found = []
    for path in _notes(cache):
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            run = Path(disk.read_json(path, limit=_NOTE_BYTES)["run"])
            if unfit(run, "0" * 32) is not None:
                continue
            named = disk.read_json(run / "run.json")["shards"]["cache"]
            if Path(named).resolve() == cache.resolve():
                found.append(run)
    return sorted(found)


def forget(cache: Path) -> None:
    """Remove the notes of all runs."""
    for path in _notes(cache):
        path.unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        (cache / _NOTES).rmdir()


def _notes(cache: Path) -> list[Path]:
    folder = cache / _NOTES
    if folder.is_symlink() or not folder.is_dir():
        return []
    return [path for path in sorted(folder.iterdir())[:_MOST_NOTES] if _NOTE.fullmatch(path.name)]
