"""Residual networks, and a small plain one for CPUs: images (b, c, h, w) to one vector each, (b, width).

Weights come from an explicit generator; batch norms keep running averages. `build_backbone` makes any of them by name.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from ilk.errors import ArgumentError, nearest
from ilk.networks.layers import Conv2d, empty

__all__ = ["BACKBONES", "STEMS", "Backbone", "BackbonePlan", "build_backbone", "dense"]


@dataclass(frozen=True)
class BackbonePlan:
    """One row of the table of networks.

    Attributes
    ----------
    block : {"basic", "bottleneck", "preact", "plain"}
        Two 3 × 3 convolutions; 1 × 1, 3 × 3, 1 × 1; the same with norm and ReLU in front; no shortcut at all.
    depths, widths : tuple of int
        Blocks and channels of each stage. Bottlenecks give four times their channels.
    size : int
        Side of the images it is made for.
    momentum, eps : float
        Of the batch norms.
    grid : int
        Places a side over which the last maps are averaged apart: 1 forgets where something was seen.
    """

    block: str
    depths: tuple[int, ...]
    widths: tuple[int, ...]
    size: int
    momentum: float = 0.1
    eps: float = 1e-5
    grid: int = 1


BACKBONES: Mapping[str, BackbonePlan] = {
    "resnet18": BackbonePlan("basic", (2, 2, 2, 2), (64, 128, 256, 512), 32),
    "resnet50": BackbonePlan("bottleneck", (3, 4, 6, 3), (64, 128, 256, 512), 224),
    "resnet50v2": BackbonePlan("preact", (3, 4, 6, 3), (64, 128, 256, 512), 32, 0.01, 1.001e-5),
    "small": BackbonePlan("plain", (1, 1, 1), (32, 64, 128), 28, grid=2),
    "tiny": BackbonePlan("plain", (1, 1), (16, 32), 8),
}
"""By name. "resnet50v2" is the one of Keras; "small" is ours, for 28 pixels on a CPU; "tiny" is for tests."""

STEMS = ("small", "pooled", "imagenet")
"""3 × 3 convolution.

The same and 2 × 2 max pooling with a margin of one pixel, as published for STL-10: 96 pixels give maps of 7 × 7.

