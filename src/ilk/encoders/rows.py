"""Features of a few images of a source, from the same cache as those of all."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from ilk import compute
from ilk.data import ImageSource
from ilk.data.index import as_names
from ilk.data.shards import SHARD, Shard, Store
from ilk.data.sources import Block
from ilk.encoders.frozen import FrozenEncoder
from ilk.errors import DataError
from ilk.shards.slots import unreadable

__all__ = ["encode_rows"]


def encode_rows(
    source: ImageSource,
    rows: npt.NDArray[np.int64],
    hashes: Sequence[bytes],
    encoder: FrozenEncoder,
    *,
    cache: str | Path | None = None,
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_]]:
    """Encode some images of `source`.

    Parameters
    ----------
    source : ImageSource
    rows : (m,) int64
        Which images.
    hashes : sequence of bytes
        Content of every image of the source, as `Encoded.hashes`; decides what is in the cache.
    encoder : FrozenEncoder
    cache : path, optional
        Features are looked up there, and new ones are added. A full disk is no reason to stop.

    Returns
    -------
    features : (m, d) float32
        Zero where an image cannot be read any more.
    read : (m,) bool
    """
    features, read = np.zeros((len(rows), encoder.n_features), np.float32), np.zeros(len(rows), bool)
    store = _store(encoder, cache)
    if store is not None:
        _from_cache(store, rows, hashes, features, read)
    todo = np.flatnonzero(~read)
    for start in range(0, len(todo), SHARD):
        shard = _encoded(source, rows, todo[start : start + SHARD], encoder, features, read)
        if store is not None and len(shard):
            with contextlib.suppress(DataError):
                store.add(shard)
    return features, read


def _encoded(
    source: ImageSource,
    rows: npt.NDArray[np.int64],
    todo: npt.NDArray[np.int64],
    encoder: FrozenEncoder,
    features: npt.NDArray[np.float32],
    read: npt.NDArray[np.bool_],
) -> Shard:
    """Read and encode ``rows[todo]`` on all cores; fill in `features` and `read`, and return what is to be kept."""
    sized, shard = source.sized(encoder.image_size, encoder.resize, encoder.crop_pct), Shard()

    def one(at: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.int64], Block, npt.NDArray[np.float32]]:
        block = sized.scan(rows[at])
        pixels = block.pixels[torch.from_numpy(block.ok)]
        return at, block, encoder(pixels) if len(pixels) else features[:0]

    steps = [todo[i : i + encoder.batch_size] for i in range(0, len(todo), encoder.batch_size)]
    with compute.pool(encoder.workers + 1 if encoder.workers > 1 else 1) as pool:
        for at, block, found in pool.map(one, steps):
            ok = np.flatnonzero(block.ok)
            features[at[ok]], read[at[ok]] = found, True
            shard.hashes += [block.hashes[i] for i in ok]
            shard.features += list(found.astype(np.float16))
            shard.thumbs += [block.thumbs[i] for i in ok]
            shard.widths += block.widths[ok].tolist()
            shard.heights += block.heights[ok].tolist()
            shard.reasons += [None] * len(ok)
    return shard


def _store(encoder: FrozenEncoder, cache: str | Path | None) -> Store | None:
    if cache is None or not encoder.lasting:
        return None
    try:
        return Store(Path(cache).expanduser() / "features" / encoder.key, encoder.n_features)
    except DataError:
        return None


def _from_cache(
    store: Store,
    rows: npt.NDArray[np.int64],
    hashes: Sequence[bytes],
    features: npt.NDArray[np.float32],
    read: npt.NDArray[np.bool_],
) -> None:
    """Fill in what the shards of `store` hold, each of which is opened once."""
    slots = store.find(as_names([hashes[row] for row in rows.tolist()]))
    there = np.flatnonzero((slots >= 0) & ~unreadable(slots))
    for name, among, inside in store.by_shard(slots[there]):
        found = store.features(name)
        if found is not None and len(found) > inside.max():
            features[there[among]], read[there[among]] = found[inside], True
