"""The networks of deep adaptive clustering, exactly as tabled, and batch norm that lives from the batch at hand.

Convolutions have no padding, weights start as plain Gaussians of variance 2 / fan-in, the square matrices of the head
as identities. `build_dac_net` makes a network for images, `build_dac_head` one for ready-made features.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from ilk.errors import ArgumentError, nearest
from ilk.networks.layers import Conv2d, empty
from ilk.networks.still import held

__all__ = [
    "NETWORKS",
    "SIZES",
    "BatchNorm",
    "DACNet",
    "Plan",
    "TiedMaxPool2d",
    "build_dac_head",
    "build_dac_net",
    "plan",
]


@dataclass(frozen=True)
class Plan:
    """One row of the table of networks.

    Attributes
    ----------
    blocks : tuple of (convolutions, kernel, channels)
        Each convolution is followed by batch norm and ReLU, each block by max pooling.
    pool : int
        Window and stride of the max pooling.
    average : int
        Window of the average pooling behind the 1 × 1 convolution; 0, or where more than one would fit: the whole map.
    pooled_norm : bool
        Batch norm behind every pooling too (the MNIST network).
    last_relu : bool
        ReLU in front of the constraint layer.
    """

    blocks: tuple[tuple[int, int, int], ...]
    pool: int = 2
    average: int = 0
    pooled_norm: bool = False
    last_relu: bool = False


NETWORKS: Mapping[str, Plan] = {
    "mnist": Plan(((3, 3, 64), (3, 3, 128)), pooled_norm=True, last_relu=True),
    "cifar_star": Plan(((2, 3, 64), (2, 3, 128)), average=4),
    "cifar": Plan(((3, 3, 64), (3, 3, 128))),
    "stl": Plan(((3, 3, 64), (3, 3, 128), (3, 3, 256)), last_relu=True),
    "imagenet10": Plan(((3, 3, 64), (3, 3, 128), (3, 3, 256)), last_relu=True),
    "dog": Plan(((2, 5, 64), (2, 3, 128)), pool=4, last_relu=True),
    "small": Plan(((2, 3, 32), (2, 3, 64))),
    "tiny": Plan(((2, 3, 32),)),
}
"""By name. "small" is ours, for images below 28 pixels; "tiny" serves the tests."""

SIZES: Mapping[str, int] = {
    "mnist": 28, "cifar_star": 32, "cifar": 32, "stl": 96, "imagenet10": 96, "dog": 96, "small": 16, "tiny": 8,
}  # fmt: skip
"""Side of the images each network was made for."""

_EXTRA = (3, 3, 256)  # a block more for each doubling of the side above 96


def plan(name: str, side: int) -> Plan:
    """Return the plan of network `name` for images of `side` pixels.

    Above 96 pixels the networks for 96 get one more block of three convolutions with 256 channels per doubling.

    Raises
    ------
    ArgumentError
        No such network, or its blocks leave nothing of images of this size.

    Examples
    --------
    >>> len(plan("stl", 96).blocks), len(plan("stl", 192).blocks), len(plan("stl", 300).blocks)
    (3, 4, 4)
    """
    if name not in NETWORKS:
        raise ArgumentError(f"network={name!r}: choose {', '.join(NETWORKS)}.{nearest(name, NETWORKS)}")
    found = NETWORKS[name]
    more = int(math.log2(side / 96)) if side > 96 and SIZES[name] == 96 else 0
    if more:
        found = Plan((*found.blocks, *[_EXTRA] * more), found.pool, found.average, found.pooled_norm, found.last_relu)
    left = side
    for count, kernel, _ in found.blocks:
        left = (left - count * (kernel - 1)) // found.pool
    if more and left < 1:
        raise ArgumentError(
            f"image_size={side}: the {len(found.blocks)} blocks that network {name!r} has at this size leave nothing "
            "of the image. Choose another size or network=imagenet10."
        )
    if left < max(found.average, 1):
        raise ArgumentError(f"image_size={side}: network {name!r} is made for {SIZES[name]} pixels a side and more.")
    return found


class BatchNorm(nn.Module):
    """Batch norm on the statistics of the batch, for training and prediction alike, until they are fixed.

    Parameters
    ----------
    width : int
        Channels, the second axis.
    affine : bool
        Whether scale and shift are trained; they are 1 and 0 otherwise.

    Notes
    -----
    No running averages are kept. `DACNet.fix` measures mean and variance on reference images once, and `fixed` says
    whether they are used: then the result for one image no longer depends on its company.
    """

    eps = 1e-5
    mean: Tensor
    variance: Tensor

    def __init__(self, width: int, affine: bool) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width), requires_grad=affine)
        self.bias = nn.Parameter(torch.zeros(width), requires_grad=affine)
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("variance", torch.ones(width))
        self.fixed = False
        self.sums: list[Tensor] | None = None  # of values and of squares by image, while reference images pass through

    def forward(self, x: Tensor) -> Tensor:
        """Normalise (b, width, ...)."""
        if self.fixed:
            return functional.batch_norm(x, self.mean, self.variance, self.weight, self.bias, False, 0.0, self.eps)
        if self.sums is not None:
            axes = [axis for axis in range(x.ndim) if axis != 1]
            variance, mean = torch.var_mean(x.float(), dim=axes, correction=0)
            self.sums[0] += mean * len(x)
            self.sums[1] += (variance + mean.square()) * len(x)
        return functional.batch_norm(x, None, None, self.weight, self.bias, True, 0.0, self.eps)

    def recalibrate(self, images: int) -> None:
        """Turn what passed through into statistics: those of all reference images together."""
        assert self.sums is not None
        self.mean.copy_(self.sums[0] / images)
        self.variance.copy_((self.sums[1] / images - self.mean.square()).clamp(min=0))
        self.sums = None


class DACNet(nn.Module):
    """Trunk and head: float (b, c, h, w) or (b, d) to logits (b, k); the constraint layer makes label features of them.

    The trunk may run in bfloat16; from the head's first batch norm on everything is float32, since the distance of two
    bfloat16 numbers near 1 is as large as a step of the thresholds.
    """

    def __init__(self, trunk: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.trunk = trunk
        self.head = head

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (b, k) float32."""
        maps = self.trunk(images)
        with torch.autocast(maps.device.type, enabled=False):
            logits: Tensor = self.head(maps.flatten(1).float())
        return logits

    def norms(self) -> list[BatchNorm]:
        """Return all batch norms."""
        return [module for module in self.modules() if isinstance(module, BatchNorm)]

    @contextmanager
    def fixed(self) -> Iterator[None]:
        """Use the statistics of the reference images inside the block, in whatever thread."""

        def switch() -> Callable[[], object]:
            norms = self.norms()
            before = [norm.fixed for norm in norms]
            for norm in norms:
                norm.fixed = True

            def back() -> None:
                for norm, was in zip(norms, before, strict=True):
                    norm.fixed = was

            return back

        with held(self, switch):
            yield

    @contextmanager
    def recalibrating(self) -> Iterator[list[int]]:
        """Measure the statistics on what passes through inside the block; append the size of each batch to the list."""
        passed: list[int] = []
        for norm in self.norms():
            norm.sums = [torch.zeros_like(norm.mean), torch.zeros_like(norm.variance)]
        yield passed
        for norm in self.norms():
            norm.recalibrate(sum(passed))


