"""Images that fit no group: far from the centres of all groups, or from all other images. No labels."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ilk.near.reading import distinct_rows, stacks
from ilk.near.rows import Coordinates, Floats, Ints, blocks, distances, unit

__all__ = ["isolation", "outliers"]

_NEAREST = 10
_KNOWN = 20_000  # images that others are held against
_BLOCK = 256
_FENCE = 1.5  # Tukey's: beyond the upper quartile by this many times what lies between the quartiles
_FEWEST = 16  # images below which quartiles say nothing


def outliers(run: Any) -> Ints:
    """Return the images of `run` that fit no group, the least fitting first.

    Parameters
    ----------
    run : ilk.runs.Run

    Returns
    -------
    (k,) int64
        Rows of images.parquet, without exact duplicates and with one of each stack of near duplicates.

    Raises
    ------
    RunError
        A file of the run is missing or damaged.

    Notes
    -----
    An image fits no group where it is beyond Q3 + 1.5 (Q3 - Q1) of all images, J. Tukey's fence, in the distance from
    the nearest centre of a group, or in the mean distance from its 10 nearest images, near duplicates left out. The
    first finds what lies outside of all groups, the second also what makes up a group of odd images. Those that the
    method itself left out are among them, whatever their distances. What a person moved, confirmed or ignored is none.
    Labels play no part.

    Above 20,000 images the nearest are sought among 20,000 that are spread evenly.
    """
    images, heads, labels = run.images(), stacks(run), run.labels()
    rows = distinct_rows(images)
    rows = rows[heads[rows] == rows]
    if len(rows) < _FEWEST:
        return np.empty(0, np.int64)
    features = run.features()
    features = features if len(rows) == len(features) else features[rows]
    beyond = np.maximum(_beyond(isolation(features)), _beyond(_from_groups(features, labels[rows])))
    listed = (beyond > _FENCE) | (labels[rows] < 0)
    grouping = run.grouping()
    if grouping is not None:
        listed &= grouping.said[rows] == 0
    order = np.argsort(-beyond, kind="stable")
    found: Ints = rows[order[listed[order]]]
    return found


def _beyond(away: Floats) -> Floats:
    """Return by how many times what lies between the quartiles each value is above the upper one."""
    low, high = np.quantile(away, (0.25, 0.75))
    return np.asarray((away - high) / max(float(high - low), 1e-6), np.float32)


def _from_groups(features: npt.NDArray[np.floating], labels: Ints) -> Floats:
    """Return (n,) the distance of each row from the nearest mean of a group, all of length 1; 0 without groups."""
    groups, at = np.unique(labels, return_inverse=True)
    centers = np.zeros((len(groups), features.shape[1]))
    for start, block in blocks(features):
        np.add.at(centers, at[start : start + len(block)], block)
    known = unit(centers[groups >= 0])
    found = np.zeros(len(features), np.float32)
    for start, block in blocks(features):
        if len(known):
            found[start : start + len(block)] = distances(block, known).min(1)
    return found


def isolation(features: npt.NDArray[np.floating], n_nearest: int = _NEAREST) -> Floats:
    """Return (n,) the mean distance of each row from its nearest others, all rows brought to length 1."""
    n = len(features)
    known = np.unique(np.linspace(0, n - 1, min(n, _KNOWN)).astype(np.int64))
    short = Coordinates.of(features).rows
    square = np.einsum("ne,ne->n", short[known], short[known])
    candidates = min(4 * n_nearest, len(known) - 1)
    found = np.empty(n, np.float32)
    for start in range(0, n, _BLOCK):
        rows = np.arange(start, min(start + _BLOCK, n))
        bound = square - 2 * short[rows] @ short[known].T
        own = np.searchsorted(known, rows)
        there = own < len(known)
        there[there] = known[own[there]] == rows[there]
        bound[np.flatnonzero(there), own[there]] = np.inf
        at = np.argpartition(bound, candidates - 1, axis=1)[:, :candidates]
        near = unit(features[known[at].reshape(-1)]).reshape(len(rows), candidates, -1)
        apart = np.linalg.norm(near - unit(features[rows])[:, None], axis=2)
        found[rows] = np.sort(apart, axis=1)[:, :n_nearest].mean(1)
    return found
