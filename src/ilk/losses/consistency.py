"""Losses that tie an augmented view of an image to the image itself."""

from __future__ import annotations

from torch import Tensor

__all__ = ["cross_entropy"]


def cross_entropy(prediction: Tensor, target: Tensor, epsilon: float = 1e-7) -> Tensor:
    """Mean binary cross-entropy of all entries of `prediction` (b, k) against `target` (b, k), both in [0, 1].

    Used by the released scripts of DAC between the label features of an augmented image and those of the image.
    It is least where both agree, but not 0 unless the target is 0 or 1.

    Examples
    --------
    >>> import torch
    >>> cross_entropy(torch.tensor([[0.5]]), torch.tensor([[1.0]]))
    tensor(0.6931)
    """
    clamped = prediction.clamp(epsilon, 1 - epsilon)
    return -(target * clamped.log() + (1 - target) * (1 - clamped).log()).mean()
