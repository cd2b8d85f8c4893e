"""What every image of a source is known by, without decoding any."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future
from pathlib import Path

import numpy as np

from ilk import compute
from ilk.data.ahead import ahead
from ilk.data.collect import memo_of
from ilk.data.encoded import OnProgress
from ilk.data.index import Hashes
from ilk.data.own import OwnFeatures
from ilk.data.sources import ImageSource
from ilk.errors import Interrupted
from ilk.files import content_hash

__all__ = ["contents"]

_BLOCK = 64


def contents(
    source: ImageSource, *, cache: str | Path | None = None, on_progress: OnProgress | None = None
) -> Sequence[bytes]:
    """Return the content hash (16 bytes) of every row of `source`; empty where it cannot be read.

    Parameters
    ----------
    source
        Of features alone, hashes are those of the features.
    cache : path, optional
        Files that it knows by their marks (`Listing.marks`) are not read. What was read is remembered there.
    on_progress : callable (done, total) -> bool or None
        True stops: `Interrupted` is raised.
    """
    if isinstance(source, OwnFeatures):
        if source.images is None:
            return _of_features(source)
        source = source.images
    memo = memo_of(source, Path(cache or ".").expanduser()) if cache is not None else None
    found = np.zeros(len(source), "S16")
    if memo is not None and len(memo.found):
        found[:] = memo.found
    left = np.flatnonzero(found == b"").tolist()
    report: OnProgress = on_progress or (lambda done, total: None)
    running: deque[Future[object]] = deque()
    with ahead(source, left, _BLOCK * (2 * compute.threads() + 1)), compute.pool(compute.threads()) as pool:

        def take() -> None:
            block = running.popleft().result()
            for row, name in zip(block.index.tolist(), block.hashes, strict=True):  # type: ignore[attr-defined]
                found[row] = name

        for start in range(0, len(left), _BLOCK):
            running.append(pool.submit(source.scan, left[start : start + _BLOCK], lambda name: True))
            if len(running) > 2 * compute.threads():
                take()
            if report(len(source) - len(left) + start, len(source)):
                raise Interrupted("stopped while the files were looked at; nothing was changed")
        while running:
            take()
    if memo is not None:
        memo.save(found)
    return Hashes(found)


def _of_features(source: OwnFeatures) -> list[bytes]:
    there = np.flatnonzero(source.at >= 0)
    found = [b""] * len(source)
    for start in range(0, len(there), 16 * _BLOCK):
        rows = there[start : start + 16 * _BLOCK]
        for row, features in zip(rows.tolist(), source.features(rows), strict=True):
            found[row] = content_hash(features.tobytes())
    return found
