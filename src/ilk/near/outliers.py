"""Images that fit no group: far from all others, as images of their group go, and placed there without confidence."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ilk.near.reading import distinct_rows, stacks
from ilk.near.rows import Coordinates, Floats, Ints, unit

__all__ = ["isolation", "outliers"]

_NEAREST = 5
_KNOWN = 20_000  # images that others are held against
_BLOCK = 256
_FENCE = 1.5  # Tukey's: beyond the upper quartile by this many times what lies between the quartiles
_FEWEST = 8  # images of a group from which on it has quartiles of its own


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
    An image fits no group where its 5 nearest images (near duplicates left out) are on average farther away than
    Q3 + 1.5 (Q3 - Q1) of its group, J. Tukey's fence, and its confidence is below the median of the group. Those that
    the method itself left out are among them. Groups of fewer than 8 images have the fence of the whole run. What a
    person moved, confirmed or ignored is none. Labels play no part.

    Above 20,000 images the nearest are sought among 20,000 that are spread evenly. 100,000 images take about half a
    minute.
    """
    images, heads, labels = run.images(), stacks(run), run.labels()
    rows = distinct_rows(images)
    rows = rows[heads[rows] == rows]
    if len(rows) < 2 * _FEWEST:
        return np.empty(0, np.int64)
    away, group = isolation(run.features()[rows]), labels[rows]
    confidence = _confidence(run, len(labels))[rows]
    beyond = np.full(len(rows), -np.inf)
    for one in np.unique(group):
        mine = np.flatnonzero(group == one)
        of = mine if len(mine) >= _FEWEST and one >= 0 else np.arange(len(rows))
        low, high = np.quantile(away[of], (0.25, 0.75))
        far = (away[mine] - high) / max(high - low, 1e-6)
        doubted = ~(confidence[mine] > np.nanmedian(confidence[of])) if np.isfinite(confidence[of]).any() else True
        beyond[mine] = np.where((far > _FENCE) & doubted | (one < 0), far, -np.inf)
    grouping = run.grouping()
    if grouping is not None:
        beyond[grouping.said[rows] != 0] = -np.inf
    order = np.argsort(-beyond, kind="stable")
    found: Ints = rows[order[np.isfinite(beyond[order])]]
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


def _confidence(run: Any, n: int) -> npt.NDArray[np.float64]:
    """Return (n,) how confident the group of each image is; NaN where that is unknown."""
    table = run.assignments()
    found = np.full(n, np.nan)
    found[np.asarray(table["index"], np.int64)] = [np.nan if one is None else one for one in table["confidence"]]
    return found
