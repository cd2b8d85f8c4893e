"""Rows that are equal, found by sums of their numbers."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["repeats"]

Ints = npt.NDArray[np.int64]

_BLOCK = 65_536


def repeats(x: npt.NDArray[np.float32]) -> tuple[Ints, Ints]:
    """Return the first of all rows that are equal (u,), ascending, and which of these each row equals (n,).

    By a sum of products for each row, and then by its numbers: two rows that differ never count as equal. Of different
    rows with the same sum, some equal ones may count as different, which costs nothing but time.
    """
    odd = np.random.default_rng(0).integers(1, 2**63, x.shape[1], np.uint64) * np.uint64(2) + np.uint64(1)
    sums = np.empty(len(x), np.uint64)
    for start in range(0, len(x), _BLOCK):
        words = x[start : start + _BLOCK].view(np.uint32).astype(np.uint64)
        words ^= words >> np.uint64(13)
        sums[start : start + _BLOCK] = (words * odd).sum(1, dtype=np.uint64)
    _, first, of = np.unique(sums, return_index=True, return_inverse=True)
    order = np.argsort(first)
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    first, of = first[order], rank[of]
    if len(first) == len(x):
        return first, of
    apart = [
        start + np.flatnonzero((x[start : start + _BLOCK] != x[first[of[start : start + _BLOCK]]]).any(1))
        for start in range(0, len(x), _BLOCK)
    ]
    alone = np.concatenate(apart)
    of[alone] = len(first) + np.arange(len(alone))
    return np.concatenate([first, alone]), of
