"""Presets of `DAC`: plain data. Published versions differ in loss, schedule, batches and augmentation: never blended.

``None`` where the value follows from something else, ``"auto"`` where it follows from the network (`BY_NETWORK`).
"""

from __future__ import annotations

from typing import Any

from ilk.methods.checks import AUTO

__all__ = ["BY_NETWORK", "FOLLOWS", "PRESETS"]

_NO_CHANGE: dict[str, Any] = {
    "rotation": 0.0,  # degrees, either way
    "shift": 0.0,  # share of the side, either way
    "zoom": [1.0, 1.0],  # height and width apart
    "flip": False,  # left and right, every second time
    "channel_shift": 0.0,  # of the scale 0 to 1, each channel by itself
    "scale": 1.0,  # contrast of the altered copy
}
_LITTLE = {"rotation": 10.0, "shift": 0.1, "zoom": [0.95, 1.05], "channel_shift": 0.05, "scale": 0.975}
_MUCH = {"rotation": 20.0, "shift": 0.18, "zoom": [0.85, 1.15], "channel_shift": 0.1, "scale": 0.95, "flip": True}

# the paper: two thresholds, pairs chosen in the batch itself, the sum over the chosen pairs divided by their number
PAPER: dict[str, Any] = {
    "network": AUTO,  # by the size of the images: see docs/methods/dac.md
    "image_size": None,  # side in pixels; None = 28, 32 or 96 by the images
    "epochs": None,  # None = as many as the thresholds take
    "batch_size": 32,
    "n_init": 1,  # whole trainings; the best by a score without labels is kept
    "selection": "thresholds",  # thresholds | all (DAC*: one threshold in the middle) | random (for comparison only)
    "loss": "selected_mean",  # selected_mean | selected_sum | squared | binary | rows
    "targets": "batch",  # batch: the trained batch itself | chunk: unaltered images, frozen for some inner epochs
    "schedule": "lambda",  # lambda | lambda_beyond | linear
    "upper": None,  # linear: first and last threshold for "same group"
    "lower": None,  # linear: first and last threshold for "different groups"
    "sweep": None,  # linear: epochs from the first to the last
    "steps": None,  # batch: steps an epoch, drawn at random; None = one pass over the images
    "chunk": 1000,  # chunk: images whose targets are frozen together
    "inner_epochs": 1,  # chunk: passes over a chunk with the same targets
    "reshuffle": True,  # chunk: other chunks in every epoch
    "repeats": 1,  # chunk: how often each batch is trained in a row, altered anew each time
    "drop_last": True,  # chunk: leave out the last batch where it is not full
    "target_batch": 32,  # chunk: batch of the pass that makes the targets
    "lr": 1e-3,  # RMSprop
    "alpha": 0.9,
    "reset_optimizer": False,  # forget RMSprop's averages after every epoch
    "affine": True,  # batch norms train scale and shift
    "consistency": 0.0,  # weight of the loss between an altered image and itself
    "consistency_of": "label_features",  # label_features | softmax | mixed (softmax against label features)
    "graph": None,  # every step as one CUDA graph; None = where a GPU trains on pixels
    **_NO_CHANGE,
}

# the implementation most others are copied from: both terms averaged over all pairs of the batch
SEED: dict[str, Any] = {
    **PAPER,
    "batch_size": 128,
    "loss": "selected_sum",
    "schedule": "lambda_beyond",
    "steps": 1000,
    "affine": False,
}

# the authors' scripts with one threshold (DAC*)
RELEASED_STAR: dict[str, Any] = {
    **PAPER,
    **dict.fromkeys(("batch_size", "loss", "upper", "lower", "sweep", "inner_epochs", "reshuffle", "repeats"), AUTO),
    **dict.fromkeys(("drop_last", "consistency", "consistency_of", *_NO_CHANGE), AUTO),
    "targets": "chunk",
    "schedule": "linear",
}

