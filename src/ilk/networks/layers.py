"""Layers whose weights and noise come from a generator of their own, and convolutions that share a CPU in bfloat16."""

from __future__ import annotations

import math
from typing import TypeVar

import torch
from torch import Tensor, nn

__all__ = ["Conv2d", "Dropout", "conv", "empty", "linear"]

Layer = TypeVar("Layer", bound=nn.Module)

_FEW = 16


class Conv2d(nn.Conv2d):
    """A convolution that takes its own way in bfloat16 on a CPU where few channels come in, as from an image.

    There the threads that find the gradient of the weights wait for each other once an image, and without sleep: with
    channels last, on cores that other processes want too, that takes 20 to 50 times as long. So this layer alone has
    its channels first, which costs nothing; what goes in and comes out is as everywhere.
    """

    def _conv_forward(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:  # noqa: A002 - torch's name
        if input.device.type != "cpu" or self.in_channels >= _FEW or not torch.is_autocast_enabled("cpu"):
            same: Tensor = super()._conv_forward(input, weight, bias)
            return same
        found: Tensor = super()._conv_forward(input.contiguous(), weight.contiguous(), bias)
        return found.contiguous(memory_format=torch.channels_last)


def empty(layer: Layer) -> Layer:
    """Give `layer`, built on the meta device, memory but no random numbers from the global generator."""
    return layer.to_empty(device="cpu")


def conv(before: int, after: int, kernel: int, stride: int, padding: int, generator: torch.Generator) -> nn.Conv2d:
    """Return a convolution with weights N(0, 2 / (kernel² · after)) and bias 0."""
    layer = empty(Conv2d(before, after, kernel, stride, padding, device="meta"))
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
