"""Presets of the methods in `ilk.methods.baselines.classical`: plain data."""

from __future__ import annotations

from typing import Any

__all__ = ["AGGLOMERATIVE", "KMEANS", "NMF_", "RANDOM", "SPECTRAL", "UMAP_MIXTURE"]

Presets = dict[str, dict[str, Any]]

_PCA = {"pca": 50}  # dimensions of the principal components: of the map, and where neighbours are sought

KMEANS: Presets = {
    "default": {**_PCA, "n_init": 20},  # starts; the one of least inertia is kept
    "tiny": {"pca": 16, "n_init": 3},
}

_SPECTRAL: dict[str, Any] = {
    **_PCA,
    "neighbors_in": "pca",  # pca | features (all columns): where neighbours are sought
    "n_neighbors": 15,  # edges of every image
    "scale_neighbor": 7,  # the neighbour whose distance is the image's own scale
    "n_init": 20,  # starts of K-means on the rows of the eigenvectors
    "votes": 15,  # neighbours that vote in `predict`
}
SPECTRAL: Presets = {
    "default": _SPECTRAL,
    "pixels": {**_SPECTRAL, "neighbors_in": "features"},
    "tiny": {**_SPECTRAL, "pca": 16, "n_neighbors": 7, "scale_neighbor": 4, "n_init": 3, "votes": 5},
}

_AGGLOMERATIVE: dict[str, Any] = {
    **_PCA,
    "neighbors_in": "pca",
    "n_neighbors": 15,
    "linkage": "ward",  # ward | average | complete | single
    "mutual": False,  # only edges that both ends have
    "votes": 15,
}
AGGLOMERATIVE: Presets = {
    "default": _AGGLOMERATIVE,
    "mutual": {**_AGGLOMERATIVE, "linkage": "average", "mutual": True},
    "tiny": {**_AGGLOMERATIVE, "pca": 16, "n_neighbors": 7, "votes": 5},
}

_NMF: dict[str, Any] = {
    **_PCA,
    "components": None,  # None = as many as groups
    "assign": "kmeans",  # kmeans (on the coefficients) | largest (coefficient)
    "steps": 200,  # at most
    "locality": 0.0,  # weight of the neighbour graph; 0 = plain factors
    "n_neighbors": 5,  # of that graph
    "n_init": 20,
    "votes": 15,
}
NMF_: Presets = {
    "default": _NMF,
    "local": {**_NMF, "locality": 100.0},
    "tiny": {**_NMF, "pca": 16, "steps": 100, "n_init": 3, "votes": 5},
}

_UMAP: dict[str, Any] = {
    **_PCA,
    "reducer": "umap",  # umap | pca
    "components": 10,  # dimensions of the UMAP space
    "n_neighbors": 15,
    "min_dist": 0.0,
    "epochs": None,  # of UMAP; None = 500 up to 10,000 images, 200 up to 20,000, 120 above
    "n_init": 3,  # starts of the mixture
    "votes": 15,
}
UMAP_MIXTURE: Presets = {"default": _UMAP, "tiny": {**_UMAP, "pca": 16, "reducer": "pca", "n_init": 1, "votes": 5}}

RANDOM: Presets = {"default": _PCA, "tiny": {"pca": 16}}
