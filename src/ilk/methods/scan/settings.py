"""Settings and presets of `SCAN` and `SimCLR`: what bears the name of a paper or of an example does what that does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from ilk.errors import ArgumentError
from ilk.methods.inputs.augmentation import OLD_AUGMENTATION, AugmentationSettings
from ilk.methods.scan import keras
from ilk.methods.settings import AUTO, Settings, choice, flag, number, whole
from ilk.networks.resnet import BACKBONES, STEMS
from ilk.networks.scan import PROJECTORS

__all__ = ["PRESETS", "SIMCLR_PRESETS", "SCANSettings", "SimCLRSettings"]

OPTIMIZERS = ("sgd", "adam", "adamw")


@dataclass(frozen=True, kw_only=True)
class NetworkSettings(Settings):
    """The network, and how a contrast teaches it."""

    network: str = choice("resnet18", "what is trained; features: nothing, a frozen encoder", (*BACKBONES, "features"))
    stem: str = choice("small", "small: 3 × 3, no pooling; pooled: and 2 × 2 max pooling; imagenet", STEMS)
    image_size: Any = whole(32, "side of the images in pixels", none="by the images", auto=True)
    representation_dim: int | None = whole(None, "numbers in a linear layer behind the network", none="no such layer")
    projector: str = choice("mlp", "what the contrast looks through", PROJECTORS)
    projection_dim: int = whole(128, "numbers in a projection")
    contrast: str = choice(
        "one",
        "one: first copies are anchors; both: all are; tiled: an image is its own positive",
        ("both", "one", "tiled"),
    )
    temperature: float = number(0.1, "what similarities are divided by", 1e-3, 10)
    dropout: float = number(0.0, "share of the features that the projector does not see", 0, 0.9)
    pretext_epochs: int = whole(500, "passes over all images while the representation is learnt", 0)
    pretext_batch: int = whole(512, "images of a step there", 2)
    pretext_optimizer: str = choice("sgd", "what follows the gradient there", OPTIMIZERS)
    pretext_lr: float = number(0.4, "learning rate there", 0, 10)
    pretext_weight_decay: float = number(1e-4, "weight decay there", 0, 1)
    momentum: float = number(0.9, "momentum of every sgd", 0, 0.999)
    lr_schedule: str = choice(
        "epochs",
        "epochs: half a cosine, changed after each epoch; steps: after each step",
        ("epochs", "steps", "constant"),
    )
    lr_floor: float = number(1e-3, "least learning rate, as a share of pretext_lr", 0, 1)


@dataclass(frozen=True, kw_only=True)
class SimCLRSettings(keras.KerasSwitches, AugmentationSettings, NetworkSettings):
    """A representation learnt by contrast, for photos of 32 pixels as SCAN's configuration files have it."""

    renamed: ClassVar = {
        **OLD_AUGMENTATION,
        "representation": "representation_dim",
        "projection": "projection_dim",
        "pretext_decay": "pretext_weight_decay",
        "schedule": "lr_schedule",
    }


@dataclass(frozen=True, kw_only=True)
class SCANSettings(SimCLRSettings):
    """All stages, for photos of 32 pixels as the configuration files of the authors have them."""

    renamed: ClassVar = {
        **SimCLRSettings.renamed,
        "cluster_decay": "cluster_weight_decay",
        "selflabel_decay": "selflabel_weight_decay",
        "balance": "class_weighted",
        "threshold": "confidence_threshold",
        "ema": "ema_decay",
    }

    n_neighbors: int = whole(20, "neighbours of an image")
    mine_on: str = choice("projection", "where neighbours are sought", ("projection", "representation"))
    mine_on_raw_pixels: bool = flag(False, "Keras: the network is shown values from 0 to 255 for it")
    mine_self: bool = flag(True, "an image is among its own neighbours")
    neighbors: str = choice("nearest", "random: for comparison only", ("nearest", "random"))

    n_heads: int = whole(1, "heads that learn side by side; the one of the least loss is kept")
    tune: str = choice("all", "what the clustering trains: the whole network, or its heads", ("all", "heads"))
    cluster_epochs: int = whole(50, "passes over all images in the clustering")
    cluster_batch: int = whole(128, "images of a step there", 2)
    cluster_optimizer: str = choice("adam", "what follows the gradient there", OPTIMIZERS)
    cluster_lr: float = number(1e-4, "learning rate there", 0, 10)
    cluster_weight_decay: float = number(1e-4, "weight decay there", 0, 1)
    cluster_augment: str = choice(
        "strong", "strong: 4 of 14 operations and an erased square; pretext: as there", ("strong", "pretext", "none")
    )
    cutout: int = whole(16, "largest side of the erased square in pixels", 0)
    centered: bool = flag(False, "heads take features of length 1, centred and scaled")
    entropy_weight: float = number(5.0, "weight of the entropy, which keeps all groups in use", 0, 1000)
    all_neighbors: bool = flag(False, "Keras: every neighbour in every step, instead of one drawn at random")
    bce_on_prob_as_logit: bool = flag(False, "Keras: the similarity, from 0 to 1, is taken for a logit")
    select_weight: float = number(1.0, "weight of the entropy where heads and epochs are compared", 0, 1000)
    keep: str = choice("best", "the epoch that counts: of the least such loss, or the last", ("best", "last"))

    selflabel_epochs: int = whole(200, "passes over all images in the self-labelling", 0)
    selflabel_batch: int = whole(1000, "images of a step there", 2)
    selflabel_optimizer: str = choice("adam", "what follows the gradient there", OPTIMIZERS)
    selflabel_lr: float = number(1e-4, "learning rate there", 0, 10)
    selflabel_weight_decay: float = number(1e-4, "weight decay there", 0, 1)
    confidence_threshold: float = number(0.99, "an image is confident where its highest probability is above it", 0, 1)
    class_weighted: bool = flag(True, "groups count the same, however many of their images are confident")
    teacher: str = choice(
        "batch", "who labels: the network in training, on statistics of the batch, or its average", ("batch", "ema")
    )
    ema_decay: float = number(0.0, "what the average of the weights keeps at each step; 0: there is none", 0, 0.99999)
    ema_into_network: bool = flag(False, "the average is put back into the network after each step")

    def check(self) -> None:
        """Raise `ArgumentError` for a teacher that there is not."""
        if self.teacher == "ema" and not self.ema_decay:
            raise ArgumentError("teacher='ema': say how slowly the average moves too, such as ema_decay=.999.")


