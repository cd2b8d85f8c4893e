"""Losses of pairs: which pairs of a batch count as the same group, as different groups, or not at all.

Deep adaptive clustering exists in several versions that choose and weigh pairs differently. Each has its own function
here; none is a blend. All take similarities, the B × B cosines of the label features of a batch, and all include the
diagonal, as every published version does: it adds pairs but no loss.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

__all__ = [
    "PairLoss",
    "every_pair",
    "label_features",
    "selected_mean",
    "selected_rows",
    "selected_sum",
    "similarities",
]

Level = float | Tensor  # a tensor () where a CUDA graph is to read it anew in every step

EPSILON = 1e-7
"""Least argument of a logarithm where the version at hand does not name its own."""


class PairLoss(NamedTuple):
    """A loss and what it was made of, scalars on the device of the similarities.

    Attributes
    ----------
    loss : Tensor ()
    positive, selected : Tensor ()
        Shares of all B² pairs that counted as the same group, and that counted at all.
    """

    loss: Tensor
    positive: Tensor
    selected: Tensor


def label_features(logits: Tensor) -> Tensor:
    """Return non-negative vectors of length 1, (b, k): the constraint layer.

    exp(x - max x) divided by its Euclidean length, which is softmax(x) divided by its length.

    Examples
    --------
    >>> label_features(torch.tensor([[0.0, 0.0]]))
    tensor([[0.7071, 0.7071]])
    """
    proba = logits.softmax(1)
    features: Tensor = proba / torch.linalg.vector_norm(proba, dim=1, keepdim=True)
    return features


def similarities(features: Tensor) -> Tensor:
    """Return the cosines of all pairs of rows of unit length, (b, b), in [0, 1]."""
    return features @ features.T


def selected_mean(similarity: Tensor, upper: Level, lower: Level, reference: Tensor | None = None) -> PairLoss:
    """Cross-entropy summed over the selected pairs and divided by their number (the paper's equation).

    A pair is positive at a similarity of `upper` or more and negative below `lower`; both are read off `reference`,
    or off `similarity` itself, without gradient.

    Parameters
    ----------
    similarity : Tensor (b, b)
    upper, lower : float
        `lower` may not exceed `upper`.
    reference : Tensor (b, b), optional

    References
    ----------
    J. Chang et al., "Deep Adaptive Image Clustering", ICCV 2017.

    Examples
    --------
    >>> selected_mean(torch.tensor([[1.0, 0.1], [0.1, 1.0]]), 0.9, 0.5).selected
    tensor(1.)
    """
    seen = (similarity if reference is None else reference).detach()
    positive, negative = seen >= upper, seen < lower
    entropy = _entropy(similarity, positive)
    chosen = positive | negative
    total = torch.where(chosen, entropy, torch.zeros_like(entropy)).sum()
    return PairLoss(total / chosen.sum().clamp(min=1), _share(positive), _share(chosen))


def selected_sum(
    similarity: Tensor,
    upper: Level,
    lower: Level,
    reference: Tensor | None = None,
    *,
    epsilon: float = 1e-10,
) -> PairLoss:
    """Cross-entropy of the selected pairs, both terms averaged over all B² entries and added (the seed's loss).

    Positive strictly above `upper`, negative strictly below `lower`. Where `upper` is less than `lower`, a pair between
    them is both. The fewer pairs are selected, the smaller is the gradient.

    Parameters
    ----------
    similarity : Tensor (b, b)
    upper, lower : float
    reference : Tensor (b, b), optional
        Similarities that decide; `similarity` itself otherwise.
    epsilon : float
        Arguments of the logarithm are clipped to [epsilon, 1].
    """
    seen = (similarity if reference is None else reference).detach()
    positive, negative = seen > upper, seen < lower
    none = torch.zeros_like(similarity)
    attract = torch.where(positive, -similarity.clamp(epsilon, 1).log(), none).mean()
    repel = torch.where(negative, -(1 - similarity).clamp(epsilon, 1).log(), none).mean()
    return PairLoss(attract + repel, _share(positive), _share(positive | negative))


def every_pair(similarity: Tensor, reference: Tensor, threshold: Level, *, squared: bool = False) -> PairLoss:
    """Every pair counts: positive where `reference` is above `threshold`, else negative; mean over B² (DAC*, released).

    Parameters
    ----------
    similarity : Tensor (b, b)
    reference : Tensor (b, b)
        Similarities that decide, for example frozen ones of images as they are.
    threshold : float
    squared : bool
        Squared difference (MNIST) instead of cross-entropy (all other data sets).
    """
    positive = reference > threshold
    if squared:
        loss = (similarity - positive.to(similarity.dtype)).square().mean()
    else:
        loss = _entropy(similarity, positive).mean()
    share = _share(positive)
    return PairLoss(loss, share, torch.ones_like(share))


def selected_rows(similarity: Tensor, reference: Tensor, upper: Level, lower: Level) -> PairLoss:
    """Cross-entropy of the selected pairs over their number, averaged over the rows (DAC, two thresholds, released).

    A pair counts where `reference` is above `upper` or below `lower`; it is positive above their middle. The released
    script divides each row's sum by the number of pairs selected in the whole batch, and its framework then averages
    over the B rows: beside `selected_mean` that is one more factor 1/B.
    """
    chosen = (reference > upper) | (reference < lower)
    positive = reference > (upper + lower) / 2
    entropy = _entropy(similarity, positive)
    rows = torch.where(chosen, entropy, torch.zeros_like(entropy)).sum(1) / chosen.sum().clamp(min=1)
    return PairLoss(rows.mean(), _share(positive & chosen), _share(chosen))


def _entropy(similarity: Tensor, positive: Tensor) -> Tensor:
    """Return -log s of positive pairs and -log(1 - s) of the others, by one logarithm."""
    return -torch.where(positive, similarity, 1 - similarity).clamp(EPSILON, 1).log()


def _share(mask: Tensor) -> Tensor:
    return mask.to(torch.float32).mean()
