"""Many clusters, then few: fine clusters merged into groups, every one counting by its size."""

from __future__ import annotations

import torch
from torch import Tensor

from ilk.errors import ArgumentError, NotEnoughImages
from ilk.vectors.kmeans import kmeans
from ilk.vectors.rows import Rows, check_count

__all__ = ["merge_centers"]

_STARTS = 10  # of K-means on the centres: there are few of them


def merge_centers(
    centers: Tensor,
    sizes: Tensor,
    n_groups: int,
    *,
    how: str = "ward",
    generator: torch.Generator | None = None,
) -> Tensor:
    """Unite clusters into `n_groups` groups.

    Parameters
    ----------
    centers : Tensor (k, d), float
    sizes : Tensor (k,)
        Rows of each cluster. Empty ones join the group of the nearest cluster that is not.
    n_groups : int
        At most the number of clusters that are not empty.
    how : {"ward", "kmeans"}
        "ward": unite again and again the two whose union adds least to the sum of squared distances of all rows.
        "kmeans": K-means on the centres, weighted by the sizes, the best of ten starts.
    generator : torch.Generator, optional
        For "kmeans"; None: seed 0.

    Returns
    -------
    Tensor (k,) int64
        Group of each cluster, numbered from 0 by the first cluster of each.

    Raises
    ------
    ArgumentError
        `how` is unknown, or sizes are negative.
    NotEnoughImages
        Fewer clusters with rows than groups.

    Notes
    -----
    Ward: the same groups as agglomerative clustering that begins with every centre repeated as often as it has rows. By
    chains of nearest neighbours: O(k² d) time, O(k d) memory, so 10,000 clusters are no matter.

    References
    ----------
    J. H. Ward, Hierarchical grouping to optimize an objective function, JASA 58, 1963. F. Murtagh, A survey of recent
    advances in hierarchical clustering algorithms, Computer J. 26, 1983 (chains of nearest neighbours).

    Examples
    --------
    >>> centers = torch.tensor([[0.0], [1.0], [10.0], [11.0], [12.0]])
    >>> merge_centers(centers, torch.ones(5), 2)
    tensor([0, 0, 1, 1, 1])
    """
    if how not in ("ward", "kmeans"):
        raise ArgumentError(f"how={how!r}: choose ward or kmeans")
    rows = Rows.of(centers, "centers")
    weight = torch.as_tensor(sizes).to(rows.device, torch.float64)
    if weight.shape != (len(rows),) or bool((weight < 0).any()):
        raise ArgumentError(f"sizes must be {len(rows)} numbers of at least 0")
    full = (weight > 0).nonzero()[:, 0]
    if check_count(n_groups, "n_groups") > len(full):
        raise NotEnoughImages(f"n_groups={n_groups} needs as many clusters with images; there are {len(full)}")
    kept = rows.take(full)
    if how == "kmeans":
        found = kmeans(kept, n_groups, n_init=_STARTS, sample_weight=weight[full], generator=generator).labels
    else:
        found = _ward(kept.double(), weight[full], n_groups)
    if len(full) < len(rows):
        nearest = torch.cdist(centers.double(), kept.double()).argmin(1)
        nearest[full] = torch.arange(len(full), device=nearest.device)
        found = found[nearest]
    return _numbered(found)


def _numbered(labels: Tensor) -> Tensor:
    """Return `labels` numbered from 0 in the order in which they occur."""
    _, inverse = torch.unique(labels, return_inverse=True)
    first = torch.full((int(inverse.max()) + 1,), len(labels), device=labels.device)
    first.scatter_reduce_(0, inverse, torch.arange(len(labels), device=labels.device), "amin")
    return first.argsort().argsort()[inverse]


def _ward(centers: Tensor, weight: Tensor, n_groups: int) -> Tensor:
    """Return the group (k,) of each centre: all unions, of which the k − n_groups least are made."""
    k = len(centers)
    centers, weight = centers.cpu().clone(), weight.cpu().clone()
    norms = (centers * centers).sum(1)
    alive = torch.ones(k, dtype=torch.bool)
    merges: list[tuple[float, int, int]] = []
    chain: list[int] = []
    while len(merges) < k - 1:
        if not chain:
            chain.append(int(alive.to(torch.uint8).argmax()))
        tip = chain[-1]
        squared = (norms + norms[tip] - 2 * (centers @ centers[tip])).clamp_min_(0)
        cost = squared * (weight * weight[tip] / (weight + weight[tip]))
        cost[~alive] = torch.inf
        cost[tip] = torch.inf
        near = int(cost.argmin())
        least = float(cost[near])
        if len(chain) > 1 and float(cost[chain[-2]]) <= least:  # at a tie back to where the chain came from: it ends
            near, least = chain[-2], float(cost[chain[-2]])
            del chain[-2:]
            total = weight[tip] + weight[near]
            centers[near] = (weight[tip] * centers[tip] + weight[near] * centers[near]) / total
            weight[near], norms[near] = total, centers[near] @ centers[near]
            alive[tip] = False
            merges.append((least, tip, near))
        else:
            chain.append(near)
    return _cut(sorted(merges, key=lambda merge: merge[0])[: k - n_groups], k)


def _cut(merges: list[tuple[float, int, int]], k: int) -> Tensor:
    """Return the group of each of k centres after these unions."""
    above = list(range(k))

    def root(one: int) -> int:
        while above[one] != one:
            above[one] = above[above[one]]
            one = above[one]
        return one

    for _, one, other in merges:
        above[root(one)] = root(other)
    return torch.tensor([root(one) for one in range(k)])
