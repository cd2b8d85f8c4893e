"""Settings and presets of `GAN`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ilk.methods.baselines.trained_settings import TrainedSettings
from ilk.methods.settings import number, whole

__all__ = ["PRESETS", "GANSettings"]


@dataclass(frozen=True, kw_only=True)
class GANSettings(TrainedSettings):
    """Ours: the paper's at a quarter of the width, smaller filters and a fifth of the epochs: minutes on a CPU."""

    renamed: ClassVar = {"width": "base_channels", "noise": "noise_dim", "code": "pca_dim"}

    epochs: int = whole(5, "passes over all images")
    batch_size: int = whole(128, "images of a step")
    lr: float = number(2e-4, "learning rate of Adam, both networks", 0, 1)
    beta1: float = number(0.5, "Adam: what is kept of the mean gradient at a step", 0, 0.999)
    base_channels: int = whole(32, "maps of the discriminator's first convolution")
    kernel: int = whole(4, "side of every filter")
    noise_dim: int = whole(100, "length of the random vectors, uniform from -1 to 1")
    pca_dim: int = whole(64, "principal components of the discriminator's maps")
    n_init: int = whole(20, "starts of K-means on them")


DEFAULT = GANSettings()
PRESETS = {
    "default": DEFAULT,
    # The DCGAN paper: its settings, and the filters and widths of its figure 1. How long to train is not given there
    # for these images; 25 epochs are those of the authors' code for faces. pca_dim and n_init are ours: it classifies.
    "paper": DEFAULT.replace(epochs=25, base_channels=128, kernel=5),
    "tiny": DEFAULT.replace(epochs=2, batch_size=16, base_channels=8, noise_dim=8, pca_dim=8, n_init=3),
}
