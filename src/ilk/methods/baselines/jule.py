"""Joint unsupervised learning of representations and image clusters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, cast, final

import numpy as np
import numpy.typing as npt
from torch import nn

from ilk.methods import checks, figures
from ilk.methods.assign.placer import Space
from ilk.methods.assign.rules import Groups, voted
from ilk.methods.baselines import jule_steps as steps
from ilk.methods.baselines.jule_presets import PRESETS
from ilk.methods.baselines.trained import Trained
from ilk.methods.inputs.dataset import Pixels
from ilk.methods.training.epochs import Learner
from ilk.networks.jule import JULENet

__all__ = ["JULE"]


@final
class JULE(Trained):
    """Joint unsupervised learning (JULE): groups are merged, a network learns to tell them apart, and so on.

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

    Fidelity: docs/methods/jule.md.

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

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = PRESETS

    def _check(self, table: Mapping[str, Any]) -> None:
        checks.wholes(table, "batch_size", "code", "n_neighbors", "local", "negatives", "piece", "pca", "votes")
        checks.whole_list("channels", table["channels"])
        checks.flag("rerun", table["rerun"])
        for key, limit in {"lr": 10.0, "weight_decay": 1.0, "margin": 4.0, "weight": 1e3}.items():
            checks.number(key, table[key], limit)
        checks.number("rate", table["rate"], 0.99, least=0.01)
        checks.choice("statistics", table["statistics"], ("running", "batch"))
        checks.number("scale", table["scale"], 1e3, least=1e-3)
        checks.number("least", table["least"], 1.0)

    def _sides(self, sides: tuple[int, int]) -> tuple[int, int]:
        return sides

    def _network(self, shape: tuple[int, int, int], table: Mapping[str, Any]) -> nn.Module:
        return JULENet(shape, table["channels"], int(table["code"]))

    def _learner(self, network: nn.Module, pool: Pixels, table: Mapping[str, Any]) -> Learner:
        return steps.Joint(network, pool, table, int(self.n_clusters), self.half_, int(self.random_state))

    def _group(self, features: npt.NDArray[np.float16], learner: Learner, table: Mapping[str, Any]) -> Groups:
        k, joint = int(self.n_clusters), cast(steps.Joint, learner)
        rows = features.astype(np.float32) if table["statistics"] == "running" else joint.rows()
        graph = steps.nearest(rows, int(table["n_neighbors"]))
        start = steps.first_groups(graph[0], k, rows) if table["rerun"] else joint.memory["labels"]
        linkage = steps.linkage_of(graph, start, table)
        means = steps.Means(linkage, rows)
        while linkage.count > k:
            steps.merge_period(linkage, k, float(table["rate"]), means)
        labels = steps.without_outliers(linkage, start, k, rows, float(table["least"]))
        pictures = figures.kept_tree(steps.tree_of(linkage, means))
        space = Space.fit(features, int(table["pca"]), normalize=False)
        return voted(labels, k, space, int(table["votes"]), pictures=pictures)

    def _pictures(self, pool: Pixels, table: Mapping[str, Any]) -> dict[str, npt.NDArray[Any]]:
        return {}

    def figures(self) -> list[dict[str, Any]]:
        """Return the last merges as a tree; heights are the order of the merges."""
        return figures.tree(self.pictures_)
