"""How a fitted grouping of features places any image: small objects that are stored as plain arrays."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, Self

import numpy as np
import numpy.typing as npt
import torch

from ilk.data.encoded import room
from ilk.methods._nearest import memberships
from ilk.methods._placing import Placer
from ilk.vectors import nmf_codes

__all__ = ["ByCenters", "ByCodes", "ByHash", "Place", "place_from", "unit_rows"]

Floats = npt.NDArray[np.float32]

_BLOCK = 4096


class Place(Protocol):
    """Places images by their features."""

    def __call__(self, features: npt.NDArray[Any]) -> Floats:
        """Return group probabilities (m, k) of features (m, d)."""

    def state(self) -> dict[str, Any]:
        """Return arrays and plain values."""


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
    """

    components: Floats
    centers: Floats

    def codes(self, features: npt.NDArray[Any]) -> Floats:
        """Return coefficients (m, c)."""
        found: Floats = nmf_codes(features, torch.from_numpy(np.array(self.components))).numpy()
        return found

    def __call__(self, features: npt.NDArray[Any]) -> Floats:
        """Return shares of the coefficients, or memberships."""
        codes = self.codes(features)
        if len(self.centers):
            return memberships(codes, self.centers)
        return np.asarray((codes + 1e-9) / (codes + 1e-9).sum(1, keepdims=True), np.float32)

    def state(self) -> dict[str, Any]:
        """Return all attributes."""
        return {"place_components": self.components, "place_centers": self.centers}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Self:
        """Rebuild."""
        return cls(*(np.asarray(state[f"place_{name}"], np.float32) for name in ("components", "centers")))


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


_KINDS: dict[str, Any] = {"ByCenters": ByCenters, "ByCodes": ByCodes, "ByHash": ByHash, "Placer": Placer}


def place_from(state: Mapping[str, Any]) -> Place:
    """Rebuild the place whose kind stands in ``state["place"]``."""
    found: Place = _KINDS[state["place"]].from_state(state)
    return found
