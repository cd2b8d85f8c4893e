"""Deep embedded clustering: codes of an autoencoder, drawn towards centres by their own most confident assignments."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, final

import numpy as np
import numpy.typing as npt
from torch import nn

from ilk.methods import figures
from ilk.methods.assign.rules import Groups, SoftCenters, placed
from ilk.methods.baselines.autoencoder_steps import reconstructions
from ilk.methods.baselines.dec_settings import PRESETS, DECSettings
from ilk.methods.baselines.dec_steps import EDGES, CenteredAutoencoder, Embedding, Pretraining
from ilk.methods.baselines.trained import Trained
from ilk.methods.inputs.dataset import PixelDataset
from ilk.methods.training import Plan, Stage

__all__ = ["DEC"]


@final
class DEC(Trained):
    """Deep embedded clustering (DEC), and with the decoder kept, its improved form (IDEC).

    An autoencoder is trained; K-means on its codes gives centres. Then, round by round: the soft assignments q of all
    images to the centres (Student's t kernel), a sharper target p ∝ q² / Σ q, and some steps that bring q to p.

    Options: as all trained methods, see `ilk.methods.baselines.trained.Trained`; ``epochs`` are those of the
    autoencoder.

    Attributes
    ----------
    probabilities_ : (n, k) float32
        Soft assignments q. Training sharpens them: they are more confident than right.
    history_ : list of dict
        A record per epoch of the autoencoder, then one per round: loss, share of images that changed their group, mean
        of the largest soft assignment, groups that have images.

    Notes
    -----
    Training ends when fewer than ``tolerance`` of all images change their group in a round. Cost for 784 pixels:
    9.6 million multiplications an image and epoch of the autoencoder; a round is ``interval`` steps without the
    decoder, and one pass over all images.

    Fidelity: docs/methods/dec-fidelity.md.

    References
    ----------
    J. Xie, R. Girshick, A. Farhadi, "Unsupervised Deep Embedding for Clustering Analysis", ICML 2016.
    X. Guo, L. Gao, X. Liu, J. Yin, "Improved Deep Embedded Clustering with Local Structure Preservation", IJCAI 2017.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> images = np.concatenate([rng.integers(0, 99, (20, 8, 8)), rng.integers(150, 255, (20, 8, 8))]).astype("u1")
    >>> np.bincount(DEC(2, preset="tiny").fit(images).labels_).tolist()
    [20, 20]
    """

    presets: ClassVar = PRESETS

    def _network(self, shape: tuple[int, int, int], settings: DECSettings) -> nn.Module:
        return CenteredAutoencoder(shape, settings.hidden_dims, settings.latent_dim, int(self.n_clusters))

    def _stages(self, network: nn.Module, dataset: PixelDataset, settings: DECSettings) -> Sequence[Plan]:
        kind = "denoising" if settings.corruption else "squared"
        first = Pretraining(network, dataset, settings, kind, self.bf16_, self._seed())
        return [
            Plan("train", settings.epochs, lambda: first),
            Plan("train", settings.rounds, lambda: Embedding(first, int(self.n_clusters), self._seed())),
        ]

    def _group(self, features: npt.NDArray[np.float16], stage: Stage, settings: DECSettings) -> Groups:
        points = self.network_.centers.detach().float().cpu().numpy()
        assigner = SoftCenters(np.ascontiguousarray(points), settings.t_dof)
        end = np.histogram(assigner(features).max(1), EDGES)[0] / len(features)
        return placed(assigner, features, pictures={"sharp_start": stage.memory["start"], "sharp_end": end})

    def _pictures(self, dataset: PixelDataset, settings: DECSettings) -> dict[str, npt.NDArray[Any]]:
        return reconstructions(self.network_, dataset) if settings.reconstruction else {}

    def figures(self) -> list[dict[str, Any]]:
        """Return how confident the soft assignments are before and after; with a decoder, what it makes of images."""
        kept = self.pictures_
        found = figures.sharpness(EDGES, {"before clustering": kept["sharp_start"], "at the end": kept["sharp_end"]})
        if "images" in kept:
            rows = {"images": kept["images"], "reconstructed": kept["again"]}
            caption = "Above, images; below, what the network makes of their codes."
            found.append(figures.image_rows("reconstructions", "Reconstructions", caption, rows))
        return found
