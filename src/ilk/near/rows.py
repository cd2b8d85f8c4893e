"""Features of length 1, read block by block, and short coordinates that bound their distances from below."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["SLACK", "Coordinates", "Floats", "Ints", "blocks", "distances", "unit"]

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]

_BYTES = 32 << 20  # of one block of features as float32
_WIDTH = 64  # short coordinates
_SAMPLE = 2048  # rows that show in which directions features differ
SLACK = 1e-3  # what float32 loses of a squared distance of rows of length 1


def unit(rows: npt.NDArray[np.floating]) -> Floats:
    """Return `rows` (b, d) as float32 of length 1; rows of zeros stay."""
    found = np.asarray(rows, np.float32)
    found = found / np.maximum(np.linalg.norm(found, axis=1, keepdims=True), 1e-12)
    return np.asarray(found, np.float32)


def blocks(features: npt.NDArray[np.floating]) -> Iterator[tuple[int, Floats]]:
    """Yield (first row, rows of length 1) of `features` (n, d), at most 32 MiB at a time."""
    step = max(1, _BYTES // (4 * max(1, features.shape[1])))
    for start in range(0, len(features), step):
        yield start, unit(features[start : start + step])


def distances(x: Floats, y: Floats) -> Floats:
    """Return the distances (m, n) between rows of length 1.

    By products, which lose what is below 1e-3; rows that are equal may come out that far apart.
    """
    found = x @ y.T
    found *= -2
    found += 2
    np.maximum(found, 0, out=found)
    return np.asarray(np.sqrt(found, out=found), np.float32)


@dataclass(frozen=True)
class Coordinates:
    """Coordinates of n rows in which no two are farther apart than they are.

    Attributes
    ----------
    rows : (n, e) float32
        Where the rows lie along the directions in which they differ most, and the length of what is left of them.
    """

    rows: Floats

    @classmethod
    def of(cls, features: npt.NDArray[np.floating]) -> Coordinates:
        """Measure `features` (n, d), each row brought to length 1: O(n d e) with e at most 65."""
        n, d = features.shape
        if d <= _WIDTH:
            return cls(np.concatenate([block for _, block in blocks(features)]) if n else np.zeros((0, d), np.float32))
        rng = np.random.default_rng(0)
        some = unit(features[np.unique(np.linspace(0, n - 1, min(n, _SAMPLE)).astype(np.int64))])
        some = some - some.mean(0)
        base = np.linalg.qr(rng.standard_normal((d, _WIDTH)).astype(np.float32))[0]
        for _ in range(2):  # any base bounds distances; a better one bounds them more tightly
            base = np.linalg.qr(some.T @ (some @ base))[0]
        found = np.empty((n, _WIDTH + 1), np.float32)
        for start, block in blocks(features):
            along = block @ base
            found[start : start + len(block), :-1] = along
            rest = np.maximum(1.0 - np.einsum("ne,ne->n", along, along), 0.0)
            found[start : start + len(block), -1] = np.sqrt(rest)
        return cls(found)

    def may_be_near(self, queries: Floats, known: Floats, limit: float) -> tuple[Ints, Ints]:
        """Return all pairs (i, j) of coordinates (m, e) and (n, e) that `limit` does not rule out, by i and then j."""
        ones = np.ones((1, 1), np.float32)  # |q|² - 2 q k + |k|² as one product: a pass over all pairs instead of four
        left = np.hstack([-2 * queries, np.einsum("ne,ne->n", queries, queries)[:, None], ones.repeat(len(queries), 0)])
        right = np.hstack([known, ones.repeat(len(known), 0), np.einsum("ne,ne->n", known, known)[:, None]])
        found = np.flatnonzero((left @ right.T).ravel() <= limit**2 + SLACK)
        i, j = np.divmod(found, max(1, len(known)))
        return i, j
