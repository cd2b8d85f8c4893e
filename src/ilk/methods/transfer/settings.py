"""Settings and presets of `TransferClustering`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from ilk.methods.grid import number_list
from ilk.methods.pipeline import CLUSTERERS, REDUCERS, LayoutSettings, check_choice
from ilk.methods.settings import free, whole

__all__ = ["ENCODERS", "PRESETS", "TransferSettings"]


@dataclass(frozen=True, kw_only=True)
class TransferSettings(LayoutSettings):
    """UMAP and a Gaussian mixture, the number of groups given or argued for."""

    renamed: ClassVar = {**LayoutSettings.renamed, "pca": "pca_dim"}

    reducer: Any = free("umap", "where groups are sought: umap, pca, none (rows of length 1), raw, or an object")
    clusterer: Any = free("gmm", "what groups it: gmm, kmeans, hdbscan, agglomerative, or an object")
    pca_dim: int = whole(50, "principal components: before the neighbour graph, of `predict` and of the map")
    n_init: int = whole(3, "starts of the mixture or of K-means")
    k_max: int = whole(50, "largest number of groups that is tried", 2)
    k_grid: Any = free(None, "numbers of groups to try, such as 2-10,15,20; none: spread from 2 to k_max")

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "k_grid", number_list(self.k_grid))

    def check(self) -> None:
        """Raise `ArgumentError` for a reducer or clusterer that is neither ours nor an object that can be one."""
        check_choice("reducer", self.reducer, REDUCERS, "fit_transform")
        check_choice("clusterer", self.clusterer, CLUSTERERS, "fit_predict")


DEFAULT = TransferSettings()
PRESETS = {
    "default": DEFAULT,
    # K-means on L2-normalised PCA features: no UMAP, seconds instead of minutes, and centres one can explain
    "kmeans": DEFAULT.replace(reducer="pca", clusterer="kmeans", n_init=10),
    # for tests and for a first look
    "tiny": DEFAULT.replace(reducer="pca", clusterer="kmeans", pca_dim=16, n_init=2, k_max=8),
    # the fourth seed's experiment: K-means on raw features, 10 starts as scikit-learn made them, and of K = 2 … 10 the
    # one with the highest silhouette. To compare with, not to use; see docs/methods/transfer-fidelity.md
    "raw_features": DEFAULT.replace(reducer="raw", clusterer="kmeans", n_init=10, k_grid=range(2, 11)),
}

ENCODERS: dict[str, dict[str, Any]] = {
    "raw_features": {"encoder": "densenet201", "image_size": 224, "resize": "stretch", "pool": "flatten"},
}
"""What a preset means for the encoder, where neither the encoder nor its settings are given."""