PAPER_CIFAR10 = SCANSettings(crop=(0.2, 1.0), flip=True, color_jitter=0.5, grayscale=0.2)
PLAIN = {key: AugmentationSettings.default_of(key) for key in AugmentationSettings.options()}

# ours: a network from scratch for small images on a GPU
SCRATCH = PAPER_CIFAR10.replace(image_size=None, contrast="both", mine_self=False, n_heads=10, keep="last")

# ours, the default on a CPU: the features of a frozen encoder stand still, the heads learn
FROZEN = PAPER_CIFAR10.replace(
    network="features",
    image_size=None,
    pretext_epochs=0,
    mine_on="representation",
    mine_self=False,
    n_heads=10,
    tune="heads",
    cluster_lr=1e-3,
    cluster_augment="none",
    centered=True,
    select_weight=5.0,
    keep="last",
    selflabel_epochs=0,
)

# ours: from scratch in minutes on two cores, for 10,000 images of about 28 pixels
SMALL = FROZEN.replace(
    network="small",
    image_size=AUTO,
    contrast="both",
    projection_dim=64,
    temperature=0.2,
    pretext_epochs=6,
    pretext_batch=128,
    pretext_optimizer="adam",
    pretext_lr=2e-3,
    lr_floor=0.01,
    crop=None,
    flip=False,
    rotation=15.0,
    translate=0.1,
    zoom=(0.8, 1.2),
    cluster_epochs=30,
    cutout=8,
)

PRESETS = {
    # scratch for small images where there is a GPU, frozen everywhere else
    "auto": FROZEN,
    "frozen": FROZEN,
    "scratch": SCRATCH,
    "small": SMALL,
    "paper_cifar10": PAPER_CIFAR10,
    "paper_cifar20": PAPER_CIFAR10.replace(cluster_batch=512, cluster_epochs=100),
    "paper_stl10": PAPER_CIFAR10.replace(
        stem="pooled", image_size=96, cluster_epochs=100, cutout=32, selflabel_epochs=100
    ),
    "keras_literal": PAPER_CIFAR10.replace(**keras.LITERAL),
    "keras_fixed": PAPER_CIFAR10.replace(**keras.FIXED),
    "tiny": SMALL.replace(
        network="tiny",
        image_size=8,
        projection_dim=16,
        pretext_epochs=2,
        pretext_batch=32,
        **{**PLAIN, "translate": 0.1},
        n_neighbors=5,
        n_heads=5,
        cluster_epochs=10,
        cluster_batch=64,
        cluster_lr=0.03,
        selflabel_epochs=2,
        selflabel_batch=64,
        confidence_threshold=0.7,
        cutout=2,
    ),
}


def _simclr(preset: str) -> SimCLRSettings:
    """Return what a preset of `SCAN` says of the representation."""
    return SimCLRSettings(**{key: PRESETS[preset][key] for key in SimCLRSettings.options()})


SIMCLR_PRESETS = {
    "small": _simclr("small"),
    "scratch": _simclr("scratch"),
    "paper": _simclr("paper_cifar10"),
    "paper_stl10": _simclr("paper_stl10"),
    "keras_literal": _simclr("keras_literal"),
    "keras_fixed": _simclr("keras_fixed"),
    "tiny": _simclr("tiny"),
}
