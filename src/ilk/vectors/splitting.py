"""What K-means does with clusters that ran empty: each takes half of a large one."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["split_empty"]

_APART = 1 / 1024


def split_empty(centers: Tensor, counts: Tensor, generator: torch.Generator) -> Tensor:
    """Give every empty cluster half of a large one: both get its centre, moved apart by very little.

    Parameters
    ----------
    centers : Tensor (k, d)
    counts : Tensor (k,)
        Rows, or weight, of each cluster.
    generator : torch.Generator
        Draws the clusters that are split, each with a probability proportional to its rows but one.

    Returns
    -------
    Tensor (k, d)
        A new one; `centers` where no cluster is empty, or none can be split.

    Notes
    -----
    A centre c becomes c (1 + e) and c (1 − e) in every other coordinate and the other way round in those between, with
    e = 1/1024. The halves count half each when the next one is drawn. The draws are made on the CPU.

    References
    ----------
    J. Johnson, M. Douze, H. Jégou, Billion-scale similarity search with GPUs, IEEE Trans. Big Data 7, 2021 (the way of
    faiss).

    Examples
    --------
    >>> centers = torch.tensor([[4.0, 4.0], [9.0, 9.0]])
    >>> split_empty(centers, torch.tensor([10.0, 0.0]), torch.Generator().manual_seed(0))
    tensor([[3.9961, 4.0039],
            [4.0039, 3.9961]])
    """
    sizes = counts.double().cpu().clone()
    empty = (sizes == 0).nonzero()[:, 0].tolist()
    if not empty or not bool((sizes > 1).any()):
        return centers
    centers = centers.clone()
    sign = torch.ones(centers.shape[1], dtype=centers.dtype, device=centers.device)
    sign[1::2] = -1
    for cluster in empty:
        steps = (sizes - 1).clamp_min(0).cumsum(0)
        if not bool(steps[-1] > 0):
            break
        draw = torch.rand(1, dtype=torch.float64, generator=generator, device=generator.device).cpu()
        donor = int(torch.searchsorted(steps, draw * steps[-1], right=True).clamp_(max=len(steps) - 1))
        centers[cluster] = centers[donor] * (1 + _APART * sign)
        centers[donor] = centers[donor] * (1 - _APART * sign)
        sizes[cluster] = sizes[donor] = sizes[donor] / 2
    return centers
