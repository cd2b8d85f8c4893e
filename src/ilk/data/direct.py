"""Rows of numbers made of the pixels of an array, without a cache: reading them again is as fast."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import Tensor

from ilk.data.arrays import ArrayImages
from ilk.data.encoded import Encoded, First, OnProgress, release, room
from ilk.data.thumbs import ScannedThumbs
from ilk.errors import Interrupted

__all__ = ["collect_directly"]

_ROWS = 1024  # per step


def collect_directly(
    source: ArrayImages,
    width: int,
    dtype: npt.DTypeLike,
    apply: Callable[[Tensor], npt.NDArray[Any]],
    *,
    folder: Path | None = None,
    on_progress: OnProgress | None = None,
    first: First | None = None,
    canonical: bool = False,
) -> Encoded:
    """Make a row of `width` numbers of every distinct image of an array.

    Parameters
    ----------
    source
        As it is to be read: see `ArrayImages.sized`.
    width, dtype
        With width 0 nothing is made, and nothing read but for the hashes.
    apply : callable uint8 (b, c, h, w) -> (b, width) of `dtype`
    folder : Path, optional
        Where rows beyond 256 MiB lie.
    on_progress, first
        As in `ilk.data.collect`.
    canonical
        Rows come in the order of the content hashes instead of that of the source.
    """
    begin = time.perf_counter()
    report: OnProgress = on_progress or (lambda done, total: None)
    n, thumbs = len(source), ScannedThumbs(source.sized(None))
    _show_first(source, apply, first, thumbs)
    features = room(n, width, dtype, folder)
    position = np.zeros(n, np.int64)
    rows: list[int] = []
    hashes: list[bytes] = []
    seen: dict[bytes, int] = {}
    for start in range(0, n, _ROWS):
        if report(start, n):
            raise Interrupted(f"stopped after {start} of {n} images")
        index = np.arange(start, min(start + _ROWS, n))
        hashes += (names := source.hashes(index))
        known = len(rows)
        for row, name in zip(index.tolist(), names, strict=True):
            if name not in seen:
                seen[name] = len(rows)
                rows.append(row)
            position[row] = seen[name]
        if width and len(rows) > known:
            features[known : len(rows)] = apply(source.read(rows[known:]))
            release(features)
    report(n, n)
    status = ["duplicate"] * n
    for row in rows:
        status[row] = "ok"
    distinct, features = np.array(rows, np.int64), features[: len(rows)]
    if canonical:
        order = np.array(sorted(range(len(rows)), key=lambda at: hashes[rows[at]]), np.int64)
        features, distinct, position = _ordered(features, order, folder), distinct[order], np.argsort(order)[position]
    seconds = time.perf_counter() - begin
    c, h, w = source.sized(None).shape
    return Encoded(
        features=features,
        rows=distinct,
        position=position,
        status=status,
        reasons=[None] * n,
        hashes=hashes,
        sizes=np.full(n, c * h * w, np.int64),
        widths=np.full(n, w, np.int32),
        heights=np.full(n, h, np.int32),
        images_per_second=len(rows) / max(seconds, 1e-9),
        seconds=seconds,
        n_encoded=len(rows),
        n_cached=0,
        thumbs=thumbs,
    )


def _show_first(
    source: ArrayImages, apply: Callable[[Tensor], npt.NDArray[Any]], first: First | None, thumbs: ScannedThumbs
) -> None:
    if first is None or not len(first.rows):
        return
    chosen = np.sort(first.rows[np.unique(source.hashes(first.rows), return_index=True)[1]])
    first(chosen, apply(source.read(chosen)), thumbs.read)


def _ordered(features: npt.NDArray[Any], order: npt.NDArray[np.int64], folder: Path | None) -> npt.NDArray[Any]:
    """Return the rows of `features` in `order`; where they lie in a file, so does what is returned."""
    found = room(features.shape[0], features.shape[1], features.dtype, folder)
    for start in range(0, len(order), _ROWS):
        found[start : start + _ROWS] = features[order[start : start + _ROWS]]
        release(found)
    return found
