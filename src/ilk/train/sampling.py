"""Which images an epoch draws where some pseudo-labels are rare and others frequent."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["inverse_sizes", "uniform_draw"]


def uniform_draw(labels: Tensor, generator: torch.Generator) -> Tensor:
    """Draw as many images as there are, the same number of every cluster that has any.

    Parameters
    ----------
    labels : Tensor (n,) int64, on the CPU
        Cluster of each image, from 0.
    generator : torch.Generator
        On the CPU.

    Returns
    -------
    Tensor (n,) int64
        Indices in random order. The counts of two clusters differ by at most one. Within a cluster no image is drawn
        twice, unless the cluster is smaller than its share: then its images are drawn with replacement.

    Examples
    --------
    >>> labels = torch.tensor([0, 0, 0, 0, 0, 0, 0, 2])
    >>> drawn = uniform_draw(labels, torch.Generator().manual_seed(0))
    >>> labels[drawn].bincount().tolist()
    [4, 0, 4]
    """
    n = len(labels)
    shuffled = torch.randperm(n, generator=generator)
    grouped = shuffled[labels[shuffled].argsort(stable=True)]
    sizes = labels.bincount()
    sizes = sizes[sizes > 0]
    share = torch.full_like(sizes, n // len(sizes))
    share[torch.randperm(len(sizes), generator=generator)[: n % len(sizes)]] += 1
    cluster = torch.arange(len(sizes)).repeat_interleave(share)
    offset = torch.arange(n) - (share.cumsum(0) - share)[cluster]
    drawn = (torch.rand(n, generator=generator, dtype=torch.float64) * sizes[cluster]).long()
    offset = torch.where(sizes[cluster] < share[cluster], drawn, offset)
    index = grouped[(sizes.cumsum(0) - sizes)[cluster] + offset]
    return index[torch.randperm(n, generator=generator)]


def inverse_sizes(labels: Tensor, n_clusters: int) -> Tensor:
    """Return the weight (n_clusters,) float32 of the images of each cluster: 1 / size, mean 1 over images.

    The other way to what `uniform_draw` does: every cluster has the same sum of weights.

    Examples
    --------
    >>> inverse_sizes(torch.tensor([0, 0, 0, 1]), 3).tolist()
    [0.6666666865348816, 2.0, 0.0]
    """
    sizes = labels.bincount(minlength=n_clusters).double()
    full = sizes > 0
    weights = torch.where(full, len(labels) / (full.sum() * sizes.clamp_min(1)), 0.0)
    return weights.float()
