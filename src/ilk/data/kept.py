"""Where in a cache the features and thumbnails of a source are, for a run that names them instead of copying them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ilk.data.shards import Store
from ilk.errors import DataError
from ilk.shards import Naming, OneShard
from ilk.shards.slots import Slots, by_shard, slot

__all__ = ["Kept"]


@dataclass(frozen=True)
class Kept:
    """Features and thumbnails that lie in a cache.

    Attributes
    ----------
    store : Store
    slots : (n,) int64
        Where each row of the source is in it; duplicates share one; -1: it could not be read.
    """

    store: Store
    slots: Slots

    def naming(self) -> Naming:
        """Return the shards that hold them, each with what it says of its content.

        Raises
        ------
        DataError
            The cache could not be written, so that what is new lies elsewhere; or a shard cannot be read.
        """
        store, named = self.store, np.full(len(self.slots), -1, np.int64)
        if store.writes != store.folder:
            raise DataError(f"{store.folder} cannot be written")
        names: list[str] = []
        digests: list[str] = []
        there = np.flatnonzero(self.slots >= 0)
        for number, among, rows in by_shard(self.slots[there]):
            name = store.index.shards[number]
            try:
                digests.append(OneShard(store.folder / f"{name}.safetensors").digest)
            except (OSError, ValueError) as error:
                raise DataError(f"the shard {name} in {store.folder} cannot be read: {error}") from None
            named[there[among]] = slot(len(names), 0) + rows
            names.append(name)
        cache, key = store.folder.parent.parent.resolve(), store.folder.name
        return Naming(cache, key, names, digests, named, store.n_features, store.dtype)
