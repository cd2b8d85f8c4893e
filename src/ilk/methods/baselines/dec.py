"""Deep embedded clustering: codes of an autoencoder, drawn towards centres by their own surest assignments."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, final

import numpy as np
import numpy.typing as npt
from torch import nn

from ilk.methods import checks, figures
from ilk.methods.assign.rules import Groups, SoftCenters, placed
from ilk.methods.baselines.autoencoder_steps import reconstructions
from ilk.methods.baselines.dec_presets import PRESETS
from ilk.methods.baselines.dec_steps import EDGES, CenteredAutoencoder, Embedding
from ilk.methods.baselines.trained import Trained
from ilk.methods.inputs.dataset import Pixels
from ilk.methods.training.epochs import Learner

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
        Soft assignments q. Training sharpens them: they are surer than they are right.
    history_ : list of dict
        A record per epoch of the autoencoder, then one per round: loss, share of images that changed their group, mean
        of the largest soft assignment, groups that have images.

    Notes
    -----
    Training ends when fewer than ``tolerance`` of all images change their group in a round. Cost for 784 pixels:
    9.6 million multiplications an image and epoch of the autoencoder; a round is ``interval`` steps without the
    decoder, and one pass over all images.

    Fidelity: docs/methods/dec.md.

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

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = PRESETS

    def _check(self, table: Mapping[str, Any]) -> None:
        checks.wholes(table, "n_init", "code", "rounds", "interval")
        checks.whole_list("widths", table["widths"])
        checks.choice("optimizer", table["optimizer"], ("adam", "sgd"))
        checks.flag("decay", table["decay"])
        most = {"lr": 10.0, "cluster_lr": 10.0, "corruption": 1.0, "tolerance": 1.0, "alpha": 1e3}
        for key, limit in {**most, "gamma": 1e6, "reconstruction": 1e6}.items():
            checks.number(key, table[key], limit, least=1e-6 if key == "alpha" else 0.0)

    def _sides(self, sides: tuple[int, int]) -> tuple[int, int]:
        return sides

    def _network(self, shape: tuple[int, int, int], table: Mapping[str, Any]) -> nn.Module:
        return CenteredAutoencoder(shape, list(table["widths"]), int(table["code"]), int(self.n_clusters))

    def _learner(self, network: nn.Module, pool: Pixels, table: Mapping[str, Any]) -> Learner:
        assert isinstance(network, CenteredAutoencoder)
        return Embedding(network, pool, table, int(self.n_clusters), self.half_, int(self.random_state))

    def _group(self, features: npt.NDArray[np.float16], learner: Learner, table: Mapping[str, Any]) -> Groups:
        points = self.network_.centers.detach().float().cpu().numpy()
        place = SoftCenters(np.ascontiguousarray(points), float(table["alpha"]))
        end = np.histogram(place(features).max(1), EDGES)[0] / len(features)
        return placed(place, features, pictures={"sharp_start": learner.memory["start"], "sharp_end": end})

    def _pictures(self, pool: Pixels, table: Mapping[str, Any]) -> dict[str, npt.NDArray[Any]]:
        return reconstructions(self.network_, pool) if table["reconstruction"] else {}

    def figures(self) -> list[dict[str, Any]]:
        """Return how sure the soft assignments are before and after; with a decoder, what it makes of images."""
        kept = self.pictures_
        found = figures.sharpness(EDGES, {"before clustering": kept["sharp_start"], "at the end": kept["sharp_end"]})
        if "images" in kept:
            rows = {"images": kept["images"], "reconstructed": kept["again"]}
            told = "Above, images; below, what the network makes of their codes."
            found.append(figures.image_rows("reconstructions", "Reconstructions", told, rows))
        return found
