"""What is decided before DAC trains: the preset, the network, the size of images, and whether it all fits."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from ilk import compute, train
from ilk.data import OwnFeatures, is_small, network_size
from ilk.errors import ArgumentError
from ilk.methods import checks
from ilk.methods.checks import AUTO
from ilk.methods.dac.presets import BY_NETWORK, FOLLOWS
from ilk.methods.dac.training_step import check as check_choices
from ilk.methods.dac.training_step import make_learner, thresholds
from ilk.methods.inputs.dataset import Pixels, Pool
from ilk.networks.dac import NETWORKS, SIZES, plan

__all__ = ["WHY", "advice", "automatic", "check", "check_given", "fill", "graphed", "half_precision"]

WHY = {
    "quick": "photos on a CPU: the features of a frozen encoder are used and only the head learns (preset=quick). "
    "Training a network from scratch takes hours here: ask for it with --set preset=released_star",
    "seed": "small images: norms of a fixed scale are used (preset=seed). With preset=released_star, groups ran "
    "together in 4 of the 5 trainings that were measured",
    "steady": "small images: norms of a fixed scale are used (preset=steady). With preset=released_star, which "
    "trains them, groups ran together in 4 of the 5 trainings that were measured",
}
_SMALL_SIDE, _FIXED_SIDE = 24, 28  # below the first the MNIST network would see mostly blown-up pixels
_MANY = 60_000  # images from which on the 47,000 steps of "seed" are no more work than what "released_star" does
_COUNTS = {"n_init": 1, "inner_epochs": 1, "repeats": 1, "sweep": 1, "batch_size": 2, "chunk": 2, "target_batch": 1}
_NETWORKS = {28: "mnist", 32: "cifar", 96: "imagenet10"}  # by the side of the images
_NETWORKS_STAR = {**_NETWORKS, 32: "cifar_star"}  # those of the scripts with one threshold


def check(table: Mapping[str, Any], k: Any, seed: Any, precision: Any) -> None:
    """Raise `ArgumentError` for whatever is outside of what is allowed."""
    if isinstance(k, bool) or not isinstance(k, int | np.integer) or k < 2:
        hint = " DAC does not choose it; `ilk cluster SOURCE` without -m dac suggests one." if k == "auto" else ""
        raise ArgumentError(f"n_clusters={k!r}: give a whole number of at least 2 (-k).{hint}")
    checks.random_state(seed)
    checks.choice("precision", precision, ("auto", "fp32", "bf16"))
    check_choices(table)
    for key in ("reshuffle", "drop_last", "reset_optimizer", "affine", "flip"):
        checks.flag(key, table[key], auto=key in FOLLOWS)
    if table["graph"] is not None:
        checks.flag("graph", table["graph"])
    checks.choice("network", table["network"], ["features", *NETWORKS], auto=True)
    for key, least in _COUNTS.items():  # batch norm knows nothing of a single image
        checks.whole(key, table[key], least=least, optional=key == "sweep", auto=key in FOLLOWS)
    for key in ("epochs", "steps", "image_size"):
        checks.whole(key, table[key], optional=True)
    for key in ("upper", "lower", "zoom"):
        checks.pair(key, table[key], 4.0 if key == "zoom" else 1.0, auto=key in FOLLOWS)
    if table["schedule"] == "linear" and None in (table["upper"], table["lower"], table["sweep"]):
        raise ArgumentError("schedule='linear': give upper= and lower= (first,last) and sweep= (epochs) too.")
    upper, lower = table["upper"], table["lower"]
    if AUTO not in (upper, lower) and any(u < low for u, low in zip(upper or (), lower or (), strict=False)):
        raise ArgumentError(
            f"upper={upper}, lower={lower}: two images are alike above the one and not alike below the other, so "
            "upper= cannot be the smaller one. With one threshold (DAC*) give both the same values."
        )
    most = {"lr": 1.0, "alpha": 1.0, "rotation": 180.0, "shift": 1.0, "channel_shift": 1.0, "scale": 10.0}
    for key, limit in most.items():
        checks.number(key, table[key], limit, auto=key in FOLLOWS)
    checks.number("consistency", table["consistency"], 1e6, auto=True)


def check_given(given: Mapping[str, Any], table: Mapping[str, Any]) -> None:
    """Raise `ArgumentError` for a setting that is given although nothing reads it, beside the others in `table`."""
    for what, value, keys in _READ:
        named = [key for key in keys if given.get(key) not in (None, AUTO)] if table[what] == value else []
        if named:
            about = f"nothing reads it with {what}={table[what]}; leave it out, or set {what}= too."
            raise ArgumentError(f"{named[0]}={given[named[0]]!r}: {about}")


_OF_CHUNKS = ("chunk", "inner_epochs", "reshuffle", "repeats", "drop_last", "target_batch", "consistency")
# a setting, its value, and what nothing reads then
_READ: tuple[tuple[str, Any, tuple[str, ...]], ...] = (
    ("schedule", "lambda", ("upper", "lower", "sweep")),
    ("schedule", "lambda_beyond", ("upper", "lower", "sweep")),
    ("targets", "batch", (*_OF_CHUNKS, "consistency_of")),
    ("targets", "chunk", ("steps",)),
    ("consistency", 0.0, ("consistency_of",)),
    ("network", "features", ("rotation", "shift", "zoom", "flip", "channel_shift", "scale")),
)


def graphed(table: Mapping[str, Any], place: torch.device) -> bool:
    """Return whether steps run as CUDA graphs.

    Raises
    ------
    ArgumentError
        They are asked for where they cannot.
    """
    asked = table["graph"]
    if asked and place.type != "cuda":
        raise ArgumentError(f"graph=true: only a GPU of NVIDIA records steps as a graph, and the device is {place}.")
    if asked and table["network"] == "features":
        raise ArgumentError("graph=true: ready-made features are read on the CPU, and a graph cannot wait for it.")
    if asked and compute.world_size() > 1:
        raise ArgumentError("graph=true: a graph averages no gradients between processes; run one process.")
    alone = compute.world_size() == 1  # a graph averages no gradients between processes
    able = alone and place.type == "cuda" and table["network"] != "features" and table["selection"] != "random"
    return able if asked is None else bool(asked)


def half_precision(
    precision: str, pool: Pool, table: Mapping[str, Any], k: int, seed: int, resume: Mapping[str, Any] | None
) -> bool:
    """Return whether the trunk runs in bfloat16. A training that goes on keeps what it began with.

    Never on ready-made features: one linear layer gains nothing, and its groups would hang on the last bits.
    """
    if not isinstance(pool, Pixels):
        return False
    if resume:
        return bool(json.loads(resume["settings"])["half"])
    worth = SIZES[str(table["network"])] >= 28

    def speed(half: bool) -> float:
        return make_learner(pool, table, k, seed, half, 0).probe(1).images_per_second

    images = len(pool) * len(thresholds(table)) * int(table["inner_epochs"]) * int(table["repeats"])
    return train.half_precision(precision, pool.device, speed if worth else None, images=images)


def automatic(source: Any, place: torch.device, network: str = AUTO, size: int | None = None) -> str:
    """Return the preset that "auto" stands for.

    For photos "quick" on a CPU; for small uniform images "small" below 24 pixels a side, and up to 28 "seed" on a GPU
    and for 60,000 images and more, else "steady"; "released_star" otherwise. Where a `network` or a `size` in pixels is
    asked for, one that trains it. For features of the user's own "quick".
    """
    if isinstance(source, OwnFeatures) and network in (AUTO, "features") and size is None:
        return "quick"
    side = is_small(source)
    if network in ("small", "tiny") or (network == AUTO and size is None and side and max(side) < _SMALL_SIDE):
        return "small"
    if network == "features" or (network == AUTO and size is None and side is None and place.type == "cpu"):
        return "quick"
    if side is None or max(side) > _FIXED_SIDE or (size or _FIXED_SIDE) != _FIXED_SIDE:
        return "released_star"
    return "seed" if place.type == "cuda" or len(source) >= _MANY else "steady"


def fill(table: Mapping[str, Any], source: Any) -> dict[str, Any]:
    """Return `table` with every "auto" replaced by what the images and the network say.

    Sizes: 28, 32 and 96 pixels a side pick the tabled networks; images of other sizes are brought to one of these
    (`ilk.data.network_size`).
    """
    found = dict(table)
    if found["network"] == "features":
        return _resolved(found, "features")
    by_size = _NETWORKS_STAR if found["targets"] == "chunk" and found["loss"] != "rows" else _NETWORKS
    size = found["image_size"]
    if size is None:
        size = network_size(source) if found["network"] == AUTO else SIZES[found["network"]]
    if found["network"] == AUTO:
        found["network"] = (
            by_size[max((side for side in by_size if side <= size), default=28)] if size >= 28 else "small"
        )
    found["image_size"] = int(size)
    plan(found["network"], found["image_size"])  # raises where the images are too small for it
    return _resolved(found, "mnist" if found["network"] in ("small", "tiny") else found["network"])


def _resolved(table: Mapping[str, Any], like: str) -> dict[str, Any]:
    """Return `table` with every "auto" replaced by the value of the network `like`."""
    values = BY_NETWORK[like]
    return {key: values[key] if value == AUTO and key in values else value for key, value in table.items()}


def advice(table: Mapping[str, Any], k: int, n: int) -> list[str]:
    """Return what the user should know before a long training."""
    notes = []
    size = min(int(table["batch_size"]), n)
    if size < 2 * k:
        notes.append(
            f"batches of {size} images for {k} groups: batch norm keeps groups apart only in batches of many images "
            f"per group. Raise batch_size to {4 * k} or more"
        )
    chunk = int(table["chunk"])
    left = n % chunk if table["targets"] == "chunk" and n > chunk and not table["reshuffle"] else 0
    if left:
        notes.append(f"{left} of {n} images are never trained on: this preset's chunks of {chunk} leave them out")
    return notes
