"""The mean of every group in the features, kept up with the corrections: a move costs what it moves."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["Centres"]

_BLOCK = 2048  # rows of features in floats at a time

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]


class Centres:
    """Means of groups, of features of length 1, and how much nearer an image is to its own than to the next.

    Parameters
    ----------
    features : (n, d) float
        A memory map is read in blocks; rows that are not finite count nowhere.
    """

    def __init__(self, features: npt.NDArray[Any]) -> None:
        self._features = features
        self._labels = np.full(len(features), -2, np.int64)
        self._sums: dict[int, npt.NDArray[np.float64]] = {}
        self._margins = np.full(len(features), np.nan, np.float32)
        self._of = np.full(len(features), -2, np.int64)  # the group that a margin was taken in

    def follow(self, labels: Ints) -> None:
        """Take the groups as they are now; reads the features of the images that changed."""
        changed = np.flatnonzero(labels != self._labels)
        for rows, x in self._blocks(changed):
            for groups, sign in ((self._labels[rows], -1.0), (labels[rows], 1.0)):
                order = np.argsort(groups, kind="stable")
                order = order[np.searchsorted(groups[order], 0) :]  # what is in no group counts nowhere
                if not len(order):
                    continue
                ids, starts = np.unique(groups[order], return_index=True)
                sums = np.add.reduceat(x[order], starts, axis=0)
                for group, part in zip(ids.tolist(), sums, strict=True):
                    self._sums.setdefault(group, np.zeros(x.shape[1]))
                    self._sums[group] += sign * part
        self._labels = labels.copy()

    def nearest(self, groups: list[int], count: int) -> dict[int, list[int]]:
        """Return for each of `groups` the others, nearest first, at most `count`; groups without images are last."""
        units = self._units(groups)
        near = units @ units.T
        empty = ~units.any(1)
        near[:, empty] = -2
        np.fill_diagonal(near, -np.inf)
        order = np.argsort(-near, axis=1, kind="stable")[:, : min(count, max(len(groups) - 1, 0))]
        return {group: [groups[i] for i in row] for group, row in zip(groups, order.tolist(), strict=True)}

    def margins(self, rows: Ints, groups: list[int]) -> Floats:
        """Return the cosine to the mean of an image's own group less that to the next one, of `rows`: -2 to 2.

        Taken once for each image and group: the means may have moved a little since. NaN for images in no group, or
        without features.
        """
        stale = rows[self._of[rows] != self._labels[rows]]
        units = self._units(groups)
        number = {group: i for i, group in enumerate(groups)}
        for part, x in self._blocks(stale):
            own = np.array([number.get(group, -1) for group in self._labels[part].tolist()])
            inside = own >= 0
            near = x[inside] @ units.T
            at = np.arange(len(near))
            mine = near[at, own[inside]]
            near[at, own[inside]] = -2
            other = near.max(1) if len(groups) > 1 else np.zeros(len(near), np.float32)
            self._margins[part] = np.nan
            self._margins[part[inside]] = mine - other
            self._of[part] = self._labels[part]
        return self._margins[rows]

    def _units(self, groups: list[int]) -> Floats:
        width = self._features.shape[1]
        sums = np.array([self._sums.get(group, np.zeros(width)) for group in groups]).reshape(len(groups), width)
        lengths = np.linalg.norm(sums, axis=1, keepdims=True)
        return np.where(lengths > 1e-6, sums / np.maximum(lengths, 1e-6), 0).astype(np.float32)

    def _blocks(self, rows: Ints) -> Any:
        """Yield rows, and their features of length 1; without those that have none."""
        for at in range(0, len(rows), _BLOCK):
            part = rows[at : at + _BLOCK]
            whole = part[-1] - part[0] + 1 == len(part)  # a view costs less than picking
            x = np.asarray(self._features[part[0] : part[-1] + 1] if whole else self._features[part], np.float32)
            lengths = np.sqrt(np.einsum("ij,ij->i", x, x))
            usable = np.isfinite(lengths) & (lengths > 0)
            yield part[usable], x[usable] / lengths[usable, None]
