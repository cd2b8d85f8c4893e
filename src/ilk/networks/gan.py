"""Deep convolutional generative adversarial networks (DCGAN) for images whose sides are multiples of 4, from 8 on."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from ilk.networks.layers import Conv2d
from ilk.networks.levels import Components, pooled, pooled_width

__all__ = ["Adversaries", "Discriminator", "Generator"]

_LEAST = 4  # pixels a side at which strided convolutions end
_STD = 0.02

Shape = tuple[int, int, int]


def _stages(shape: Shape) -> int:
    """Return how often both sides can be halved, down to 4 pixels or an odd number."""
    _, height, width = shape
    count = 0
    while min(height, width) > _LEAST and height % 2 == width % 2 == 0:
        height, width, count = height // 2, width // 2, count + 1
    return count


def _start(net: nn.Module) -> None:
    """Draw weights from N(0, .02²), and those of batch norms from N(1, .02²), from torch's own generator."""
    for module in net.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            nn.init.normal_(module.weight, std=_STD)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.weight, 1.0, _STD)


class Discriminator(nn.Module):
    """Convolutions of stride 2, batch norm but on the first, leaky ReLU .2, one logit.

    Parameters
    ----------
    shape : (c, h, w)
    width : int
        Channels of the first convolution; each further one has twice as many.
    kernel : int
        Pixels a side of every convolution. Each halves even sides exactly, whether this is odd or even.
    """

    def __init__(self, shape: Shape, width: int, kernel: int) -> None:
        super().__init__()
        before, (height, count) = shape[0], (shape[1], _stages(shape))
        layers = []
        for stage in range(count):
            after = width * 2**stage
            norm = [nn.BatchNorm2d(after)] if stage else []
            convolution = Conv2d(before, after, kernel, 2, (kernel - 1) // 2, bias=not stage)
            layers.append(nn.Sequential(convolution, *norm, nn.LeakyReLU(0.2, inplace=True)))
            before = after
        self.layers = nn.ModuleList(layers)
        self.top = nn.Linear(before * (height >> count) * (shape[2] >> count), 1)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (b,): positive for what seems real. Images are in [-1, 1]."""
        for layer in self.layers:
            images = layer(images)
        logits: Tensor = self.top(images.flatten(1))
        return logits[:, 0]

    def maps(self, images: Tensor) -> Tensor:
        """Return every layer's maps, pooled to at most 4 × 4 by their maxima, side by side: (b, d)."""
        found = []
        for layer in self.layers:
            images = layer(images)
            found.append(pooled(images))
        return torch.cat(found, 1)


class Generator(nn.Module):
    """Linear, batch norm, ReLU; transposed convolutions of stride 2 with the same; tanh.

    Parameters
    ----------
    shape : (c, h, w)
    width, kernel : int
        As of the discriminator.
    noise : int
        Length of the random vectors.
    """

    def __init__(self, shape: Shape, width: int, kernel: int, noise: int) -> None:
        super().__init__()
        count = _stages(shape)
        before = width * 2 ** (count - 1)
        self.first = (before, shape[1] >> count, shape[2] >> count)
        self.bottom = nn.Linear(noise, self.first[0] * self.first[1] * self.first[2], bias=False)
        around, beyond = (kernel - 1) // 2, kernel % 2  # so every layer doubles the sides exactly
        layers: list[nn.Module] = [nn.BatchNorm2d(before), nn.ReLU(inplace=True)]
        for stage in reversed(range(count)):
            after = width * 2 ** (stage - 1) if stage else shape[0]
            layers.append(nn.ConvTranspose2d(before, after, kernel, 2, around, beyond, bias=not stage))
            layers += [nn.BatchNorm2d(after), nn.ReLU(inplace=True)] if stage else [nn.Tanh()]
            before = after
        self.layers = nn.Sequential(*layers)

    def forward(self, noise: Tensor) -> Tensor:
        """Return images (b, c, h, w) in [-1, 1]."""
        images: Tensor = self.layers(self.bottom(noise).view(-1, *self.first))
        return images


class Adversaries(nn.Module):
    """Both networks, and the principal components of what the discriminator sees.

    Parameters
    ----------
    shape : (c, h, w)
    width, kernel, noise : int
    code : int
        Principal components at most.
    """

    def __init__(self, shape: Shape, width: int, kernel: int, noise: int, code: int) -> None:
        super().__init__()
        self.discriminator = Discriminator(shape, width, kernel)
        self.generator = Generator(shape, width, kernel, noise)
        stages = range(_stages(shape))
        widths = [pooled_width(width << at, shape[1] >> at + 1, shape[2] >> at + 1) for at in stages]
        self.reduce = Components(sum(widths), code)
        _start(self)

    def features(self, images: Tensor) -> Tensor:
        """Return the discriminator's maps (b, d) of images in [0, 1], each row of length 1."""
        return functional.normalize(self.discriminator.maps(images * 2 - 1).float(), dim=1)

    def code(self, images: Tensor) -> Tensor:
        """Return principal components (b, code) of `features`."""
        code: Tensor = self.reduce(self.features(images))
        return code

    def decode(self, noise: Tensor) -> Tensor:
        """Return images in [0, 1] of random vectors."""
        images: Tensor = self.generator(noise)
        return (images + 1) / 2
