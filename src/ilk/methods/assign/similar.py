"""Which training images are most like a new one."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ilk.vectors import NeighborIndex, neighbors

__all__ = ["KEPT", "TrainingImages"]

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]

KEPT = 256 * 2**20
"""Bytes of numbers up to which a search keeps a copy of them that is quick to go through."""

_BLOCK = 16 * 2**20  # bytes of features of candidates at a time


@dataclass(frozen=True)
class TrainingImages:
    """The features of the training images, to compare new ones with.

    Attributes
    ----------
    features : (·, d) float, perhaps a memory map
    at : (m,) int64
        Row of `features` of every distinct readable image, in the order in which the model knows them.
    rows : (m,) int64
        The same images' rows in the source that the model was fitted on.
    """

    features: npt.NDArray[Any]
    at: Ints
    rows: Ints

    def nearest(self, queries: npt.NDArray[Any], count: int, candidates: Ints | None = None) -> tuple[Ints, Floats]:
        """Return the images most like the rows of `queries` (b, d), and how like they are.

        Parameters
        ----------
        queries
        count
            How many; fewer where there are fewer images.
        candidates : (b, c) int64, optional
            Numbers of images, counted as the model knows them, among which to look; None: among all.

        Returns
        -------
        rows : (b, count) int64
            Of the source, the most alike first.
        similarity : (b, count) float32
            Cosine of the features, from -1 to 1; 0 for features that are all zero.
        """
        count = min(count, len(self.at))
        if candidates is None:
            found, distance = self._search(queries, count)
            return self.rows[found], np.minimum(1 - distance, 1)
        b, c = candidates.shape
        rows, similarity = np.empty((b, count), np.int64), np.empty((b, count), np.float32)
        step = max(1, _BLOCK // (4 * c * queries.shape[1]))
        for start in range(0, b, step):
            mine = candidates[start : start + step]
            there = _unit(self.features[self.at[mine]])
            cosine = np.einsum("bcd,bd->bc", there, _unit(queries[start : start + step]))
            order = np.argsort(-cosine, 1, kind="stable")[:, :count]
            rows[start : start + step] = self.rows[np.take_along_axis(mine, order, 1)]
            similarity[start : start + step] = np.minimum(np.take_along_axis(cosine, order, 1), 1)
        return rows, similarity

    def _search(self, queries: npt.NDArray[Any], count: int) -> tuple[Ints, Floats]:
        if self._distinct.size * 4 <= KEPT:
            index, distance = self._index(queries, count)
        else:
            index, distance = neighbors(queries, self._distinct, count, metric="cosine")
        return index.numpy(), distance.numpy()

    @functools.cached_property
    def _distinct(self) -> npt.NDArray[Any]:
        whole = len(self.at) == len(self.features) and bool((self.at == np.arange(len(self.at))).all())
        return self.features if whole else self.features[self.at]

    @functools.cached_property
    def _index(self) -> NeighborIndex:
        return NeighborIndex(self._distinct, metric="cosine")


def _unit(x: npt.NDArray[Any]) -> Floats:
    rows = np.asarray(x, np.float32)
    length = np.sqrt(np.square(rows).sum(-1, keepdims=True))
    unit: Floats = rows / np.maximum(length, np.finfo(np.float32).tiny)
    return unit
