"""Settings and presets of `DEC`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ilk.methods.baselines.trained_settings import DenseSettings
from ilk.methods.settings import number, whole

__all__ = ["PRESETS", "DECSettings"]


@dataclass(frozen=True, kw_only=True)
class DECSettings(DenseSettings):
    """Ours: the published second half; the autoencoder is trained in minutes instead of hours, and all at once."""

    renamed: ClassVar = {**DenseSettings.renamed, "alpha": "t_dof"}

    epochs: int = whole(20, "passes over all images while the autoencoder learns")
    corruption: float = number(0.0, "share of pixels that are set to 0 while the autoencoder learns", 0, 1)
    rounds: int = whole(60, "rounds of clustering at most; each has a new target, made from all images")
    interval: int = whole(160, "steps of a round")
    tolerance: float = number(0.001, "training ends when a round changes the group of a smaller share of images", 0, 1)
    cluster_lr: float = number(0.01, "learning rate of the clustering (SGD, momentum .9)", 0, 10)
    t_dof: float = number(1.0, "degrees of freedom of Student's t, the kernel of the soft assignments", 1e-6, 1e3)
    gamma: float = number(1.0, "weight of the divergence", 0, 1e6)
    reconstruction: float = number(0.0, "weight of the squared error while clustering (IDEC: 1)", 0, 1e6)


DEFAULT = DECSettings()
PRESETS = {
    "default": DEFAULT,
    # the schedule of a widespread Keras code: the autoencoder for 300 epochs by SGD, 20,000 steps of clustering at most
    "long": DEFAULT.replace(
        epochs=300, batch_size=256, optimizer="sgd", lr=1.0, lr_schedule="constant", rounds=142, interval=140
    ),
    # the decoder stays, its error too
    "idec": DEFAULT.replace(gamma=0.1, reconstruction=1.0, interval=140),
    "tiny": DEFAULT.replace(
        epochs=2, batch_size=16, hidden_dims=(32,), latent_dim=6, n_init=3, rounds=2, interval=4, tolerance=0.0
    ),
}
