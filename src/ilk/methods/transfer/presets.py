"""Presets of `TransferClustering`: plain data."""

from __future__ import annotations

from typing import Any

DEFAULT: dict[str, Any] = {
    "reducer": "umap",  # umap | pca | none (of length 1) | raw (features as they are), where the constructor is silent
    "clusterer": "gmm",  # gmm | kmeans | hdbscan | agglomerative, where the constructor leaves it open
    "pca": 50,  # dimensions of the PCA in front of the neighbour graph, of `predict` and of the map
    "components": 10,  # dimensions of the UMAP space
    "n_neighbors": 15,  # of the UMAP graph, the image itself included
    "min_dist": 0.0,  # UMAP: groups may be as dense as they are
    "epochs": None,  # of UMAP; None = 500 up to 10,000 images, 200 up to 20,000, 120 above
    "n_init": 3,  # starts of the mixture or of K-means
    "k_max": 50,  # upper end of the K scan
    "k_grid": None,  # numbers of groups to try, "2-10,15,20"; None = spread from 2 to k_max
    "votes": 15,  # neighbours that vote in `predict`
}

PRESETS: dict[str, dict[str, Any]] = {
    "default": DEFAULT,
    # K-means on L2-normalised PCA features: no UMAP, seconds instead of minutes, and centres one can explain
    "kmeans": {**DEFAULT, "reducer": "pca", "clusterer": "kmeans", "n_init": 10},
    # for tests and for a first look
    "tiny": {**DEFAULT, "reducer": "pca", "clusterer": "kmeans", "pca": 16, "n_init": 2, "k_max": 8},
    # the fourth seed's experiment: K-means on raw features, 10 starts as scikit-learn made them, and of K = 2 … 10 the
    # one with the highest silhouette. To compare with, not to use; see docs/methods/transfer.md
    "seed": {**DEFAULT, "reducer": "raw", "clusterer": "kmeans", "n_init": 10, "k_grid": list(range(2, 11))},
}

# what a preset means for the encoder, where neither the encoder nor its settings are given
ENCODERS: dict[str, dict[str, Any]] = {
    "seed": {"encoder": "densenet201", "image_size": 224, "resize": "stretch", "pool": "flatten"},
}