# ours: the same with norms of a fixed scale, whose trainings agree more with each other (benchmarks/dac_scales.py)
STEADY: dict[str, Any] = {**RELEASED_STAR, "affine": False}

# the authors' script with two thresholds
RELEASED_DAC: dict[str, Any] = {
    **PAPER,
    "loss": "rows",
    "targets": "chunk",
    "schedule": "linear",
    "upper": [0.99, 0.895],
    "lower": [0.80, 0.895],
    "sweep": 50,
    "inner_epochs": 10,
    "repeats": 2,
    "reset_optimizer": True,
    "consistency": 1.0,
    "consistency_of": "softmax",
    **_LITTLE,
    "shift": 0.09,
    "flip": True,
}

_COLOUR = {
    "batch_size": 32, "loss": "binary", "inner_epochs": 10, "reshuffle": True, "repeats": 2, "drop_last": True,
    "consistency": 10.0, "consistency_of": "label_features",
}  # fmt: skip


def _one(first: float, last: float, sweep: int) -> dict[str, Any]:
    return {"upper": [first, last], "lower": [first, last], "sweep": sweep}


_PHOTOS = {**_COLOUR, **_one(0.99, 0.75, 50), **_LITTLE, "flip": True}

_DIGITS = {
    "batch_size": 128, "loss": "squared", **_one(0.9, 0.5, 20), "inner_epochs": 5, "reshuffle": False, "repeats": 1,
    "drop_last": False, "consistency": 0.0, "consistency_of": "label_features", **_LITTLE, "flip": False,
}  # fmt: skip

BY_NETWORK: dict[str, dict[str, Any]] = {
    "mnist": _DIGITS,
    "cifar_star": {**_COLOUR, **_one(0.99, 0.75, 50), "consistency_of": "mixed", **_MUCH},
    "cifar": {**_COLOUR, **_one(0.99, 0.75, 50), "consistency_of": "mixed", **_MUCH},
    "stl": {**_PHOTOS, **_one(0.99, 0.5, 75)},
    "imagenet10": _PHOTOS,
    "dog": _PHOTOS,
    "features": {**_DIGITS, **_NO_CHANGE},  # ready-made features cannot be altered
}
"""What ``"auto"`` stands for in ``released_star``; other networks take the values of "imagenet10"."""

FOLLOWS = frozenset(_DIGITS)
"""Keys that may be ``"auto"`` in any preset, besides the network."""

# ours, for very small grey images such as digits of 8 × 8: the rule of released_star for MNIST. Its thresholds are
# those whose trainings agree most with each other (benchmarks/dac_small.py)
SMALL: dict[str, Any] = {
    **RELEASED_STAR,
    **BY_NETWORK["mnist"],
    **_one(0.95, 0.75, 20),
    "network": "small",
    "image_size": 16,
    "batch_size": 64,
    "n_init": 4,
    "reshuffle": True,
}

# ours, for photos on a CPU: the features of a frozen encoder stand still, the head learns
QUICK: dict[str, Any] = {
    **RELEASED_STAR,
    **BY_NETWORK["features"],
    "network": "features",
    "reshuffle": True,
    "affine": False,
}

PRESETS: dict[str, dict[str, Any]] = {
    # quick for photos on a CPU, small below 24 pixels, seed up to 28 where it takes no longer, else steady; above that
    # released_star
    "auto": RELEASED_STAR,
    "paper": PAPER,
    "seed": SEED,
    "released_star": RELEASED_STAR,
    "released_dac": RELEASED_DAC,
    "steady": STEADY,
    "quick": QUICK,
    "small": SMALL,
    "tiny": {
        **SMALL,
        "network": "tiny",
        "image_size": 8,
        "upper": [0.95, 0.8],
        "lower": [0.95, 0.8],
        "sweep": 4,
        "batch_size": 32,
        "n_init": 3,  # one in 75 trainings unites two of three patterns, one in 600 with restarts
        "inner_epochs": 10,
        "lr": 3e-3,
    },
}
