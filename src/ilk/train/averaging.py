"""Averages of weights."""

from __future__ import annotations

import copy

import torch
from torch import nn

__all__ = ["EMA"]


class EMA:
    """A copy of a network whose weights are an exponential moving average of the original's.

    Parameters
    ----------
    network : nn.Module
    decay : float
        In [0, 1): what is kept of the average at each `update`.

    Attributes
    ----------
    network : nn.Module
        The average, without gradients. Buffers (counts, statistics) are taken over as they are.
    """

    def __init__(self, network: nn.Module, decay: float = 0.99) -> None:
        self.decay = decay
        self.network = copy.deepcopy(network).requires_grad_(False)
        self._pairs = list(zip(self.network.parameters(), network.parameters(), strict=True))
        self._buffers = list(zip(self.network.buffers(), network.buffers(), strict=True))

    @torch.no_grad()
    def update(self) -> None:
        """Move the average towards the network as it is now."""
        for mean, now in self._pairs:
            mean.lerp_(now, 1 - self.decay)
        for kept, buffer in self._buffers:
            kept.copy_(buffer)
