"""How a fitted grouping assigns an image it has not seen: its nearest training images vote."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import torch

from ilk.layout import Graph
from ilk.methods.assign.rejection import Reach
from ilk.methods.assign.similar import KEPT
from ilk.vectors import Best, Cells, NeighborIndex, is_exact, neighbors

__all__ = ["Voter"]

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Voter:
    """The training images, their group probabilities, and how far each group reaches.

    Two measures say how far an image is from the training images of a group: the mean distance to its nearest ones, in
    the principal plane; and its own distance from that plane. Noise lies off the plane; an image of another kind that
    is drawn with the same strokes lies in it, where no training image is.

    Attributes
    ----------
    space : (m, p) float32, coordinates of the training images
    proba : their group probabilities: all, or above 16 million numbers the three best groups of each
    near : Reach, of the mean distance to the nearest training images
    lost : Reach, of the distance from the principal plane
    votes : int, how many nearest training images vote
    cells : Cells, optional: above 100,000 training images, where to look for the nearest ones; None: everywhere
    """

    space: Floats
    proba: Best
    near: Reach
    lost: Reach
    votes: int
    cells: Cells | None = None

    @classmethod
    def fit(
        cls, space: Floats, graph: Graph, labels: Ints, proba: Floats | Best, votes: int, lost: tuple[Ints, Floats]
    ) -> Self:
        """Measure the reach of every group.

        Parameters
        ----------
        space, graph
            Coordinates in the principal plane and their neighbour graph, which lists each row itself first.
        labels, proba
            Groups of the rows and their probabilities.
        votes
            How many nearest training images vote.
        lost
            Some rows, and the distance of each from a plane that does not know it.
        """
        others = graph.distance[:, 1 : votes + 1]
        away = others.mean(1) if others.shape[1] else np.zeros(len(space), np.float32)
        k = proba.shape[1]
        near, lost_of = Reach.of(away, labels, k), Reach.of(lost[1], labels[lost[0]], k)
        return cls(space, Best.of(proba), near, lost_of, votes, cells_of(space))

    def __call__(self, queries: Floats, lost: Floats) -> Floats:
        """Return group probabilities (b, k) float32 of images at `queries` (b, p), `lost` (b,) away from the plane.

        The vote is weighted by 1 / distance. A query that coincides with training images takes their mean
        probabilities. What is farther off than the training images of its group are, by the worse of the two measures,
        is scaled down, so a row may sum to less than 1: the rest is the share of "none of these".
        """
        near, away = self.nearest(queries, self.votes)
        weights, same = self._weights(away)
        result = np.zeros((len(queries), self.proba.shape[1]), np.float32)
        for column in range(near.shape[1]):  # one neighbour at a time: (b, k), never (b, votes, k)
            self.proba.add_to(result, near[:, column], weights[:, column])
        typical = np.where(same, np.float32(1), self._typical(away, lost, result.argmax(1)))
        return result * typical[:, None]

    def nearest(self, queries: Floats, count: int) -> tuple[Ints, Floats]:
        """Return the training images nearest to `queries` (b, p) in the plane, and their distances; (b, count) each.

        The first call makes an index, which the model keeps. Among more than 100,000 the search is approximate where
        there are `cells`. Several threads may ask at once.
        """
        asked, count = torch.from_numpy(queries), min(count, len(self.space))
        kept = self.cells is not None or self.space.nbytes <= KEPT
        found = self._index(asked, count) if kept else neighbors(asked, torch.from_numpy(self.space), count)
        return found[0].numpy(), found[1].numpy()

    @functools.cached_property
    def _index(self) -> NeighborIndex:
        return NeighborIndex(torch.from_numpy(self.space), cells=self.cells)

    def confidence(self, graph: Graph, labels: Ints, lost: Floats) -> Floats:
        """Return (m,) float32: what the vote would give each training image's own group if the image were new.

        A mixture is confident of nearly everything; this is not. Rows of noise (-1) get 0.
        """
        near, away = graph.index[:, 1 : self.votes + 1], graph.distance[:, 1 : self.votes + 1]
        if near.shape[1] == 0:
            return (labels >= 0).astype(np.float32)
        own = np.maximum(labels, 0)
        weights, same = self._weights(away)
        share = np.zeros(len(labels), np.float32)
        for column in range(near.shape[1]):
            share += weights[:, column] * self.proba.of_groups(near[:, column], own)
        typical = np.where(same, np.float32(1), self._typical(away, lost, own))
        return np.where(labels >= 0, np.minimum(share * typical, 1), 0).astype(np.float32)

    def _weights(self, away: Floats) -> tuple[Floats, npt.NDArray[np.bool_]]:
        """Return the weight of each vote (b, votes), and whether a query stands on a training image (b,)."""
        scale = max(float(np.median(self.near.usual)), 1e-12)
        same = away <= 1e-4 * scale
        weights = np.where(same.any(1, keepdims=True), same, 1.0 / np.maximum(away.astype(np.float64), 1e-12))
        weights /= weights.sum(1, keepdims=True)
        return weights.astype(np.float32), np.asarray(same.any(1))

    def _typical(self, away: Floats, lost: Floats, group: Ints) -> Floats:
        return np.minimum(self.near.typical(away.mean(1), group), self.lost.typical(lost, group))

    def state(self) -> dict[str, Any]:
        """Return all attributes as a flat mapping."""
        arrays: dict[str, Any] = {"voter_space": self.space, "voter_votes": self.votes}
        if self.proba.groups is None:
            arrays["voter_proba"] = self.proba.shares
        else:
            arrays |= {"voter_shares": self.proba.shares, "voter_groups": self.proba.groups}
        if self.cells is not None:
            arrays |= {f"voter_cells_{name}": value for name, value in self.cells.state().items()}
        return {**arrays, **self.near.state("voter_near"), **self.lost.state("voter_lost")}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Self:
        """Rebuild from what `state` returned; ValueError where the parts do not fit each other."""
        space = np.asarray(state["voter_space"], np.float32)
        near, lost = (Reach.from_state(state, f"voter_{name}") for name in ("near", "lost"))
        proba, votes = _proba_from(state, len(near.usual)), int(state["voter_votes"])
        k = proba.k
        tails = {tail.shape for reach in (near, lost) for tail in (reach.usual, reach.spread)}
        if space.ndim != 2 or len(proba) != len(space) or tails != {(k,)} or votes < 1:
            raise ValueError(f"votes of images {space.shape} for groups {proba.shape}, {sorted(tails)}")
        inner = {name.removeprefix("voter_cells_"): state[name] for name in state if name.startswith("voter_cells_")}
        return cls(space, proba, near, lost, votes, Cells.from_state(inner, space.shape) if inner else None)


def cells_of(space: Floats) -> Cells | None:
    """Return cells to find the neighbours of new images in; None where all of `space` (m, p) is looked at anyway."""
    if is_exact(len(space), len(space)):
        return None
    return Cells.of_rows(torch.from_numpy(space))


def _proba_from(state: Mapping[str, Any], k: int) -> Best:
    """Rebuild the probabilities of the training images; ValueError where they cannot be that."""
    if "voter_groups" not in state:
        proba = np.asarray(state["voter_proba"], np.float32)
        if proba.ndim != 2:
            raise ValueError(f"probabilities of shape {proba.shape}")
        return Best(proba, None, proba.shape[1])
    shares, groups = np.asarray(state["voter_shares"], np.float32), np.asarray(state["voter_groups"], np.int32)
    if shares.ndim != 2 or shares.shape != groups.shape or (groups.size and not 0 <= groups.min() <= groups.max() < k):
        raise ValueError(f"shares {shares.shape} of groups {groups.shape}, of {k}")
    return Best(shares, groups, k)
