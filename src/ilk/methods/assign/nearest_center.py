"""Groups that are points in a space: an image belongs to the nearest."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from ilk import compute
from ilk.methods.checks import distinguished
from ilk.vectors import kmeans

__all__ = ["group_centers", "memberships"]

Floats = npt.NDArray[np.float32]

_BLOCK = 8192
_IN_MEMORY = 2**30  # bytes


def group_centers(x: npt.NDArray[Any], k: int, n_init: int, seed: int) -> Floats:
    """Return the centres (k, d) that K-means finds, numbered from the largest group to the smallest."""
    small = x.size * 4 <= _IN_MEMORY  # half-precision rows would be converted in every iteration
    rows = torch.from_numpy(np.array(x, np.float32) if small or not x.flags.writeable else x)
    with distinguished(k):
        found = kmeans(rows, k, n_init=n_init, generator=compute.generator(seed))
    order = torch.argsort(-torch.bincount(found.labels, minlength=k), stable=True)
    return np.ascontiguousarray(found.centers[order].float().cpu().numpy())


def memberships(x: npt.NDArray[Any], centers: Floats) -> Floats:
    """Return (m, k) float32: how much each row of `x` (m, d) belongs to each centre, by 1 / squared distance.

    These are the memberships of fuzzy C-means with exponent 2: the nearest centre has the most, two centres equally far
    have the same, and rows far from all centres have about 1 / k for each. They are no frequencies: a K-means model
    knows none. Each row is worked out by itself, in double precision.

    References
    ----------
    J. C. Bezdek, "Pattern Recognition with Fuzzy Objective Function Algorithms", Plenum, 1981.

    Examples
    --------
    >>> memberships(np.array([[1.0], [2.0]]), np.array([[0.0], [4.0]], np.float32)).astype(float).round(3).tolist()
    [[0.9, 0.1], [0.5, 0.5]]
    """
    points = torch.from_numpy(centers.astype(np.float64))
    found = np.empty((len(x), len(centers)), np.float32)
    for start in range(0, len(x), _BLOCK):
        rows = torch.from_numpy(np.asarray(x[start : start + _BLOCK], np.float64))
        square = rows.square().sum(1, keepdim=True) - 2 * rows @ points.T + points.square().sum(1)
        least = square.min(1, keepdim=True).values.clamp_min(0)
        share = (least + 1e-12) / (square.clamp_min(0) + 1e-12)
        found[start : start + _BLOCK] = (share / share.sum(1, keepdim=True)).float().numpy()
    return found
