"""How a fitted grouping places an image it has not seen: its nearest training images vote."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import torch

from ilk.layout import Graph
from ilk.vectors import neighbors

__all__ = ["Voter"]

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Voter:
    """The training images, their group probabilities, and how far each group reaches.

    Attributes
    ----------
    space : (m, p) float32, coordinates of the training images
    proba : (m, k) float32, their group probabilities
    radius : (k,) float32, 99th percentile of the mean distance of a group's images to their nearest training images
    spread : (k,) float32, that percentile minus the median: an image beyond the radius loses confidence by a factor e
        per spread
    votes : int, how many nearest training images vote
    """

    space: Floats
    proba: Floats
    radius: Floats
    spread: Floats
    votes: int

    @classmethod
    def fit(cls, space: Floats, graph: Graph, labels: Ints, proba: Floats, votes: int) -> Self:
        """Measure the reach of every group on the neighbour graph of `space`, which lists each row itself first."""
        others = graph.distance[:, 1 : votes + 1]
        away = others.mean(1) if others.shape[1] else np.zeros(len(space), np.float32)
        k = proba.shape[1]
        radius, spread = np.empty(k, np.float32), np.empty(k, np.float32)
        overall = float(np.quantile(away, 0.99)), float(np.median(away))
        for g in range(k):
            mine = away[labels == g]
            far, middle = (np.quantile(mine, 0.99), np.median(mine)) if len(mine) >= 10 else overall
            radius[g], spread[g] = far, max(far - middle, 1e-3 * max(far, 1e-6))
        return cls(space, proba, radius, spread, votes)

    def __call__(self, queries: Floats) -> Floats:
        """Return group probabilities (b, k) float32 of images at `queries` (b, p).

        The vote is weighted by 1 / distance. A query that coincides with training images takes their mean
        probabilities. What stands farther from its neighbours than the training images of its group do is scaled
        down, so a row may sum to less than 1: the rest is the share of "none of these".
        """
        index, distance = neighbors(
            torch.from_numpy(queries), torch.from_numpy(self.space), min(self.votes, len(self.space))
        )
        near, away = index.numpy(), distance.numpy()
        weights, twin = self._weights(away)
        result = np.zeros((len(queries), self.proba.shape[1]), np.float32)
        for column in range(near.shape[1]):  # one neighbour at a time: (b, k), never (b, votes, k)
            result += weights[:, column, None] * self.proba[near[:, column]]
        typical = np.where(twin, np.float32(1), self._typical(away, result.argmax(1)))
        return result * typical[:, None]

    def confidence(self, graph: Graph, labels: Ints) -> Floats:
        """Return (m,) float32: what the vote would give each training image's own group if the image were new.

        A mixture is sure of nearly everything; this is not. Rows of noise (-1) get 0.
        """
        near, away = graph.index[:, 1 : self.votes + 1], graph.distance[:, 1 : self.votes + 1]
        if near.shape[1] == 0:
            return (labels >= 0).astype(np.float32)
        own = np.maximum(labels, 0)
        weights, twin = self._weights(away)
        share = np.zeros(len(labels), np.float32)
        for column in range(near.shape[1]):
            share += weights[:, column] * self.proba[near[:, column], own]
        typical = np.where(twin, np.float32(1), self._typical(away, own))
        return np.where(labels >= 0, np.minimum(share * typical, 1), 0).astype(np.float32)

    def _weights(self, away: Floats) -> tuple[Floats, npt.NDArray[np.bool_]]:
        """Return the weight of each vote (b, votes), and whether a query stands on a training image (b,)."""
        scale = max(float(np.median(self.radius)), 1e-12)
        twin = away <= 1e-4 * scale
        weights = np.where(twin.any(1, keepdims=True), twin, 1.0 / np.maximum(away.astype(np.float64), 1e-12))
        weights /= weights.sum(1, keepdims=True)
        return weights.astype(np.float32), np.asarray(twin.any(1))

    def _typical(self, away: Floats, group: Ints) -> Floats:
        beyond = (away.mean(1) - self.radius[group]) / self.spread[group]
        return np.asarray(np.exp(-np.clip(beyond, 0.0, 50.0)), np.float32)

    def state(self) -> dict[str, Any]:
        """Return all attributes as a flat mapping."""
        return {f"voter_{name}": getattr(self, name) for name in ("space", "proba", "radius", "spread", "votes")}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Self:
        """Rebuild from what `state` returned."""
        arrays = {
            name: np.asarray(state[f"voter_{name}"], np.float32) for name in ("space", "proba", "radius", "spread")
        }
        return cls(**arrays, votes=int(state["voter_votes"]))
