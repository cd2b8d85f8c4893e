"""What tests of the number of groups share: groups that are there, and one cloud without any."""

from __future__ import annotations

import numpy as np
from sklearn.datasets import make_blobs


def blobs(k: int = 5, n: int = 200, d: int = 6, spread: float = 1.0, seed: int = 0) -> np.ndarray:
    centers = np.random.default_rng(seed).normal(0, 12, (k, d))
    return make_blobs(n, d, centers=centers, cluster_std=spread, random_state=seed)[0].astype(np.float32)


def no_group(kind: str, d: int, n: int = 400, seed: int = 0) -> np.ndarray:
    """One cloud: normal, a cube, or one of them drawn out along one axis."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, d)) if "normal" in kind else rng.uniform(size=(n, d))
    return x * np.r_[4 if "long" in kind else 1, np.ones(d - 1)]
