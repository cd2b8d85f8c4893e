"""How much rows belong to groups, without a number for each row and group."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

__all__ = ["ALL_UP_TO", "BEST", "Best"]

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]

ALL_UP_TO = 2**24
"""Numbers (rows times groups) up to which all are kept: 64 MiB."""

BEST = 3
"""Groups of a row that are kept beyond."""

_BLOCK = 2**22  # numbers at a time


@dataclass(frozen=True)
class Best:
    """Probabilities (m, k): all of them where they are few, else those of the three best groups of each row.

    The three best are scaled to sum to what the whole row did; for three groups or fewer nothing is lost.

    Attributes
    ----------
    shares : (m, w) float32
        Best first, where `groups` says which they are; else all k columns in order.
    groups : (m, w) int32 or None
    k : int
        Number of groups.
    """

    shares: Floats
    groups: npt.NDArray[np.int32] | None
    k: int

    @classmethod
    def of(cls, proba: Floats | Best) -> Best:
        """Keep what is to be kept of `proba` (m, k)."""
        if isinstance(proba, Best):
            return proba
        if proba.size <= ALL_UP_TO:
            return cls(np.asarray(proba, np.float32), None, proba.shape[1])
        return cls.by_blocks(len(proba), proba.shape[1], lambda start, stop: proba[start:stop])

    @classmethod
    def by_blocks(cls, m: int, k: int, make: Callable[[int, int], npt.NDArray[Any]]) -> Self:
        """Keep what `make` (start, stop) gives for rows start … stop − 1, (stop − start, k); never more at a time."""
        every, step = m * k <= ALL_UP_TO, max(1, _BLOCK // max(k, 1))
        wide = k if every else min(k, BEST)
        shares = np.empty((m, wide), np.float32)
        groups = None if every else np.empty((m, wide), np.int32)
        for start in range(0, m, step):
            stop = min(m, start + step)
            block = np.asarray(make(start, stop), np.float32)
            if groups is None:
                shares[start:stop] = block
                continue
            left, rows = block.copy(), np.arange(len(block))
            for column in range(wide):  # the first of equal ones comes first, as with argmax
                best = left.argmax(1)
                groups[start:stop, column], shares[start:stop, column] = best, block[rows, best]
                left[rows, best] = -1
            if wide < k:
                kept = shares[start:stop].sum(1, keepdims=True)
                shares[start:stop] *= block.sum(1, keepdims=True) / np.maximum(kept, 1e-12)
        return cls(shares, groups, k)

    def __len__(self) -> int:
        return len(self.shares)

    @property
    def shape(self) -> tuple[int, int]:
        """That of the whole table, (m, k)."""
        return len(self.shares), self.k

    def dense(self) -> Floats:
        """Return the whole table (m, k) float32; 0 for what was not kept."""
        if self.groups is None:
            return self.shares
        found = np.zeros(self.shape, np.float32)
        for column in range(self.shares.shape[1]):  # added: what has lost its group stands at 0 with nothing
            found[np.arange(len(found)), self.groups[:, column]] += self.shares[:, column]
        return found

    def take(self, rows: Ints) -> Best:
        """Return those of `rows`; zeros for a row of -1."""
        known = rows >= 0
        shares = np.where(known[:, None], self.shares[rows], np.float32(0))
        groups = self.groups
        return Best(shares, None if groups is None else groups[rows], self.k)

    def of_groups(self, rows: Ints, groups: Ints) -> Floats:
        """Return how much each of `rows` (b,) belongs to the group beside it (b,)."""
        if self.groups is None:
            return self.shares[rows, groups]
        mine: Floats = np.where(self.groups[rows] == groups[:, None], self.shares[rows], 0).sum(1, dtype=np.float32)
        return mine

    def add_to(self, table: Floats, rows: Ints, weights: Floats) -> None:
        """Add those of `rows` (b,), times `weights` (b,), to `table` (b, k)."""
        if self.groups is None:
            table += weights[:, None] * self.shares[rows]
            return
        every = np.arange(len(table))
        for column in range(self.shares.shape[1]):
            table[every, self.groups[rows, column]] += weights * self.shares[rows, column]

    def renumbered(self, ids: Ints, k: int | None = None) -> Best:
        """Return the same with group g called ``ids[g]``, of `k` groups; those with a negative number go."""
        k = self.k if k is None else k
        if self.groups is None:
            found = np.zeros((len(self), k), np.float32)
            found[:, ids[ids >= 0]] = self.shares[:, ids >= 0]
            return Best(found, None, k)
        groups = ids[self.groups]
        return Best(np.where(groups >= 0, self.shares, np.float32(0)), np.maximum(groups, 0).astype(np.int32), k)
