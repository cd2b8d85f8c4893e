"""The clustering loss of SCAN: an image and its neighbours fall into the same group, and all groups are used."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

__all__ = ["NeighborLoss", "neighbor_loss"]

_LEAST = 1e-8  # mean probability of a group, in its entropy
_MOST = 100.0  # -log of a similarity, where it is 0


class NeighborLoss(NamedTuple):
    """Loss of each of h heads.

    Attributes
    ----------
    loss : Tensor (h,)
        consistency − entropy_weight · entropy.
    consistency : Tensor (h,)
        Mean over pairs of −log of the similarity.
    entropy : Tensor (h,)
        Of the anchors' mean probabilities; log k where all groups are even.
    """

    loss: Tensor
    consistency: Tensor
    entropy: Tensor


def neighbor_loss(
    anchors: Tensor, neighbors: Tensor, entropy_weight: float = 5.0, *, similarity_as_logit: bool = False
) -> NeighborLoss:
    """Return what SCAN minimises, for one or several heads at once.

    Parameters
    ----------
    anchors : Tensor (b, h, k)
        Logits of b images from h heads.
    neighbors : Tensor (b, h, k) or (b, m, h, k)
        Logits of one neighbour of each image, or of m.
    entropy_weight : float
        λ.
    similarity_as_logit : bool
        Take the similarity, a number from 0 to 1, for a logit, as the Keras example does: softplus(−s) in place of
        −log s. Its slope is nearly the same everywhere, so nothing ever becomes confident.

    Notes
    -----
    s = ⟨p, q⟩ with p and q the softmax of anchor and neighbour. −log s is computed from log-probabilities, so it has a
    gradient where s itself would be 0 in float32. Above 100 it is cut, and such a pair has no gradient.

    References
    ----------
    W. Van Gansbeke, S. Vandenhende, S. Georgoulis, M. Proesmans, L. Van Gool, "SCAN: Learning to Classify Images
    without Labels", ECCV 2020.

    Examples
    --------
    >>> logits = torch.tensor([[[99.0, 0.0]], [[0.0, 99.0]]])  # two images, one head, two groups
    >>> found = neighbor_loss(logits, logits, 1.0)
    >>> round(float(found.consistency), 4), round(float(found.entropy), 4)
    (0.0, 0.6931)
    """
    p = anchors.float().log_softmax(-1)
    q = neighbors.float().log_softmax(-1)
    log_s = torch.logsumexp((p if q.ndim == p.ndim else p[:, None]) + q, -1)
    pairs = functional.softplus(-log_s.exp()) if similarity_as_logit else (-log_s).clamp(max=_MOST)
    consistency = pairs.flatten(0, -2).mean(0)
    mean = p.exp().mean(0).clamp(min=_LEAST)
    entropy = -(mean * mean.log()).sum(-1)
    return NeighborLoss(consistency - entropy_weight * entropy, consistency, entropy)
