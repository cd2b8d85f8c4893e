"""Autoencoders: dense, convolutional, with max-pooling switches, variational.

All take float images (b, c, h, w) in [0, 1]. ``code(images)`` is what groups are sought in, (b, d);
``reconstruct(images)`` and ``decode(code)`` give images (b, c, h, w). Weights start as PyTorch's layers start them.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from ilk.networks.layers import Conv2d
from ilk.networks.levels import Components, pooled, pooled_width

__all__ = ["ConvolutionalAutoencoder", "DenseAutoencoder", "Shape", "SwitchedAutoencoder", "VariationalAutoencoder"]

Shape = tuple[int, int, int]
"""Channels, height and width of the images."""


def _dense(widths: Sequence[int]) -> list[nn.Module]:
    """Return linear layers with ReLU behind each."""
    layers: list[nn.Module] = []
    for before, after in pairwise(widths):
        layers += [nn.Linear(before, after), nn.ReLU(inplace=True)]
    return layers


class DenseAutoencoder(nn.Module):
    """Fully connected: d – widths – width of the code – widths reversed – d; ReLU inside, code and output linear.

    Parameters
    ----------
    shape : (c, h, w)
    widths : sequence of int
        Of the hidden layers.
    code : int or None
        Width of the code; None: the last hidden layer is the code.
    sigmoid : bool
        The last hidden layer has a sigmoid instead of a ReLU, and so can be asked to be silent.
    """

    def __init__(self, shape: Shape, widths: Sequence[int], code: int | None, *, sigmoid: bool = False) -> None:
        super().__init__()
        self.shape = shape
        d = shape[0] * shape[1] * shape[2]
        body = _dense([d, *widths])
        if sigmoid:
            body[-1] = nn.Sigmoid()
        self.body = nn.Sequential(nn.Flatten(), *body)
        self.top = nn.Identity() if code is None else nn.Linear(widths[-1], code)
        back = [*reversed(widths), d] if code is None else [code, *reversed(widths), d]
        self.decoder = nn.Sequential(*_dense(back)[:-1])

    def code(self, images: Tensor) -> Tensor:
        """Return codes (b, d)."""
        code: Tensor = self.top(self.body(images))
        return code

    def decode(self, code: Tensor) -> Tensor:
        """Return images of codes."""
        images: Tensor = self.decoder(code)
        return images.view(-1, *self.shape)

    def reconstruct(self, images: Tensor) -> Tensor:
        """Return images of the codes of images."""
        return self.decode(self.code(images))


class ConvolutionalAutoencoder(nn.Module):
    """Convolutions of stride 2 down to a linear code, transposed convolutions back up.

    Parameters
    ----------
    shape : (c, h, w)
        At least 8 pixels a side.
    channels, kernels : sequence of int
        Of the convolutions.
    code : int
    """

    def __init__(self, shape: Shape, channels: Sequence[int], kernels: Sequence[int], code: int) -> None:
        super().__init__()
        self.shape = shape
        before, sides = shape[0], [(shape[1], shape[2])]
        down: list[nn.Module] = []
        up: list[nn.Module] = []
        for after, kernel in zip(channels, kernels, strict=True):
            down += [Conv2d(before, after, kernel, 2, kernel // 2), nn.ReLU(inplace=True)]
            up.append(nn.ConvTranspose2d(after, before, kernel, 2, kernel // 2))
            before = after
            sides.append(((sides[-1][0] + 1) // 2, (sides[-1][1] + 1) // 2))
        self.sides = sides
        flat = before * sides[-1][0] * sides[-1][1]
        self.down = nn.Sequential(*down)
        self.top = nn.Linear(flat, code)
        self.bottom = nn.Linear(code, flat)
        self.up = nn.ModuleList(reversed(up))

    def code(self, images: Tensor) -> Tensor:
        """Return codes (b, d)."""
        code: Tensor = self.top(self.down(images).flatten(1))
        return code

    def decode(self, code: Tensor) -> Tensor:
        """Return images of codes."""
        maps = self.bottom(code).relu().view(len(code), -1, *self.sides[-1])
        for number, layer in enumerate(self.up, 1):
            maps = layer(maps, output_size=list(self.sides[-1 - number]))
            maps = maps if number == len(self.up) else functional.relu(maps, inplace=True)
        return torch.as_tensor(maps)

    def reconstruct(self, images: Tensor) -> Tensor:
        """Return images of the codes of images."""
        return self.decode(self.code(images))


class SwitchedAutoencoder(nn.Module):
    """What and where: max pooling keeps its values (what) and positions (where), and the decoder puts them back.

    Convolution 3 × 3, ReLU, max pooling 2, until the shorter side is one pixel. The decoder unpools each value to the
    position it came from, then convolves. The code has principal components of what all levels hold, `reduce`.

    Parameters
    ----------
    shape : (c, h, w)
        At least 2 pixels a side.
    channels : sequence of int
        Of the convolutions; the last is repeated where the images need more.
    code : int
        Principal components at most.
    """

    def __init__(self, shape: Shape, channels: Sequence[int], code: int) -> None:
        super().__init__()
        self.shape = shape
        depth = (min(shape[1:]) - 1).bit_length()
        widths = [shape[0], *(channels[min(i, len(channels) - 1)] for i in range(depth))]
        pairs = list(pairwise(widths))
        self.down = nn.ModuleList(Conv2d(before, after, 3, padding=1) for before, after in pairs)
        self.up = nn.ModuleList(Conv2d(after, before, 3, padding=1) for before, after in reversed(pairs))
        sides, d = shape[1:], 0
        for channel in widths[1:]:
            sides = (sides[0] + 1) // 2, (sides[1] + 1) // 2
            d += pooled_width(channel, *sides)
        self.reduce = Components(d, code)

    def encoded(self, images: Tensor) -> tuple[list[Tensor], list[Tensor], list[torch.Size]]:
        """Return what and where of every level, from the images upwards, and the size of the maps that were pooled."""
        what, where, sizes = [], [], []
        maps = images
        for layer in self.down:
            maps = functional.relu(layer(maps), inplace=True)
            sizes.append(maps.shape[2:])
            # an odd side has a last row that is pooled by itself: left out, it would be zeros to the decoder
            maps, positions = functional.max_pool2d(maps, 2, ceil_mode=True, return_indices=True)
            what.append(maps)
            where.append(positions)
        return what, where, sizes

    def decoded(self, top: Tensor, where: list[Tensor], sizes: list[torch.Size]) -> list[Tensor]:
        """Return the maps below each level, from the top down to the images."""
        maps, found = top, []
        for number, layer in enumerate(self.up, 1):
            maps = layer(functional.max_unpool2d(maps, where[-number], [2, 2], output_size=list(sizes[-number])))
            maps = maps if number == len(self.up) else functional.relu(maps, inplace=True)
            found.append(maps)
        return found

    def features(self, images: Tensor) -> Tensor:
        """Return what all levels hold, (b, d): pooled to at most 4 × 4, the part of each level of length 1."""
        parts = [functional.normalize(pooled(maps).float(), dim=1) for maps in self.encoded(images)[0]]
        return torch.cat(parts, 1)

    def code(self, images: Tensor) -> Tensor:
        """Return principal components (b, code) of `features`."""
        code: Tensor = self.reduce(self.features(images))
        return code

    def reconstruct(self, images: Tensor) -> Tensor:
        """Return images made from what is left at the top and from where it came."""
        what, where, sizes = self.encoded(images)
        return self.decoded(what[-1], where, sizes)[-1]


class VariationalAutoencoder(nn.Module):
    """Fully connected: the encoder gives mean and log-variance of a Gaussian, the decoder logits of pixels.

    Parameters
    ----------
    shape : (c, h, w)
    widths : sequence of int
    code : int
    """

    def __init__(self, shape: Shape, widths: Sequence[int], code: int) -> None:
        super().__init__()
        self.shape = shape
        d = shape[0] * shape[1] * shape[2]
        self.body = nn.Sequential(nn.Flatten(), *_dense([d, *widths]))
        self.mean = nn.Linear(widths[-1], code)
        self.log_variance = nn.Linear(widths[-1], code)
        self.decoder = nn.Sequential(*_dense([code, *reversed(widths), d])[:-1])

    def gaussian(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and log-variance, (b, d) each."""
        hidden = self.body(images)
        return self.mean(hidden), self.log_variance(hidden)

    def code(self, images: Tensor) -> Tensor:
        """Return the means (b, d)."""
        mean: Tensor = self.mean(self.body(images))
        return mean

    def logits(self, code: Tensor) -> Tensor:
        """Return logits of pixels (b, c, h, w)."""
        logits: Tensor = self.decoder(code)
        return logits.view(-1, *self.shape)

    def decode(self, code: Tensor) -> Tensor:
        """Return images of codes, in [0, 1]."""
        return self.logits(code).sigmoid()

    def reconstruct(self, images: Tensor) -> Tensor:
        """Return images of the means of images."""
        return self.decode(self.code(images))
