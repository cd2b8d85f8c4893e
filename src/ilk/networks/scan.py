"""The networks of SCAN: an encoder, a projector for its contrast, and heads that sort features into groups."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from ilk.errors import ArgumentError
from ilk.networks.resnet import Backbone, build_backbone, dense

__all__ = ["PROJECTORS", "Contrast", "Encoder", "Heads", "SCANNet", "build_contrast", "build_heads"]

PROJECTORS = ("mlp", "keras", "linear")
"""linear, ReLU, linear; linear without bias, batch norm, ReLU (the result is never negative); linear."""


class Encoder(nn.Module):
    """A backbone, and a linear layer behind it where one is wanted: float (b, c, h, w) to features (b, width)."""

    def __init__(self, backbone: Backbone, represent: nn.Linear | None) -> None:
        super().__init__()
        self.backbone = backbone
        self.represent = represent
        self.width = backbone.width if represent is None else represent.out_features

    def forward(self, images: Tensor) -> Tensor:
        """Return features (b, width)."""
        found: Tensor = self.backbone(images)
        return found if self.represent is None else self.represent(found)


class Contrast(nn.Module):
    """An encoder and the projector that its contrastive training looks through."""

    def __init__(self, encoder: Encoder, projector: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder
        self.projector = projector

    def forward(self, images: Tensor, dropout: float = 0.0, generator: torch.Generator | None = None) -> Tensor:
        """Return projections (b, d), of features of which a share `dropout` is set to 0."""
        features = self.encoder(images)
        if dropout:
            kept = torch.rand(features.shape, generator=generator, device=features.device) >= dropout
            features = features * kept / (1 - dropout)
        projected: Tensor = self.projector(features)
        return projected


class Heads(nn.Module):
    """h linear maps of features (b, width) to logits (b, h, k).

    Parameters
    ----------
    linear : nn.Linear
        width to h · k.
    n_clusters : int
        k.
    centered : bool
        Features are brought to length 1, centred, and scaled to a mean square of 1 per entry first; see `calibrate`.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, linear: nn.Linear, n_clusters: int, centered: bool) -> None:
        super().__init__()
        self.linear = linear
        self.n_clusters = n_clusters
        self.centered = centered
        self.register_buffer("mean", torch.zeros(linear.in_features))
        self.register_buffer("scale", torch.ones(()))

    @property
    def count(self) -> int:
        """h."""
        return self.linear.out_features // self.n_clusters

    def forward(self, features: Tensor) -> Tensor:
        """Return logits (b, h, k) float32."""
        logits: Tensor = self.linear(self.prepared(features))
        return logits.view(-1, self.count, self.n_clusters)

    def prepared(self, features: Tensor) -> Tensor:
        """Return the features as the linear maps take them."""
        rows = features.float()
        if self.centered:
            rows = (functional.normalize(rows, dim=1) - self.mean) * self.scale
        return rows

    @torch.no_grad()
    def calibrate(self, features: Tensor) -> None:
        """Measure centre and scale on `features` (n, width)."""
        if not self.centered:
            return
        rows = functional.normalize(features.float(), dim=1)
        self.mean.copy_(rows.mean(0))
        self.scale.copy_((rows - self.mean).square().mean().clamp(min=1e-12).rsqrt())

    @torch.no_grad()
    def keep(self, head: int) -> None:
        """Let go of all heads but one."""
        rows = slice(head * self.n_clusters, (head + 1) * self.n_clusters)
        self.linear.weight = nn.Parameter(self.linear.weight[rows].clone())
        self.linear.bias = nn.Parameter(self.linear.bias[rows].clone())
        self.linear.out_features = self.n_clusters


class SCANNet(nn.Module):
    """Encoder and heads; without an encoder the images are features already."""

    def __init__(self, encoder: Encoder | None, heads: Heads) -> None:
        super().__init__()
        self.encoder = encoder
        self.heads = heads

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (b, h, k)."""
        logits: Tensor = self.heads(images if self.encoder is None else self.encoder(images))
        return logits


def build_contrast(
    name: str,
    channels: int,
    *,
    generator: torch.Generator,
    stem: str = "small",
    representation: int | None = None,
    projector: str = "mlp",
    projection: int = 128,
) -> Contrast:
    """Build an encoder and its projector.

    Parameters
    ----------
    name, channels, stem
        See `ilk.networks.resnet.build_backbone`.
    generator : torch.Generator
        Draws the weights, on the CPU.
    representation : int, optional
        Width of a linear layer behind the backbone; None: no such layer.
    projector : str
        See `PROJECTORS`.
    projection : int
        Width of the projections.

    Examples
    --------
    >>> net = build_contrast("tiny", 1, generator=torch.Generator().manual_seed(0), projection=8)
    >>> tuple(net(torch.zeros(2, 1, 8, 8)).shape)
    (2, 8)
    """
    if projector not in PROJECTORS:
        raise ArgumentError(f"projector={projector!r}: choose {', '.join(PROJECTORS)}.")
    backbone = build_backbone(name, channels, generator=generator, stem=stem)
    keras = name == "resnet50v2"
    represent = None if representation is None else dense(backbone.width, representation, generator, glorot=keras)
    encoder = Encoder(backbone, represent)
    width = encoder.width
    layers: list[nn.Module]
    if projector == "keras":
        first = dense(width, projection, generator, bias=False, glorot=True)
        layers = [first, nn.BatchNorm1d(projection, eps=1e-3, momentum=0.01), nn.ReLU(inplace=True)]
    elif projector == "linear":
        layers = [dense(width, projection, generator)]
    else:
        layers = [
            dense(width, width, generator),
            nn.ReLU(inplace=True),
            dense(width, projection, generator),
        ]
    return Contrast(encoder, nn.Sequential(*layers))


def build_heads(
    width: int,
    n_clusters: int,
    n_heads: int,
    *,
    generator: torch.Generator,
    centered: bool = False,
    glorot: bool = False,
) -> Heads:
    """Build `n_heads` heads on features (b, width).

    Parameters
    ----------
    width, n_clusters, n_heads : int
    generator : torch.Generator
        Draws the weights.
    centered : bool
        See `Heads`.
    glorot : bool
        Each head begins as a layer of Keras does: Glorot uniform, bias 0.

    Examples
    --------
    >>> heads = build_heads(4, 3, 2, generator=torch.Generator().manual_seed(0))
    >>> tuple(heads(torch.zeros(5, 4)).shape)
    (5, 2, 3)
    """
    linear = dense(width, n_heads * n_clusters, generator, glorot=glorot, apart=n_heads)
    return Heads(linear, n_clusters, centered)
