"""Settings that all methods of this package have which train a network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from ilk.methods.settings import Renamed, Settings, choice, number, whole, wholes

__all__ = ["LR_SCHEDULE", "AutoencoderSettings", "DenseSettings", "TrainedSettings"]


def _schedule(decays: Any) -> str:
    """Return what ``decay`` of before is called now."""
    return "cosine" if decays else "constant"


LR_SCHEDULE = Renamed("lr_schedule", _schedule)


@dataclass(frozen=True, kw_only=True)
class TrainedSettings(Settings):
    """Of every training on pixels."""

    image_size: int | None = whole(None, "side of the images in pixels", none="by the images")
    epochs: int = whole(20, "passes over all images")
    batch_size: int | None = whole(None, "images of a step", none="256, fewer where there are few images")


@dataclass(frozen=True, kw_only=True)
class AutoencoderSettings(TrainedSettings):
    """Of every training of an autoencoder, and of K-means on its codes."""

    renamed: ClassVar = {"decay": LR_SCHEDULE, "code": "latent_dim"}

    optimizer: str = choice("adam", "what follows the gradient; sgd has momentum .9", ("adam", "sgd"))
    lr: float = number(1e-3, "learning rate", 0, 10)
    lr_schedule: str = choice("cosine", "whether the rate falls to 0 along half a cosine", ("cosine", "constant"))
    n_init: int = whole(20, "starts of K-means on the codes; the one of least inertia is kept")


@dataclass(frozen=True, kw_only=True)
class DenseSettings(AutoencoderSettings):
    """Of an autoencoder of dense layers: the trunk of the DEC papers."""

    renamed: ClassVar = {**AutoencoderSettings.renamed, "widths": "hidden_dims"}

    hidden_dims: tuple[int, ...] = wholes((500, 500, 2000), "units of the hidden layers of the encoder")
    latent_dim: int = whole(10, "numbers in a code")
