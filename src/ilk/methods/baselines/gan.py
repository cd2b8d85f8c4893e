"""Generative adversarial networks as features: what the discriminator sees, and K-means on it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, final

import numpy as np
import numpy.typing as npt
from torch import nn

from ilk.methods import figures
from ilk.methods.assign.nearest_center import group_centers
from ilk.methods.assign.rules import ByCenters, Groups, placed
from ilk.methods.baselines.autoencoder_steps import samples
from ilk.methods.baselines.gan_settings import PRESETS, GANSettings
from ilk.methods.baselines.gan_steps import Adversarial
from ilk.methods.baselines.trained import Trained
from ilk.methods.inputs.dataset import PixelDataset
from ilk.methods.training import Plan, Stage
from ilk.networks.gan import Adversaries

__all__ = ["GAN"]


@final
class GAN(Trained):
    """K-means on the features of a DCGAN's discriminator.

    A generator learns to make images, a discriminator to distinguish them from real ones. The maps of all its
    convolutions, pooled to at most 4 × 4, side by side and of length 1, are an image's features; K-means groups their
    principal components.

    Options and attributes: as all trained methods, see `ilk.methods.baselines.trained.Trained`.

    Notes
    -----
    ``history_`` has the loss of the discriminator (loss; ln 2 = .69 where it cannot) and that of the generator.
    Sides are brought to the next multiple of 4, at least 8. After training, the discriminator's batch norms get the
    statistics of real images; `predict` uses the same. Cost for 28 × 28 pixels: about 20 million multiplications an
    image and epoch, 450 million with ``preset="paper"``.

    Fidelity: docs/methods/gan-fidelity.md.

    References
    ----------
    A. Radford, L. Metz, S. Chintala, "Unsupervised Representation Learning with Deep Convolutional Generative
    Adversarial Networks", ICLR 2016, arXiv:1511.06434.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> images = np.concatenate([rng.integers(0, 99, (20, 8, 8)), rng.integers(150, 255, (20, 8, 8))]).astype("u1")
    >>> GAN(2, preset="tiny").fit(images).labels_.shape
    (40,)
    """

    presets: ClassVar = PRESETS

    def _sides(self, sides: tuple[int, int]) -> tuple[int, int]:
        height, width = (max(8, -(-side // 4) * 4) for side in sides)
        return height, width

    def _network(self, shape: tuple[int, int, int], settings: GANSettings) -> nn.Module:
        return Adversaries(shape, settings.base_channels, settings.kernel, settings.noise_dim, settings.pca_dim)

    def _stages(self, network: nn.Module, dataset: PixelDataset, settings: GANSettings) -> Sequence[Plan]:
        assert isinstance(network, Adversaries)
        return [
            Plan("train", settings.epochs, lambda: Adversarial(network, dataset, settings, self.bf16_, self._seed()))
        ]

    def _group(self, features: npt.NDArray[np.float16], stage: Stage, settings: GANSettings) -> Groups:
        points = group_centers(features, int(self.n_clusters), settings.n_init, self._seed())
        return placed(ByCenters(points, False), features)

    def _pictures(self, dataset: PixelDataset, settings: GANSettings) -> dict[str, npt.NDArray[Any]]:
        network = self.network_.eval()
        drawn = samples(network, settings.noise_dim, self._seed(), dataset.device, uniform=True)
        network.train()
        return {"samples": drawn}

    def figures(self) -> list[dict[str, Any]]:
        """Return images that the generator makes."""
        caption = "What the generator makes of random vectors: how much it has understood."
        return [figures.image_rows("samples", "Samples", caption, {"samples": self.pictures_["samples"]})]
