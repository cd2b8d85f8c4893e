"""What a network sees of the images: as they are for clustering, augmented for training."""

from __future__ import annotations

import torch
from torch import Tensor

from ilk.augment import affine, blur, color_jitter, flip, grey, resized_crop
from ilk.data import ArrayImages, channel_moments
from ilk.methods.deepcluster.settings import DeepClusterSettings
from ilk.methods.inputs.dataset import PixelDataset

__all__ = ["Views", "scale_of"]

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
"""Mean and standard deviation of every channel of ImageNet, on the scale 0 to 1."""


def scale_of(images: ArrayImages, normalise: str) -> tuple[Tensor, Tensor]:
    """Return mean and standard deviation (c,) of every channel that images are normalised by, on the scale 0 to 1.

    Those of `images` themselves, or of ImageNet; grey images have the mean of its channels.
    """
    if normalise == "images":
        return channel_moments(images)
    mean, std = (torch.tensor(values) for values in IMAGENET)
    return (mean, std) if images.shape[0] == 3 else (mean.mean(0, keepdim=True), std.mean(0, keepdim=True))


class Views(PixelDataset):
    """Images in one of their two forms: their centre, or augmented.

    Parameters
    ----------
    images : ArrayImages
        As large as the network sees them, or larger by a margin.
    settings : DeepClusterSettings
        Size, and how images are augmented.
    mean, std : Tensor (c,)
        Of every channel on the scale 0 to 1: values are brought to mean 0 and deviation 1 by them, last.
    device : torch.device

    Attributes
    ----------
    side : int
        What the network sees.
    """

    def __init__(
        self, images: ArrayImages, settings: DeepClusterSettings, mean: Tensor, std: Tensor, device: torch.device
    ) -> None:
        super().__init__(images, device, mean, std)
        assert settings.image_size is not None
        self.settings = settings
        self.side: int = settings.image_size

    def read(self, index: Tensor) -> Tensor:
        """Return (b, c, side, side): the centre of the images, normalised."""
        return self.normalized(self.center(self.unit(index)))

    def center(self, images: Tensor) -> Tensor:
        """Return the centre (b, c, side, side) of `images`."""
        top, left = ((length - self.side) // 2 for length in images.shape[-2:])
        return images[..., top : top + self.side, left : left + self.side]

    def augmented(self, images: Tensor, noise: torch.Generator) -> Tensor:
        """Return (b, c, side, side): every image from 0 to 1 augmented by amounts of its own, normalised."""
        asked = self.settings
        if asked.crop is not None:
            images = resized_crop(images, noise, scale=asked.crop, size=self.side)
        else:
            images = self.center(images)
        if asked.rotation or asked.translate or asked.zoom != (1.0, 1.0):
            images = affine(
                images, noise, rotation=asked.rotation, shift=asked.translate, zoom=asked.zoom, mode="bilinear"
            )
        return self._colored(images, noise)

    def cropped(self, images: Tensor, noise: torch.Generator, scale: tuple[float, float], side: int) -> Tensor:
        """Return (b, c, side, side): a crop of every image of so much of its area, in other colours, normalised."""
        return self._colored(resized_crop(images, noise, scale=scale, size=side), noise)

    def _colored(self, images: Tensor, noise: torch.Generator) -> Tensor:
        """Return the images with jittered colours, some of them grey, blurred or flipped; normalised."""
        s = self.settings.color_jitter
        if s:
            images = color_jitter(images, noise, brightness=0.8 * s, contrast=0.8 * s, saturation=0.8 * s, hue=0.2 * s)
            images = blur(grey(images.clamp(0, 1), noise), noise)
        return self.normalized(flip(images, noise) if self.settings.flip else images)
