"""Settings and presets of `DAC`, and all that is decided before it trains.

Published versions of DAC differ in loss, schedule, batches and augmentation: a preset is one of them, never a blend.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch

from ilk import compute, losses
from ilk.data import OwnFeatures, is_small, network_size
from ilk.errors import ArgumentError
from ilk.methods.settings import AUTO, Settings, choice, flag, number, pair, whole
from ilk.networks.dac import NETWORKS, SIZES, plan

__all__ = [
    "BY_NETWORK",
    "PRESETS",
    "DACSettings",
    "advice",
    "check_given",
    "for_groups",
    "for_images",
    "records_graphs",
    "thresholds",
]

Threshold = tuple[float, float] | None


@dataclass(frozen=True, kw_only=True)
class DACSettings(Settings):
    """As in the paper: two thresholds, pairs chosen in the batch itself, the mean loss of the chosen pairs."""

    renamed: ClassVar = {
        "affine": "bn_affine",
        "alpha": "rmsprop_alpha",
        "graph": "cuda_graphs",
        "lower": "lower_threshold",
        "n_init": "n_trials",
        "scale": "contrast_scale",
        "shift": "translate",
        "steps": "steps_per_epoch",
        "sweep": "threshold_epochs",
        "upper": "upper_threshold",
    }

    network: str = choice(AUTO, "network that is trained, or features: those of a frozen encoder",
                          ("features", *NETWORKS), auto=True)  # fmt: skip
    image_size: int | None = whole(None, "side of the images in pixels", none="28, 32 or 96 by the images")
    epochs: int | None = whole(None, "how many epochs of the thresholds' way to go", none="the whole way")
    batch_size: int = whole(32, "images of a step", 2, auto=True)
    n_trials: int = whole(1, "whole trainings; the best by a score without labels is kept")
    selection: str = choice("thresholds", "pairs that count: by two thresholds, all by the one in the middle (DAC*), "
                            "random ones for comparison", ("thresholds", "all", "random"))  # fmt: skip
    loss: str = choice("selected_mean", "loss of the pairs that count; rows and selected_* are cross-entropies",
                       ("selected_mean", "selected_sum", "squared", "binary", "rows"), auto=True)  # fmt: skip
    start: str = choice("random", "what a random network learns first: its own targets, or the groups of the default "
                        "pipeline", ("random", "groups"))  # fmt: skip
    start_epochs: int = whole(0, "with start=groups: epochs on those groups, before the way of the thresholds", 0,
                              auto=True)  # fmt: skip
    targets: str = choice("batch", "what decides on pairs: the batch that is trained, or a chunk of images without "
                          "augmentation, frozen for some inner epochs", ("batch", "chunk"))  # fmt: skip
    schedule: str = choice("lambda", "how thresholds move: as in the paper, an epoch beyond, or linear",
                           ("lambda", "lambda_beyond", "linear"))  # fmt: skip
    upper_threshold: Threshold = pair(None, "first and last similarity from which on two images are the same group",
                                      1.0, none="by the schedule", auto=True)  # fmt: skip
    lower_threshold: Threshold = pair(None, "first and last similarity below which two images are of two groups", 1.0,
                                      none="by the schedule", auto=True)  # fmt: skip
    threshold_epochs: int | None = whole(None, "epochs from the first to the last threshold", none="by the schedule",
                                         auto=True)  # fmt: skip
    steps_per_epoch: int | None = whole(None, "with targets=batch: steps on batches drawn at random",
                                        none="one pass over the images")  # fmt: skip
    chunk: int = whole(1000, "images whose targets are frozen together", 2)
    inner_epochs: int = whole(1, "passes over a chunk with the same targets", auto=True)
    order: str = choice("shuffled", "chunks of the images at random, or as the images come: given",
                        ("shuffled", "given"), auto=True)  # fmt: skip
    reshuffle: bool = flag(True, "whether every epoch has other chunks", auto=True)
    repeats: int = whole(1, "how often each batch is trained in a row, augmented anew each time", auto=True)
    drop_last: bool = flag(True, "whether the last batch of a chunk is left out where it is not full", auto=True)
    target_batch: int = whole(32, "images of a batch of the pass that makes the targets", auto=True)
    lr: float = number(1e-3, "learning rate of RMSprop", 0, 1)
    rmsprop_alpha: float = number(0.9, "smoothing of RMSprop's squared gradients", 0, 1)
    reset_optimizer: bool = flag(False, "whether RMSprop forgets its averages after every epoch")
    bn_affine: bool = flag(True, "whether batch norms train scale and shift")
    max_pool_ties: str = choice("one", "which of equal largest pixels of a window get the gradient: one (PyTorch, "
                                "cuDNN) or all (Theano without cuDNN)", ("one", "all"))  # fmt: skip
    consistency: float = number(0.0, "weight of the loss between an augmented image and itself", 0, 1e6, auto=True)
    consistency_of: str = choice("label_features", "what is held against its target there; mixed: softmax against "
                                 "label features", ("label_features", "softmax", "mixed"), auto=True)  # fmt: skip
    cuda_graphs: bool | None = flag(None, "whether every step is one CUDA graph", none="where a GPU trains on pixels")
    rotation: float = number(0.0, "augmentation: degrees, either way", 0, 180, auto=True)
    translate: float = number(0.0, "augmentation: share of the side, either way", 0, 1, auto=True)
    zoom: tuple[float, float] = pair((1.0, 1.0), "augmentation: least and most, height and width apart", 4.0, auto=True)
    flip: bool = flag(False, "augmentation: left and right, every second time", auto=True)
    channel_shift: float = number(0.0, "augmentation: of the scale 0 to 1, each channel by itself", 0, 1, auto=True)
    contrast_scale: float = number(1.0, "augmentation: contrast of the augmented image", 0, 10, auto=True)

    def check(self) -> None:
        """Raise `ArgumentError` where thresholds are missing or crossed, or a graph would wait for the CPU."""
        if self.schedule == "linear" and None in (self.upper_threshold, self.lower_threshold, self.threshold_epochs):
            raise ArgumentError(
                "schedule='linear': give upper_threshold= and lower_threshold= (first,last) and threshold_epochs= too."
            )
        upper, lower = self.upper_threshold, self.lower_threshold
        if isinstance(upper, tuple) and isinstance(lower, tuple) and np.less(upper, lower).any():
            raise ArgumentError(
                f"upper_threshold={upper}, lower_threshold={lower}: two images are alike above the one and not alike "
                "below the other, so upper_threshold= cannot be the smaller one. With one threshold (DAC*) give both "
                "the same values."
            )
        if self.start == "groups" and (self.targets != "chunk" or self.start_epochs == 0 or self.n_trials > 1):
            raise ArgumentError("start='groups': it takes targets=chunk, start_epochs= of at least 1, and n_trials=1.")
        if self.order == "given" and self.reshuffle is True:
            raise ArgumentError(
                "order='given': chunks of images as they come are the same in every epoch; set reshuffle=false."
            )
        if self.cuda_graphs and self.selection == "random":
            raise ArgumentError(
                "cuda_graphs=true: selection='random' draws on the CPU, and a graph cannot wait for it."
            )

    def augmentation(self) -> dict[str, Any]:
        """Return what `ilk.augment.affine` takes."""
        same = {key: getattr(self, key) for key in ("rotation", "zoom", "flip", "channel_shift")}
        return {**same, "shift": self.translate, "scale": self.contrast_scale}


# -- presets -----------------------------------------------------------------------------------------------------------


def _one(first: float, last: float, epochs: int) -> dict[str, Any]:
    """Return one threshold for both."""
    return {"upper_threshold": (first, last), "lower_threshold": (first, last), "threshold_epochs": epochs}


_NONE = {key: DACSettings.default_of(key)
         for key in ("rotation", "translate", "zoom", "flip", "channel_shift", "contrast_scale")}  # fmt: skip
_LITTLE = {"rotation": 10.0, "translate": 0.1, "zoom": (0.95, 1.05), "channel_shift": 0.05, "contrast_scale": 0.975}
_MUCH = {"rotation": 20.0, "translate": 0.18, "zoom": (0.85, 1.15), "channel_shift": 0.1, "contrast_scale": 0.95}
_COLOUR = {
    "batch_size": 32, "loss": "binary", "inner_epochs": 10, "reshuffle": True, "repeats": 2, "drop_last": True,
    "consistency": 10.0, "consistency_of": "label_features", "flip": True,
}  # fmt: skip
_SHUFFLED = {"order": "shuffled"}  # before they are parted into chunks
_CIFAR = {**_COLOUR, **_one(0.99, 0.75, 50), "consistency_of": "mixed", **_MUCH}
_PHOTOS = {**_COLOUR, **_one(0.99, 0.75, 50), **_LITTLE}
_DIGITS = {
    "batch_size": 128, "loss": "squared", **_one(0.9, 0.5, 20), "inner_epochs": 5, "reshuffle": False, "repeats": 1,
    "drop_last": False, "consistency": 0.0, "consistency_of": "label_features", **_LITTLE, "flip": False,
}  # fmt: skip

BY_NETWORK: dict[str, dict[str, Any]] = {
    "mnist": {**_DIGITS, "order": "given"},  # of the scripts, that for MNIST alone never shuffles
    "small": {**_DIGITS, **_SHUFFLED},
    "tiny": {**_DIGITS, **_SHUFFLED},
    "cifar_star": {**_CIFAR, **_SHUFFLED},
    "cifar": {**_CIFAR, **_SHUFFLED},
    "stl": {**_PHOTOS, **_one(0.99, 0.5, 75), **_SHUFFLED},
    "imagenet10": {**_PHOTOS, **_SHUFFLED},
    "dog": {**_PHOTOS, **_SHUFFLED},
    "features": {**_DIGITS, **_NONE, **_SHUFFLED},  # ready-made features cannot be augmented
}
"""What ``"auto"`` stands for in `released_star`."""

PAPER = DACSettings()
# the authors' scripts with one threshold (DAC*)
RELEASED_STAR = PAPER.replace(**dict.fromkeys(BY_NETWORK["mnist"], AUTO), targets="chunk", schedule="linear")
# ours, for very small grey images such as digits of 8 × 8: the rule of released_star for MNIST. Its thresholds are
# those whose trainings agree most with each other
SMALL = RELEASED_STAR.replace(**{
    **BY_NETWORK["small"], **_one(0.95, 0.75, 20), "network": "small", "image_size": 16, "batch_size": 64,
    "n_trials": 4, "reshuffle": True,
})  # fmt: skip

ROBUST = RELEASED_STAR.replace(**{
    **{key: value for key, value in _DIGITS.items() if key not in _NONE},  # augmentation follows from the network
    "start": "groups", "start_epochs": AUTO, "threshold_epochs": 10, "reshuffle": True, "bn_affine": False,
    "batch_size": AUTO, "inner_epochs": AUTO, "target_batch": AUTO, **_SHUFFLED,
})  # fmt: skip

PRESETS = {
    "auto": ROBUST,
    "paper": PAPER,
    # the Keras port most others are copied from: both terms averaged over all pairs of the batch
    "keras_port": PAPER.replace(
        batch_size=128, loss="selected_sum", schedule="lambda_beyond", steps_per_epoch=1000, bn_affine=False
    ),
    "released_star": RELEASED_STAR,
    # the authors' script with two thresholds
    "released_dac": PAPER.replace(**{
        "loss": "rows", "targets": "chunk", "schedule": "linear", "upper_threshold": (0.99, 0.895),
        "lower_threshold": (0.80, 0.895), "threshold_epochs": 50, "inner_epochs": 10, "repeats": 2,
        "reset_optimizer": True, "consistency": 1.0, "consistency_of": "softmax", **_LITTLE, "translate": 0.09,
        "flip": True,
    }),
    # ours: released_star with norms of a fixed scale, whose trainings agree more with each other
    "steady": RELEASED_STAR.replace(bn_affine=False, **_SHUFFLED),
    # ours, for photos on a CPU: the features of a frozen encoder stand still, the head learns
    "quick": RELEASED_STAR.replace(**{
        **BY_NETWORK["features"], "network": "features", "reshuffle": True, "bn_affine": False,
    }),
    # ours: begins with the groups of the default pipeline, so that no start can be bad. A network for small images;
    # for photos and features of the user's own a head on features
    "robust": ROBUST,
    "small": SMALL,
    # one in 75 trainings unites two of three patterns, one in 600 with three trials
    "tiny": SMALL.replace(**{
        **_one(0.95, 0.8, 4), "network": "tiny", "image_size": 8, "batch_size": 32, "n_trials": 3, "inner_epochs": 10,
        "lr": 3e-3,
    }),
}  # fmt: skip


_CRISP = (0.5, 0.5)  # images of given groups have similarity 1 or 0


def thresholds(settings: DACSettings) -> list[tuple[float, float]]:
    """Return (upper, lower) of every epoch, those on given groups first.

    Raises
    ------
    ArgumentError
        More epochs than the thresholds take.
    """
    upper, lower, epochs = settings.upper_threshold, settings.lower_threshold, settings.threshold_epochs
    if settings.schedule == "linear":
        assert upper is not None
        assert lower is not None
        assert epochs is not None
        found = losses.linear_thresholds(upper, lower, epochs)
    else:
        found = losses.lambda_thresholds(beyond=settings.schedule == "lambda_beyond")
    if settings.selection == "all":  # DAC*: one threshold, every pair counts
        found = [((u + low) / 2, (u + low) / 2) for u, low in found]
    wanted = len(found) if settings.epochs is None else settings.epochs
    if wanted > len(found):
        raise ArgumentError(
            f"epochs={wanted}: the thresholds of this preset take {len(found)} epochs; ask for at most that many."
        )
    return [_CRISP] * (settings.start_epochs if settings.start == "groups" else 0) + found[:wanted]


# -- what is given in vain ---------------------------------------------------------------------------------------------

_OF_CHUNKS = ("chunk", "inner_epochs", "order", "reshuffle", "repeats", "drop_last", "target_batch", "consistency")
_OF_LINEAR = ("upper_threshold", "lower_threshold", "threshold_epochs")
# a setting, its value, and what nothing reads then
_UNREAD: tuple[tuple[str, Any, tuple[str, ...]], ...] = (
    ("schedule", "lambda", _OF_LINEAR),
    ("schedule", "lambda_beyond", _OF_LINEAR),
    ("targets", "batch", (*_OF_CHUNKS, "consistency_of")),
    ("targets", "chunk", ("steps_per_epoch",)),
    ("consistency", 0.0, ("consistency_of",)),
    ("start", "random", ("start_epochs",)),
    ("network", "features", (*_NONE, "max_pool_ties")),
)


def check_given(given: Mapping[str, Any], settings: DACSettings) -> None:
    """Raise `ArgumentError` for a setting of `given` that nothing reads beside the others in force."""
    given = dict(settings.translated(key, value) for key, value in given.items())
    for what, value, keys in _UNREAD:
        named = [key for key in keys if given.get(key) not in (None, AUTO)] if settings[what] == value else []
        if named:
            about = f"nothing reads it with {what}={value}; leave it out, or set {what}= too."
            raise ArgumentError(f"{named[0]}={given[named[0]]!r}: {about}")


# -- what the images and the device decide -----------------------------------------------------------------------------

_SMALL_SIDE, _LARGE_SIDE = 24, 28  # below the first the MNIST network would see mostly blown-up pixels
_NETWORKS = {28: "mnist", 32: "cifar", 96: "imagenet10"}  # by the side of the images
_NETWORKS_STAR = {**_NETWORKS, 32: "cifar_star"}  # those of the scripts with one threshold


def trained_from_groups(source: Any) -> str:
    """Return the network that learns from given groups: one for pixels up to 28 a side, "features" beyond."""
    side = None if isinstance(source, OwnFeatures) else is_small(source)
    if side is None or max(side) > _LARGE_SIDE:
        return "features"
    return "small" if max(side) < _SMALL_SIDE else "mnist"


def for_images(settings: DACSettings, source: Any, k: int = 10) -> DACSettings:
    """Return `settings` with every "auto" replaced by what the images, the network and the number of groups say.

    Sizes: 28, 32 and 96 pixels a side pick the tabled networks; images of other sizes are brought to one of these
    (`ilk.data.network_size`). With given groups to start from, see `trained_from_groups`.
    """
    name, size = settings.network, settings.image_size
    if name == AUTO and size is None and settings.start == "groups":
        name = trained_from_groups(source)
    if name != "features":
        if size is None:
            size = network_size(source) if name == AUTO else SIZES[name]
        if name == AUTO:
            star = settings.targets == "chunk" and settings.loss != "rows"
            tabled = _NETWORKS_STAR if star else _NETWORKS
            name = tabled[max((side for side in tabled if side <= size), default=28)] if size >= 28 else "small"
        plan(name, size)  # raises where the images are too small for it
    settings = for_groups(settings.replace(network=name, image_size=size), k, len(source))
    values = BY_NETWORK[name]
    if settings.order == AUTO and settings.reshuffle is True:  # other chunks in every epoch have no given order
        values = {**values, **_SHUFFLED}
    return settings.replace(**{key: value for key, value in values.items() if settings[key] == AUTO})


_BATCH, _PER_GROUP = 128, 4  # images of a batch: at least, and for each group
# a random network learns groups from so many images; of fewer, from each several times
_EPOCHS, _LEARNT, _MOST_EPOCHS = 4, 40_000, 40  # on given groups: at least; images that a head sees; at most
_IMAGES, _MOST_PASSES = 20_000, 12
# of a batch that targets are made in, as the script's 32 for ten groups: where all are of others, batch norm sees noise
_TARGETS, _TARGETS_PER_GROUP = 32, 3.2


def for_groups(settings: DACSettings, k: int, n: int) -> DACSettings:
    """Return `settings` with sizes that fit `k` groups of `n` images, where these start a training and none are given.

    Batches have four images per group, three where targets are made; a network that begins at random sees few images
    several times. A head on features learns the groups in more epochs, and moves less: its own targets lead away.
    """
    if settings.start != "groups":
        plain = {"start_epochs": 0, "target_batch": _TARGETS}
        return settings.replace(**{key: value for key, value in plain.items() if settings[key] == AUTO})
    found: dict[str, Any] = {}
    if settings["target_batch"] == AUTO:
        found["target_batch"] = max(_TARGETS, round(_TARGETS_PER_GROUP * k))
    if settings["batch_size"] == AUTO:
        found["batch_size"] = max(_BATCH, _PER_GROUP * k)
        found["chunk"] = max(settings.chunk, found["batch_size"])
    if settings["inner_epochs"] == AUTO:
        frozen = settings.network == "features"
        found["inner_epochs"] = 1 if frozen else min(max(round(_IMAGES / max(n, 1)), 1), _MOST_PASSES)
    if settings["start_epochs"] == AUTO:
        few = settings.network == "features"
        found["start_epochs"] = min(max(round(_LEARNT / max(n, 1)), _EPOCHS), _MOST_EPOCHS) if few else _EPOCHS
    return settings.replace(**found)


def records_graphs(settings: DACSettings, device: torch.device) -> bool:
    """Return whether steps run as CUDA graphs.

    Raises
    ------
    ArgumentError
        They are asked for where they cannot.
    """
    asked, frozen, alone = settings.cuda_graphs, settings.network == "features", compute.world_size() == 1
    if asked and device.type != "cuda":
        raise ArgumentError(
            f"cuda_graphs=true: only a GPU of NVIDIA records steps as a graph, and the device is {device}."
        )
    if asked and frozen:
        raise ArgumentError("cuda_graphs=true: only steps on pixels are recorded, and these are ready-made features.")
    if asked and not alone:
        raise ArgumentError("cuda_graphs=true: a graph averages no gradients between processes; run one process.")
    able = alone and device.type == "cuda" and not frozen and settings.selection != "random"
    return able if asked is None else asked


def advice(settings: DACSettings, k: int, n: int) -> list[str]:
    """Return what the user should know before a long training of `n` images."""
    notes = []
    size = min(settings.batch_size, n)
    if size < 2 * k:
        notes.append(
            f"batches of {size} images for {k} groups: batch norm keeps groups apart only in batches of many images "
            f"per group. Raise batch_size to {4 * k} or more"
        )
    chunk = settings.chunk
    if settings.targets == "chunk" and n > chunk and not settings.reshuffle and (left := n % chunk):
        notes.append(f"{left} of {n} images are never trained on: this preset's chunks of {chunk} leave them out")
    return notes
