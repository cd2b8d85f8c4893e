"""What is decided before DeepCluster trains: the preset, the network, the size of images, how many pseudo-labels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from ilk import compute, train
from ilk.data import OwnFeatures, is_small, network_size
from ilk.errors import ArgumentError
from ilk.methods import checks
from ilk.methods.checks import AUTO
from ilk.methods.deepcluster.memory_bank import BankLearner
from ilk.methods.deepcluster.training_step import Learner, Pace
from ilk.methods.deepcluster.views import Views
from ilk.networks.convnets import NAMES, SIDES, ConvNet, build_convnet, side_after

__all__ = ["WHY", "automatic", "build", "check", "fill", "half_precision", "make_learner", "supervised"]

WHY = {
    "quick": "photos on a CPU: the features of a frozen encoder are clustered finely, and the clusters united "
    "(preset=quick); no network is trained. Training one from scratch takes hours here: ask for it with "
    "--set preset=small"
}
_PLAIN_NET = 48  # pixels a side up to which the net of three convolutions is enough
_SMALL_VIEW = 0.64  # side of a small view, in sides of the image
_CHOICES = {
    "algorithm": ("deepcluster", "v2"),
    "normalise": ("imagenet", "images"),
    "merge": ("ward", "kmeans"),
    "balance": ("uniform", "inverse_size", "none"),
    "optimizer": ("sgd", "larc", "auto"),
    "schedule": ("constant", "cosine"),
}
_FLAGS = ("sobel", "reset_head", "recluster", "flip")
_COUNTS = ("batch_size", "iterations", "heads", "width")
_MOST = {"lr": 100.0, "momentum": 1.0, "weight_decay": 1.0, "rotation": 180.0, "shift": 1.0, "jitter": 1.0}


def check(table: Mapping[str, Any], k: Any, seed: Any, precision: Any) -> None:
    """Raise `ArgumentError` for whatever is outside of what is allowed."""
    if isinstance(k, bool) or not isinstance(k, int | np.integer) or k < 2:
        hint = " DeepCluster does not choose it; `ilk cluster SOURCE` without -m suggests one." if k == "auto" else ""
        raise ArgumentError(f"n_clusters={k!r}: give a whole number of at least 2 (-k).{hint}")
    checks.random_state(seed)
    checks.choice("precision", precision, ("auto", "fp32", "bf16"))
    for key, allowed in _CHOICES.items():
        checks.choice(key, table[key], allowed)
    checks.choice("network", table["network"], ["features", *NAMES], auto=True)
    for key in _FLAGS:
        checks.flag(key, table[key])
    for key in _COUNTS:  # batch norm knows nothing of a single image
        checks.whole(key, table[key], least=2 if key == "batch_size" else 1)
    for key in ("epochs", "components", "warmup"):
        checks.whole(key, table[key], least=0)
    for key in ("n_fine", "image_size"):
        checks.whole(key, table[key], optional=True)
    if table["n_fine"] is not None and int(table["n_fine"]) < int(k):
        raise ArgumentError(f"n_fine={table['n_fine']}: at least as many as groups (n_clusters={k}) are needed.")
    for key, limit in _MOST.items():
        checks.number(key, table[key], limit)
    checks.number("margin", table["margin"], 4.0, least=1.0)
    checks.number("temperature", table["temperature"], 100.0, least=1e-3)
    if table["stop_agreement"] is not None:
        checks.number("stop_agreement", table["stop_agreement"], 1.0)
    checks.pair("crop", table["crop"], 1.0)
    checks.pair("zoom", table["zoom"], 4.0)
    _views(table)
    if table["network"] == "features" and (table["epochs"] or table["algorithm"] == "v2"):
        raise ArgumentError("network='features': nothing is trained on frozen features; give epochs=0 or a network.")


def _views(table: Mapping[str, Any]) -> None:
    """Check how many views of an image the second version takes, and how large they are."""
    for key in ("crops", "crop_sizes", "crop_scales"):
        given = (1, 1) if table[key] == AUTO and key == "crop_sizes" else table[key]
        if not isinstance(given, list | tuple) or len(given) != 2 or not all(isinstance(v, int | float) for v in given):
            raise ArgumentError(f"{key}={given!r}: give two numbers, for large and small views.")
    if min(table["crops"]) < 0 or table["crops"][0] < 1:
        raise ArgumentError(f"crops={table['crops']!r}: at least one large view, and no negative numbers.")
    if table["crop_sizes"] != AUTO and min(table["crop_sizes"]) < 1:
        raise ArgumentError(f"crop_sizes={table['crop_sizes']!r}: give two numbers of pixels.")
    if not all(0 < scale <= 1 for scale in table["crop_scales"]):
        raise ArgumentError(f"crop_scales={table['crop_scales']!r}: give two shares of the area above 0 and up to 1.")


def automatic(source: Any, place: torch.device, network: str = AUTO) -> str:
    """Return the preset that "auto" stands for: "quick" for photos on a CPU and features that are given, else "small".

    A network that is asked for by name is to be trained: "quick" would leave it as it was drawn.
    """
    if network not in (AUTO, "features"):
        return "small"
    if isinstance(source, OwnFeatures):
        return "quick"
    return "quick" if is_small(source) is None and place.type == "cpu" else "small"


def fill(table: Mapping[str, Any], source: Any) -> dict[str, Any]:
    """Return `table` with every "auto" and None replaced by what the images say; `n_fine` stays."""
    found = dict(table)
    if found["network"] == "features":
        return found
    size = found["image_size"]
    if size is None:
        if found["network"] in SIDES:
            size = SIDES[found["network"]]
        if found["network"] == AUTO or SIDES[found["network"]] <= _PLAIN_NET:
            size = network_size(source)
    if found["network"] == AUTO:
        found["network"] = "small" if size <= _PLAIN_NET else "resnet18"
    found["image_size"] = int(size)
    if found["crop_sizes"] == AUTO:
        found["crop_sizes"] = [int(size), max(1, round(_SMALL_VIEW * int(size)))]
    side_after(found["network"], found["image_size"])  # raises where the images are too small for it
    return found


def build(table: Mapping[str, Any], channels: int, generator: torch.Generator) -> ConvNet:
    """Build the network that `table` names for images of so many channels."""
    width = int(table["width"]) if table["algorithm"] == "v2" else None
    return build_convnet(
        str(table["network"]),
        channels,
        int(table["image_size"]),
        sobel=bool(table["sobel"]),
        generator=generator,
        width=width,
    )


def make_learner(views: Views, table: Mapping[str, Any], k: int, seed: int, half: bool) -> Learner | BankLearner:
    """Build the network of a training and all its random generators from `seed`."""
    seeds = np.random.SeedSequence(int(seed)).generate_state(3, np.uint64) >> np.uint64(1)
    weights, draws, noise = (int(part) for part in seeds)
    net = build(table, views.channels, compute.generator(weights)).to(views.device)
    net = net.to(memory_format=torch.channels_last)
    kind = BankLearner if table["algorithm"] == "v2" else Learner
    return kind(net, views, table, k, compute.generator(draws), compute.generator(noise, views.device), half)


def half_precision(
    precision: str, views: Views, table: Mapping[str, Any], k: int, seed: int, resume: Mapping[str, Any] | None
) -> bool:
    """Return whether the network runs in bfloat16."""

    def speed(half: bool) -> float:
        return make_learner(views, table, k, seed, half).probe(1).images_per_second

    return train.half_precision(precision, views.device, speed, resume, len(views) * int(table["epochs"]))


def supervised(
    table: Mapping[str, Any], views: Views, rows: Any, classes: Any, n_classes: int, epochs: int, seed: int
) -> ConvNet:
    """Return a network trained on `classes` (b,) of the images `rows` (b,) by the optimizer and views of `table`.

    One last layer on top of the ReLU, kept from epoch to epoch; every image once in an epoch.
    """
    plain = {**table, "algorithm": "deepcluster", "reset_head": False, "balance": "none", "epochs": epochs}
    learner = make_learner(views, plain, n_classes, seed, False)
    assert isinstance(learner, Learner)
    index, wanted = torch.from_numpy(rows), torch.from_numpy(classes)
    learner.targets = torch.zeros(len(views), dtype=torch.int64)
    learner.targets[index] = wanted
    learner.targets = learner.targets.to(views.device)
    size = min(int(table["batch_size"]), len(index))
    for epoch in range(epochs):
        order = index[torch.randperm(len(index), generator=learner.draws)]
        learner.net.train()
        steps = [part for part in torch.split(order, size) if len(part) > 1]
        pace = Pace(plain, learner.optimizer, epoch, len(steps))
        pairs = ((part, views.read(part)) for part in steps)
        train.train_epoch(learner._step, pairs, learner.optimizer, epoch=epoch, after=pace)
    return learner.net
