"""Fourteen changes of which every image gets a few, drawn at random with random strengths."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from ilk.augment.colour import blended, luma, smoothed
from ilk.augment.geometry import checked, warp

__all__ = ["OPERATIONS", "rand_augment"]

Operation = Callable[[Tensor, Tensor], Tensor]


def auto_contrast(images: Tensor, _: Tensor) -> Tensor:
    """Stretch every channel from its least and greatest value to 0 and 1."""
    least, most = images.amin((2, 3), keepdim=True), images.amax((2, 3), keepdim=True)
    return torch.where(most > least, (images - least) / torch.where(most > least, most - least, 1.0), images)


def equalize(images: Tensor, _: Tensor) -> Tensor:
    """Spread the 256 levels of every channel so that each occurs about as often, as Pillow does."""
    b, c, h, w = images.shape
    levels = (images * 255).round().clamp(0, 255).long().view(b * c, h * w)
    counts = torch.zeros((b * c, 256), dtype=torch.int64, device=images.device)
    counts.scatter_add_(1, levels, torch.ones_like(levels))
    positions = torch.arange(256, device=images.device)
    last = torch.where(counts > 0, positions, 0).amax(1, keepdim=True)  # the highest level that occurs
    step = (h * w - counts.gather(1, last)) // 255
    before = counts.cumsum(1) - counts
    table = ((before + step // 2) // step.clamp(min=1)).clamp(0, 255)
    table = torch.where(step > 0, table, positions)
    return (table.gather(1, levels).to(images.dtype) / 255).view(b, c, h, w)


def posterize(images: Tensor, bits: Tensor) -> Tensor:
    """Keep only the highest `bits` (b,), a whole number from 4 to 8, of each level."""
    unit = torch.exp2(8 - bits.floor())[:, None, None, None]
    return ((images * 255).round() / unit).floor() * unit / 255


def solarize(images: Tensor, threshold: Tensor) -> Tensor:
    """Invert what is at least `threshold` (b,), from 0 to 256."""
    return torch.where((images * 255).round() >= threshold[:, None, None, None], 1 - images, images)


def _rotated(images: Tensor, degrees: Tensor) -> Tensor:
    angle = torch.deg2rad(degrees)
    nothing = torch.zeros_like(angle)
    rows = [angle.cos(), angle.sin(), nothing, -angle.sin(), angle.cos(), nothing]
    return warp(images, torch.stack(rows, 1).view(-1, 2, 3))


def _moved(images: Tensor, entry: tuple[int, int], amount: Tensor) -> Tensor:
    """Warp with the identity but for one entry of the matrices."""
    matrices = torch.eye(2, 3, device=images.device).repeat(len(images), 1, 1)
    matrices[:, entry[0], entry[1]] = amount
    return warp(images, matrices)


OPERATIONS: Mapping[str, tuple[float, float, Operation]] = {
    "identity": (0, 0, lambda x, _: x),
    "auto_contrast": (0, 0, auto_contrast),
    "equalize": (0, 0, equalize),
    "rotate": (-30, 30, _rotated),
    "solarize": (0, 256, solarize),
    "color": (0.05, 0.95, lambda x, f: blended(x, luma(x), f)),
    "contrast": (0.05, 0.95, lambda x, f: blended(x, luma(x).mean((2, 3), keepdim=True), f)),
    "brightness": (0.05, 0.95, lambda x, f: blended(x, torch.zeros_like(x[:, :1]), f)),
    "sharpness": (0.05, 0.95, lambda x, f: blended(x, smoothed(x), f)),
    "shear_x": (-0.1, 0.1, lambda x, f: _moved(x, (0, 1), f)),
    "shear_y": (-0.1, 0.1, lambda x, f: _moved(x, (1, 0), f)),
    "translate_x": (-0.1, 0.1, lambda x, f: _moved(x, (0, 2), f * x.shape[3])),
    "translate_y": (-0.1, 0.1, lambda x, f: _moved(x, (1, 2), f * x.shape[2])),
    "posterize": (4, 8, posterize),
}
"""Name -> (least strength, greatest strength, change). Factors of 1 would change nothing."""


def rand_augment(images: Tensor, generator: torch.Generator | None, n: int = 4) -> Tensor:
    """Apply `n` of the fourteen operations to every image, drawn with replacement, each with a uniform strength.

    Parameters
    ----------
    images : Tensor float (b, c, h, w)
        From 0 to 1; c = 1 or 3.
    generator : torch.Generator on the device of `images`
    n : int

    Notes
    -----
    In each of the n rounds the batch is shuffled and dealt out evenly to the operations: every image gets each with
    probability 1/14, every operation works on one part of fixed size, and the whole costs n passes over the batch.

    Examples
    --------
    >>> rand_augment(torch.rand(3, 3, 8, 8), torch.Generator().manual_seed(0)).shape
    torch.Size([3, 3, 8, 8])
    """
    checked(images)
    b, kinds = len(images), len(OPERATIONS)
    each = math.ceil(b / kinds)
    for _ in range(n):
        order = torch.rand(each * kinds, generator=generator, device=images.device).argsort()
        strength = torch.rand((kinds, each), generator=generator, device=images.device)
        dealt = torch.split(
            images.index_select(0, order % b), each
        )  # beyond b: images that come twice, and are dropped below
        parts = [
            operation(part, low + (high - low) * by)
            for part, by, (low, high, operation) in zip(dealt, strength, OPERATIONS.values(), strict=True)
        ]
        changed = torch.empty((each * kinds, *images.shape[1:]), dtype=images.dtype, device=images.device)
        changed[order] = torch.cat([part.contiguous() for part in parts])
        images = changed[:b]
    return images
