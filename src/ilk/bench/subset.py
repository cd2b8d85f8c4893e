"""A random part of the images of an npz, as a file of its own."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np

from ilk import disk
from ilk.errors import ArgumentError, DataError

__all__ = ["subset"]

_SEED = 20_17  # the same part for every row, seed and machine


def subset(source: str, n: int, folder: Path) -> Path:
    """Write `n` random rows of every array of an npz into ``<folder>/<name>-<n>.npz`` and return its path.

    Parameters
    ----------
    source
        An npz. Arrays that end in ``_train`` and ``_test`` are parts: each gives its share. Arrays of the same part
        that are as long as its images are cut alike, so that labels stay with them; all others are kept.
    n
        At least 1, at most the number of images.

    Raises
    ------
    ArgumentError
        Not an npz, or fewer images.

    Notes
    -----
    The part is drawn with a fixed seed. Rows keep their order.
    """
    path = Path(source)
    if path.suffix != ".npz":
        raise ArgumentError(f"images = {n}: only a part of an .npz can be taken, not of {source}.")
    try:
        with path.open("rb") as data:  # by its content: a copy, or a file that was only touched, has the same part
            mark = hashlib.file_digest(data, lambda: hashlib.blake2b(digest_size=4)).hexdigest()
        target = folder / f"{path.stem}-{n}-{mark}.npz"
        if target.exists():
            return target
        with np.load(path, allow_pickle=False) as file:
            arrays = {key: file[key] for key in file.files}
    except (OSError, ValueError) as error:
        raise DataError(f"cannot read {path}: {error}.") from None
    parts = {key: next((end for end in ("_train", "_test") if key.endswith(end)), "") for key in arrays}
    sizes = {parts[key]: len(array) for key, array in arrays.items() if array.ndim >= 3}  # images
    total = sum(sizes.values())
    if not 1 <= n <= total:
        raise ArgumentError(f"images = {n}: {source} has {total:,} images.")
    chosen = np.sort(np.random.default_rng(_SEED).permutation(total)[:n])
    rows, start = {}, 0
    for part in sorted(sizes):
        inside = chosen[(chosen >= start) & (chosen < start + sizes[part])]
        rows[part], start = inside - start, start + sizes[part]
    kept = {
        key: array[rows[parts[key]]] if array.ndim and len(array) == sizes.get(parts[key]) else array
        for key, array in arrays.items()
    }
    folder.mkdir(parents=True, exist_ok=True)
    with disk.replacing(target) as file:
        np.savez(file, **kept)
    return target
