"""Self-labelling: an altered image is given the group that its unaltered self is sure of."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

__all__ = ["ConfidentLoss", "confident_loss"]


class ConfidentLoss(NamedTuple):
    """Loss of a batch, and how much of it took part.

    Attributes
    ----------
    loss : Tensor ()
        0, with gradients of 0, where no image is sure.
    confident : Tensor ()
        How many images are.
    """

    loss: Tensor
    confident: Tensor


def confident_loss(target: Tensor, altered: Tensor, threshold: float = 0.99, *, balance: bool = True) -> ConfidentLoss:
    """Cross-entropy of `altered` against the surest group of `target`, over images that are sure.

    Parameters
    ----------
    target : Tensor (b, k)
        Logits of the unaltered images. No gradient goes there.
    altered : Tensor (b, k)
        Logits of their altered copies.
    threshold : float
        An image is sure where its highest probability is above it.
    balance : bool
        Weigh each image by (sure images) / (sure images of its group), so every group that occurs counts the same.

    Returns
    -------
    ConfidentLoss
        The weighted mean. Nothing is read back from the device.

    References
    ----------
    W. Van Gansbeke, S. Vandenhende, S. Georgoulis, M. Proesmans, L. Van Gool, "SCAN: Learning to Classify Images
    without Labels", ECCV 2020.

    Examples
    --------
    >>> sure = torch.tensor([[9.0, 0.0], [0.0, 9.0], [0.0, 0.1]])
    >>> loss, count = confident_loss(sure, torch.zeros(3, 2))
    >>> round(float(loss), 4), int(count)
    (0.6931, 2)
    """
    with torch.no_grad():
        best, group = target.float().softmax(1).max(1)
        weights = (best > threshold).float()
        confident = weights.sum()
        if balance:
            counts = torch.zeros(target.shape[1], device=target.device).index_add(0, group, weights)
            weights = weights * (confident / counts.clamp(min=1.0))[group]
        total = weights.sum().clamp(min=1e-12)
    each = functional.cross_entropy(altered.float(), group, reduction="none")
    return ConfidentLoss((weights * each).sum() / total, confident)
