"""What tests of trained methods share: few images that fall into groups at a glance."""

from __future__ import annotations

from typing import Any

import numpy as np

SECOND: dict[str, Any] = {
    "algorithm": "v2", "pca_dim": 0, "crops": [2, 1], "crop_sizes": [8, 6], "crop_scales": [0.5, 0.3],
    "projection_dim": 16,
}  # fmt: skip
"""Settings of DeepCluster: the second version, as small as it gets."""


def patterns(n: int = 90, k: int = 3, side: int = 12, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """n images of k patterns under noise, and which pattern each is; sorted by pattern."""
    rng = np.random.default_rng(seed)
    truth = np.sort(np.arange(n) % k)
    shapes = np.random.default_rng(7).integers(0, 256, (k, side, side))
    return np.clip(shapes[truth] + rng.normal(0, 15, (n, side, side)), 0, 255).astype(np.uint8), truth
