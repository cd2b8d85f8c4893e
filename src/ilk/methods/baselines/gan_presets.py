"""Presets of `GAN`: plain data."""

from __future__ import annotations

from typing import Any

__all__ = ["PRESETS"]

# The DCGAN paper: its settings, and the kernels and widths of its figure 1. How long to train is not given there for
# these images; 25 epochs are those of the authors' code for faces. "code" and "n_init" are ours: the paper classifies.
PAPER: dict[str, Any] = {
    "image_size": None,  # side in pixels, brought to the next multiple of 4; None = by the images
    "epochs": 25,
    "batch_size": 128,
    "lr": 2e-4,  # Adam, both networks
    "beta1": 0.5,
    "width": 128,  # channels of the discriminator's first convolution
    "kernel": 5,  # side of every convolution
    "noise": 100,  # length of the random vectors, uniform from -1 to 1
    "code": 64,  # principal components of the discriminator's maps
    "n_init": 20,  # starts of K-means on them
}

PRESETS: dict[str, dict[str, Any]] = {
    # ours: a quarter of the width, smaller kernels and a fifth of the epochs, for minutes on a CPU
    "default": {**PAPER, "width": 32, "kernel": 4, "epochs": 5},
    "paper": PAPER,
    "tiny": {**PAPER, "epochs": 2, "batch_size": 16, "width": 8, "kernel": 4, "noise": 8, "code": 8, "n_init": 3},
}
