"""How a fitted grouping of features assigns any image: small objects that are stored as plain arrays."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, Self

import numpy as np
import numpy.typing as npt
import torch

from ilk import losses
from ilk.data.encoded import room
from ilk.layout import Graph
from ilk.methods.assign.center_votes import CenterVotes
from ilk.methods.assign.nearest_center import memberships
from ilk.methods.assign.placer import Placer, Space, graph_of, shares
from ilk.methods.pipeline import LayoutSettings, by_size, group, reduce_space
from ilk.vectors import Best, nmf_codes

__all__ = [
    "Assigner",
    "ByCenters",
    "ByCodes",
    "ByHash",
    "Groups",
    "SoftCenters",
    "kept",
    "placed",
    "take",
    "umap_mixture",
    "unit_rows",
    "voted",
]

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]

_BLOCK = 4096


class Assigner(Protocol):
    """Places images by their features."""

    def __call__(self, features: npt.NDArray[Any]) -> Floats:
        """Return group probabilities (m, k) of features (m, d)."""

    def state(self) -> dict[str, Any]:
        """Return arrays and plain values."""


@dataclass(frozen=True)
class Groups:
    """What a method found among m distinct images.

    Attributes
    ----------
    assigner : Assigner, optional
        How any image is placed; it gives the training images `labels`.
    labels : (m,) int64
    proba : (m, k) float32, or `Best`
    confidence : (m,) float32
        How confident the group of each image is.
    embedding : (m, e) float32, optional
        The space that groups were sought in; None: the principal components.
    pictures : mapping name -> array
        What `figures` needs, kept with the model.
    notes : list of str
    space : (m, p) float32, optional
        What the map is of; None: the features.
    reduced : str, optional
        What `embedding` is called ("UMAP, 10 dimensions").
    """

    assigner: Assigner | None
    labels: Ints
    proba: Floats | Best
    confidence: Floats
    embedding: Floats | None = None
    pictures: Mapping[str, npt.NDArray[Any]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    space: Floats | None = None
    reduced: str | None = None


def unit_rows(features: npt.NDArray[Any]) -> npt.NDArray[np.float16]:
    """Return the rows of `features` (m, d) brought to length 1; rows of zeros stay. In a file if large."""
    found = room(*features.shape)
    for start in range(0, len(features), _BLOCK):
        rows = np.asarray(features[start : start + _BLOCK], np.float32)
        found[start : start + _BLOCK] = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
    return found


@dataclass(frozen=True)
class ByCenters:
    """The nearest centre.

    Attributes
    ----------
    centers : (k, d) float32
    normalize : bool
        Rows are brought to length 1 first.
    """

    centers: Floats
    normalize: bool

    def __call__(self, features: npt.NDArray[Any]) -> Floats:
        """Return memberships by squared distance."""
        return memberships(unit_rows(features) if self.normalize else features, self.centers)

    def state(self) -> dict[str, Any]:
        """Return all attributes."""
        return {"place_centers": self.centers, "place_normalize": self.normalize}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Self:
        """Rebuild."""
        return cls(np.asarray(state["place_centers"], np.float32), bool(state["place_normalize"]))


@dataclass(frozen=True)
class ByCodes:
    """The largest, or the nearest centre of, coefficients of non-negative components.

    Attributes
    ----------
    components : (c, d) float32
        Each of length 1.
    centers : (k, c) float32
        In the space of coefficients; without rows, the largest coefficient decides.
    normalize : bool
        Rows are brought to length 1 first.
    """

    components: Floats
    centers: Floats
    normalize: bool = False

    def codes(self, features: npt.NDArray[Any]) -> Floats:
        """Return coefficients (m, c)."""
        rows = unit_rows(features) if self.normalize else features
        found: Floats = nmf_codes(rows, torch.from_numpy(np.array(self.components))).numpy()
        return found

    def __call__(self, features: npt.NDArray[Any]) -> Floats:
        """Return shares of the coefficients, or memberships."""
        return self.of_codes(self.codes(features))

    def of_codes(self, codes: Floats) -> Floats:
        """Return the same for images of which the coefficients (m, c) are known."""
        if len(self.centers):
            return memberships(codes, self.centers)
        return np.asarray((codes + 1e-9) / (codes + 1e-9).sum(1, keepdims=True), np.float32)

    def state(self) -> dict[str, Any]:
        """Return all attributes."""
        return {
            "place_components": self.components,
            "place_centers": self.centers,
            "place_normalize": self.normalize,
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Self:
        """Rebuild; a state that says nothing of length is from before it counted: rows were taken as they are."""
        components, centers = (np.asarray(state[f"place_{name}"], np.float32) for name in ("components", "centers"))
        return cls(components, centers, bool(state.get("place_normalize", False)))


@dataclass(frozen=True)
class ByHash:
    """Chance: a number drawn from the features themselves, so that equal images share a group.

    Attributes
    ----------
    k : int
    seed : int
    """

    k: int
    seed: int

    def __call__(self, features: npt.NDArray[Any]) -> Floats:
        """Return 1 / k for every group, and hardly more for the one that is drawn."""
        salt = self.seed.to_bytes(8, "little")
        digests = [hashlib.blake2b(row.tobytes(), digest_size=8, salt=salt).digest() for row in features]
        drawn = [int.from_bytes(digest, "little") % self.k for digest in digests]
        found = np.full((len(features), self.k), (1 - 1e-3) / self.k, np.float32)
        found[np.arange(len(features)), drawn] += np.float32(1e-3)
        return found

    def state(self) -> dict[str, Any]:
        """Return all attributes."""
        return {"place_k": self.k, "place_seed": self.seed}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Self:
        """Rebuild."""
        return cls(int(state["place_k"]), int(state["place_seed"]))


@dataclass(frozen=True)
class SoftCenters:
    """Places images by Student's t kernel around centres.

    Attributes
    ----------
    centers : (k, d) float32
    alpha : float
    """

    centers: npt.NDArray[np.float32]
    alpha: float

    def __call__(self, features: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        """Return soft assignments (m, k), in double precision, each row by itself."""
        points = torch.from_numpy(self.centers.astype(np.float64))
        found = np.empty((len(features), len(points)), np.float32)
        for start in range(0, len(features), _BLOCK):
            rows = torch.from_numpy(np.asarray(features[start : start + _BLOCK], np.float64))
            found[start : start + _BLOCK] = losses.student_t(rows, points, self.alpha).float().numpy()
        return found

    def state(self) -> dict[str, Any]:
        """Return all attributes."""
        return {"place_centers": self.centers, "place_alpha": self.alpha}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Self:
        """Rebuild."""
        return cls(np.asarray(state["place_centers"], np.float32), float(state["place_alpha"]))


_KINDS: dict[str, Any] = {
    "ByCenters": ByCenters,
    "ByCodes": ByCodes,
    "ByHash": ByHash,
    "CenterVotes": CenterVotes,
    "Placer": Placer,
    "SoftCenters": SoftCenters,
}


def assigner_from(state: Mapping[str, Any]) -> Assigner:
    """Rebuild the assigner whose kind stands in ``state["place"]``."""
    found: Assigner = _KINDS[state["place"]].from_state(state)
    return found


def kept(model: Any) -> dict[str, Any]:
    """Return the groups of a fitted model, and what its pictures show, as arrays and plain values."""
    return {
        "n_clusters": model.n_clusters_,
        "centers": model.cluster_centers_,
        "place": type(model.assigner_).__name__,
        **model.assigner_.state(),
        **({"rows": model.rows_} if model.rows_ is not None and isinstance(model.assigner_, Placer) else {}),
        "shown": sorted(model.pictures_),
        **{f"shown_{name}": model.pictures_[name] for name in sorted(model.pictures_)},
    }


def take(model: Any, state: Mapping[str, Any]) -> None:
    """Give `model` what `kept` returned."""
    model.n_clusters_ = int(state["n_clusters"])
    model.cluster_centers_ = np.asarray(state["centers"])
    model.assigner_ = assigner_from(state)
    model.rows_ = np.asarray(state["rows"], np.int64) if "rows" in state else None
    model.pictures_ = {name: np.asarray(state[f"shown_{name}"]) for name in state["shown"]}
    model.history_ = []


# -- results -----------------------------------------------------------------------------------------------------------


def placed(
    assigner: Assigner,
    features: npt.NDArray[Any],
    *,
    proba: Floats | None = None,
    embedding: Floats | None = None,
    pictures: Mapping[str, Any] | None = None,
) -> Groups:
    """Return the groups that `assigner` itself gives the training images; `proba` where it is known what that says."""
    proba = assigner(features) if proba is None else proba
    labels = proba.argmax(1).astype(np.int64)
    return Groups(assigner, labels, proba, proba.max(1), embedding, pictures or {})


def voted(
    labels: Ints,
    k: int,
    space: Space,
    votes: int,
    *,
    graph: Graph | None = None,
    proba: Floats | Best | None = None,
    embedding: Floats | None = None,
    pictures: Mapping[str, Any] | None = None,
    notes: list[str] | None = None,
) -> Groups:
    """Return groups `labels` (m,), with the vote of the nearest for new images."""
    graph = graph_of(space, votes + 1) if graph is None else graph
    if proba is None:
        labels = by_size(labels, None)[0]
        proba = shares(labels, k, graph, votes)
    elif proba.shape[1] < k:
        proba = Best.of(proba).renumbered(np.arange(proba.shape[1]), k)
    assigner = Placer.fit(space, graph, labels, proba, votes)
    confidence = assigner.voter.confidence(graph, labels, np.zeros(len(labels), np.float32))
    return Groups(assigner, labels, proba, confidence, embedding, pictures or {}, notes or [])


def umap_mixture(
    rows: npt.NDArray[Any], space: Space, k: int, settings: LayoutSettings, n_init: int, seed: int
) -> Groups:
    """Return groups of images at `space` by UMAP and a Gaussian mixture; the nearest vote for new images."""
    votes = settings.n_neighbors_vote
    graph = graph_of(space, max(settings.n_neighbors, votes + 1))
    laid, notes = reduce_space(space.rows, rows, graph, settings, seed)
    found = group(laid, k, "gmm", n_init, seed, graph.nearest(votes))
    said = graph.notes() + notes + found.notes
    return voted(found.labels, k, space, votes, graph=graph, proba=found.proba, embedding=laid, notes=said)
