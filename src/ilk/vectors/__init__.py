"""Vectors: k-means, neighbours, PCA and silhouettes on torch; CPU and GPU run the same code.

Tensors (or arrays, or memmaps) in, tensors out; no files, no progress, no global randomness.
"""

from ilk.vectors.adaptive import adaptive_counts
from ilk.vectors.best import Best
from ilk.vectors.cells import Cells
from ilk.vectors.communities import communities, modularity
from ilk.vectors.consensus import Consensus, consensus
from ilk.vectors.gram import Gram, gram_kmeans, gram_matrix, silhouettes
from ilk.vectors.graph import connected, self_tuning, spectral_embedding
from ilk.vectors.kmeans import KMeansResult, kmeans
from ilk.vectors.linkage import Linkage, chains, neighbor_weights
from ilk.vectors.merging import merge_centers
from ilk.vectors.mixture import MixtureFit, fit_mixture
from ilk.vectors.neighbors import NeighborIndex, is_exact, nearest_of_many, neighbors, recall
from ilk.vectors.nmf import graph_nmf, nmf_codes
from ilk.vectors.pca import PCA, fit_pca
from ilk.vectors.rows import Rows, check_count, group_sums, l2_normalize
from ilk.vectors.silhouette import silhouette_samples, silhouette_score, simplified_silhouette
from ilk.vectors.slices import Each, Slice, here, kmeans_of_slices, pca_of_slices
from ilk.vectors.splitting import split_empty

__all__ = [
    "PCA",
    "Best",
    "Cells",
    "Consensus",
    "Each",
    "Gram",
    "KMeansResult",
    "Linkage",
    "MixtureFit",
    "NeighborIndex",
    "Rows",
    "Slice",
    "adaptive_counts",
    "chains",
    "check_count",
    "communities",
    "connected",
    "consensus",
    "fit_mixture",
    "fit_pca",
    "gram_kmeans",
    "gram_matrix",
    "graph_nmf",
    "group_sums",
    "here",
    "is_exact",
    "kmeans",
    "kmeans_of_slices",
    "l2_normalize",
    "merge_centers",
    "modularity",
    "nearest_of_many",
    "neighbor_weights",
    "neighbors",
    "nmf_codes",
    "pca_of_slices",
    "recall",
    "self_tuning",
    "silhouette_samples",
    "silhouette_score",
    "silhouettes",
    "simplified_silhouette",
    "spectral_embedding",
    "split_empty",
]
