"""What a network is trained on: pixels or ready-made features, by index."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from ilk.data import ArrayImages

__all__ = ["Features", "Pixels", "Pool", "batches"]


class Pixels:
    """Images of one size, centred and, where asked for, scaled.

    Parameters
    ----------
    images : ArrayImages
        In memory, in a mapped file or on a GPU.
    mean : Tensor (c,)
        Of every channel over all training images, on the scale 0 to 1.
    device : torch.device
        Where batches are wanted.
    std : Tensor (c,), optional
        Standard deviation of every channel on the same scale, which the centred values are divided by.
    """

    def __init__(self, images: ArrayImages, mean: Tensor, device: torch.device, std: Tensor | None = None) -> None:
        self.images = images.to(device)
        self.mean = mean.to(device).view(1, -1, 1, 1)
        self.scale = 255.0 if std is None else std.to(device).view(1, -1, 1, 1) * 255
        self.offset = self.mean if std is None else self.mean / std.to(device).view(1, -1, 1, 1)
        self.device = device

    def __len__(self) -> int:
        return len(self.images)

    def read(self, index: Tensor) -> Tensor:
        """Return float32 (b, c, h, w): (value / 255 - mean of its channel) / its standard deviation (1 if none)."""
        pixels = self.images.read(index).to(self.device, non_blocking=True)
        if pixels.shape[1] != self.mean.shape[1]:  # grey among colour, or colour for a network that learnt from grey
            pixels = pixels.float().mean(1, keepdim=True) if self.mean.shape[1] == 1 else pixels.expand(-1, 3, -1, -1)
        return pixels.float().div_(self.scale).sub_(self.offset).contiguous(memory_format=torch.channels_last)


class Features:
    """Features of a frozen encoder, each row brought to length 1, centred.

    Parameters
    ----------
    features : (n, d) float16
    mean : Tensor (d,), optional
        Of the training images' rows of length 1; that of `features` otherwise.
    """

    def __init__(self, features: npt.NDArray[Any], device: torch.device, mean: Tensor | None = None) -> None:
        self.features = features
        self.device = device
        self.mean = torch.zeros(features.shape[1], device=device)
        if mean is None:
            parts = (self.read(rows).double().sum(0) for rows in batches(torch.arange(len(features)), 4096))
            mean = (sum(parts, torch.zeros(features.shape[1], dtype=torch.float64)) / max(len(features), 1)).float()
        self.mean = mean.to(device)

    def __len__(self) -> int:
        return len(self.features)

    def read(self, index: Tensor) -> Tensor:
        """Return float32 (b, d)."""
        rows = torch.from_numpy(np.asarray(self.features[index.cpu().numpy()], np.float32)).to(self.device)
        return functional.normalize(rows, dim=1) - self.mean


Pool = Pixels | Features


def batches(index: Tensor, size: int, *, least: int = 1, drop_last: bool = False) -> Iterator[Tensor]:
    """Yield `index` in pieces of `size`; a rest of less than `least` joins the piece before it.

    Examples
    --------
    >>> [len(b) for b in batches(torch.arange(65), 32, least=2)]
    [32, 33]
    >>> [len(b) for b in batches(torch.arange(70), 32, drop_last=True)]
    [32, 32]
    """
    pieces = list(torch.split(index, size))
    if len(pieces) > 1 and len(pieces[-1]) < size:
        if drop_last:
            pieces.pop()
        elif len(pieces[-1]) < least:
            pieces[-2:] = [torch.cat(pieces[-2:])]
    yield from pieces
