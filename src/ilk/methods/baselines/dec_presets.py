"""Presets of `DEC`: plain data."""

from __future__ import annotations

from typing import Any

__all__ = ["PRESETS"]

# ours: the published second half; the autoencoder is trained in minutes instead of hours, and all at once
DEFAULT: dict[str, Any] = {
    "image_size": None,  # side in pixels; None = by the images
    "epochs": 20,  # of the autoencoder
    "batch_size": None,  # None = 256, less where there are few images
    "optimizer": "adam",  # of the autoencoder: adam | sgd (momentum .9)
    "lr": 1e-3,  # of the autoencoder
    "decay": True,  # that rate falls to 0 along half a cosine
    "widths": [500, 500, 2000],
    "code": 10,
    "corruption": 0.0,  # share of pixels set to 0 while the autoencoder learns
    "n_init": 20,  # starts of K-means on the codes
    "rounds": 60,  # at most; the target is made anew from all images before each
    "interval": 160,  # steps of a round
    "tolerance": 0.001,  # share of images that change their group in a round, below which training ends
    "cluster_lr": 0.01,  # SGD, momentum .9
    "alpha": 1.0,  # degrees of freedom of the Student kernel
    "gamma": 1.0,  # weight of the divergence
    "reconstruction": 0.0,  # weight of the squared error while clustering (IDEC: 1)
}

PRESETS: dict[str, dict[str, Any]] = {
    "default": DEFAULT,
    # the schedule of a widespread Keras code: the autoencoder for 300 epochs by SGD, 20,000 steps of clustering at most
    "long": {
        **DEFAULT,
        "epochs": 300,
        "batch_size": 256,
        "optimizer": "sgd",
        "lr": 1.0,
        "decay": False,
        "rounds": 142,
        "interval": 140,
    },
    # the decoder stays, its error too
    "idec": {**DEFAULT, "gamma": 0.1, "reconstruction": 1.0, "interval": 140},
    "tiny": {
        **DEFAULT,
        "epochs": 2,
        "batch_size": 16,
        "widths": [32],
        "code": 6,
        "n_init": 3,
        "rounds": 2,
        "interval": 4,
        "tolerance": 0.0,
    },
}
