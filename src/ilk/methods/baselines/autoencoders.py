"""Autoencoders as features: trained on the pixels, then K-means on their codes. The kinds differ in net and loss."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, final

import numpy as np
import numpy.typing as npt
from torch import nn

from ilk.methods import figures
from ilk.methods.assign.nearest_center import group_centers
from ilk.methods.assign.placer import Space
from ilk.methods.assign.rules import ByCenters, Groups, placed, umap_mixture
from ilk.methods.baselines.autoencoder_steps import Reconstructing, Switching, reconstructions, samples
from ilk.methods.baselines.autoencoders_settings import (
    AUTOENCODER,
    DECONVOLUTIONAL,
    DENOISING,
    SPARSE,
    SWWAE_,
    VARIATIONAL,
    PlainSettings,
)
from ilk.methods.baselines.trained import Trained
from ilk.methods.inputs.dataset import PixelDataset
from ilk.methods.training import Plan, Stage
from ilk.networks.autoencoders import (
    ConvolutionalAutoencoder,
    DenseAutoencoder,
    Shape,
    SwitchedAutoencoder,
    VariationalAutoencoder,
)

__all__ = ["SWWAE", "VAE", "Autoencoder", "Deconvolutional", "DenoisingAutoencoder", "SparseAutoencoder"]

Kept = dict[str, npt.NDArray[Any]]

_SIDE = 8  # the least that convolutions of stride 2 can take


class _Reconstructed(Trained):
    """Abstract: what all autoencoders do alike."""

    kind: ClassVar[str]
    """Of loss: a key of `ilk.methods.baselines.autoencoder_steps.LOSSES`."""

    stage: ClassVar[type[Reconstructing]] = Reconstructing

    least: ClassVar[int] = 1
    """Pixels a side that the network needs."""

    draws: ClassVar[bool] = False
    """Whether the decoder makes images of codes drawn from N(0, 1)."""

    def _sides(self, sides: tuple[int, int]) -> tuple[int, int]:
        return max(sides[0], self.least), max(sides[1], self.least)

    def _stages(self, network: nn.Module, dataset: PixelDataset, settings: Any) -> Sequence[Plan]:
        def make() -> Reconstructing:
            return self.stage(network, dataset, settings, self.kind, self.bf16_, self._seed())

        return [Plan("train", settings.epochs, make)]

    def _group(self, features: npt.NDArray[np.float16], stage: Stage, settings: Any) -> Groups:
        k, seed = int(self.n_clusters), self._seed()
        if isinstance(settings, PlainSettings) and settings.groups == "umap":
            space = Space.fit(features, 50, normalize=False)
            return umap_mixture(features, space, k, settings, min(settings.n_init, 3), seed)
        return placed(ByCenters(group_centers(features, k, settings.n_init, seed), False), features)

    def _pictures(self, dataset: PixelDataset, settings: Any) -> Kept:
        kept = reconstructions(self.network_, dataset)
        if self.draws:
            kept["samples"] = samples(self.network_, settings.latent_dim, self._seed(), dataset.device)
        return kept

    def figures(self) -> list[dict[str, Any]]:
        """Return some images beside what the network makes of them; samples where it can draw them."""
        rows = {"images": self.pictures_["images"], "reconstructed": self.pictures_["again"]}
        caption = "Above, images; below, what the network makes of their codes."
        found = [figures.image_rows("reconstructions", "Reconstructions", caption, rows)]
        if "samples" in self.pictures_:
            caption = "What the decoder makes of codes drawn from a standard normal distribution."
            found.append(figures.image_rows("samples", "Samples", caption, {"samples": self.pictures_["samples"]}))
        return found


@final
class Autoencoder(_Reconstructed):
    """K-means on the code of an autoencoder (AE): d – 500 – 500 – 2000 – 10 and back, squared error.

    Options and attributes: as all trained methods, see `ilk.methods.baselines.trained.Trained`.

    Notes
    -----
    ``preset="n2d"`` groups the codes by UMAP and a Gaussian mixture instead; ``preset="long"`` is a widespread schedule
    of 300 epochs. Cost: 9.6 million multiplications an image and epoch for 784 pixels (3.3 million
    weights, forward and backward).

    Fidelity: docs/methods/autoencoders-fidelity.md.

    References
    ----------
    Y. Bengio, P. Lamblin, D. Popovici, H. Larochelle, "Greedy Layer-Wise Training of Deep Networks", NIPS 2006.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> images = np.concatenate([rng.integers(0, 99, (20, 8, 8)), rng.integers(150, 255, (20, 8, 8))]).astype("u1")
    >>> np.bincount(Autoencoder(2, preset="tiny").fit(images).labels_).tolist()
    [20, 20]
    """

    presets: ClassVar = AUTOENCODER
    kind: ClassVar[str] = "squared"

    def _network(self, shape: Shape, settings: Any) -> nn.Module:
        return DenseAutoencoder(shape, settings.hidden_dims, settings.latent_dim)


@final
class SparseAutoencoder(_Reconstructed):
    """K-means on the code of a sparse autoencoder (SAE): the units of the last hidden layer are mostly silent.

    Loss: half the squared error of an image, plus β Σ KL(ρ ‖ ρ̂) over sigmoid units, plus weight decay.

    Options and attributes: as all trained methods, see `ilk.methods.baselines.trained.Trained`.

    Notes
    -----
    "SAE" means *sparse* here, as in the DAC paper's table; the DEC papers use the same letters for *stacked*.

    Fidelity: docs/methods/autoencoders-fidelity.md.

    References
    ----------
    A. Ng, "Sparse Autoencoder", CS294A Lecture Notes, Stanford University, 2011.
    """

    presets: ClassVar = SPARSE
    kind: ClassVar[str] = "sparse"

    def _network(self, shape: Shape, settings: Any) -> nn.Module:
        return DenseAutoencoder(shape, settings.hidden_dims, settings.latent_dim, sigmoid=True)


@final
class DenoisingAutoencoder(_Reconstructed):
    """K-means on the code of a denoising autoencoder (DAE): a fifth of the pixels is set to 0, the whole image wanted.

    Options and attributes: as all trained methods, see `ilk.methods.baselines.trained.Trained`.

    Notes
    -----
    Trained as a whole, not layer by layer. Fidelity: docs/methods/autoencoders-fidelity.md.

    References
    ----------
    P. Vincent, H. Larochelle, I. Lajoie, Y. Bengio, P.-A. Manzagol, "Stacked Denoising Autoencoders", JMLR 11, 2010.
    """

    presets: ClassVar = DENOISING
    kind: ClassVar[str] = "denoising"

    def _network(self, shape: Shape, settings: Any) -> nn.Module:
        return DenseAutoencoder(shape, settings.hidden_dims, settings.latent_dim)


@final
class Deconvolutional(_Reconstructed):
    """K-means on the code of a convolutional autoencoder: the stand-in for deconvolutional networks (DeCNN).

    The original finds, for every image, sparse maps that filters turn back into the image, by iterations and without an
    encoder. What runs here is an encoder of strided convolutions with a decoder of transposed ones.

    Options and attributes: as all trained methods, see `ilk.methods.baselines.trained.Trained`.

    Notes
    -----
    Fidelity: docs/methods/autoencoders-fidelity.md.

    References
    ----------
    M. Zeiler, D. Krishnan, G. Taylor, R. Fergus, "Deconvolutional Networks", CVPR 2010 (what it stands in for).
    X. Guo, E. Zhu, X. Liu, J. Yin, "Deep Embedded Clustering with Data Augmentation", ACML 2018 (the network).
    """

    presets: ClassVar = DECONVOLUTIONAL
    kind: ClassVar[str] = "squared"
    least: ClassVar[int] = _SIDE

    def _network(self, shape: Shape, settings: Any) -> nn.Module:
        return ConvolutionalAutoencoder(shape, settings.channels, settings.kernels, settings.latent_dim)


@final
class SWWAE(_Reconstructed):
    """K-means on what the levels of a stacked what-where autoencoder hold: pooling hands its positions to the decoder.

    Loss: squared error of the image plus that of every level between, weighted by ``middle``.

    Options and attributes: as all trained methods, see `ilk.methods.baselines.trained.Trained`.

    Notes
    -----
    Features: the values of every pooling ("what"), by their maxima at most 4 × 4 a map, each level's brought to length
    1; of all these ``code`` principal components. The top alone has little to say, as the positions ("where") carry
    most of an image past it.

    Fidelity: docs/methods/autoencoders-fidelity.md.

    References
    ----------
    J. Zhao, M. Mathieu, R. Goroshin, Y. LeCun, "Stacked What-Where Auto-encoders", ICLR Workshop 2016,
    arXiv:1506.02351.
    """

    presets: ClassVar = SWWAE_
    kind: ClassVar[str] = "switched"
    stage: ClassVar[type[Reconstructing]] = Switching
    least: ClassVar[int] = _SIDE

    def _network(self, shape: Shape, settings: Any) -> nn.Module:
        return SwitchedAutoencoder(shape, settings.channels, settings.pca_dim)


@final
class VAE(_Reconstructed):
    """K-means on the means of a variational autoencoder (AEVB): cross-entropy summed over pixels, plus the divergence.

    Options and attributes: as all trained methods, see `ilk.methods.baselines.trained.Trained`.

    Notes
    -----
    Fidelity: docs/methods/autoencoders-fidelity.md.

    References
    ----------
    D. P. Kingma, M. Welling, "Auto-Encoding Variational Bayes", ICLR 2014.
    """

    presets: ClassVar = VARIATIONAL
    kind: ClassVar[str] = "variational"
    draws: ClassVar[bool] = True

    def _network(self, shape: Shape, settings: Any) -> nn.Module:
        return VariationalAutoencoder(shape, settings.hidden_dims, settings.latent_dim)
