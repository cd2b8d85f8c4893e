"""Presets of `GAN`: plain data."""

from __future__ import annotations

from typing import Any

__all__ = ["PRESETS"]

# widths and settings of the DCGAN paper; how long to train is not given there for these images
PAPER: dict[str, Any] = {
    "image_size": None,  # side in pixels, brought to the next multiple of 4; None = by the images
    "epochs": 25,
    "batch_size": 128,
    "lr": 2e-4,  # Adam, both networks
    "beta1": 0.5,
    "width": 64,  # channels of the discriminator's first convolution
    "noise": 100,  # length of the random vectors, uniform from -1 to 1
    "code": 64,  # principal components of the discriminator's maps
    "n_init": 20,  # starts of K-means on them
}

PRESETS: dict[str, dict[str, Any]] = {
    # ours: half the width and a fifth of the epochs, for minutes on a CPU
    "default": {**PAPER, "width": 32, "epochs": 5},
    "paper": PAPER,
    "tiny": {**PAPER, "epochs": 2, "batch_size": 16, "width": 8, "noise": 8, "code": 8, "n_init": 3},
}
