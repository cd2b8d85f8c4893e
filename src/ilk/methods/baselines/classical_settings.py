"""Settings and presets of the methods in `ilk.methods.baselines.classical`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ilk.methods.pipeline import LayoutSettings
from ilk.methods.settings import Settings, choice, flag, number, whole

__all__ = [
    "AGGLOMERATIVE",
    "KMEANS",
    "LINKAGES",
    "NMF_",
    "RANDOM",
    "SPECTRAL",
    "UMAP_MIXTURE",
    "AgglomerativeSettings",
    "GraphSettings",
    "KMeansSettings",
    "MixtureSettings",
    "NMFSettings",
    "RandomSettings",
    "SpectralSettings",
]

LINKAGES = ("ward", "average", "complete", "single")

_TINY_VOTE = {"pca_dim": 16, "n_neighbors_vote": 5}


@dataclass(frozen=True, kw_only=True)
class RandomSettings(Settings):
    """Of `RandomGroups`."""

    renamed: ClassVar = {"pca": "pca_dim"}

    pca_dim: int = whole(50, "principal components: of the map, and where neighbours are sought")


RANDOM = {"default": RandomSettings(), "tiny": RandomSettings(pca_dim=16)}


@dataclass(frozen=True, kw_only=True)
class KMeansSettings(RandomSettings):
    """Of `KMeans`."""

    n_init: int = whole(20, "starts; the one of least inertia is kept")


KMEANS = {"default": KMeansSettings(), "tiny": KMeansSettings(pca_dim=16, n_init=3)}


@dataclass(frozen=True, kw_only=True)
class VotingSettings(RandomSettings):
    """Of methods whose training images vote for new ones."""

    renamed: ClassVar = {**RandomSettings.renamed, "votes": "n_neighbors_vote"}

    n_neighbors_vote: int = whole(15, "training images that vote for a new one")


@dataclass(frozen=True, kw_only=True)
class GraphSettings(VotingSettings):
    """Of methods on a graph of neighbours."""

    neighbors_in: str = choice("pca", "where neighbours are sought; features: all columns", ("pca", "features"))
    n_neighbors: int = whole(15, "edges of every image")


@dataclass(frozen=True, kw_only=True)
class SpectralSettings(GraphSettings):
    """Of `Spectral`."""

    scale_neighbor: int = whole(7, "the neighbour whose distance is the image's own scale")
    n_init: int = whole(20, "starts of K-means on the rows of the eigenvectors")


_SPECTRAL = SpectralSettings()
SPECTRAL = {
    "default": _SPECTRAL,
    "pixels": _SPECTRAL.replace(neighbors_in="features"),
    "tiny": _SPECTRAL.replace(**_TINY_VOTE, n_neighbors=7, scale_neighbor=4, n_init=3),
}


@dataclass(frozen=True, kw_only=True)
class AgglomerativeSettings(GraphSettings):
    """Of `Agglomerative`."""

    linkage: str = choice("ward", "distance between two groups", LINKAGES)
    mutual: bool = flag(False, "whether only edges count that both ends have")


_AGGLOMERATIVE = AgglomerativeSettings()
AGGLOMERATIVE = {
    "default": _AGGLOMERATIVE,
    "mutual": _AGGLOMERATIVE.replace(linkage="average", mutual=True),
    "tiny": _AGGLOMERATIVE.replace(**_TINY_VOTE, n_neighbors=7),
}


@dataclass(frozen=True, kw_only=True)
class NMFSettings(VotingSettings):
    """Of `NMF`."""

    renamed: ClassVar = {**VotingSettings.renamed, "components": "nmf_components", "steps": "max_iter"}

    nmf_components: int | None = whole(None, "components that images are sums of", none="as many as groups")
    assign: str = choice(
        "kmeans", "what decides on the group: K-means on the coefficients, or the largest one", ("kmeans", "largest")
    )
    max_iter: int = whole(200, "iterations at most")
    locality: float = number(0.0, "weight of the graph of neighbours; 0: plain factors", 0, 1e6)
    n_neighbors: int = whole(5, "edges of every image in that graph")
    n_init: int = whole(20, "starts of K-means on the coefficients")


_NMF = NMFSettings()
NMF_ = {
    "default": _NMF,
    "local": _NMF.replace(locality=100.0),
    "tiny": _NMF.replace(**_TINY_VOTE, max_iter=100, n_init=3),
}


@dataclass(frozen=True, kw_only=True)
class MixtureSettings(LayoutSettings, RandomSettings):
    """Of `UMAPMixture`."""

    renamed: ClassVar = {**LayoutSettings.renamed, **RandomSettings.renamed}

    n_init: int = whole(3, "starts of the mixture")


UMAP_MIXTURE = {
    "default": MixtureSettings(),
    "tiny": MixtureSettings().replace(**_TINY_VOTE, reducer="pca", n_init=1),
}
