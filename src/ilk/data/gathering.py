"""From the hashes of a source's rows, and the shards that hold them, to features and facts of all rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ilk.data.encoded import Work, release, room
from ilk.data.index import Names, as_names, content
from ilk.data.shards import Loaded, Store
from ilk.shards.slots import Slots, unreadable

__all__ = ["Found"]

_RELEASE = 64 * 2**20  # bytes gathered after which their memory is let go
_STATUS = np.array(["unreadable", "ok", "duplicate"], object)

Ints = npt.NDArray[np.int64]


@dataclass
class Found:
    """What the shards say of n rows with m distinct readable images.

    Attributes
    ----------
    features (m, d), rows (m,), position (n,), widths (n,), heights (n,)
        As in `ilk.data.encoded.Encoded`.
    slots : (n,) int64
        Where the thumbnails are; -1 for unreadable images.
    reasons : dict of int to str
        Of rows that were read, and are unreadable.
    n_old : int
        Rows with a thumbnail of an older ilk.
    lost : ndarray S16
        Hashes that turn out to be in no shard.
    """

    features: npt.NDArray[Any]
    rows: Ints
    position: Ints
    widths: npt.NDArray[np.int32]
    heights: npt.NDArray[np.int32]
    slots: Slots
    reasons: dict[int, str]
    n_old: int
    lost: Names

    def status(self) -> list[str]:
        """Return "ok", "duplicate" or "unreadable" for each row."""
        code = np.where(self.position < 0, 0, 2)
        code[self.rows] = 1
        return _STATUS[code].tolist()  # type: ignore[no-any-return]

    @classmethod
    def of(cls, hashes: Names, store: Store, passing: Mapping[bytes, str], work: Work) -> Found:
        """Look up every distinct hash of the rows, and read each shard that holds one, once.

        `passing`: reasons of hashes that are in no shard, because they may pass.
        """
        there = np.flatnonzero(hashes != b"")
        names, first, inverse = np.unique(hashes[there], return_index=True, return_inverse=True)
        first = there[first]
        slots = store.find(names)
        waits = np.isin(names, as_names(list(passing)))
        lost = (slots < 0) & ~waits
        good = (slots >= 0) & ~unreadable(slots)
        order = np.flatnonzero(good)
        if not work.canonical:
            order = order[np.argsort(first[order])]
        row = np.full(len(names), -1, np.int64)  # of the features, of each distinct hash
        row[order] = np.arange(len(order))
        features = room(len(order), work.width, work.dtype, store.writes)
        facts = _Facts(len(names))
        filled = 0
        known = np.flatnonzero(slots >= 0)
        for shard, among, inside in store.by_shard(slots[known]):
            at = known[among]
            loaded = store.load(shard)
            if loaded is None or not _holds(loaded, names[at], inside):
                lost[at] = True
                store.index.drop(shard)
                continue
            facts.take(loaded, at, inside)
            ok = row[at] >= 0
            features[row[at[ok]]] = loaded.features[inside[ok]]
            filled += loaded.features.nbytes
            if filled > _RELEASE:
                release(features)
                filled = 0
        n = len(hashes)
        position, widths, heights = np.full(n, -1, np.int64), np.zeros(n, np.int32), np.zeros(n, np.int32)
        position[there], widths[there], heights[there] = row[inverse], facts.widths[inverse], facts.heights[inverse]
        shown = np.full(n, -1, np.int64)
        shown[there] = np.where(good, slots, -1)[inverse]
        why = facts.reasons
        for one in np.flatnonzero(waits & (slots < 0)).tolist():
            why[one] = passing[content(bytes(names[one]))]
        return cls(
            features,
            first[order],
            position,
            widths,
            heights,
            shown,
            _of_rows(why, there, inverse),
            int(facts.old[inverse][good[inverse]].sum()),
            names[lost],
        )


class _Facts:
    """What shards say of distinct images."""

    def __init__(self, n: int) -> None:
        self.widths, self.heights = np.zeros(n, np.int32), np.zeros(n, np.int32)
        self.old = np.zeros(n, bool)
        self.reasons: dict[int, str] = {}

    def take(self, loaded: Loaded, at: Ints, inside: Ints) -> None:
        self.widths[at], self.heights[at], self.old[at] = loaded.widths[inside], loaded.heights[inside], loaded.old
        if any(loaded.reasons):
            for to, i in zip(at.tolist(), inside.tolist(), strict=True):
                if loaded.reasons[i] is not None:
                    self.reasons[to] = str(loaded.reasons[i])


def _holds(loaded: Loaded, names: Names, inside: Ints) -> bool:
    """Whether a shard has these images where the index says: only then is it believed."""
    return bool(len(loaded.names) > inside.max() and (loaded.names[inside] == names).all())


def _of_rows(why: Mapping[int, str], there: Ints, inverse: Ints) -> dict[int, str]:
    """Return the reasons of distinct images for all rows that hold one of these."""
    some = np.flatnonzero(np.isin(inverse, list(why))) if why else np.zeros(0, np.int64)
    return {row: why[one] for row, one in zip(there[some].tolist(), inverse[some].tolist(), strict=True)}
