"""Hand-made features: gradients (HOG) and a colour histogram. The last resort, where no network is at hand."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ilk import compute
from ilk.data import square
from ilk.encoders.frozen import DECODE_VERSION, FrozenEncoder, check_settings, digest
from ilk.errors import ArgumentError

__all__ = ["build_classic", "colour_histogram", "hog"]

_SIDE = 128
_CELL, _BINS, _LEVELS = 16, 9, 4
_EPS = 1e-5
_ALLOWED = ("image_size", "resize")


def build_classic(settings: Mapping[str, Any] | None) -> FrozenEncoder:
    """Return the encoder that joins HOG (16 px cells, 9 directions, 2 × 2 blocks) and a 4 × 4 × 4 colour histogram.

    Needs no weights. On real photos it sees little more than composition and colour (measured: near chance), which the
    caller must say. Cost: about 1 ms of one core for an image of 128 × 128.
    """
    wanted = check_settings(settings, _ALLOWED, "classic")
    size = wanted.get("image_size", _SIDE)
    rows, columns = (side // _CELL - 1 for side in square(size))
    if min(rows, columns) < 1:
        raise ArgumentError(f"image_size={size}: encoder 'classic' needs at least {2 * _CELL} pixels")
    resolved = {"image_size": size, "resize": wanted.get("resize", "crop")}
    return FrozenEncoder(
        name="classic",
        settings=resolved,
        key=digest("classic", 1, DECODE_VERSION, square(size), resolved["resize"]),
        image_size=size,
        n_features=rows * columns * 4 * _BINS + _LEVELS**3,
        forward=_forward,
        resize=resolved["resize"],
        batch_size=32,
        workers=compute.threads(),
        weak=True,
    )


def _forward(pixels: Tensor) -> npt.NDArray[np.float32]:
    gradients = torch.nn.functional.normalize(hog(pixels), dim=1)
    colours = torch.nn.functional.normalize(colour_histogram(pixels).sqrt(), dim=1)
    joined: npt.NDArray[np.float32] = torch.cat([gradients, colours], dim=1).numpy()
    return joined


def hog(pixels: Tensor) -> Tensor:
    """Return float32 (b, blocks · 36) histograms of oriented gradients of a uint8 (b, 3, h, w) batch.

    The direction (unsigned, modulo 180°) of each pixel's brightness gradient votes with the gradient's length, shared
    linearly between the two nearest of 9 bins centred at 0°, 20°, … 160°. Blocks of 2 × 2 cells, one cell apart, are
    normalised, clipped at .2 and normalised again.

    References
    ----------
    N. Dalal, B. Triggs, "Histograms of Oriented Gradients for Human Detection", CVPR 2005.
    """
    weights = torch.tensor([0.299, 0.587, 0.114], device=pixels.device).view(1, 3, 1, 1)
    grey = (pixels.float() * weights).sum(1) / 255
    dy, dx = torch.zeros_like(grey), torch.zeros_like(grey)
    dy[:, 1:-1] = grey[:, 2:] - grey[:, :-2]
    dx[:, :, 1:-1] = grey[:, :, 2:] - grey[:, :, :-2]
    length = torch.hypot(dx, dy)
    position = (torch.atan2(dy, dx) % math.pi) * (_BINS / math.pi)
    low = position.floor()
    share = position - low
    first = low.long() % _BINS
    votes = length.new_zeros((len(grey), _BINS, *grey.shape[1:]))
    votes.scatter_add_(1, first.unsqueeze(1), (length * (1 - share)).unsqueeze(1))
    votes.scatter_add_(1, ((first + 1) % _BINS).unsqueeze(1), (length * share).unsqueeze(1))
    cells = torch.nn.functional.avg_pool2d(votes, _CELL)
    quarters = [cells[:, :, y : cells.shape[2] - 1 + y, x : cells.shape[3] - 1 + x] for y in (0, 1) for x in (0, 1)]
    blocks = torch.cat(quarters, dim=1)
    blocks = blocks / torch.sqrt((blocks**2).sum(1, keepdim=True) + _EPS**2)
    blocks = blocks.clamp(max=0.2)
    blocks = blocks / torch.sqrt((blocks**2).sum(1, keepdim=True) + _EPS**2)
    return blocks.permute(0, 2, 3, 1).flatten(1)


def colour_histogram(pixels: Tensor) -> Tensor:
    """Return float32 (b, 64) shares of 4 × 4 × 4 colours in a uint8 (b, 3, h, w) batch; rows sum to 1.

    Examples
    --------
    >>> colour_histogram(torch.full((1, 3, 2, 2), 255, dtype=torch.uint8))[0, 63]
    tensor(1.)
    """
    levels = pixels.long() * _LEVELS // 256
    code = ((levels[:, 0] * _LEVELS + levels[:, 1]) * _LEVELS + levels[:, 2]).flatten(1)
    counts = torch.zeros((len(pixels), _LEVELS**3), device=pixels.device)
    counts.scatter_add_(1, code, torch.ones_like(code, dtype=torch.float32))
    return counts / code.shape[1]