class TiedMaxPool2d(nn.Module):
    """Max pooling that hands the whole gradient to every pixel that is the largest of its window.

    PyTorch and cuDNN hand it to one of them, Theano without cuDNN to all. Flat parts of images make many such windows.

    Parameters
    ----------
    size : int
        Window and stride.
    """

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size

    def forward(self, x: Tensor) -> Tensor:
        """Pool (b, c, h, w)."""
        found: Tensor = _TiedMaxPool.apply(x, self.size)
        return found


class _TiedMaxPool(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, size: int) -> Tensor:
        pooled = functional.max_pool2d(x, size)
        ctx.save_for_backward(_windows(x, size) == pooled[:, :, :, None, :, None])
        ctx.shape, ctx.size = x.shape, size
        return pooled

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        (largest,) = ctx.saved_tensors
        kind = torch.channels_last if grad.is_contiguous(memory_format=torch.channels_last) else torch.contiguous_format
        found = torch.empty(ctx.shape, dtype=grad.dtype, device=grad.device, memory_format=kind)
        torch.mul(largest, grad[:, :, :, None, :, None], out=_windows(found, ctx.size))
        h, w = (side * ctx.size for side in grad.shape[2:])
        found[:, :, h:], found[:, :, :, w:] = 0, 0  # of no window
        return found, None


