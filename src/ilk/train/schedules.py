"""Learning rates on their way."""

from __future__ import annotations

import math

import torch

__all__ = ["cosine", "set_lr"]


def cosine(epoch: float, epochs: float, start: float, end: float = 0.0, *, warmup: float = 0.0) -> float:
    """Return the value at `epoch` of a half cosine from `start` to `end`, after a straight rise over `warmup` epochs.

    Examples
    --------
    >>> [round(cosine(e, 4, 1.0), 3) for e in range(5)]
    [1.0, 0.854, 0.5, 0.146, 0.0]
    >>> [cosine(e, 4, 1.0, warmup=2) for e in range(3)]
    [0.5, 1.0, 1.0]
    """
    if epoch < warmup:
        return start * min(1.0, (epoch + 1) / warmup)
    done = min(1.0, (epoch - warmup) / max(epochs - warmup, 1e-12))
    return end + (start - end) * (1 + math.cos(math.pi * done)) / 2


def set_lr(optimizer: torch.optim.Optimizer, lr: float) -> None:
    """Give every group of `optimizer` the learning rate `lr`."""
    for group in optimizer.param_groups:
        group["lr"] = lr
