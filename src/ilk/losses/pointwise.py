"""The loss of TEMI: pointwise mutual information of an image and its neighbour, between a student and its teacher."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

__all__ = ["PointwiseLoss", "pair_weights", "pointwise_loss", "update_marginal"]


class PointwiseLoss(NamedTuple):
    """Loss of each of h heads, and what it is made of.

    Attributes
    ----------
    loss : Tensor (h,)
        Minus the weighted mean of the pointwise mutual information.
    information : Tensor (h,)
        The same mean without weights and without the minus: with beta 1 at most the logarithm of the number of groups
        where all groups are even, and 0 where student and teacher know nothing.
    weight : Tensor ()
        Mean weight of a pair, from 0 to 1.
    """

    loss: Tensor
    information: Tensor
    weight: Tensor


def pair_weights(teacher: Tensor, neighbors: Tensor) -> Tensor:
    """Return how far the teacher puts both images of a pair into the same group: the mean of all heads.

    Parameters
    ----------
    teacher, neighbors : Tensor (b, h, k)
        Probabilities that the h heads of the teacher give b images, and one neighbour of each.

    Returns
    -------
    Tensor (b,)
        w(x, x') = 1/h Σ_head Σ_c q(c|x) q(c|x'): 1 where every head is confident of the same group for both, 1/k where
        none knows anything, 0 where all are confident of different ones.

    Examples
    --------
    >>> certain = torch.eye(2)[:, None]  # two images, one head, two groups
    >>> pair_weights(certain, certain), pair_weights(certain, certain.flip(0))
    (tensor([1., 1.]), tensor([0., 0.]))
    """
    return (teacher.float() * neighbors.float()).sum(-1).mean(-1)


def pointwise_loss(
    student: Tensor,
    student_neighbors: Tensor,
    teacher: Tensor,
    teacher_neighbors: Tensor,
    marginal: Tensor,
    *,
    beta: float = 0.6,
    weighted: bool = True,
) -> PointwiseLoss:
    """Return what TEMI minimises, for all heads at once.

    Parameters
    ----------
    student, student_neighbors : Tensor (b, h, k)
        Logits, divided by their temperature, that the student's h heads give b images, and one neighbour of each.
    teacher, teacher_neighbors : Tensor (b, h, k)
        Probabilities of the teacher for the same images. No gradient goes there.
    marginal : Tensor (h, k)
        How often the teacher uses each group: see `update_marginal`.
    beta : float
        From above 0.5 to 1. Below 1 a pair gains less from confidence, and groups stay more even. At 0.5 a head that
        knows nothing is as good as a perfect one.
    weighted : bool
        Multiply each pair by `pair_weights`. Else every pair counts 1 (the paper's PMI without weights).

    Returns
    -------
    PointwiseLoss

    Notes
    -----
    With p of the student, q of the teacher and m the marginal, a head and a pair have

        pmi(x, x') = log Σ_c (p(c|x) q(c|x'))^β / m(c),

    and the loss is −½ w(x, x') (pmi(x, x') + pmi(x', x)), averaged over pairs. The weight is one for all heads. With
    even groups pmi is log k where student and teacher are confident of the same group, and (2 − 2β) log k where neither
    knows anything. All is computed from logarithms, so a student that is confident of another group than its
    teacher still has a gradient. Of the heads, the paper keeps the one with the least loss.

    References
    ----------
    N. Adaloglou, F. Michels, H. Kalisch, M. Kollmann, "Exploring the Limits of Deep Image Clustering using Pretrained
    Models", BMVC 2023 (the section on the objective; the weights over heads as in the authors' code).

    Examples
    --------
    >>> logits = torch.tensor([[[99.0, 0.0]], [[0.0, 99.0]]])  # two images, one head, two groups
    >>> found = pointwise_loss(logits, logits, logits.softmax(-1), logits.softmax(-1), torch.full((1, 2), 0.5))
    >>> round(float(found.loss), 4), round(float(found.weight), 4)
    (-0.6931, 1.0)
    """
    p, p_neighbors = student.float().log_softmax(-1), student_neighbors.float().log_softmax(-1)
    q, q_neighbors, log_marginal = _log(teacher), _log(teacher_neighbors), _log(marginal)
    there = torch.logsumexp(beta * (p + q_neighbors) - log_marginal, -1)
    back = torch.logsumexp(beta * (p_neighbors + q) - log_marginal, -1)
    information = (there + back) / 2
    weights = pair_weights(teacher, teacher_neighbors).detach() if weighted else torch.ones_like(information[:, 0])
    return PointwiseLoss(-(weights[:, None] * information).mean(0), information.detach().mean(0), weights.mean())


def update_marginal(marginal: Tensor, teacher: Tensor, momentum: float = 0.9) -> Tensor:
    """Return how often the teacher uses each group, with one more batch taken into account.

    Parameters
    ----------
    marginal : Tensor (h, k)
        So far; at the start 1/k.
    teacher : Tensor (b, h, k)
        Probabilities of the batch, of images and neighbours alike.
    momentum : float
        From 0 (this batch alone) to below 1.

    Returns
    -------
    Tensor (h, k)
        momentum · marginal + (1 − momentum) · mean of the batch. Rows sum to 1 if they did before.

    Notes
    -----
    The authors update first and then use the new marginal in the loss of the same batch.

    Examples
    --------
    >>> update_marginal(torch.tensor([[0.5, 0.5]]), torch.tensor([[[1.0, 0.0]], [[1.0, 0.0]]]), 0.5)
    tensor([[0.7500, 0.2500]])
    """
    with torch.no_grad():
        return torch.lerp(teacher.float().mean(0), marginal, momentum)


def _log(probabilities: Tensor) -> Tensor:
    """Return logarithms without a gradient, of 0 a large negative number and no infinity."""
    return probabilities.detach().float().clamp(min=torch.finfo(torch.float32).tiny).log()
