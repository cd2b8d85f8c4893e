"""What is decided before DAC trains: the preset, the network, the size of images, and whether it all fits."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from ilk.data import Encoded, is_small, square, training_size
from ilk.errors import ArgumentError, DataError, NotEnoughImages, nearest
from ilk.methods._dac_data import Pixels, Pool
from ilk.methods._dac_steps import check as check_choices
from ilk.methods._dac_steps import make_learner
from ilk.methods.dac_presets import AUTO, BY_NETWORK
from ilk.networks.dac import NETWORKS, SIZES, plan

__all__ = ["WHY", "advice", "automatic", "check", "check_count", "fill", "half_precision"]

WHY = {
    "quick": "photos on a CPU: the features of a frozen encoder are used and only the head learns (preset=quick). "
    "Training a network from scratch takes hours here: ask for it with --set preset=released_star"
}
_SMALL_SIDE = 24  # below it the MNIST network would see mostly blown-up pixels
_COUNTS = ("batch_size", "n_init", "inner_epochs", "repeats", "chunk", "target_batch", "sweep")
_BY_SIZE = {
    "lambda": {28: "mnist", 32: "cifar", 96: "imagenet10"},  # the paper's networks
    "linear": {28: "mnist", 32: "cifar_star", 96: "imagenet10"},  # those of the scripts with one threshold
}


def check(table: Mapping[str, Any], k: Any, seed: Any, precision: Any) -> None:
    """Raise `ArgumentError` for whatever is outside of what is allowed."""
    if isinstance(k, bool) or not isinstance(k, int | np.integer) or k < 2:
        hint = " DAC does not choose it; `ilk cluster SOURCE` without -m dac suggests one." if k == "auto" else ""
        raise ArgumentError(f"n_clusters={k!r}: give a whole number of at least 2 (-k).{hint}")
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or not 0 <= seed < 2**32:
        raise ArgumentError(f"random_state={seed!r}: give a whole number from 0 to 2**32 - 1.")
    if precision not in ("auto", "fp32", "bf16"):
        raise ArgumentError(f"precision={precision!r}: choose auto, fp32 or bf16.")
    check_choices(table)
    for key in ("reshuffle", "drop_last", "reset_optimizer", "affine", "flip", "graph"):
        if not isinstance(table[key], bool) and table[key] != AUTO:
            raise ArgumentError(f"{key}={table[key]!r}: give true or false.")
    known = [AUTO, "features", *NETWORKS]
    if table["network"] not in known:
        raise ArgumentError(
            f"network={table['network']!r}: choose {', '.join(known)}.{nearest(str(table['network']), known)}"
        )
    for key in _COUNTS:
        _whole(key, table[key], optional=key == "sweep")
    for key in ("epochs", "steps", "image_size"):
        _whole(key, table[key], optional=True)
    for key in ("upper", "lower", "zoom"):
        _pair(key, table[key], 4.0 if key == "zoom" else 1.0)
    if table["schedule"] == "linear" and None in (table["upper"], table["lower"], table["sweep"]):
        raise ArgumentError("schedule='linear': give upper= and lower= (first,last) and sweep= (epochs) too.")
    for key, most in {
        "lr": 1.0,
        "alpha": 1.0,
        "rotation": 180.0,
        "shift": 1.0,
        "channel_shift": 1.0,
        "scale": 10.0,
    }.items():
        _number(key, table[key], most)
    _number("consistency", table["consistency"], 1e6)


def _whole(key: str, value: Any, *, optional: bool = False) -> None:
    if value == AUTO or (value is None and optional):
        return
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
        raise ArgumentError(f"{key}={value!r}: give a whole number of at least 1.")


def _pair(key: str, value: Any, most: float) -> None:
    if value in (None, AUTO):
        return
    numbers = isinstance(value, list | tuple) and len(value) == 2 and all(isinstance(v, int | float) for v in value)
    if not numbers or not all(0 <= v <= most for v in value):
        raise ArgumentError(f"{key}={value!r}: give two numbers from 0 to {most:g}, such as {key}=.9,.5.")


def _number(key: str, value: Any, most: float) -> None:
    if value != AUTO and (isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= most):
        raise ArgumentError(f"{key}={value!r}: give a number from 0 to {most:g}.")


def half_precision(
    precision: str, pool: Pool, table: Mapping[str, Any], k: int, seed: int, resume: Mapping[str, Any] | None
) -> bool:
    """Return whether the trunk runs in bfloat16.

    "auto": on a GPU that has it; on a CPU that has units for it, where a probe of a few steps is at least a tenth
    faster. A training that goes on keeps what it began with.
    """
    if resume:
        return bool(json.loads(resume["settings"])["half"])
    if precision != "auto":
        return precision == "bf16"
    if pool.device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported())
    if not isinstance(pool, Pixels) or SIZES[str(table["network"])] < 28 or not _has_bf16():
        return False
    speeds = [make_learner(pool, table, k, seed, half, 0).probe(1).images_per_second for half in (False, True)]
    return speeds[1] > 1.1 * speeds[0]


def _has_bf16() -> bool:
    """Return whether the processor computes in bfloat16, rather than only store it."""
    units = ("_is_amx_tile_supported", "_is_avx512_bf16_supported")
    return any(getattr(torch.cpu, name, lambda: False)() for name in units)


def automatic(source: Any, place: torch.device) -> str:
    """Return the preset that "auto" stands for.

    "quick" for photos on a CPU, "small" for small uniform images below 24 pixels a side, "released_star" otherwise.
    """
    side = is_small(source)
    if side is None:
        return "quick" if place.type == "cpu" else "released_star"
    return "small" if max(side) < _SMALL_SIDE else "released_star"


def fill(table: Mapping[str, Any], source: Any) -> dict[str, Any]:
    """Return `table` with every "auto" replaced by what the images and the network say.

    Sizes: 28, 32 and 96 pixels a side pick the tabled networks. Small uniform images of other sizes are brought to the
    next of 28 and 32 above them.
    """
    found = dict(table)
    if found["network"] == "features":
        return found
    kind = "linear" if found["targets"] == "chunk" and found["loss"] != "rows" else "lambda"
    by_size = _BY_SIZE[kind]
    size = found["image_size"]
    if size is None:
        if found["network"] != AUTO:
            size = SIZES[found["network"]]
        else:
            shorter = min(square(training_size(source)))
            size = next((side for side in by_size if shorter <= side), 96)
    if found["network"] == AUTO:
        found["network"] = (
            by_size[max((side for side in by_size if side <= size), default=28)] if size >= 28 else "small"
        )
    found["image_size"] = int(size)
    plan(found["network"], found["image_size"])  # raises where the images are too small for it
    values = BY_NETWORK.get(
        found["network"], BY_NETWORK["mnist" if found["network"] in ("small", "tiny") else "imagenet10"]
    )
    return {key: values[key] if value == AUTO and key in values else value for key, value in found.items()}


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


def check_count(facts: Encoded, distinct: int, k: int) -> None:
    """Raise where there are fewer distinct images than groups, or none at all."""
    n = len(facts.status)
    if n == 0:
        raise NotEnoughImages("there are no images.")
    if distinct == 0:
        first = next((reason for reason in facts.reasons if reason), "no reason given")
        raise DataError(f"none of the {n} files could be read as an image (the first: {first}).")
    if distinct < k:
        raise NotEnoughImages(
            f"{distinct} distinct image(s): too few for {k} groups. Ask for fewer groups or give more images."
        )
