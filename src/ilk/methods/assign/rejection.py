"""How far the images of a group reach: what lies well beyond belongs to none."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from ilk.vectors import fit_pca

__all__ = ["Reach", "lost_when_new"]

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]

FEWEST = 10
"""Images of a group below which the tail of all images stands in for its own."""

LIMIT = 0.2
"""What an image counts for that is farther out than all but `BEYOND` of the training images. The default threshold of
`predict` is the same number."""

BEYOND = 0.005

_MOST, _BYTES = 8000, 256 * 2**20


@dataclass(frozen=True)
class Reach:
    """The tail of one measure in every group.

    Attributes
    ----------
    usual : (k,) float32, 90th percentile of the group's images
    spread : (k,) float32, from there to the limit. Each group has its own median and 90th percentile; how many times
        the way between the two lies beyond is a question of the whole set, as a single group shows little of its tail.
    """

    usual: Floats
    spread: Floats

    @classmethod
    def of(cls, values: Floats, labels: Ints, k: int) -> Self:
        """Measure `values` (m,) of images in groups `labels` (m,); without any, nothing is ever out of reach."""
        usual, way = np.full(k, np.inf, np.float32), np.ones(k, np.float32)
        if not len(values):
            return cls(usual, way)
        for g in range(k):
            mine = values[labels == g]
            middle, usual[g] = np.quantile(mine if len(mine) >= FEWEST else values, (0.5, 0.9))
            way[g] = max(usual[g] - middle, 1e-3 * max(usual[g], 1e-6))
        own = labels >= 0
        ways = (values[own] - usual[labels[own]]) / way[labels[own]] if own.any() else np.zeros(1)
        return cls(usual, way * np.float32(max(1.0, np.quantile(ways, 1 - BEYOND))))

    def typical(self, values: Floats, group: Ints) -> Floats:
        """Return (b,) in (0, 1]: 1 up to the usual, then falling by a factor of 5 per spread."""
        beyond = (values - self.usual[group]) / self.spread[group]
        return np.asarray(np.exp(math.log(LIMIT) * np.clip(beyond, 0.0, 12.0)), np.float32)

    def state(self, name: str) -> dict[str, Any]:
        """Return the arrays under names that begin with `name`."""
        return {f"{name}_usual": self.usual, f"{name}_spread": self.spread}

    @classmethod
    def from_state(cls, state: Any, name: str) -> Self:
        """Rebuild from what `state` returned; ValueError where it cannot be that."""
        usual, spread = (np.asarray(state[f"{name}_{part}"], np.float32) for part in ("usual", "spread"))
        if not (spread > 0).all() or np.isnan(usual).any():
            raise ValueError(f"{name}: a group that reaches no way, or nowhere")
        return cls(usual, spread)


def lost_when_new(features: npt.NDArray[Any], n_components: int) -> tuple[Ints, Floats]:
    """Distances from a principal plane that was fitted without the image itself.

    Parameters
    ----------
    features : (m, d)
    n_components
        Dimensions of the plane.

    Returns
    -------
    rows (s,) and distances (s,); none for fewer than eight images.

    Notes
    -----
    Two halves of evenly spaced images, each measured against the plane of the other. A plane fits its own images better
    than new ones, above all where there are few; what it loses of them would refuse most new ones.
    """
    m, d = features.shape
    most = max(64, min(_MOST, _BYTES // (4 * d)))
    rows = np.unique(np.linspace(0, m - 1, min(m, most)).astype(np.int64))
    if len(rows) < 8:
        return rows[:0], np.zeros(0, np.float32)
    found = np.empty(len(rows), np.float32)
    for part in (0, 1):
        others = features[rows[1 - part :: 2]]
        plane = fit_pca(others, min(n_components, len(others), d), normalize=True)
        found[part::2] = plane.lost(features[rows[part::2]]).numpy()
    return rows, found
