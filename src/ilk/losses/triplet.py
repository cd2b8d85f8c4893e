"""A margin between images of the same group and the nearest of other groups."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["triplet_margin"]


def triplet_margin(
    features: Tensor, labels: Tensor, *, margin: float = 0.2, weight: float = 1.0, most: int = 20
) -> Tensor:
    """Return the mean of max(0, w · ‖xᵢ − xⱼ‖² − ‖xᵢ − xₙ‖² + margin) over a batch.

    Every pair (i, j) of a group is set against the `most` images n of other groups in the batch that are nearest to i.

    Parameters
    ----------
    features : Tensor (b, d)
    labels : Tensor (b,) int64
    margin, weight : float
    most : int
        Images of other groups per pair; fewer where the batch has fewer.

    Returns
    -------
    Tensor ()
        0 (with a gradient of 0) where the batch has no pair or a single group.

    Notes
    -----
    Memory: b² · `most` numbers.

    References
    ----------
    J. Yang, D. Parikh, D. Batra, "Joint Unsupervised Learning of Deep Representations and Image Clusters", CVPR 2016.

    Examples
    --------
    >>> x = torch.tensor([[0.0], [1.0], [1.5]])
    >>> triplet_margin(x, torch.tensor([0, 0, 1]))  # (1 − 2.25 + .2 < 0 and 1 − .25 + .2) / 2
    tensor(0.4750)
    """
    square = (features[:, None] - features).square().sum(2)
    same = labels[:, None] == labels
    away = square.masked_fill(same, torch.inf)
    nearest = away.topk(min(most, len(labels)), 1, largest=False).values  # (b, m); infinite where there are fewer
    pair = same & ~torch.eye(len(labels), dtype=torch.bool, device=labels.device)
    counted = pair[:, :, None] & torch.isfinite(nearest)[:, None]
    nearest = nearest.masked_fill(~torch.isfinite(nearest), 0.0)
    hinge = (weight * square[:, :, None] - nearest[:, None] + margin).clamp_min(0)
    return (hinge * counted).sum() / counted.sum().clamp_min(1)
