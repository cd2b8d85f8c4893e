"""Settings and presets of `DeepCluster`, and what they follow from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch

from ilk.data import OwnFeatures, is_small, network_size
from ilk.errors import ArgumentError
from ilk.methods.settings import AUTO, Settings, choice, flag, number, pair, whole, wholes
from ilk.networks.convnets import NAMES, SIDES, side_after

__all__ = ["PRESETS", "WHY", "DeepClusterSettings", "fill", "frozen_by_default"]

_PLAIN_NET = 48  # pixels a side up to which the net of three convolutions is enough
_SMALL_VIEW = 0.64  # side of a small view, in sides of the image
WHY = (
    "photos on a CPU: the features of a frozen encoder are clustered finely, and the clusters merged (preset=quick); "
    "no network is trained. Training one from scratch takes hours here: ask for it with --set preset=small"
)


@dataclass(frozen=True, kw_only=True)
class DeepClusterSettings(Settings):
    """Those of the paper's AlexNet, with what the released script sets; the authors' tables come from 500 epochs."""

    renamed: ClassVar = {
        "components": "pca_dim", "jitter": "color_jitter", "shift": "translate", "balance": "sampler",
        "margin": "crop_margin", "width": "projection_dim", "schedule": "lr_schedule", "iterations": "kmeans_iter",
    }  # fmt: skip

    algorithm: str = choice("deepcluster", "first version, or v2: embeddings, no trained head", ("deepcluster", "v2"))
    network: str = choice(
        "alexnet",
        "what is trained; features: a frozen encoder, no training; auto: small up to 48 pixels a side, else resnet18",
        ("features", *NAMES),
        auto=True,
    )
    image_size: int | None = whole(224, "side of the images in pixels", none="by the network and the images")
    crop_margin: float = number(256 / 224, "images are kept this much larger, and crops are taken from them", 1, 4)
    normalise: str = choice("imagenet", "whose channels' mean and deviation images get", ("imagenet", "images"))
    sobel: bool = flag(True, "whether the network sees edges only")
    epochs: int = whole(500, "clusterings, each with a pass over all images", 0)
    batch_size: int = whole(256, "images of a step", 2)  # batch norm knows nothing of a single image
    # the clustering, which always sees images unaugmented
    n_fine: int | None = whole(
        10_000, "number of pseudo-labels", none="10 a group, at least 100; 1 for 10 images at most"
    )
    pca_dim: int = whole(256, "principal components that K-means sees, whitened; 0: the features as they are", 0)
    kmeans_iter: int = whole(20, "iterations of K-means in an epoch")
    merge: str = choice("ward", "how fine clusters become groups", ("ward", "kmeans"))
    recluster: bool = flag(True, "false: the first clustering for ever (for comparison only)")
    stop_agreement: float | None = number(None, "NMI of successive clusterings to stop at", 0, 1, none="never")
    # the classification
    sampler: str = choice(
        "uniform",
        "whether an epoch draws all pseudo-labels equally often, or weighs the loss instead",
        ("uniform", "inverse_size", "none"),
    )
    reset_head: bool = flag(True, "whether every clustering gets a fresh last layer")
    optimizer: str = choice("sgd", "auto: larc for batches of 1,024 and more, else sgd", ("sgd", "larc"), auto=True)
    lr: float = number(0.05, "learning rate", 0, 100)
    momentum: float = number(0.9, "momentum of the network; the last layer has none", 0, 1)
    weight_decay: float = number(1e-5, "weight decay", 0, 1)
    lr_schedule: str = choice(
        "constant", "whether the rate falls to a thousandth along half a cosine", ("constant", "cosine")
    )
    warmup: int = whole(0, "epochs in which the rate of a cosine rises first", 0)
    # augmentation
    crop: tuple[float, float] | None = pair((0.08, 1.0), "share of the area that is cropped at random", 1, none="all")
    rotation: float = number(0, "largest rotation, in degrees either way", 0, 180)
    translate: float = number(0, "largest move, as a share of the side either way", 0, 1)
    zoom: tuple[float, float] = pair((1.0, 1.0), "least and largest scale, of height and width apart", 4)
    flip: bool = flag(True, "whether every second image is flipped, left and right")
    color_jitter: float = number(0, "strength s of SimCLR's colour jitter, with grayscale and blur; 0: none", 0, 1)
    # version 2 only
    heads: int = whole(3, "clusterings of the same embeddings")
    projection_dim: int = whole(128, "numbers in an embedding")
    temperature: float = number(0.1, "temperature of the softmax over the centres", 1e-3, 100)
    crops: tuple[int, ...] = wholes((2, 6), "views of an image: large, small", 0)
    crop_sizes: tuple[int, ...] = wholes((224, 96), "their sides; auto: the image's, and .64 of it", auto=True)
    crop_scales: tuple[float, float] = pair(
        (0.14, 0.05), "their least share of the area; small ones end at the first", 1
    )

    def check(self) -> None:
        """Raise `ArgumentError` for what is no number of views, or frozen and trained at once."""
        for key in ("crops", "crop_sizes"):
            given: Any = getattr(self, key)
            if given != AUTO and len(given) != 2:
                raise ArgumentError(f"{key}={given!r}: give two whole numbers, for large and small views.")
        if self.crops[0] < 1:
            raise ArgumentError(f"crops={self.crops!r}: at least one large view.")
        if min(self.crop_scales) <= 0:
            raise ArgumentError(f"crop_scales={self.crop_scales!r}: give two shares of the area above 0 and up to 1.")
        if self.network == "features" and (self.epochs or self.algorithm == "v2"):
            raise ArgumentError(
                "network='features': nothing is trained on frozen features; give epochs=0 or a network."
            )


def frozen_by_default(settings: DeepClusterSettings, source: Any, device: torch.device) -> bool:
    """Return whether "auto" is "quick": for photos on a CPU, and features that are given.

    A network that is asked for by name is to be trained: "quick" would leave it as it was drawn.
    """
    if settings.network not in (AUTO, "features"):
        return False
    return isinstance(source, OwnFeatures) or (is_small(source) is None and device.type == "cpu")


def fill(settings: DeepClusterSettings, source: Any) -> DeepClusterSettings:
    """Return `settings` with all filled in that the images decide; `n_fine` stays.

    Raises
    ------
    ArgumentError
        The images are too small for the network.
    """
    network, size = settings.network, settings.image_size
    if network == "features":
        return settings
    if size is None:
        plain = network == AUTO or SIDES.get(network, 0) <= _PLAIN_NET
        size = network_size(source) if plain else SIDES[network]
    if network == AUTO:
        network = "small" if size <= _PLAIN_NET else "resnet18"
    sizes: Any = settings.crop_sizes
    sizes = (size, max(1, round(_SMALL_VIEW * size))) if sizes == AUTO else sizes
    side_after(network, size)
    return settings.replace(network=network, image_size=size, crop_sizes=sizes)


PAPER_ALEXNET = DeepClusterSettings()

# ours, for small images: a net of three convolutions, minutes on a CPU
SMALL = PAPER_ALEXNET.replace(
    network=AUTO,
    image_size=None,
    crop_margin=1.0,
    normalise="images",
    sobel=False,
    epochs=10,
    batch_size=128,
    n_fine=None,
    pca_dim=16,
    crop=None,
    rotation=10.0,
    translate=0.1,
    zoom=(0.85, 1.15),
)

# the second version, as its authors' script has it, on one device
V2 = PAPER_ALEXNET.replace(
    algorithm="v2",
    network="resnet50",
    sobel=False,
    epochs=400,
    batch_size=4096,
    n_fine=3000,
    pca_dim=0,
    kmeans_iter=10,
    optimizer="larc",
    lr=4.8,
    weight_decay=1e-6,
    lr_schedule="cosine",
    warmup=10,
    color_jitter=1.0,
    sampler="none",
)

PRESETS = {
    # quick for photos on a CPU where no network is named, small otherwise
    "auto": SMALL,
    "small": SMALL,
    # ours, for photos on a CPU: the clustering phase alone, on the features of a frozen encoder
    "quick": SMALL.replace(network="features", epochs=0),
    "paper_alexnet": PAPER_ALEXNET,
    "paper_vgg16": PAPER_ALEXNET.replace(network="vgg16"),
    "v2": V2,
    # ours: the second version for small images, one device, minutes to an hour
    "v2_small": V2.replace(
        network=AUTO,
        image_size=None,
        crop_margin=1.0,
        normalise="images",
        epochs=30,
        batch_size=256,
        n_fine=None,
        optimizer="auto",
        lr=0.1,
        warmup=2,
        weight_decay=1e-5,
        color_jitter=0.5,
        crops=(2, 2),
        crop_sizes=AUTO,
        crop_scales=(0.3, 0.1),
    ),
    # for tests
    "tiny": SMALL.replace(
        network="tiny",
        image_size=8,
        epochs=3,
        batch_size=32,
        pca_dim=2,
        rotation=0.0,
        translate=0.0,
        zoom=(1.0, 1.0),
        flip=False,
    ),
}
