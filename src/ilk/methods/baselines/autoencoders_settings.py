"""Settings and presets of the autoencoders in `ilk.methods.baselines.autoencoders`.

Nothing was published about how the DAC paper trained its autoencoders. "default" is ours, for minutes on a CPU.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from ilk.errors import ArgumentError
from ilk.methods.baselines.trained_settings import AutoencoderSettings, DenseSettings
from ilk.methods.pipeline import LayoutSettings
from ilk.methods.settings import choice, number, whole, wholes

__all__ = ["AUTOENCODER", "DECONVOLUTIONAL", "DENOISING", "SPARSE", "SWWAE_", "VARIATIONAL", "PlainSettings"]

# the schedule of DEC's Keras code, which many copied: no decay, 300 epochs
_LONG: dict[str, Any] = {
    "epochs": 300, "batch_size": 256, "optimizer": "sgd", "lr": 1.0, "lr_schedule": "constant",
}  # fmt: skip
_TINY: dict[str, Any] = {"epochs": 4, "batch_size": 16, "n_init": 3}
_TINY_DENSE: dict[str, Any] = {**_TINY, "hidden_dims": (32,), "latent_dim": 6}


@dataclass(frozen=True, kw_only=True)
class PlainSettings(DenseSettings, LayoutSettings):
    """Of `Autoencoder`; those of the layout count with groups=umap."""

    renamed: ClassVar = {**DenseSettings.renamed, "components": "umap_dim", "votes": "n_neighbors_vote"}

    groups: str = choice("kmeans", "how codes are grouped; umap is followed by a Gaussian mixture", ("kmeans", "umap"))


_PLAIN = PlainSettings()
AUTOENCODER = {
    "default": _PLAIN,
    "long": _PLAIN.replace(**_LONG),
    "n2d": _PLAIN.replace(groups="umap"),
    "tiny": _PLAIN.replace(**_TINY_DENSE),
}


@dataclass(frozen=True, kw_only=True)
class SparseSettings(DenseSettings):
    """Of `SparseAutoencoder`: on the widest layer of the common trunk."""

    latent_dim: Any = whole(10, "numbers in a code", none="the last hidden layer is the code")
    sparsity: float = number(0.01, "weight of the divergence from `target`", 0, 1e6)
    target: float = number(0.05, "mean activation that units are drawn to", 0.001, 0.999)
    weight_decay: float = number(1e-5, "weight of half the sum of squared weights", 0, 1)


_SPARSE = SparseSettings()
SPARSE = {
    "default": _SPARSE,
    # one hidden layer of sigmoid units, which is the code, as in Ng's lecture notes; optimizer and width are ours
    "notes": _SPARSE.replace(hidden_dims=(500,), latent_dim=None, sparsity=3.0, weight_decay=1e-4),
    "tiny": _SPARSE.replace(**_TINY_DENSE),
}


@dataclass(frozen=True, kw_only=True)
class DenoisingSettings(DenseSettings):
    """Of `DenoisingAutoencoder`."""

    corruption: float = number(0.2, "share of pixels that are set to 0", 0, 1)


_DENOISING = DenoisingSettings()
DENOISING = {
    "default": _DENOISING,
    "long": _DENOISING.replace(**_LONG),
    "tiny": _DENOISING.replace(**_TINY_DENSE),
}


@dataclass(frozen=True, kw_only=True)
class ConvolutionalSettings(AutoencoderSettings):
    """Of `Deconvolutional`."""

    epochs: int = whole(8, "passes over all images")
    channels: tuple[int, ...] = wholes((32, 64, 128), "maps of the convolutions")
    kernels: tuple[int, ...] = wholes((5, 5, 3), "side of their filters, odd")
    latent_dim: int = whole(10, "numbers in a code")

    def check(self) -> None:
        """Raise `ArgumentError` unless every convolution has a filter of an odd side."""
        if len(self.kernels) != len(self.channels):
            asked = f"give as many as channels={list(self.channels)}"
            raise ArgumentError(f"kernels={list(self.kernels)}: {asked}.")
        if any(kernel % 2 == 0 for kernel in self.kernels):
            raise ArgumentError(f"kernels={list(self.kernels)}: give odd numbers, such as kernels=5,5,3.")


_CONVOLUTIONAL = ConvolutionalSettings()
DECONVOLUTIONAL = {
    "default": _CONVOLUTIONAL,
    "tiny": _CONVOLUTIONAL.replace(**_TINY, channels=(8, 8), kernels=(3, 3), latent_dim=6),
}


@dataclass(frozen=True, kw_only=True)
class SwitchedSettings(AutoencoderSettings):
    """Of `SWWAE`."""

    renamed: ClassVar = {**AutoencoderSettings.renamed, "code": "pca_dim"}

    epochs: int = whole(8, "passes over all images")
    channels: tuple[int, ...] = wholes((16, 32, 64, 128), "maps of the levels")
    middle: float = number(0.1, "weight of the losses between the levels", 0, 1e6)
    pca_dim: int = whole(64, "principal components of what all levels hold")


_SWITCHED = SwitchedSettings()
SWWAE_ = {
    "default": _SWITCHED,
    "pixels": _SWITCHED.replace(middle=0.0),
    "tiny": _SWITCHED.replace(**_TINY, channels=(16, 32, 64), pca_dim=8),
}


@dataclass(frozen=True, kw_only=True)
class VariationalSettings(DenseSettings):
    """Of `VAE`."""

    beta: float = number(1.0, "weight of the divergence; 1 is the bound itself", 0, 1e6)


_VARIATIONAL = VariationalSettings()
VARIATIONAL = {"default": _VARIATIONAL, "tiny": _VARIATIONAL.replace(**_TINY_DENSE)}
