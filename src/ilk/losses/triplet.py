"""A margin between images of the same group and images of other groups."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["random_triplets", "triplet_margin"]


def random_triplets(labels: Tensor, most: int, draws: torch.Generator) -> Tensor:
    """Return triplets of rows: each pair of a group once, against rows of other groups at random.

    Parameters
    ----------
    labels : Tensor (b,) int64, on the device of `draws`
    most : int
        Rows of other groups per pair, none of them twice; fewer where there are fewer.
    draws : torch.Generator

    Returns
    -------
    Tensor (t, 3) int64
        Rows i and j of the same group, i before j, and a row of another; without rows where there are none.

    Notes
    -----
    Memory: b numbers per pair.

    Examples
    --------
    >>> random_triplets(torch.tensor([0, 1, 0]), 20, torch.Generator()).tolist()
    [[0, 2, 1]]
    """
    same = labels[:, None] == labels
    pairs = torch.triu(same, 1).nonzero()
    lots = torch.rand(len(pairs), len(labels), generator=draws, device=labels.device)
    lots = lots.masked_fill(same[pairs[:, 0]], -1.0)
    drawn = lots.topk(min(most, len(labels)), 1)
    pair, column = (drawn.values >= 0).nonzero(as_tuple=True)
    return torch.cat([pairs[pair], drawn.indices[pair, column][:, None]], 1)


def triplet_margin(features: Tensor, triplets: Tensor, *, margin: float = 0.2, weight: float = 1.0) -> Tensor:
    """Return the mean of max(0, w · ‖xᵢ − xⱼ‖² − ‖xᵢ − xₙ‖² + margin) over triplets (i, j, n).

    Parameters
    ----------
    features : Tensor (b, d)
    triplets : Tensor (t, 3) int64
        As of `random_triplets`.
    margin, weight : float

    Returns
    -------
    Tensor ()
        0 (with a gradient of 0) where there are no triplets.

    Notes
    -----
    Memory: b² · d numbers.

    References
    ----------
    J. Yang, D. Parikh, D. Batra, "Joint Unsupervised Learning of Deep Representations and Image Clusters", CVPR 2016.

    Examples
    --------
    >>> x = torch.tensor([[0.0], [1.0], [1.5]])
    >>> triplet_margin(x, torch.tensor([[0, 1, 2], [1, 0, 2]]))  # (1 − 2.25 + .2 < 0 and 1 − .25 + .2) / 2
    tensor(0.4750)
    """
    square = (features[:, None] - features).square().sum(2)
    i, j, n = triplets.to(features.device).unbind(1)
    hinge = (weight * square[i, j] - square[i, n] + margin).clamp_min(0)
    return hinge.sum() / max(len(triplets), 1)
