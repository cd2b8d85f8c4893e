"""Presets of `TransferClustering`: plain data."""

from __future__ import annotations

from typing import Any

DEFAULT: dict[str, Any] = {
    "reducer": "umap",  # none | pca | umap, where the constructor leaves it open
    "clusterer": "gmm",  # gmm | kmeans | hdbscan | agglomerative, where the constructor leaves it open
    "pca": 50,  # dimensions of the PCA in front of the neighbour graph, of `predict` and of the map
    "components": 10,  # dimensions of the UMAP space
    "n_neighbors": 15,  # of the UMAP graph, the image itself included
    "min_dist": 0.0,  # UMAP: groups may be as dense as they are
    "epochs": None,  # of UMAP; None = 500 up to 10,000 images, 200 up to 20,000, 120 above
    "n_init": 3,  # starts of the mixture or of K-means
    "k_max": 50,  # upper end of the K scan
    "votes": 15,  # neighbours that vote in `predict`
}

PRESETS: dict[str, dict[str, Any]] = {
    "default": DEFAULT,
    # K-means on L2-normalised PCA features: no UMAP, seconds instead of minutes, and centres one can explain
    "kmeans": {**DEFAULT, "reducer": "pca", "clusterer": "kmeans", "n_init": 10},
    # for tests and for a first look
    "tiny": {**DEFAULT, "reducer": "pca", "clusterer": "kmeans", "pca": 16, "n_init": 2, "k_max": 8},
}