def _windows(x: Tensor, size: int) -> Tensor:
    """View (b, c, h, w) as windows (b, c, h / size, size, w / size, size); what fits none is left out."""
    h, w = x.shape[2] // size, x.shape[3] // size
    columns = torch.unflatten(x[:, :, : h * size, : w * size], 3, (w, size))
    return torch.unflatten(columns, 2, (h, size))


def build_dac_net(
    name: str,
    channels: int,
    side: int,
    n_clusters: int,
    *,
    affine: bool,
    ties: str = "one",
    generator: torch.Generator,
) -> DACNet:
    """Build the network `name` for square images.

    Parameters
    ----------
    name : str
        See `NETWORKS`.
    channels, side : int
        Of the images.
    n_clusters : int
        k: maps of the 1 × 1 convolution and width of the head.
    affine : bool
        Whether batch norms train scale and shift.
    ties : str
        Which of equal largest pixels of a pooling window gets the gradient: "one" or "all".
    generator : torch.Generator
        Draws the weights, on the CPU.
    """
    pooling = {"one": nn.MaxPool2d, "all": TiedMaxPool2d}[ties]
    what = plan(name, side)
    layers: list[nn.Module] = []
    for count, kernel, width in what.blocks:
        for i in range(count):
            layers += [_conv(channels, width, kernel, generator), BatchNorm(width, affine)]
            # ReLU and max pooling may be swapped, values and gradients stay: pooled first, there is less to do
            layers += [pooling(what.pool), nn.ReLU(inplace=True)] if i == count - 1 else [nn.ReLU(inplace=True)]
            channels = width
        if what.pooled_norm:
            layers.append(BatchNorm(width, affine))
        side = (side - count * (kernel - 1)) // what.pool
    layers += [_conv(channels, n_clusters, 1, generator), BatchNorm(n_clusters, affine), nn.ReLU(inplace=True)]
    # the head takes one value per map: larger images than the tabled ones are averaged as a whole
    layers.append(nn.AvgPool2d(what.average if what.average and side // what.average == 1 else side))
    if what.pooled_norm:
        layers.append(BatchNorm(n_clusters, affine))
    return DACNet(nn.Sequential(*layers), _head(n_clusters, affine, what.last_relu))


def build_dac_head(centers: Tensor, *, affine: bool) -> DACNet:
    """Build a network for ready-made features (b, d): a linear map to k units, batch norm, ReLU, and the same head.

    Parameters
    ----------
    centers : Tensor (k, d)
        Directions that the units answer to at first, for example those of groups found by K-means.
    """
    n_clusters, width = centers.shape
    linear = empty(nn.Linear(width, n_clusters, device="meta"))
    with torch.no_grad():
        linear.weight.copy_(centers)
        linear.bias.zero_()
    trunk = nn.Sequential(linear, BatchNorm(n_clusters, affine), nn.ReLU(inplace=True))
    return DACNet(trunk, _head(n_clusters, affine, last_relu=False))


def _conv(before: int, after: int, kernel: int, generator: torch.Generator) -> nn.Conv2d:
    layer = empty(Conv2d(before, after, kernel, device="meta"))
    with torch.no_grad():
        layer.weight.normal_(0.0, math.sqrt(2.0 / (before * kernel * kernel)), generator=generator)
        assert layer.bias is not None
        layer.bias.zero_()
    return layer


def _head(k: int, affine: bool, last_relu: bool) -> nn.Sequential:
    layers: list[nn.Module] = []
    for last in (False, True):
        linear = empty(nn.Linear(k, k, device="meta"))
        with torch.no_grad():
            linear.weight.copy_(torch.eye(k))
            linear.bias.zero_()
        layers += [linear, BatchNorm(k, affine)]
        if not last or last_relu:
            layers.append(nn.ReLU(inplace=True))
    return nn.Sequential(*layers)
