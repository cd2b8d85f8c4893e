"""Pixels augmented at random: as for a contrast, and strongly."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ilk import augment
from ilk.methods.inputs.dataset import PixelDataset
from ilk.methods.settings import Renamed, Settings, flag, number, pair

__all__ = ["OLD_AUGMENTATION", "AugmentationSettings", "augment_unit", "augmented", "strongly_augmented"]

_CHANCE = 0.8  # that colours change at all, where they do
_BRIGHTNESS, _HUE = 0.8, 0.2  # SimCLR's shares of its one strength of colours
_OPERATIONS = 4  # of a strong augmentation

OLD_AUGMENTATION: Mapping[str, str | Renamed] = {
    "grey": "grayscale",
    "shift": "translate",
    "jitter": Renamed("color_jitter", lambda jitter: jitter / _BRIGHTNESS),
}
"""Names of before; ``jitter`` was the strength of the brightness itself."""


@dataclass(frozen=True, kw_only=True)
class AugmentationSettings(Settings):
    """What an image goes through before a network is shown it, in this order; by default nothing."""

    crop: tuple[float, float] | None = pair(
        None, "least and greatest share of the area of a random crop, brought back to the whole size", 1, none="no crop"
    )
    flip: bool = flag(False, "whether every second image is flipped, left and right")
    rotation: float = number(0.0, "rotation in degrees, either way", 0, 180)
    translate: float = number(0.0, "translation as a share of the side, either way", 0, 1)
    zoom: tuple[float, float] = pair((1.0, 1.0), "zoom, of height and width apart; below 1 enlarges", 4)
    color_jitter: float = number(
        0.0, "SimCLR's strength s of colours: brightness, contrast, saturation by up to .8 s, hue by .2 s", 0, 1.25
    )
    grayscale: float = number(0.0, "probability of losing colour", 0, 1)
    blur: float = number(0.0, "probability of a Gaussian blur", 0, 1)


def augmented(
    dataset: PixelDataset, index: Tensor, settings: AugmentationSettings, noise: torch.Generator, copies: int = 1
) -> Tensor:
    """Return `copies` augmented copies of the images `index` (b,), one set after another: (copies · b, c, h, w)."""
    unit = dataset.unit(index)
    return dataset.normalized(augment_unit(unit if copies == 1 else unit.repeat(copies, 1, 1, 1), settings, noise))


def augment_unit(images: Tensor, settings: AugmentationSettings, noise: torch.Generator) -> Tensor:
    """Return augmented copies of images (b, c, h, w) from 0 to 1."""
    found = images
    if settings.crop:
        found = augment.resized_crop(found, noise, scale=settings.crop)
    moved: dict[str, Any] = {"rotation": settings.rotation, "shift": settings.translate, "zoom": tuple(settings.zoom)}
    if settings.rotation or settings.translate or moved["zoom"] != (1.0, 1.0):
        found = augment.affine(found, noise, flip=settings.flip, mode="bilinear", **moved)
    elif settings.flip:
        found = augment.flip(found, noise)
    if s := settings.color_jitter:
        parts = dict.fromkeys(("brightness", "contrast", "saturation"), _BRIGHTNESS * s)
        found = augment.color_jitter(found, noise, **parts, hue=_HUE * s, p=_CHANCE)
    if settings.grayscale and found.shape[1] == 3:
        found = augment.grey(found, noise, settings.grayscale)
    if settings.blur:
        found = augment.blur(found, noise, p=settings.blur)
    return found


def strongly_augmented(dataset: PixelDataset, index: Tensor, cutout: int, noise: torch.Generator) -> Tensor:
    """Return the images `index` flipped at random, changed by 4 operations drawn at random, and with a square erased.

    Parameters
    ----------
    cutout
        Largest side of the square in pixels; 0: none.
    """
    unit = augment.rand_augment(augment.flip(dataset.unit(index), noise), noise, _OPERATIONS)
    found = dataset.normalized(unit)
    return augment.cutout(found, noise, cutout) if cutout else found
