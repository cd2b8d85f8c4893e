"""Changes of geometry: rotating, shifting, zooming, flipping, cropping, cutting out."""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor

from ilk.errors import ArgumentError

__all__ = ["affine", "cutout", "flip", "resized_crop", "warp"]

Mode = Literal["nearest", "bilinear"]
Border = Literal["nearest", "reflect", "zeros"]

_PADDING = {"nearest": "border", "reflect": "reflection", "zeros": "zeros"}
_ROTATION, _DOWN, _ACROSS, _TALL, _WIDE, _FLIP = range(6)  # columns of the factors; the shifts of the channels follow


def affine(
    images: Tensor,
    generator: torch.Generator | None,
    *,
    rotation: float = 0.0,
    shift: float = 0.0,
    zoom: tuple[float, float] = (1.0, 1.0),
    flip: bool = False,
    channel_shift: float = 0.0,
    scale: float = 1.0,
    mode: Mode = "nearest",
    border: Border = "nearest",
) -> Tensor:
    """Turn, shift, zoom and mirror every image by amounts of its own, in one composed map about its centre.

    Parameters
    ----------
    images : Tensor float (b, c, h, w)
    generator : torch.Generator on the device of `images`
    rotation : float
        Degrees: the angle is uniform in [-rotation, rotation].
    shift : float
        Share of the side: height and width each move by a uniform share in [-shift, shift].
    zoom : (low, high)
        Height and width are drawn apart; below 1 enlarges what is seen.
    flip : bool
        Mirror left and right with probability 1/2.
    channel_shift : float
        Each channel is moved by a uniform amount in [-channel_shift, channel_shift], then clipped to the least and
        the greatest value of its image.
    scale : float
        All values are multiplied by it, last.
    mode : {"nearest", "bilinear"}
        Where a pixel's value comes from.
    border : {"nearest", "reflect", "zeros"}
        What is beyond the edge: the edge's pixels, the image flipped, or 0.

    Returns
    -------
    Tensor (b, c, h, w), of the dtype of `images`

    Notes
    -----
    Pixel q (row, column, from the centre) of the result is pixel R (Z q + t) of the image, with the rotation R, the
    zoom Z and the shift t: the composition of ``ImageDataGenerator`` in Keras, except that the centre is the true one,
    (side - 1) / 2.

    Examples
    --------
    >>> images = torch.arange(6.0).reshape(1, 1, 2, 3)
    >>> torch.equal(affine(images, torch.Generator().manual_seed(0)), images)
    True
    """
    checked(images)
    _check(mode, border)
    b, c, h, w = images.shape
    drawn = torch.rand((6 + c, b), generator=generator, device=images.device)
    spread = 2 * drawn - 1  # uniform in [-1, 1]
    low, high = zoom
    tall, wide = low + (high - low) * drawn[_TALL], low + (high - low) * drawn[_WIDE]
    if flip:
        wide = torch.where(drawn[_FLIP] < 0.5, -wide, wide)
    angle = spread[_ROTATION] * math.radians(rotation)
    moved = spread[_DOWN] * (shift * h), spread[_ACROSS] * (shift * w)
    result = images
    if rotation or shift or flip or (low, high) != (1.0, 1.0):
        result = _mapped(images, _coordinates((h, w), angle, moved, (tall, wide)), mode, border)
    if channel_shift:
        ends = result.flatten(1).aminmax(dim=1)
        offsets = (spread[6:].T * channel_shift).to(images.dtype)[:, :, None, None]
        result = (result + offsets).clamp(ends.min.view(b, 1, 1, 1), ends.max.view(b, 1, 1, 1))
    return result * scale if scale != 1 else result


def checked(images: Tensor) -> None:
    """Raise unless `images` is a float batch."""
    if images.ndim != 4 or not images.is_floating_point():
        raise ArgumentError(f"images must be a float batch (b, c, h, w), got {images.dtype} {tuple(images.shape)}")


def _check(mode: str, border: str) -> None:
    if mode not in ("nearest", "bilinear"):
        raise ArgumentError(f"mode={mode!r}: choose nearest or bilinear")
    if border not in _PADDING:
        raise ArgumentError(f"border={border!r}: choose {', '.join(_PADDING)}")


def _coordinates(
    sides: tuple[int, int], angle: Tensor, moved: tuple[Tensor, Tensor], zoom: tuple[Tensor, Tensor]
) -> tuple[Tensor, Tensor]:
    """Return rows and columns, (b, h, w) float32 in pixels, from which every pixel of the result is taken."""
    h, w = sides
    down = torch.arange(h, device=angle.device, dtype=torch.float32) - (h - 1) / 2
    across = torch.arange(w, device=angle.device, dtype=torch.float32) - (w - 1) / 2
    y = zoom[0][:, None] * down + moved[0][:, None]  # (b, h)
    x = zoom[1][:, None] * across + moved[1][:, None]  # (b, w)
    cos, sin = angle.cos()[:, None], angle.sin()[:, None]
    rows = (cos * y + (h - 1) / 2)[:, :, None] - (sin * x)[:, None, :]
    columns = (sin * y + (w - 1) / 2)[:, :, None] + (cos * x)[:, None, :]
    return rows, columns


