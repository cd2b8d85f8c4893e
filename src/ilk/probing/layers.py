"""What a probe sees of a network: the maps behind every stage, averaged over positions to at most 9,600 values."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["MOST", "Looks", "layer_names", "pooled", "pooled_maps", "recalibrated"]

MOST = 9_600
"""Values that a linear classifier gets of one image."""

# AlexNet on 224 pixels: window, stride and padding of the average pooling behind each convolution, as published
_TABLED = ((6, 6, 3), (4, 4, 0), (3, 3, 1), (3, 3, 1), (2, 2, 0))
_ALEXNET = ((96, 55), (256, 27), (384, 13), (384, 13), (256, 13))
_RECALIBRATING = 1024  # images that an untrained network's batch norms are shown

Looks = Callable[[Tensor], Iterator[Tensor]]
"""Normalised images (b, c, h, w) -> one (b, d) for every layer."""


def pooled(maps: Tensor, most: int = MOST) -> Tensor:
    """Return (b, d) with d ≤ `most`: means over the cells of the finest square grid that is small enough.

    Examples
    --------
    >>> pooled(torch.zeros(2, 128, 7, 7)).shape, pooled(torch.zeros(2, 32, 28, 28)).shape
    (torch.Size([2, 6272]), torch.Size([2, 9248]))
    """
    side = max(1, min(math.isqrt(most // maps.shape[1]), *maps.shape[2:]))
    return functional.adaptive_avg_pool2d(maps, side).flatten(1)


def pooled_maps(net: Any, images: Tensor) -> Iterator[Tensor]:
    """Yield the pooled maps of every stage of `net`: with the published windows where they are those of AlexNet."""
    maps = list(net.maps(images))
    tabled = tuple((m.shape[1], m.shape[2]) for m in maps) == _ALEXNET
    for number, found in enumerate(maps):
        if tabled:
            window, stride, padding = _TABLED[number]
            yield functional.avg_pool2d(found, window, stride, padding).flatten(1)
        else:
            yield pooled(found)


def layer_names(net: Any) -> list[str]:
    """Return "conv1", "conv2", … where every stage is one convolution, else "block1", "block2", …"""
    single = all(sum(isinstance(m, nn.Conv2d) for m in stage.modules()) == 1 for stage in net.stages)
    return [f"{'conv' if single else 'block'}{i + 1}" for i in range(len(net.stages))]


@torch.no_grad()
def recalibrated(net: nn.Module, batches: Iterator[Tensor]) -> nn.Module:
    """Show an untrained network some images, so that its batch norms know means and variances; return it.

    Without, the comparison would be with a network that nobody would use: one whose maps have no scale. A batch of one
    image, the rest of some numbers of images, is passed over: batch norms of vectors know no variance of it. All but
    the batch norms work as in prediction: no dropout, which would want noise.
    """
    norms = [m for m in net.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    net.eval()
    for norm in norms:
        norm.momentum = None  # plain means over the batches
        norm.reset_running_stats()
        norm.train()
    seen = 0
    for images in batches:
        if len(images) < 2:
            continue
        net(images)
        seen += len(images)
        if seen >= _RECALIBRATING:
            break
    return net.eval()


def kept(looks: Looks, read: Callable[[npt.NDArray[np.int64]], Tensor], n: int, size: int) -> list[Tensor]:
    """Return what every layer makes of `n` images, each (n, d) float16 on the CPU."""
    found: list[Tensor] = []
    with torch.inference_mode():
        for start in range(0, n, size):
            stop = min(start + size, n)
            for number, rows in enumerate(looks(read(np.arange(start, stop)))):
                if start == 0:
                    found.append(torch.empty(n, rows.shape[1], dtype=torch.float16))
                found[number][start:stop] = rows.clamp(-6e4, 6e4).half().cpu()
    return found
