"""What the levels of a convolutional network see, in few numbers an image: pooled maps and principal components."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["Components", "pooled", "pooled_width"]

_MOST = 4  # pixels a side that are left of a map


def pooled(maps: Tensor) -> Tensor:
    """Return maps (b, c, h, w) as rows (b, d), brought to at most 4 × 4 by their maxima.

    Examples
    --------
    >>> pooled(torch.zeros(2, 3, 7, 2)).shape
    torch.Size([2, 24])
    """
    height, width = (min(side, _MOST) for side in maps.shape[2:])
    return functional.adaptive_max_pool2d(maps, (height, width)).flatten(1)


def pooled_width(channels: int, height: int, width: int) -> int:
    """Return how many numbers `pooled` makes of maps of this size."""
    return channels * min(height, _MOST) * min(width, _MOST)


class Components(nn.Module):
    """A slot for principal components, which whoever trains the network fills in; zeros before.

    Parameters
    ----------
    width : int
        Of the features.
    code : int
        Components at most.
    """

    mean: Tensor
    components: Tensor

    def __init__(self, width: int, code: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("components", torch.zeros(min(code, width), width))

    def fill(self, mean: Tensor, components: Tensor) -> None:
        """Take a mean (d,) and components (k, d); where k is less than there is room for, zeros remain."""
        self.mean.copy_(mean)
        self.components.zero_()
        self.components[: len(components)].copy_(components)

    def forward(self, features: Tensor) -> Tensor:
        """Return coordinates (b, code) of features (b, d), in float32 even where the network runs in bfloat16."""
        with torch.autocast(features.device.type, enabled=False):
            return (features.float() - self.mean) @ self.components.T
