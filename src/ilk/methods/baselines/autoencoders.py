"""Autoencoders as features: trained on the pixels, then K-means on their codes. The kinds differ in net and loss."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, final

import numpy as np
import numpy.typing as npt
from torch import nn

from ilk.errors import ArgumentError
from ilk.methods import checks, figures
from ilk.methods.assign.nearest_center import group_centers
from ilk.methods.assign.placer import Space
from ilk.methods.assign.rules import ByCenters, Groups, placed, umap_mixture
from ilk.methods.baselines.autoencoder_steps import Reconstructing, Switching, reconstructions, samples
from ilk.methods.baselines.autoencoders_presets import (
    AUTOENCODER,
    DECONVOLUTIONAL,
    DENOISING,
    SPARSE,
    SWWAE_,
    VARIATIONAL,
)
from ilk.methods.baselines.trained import Trained
from ilk.methods.inputs.dataset import Pixels
from ilk.methods.training.epochs import Learner
from ilk.networks.autoencoders import (
    ConvolutionalAutoencoder,
    DenseAutoencoder,
    Shape,
    SwitchedAutoencoder,
    VariationalAutoencoder,
)

__all__ = ["SWWAE", "VAE", "Autoencoder", "Deconvolutional", "DenoisingAutoencoder", "SparseAutoencoder"]

Presets = Mapping[str, Mapping[str, Any]]
Kept = dict[str, npt.NDArray[Any]]

_SIDE = 8  # the least that convolutions of stride 2 can take


class _Reconstructed(Trained):
    """Abstract: what all autoencoders do alike."""

    loss: ClassVar[str]
    """Key of `ilk.methods.baselines.autoencoder_steps.LOSSES`."""

    least: ClassVar[int] = 1
    """Pixels a side that the network needs."""

    draws: ClassVar[bool] = False
    """Whether the decoder makes images of codes drawn from N(0, 1)."""

    def _check(self, table: Mapping[str, Any]) -> None:
        checks.wholes(table, "n_init", *({"votes", "components", "n_neighbors"} & set(table)))
        checks.choice("optimizer", table["optimizer"], ("adam", "sgd"))
        checks.flag("decay", table["decay"])
        checks.whole("code", table.get("code"), optional=self.loss == "sparse" or "code" not in table)
        for key in {"widths", "channels", "kernels"} & set(table):
            checks.whole_list(key, table[key])
        if "kernels" in table and len(table["kernels"]) != len(table["channels"]):
            checks.choice("kernels", table["kernels"], [f"as many as channels={table['channels']}"])
        if any(kernel % 2 == 0 for kernel in table.get("kernels", ())):
            raise ArgumentError(f"kernels={table['kernels']!r}: give odd numbers, such as kernels=5,5,3.")
        most = {"lr": 10.0, "corruption": 1.0, "sparsity": 1e6, "weight_decay": 1.0, "middle": 1e6, "beta": 1e6}
        for key in most.keys() & table.keys():
            checks.number(key, table[key], most[key])
        if "target" in table:
            checks.number("target", table["target"], 0.999, least=0.001)
        if "groups" in table:
            checks.choice("groups", table["groups"], ("kmeans", "umap"))
            checks.choice("reducer", table["reducer"], ("umap", "pca"))
            checks.number("min_dist", table["min_dist"], 1.0)
            checks.whole("umap_epochs", table["umap_epochs"], optional=True)

    def _sides(self, sides: tuple[int, int]) -> tuple[int, int]:
        return max(sides[0], self.least), max(sides[1], self.least)

    def _learner(self, network: nn.Module, pool: Pixels, table: Mapping[str, Any]) -> Learner:
        return Reconstructing(network, pool, table, self.loss, self.half_, self.random_state)

    def _group(self, features: npt.NDArray[np.float16], learner: Learner, table: Mapping[str, Any]) -> Groups:
        if table.get("groups") == "umap":
            space = Space.fit(features, 50, normalize=False)
            inner = {**table, "epochs": table["umap_epochs"], "n_init": min(int(table["n_init"]), 3)}
            return umap_mixture(features, space, int(self.n_clusters), inner, self.random_state)
        points = group_centers(features, int(self.n_clusters), table["n_init"], self.random_state)
        return placed(ByCenters(points, False), features)

    def _pictures(self, pool: Pixels, table: Mapping[str, Any]) -> Kept:
        kept = reconstructions(self.network_, pool)
        if self.draws:
            kept["samples"] = samples(self.network_, int(table["code"]), self.random_state, pool.device)
        return kept

    def figures(self) -> list[dict[str, Any]]:
        """Return some images beside what the network makes of them; samples where it can draw them."""
        rows = {"images": self.pictures_["images"], "reconstructed": self.pictures_["again"]}
        told = "Above, images; below, what the network makes of their codes."
        found = [figures.image_rows("reconstructions", "Reconstructions", told, rows)]
        if "samples" in self.pictures_:
            told = "What the decoder makes of codes drawn from a standard normal distribution."
            found.append(figures.image_rows("samples", "Samples", told, {"samples": self.pictures_["samples"]}))
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

    Fidelity: docs/methods/autoencoders.md.

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

    presets: ClassVar[Presets] = AUTOENCODER
    loss: ClassVar[str] = "squared"

    def _network(self, shape: Shape, table: Mapping[str, Any]) -> nn.Module:
        return DenseAutoencoder(shape, table["widths"], table["code"])


@final
class SparseAutoencoder(_Reconstructed):
    """K-means on the code of a sparse autoencoder (SAE): the units of the last hidden layer are mostly silent.

    Loss: half the squared error of an image, plus β Σ KL(ρ ‖ ρ̂) over sigmoid units, plus weight decay.

    Options and attributes: as all trained methods, see `ilk.methods.baselines.trained.Trained`.

    Notes
    -----
    "SAE" means *sparse* here, as in the DAC paper's table; the DEC papers use the same letters for *stacked*.

    Fidelity: docs/methods/autoencoders.md.

    References
    ----------
    A. Ng, "Sparse Autoencoder", CS294A Lecture Notes, Stanford University, 2011.
    """

    presets: ClassVar[Presets] = SPARSE
    loss: ClassVar[str] = "sparse"

    def _network(self, shape: Shape, table: Mapping[str, Any]) -> nn.Module:
        return DenseAutoencoder(shape, table["widths"], table["code"], sigmoid=True)


@final
class DenoisingAutoencoder(_Reconstructed):
    """K-means on the code of a denoising autoencoder (DAE): a fifth of the pixels is set to 0, the whole image wanted.

    Options and attributes: as all trained methods, see `ilk.methods.baselines.trained.Trained`.

    Notes
    -----
    Trained as a whole, not layer by layer. Fidelity: docs/methods/autoencoders.md.

    References
    ----------
    P. Vincent, H. Larochelle, I. Lajoie, Y. Bengio, P.-A. Manzagol, "Stacked Denoising Autoencoders", JMLR 11, 2010.
    """

    presets: ClassVar[Presets] = DENOISING
    loss: ClassVar[str] = "denoising"

    def _network(self, shape: Shape, table: Mapping[str, Any]) -> nn.Module:
        return DenseAutoencoder(shape, table["widths"], table["code"])


@final
class Deconvolutional(_Reconstructed):
    """K-means on the code of a convolutional autoencoder: the stand-in for deconvolutional networks (DeCNN).

    The original finds, for every image, sparse maps that filters turn back into the image, by iterations and without an
    encoder. What runs here is an encoder of strided convolutions with a decoder of transposed ones.

    Options and attributes: as all trained methods, see `ilk.methods.baselines.trained.Trained`.

    Notes
    -----
    Fidelity: docs/methods/autoencoders.md.

    References
    ----------
    M. Zeiler, D. Krishnan, G. Taylor, R. Fergus, "Deconvolutional Networks", CVPR 2010 (what it stands in for).
    X. Guo, E. Zhu, X. Liu, J. Yin, "Deep Embedded Clustering with Data Augmentation", ACML 2018 (the network).
    """

    presets: ClassVar[Presets] = DECONVOLUTIONAL
    loss: ClassVar[str] = "squared"
    least: ClassVar[int] = _SIDE

    def _network(self, shape: Shape, table: Mapping[str, Any]) -> nn.Module:
        return ConvolutionalAutoencoder(shape, table["channels"], table["kernels"], table["code"])


@final
class SWWAE(_Reconstructed):
    """K-means on what the levels of a stacked what-where autoencoder hold: pooling hands its places to the decoder.

    Loss: squared error of the image plus that of every level between, weighted by ``middle``.

    Options and attributes: as all trained methods, see `ilk.methods.baselines.trained.Trained`.

    Notes
    -----
    Features: the values of every pooling ("what"), by their maxima at most 4 × 4 a map, each level's brought to length
    1; of all these ``code`` principal components. The top alone has little to say, as the places ("where") carry most
    of an image past it.

    Fidelity: docs/methods/autoencoders.md.

    References
    ----------
    J. Zhao, M. Mathieu, R. Goroshin, Y. LeCun, "Stacked What-Where Auto-encoders", ICLR Workshop 2016,
    arXiv:1506.02351.
    """

    presets: ClassVar[Presets] = SWWAE_
    loss: ClassVar[str] = "switched"
    least: ClassVar[int] = _SIDE

    def _network(self, shape: Shape, table: Mapping[str, Any]) -> nn.Module:
        return SwitchedAutoencoder(shape, table["channels"], table["code"])

    def _learner(self, network: nn.Module, pool: Pixels, table: Mapping[str, Any]) -> Learner:
        return Switching(network, pool, table, self.loss, self.half_, self.random_state)


@final
class VAE(_Reconstructed):
    """K-means on the means of a variational autoencoder (AEVB): cross-entropy summed over pixels, plus the divergence.

    Options and attributes: as all trained methods, see `ilk.methods.baselines.trained.Trained`.

    Notes
    -----
    Fidelity: docs/methods/autoencoders.md.

    References
    ----------
    D. P. Kingma, M. Welling, "Auto-Encoding Variational Bayes", ICLR 2014.
    """

    presets: ClassVar[Presets] = VARIATIONAL
    loss: ClassVar[str] = "variational"
    draws: ClassVar[bool] = True

    def _network(self, shape: Shape, table: Mapping[str, Any]) -> nn.Module:
        return VariationalAutoencoder(shape, table["widths"], table["code"])
