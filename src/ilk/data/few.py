"""Rows of numbers made of a handful of images: in the calling thread, in memory, and nothing is kept."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ilk.data.ahead import ahead
from ilk.data.encoded import Encoded, OnProgress
from ilk.data.sources import Block, ImageSource
from ilk.data.thumbs import ScannedThumbs
from ilk.errors import Interrupted
from ilk.files import Samples

__all__ = ["FEW", "collect_few"]

FEW = 8
"""Images up to which a folder for what was found, and threads to find it, cost more than they save."""


def collect_few(
    source: ImageSource,
    width: int,
    dtype: npt.DTypeLike,
    apply: Callable[[Tensor], npt.NDArray[Any]],
    *,
    canonical: bool = False,
    on_progress: OnProgress | None = None,
) -> Encoded:
    """Make a row of `width` numbers of every distinct readable image, all of them in memory at once.

    The result is that of `ilk.data.collect.collect`, to the bit where `apply` gives an image the same in any company.
    A single image gets no thumbnail.

    Parameters
    ----------
    source
        As it is to be read: see `ImageSource.sized`.
    width, dtype, apply, canonical
        As in `ilk.data.collect.Work`.
    on_progress
        Called before and after; true before: `Interrupted`.
    """
    begin = time.perf_counter()
    report: OnProgress = on_progress or (lambda done, total: None)
    n = len(source)
    if report(0, n):
        raise Interrupted("stopped before the first image")
    with ahead(source, range(n)):
        block, firsts = _scanned(source)
    rows = np.flatnonzero(block.ok)
    if canonical:
        rows = np.array(sorted(rows.tolist(), key=lambda row: block.hashes[row]), np.int64)
    features = (
        np.asarray(apply(block.pixels[torch.from_numpy(rows)]), dtype) if len(rows) else np.zeros((0, width), dtype)
    )
    at = np.full(n, -1, np.int64)
    at[rows] = np.arange(len(rows))
    position = at[firsts]
    own = firsts == np.arange(n)
    report(n, n)
    seconds = time.perf_counter() - begin
    return Encoded(
        features=features,
        rows=rows,
        position=position,
        status=np.where(position < 0, "unreadable", np.where(own, "ok", "duplicate")).tolist(),
        reasons=[block.reasons[first] for first in firsts.tolist()],
        hashes=block.hashes,
        sizes=block.sizes,
        widths=block.widths[firsts],
        heights=block.heights[firsts],
        images_per_second=len(rows) / max(seconds, 1e-9),
        seconds=seconds,
        n_encoded=len(rows),
        n_cached=0,
        thumbs=ScannedThumbs(source),
        samples=getattr(source, "samples", Samples()),
    )


def _scanned(source: ImageSource) -> tuple[Block, npt.NDArray[np.int64]]:
    """Return what is in all rows, and for each the first row (n,) with the same content, which alone was decoded."""
    n = len(source)
    seen: set[bytes] = set()

    def known(name: bytes) -> bool:
        before = name in seen
        seen.add(name)
        return before

    block = source.scan(range(n), known, bare=n == 1)
    first: dict[bytes, int] = {}
    return block, np.array([first.setdefault(name, i) if name else i for i, name in enumerate(block.hashes)], np.int64)
