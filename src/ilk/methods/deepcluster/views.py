"""What a network sees of the images: as they are for clustering, altered for training."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from ilk.augment import affine, blur, color_jitter, flip, grey, resized_crop
from ilk.data import ArrayImages
from ilk.methods.inputs.dataset import Pixels

__all__ = ["IMAGENET", "Views"]

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
"""Mean and standard deviation of every channel of ImageNet, on the scale 0 to 1."""

_MOVES = ("rotation", "shift", "zoom")


class Views:
    """Images of a source in one of their two forms, on one device.

    Parameters
    ----------
    images : ArrayImages
        As large as `side`, or larger by a margin.
    side : int
        What the network sees.
    table : mapping
        How images are altered.
    mean, std : Tensor (c,)
        Of every channel on the scale 0 to 1: values are brought to mean 0 and deviation 1 by them, last.
    device : torch.device
    """

    def __init__(
        self, images: ArrayImages, side: int, table: Mapping[str, Any], mean: Tensor, std: Tensor, device: torch.device
    ) -> None:
        self.pool = Pixels(images, torch.zeros_like(mean), device)
        self.side = side
        self.table = table
        self.mean = mean.to(device).view(1, -1, 1, 1)
        self.std = std.to(device).view(1, -1, 1, 1)
        self.device = device

    def __len__(self) -> int:
        return len(self.pool)

    @property
    def channels(self) -> int:
        """Of what the network sees."""
        return self.mean.shape[1]

    def read(self, index: Tensor) -> Tensor:
        """Return (b, c, h, w) float32 from 0 to 1, as they are kept."""
        return self.pool.read(index)

    def plain(self, index: Tensor) -> Tensor:
        """Return (b, c, side, side): the centre of the images, normalised."""
        return self.finished(self.centre(self.read(index)))

    def altered(self, images: Tensor, noise: torch.Generator) -> Tensor:
        """Return (b, c, side, side): every image altered by amounts of its own, normalised."""
        table = self.table
        if table["crop"] is not None:
            low, high = table["crop"]
            images = self.crop(images, noise, (low, high), self.side)
        else:
            images = self.centre(images)
        if table["rotation"] or table["shift"] or tuple(table["zoom"]) != (1.0, 1.0):
            images = affine(images, noise, mode="bilinear", **{key: table[key] for key in _MOVES})
        return self.finished(self._flipped(self.coloured(images, noise), noise))

    def cut(self, images: Tensor, noise: torch.Generator, scale: tuple[float, float], side: int) -> Tensor:
        """Return (b, c, side, side): a crop of every image, with all else that `table` asks for, normalised."""
        images = self.crop(images, noise, scale, side)
        return self.finished(self._flipped(self.coloured(images, noise), noise))

    def crop(self, images: Tensor, noise: torch.Generator, scale: tuple[float, float], side: int) -> Tensor:
        """Return (b, c, side, side): a part of every image."""
        return resized_crop(images, noise, scale=scale, size=side)

    def coloured(self, images: Tensor, noise: torch.Generator) -> Tensor:
        """Return the images with jittered colours, some of them grey, some blurred."""
        s = float(self.table["jitter"])
        if not s:
            return images
        images = color_jitter(images, noise, brightness=0.8 * s, contrast=0.8 * s, saturation=0.8 * s, hue=0.2 * s)
        return blur(grey(images.clamp(0, 1), noise), noise)

    def _flipped(self, images: Tensor, noise: torch.Generator) -> Tensor:
        return flip(images, noise) if self.table["flip"] else images

    def centre(self, images: Tensor) -> Tensor:
        """Return the centre (b, c, side, side) of `images`."""
        top, left = ((length - self.side) // 2 for length in images.shape[-2:])
        return images[..., top : top + self.side, left : left + self.side]

    def finished(self, images: Tensor) -> Tensor:
        """Return `images` normalised, channels last."""
        return ((images - self.mean) / self.std).contiguous(memory_format=torch.channels_last)
