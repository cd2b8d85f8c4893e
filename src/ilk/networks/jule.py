"""The network of joint unsupervised learning (JULE): a few convolutions and a code of length 1."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional

from ilk.networks.layers import Conv2d

__all__ = ["JULENet"]

_SMALL = 20  # pixels a side below which convolutions are padded, and nothing is left over otherwise
_LAST = 16  # pixels a side that the last convolution may see


class JULENet(nn.Module):
    """Convolution 5 × 5, batch norm, ReLU, max pooling 2; once more without pooling; linear; length 1.

    Parameters
    ----------
    shape : (c, h, w)
    channels : sequence of int
        Of the convolutions; the last is repeated for images whose maps are larger than 16 pixels by then.
    code : int

    Notes
    -----
    Weights start as N(0, .01²), biases as 0, drawn from torch's own generator.
    """

    def __init__(self, shape: tuple[int, int, int], channels: Sequence[int], code: int) -> None:
        super().__init__()
        before, height, width = shape
        padding = 2 if min(height, width) < _SMALL else 0
        layers: list[nn.Module] = []
        number = 0
        while True:
            after = channels[min(number, len(channels) - 1)]
            last = number >= len(channels) - 1 and min(height, width) <= _LAST
            layers += [Conv2d(before, after, 5, padding=padding), nn.BatchNorm2d(after), nn.ReLU(inplace=True)]
            height, width, before = height + 2 * padding - 4, width + 2 * padding - 4, after
            if last:
                break
            layers.append(nn.MaxPool2d(2, ceil_mode=True))
            height, width, number = -(-height // 2), -(-width // 2), number + 1
        self.trunk = nn.Sequential(*layers)
        self.top = nn.Linear(before * height * width, code)
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                nn.init.normal_(module.weight, std=0.01)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def code(self, images: Tensor) -> Tensor:
        """Return codes (b, d) of length 1, float32."""
        return functional.normalize(self.top(self.trunk(images).flatten(1)).float(), dim=1)
