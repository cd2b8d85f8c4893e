"""Images as a network sees them: unaltered, or altered by lot, from one pool of bytes on the device."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ilk import augment
from ilk.data import ArrayImages
from ilk.methods import checks

__all__ = ["ALTERATIONS", "Rows", "Views", "check_alterations"]

ALTERATIONS: Mapping[str, Any] = {
    "crop": None,  # least and greatest share of the area of a random crop, brought back to the whole size
    "flip": False,  # left and right, every second image
    "jitter": 0.0,  # strength of changes of colour: brightness, contrast, saturation by up to this, hue by a quarter
    "grey": 0.0,  # probability of losing colour
    "blur": 0.0,  # probability of a Gaussian blur
    "rotation": 0.0,  # degrees, either way
    "shift": 0.0,  # share of the side, either way
    "zoom": [1.0, 1.0],  # height and width apart; below 1 enlarges
}
"""What alters an image for the contrast: the keys of a preset, and their values where nothing is altered."""

_JITTERED = 0.8  # probability of a change of colour, where there is one


def check_alterations(table: Mapping[str, Any]) -> None:
    """Raise `ArgumentError` for an alteration outside of what is allowed."""
    checks.pair("crop", table["crop"], 1.0)
    checks.pair("zoom", table["zoom"], 4.0)
    checks.flag("flip", table["flip"])
    for key, most in (("jitter", 1.0), ("grey", 1.0), ("blur", 1.0), ("rotation", 180.0), ("shift", 1.0)):
        checks.number(key, table[key], most)


class Views:
    """Images of one size, and their altered copies.

    Parameters
    ----------
    images : ArrayImages
        In memory, in a mapped file or on a GPU.
    mean, std : Tensor (c,)
        Of every channel, on the scale 0 to 1.
    device : torch.device
        Where batches are wanted.
    """

    def __init__(self, images: ArrayImages, mean: Tensor, std: Tensor, device: torch.device) -> None:
        self.images = images.to(device)
        self.device = device
        self.mean, self.std = mean.to(device).view(1, -1, 1, 1), std.to(device).view(1, -1, 1, 1)

    def __len__(self) -> int:
        return len(self.images)

    def unit(self, index: Tensor) -> Tensor:
        """Return float32 (b, c, h, w) from 0 to 1."""
        pixels = self.images.read(index).to(self.device, non_blocking=True)
        c = self.mean.shape[1]
        if pixels.shape[1] != c:  # grey among colour, or colour for a network that learnt from grey
            pixels = pixels.float().mean(1, keepdim=True) if c == 1 else pixels.expand(-1, 3, -1, -1)
        return pixels.float().div_(255.0)

    def whole(self, unit: Tensor) -> Tensor:
        """Return images from 0 to 1 as the network takes them: centred, scaled, channels last."""
        return ((unit - self.mean) / self.std).contiguous(memory_format=torch.channels_last)

    def read(self, index: Tensor) -> Tensor:
        """Return the images `index` unaltered."""
        return self.whole(self.unit(index))

    def bytes_of(self, index: Tensor) -> Tensor:
        """Return the images `index` on their own scale, 0 to 255: what the Keras example mined neighbours on."""
        return (self.unit(index) * 255).contiguous(memory_format=torch.channels_last)

    def altered(self, index: Tensor, table: Mapping[str, Any], generator: torch.Generator, copies: int = 1) -> Tensor:
        """Return `copies` altered copies of the images `index`, one set after another: see `ALTERATIONS`."""
        unit = self.unit(index)
        return self.whole(alter(unit if copies == 1 else unit.repeat(copies, 1, 1, 1), table, generator))

    def strong(self, index: Tensor, cutout: int, generator: torch.Generator) -> Tensor:
        """Return the images `index` mirrored by lot, changed four times by lot, and with a hole."""
        unit = augment.rand_augment(augment.flip(self.unit(index), generator), generator, 4)
        whole = self.whole(unit)
        return augment.cutout(whole, generator, cutout) if cutout else whole


def alter(images: Tensor, table: Mapping[str, Any], generator: torch.Generator) -> Tensor:
    """Return altered copies of images (b, c, h, w) from 0 to 1, as `table` has it."""
    found = images
    if table["crop"]:
        found = augment.resized_crop(found, generator, scale=(table["crop"][0], table["crop"][1]))
    moved = {key: table[key] for key in ("rotation", "shift", "zoom") if table[key] != ALTERATIONS[key]}
    if moved:
        moved = {**moved, "zoom": tuple(table["zoom"])}
        found = augment.affine(found, generator, flip=table["flip"], mode="bilinear", **moved)
    elif table["flip"]:
        found = augment.flip(found, generator)
    if strength := float(table["jitter"]):
        parts = dict.fromkeys(("brightness", "contrast", "saturation"), strength)
        found = augment.color_jitter(found, generator, **parts, hue=strength / 4, p=_JITTERED)
    if table["grey"] and found.shape[1] == 3:
        found = augment.grey(found, generator, table["grey"])
    if table["blur"]:
        found = augment.blur(found, generator, p=table["blur"])
    return found


class Rows:
    """Ready-made features (n, d), read as float32 rows on the device."""

    def __init__(self, features: npt.NDArray[Any], device: torch.device) -> None:
        self.device = device
        self.dtype = features.dtype  # as they are kept
        # on a GPU they lie there; on a CPU they stay where they are, perhaps in a mapped file
        self.features = torch.from_numpy(features).to(device) if device.type != "cpu" else features

    def __len__(self) -> int:
        return len(self.features)

    def read(self, index: Tensor) -> Tensor:
        """Return float32 (b, d)."""
        if isinstance(self.features, Tensor):
            return self.features[index.to(self.device)].float()
        return torch.from_numpy(np.asarray(self.features[index.numpy()], np.float32))
