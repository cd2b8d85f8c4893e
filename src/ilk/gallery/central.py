"""How central each image is in its group: the order of the report's most central images, to the last image."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["centrality"]

_SHOWN = 12  # images that a report shows as the most central: what was put into a group comes behind them

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]


def centrality(labels: Ints, found: Ints, home: npt.NDArray[np.bool_], distance: Floats, certainty: Floats) -> Floats:
    """Return (n,) ranks in the own group, the most central image first; equal ones are equally central.

    An image has the rank that it had by the distance to the centre of the group it was found in, where it belongs to
    that group still (`home`). All others come behind the first 12 of these, and where as many are more certain.

    Parameters
    ----------
    labels, found : (n,) int64
        The groups as they are, and as they were found.
    home : (n,) bool
        What `ilk.corrections.at_home` says.
    distance : (n,) float32
        To the centre of the group found; NaN where that is not known.
    certainty : (n,) float32

    Examples
    --------
    >>> nan, group = np.nan, np.zeros(4, np.int64)
    >>> home, far = np.array([True, True, True, False]), np.array([3, 1, 2, nan], np.float32)
    >>> centrality(group, group, home, far, np.ones(4, np.float32)).tolist()
    [2.0, 0.0, 1.0, 11.5]
    """
    rank = np.full(len(labels), np.inf, np.float32)
    known = np.isfinite(distance)
    rows = np.flatnonzero(known)
    rows = rows[np.lexsort((distance[rows], found[rows]))]
    starts = np.searchsorted(found[rows], found[rows])
    rank[rows] = np.arange(len(rows)) - starts
    inside = labels >= 0
    other = np.flatnonzero(inside & ~(home & known))
    for group in np.unique(labels[other]).tolist():
        mine = other[labels[other] == group]
        known_here = np.sort(certainty[(labels == group) & home & known])
        above = len(known_here) - np.searchsorted(known_here, certainty[mine], side="right")
        behind = np.argsort(np.argsort(-certainty[mine], kind="stable"), kind="stable") / (len(mine) + 1)
        rank[mine] = np.maximum(_SHOWN, above) - 0.5 + behind / 2
    return rank
