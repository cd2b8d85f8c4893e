"""Self-labelling: an augmented image is given the group that the image as it is has with confidence."""

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
        0, with gradients of 0, where no image is confident.
    confident : Tensor ()
        How many images are.
    """

    loss: Tensor
    confident: Tensor


def confident_loss(
    target: Tensor, augmented: Tensor, threshold: float = 0.99, *, balance: bool = True
) -> ConfidentLoss:
    """Cross-entropy of `augmented` against the most confident group of `target`, over images that are confident.

    Parameters
    ----------
    target : Tensor (b, k)
        Logits of the images as they are. No gradient goes there.
    augmented : Tensor (b, k)
        Logits of their augmented views.
    threshold : float
        An image is confident where its highest probability is above it.
    balance : bool
        Weigh each image by (confident images) / (confident images of its group), so that every group that occurs
        counts the same.

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
    >>> logits = torch.tensor([[9.0, 0.0], [0.0, 9.0], [0.0, 0.1]])
    >>> loss, count = confident_loss(logits, torch.zeros(3, 2))
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
    each = functional.cross_entropy(augmented.float(), group, reduction="none")
    return ConfidentLoss((weights * each).sum() / total, confident)
