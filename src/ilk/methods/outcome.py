"""From groups of distinct images to what an estimator says of every file."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from ilk.data import Encoded
from ilk.vectors import Best

__all__ = ["centers", "spread"]

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]

_BYTES = 64 << 20


def centers(features: npt.NDArray[Any], labels: Ints, k: int) -> Floats:
    """Return the mean (k, d) float32 of the rows of each group; zeros for a group without rows.

    Rows of group -1 count nowhere. Never holds more than 64 MiB of the rows.
    """
    sums = torch.zeros((k, features.shape[1]), dtype=torch.float64)
    step = max(1, _BYTES // (4 * features.shape[1]))
    for start in range(0, len(features), step):
        mine = labels[start : start + step]
        keep = np.flatnonzero(mine >= 0)
        rows = torch.from_numpy(np.asarray(features[start : start + step][keep], np.float64))
        sums.index_add_(0, torch.from_numpy(mine[keep]), rows)
    counts = np.bincount(labels[labels >= 0], minlength=k)
    return (sums.numpy() / np.maximum(counts, 1)[:, None]).astype(np.float32)


def spread(encoded: Encoded, labels: Ints, proba: Best) -> tuple[Ints, Best]:
    """Give every file the group (m,) and the probabilities (m, k) of its distinct image.

    Returns
    -------
    labels : (n,) int64, -1 = not readable
    proba : of n rows, zeros where not readable
    """
    at = encoded.position
    return np.where(at >= 0, labels[at], -1), proba.take(at)
