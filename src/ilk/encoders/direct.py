"""Features that are the pixels of an array themselves."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator

import numpy as np
import numpy.typing as npt

from ilk.data import ArrayImages, thumbnails
from ilk.encoders.encoded import Encoded, First, Interrupted, OnProgress, room
from ilk.encoders.frozen import FrozenEncoder
from ilk.encoders.shards import SHARD

__all__ = ["encode_directly"]

_ROWS = 1024  # per step


class _ArrayThumbs:
    """Thumbnails made from the array when they are asked for."""

    def __init__(self, source: ArrayImages) -> None:
        self._source = source

    def read(self, index: Iterable[int]) -> npt.NDArray[np.uint8]:
        return thumbnails(self._source.read(np.fromiter((int(row) for row in index), np.int64)))

    def blocks(self, size: int = SHARD) -> Iterator[npt.NDArray[np.uint8]]:
        for start in range(0, len(self._source), size):
            yield self.read(range(start, min(start + size, len(self._source))))


def encode_directly(
    source: ArrayImages, encoder: FrozenEncoder, tell: OnProgress, begin: float, first: First | None = None
) -> Encoded:
    """Features that are the pixels themselves need no cache: reading them is as fast."""
    n = len(source)
    sized = source.sized(encoder.image_size, encoder.resize, encoder.crop_pct)
    if first is not None and len(first.rows):
        chosen = first.rows[np.unique(source.hashes(first.rows), return_index=True)[1]]
        chosen.sort()
        first(chosen, encoder(sized.read(chosen)).astype(np.float16), _ArrayThumbs(source).read)
    features = room(n, encoder.n_features)
    position = np.zeros(n, np.int64)
    rows: list[int] = []
    seen: dict[bytes, int] = {}
    hashes: list[bytes] = []
    for start in range(0, n, _ROWS):
        if tell(start, n):
            raise Interrupted(f"stopped after {start} of {n} images")
        index = np.arange(start, min(start + _ROWS, n))
        names = source.hashes(index)
        hashes += names
        new = []
        for row, name in zip(index.tolist(), names, strict=True):
            if name not in seen:
                seen[name] = len(rows)
                rows.append(row)
                new.append(row)
            position[row] = seen[name]
        features[len(rows) - len(new) : len(rows)] = encoder(sized.read(new)) if new else 0
    tell(n, n)
    distinct = np.array(rows, np.int64)
    status = np.full(n, "duplicate", object)
    status[distinct] = "ok"
    sides = source.sized(None).shape
    seconds = time.perf_counter() - begin
    return Encoded(
        features=features[: len(rows)],
        rows=distinct,
        position=position,
        status=status.tolist(),
        reasons=[None] * n,
        hashes=hashes,
        sizes=np.full(n, sides[0] * sides[1] * sides[2], np.int64),
        widths=np.full(n, sides[2], np.int32),
        heights=np.full(n, sides[1], np.int32),
        images_per_second=n / max(seconds, 1e-9),
        seconds=seconds,
        n_encoded=len(rows),
        n_cached=0,
        thumbs=_ArrayThumbs(source),
    )
