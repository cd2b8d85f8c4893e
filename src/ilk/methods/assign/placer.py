"""New images among the images of a fitted grouping: principal components, and the vote of the nearest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import torch

from ilk.data.encoded import release
from ilk.layout import Graph, neighbor_graph
from ilk.methods.assign.voting import Voter
from ilk.vectors import PCA, Best, fit_pca

__all__ = ["Placer", "Space", "graph_of", "lost", "pca_from", "shares"]

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Space:
    """Principal components of the training images, and where these lie.

    Attributes
    ----------
    pca : PCA
    rows : (m, p) float32
        Coordinates, free of rounding noise: images that look the same stand on the same spot.
    """

    pca: PCA
    rows: Floats

    @classmethod
    def fit(cls, features: npt.NDArray[Any], width: int, *, normalize: bool) -> Self:
        """Lay out `features` (m, d) in at most `width` dimensions, each brought to length 1 before if `normalize`."""
        pca = fit_pca(features, min(width, *features.shape), normalize=normalize)
        return cls(pca, coordinates(pca, features))


def coordinates(pca: PCA, features: npt.NDArray[Any]) -> Floats:
    """Return coordinates (m, p) of features (m, d), free of rounding noise.

    Images that look the same stand on the same spot, one by one or thousands at once: a product in single precision
    has other last digits for other numbers of rows.
    """
    rows = pca.double().transform(features).cpu().numpy()
    release(features)  # where they are a mapped file they would stay in memory, all of them
    return np.round(rows, 6).astype(np.float32) + np.float32(0)  # no negative zeros


def lost(pca: PCA, features: npt.NDArray[Any]) -> Floats:
    """Return the distances (m,) of features (m, d) from the plane of `pca`, free of rounding noise as well."""
    away = pca.double().lost(features).cpu().numpy().astype(np.float32)
    release(features)
    return away


@dataclass(frozen=True)
class Placer:
    """Gives new images the groups of the training images around them.

    Attributes
    ----------
    pca : PCA
    voter : Voter
    """

    pca: PCA
    voter: Voter

    @classmethod
    def fit(cls, space: Space, graph: Graph, labels: Ints, proba: Floats | Best, votes: int) -> Self:
        """Remember the groups `labels` (m,) of the training images and their probabilities `proba` (m, k)."""
        nothing = (np.zeros(0, np.int64), np.zeros(0, np.float32))
        return cls(space.pca, Voter.fit(space.rows, graph, labels, proba, votes, nothing))

    def __call__(self, features: npt.NDArray[Any]) -> Floats:
        """Return group probabilities (m, k); what is farther off than the images of its group are sums to less."""
        rows = coordinates(self.pca, features)
        measured = np.isfinite(self.voter.lost.usual).any()
        return self.voter(rows, lost(self.pca, features) if measured else np.zeros(len(rows), np.float32))

    def nearest(self, features: npt.NDArray[Any], count: int) -> Ints:
        """Return the training images nearest to features (m, d): (m, count) int64."""
        return self.voter.nearest(coordinates(self.pca, features), count)[0]

    def knows(self, features: npt.NDArray[Any]) -> bool:
        """Return whether features (m, d) are those of the first m training images."""
        return np.allclose(coordinates(self.pca, features), self.voter.space[: len(features)], rtol=1e-3, atol=1e-3)

    def state(self) -> dict[str, Any]:
        """Return arrays and plain values."""
        pca = {"mean": self.pca.mean, "components": self.pca.components, "variance": self.pca.explained_variance}
        kept = {f"pca_{name}": value.cpu().numpy() for name, value in pca.items()}
        return {**kept, "pca_normalize": self.pca.normalize, **self.voter.state()}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Self:
        """Rebuild from what `state` returned."""
        return cls(pca_from(state, bool(state["pca_normalize"])), Voter.from_state(state))


def pca_from(state: Mapping[str, Any], normalize: bool) -> PCA:
    """Rebuild a projection from arrays ``pca_…``; ValueError where these do not fit each other or the votes."""
    mean, components, variance = (
        torch.as_tensor(np.asarray(state[f"pca_{name}"])) for name in ("mean", "components", "variance")
    )
    ratio = torch.as_tensor(np.asarray(state.get("pca_ratio", state["pca_variance"])))
    p, d = components.shape
    found = [tuple(part.shape) for part in (mean, variance, ratio)]
    if found != [(d,), (p,), (p,)] or state["voter_space"].shape[-1] != p:
        raise ValueError(f"components {p, d} with {found}")
    return PCA(mean, components, variance, ratio, whiten=False, normalize=normalize)


def shares(labels: Ints, k: int, graph: Graph, votes: int) -> Best:
    """Return (m, k): share of each group among every row's nearest neighbours, itself included.

    The group of a row keeps the largest share, so that labels and shares never disagree.
    """

    def block(start: int, stop: int) -> Floats:
        near, mine = labels[graph.index[start:stop, :votes]], labels[start:stop]
        every = np.arange(stop - start)
        found = np.zeros((stop - start, k), np.float32)
        for column in range(near.shape[1]):
            found[every, near[:, column]] += np.float32(1 / near.shape[1])
        found[every, mine] = np.maximum(found[every, mine], found.max(1) + np.float32(1e-3))
        return np.asarray(found / found.sum(1, keepdims=True), np.float32)

    return Best.by_blocks(len(labels), k, block)


def graph_of(space: Space, width: int) -> Graph:
    """Return the neighbour graph of the training images, each its own first neighbour."""
    return neighbor_graph(torch.from_numpy(space.rows), width)
