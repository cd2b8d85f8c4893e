"""The clustering phase: features, principal components, whitening, length 1, K-means; and fine clusters merged."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ilk import compute
from ilk.errors import NotEnoughImages
from ilk.methods.deepcluster.settings import DeepClusterSettings
from ilk.vectors import PCA, Rows, fit_pca, kmeans, l2_normalize, merge_centers

__all__ = ["Fine", "FineToCoarse", "Space", "cluster", "fit_groups", "fit_space", "n_fine_of", "on_device"]

Features = Tensor | npt.NDArray[Any]
Floats = npt.NDArray[np.float32]

_FINAL = 100  # iterations of the last K-means, which has time to come to rest
_BLOCK = 64 << 20  # bytes of distances at a time
_LEAST = 1e-6
_CAREFUL = 1000  # clusters up to which the last K-means starts from k-means++


def n_fine_of(asked: int | None, n_clusters: int, n: int) -> int:
    """Return how many fine clusters `n` images get.

    Asked for: that many, but not more than there are images. Otherwise ten for each group and at least 100; fewer where
    that would leave less than ten images a cluster on average, but never fewer than groups.

    Examples
    --------
    >>> n_fine_of(None, 10, 70_000), n_fine_of(None, 30, 70_000), n_fine_of(None, 10, 500), n_fine_of(7, 2, 5)
    (100, 300, 50, 5)
    """
    if asked is not None:
        return max(min(int(asked), n), min(n_clusters, n))
    return max(min(max(10 * n_clusters, 100), n // 10), n_clusters)


@dataclass(frozen=True)
class Space:
    """Where K-means works: principal components brought to variance 1, then each row to length 1.

    Attributes
    ----------
    pca : PCA or None
        None: the features themselves, brought to length 1.
    """

    pca: PCA | None

    def rows(self, features: Features) -> Tensor:
        """Return (n, d) float32 rows of length 1."""
        if self.pca is not None:
            return l2_normalize(self.pca.transform(features))
        whole = torch.from_numpy(np.array(features)) if isinstance(features, np.ndarray) else features
        return l2_normalize(whole.float())

    @property
    def width(self) -> int | None:
        """Number of components."""
        return None if self.pca is None else len(self.pca.components)


def fit_space(features: Features, pca_dim: int) -> Space:
    """Find the components of all rows of `features` (n, d): none is left out.

    Parameters
    ----------
    pca_dim : int
        0: no components, only length 1. At most d and n − 1 are taken.
    """
    n, d = features.shape
    wanted = min(pca_dim, d, n - 1)
    return Space(fit_pca(features, wanted, whiten=True) if wanted > 0 else None)


@dataclass(frozen=True)
class Fine:
    """Fine clusters of all rows.

    Attributes
    ----------
    labels : Tensor (n,) int64
    centers : Tensor (k, d)
    objective : float
        Mean squared distance to the own centre.
    """

    labels: Tensor
    centers: Tensor
    objective: float


def cluster(rows: Tensor, k: int, max_iter: int, generator: torch.Generator, *, careful: bool = False) -> Fine:
    """Run K-means on all `rows` (n, d) from random rows; a cluster that runs empty takes half of a large one.

    Fewer distinct rows than `k` give fewer clusters. `careful`: a better start, and iterations until it rests.
    """
    distinct = Rows.of(rows).fewer_distinct_than(k)
    k = k if distinct is None else distinct
    start = "k-means++" if careful and k <= _CAREFUL else "random"
    found = kmeans(
        rows,
        k,
        max_iter=_FINAL if careful else max_iter,
        tol=1e-4 if careful else 0.0,
        init=start,
        empty="split",
        generator=generator,
    )
    return Fine(found.labels, found.centers, found.inertia / len(rows))


@dataclass(frozen=True)
class FineToCoarse:
    """Fine clusters and the groups they are merged into: all that the group of an image takes.

    Attributes
    ----------
    space : Space
    centers : Tensor (k, d)
    group : Tensor (k,) int64
        Of each fine cluster.
    sizes : Tensor (k,) int64
        Training rows of each fine cluster.
    spread : float
        Mean squared distance of the training rows to their centre: the scale of probabilities.
    """

    space: Space
    centers: Tensor
    group: Tensor
    sizes: Tensor
    spread: float

    def on_cpu(self) -> FineToCoarse:
        """Return the same on the CPU."""
        kept = {name: _tensor(value) for name, value in self.state().items() if name != "fine.spread"}
        return FineToCoarse.of({**kept, "fine.spread": self.spread})

    def state(self) -> dict[str, Any]:
        """Return it as a flat mapping of arrays and plain values."""
        kept: dict[str, Any] = {
            "fine.centers": self.centers.cpu().numpy(),
            "fine.group": self.group.cpu().numpy(),
            "fine.sizes": self.sizes.cpu().numpy(),
            "fine.spread": self.spread,
        }
        pca = self.space.pca
        parts = () if pca is None else ("mean", "components", "explained_variance", "explained_variance_ratio")
        return kept | {f"pca.{name}": getattr(pca, name).cpu().numpy() for name in parts}

    @classmethod
    def of(cls, state: Mapping[str, Any]) -> FineToCoarse:
        """Rebuild what `state` returned."""
        parts = ("mean", "components", "explained_variance", "explained_variance_ratio")
        found = {name: _tensor(state[f"pca.{name}"]) for name in parts if "pca.mean" in state}
        pca = PCA(**found, whiten=True) if found else None  # type: ignore[arg-type]
        centers, group, sizes = (_tensor(state[f"fine.{name}"]) for name in ("centers", "group", "sizes"))
        return cls(Space(pca), centers, group, sizes, float(state["fine.spread"]))

    def __call__(self, features: Features) -> Floats:
        """Return (n, groups) float32: by the squared distance to the nearest fine cluster of each group."""
        rows = self.space.rows(features)
        n_groups = int(self.group.max()) + 1
        found = np.zeros((len(rows), n_groups), np.float32)
        for start, distance in self._distances(rows):
            nearest = distance.new_full((len(distance), n_groups), torch.inf)
            nearest.scatter_reduce_(1, self.group.expand(len(distance), -1), distance, "amin")
            part = (-nearest / max(self.spread, _LEAST)).softmax(1).cpu().numpy()
            found[start : start + len(part)] = part
        return found

    def fine(self, features: Features) -> Tensor:
        """Return (n,) int64: the nearest fine cluster of each row."""
        parts = [distance.argmin(1) for _, distance in self._distances(self.space.rows(features))]
        return torch.cat(parts) if parts else torch.zeros(0, dtype=torch.int64)

    def fine_of(self, features: Features, position: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Return (n,) int64: the nearest fine cluster of the row at each `position` (n,), -1 where that is -1."""
        found = np.full(len(position), -1, np.int64)
        if len(features):
            found[position >= 0] = self.fine(features).cpu().numpy()[position[position >= 0]]
        return found

    def _distances(self, rows: Tensor) -> Iterator[tuple[int, Tensor]]:
        """Yield (start, squared distances (b, k)) of blocks of rows."""
        step = max(1, _BLOCK // (4 * len(self.centers)))
        own = self.centers.square().sum(1)
        for start in range(0, len(rows), step):
            part = rows[start : start + step]
            product = torch.addmm(own, part, self.centers.T, alpha=-2)
            yield start, (product + part.square().sum(1, keepdim=True)).clamp_min_(0)


def on_device(features: npt.NDArray[Any], device: torch.device) -> Features:
    """Return `features` on a GPU that has room for them twice; as they are otherwise."""
    if device.type == "cpu" or 2 * features.nbytes > compute.free_memory(device):
        return features
    return torch.from_numpy(np.asarray(features)).to(device)


def fit_groups(
    features: Features, settings: DeepClusterSettings, k: int, n_groups: int, draws: torch.Generator
) -> FineToCoarse:
    """Cluster all rows of `features` finely, and merge the clusters into `n_groups` groups.

    Raises
    ------
    NotEnoughImages
        The features are of fewer kinds than groups.
    """
    space = fit_space(features, settings.pca_dim)
    rows = space.rows(features)
    fine = cluster(rows, k, settings.kmeans_iter, draws, careful=True)
    sizes = fine.labels.bincount(minlength=len(fine.centers))
    full = int((sizes > 0).sum())
    if full < n_groups:
        raise NotEnoughImages(
            f"the features of these images are of {full} kind(s): too few for {n_groups} groups. Ask for fewer (-k)."
        )
    group = merge_centers(fine.centers, sizes, n_groups, how=settings.merge, generator=draws)
    return FineToCoarse(space, fine.centers, group.to(fine.centers.device), sizes, fine.objective)


def _tensor(value: Any) -> Tensor:
    return value if isinstance(value, Tensor) else torch.from_numpy(np.array(value))
