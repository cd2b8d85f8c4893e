"""Presets of `JULE`: plain data."""

from __future__ import annotations

from typing import Any

__all__ = ["PRESETS"]

# the released code; "epochs" are those of each period
RELEASED: dict[str, Any] = {
    "image_size": None,  # side in pixels; None = by the images
    "epochs": 20,  # of the network before each series of merges
    "batch_size": 100,
    "channels": [50, 50],
    "code": 160,
    "n_neighbors": 20,  # edges of every image
    "scale": 1.0,  # width of the weights, in mean squared distances of neighbours
    "local": 5,  # most similar groups that a group is compared with
    "rate": 0.9,  # share of the groups that are merged away in a period
    "lr": 0.01,  # SGD, momentum .9, falling as (1 + 1e-4 · step) ** -.75
    "weight_decay": 5e-5,
    "margin": 0.2,
    "weight": 1.0,  # of the distance within a group
    "negatives": 20,  # images of other groups per pair, by lot
    "piece": 1,  # images of one group that enter a batch together; 1: batches by lot
    "statistics": "batch",  # batch | running: those of batch norm in codes for merges
    "rerun": True,  # merge once more, from the start, on the final codes (JULE-RC)
    "least": 0.0,  # groups of fewer than least · n / k images are outliers and no groups
    "pca": 50,  # principal components of the pixels in which the first neighbours are sought
    "votes": 15,  # neighbours that vote in `predict`
}

# ours: a quarter of the epochs. Batches by lot hold hardly a pair while groups are many (15,000 groups among 70,000
# images: well below one pair a batch), and most of an epoch would teach nothing. Running averages make the code of an
# image the same whatever images stand beside it. Without `least`, the merges of MNIST's codes ended in groups of
# 42,823, 20,254, 6,907, 4 and six times 2 images.
DEFAULT: dict[str, Any] = {**RELEASED, "epochs": 5, "piece": 10, "statistics": "running", "least": 0.1}

PRESETS: dict[str, dict[str, Any]] = {
    "default": DEFAULT,
    "released": RELEASED,
    "tiny": {**DEFAULT, "epochs": 2, "batch_size": 16, "channels": [8, 8], "code": 16, "n_neighbors": 8, "pca": 16},
}
