"""Plain convolutional networks for clustering: AlexNet and VGG-16 with batch norm as tabled, and small ones for CPUs.

A network is a front (nothing, or the fixed Sobel filters), stages whose outputs linear probes look at, and a neck that
makes features of the last stage's maps. Residual networks come in the same form.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ilk.errors import ArgumentError, nearest
from ilk.networks.layers import Dropout, conv, linear
from ilk.networks.resnet import BACKBONES, build_backbone
from ilk.networks.sobel import Sobel

__all__ = ["CONVNETS", "NAMES", "SIDES", "ConvNet", "Plan", "build_convnet", "side_after"]


@dataclass(frozen=True)
class Plan:
    """One row of the table of networks.

    Attributes
    ----------
    layers : tuple of (channels, kernel, stride, padding) or (kernel, stride)
        Convolutions, each followed by batch norm and ReLU; and max poolings.
    neck : tuple of (int or str)
        After the last layer: a number is a linear layer of that width; "dropout", "relu", "norm".
    stages : tuple of int
        How many convolutions each stage holds; () = one each.
    side : int
        Pixels a side that it was made for.
    """

    layers: tuple[tuple[int, ...], ...]
    neck: tuple[int | str, ...]
    stages: tuple[int, ...] = ()
    side: int = 224


def _vgg(*blocks: tuple[int, int]) -> tuple[tuple[int, ...], ...]:
    return tuple(layer for count, width in blocks for layer in (*((width, 3, 1, 1),) * count, (2, 2)))


CONVNETS: Mapping[str, Plan] = {
    "alexnet": Plan(
        ((96, 11, 4, 2), (3, 2), (256, 5, 1, 2), (3, 2), (384, 3, 1, 1), (384, 3, 1, 1), (256, 3, 1, 1), (3, 2)),
        ("dropout", 4096, "relu", "dropout", 4096),
    ),
    "vgg16": Plan(
        _vgg((2, 64), (2, 128), (3, 256), (3, 512), (3, 512)), (4096, "relu", "dropout", 4096), (2, 2, 3, 3, 3)
    ),
    "small": Plan(_vgg((1, 32), (1, 64), (1, 128)), ("norm", 256), side=28),
    "tiny": Plan(_vgg((1, 16), (1, 32)), (32,), side=8),
}
"""By name. "small" and "tiny" are ours."""

_RESIDUAL = ("resnet18", "resnet50")
_SMALL_STEM = 64  # pixels a side up to which residual networks begin with a 3 × 3 convolution

NAMES = (*CONVNETS, *_RESIDUAL)
"""All networks that `build_convnet` knows."""

SIDES: Mapping[str, int] = {
    **{name: plan.side for name, plan in CONVNETS.items()},
    **{name: BACKBONES[name].size for name in _RESIDUAL},
}
"""Side of the images each was made for."""


class ConvNet(nn.Module):
    """Front, stages and neck: float (b, c, h, w) to features (b, d).

    Plain networks give what is in front of the ReLU of their last layer; residual ones the means of their last maps,
    which are behind a ReLU. A projection (DeepCluster-v2) has no ReLU behind it.

    Parameters
    ----------
    front : nn.Module
    stages : sequence of nn.Module
    neck : nn.Module
    n_features : int
    """

    def __init__(self, front: nn.Module, stages: Sequence[nn.Module], neck: nn.Module, n_features: int) -> None:
        super().__init__()
        self.front = front
        self.stages = nn.ModuleList(stages)
        self.neck = neck
        self.n_features = n_features

    def forward(self, images: Tensor) -> Tensor:
        """Return features (b, d) float32."""
        maps = self.front(images)
        for stage in self.stages:
            maps = stage(maps)
        features: Tensor = self.neck(maps)
        return features.float()

    def maps(self, images: Tensor) -> Iterator[Tensor]:
        """Yield the maps (b, c, h, w) behind every stage: after its ReLU, in front of any pooling."""
        maps = self.front(images)
        for stage in self.stages:
            maps = stage(maps)
            yield maps

    def seed(self, noise: torch.Generator) -> None:
        """Let all dropout draw from `noise`."""
        for module in self.modules():
            if isinstance(module, Dropout):
                module.noise = noise

    def filters(self) -> Tensor | None:
        """Return the weights (out, in, h, w) of the first convolution."""
        found = next((module for module in self.stages.modules() if isinstance(module, nn.Conv2d)), None)
        return None if found is None else found.weight.detach()


def side_after(name: str, side: int) -> int:
    """Return the side of the maps that the neck of network `name` gets from images of `side` pixels.

    Raises
    ------
    ArgumentError
        No such network, or the images are too small for it.

    Examples
    --------
    >>> side_after("alexnet", 224), side_after("vgg16", 224), side_after("small", 28)
    (6, 7, 3)
    """
    if name not in NAMES:
        raise ArgumentError(f"network={name!r}: choose {', '.join(NAMES)}.{nearest(name, NAMES)}")
    if name in _RESIDUAL:
        return 1  # a mean over the map, however large
    plan, left = CONVNETS[name], side
    for *_, kernel, stride, padding in ((*layer, 0) if len(layer) == 2 else layer for layer in plan.layers):
        left = (left + 2 * padding - kernel) // stride + 1 if left + 2 * padding >= kernel else 0
    if left < 1:
        raise ArgumentError(f"image_size={side}: network {name!r} is made for {plan.side} pixels a side.")
    return left


def build_convnet(
    name: str, channels: int, side: int, *, sobel: bool, generator: torch.Generator, width: int | None = None
) -> ConvNet:
    """Build the network `name` for square images.

    Parameters
    ----------
    name : str
        See `CONVNETS`.
    channels, side : int
        Of the images.
    sobel : bool
        Whether the network sees edges only.
    generator : torch.Generator
        Draws the weights, on the CPU.
    width : int, optional
        Instead of the network's own neck: mean over each map and a projection to this many values, for images of any
        size (DeepCluster-v2).
    """
    left = side_after(name, side)
    front: nn.Module = Sobel() if sobel else nn.Identity()
    channels = 2 if sobel else channels
    if name in _RESIDUAL:
        stages, channels = _residual(name, channels, side, generator)
        last: list[nn.Module] = []
        neck: list[nn.Module] = [nn.AdaptiveAvgPool2d(1), nn.Flatten()]
        n_features = channels
    else:
        stages, last, channels = _plain(CONVNETS[name], channels, generator)
        neck, n_features = [], 0
    if width is not None:
        return ConvNet(front, stages, _projection(channels, width, generator), width)
    if not neck:
        layers, n_features = _neck(CONVNETS[name], channels * left * left, generator)
        neck = [*last, nn.Flatten(), *layers]
    return ConvNet(front, stages, nn.Sequential(*neck), n_features)


def _plain(plan: Plan, channels: int, generator: torch.Generator) -> tuple[list[nn.Sequential], list[nn.Module], int]:
    """Return the stages, the pooling behind the last of them, and its channels."""
    counts = list(plan.stages or [1] * sum(len(layer) == 4 for layer in plan.layers))
    stages: list[list[nn.Module]] = [[]]
    done = 0
    for layer in plan.layers:
        if len(layer) == 2:  # a pooling opens the next stage: what a stage gives is not pooled yet
            stages.append([nn.MaxPool2d(*layer)])
            done = 0
            continue
        if done == counts[len(stages) - 1]:
            stages.append([])
            done = 0
        after, kernel, stride, padding = layer
        stages[-1] += [conv(channels, after, kernel, stride, padding, generator), nn.BatchNorm2d(after)]
        stages[-1].append(nn.ReLU(inplace=True))
        channels, done = after, done + 1
    last = stages.pop() if len(stages[-1]) == 1 else []
    return [nn.Sequential(*stage) for stage in stages], last, channels


def _residual(name: str, channels: int, side: int, generator: torch.Generator) -> tuple[list[nn.Sequential], int]:
    """Return the stem (up to its ReLU) and the four stages of a residual network, and its channels."""
    stem = "small" if side <= _SMALL_STEM else "imagenet"
    backbone = build_backbone(name, channels, generator=generator, stem=stem)
    layers = list(backbone.layers)
    blocks = sum(BACKBONES[name].depths)
    ends = [3, len(layers) - blocks]  # convolution, norm, ReLU; a pooling where there is one opens the first stage
    for depth in BACKBONES[name].depths:
        ends.append(ends[-1] + depth)
    starts = [0, 3, *ends[2:-1]]
    return [nn.Sequential(*layers[a:b]) for a, b in zip(starts, [3, *ends[2:]], strict=True)], backbone.width


def _neck(plan: Plan, flat: int, generator: torch.Generator) -> tuple[list[nn.Module], int]:
    layers: list[nn.Module] = []
    for what in plan.neck:
        if isinstance(what, int):
            layers.append(linear(flat, what, generator))
            flat = what
        else:
            layers.append(nn.BatchNorm1d(flat) if what == "norm" else Dropout() if what == "dropout" else nn.ReLU())
    return layers, flat


def _projection(channels: int, width: int, generator: torch.Generator) -> nn.Sequential:
    """Return mean over each map, linear, batch norm, ReLU, linear to `width`."""
    std = channels**-0.5
    return nn.Sequential(
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        linear(channels, channels, generator, std),
        nn.BatchNorm1d(channels),
        nn.ReLU(inplace=True),
        linear(channels, width, generator, std),
    )
