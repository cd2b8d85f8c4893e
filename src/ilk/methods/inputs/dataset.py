"""What a method works on: pixels or ready-made features, by index, on the device."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from ilk.data import ArrayImages

__all__ = [
    "Dataset",
    "FeatureDataset",
    "PixelDataset",
    "encode_all",
    "to_float16",
]


class PixelDataset:
    """Images of one size.

    Parameters
    ----------
    images : ArrayImages
        In memory, in a mapped file or on a GPU.
    device : torch.device
        Where batches are wanted.
    mean, std : Tensor (c,), optional
        Of every channel over all training images, on the scale 0 to 1; 0 and 1 where they are left out.
    """

    def __init__(
        self, images: ArrayImages, device: torch.device, mean: Tensor | None = None, std: Tensor | None = None
    ) -> None:
        self.images = images.to(device)
        self.device = device
        mean = torch.zeros(images.shape[0]) if mean is None else mean
        std = torch.ones(len(mean)) if std is None else std
        self.mean, self.std = mean.to(device).view(1, -1, 1, 1), std.to(device).view(1, -1, 1, 1)

    def __len__(self) -> int:
        return len(self.images)

    @property
    def channels(self) -> int:
        """Channels that a network sees."""
        return self.mean.shape[1]

    def unit(self, index: Tensor) -> Tensor:
        """Return float32 (b, c, h, w) from 0 to 1.

        Grey images among colour ones, or colour images for a network that learnt from grey, are brought to the
        channels that the network knows.
        """
        pixels = self.images.read(index).to(self.device, non_blocking=True)
        if pixels.shape[1] != self.channels:
            one = self.channels == 1
            pixels = pixels.float().mean(1, keepdim=True) if one else pixels.expand(-1, self.channels, -1, -1)
        return pixels.float().div_(255.0)

    def normalized(self, unit: Tensor) -> Tensor:
        """Return images from 0 to 1 as the network takes them: centred, scaled, channels last."""
        return ((unit - self.mean) / self.std).contiguous(memory_format=torch.channels_last)

    def read(self, index: Tensor) -> Tensor:
        """Return the images `index` (b, c, h, w) float32, normalised."""
        return self.normalized(self.unit(index))


class FeatureDataset:
    """Ready-made features, read as float32 rows on the device.

    Parameters
    ----------
    features : (n, d)
        As they are kept: float16, or float32 where they are the user's own; perhaps a mapped file. On a GPU they are
        copied there, on a CPU they stay where they are.
    device : torch.device
    unit : bool
        Whether each row is brought to length 1.
    mean : Tensor (d,), optional
        What is taken off each row after that: see `centered`.
    """

    def __init__(
        self, features: npt.NDArray[Any], device: torch.device, *, unit: bool = False, mean: Tensor | None = None
    ) -> None:
        self.device = device
        self.dtype = features.dtype
        self.features = torch.from_numpy(features).to(device) if device.type != "cpu" else features
        self.unit = unit
        self.mean = None if mean is None else mean.to(device)

    @classmethod
    def centered(cls, features: npt.NDArray[Any], device: torch.device, mean: Tensor | None = None) -> FeatureDataset:
        """Return rows of length 1 with their `mean` taken off; that of `features` where none is given."""
        found = cls(features, device, unit=True)
        if mean is None:
            parts = (found.read(rows).double().sum(0) for rows in torch.split(torch.arange(len(features)), 4096))
            total = sum(parts, torch.zeros(features.shape[1], dtype=torch.float64, device=device))
            mean = (total / max(len(features), 1)).float()
        found.mean = mean.to(device)
        return found

    def __len__(self) -> int:
        return len(self.features)

    @property
    def width(self) -> int:
        """Numbers in a row."""
        return int(self.features.shape[1])

    def read(self, index: Tensor) -> Tensor:
        """Return float32 (b, d)."""
        if isinstance(self.features, Tensor):
            rows = self.features[index.to(self.device)].float()
        else:
            rows = torch.from_numpy(np.asarray(self.features[index.cpu().numpy()])).float()
        rows = functional.normalize(rows, dim=1) if self.unit else rows
        return rows if self.mean is None else rows - self.mean


Dataset = PixelDataset | FeatureDataset


@torch.no_grad()
def encode_all(
    network: Callable[[Tensor], Tensor],
    read: Callable[[Tensor], Tensor],
    rows: Tensor,
    size: int,
    *,
    device: torch.device,
    bf16: bool = False,
    pad: bool = True,
) -> Tensor:
    """Return what `network` gives the images `rows` (m,): float32 (m, d), on the CPU.

    Parameters
    ----------
    network
        In evaluation mode.
    read : callable (index) -> batch on the device
    size
        Images of a batch.
    bf16
        Whether the network runs in bfloat16.
    pad
        Fill up the last batch, so that what an image gets does not depend on how many stand beside it.
    """
    found = []
    for part in torch.split(rows, size):
        full = part if len(part) == size or not pad else torch.cat([part, part.new_zeros(size - len(part))])
        with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
            given = network(read(full))
        found.append(given.float()[: len(part)].cpu())
    return torch.cat(found) if found else torch.zeros((0, 0))


def to_float16(features: Tensor) -> npt.NDArray[np.float16]:
    """Return features as they are kept: whatever is decided later is read off these."""
    largest = float(np.finfo(np.float16).max)
    return features.clamp(-largest, largest).numpy().astype(np.float16)
