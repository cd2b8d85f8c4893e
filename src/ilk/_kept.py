"""Features and thumbnails of a run: copied into it, or, of very many images, named where they are in the cache."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ilk import files, runs, shards
from ilk.disk.rows import write_rows
from ilk.errors import DataError

__all__ = ["MANY", "copy", "remove", "write"]

MANY = 1_000_000
"""Images from which on a run names shards, unless it is asked otherwise: copies of a million photos take 7 GB."""
_BYTES = 64 << 20  # of features at a time


def write(writer: runs.RunWriter, encoded: Any, copies: bool | None) -> str | None:
    """Write what a run keeps of `encoded`, or where it is.

    Parameters
    ----------
    writer
    encoded : Encoded
        With a row for each distinct readable image.
    copies
        Whether features and thumbnails are copied; None: of fewer than a million images.

    Returns
    -------
    str or None
        Why they are copied though they were not to be.
    """
    remove(writer.folder)
    wanted = len(encoded.position) >= MANY if copies is None else not copies
    named, why = _naming(writer, encoded) if wanted else (None, None)
    if named is not None:
        writer.name_shards(named)
        return None
    features = encoded.features
    shape = len(encoded.position), features.shape[1]
    copy(writer.folder, shape, features.dtype, _blocks(encoded), encoded.thumbs.blocks())
    return why


def copy(
    folder: Path,
    shape: tuple[int, int],
    dtype: npt.DTypeLike,
    blocks: Iterable[npt.NDArray[Any]],
    thumbs: Iterable[list[bytes]],
) -> None:
    """Write features of `shape`, which come in blocks, and the thumbnails of all images.

    Raises
    ------
    OSError
        The disk refuses.
    """
    write_rows(folder / "features.npy", shape, dtype, blocks)
    files.write_thumbs(folder / "thumbs", itertools.chain.from_iterable(thumbs))


def remove(folder: Path) -> None:
    """Remove features and thumbnails, and what names them: of an attempt before this one."""
    for name in ("features.npy", *shards.FILES):
        (folder / name).unlink(missing_ok=True)
    shutil.rmtree(folder / "thumbs", ignore_errors=True)


def _naming(writer: runs.RunWriter, encoded: Any) -> tuple[shards.Naming | None, str | None]:
    """Return the shards to name, or why there are none."""
    if encoded.kept is None:
        return None, "the features of this run are in no cache"
    try:
        found = encoded.kept.naming()
    except DataError as error:
        return None, str(error)
    if found.cache.is_relative_to(writer.folder.resolve()):
        return None, "there is no cache that outlasts the run"
    why = shards.unfit(found.cache, found.key)
    return (found, None) if why is None else (None, why)


def _blocks(encoded: Any) -> Iterator[npt.NDArray[Any]]:
    """Yield the features of all images, a slice at a time; NaN rows are unreadable ones."""
    position, features = encoded.position, encoded.features
    step = max(1, _BYTES // max(1, features.itemsize * features.shape[1]))
    for start in range(0, len(position), step):
        at = position[start : start + step]
        block = features[np.maximum(at, 0)]
        block[at < 0] = np.nan
        yield block
