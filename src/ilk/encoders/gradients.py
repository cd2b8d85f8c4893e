"""Oriented gradients of small pictures: where strokes and edges are, and which way they run. No weights."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ilk import compute
from ilk.data import ImageSource, Size, is_small, square
from ilk.encoders.frozen import DECODE_VERSION, FrozenEncoder, check_settings, digest

__all__ = ["BINS", "CELLS", "build_gradients", "oriented_gradients"]

BINS = 12
"""Directions, each 30 degrees from the next, over the whole circle: dark-to-light is not light-to-dark."""

CELLS = 8
"""Cells along each side."""

_SIDE = 32  # pixels a side that every picture is brought to
_BLUR = 0.8  # standard deviation in pixels
_REACH = 0.6  # standard deviation of a cell's weights, in cells
_BATCH = 64  # images at once: their votes (3 MB) stay in a core's own cache
_ALLOWED = ("image_size", "resize")


def build_gradients(
    settings: Mapping[str, Any] | None, source: ImageSource | None, spec: Mapping[str, Any] | None = None
) -> FrozenEncoder:
    """Return the encoder that describes a picture by its oriented gradients: 768 numbers.

    Small uniform pictures are read at their own size, others at 32 × 32. Cost: about 40 µs of one core for a picture of
    28 × 28.

    Parameters
    ----------
    settings : mapping
        ``image_size``, ``resize``.
    source : ImageSource
        Decides size and channels.
    spec : mapping
        Of an earlier encoder, whose size and channels then hold instead.
    """
    wanted = check_settings(settings, _ALLOWED, "gradients")
    size: Size
    if spec is not None:
        size = (int(spec["image_size"][0]), int(spec["image_size"][1]))
    elif "image_size" in wanted:
        size = wanted["image_size"]
    else:
        size = (is_small(source) if source is not None else None) or _SIDE
    height, width = square(size)
    size = height if height == width else (height, width)
    resolved = {"image_size": size, "resize": wanted.get("resize", "crop")}
    return FrozenEncoder(
        name="gradients",
        settings=resolved,
        key=digest("gradients", 1, DECODE_VERSION, [height, width], resolved["resize"]),
        image_size=size,
        n_features=BINS * CELLS**2,
        forward=_forward,
        resize=resolved["resize"],
        channels=1,
        weak=source is not None and is_small(source) is None,
        batch_size=_BATCH,
        workers=compute.threads(),
        backend="torch",
    )


def _forward(pixels: Tensor) -> npt.NDArray[np.float32]:
    found: npt.NDArray[np.float32] = oriented_gradients(pixels[:, 0]).numpy()
    return found


def oriented_gradients(pictures: Tensor) -> Tensor:
    """Return float32 (b, 768) histograms of gradient directions of (b, h, w) pictures of any size and brightness.

    Each picture is brought to 32 × 32 (cubic interpolation), divided by its range of values, and blurred (σ = 0.8 px).
    The gradient of every pixel votes with its length for the two nearest of 12 directions over the whole circle, in
    proportion, and for all 8 × 8 cells, by a Gaussian of its distance to their centres (σ = 0.6 cells). Square roots of
    the sums are returned, direction by direction, row by row. Direction 0 points to where the picture gets brighter
    to the right, direction 3 downwards.

    Parameters
    ----------
    pictures : Tensor (b, h, w), uint8 or float

    Notes
    -----
    Up to the votes everything is linear, so each picture takes four products with small matrices that hold
    interpolation, blur and derivative; the cells are two more. Brightness and contrast do not matter:
    a p + c has the features of p for a > 0. Plain pictures have zeros.

    References
    ----------
    After D. Lowe, "Distinctive image features from scale-invariant keypoints", IJCV 2004, for cells, votes and
    interpolation; no key points, no normalised blocks.
    """
    x = pictures.float()
    x = x - x.amin((1, 2), keepdim=True)
    x = x / x.amax((1, 2), keepdim=True).clamp_min(1e-12)
    rows, rows_slope = _matrices(x.shape[1], str(x.device))
    columns, columns_slope = _matrices(x.shape[2], str(x.device))
    dx = rows @ x @ columns_slope.T
    dy = rows_slope @ x @ columns.T
    length = torch.hypot(dx, dy)
    turn = torch.atan2(dy, dx) * (BINS / (2 * math.pi))  # from -6 to 6 directions
    cells = _cells(str(x.device))
    found = x.new_empty((len(x), BINS, CELLS, CELLS))
    for direction in range(BINS):
        away = (turn - (direction if direction <= BINS // 2 else direction - BINS)).abs()
        if direction == BINS // 2:  # the one direction whose neighbours lie on both ends of the scale
            away = torch.minimum(away, BINS - away)
        found[:, direction] = cells @ (length * (1 - away).clamp_min(0)) @ cells.T
    return found.flatten(1).sqrt_()


@functools.cache
def _matrices(side: int, device: str) -> tuple[Tensor, Tensor]:
    """Return (32, side) matrices: interpolation and blur along one axis, and the derivative of that."""
    unit = torch.eye(side, dtype=torch.float64)
    brought = torch.nn.functional.interpolate(
        unit[None, None], (_SIDE, side), mode="bicubic", antialias=side > _SIDE, align_corners=False
    )[0, 0]
    reach = math.ceil(4 * _BLUR)
    offsets = torch.arange(-reach, reach + 1, dtype=torch.float64)
    kernel = torch.exp(-0.5 * (offsets / _BLUR) ** 2)
    kernel /= kernel.sum()
    padded = torch.cat([brought[:reach].flip(0), brought, brought[-reach:].flip(0)])  # reflected at the border
    blurred = torch.stack([kernel @ padded[i : i + 2 * reach + 1] for i in range(_SIDE)])
    edged = torch.cat([blurred[:1], blurred, blurred[-1:]])
    slope = (edged[2:] - edged[:-2]) / 2
    return blurred.float().to(device), slope.float().to(device)


@functools.cache
def _cells(device: str) -> Tensor:
    """Return the weights (8, 32) of pixels in cells along one axis; those of a cell sum to 1."""
    width = _SIDE / CELLS
    centres = (torch.arange(CELLS, dtype=torch.float64) + 0.5) * width - 0.5
    away = (torch.arange(_SIDE, dtype=torch.float64) - centres[:, None]) / width
    weights = torch.exp(-0.5 * (away / _REACH) ** 2)
    return (weights / weights.sum(1, keepdim=True)).float().to(device)