def _mapped(images: Tensor, positions: tuple[Tensor, Tensor], mode: Mode, border: Border) -> Tensor:
    """Return `images` as seen at `positions`, (rows, columns)."""
    b, c, h, w = images.shape
    rows, columns = positions
    if mode == "nearest" and border == "nearest":  # as fast as grid_sample, and exact
        rows, columns = rows.round_().clamp_(0, h - 1), columns.round_().clamp_(0, w - 1)
        at = rows.mul_(w).add_(columns).long().view(b, 1, h * w)
        return images.flatten(2).gather(2, at.expand(b, c, h * w)).view(b, c, h, w)
    grid = torch.stack([columns.mul_(2 / max(w - 1, 1)).sub_(1), rows.mul_(2 / max(h - 1, 1)).sub_(1)], dim=3)
    seen = torch.nn.functional.grid_sample(images.float(), grid, mode, _PADDING[border], align_corners=True)
    return seen.to(images.dtype)


def flip(images: Tensor, generator: torch.Generator | None, p: float = 0.5) -> Tensor:
    """Mirror every image left and right with probability `p`.

    Examples
    --------
    >>> flip(torch.arange(3.0).view(1, 1, 1, 3), None, p=1.0).flatten().tolist()
    [2.0, 1.0, 0.0]
    """
    checked(images)
    chosen = torch.rand(len(images), generator=generator, device=images.device) < p
    return torch.where(chosen[:, None, None, None], images.flip(3), images)


def resized_crop(
    images: Tensor,
    generator: torch.Generator | None,
    *,
    scale: tuple[float, float] = (0.2, 1.0),
    ratio: tuple[float, float] = (3 / 4, 4 / 3),
    size: int | None = None,
) -> Tensor:
    """Cut a part out of every image and bring it to the size of the whole, or to another, bilinearly.

    Parameters
    ----------
    images : Tensor float (b, c, h, w)
    generator : torch.Generator on the device of `images`
    scale : (low, high)
        Share of the area, uniform.
    ratio : (low, high)
        Width / height of the part, its logarithm uniform.
    size : int, optional
        Side of the result; None: height and width of `images`.

    Notes
    -----
    A side that would be longer than the image's is cut to it; others draw anew, up to ten times. No smoothing before
    the image is made smaller, since parts are made larger.

    Examples
    --------
    >>> x = torch.rand(2, 3, 8, 8)
    >>> torch.allclose(resized_crop(x, None, scale=(1, 1), ratio=(1, 1)), x, atol=1e-5)
    True
    """
    checked(images)
    b, _, h, w = images.shape
    drawn = torch.rand((4, b), generator=generator, device=images.device)
    area = (scale[0] + (scale[1] - scale[0]) * drawn[0]) * (h * w)
    low, high = math.log(ratio[0]), math.log(ratio[1])
    shape = (low + (high - low) * drawn[1]).exp()
    wide, tall = (area * shape).sqrt().clamp(max=w), (area / shape).sqrt().clamp(max=h)
    top, left = drawn[2] * (h - tall), drawn[3] * (w - wide)
    tall_out, wide_out = (size, size) if size else (h, w)
    down = (torch.arange(tall_out, device=images.device) + 0.5) / tall_out
    across = (torch.arange(wide_out, device=images.device) + 0.5) / wide_out
    rows = (top[:, None] + down * tall[:, None]) * (2 / h) - 1
    columns = (left[:, None] + across * wide[:, None]) * (2 / w) - 1
    grid = torch.stack([columns[:, None, :].expand(b, tall_out, -1), rows[:, :, None].expand(b, -1, wide_out)], dim=3)
    seen = torch.nn.functional.grid_sample(images.float(), grid, "bilinear", "border", align_corners=False)
    return seen.to(images.dtype)


def warp(images: Tensor, matrices: Tensor) -> Tensor:
    """Return every image seen through an affine map of its own, nearest pixel, 0 beyond the edge.

    Parameters
    ----------
    images : Tensor float (b, c, h, w)
    matrices : Tensor (b, 2, 3)
        Pixel (x, y) of the result, from the centre, is pixel A (x, y, 1) of the image, from its centre.

    Examples
    --------
    >>> step = torch.tensor([[[1.0, 0.0, 1.0], [0.0, 1.0, 0.0]]])
    >>> warp(torch.arange(1.0, 4.0).view(1, 1, 1, 3), step).flatten().tolist()
    [2.0, 3.0, 0.0]
    """
    checked(images)
    _, _, h, w = images.shape
    down = torch.arange(h, device=images.device, dtype=torch.float32) - (h - 1) / 2
    across = torch.arange(w, device=images.device, dtype=torch.float32) - (w - 1) / 2
    a = matrices[:, :, :, None, None]
    x, y = (a[:, i, 0] * across + a[:, i, 1] * down[:, None] + a[:, i, 2] for i in (0, 1))
    grid = torch.stack([x * (2 / w), y * (2 / h)], dim=3)
    seen = torch.nn.functional.grid_sample(images.float(), grid, "nearest", "zeros", align_corners=False)
    return seen.to(images.dtype)


def cutout(images: Tensor, generator: torch.Generator | None, largest: int) -> Tensor:
    """Set a square of every image to 0: its side is a whole number from 1 to `largest`, its centre anywhere.

    Examples
    --------
    >>> int((cutout(torch.ones(4, 1, 9, 9), None, 1) == 0).sum())
    4
    """
    checked(images)
    b, _, h, w = images.shape
    drawn = torch.rand((3, b), generator=generator, device=images.device)
    side = (drawn[0] * largest).floor().clamp(max=largest - 1) + 1
    top = (drawn[1] * h).floor() - (side / 2).floor()
    left = (drawn[2] * w).floor() - (side / 2).floor()
    down, across = torch.arange(h, device=images.device), torch.arange(w, device=images.device)
    rows = (down >= top[:, None]) & (down < (top + side)[:, None])
    columns = (across >= left[:, None]) & (across < (left + side)[:, None])
    return images.masked_fill((rows[:, :, None] & columns[:, None, :])[:, None], 0.0)
