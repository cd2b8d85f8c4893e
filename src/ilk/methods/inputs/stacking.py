"""Images that are nearly the same, found among frozen features; grouped as one image each where that is asked for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ilk import encoders, near
from ilk.data import Encoded, ImageSource
from ilk.data.encoded import room
from ilk.methods.inputs.copies import copies_of
from ilk.vectors import nearest_of_many

__all__ = ["KEEP", "STACK", "NearDuplicates", "as_one", "find"]

KEEP, STACK = "keep", "stack"

_BLOCK = 4096


@dataclass(frozen=True)
class NearDuplicates:
    """What is nearly the same among the distinct images of a fit.

    Attributes
    ----------
    limit : ilk.near.Limit
    heads : (m,) int64
        For each row of the features the row that stands for its stack; itself where it is alone.
    """

    limit: near.Limit
    heads: npt.NDArray[np.int64]

    @property
    def count(self) -> int:
        """Distinct images for which another one stands."""
        return int((self.heads != np.arange(len(self.heads))).sum())

    @property
    def stacks(self) -> int:
        """Stacks of two images or more."""
        return len(np.unique(self.heads[self.heads != np.arange(len(self.heads))]))

    def said(self) -> str:
        """Return in words that stacks count as one image each.

        >>> NearDuplicates(near.Limit(0.3, ""), np.array([0, 0, 0, 3])).said()
        '3 images that are nearly the same are grouped as 1: 2 images instead of 4'
        """
        n, left = len(self.heads), len(self.heads) - self.count
        return (
            f"{self.count + self.stacks:,} images that are nearly the same are grouped as {self.stacks:,}: "
            f"{left:,} images instead of {n:,}"
        )


def find(source: ImageSource, encoder: encoders.FrozenEncoder, encoded: Encoded, cache: Path | None) -> NearDuplicates:
    """Find the limit, by copies of some of the images, and the stacks."""
    limit = near.find(encoded.features, copies_of(source, encoder, encoded, cache))
    rows = encoded.rows
    if limit.value is None:
        return NearDuplicates(limit, np.arange(len(rows)))
    order, ties = near.best_first(encoded.widths[rows], encoded.heights[rows], encoded.sizes[rows])
    return NearDuplicates(limit, near.lead(encoded.features, order, limit.value, ties, nearest_of_many(len(rows))))


def as_one(encoded: Encoded, heads: npt.NDArray[np.int64]) -> Encoded:
    """Return `encoded` with one row for each stack; `Encoded.whole` keeps all of them."""
    kept = np.unique(heads)
    features = room(len(kept), encoded.features.shape[1], encoded.features.dtype)
    for start in range(0, len(kept), _BLOCK):
        features[start : start + _BLOCK] = encoded.features[kept[start : start + _BLOCK]]
    at = np.searchsorted(kept, heads)
    position = np.where(encoded.position >= 0, at[encoded.position], -1)
    return encoded.with_features(features, rows=encoded.rows[kept], position=position, whole=encoded)
