"""Settings and presets of `Hierarchical`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from ilk.methods.grid import number_list
from ilk.methods.pipeline import LayoutSettings
from ilk.methods.settings import choice, free, whole

__all__ = ["PRESETS", "HierarchicalSettings"]


@dataclass(frozen=True, kw_only=True)
class HierarchicalSettings(LayoutSettings):
    """Many centres, then UMAP and a Gaussian mixture of the centres, each counted as the images around it."""

    renamed: ClassVar = {**LayoutSettings.renamed, "pca": "pca_dim"}

    n_centers: int | None = whole(None, "centres of the first level", 2, none="10·√images, at most 10,000")
    per_center: int = whole(
        32, "images drawn for each centre, which K-means runs on; then all move the centres once", 1
    )
    steps: int = whole(20, "iterations of K-means")
    clusterer: str = choice("gmm", "what groups the centres", ("gmm", "kmeans"))
    pca_dim: int = whole(50, "principal components: before the centres, of `predict` and of the map")
    n_init: int = whole(3, "starts of the mixture or of the second K-means")
    n_neighbors_vote: int = whole(5, "centres that vote for an image")
    k_max: int = whole(50, "largest number of groups that is tried", 2)
    k_grid: Any = free(None, "numbers of groups to try, such as 2-10,15,20; none: spread from 2 to k_max")

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "k_grid", number_list(self.k_grid))

    def centers_for(self, n: int) -> int:
        """Return the number of centres for `n` images.

        >>> [HierarchicalSettings().centers_for(n) for n in (60, 70_000, 1_000_000, 10**9)]
        [60, 2646, 10000, 10000]
        """
        return min(n, self.n_centers or min(10_000, round(10 * n**0.5)))


DEFAULT = HierarchicalSettings()
PRESETS = {
    "default": DEFAULT,
    # K-means of K-means: no UMAP
    "kmeans": DEFAULT.replace(reducer="pca", clusterer="kmeans", n_init=10),
    # for tests and for a first look
    "tiny": DEFAULT.replace(reducer="pca", clusterer="kmeans", pca_dim=16, n_init=2, k_max=8),
}