7 × 7 convolution and 3 × 3 max pooling, both of stride 2.
"""


class Backbone(nn.Module):
    """Stem, stages, and the mean over positions: float (b, c, h, w) to (b, width).

    Attributes
    ----------
    width : int
        Length of a feature vector.
    """

    def __init__(self, layers: Sequence[nn.Module], channels: int, grid: int = 1) -> None:
        super().__init__()
        self.layers = nn.Sequential(*layers)
        self.grid = grid
        self.width = channels * grid**2

    def maps(self, images: Tensor) -> Tensor:
        """Return the last maps (b, channels, h, w)."""
        found: Tensor = self.layers(images)
        return found

    def forward(self, images: Tensor) -> Tensor:
        """Return features (b, width)."""
        maps = self.maps(images)
        if self.grid == 1:
            return maps.mean((2, 3))
        return functional.adaptive_avg_pool2d(maps, self.grid).flatten(1)


class Basic(nn.Module):
    """Two 3 × 3 convolutions beside a shortcut."""

    expansion = 1

    def __init__(self, before: int, width: int, stride: int, make: Maker) -> None:
        super().__init__()
        self.conv1, self.norm1 = make.conv(before, width, 3, stride), make.norm(width)
        self.conv2, self.norm2 = make.conv(width, width, 3), make.norm(width)
        self.shortcut = make.shortcut(before, width, stride)

    def forward(self, x: Tensor) -> Tensor:
        """Return (b, width, h / stride, w / stride)."""
        y = functional.relu(self.norm1(self.conv1(x)), inplace=True)
        return functional.relu(self.norm2(self.conv2(y)) + self.shortcut(x), inplace=True)


class Bottleneck(nn.Module):
    """1 × 1, 3 × 3 and 1 × 1 convolutions beside a shortcut; the stride is that of the 3 × 3."""

    expansion = 4

    def __init__(self, before: int, width: int, stride: int, make: Maker) -> None:
        super().__init__()
        self.conv1, self.norm1 = make.conv(before, width, 1), make.norm(width)
        self.conv2, self.norm2 = make.conv(width, width, 3, stride), make.norm(width)
        self.conv3, self.norm3 = make.conv(width, 4 * width, 1), make.norm(4 * width)
        self.shortcut = make.shortcut(before, 4 * width, stride)

    def forward(self, x: Tensor) -> Tensor:
        """Return (b, 4 · width, h / stride, w / stride)."""
        y = functional.relu(self.norm1(self.conv1(x)), inplace=True)
        y = functional.relu(self.norm2(self.conv2(y)), inplace=True)
        return functional.relu(self.norm3(self.conv3(y)) + self.shortcut(x), inplace=True)


class Preact(nn.Module):
    """Bottleneck with norm and ReLU in front of each convolution, as Keras has it in ResNet50V2.

    The first block of a stage has a 1 × 1 convolution as its shortcut, behind the first norm; the others have none, but
    where they stride: there every second pixel is taken.
    """

    expansion = 4

    def __init__(self, before: int, width: int, stride: int, make: Maker) -> None:
        super().__init__()
        self.norm0 = make.norm(before)
        self.conv1, self.norm1 = make.conv(before, width, 1), make.norm(width)
        self.conv2, self.norm2 = make.conv(width, width, 3, stride), make.norm(width)
        self.conv3 = make.conv(width, 4 * width, 1, bias=True)
        self.project = make.conv(before, 4 * width, 1, stride, bias=True) if before != 4 * width else None
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        """Return (b, 4 · width, h / stride, w / stride)."""
        y = functional.relu(self.norm0(x), inplace=True)
        if self.project is not None:
            x = self.project(y)
        elif self.stride > 1:
            x = x[:, :, :: self.stride, :: self.stride]
        y = functional.relu(self.norm1(self.conv1(y)), inplace=True)
        y = functional.relu(self.norm2(self.conv2(y)), inplace=True)
        added: Tensor = x + self.conv3(y)
        return added


class Plain(nn.Module):
    """One 3 × 3 convolution without a shortcut."""

    expansion = 1

    def __init__(self, before: int, width: int, stride: int, make: Maker) -> None:
        super().__init__()
        self.conv, self.norm = make.conv(before, width, 3, stride), make.norm(width)

    def forward(self, x: Tensor) -> Tensor:
        """Return (b, width, h / stride, w / stride)."""
        return functional.relu(self.norm(self.conv(x)), inplace=True)


_BLOCKS: Mapping[str, type[Basic | Bottleneck | Preact | Plain]] = {
    "basic": Basic,
    "bottleneck": Bottleneck,
    "preact": Preact,
    "plain": Plain,
}


class Maker:
    """Makes layers whose weights come from one generator, and never from the global one."""

    def __init__(self, plan: BackbonePlan, generator: torch.Generator) -> None:
        self.plan = plan
        self.generator = generator
        self.glorot = plan.block == "preact"  # Keras

    def conv(self, before: int, after: int, kernel: int, stride: int = 1, *, bias: bool = False) -> nn.Conv2d:
        """Return a convolution; He normal by fan-out, Glorot uniform in the networks of Keras."""
        layer = empty(Conv2d(before, after, kernel, stride, kernel // 2, bias=bias, device="meta"))
        fan_in, fan_out = before * kernel**2, after * kernel**2
        with torch.no_grad():
            if self.glorot:
                limit = math.sqrt(6 / (fan_in + fan_out))
                layer.weight.uniform_(-limit, limit, generator=self.generator)
            else:
                layer.weight.normal_(0.0, math.sqrt(2 / fan_out), generator=self.generator)
            if layer.bias is not None:
                layer.bias.zero_()
        return layer

    def norm(self, width: int) -> nn.BatchNorm2d:
        """Return a batch norm."""
        return nn.BatchNorm2d(width, self.plan.eps, self.plan.momentum)

    def shortcut(self, before: int, after: int, stride: int) -> nn.Module:
        """Return what stands beside a block: nothing, or a 1 × 1 convolution where the shape changes."""
        if before == after and stride == 1:
            return nn.Identity()
        return nn.Sequential(self.conv(before, after, 1, stride), self.norm(after))


def dense(
    before: int, after: int, generator: torch.Generator, *, bias: bool = True, glorot: bool = False, apart: int = 1
) -> nn.Linear:
    """Return a linear layer whose weights come from `generator`: uniform within 1/√before, or Glorot uniform.

    Parameters
    ----------
    before, after : int
        Inputs and outputs.
    generator : torch.Generator
    bias : bool
        With Glorot's weights it begins at 0.
    glorot : bool
        Uniform within √(6 / (before + after)), as Keras has it.
    apart : int
        Layers that stand side by side in this one: Glorot's limit is that of each.

    Examples
    --------
    >>> dense(4, 2, torch.Generator().manual_seed(0)).weight.abs().max() <= 0.5
    tensor(True)
    """
    layer = empty(nn.Linear(before, after, bias=bias, device="meta"))
    limit = math.sqrt(6 / (before + after // apart)) if glorot else 1 / math.sqrt(before)
    with torch.no_grad():
        layer.weight.uniform_(-limit, limit, generator=generator)
        if layer.bias is not None:
            if glorot:
                layer.bias.zero_()
            else:
                layer.bias.uniform_(-limit, limit, generator=generator)
    return layer


def build_backbone(name: str, channels: int, *, generator: torch.Generator, stem: str = "small") -> Backbone:
    """Build the network `name`.

    Parameters
    ----------
    name : str
        See `BACKBONES`.
    channels : int
        Of the images.
    generator : torch.Generator
        Draws the weights, on the CPU.
    stem : {"small", "pooled", "imagenet"}
        See `STEMS`. The plain networks have none: their first stage takes the images.

    Raises
    ------
    ArgumentError
        No such network, or no such stem.

    Notes
    -----
    Multiply-adds of an image of 32 pixels: resnet18 .56 G with the small stem; resnet50v2 .08 G with that of ImageNet;
    small about 7 M at 28 pixels.

    References
    ----------
    K. He, X. Zhang, S. Ren, J. Sun, "Deep Residual Learning for Image Recognition", CVPR 2016.
    K. He, X. Zhang, S. Ren, J. Sun, "Identity Mappings in Deep Residual Networks", ECCV 2016.

    Examples
    --------
    >>> net = build_backbone("resnet18", 3, generator=torch.Generator().manual_seed(0))
    >>> tuple(net(torch.zeros(2, 3, 32, 32)).shape), sum(p.numel() for p in net.parameters())
    ((2, 512), 11168832)
    """
    if name not in BACKBONES:
        raise ArgumentError(f"network={name!r}: choose {', '.join(BACKBONES)}.{nearest(name, BACKBONES)}")
    if stem not in STEMS:
        raise ArgumentError(f"stem={stem!r}: choose {', '.join(STEMS)}.{nearest(stem, STEMS)}")
    plan = BACKBONES[name]
    make = Maker(plan, generator)
    block = _BLOCKS[plan.block]
    layers, width = ([], channels) if plan.block == "plain" else _stem(stem, channels, make)
    for stage, (depth, wanted) in enumerate(zip(plan.depths, plan.widths, strict=True)):
        for number in range(depth):
            layers.append(block(width, wanted, _stride(plan, stage, number), make))
            width = wanted * block.expansion
    if plan.block == "preact":
        layers += [make.norm(width), nn.ReLU(inplace=True)]
    return Backbone(layers, width, plan.grid)


def _stride(plan: BackbonePlan, stage: int, number: int) -> int:
    """Return a block's stride: 2 where a stage but the first begins; in Keras where one but the last ends."""
    if plan.block == "preact":
        return 2 if number == plan.depths[stage] - 1 and stage < len(plan.depths) - 1 else 1
    if plan.block == "plain":
        return 2
    return 2 if number == 0 and stage else 1


def _stem(stem: str, channels: int, make: Maker) -> tuple[list[nn.Module], int]:
    """Return the layers in front of the stages, and their channels. Those of Keras' V2 have a bias and no norm."""
    width = make.plan.widths[0]
    kernel, stride = (7, 2) if stem == "imagenet" else (3, 1)
    layers: list[nn.Module] = [make.conv(channels, width, kernel, stride, bias=make.glorot)]
    if not make.glorot:
        layers += [make.norm(width), nn.ReLU(inplace=True)]
    if stem == "imagenet":
        # Keras pads with zeros, which count: without norm and ReLU in front many values are below 0
        layers.append(nn.Sequential(nn.ZeroPad2d(1), nn.MaxPool2d(3, 2)) if make.glorot else nn.MaxPool2d(3, 2, 1))
    elif stem == "pooled":
        layers.append(nn.MaxPool2d(2, 2, 1))
    return layers, width
