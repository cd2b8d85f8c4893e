"""Joint unsupervised learning of representations and image clusters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, cast, final

import numpy as np
import numpy.typing as npt
from torch import nn

from ilk.methods import figures
from ilk.methods.assign.placer import Space
from ilk.methods.assign.rules import Groups, voted
from ilk.methods.baselines import jule_steps as steps
from ilk.methods.baselines.jule_settings import PRESETS, JULESettings
from ilk.methods.baselines.trained import Trained
from ilk.methods.inputs.dataset import PixelDataset
from ilk.methods.training import Plan, Stage
from ilk.networks.jule import JULENet

__all__ = ["JULE"]


@final
class JULE(Trained):
    """Joint unsupervised learning (JULE): groups are merged, a network learns to separate them, and so on.

    It begins with very many small groups, tied by nearest neighbours among the pixels. In each period the network is
    trained with triplets of the groups; then its codes make a sparse directed neighbour graph, on which nine in ten of
    the groups are merged away, by their affinity. When k groups would be left, all merges are made once more on the
    final codes.

    Options: as all trained methods, see `ilk.methods.baselines.trained.Trained`; ``epochs`` are those of each period.

    Attributes
    ----------
    history_ : list of dict
        A record per epoch: loss, groups, share of the largest, period.

    Notes
    -----
    Cost of a merge: its groups' edges, and the affinities of the groups around it; nothing is quadratic in the images.
    New images take the vote of their nearest neighbours among the codes.

    Fidelity: docs/methods/jule-fidelity.md.

    References
    ----------
    J. Yang, D. Parikh, D. Batra, "Joint Unsupervised Learning of Deep Representations and Image Clusters", CVPR 2016.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> images = np.concatenate([rng.integers(0, 99, (20, 8, 8)), rng.integers(150, 255, (20, 8, 8))]).astype("u1")
    >>> np.bincount(JULE(2, preset="tiny").fit(images).labels_).tolist()
    [20, 20]
    """

    presets: ClassVar = PRESETS

    def _network(self, shape: tuple[int, int, int], settings: JULESettings) -> nn.Module:
        return JULENet(shape, settings.channels, settings.latent_dim)

    def _stages(self, network: nn.Module, dataset: PixelDataset, settings: JULESettings) -> Sequence[Plan]:
        k = int(self.n_clusters)
        most = steps.Joint.most_epochs(settings, k, len(dataset))
        return [Plan("train", most, lambda: steps.Joint(network, dataset, settings, k, self.bf16_, self._seed()))]

    def _group(self, features: npt.NDArray[np.float16], stage: Stage, settings: JULESettings) -> Groups:
        k, joint = int(self.n_clusters), cast(steps.Joint, stage)
        rows = features.astype(np.float32) if settings.statistics == "running" else joint.rows()
        graph = steps.nearest(rows, settings.n_neighbors)
        start = steps.first_groups(graph[0], k, rows) if settings.rerun else joint.memory["labels"]
        linkage = steps.linkage_of(graph, start, settings)
        means = steps.Means(linkage, rows)
        while linkage.count > k:
            steps.merge_period(linkage, k, settings.rate, means)
        labels = steps.without_outliers(linkage, start, k, rows, settings.least)
        pictures = figures.kept_tree(steps.tree_of(linkage, means))
        space = Space.fit(features, settings.pca_dim, normalize=False)
        return voted(labels, k, space, settings.n_neighbors_vote, pictures=pictures)

    def figures(self) -> list[dict[str, Any]]:
        """Return the last merges as a tree; heights are the order of the merges."""
        return figures.tree(self.pictures_)
