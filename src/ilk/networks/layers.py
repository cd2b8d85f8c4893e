"""Layers whose weights and noise come from a generator of their own; the global one is never touched."""

from __future__ import annotations

import math
from typing import TypeVar

import torch
from torch import Tensor, nn

__all__ = ["Dropout", "conv", "empty", "linear"]

Layer = TypeVar("Layer", bound=nn.Module)


def empty(layer: Layer) -> Layer:
    """Give `layer`, built on the meta device, memory but no random numbers from the global generator."""
    return layer.to_empty(device="cpu")


def conv(before: int, after: int, kernel: int, stride: int, padding: int, generator: torch.Generator) -> nn.Conv2d:
    """Return a convolution with weights N(0, 2 / (kernel² · after)) and bias 0."""
    layer = empty(nn.Conv2d(before, after, kernel, stride, padding, device="meta"))
    with torch.no_grad():
        layer.weight.normal_(0.0, math.sqrt(2.0 / (kernel * kernel * after)), generator=generator)
        assert layer.bias is not None
        layer.bias.zero_()
    return layer


def linear(before: int, after: int, generator: torch.Generator, std: float = 0.01, *, bias: bool = True) -> nn.Linear:
    """Return a linear layer with weights N(0, std²) and bias 0."""
    layer = empty(nn.Linear(before, after, bias=bias, device="meta"))
    with torch.no_grad():
        layer.weight.normal_(0.0, std, generator=generator)
        if bias:
            layer.bias.zero_()
    return layer


class Dropout(nn.Module):
    """Zeroes each value with probability `p` while training, and scales the others by 1 / (1 − p).

    Parameters
    ----------
    p : float

    Attributes
    ----------
    noise : torch.Generator or None
        On the device of the data; has to be set before training, so that a training can go on to the bit.

    Examples
    --------
    >>> layer = Dropout(0.5)
    >>> layer.noise = torch.Generator().manual_seed(0)
    >>> sorted(layer(torch.ones(1, 50)).unique().tolist())
    [0.0, 2.0]
    """

    def __init__(self, p: float = 0.5) -> None:
        super().__init__()
        self.p = p
        self.noise: torch.Generator | None = None

    def forward(self, x: Tensor) -> Tensor:
        """Return `x` with noise while training, `x` itself otherwise."""
        if not self.training or not self.p:
            return x
        assert self.noise is not None, "set Dropout.noise before training"
        kept = torch.empty_like(x).bernoulli_(1 - self.p, generator=self.noise)
        return x * kept / (1 - self.p)
