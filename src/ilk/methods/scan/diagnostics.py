"""What can be seen of SCAN without labels: losses of heads, agreement of neighbours, collapse."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from ilk import metrics
from ilk.methods.scan.settings import SCANSettings
from ilk.networks.scan import Heads

__all__ = ["Evaluation", "Evaluator", "alarm", "anchors_of"]

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]

_ANCHORS = 5_000  # images by which heads are compared


def anchors_of(n: int, seed: int) -> Tensor:
    """Return the rows by which heads are compared: up to 5,000, always the same, sorted."""
    return torch.from_numpy(np.sort(np.random.default_rng(seed).permutation(n)[:_ANCHORS]))


class Evaluation:
    """What the heads are like on the anchors: losses (h,), and groups and figures of the best head."""

    def __init__(self, losses: Floats, anchors: Tensor, neighbors: Tensor, threshold: float) -> None:
        self.losses = losses
        self.best = int(np.argmin(losses))
        self._anchors, self._neighbors = anchors, neighbors  # logits of the best head
        self._threshold = threshold

    @torch.no_grad()
    def summary(self, before: Ints | None) -> tuple[Ints, dict[str, Any]]:
        """Return the groups of the anchors by the best head, and what can be said of them.

        Returns
        -------
        dict
            ``head_loss`` and ``head_spread``: least loss of a head, and the greatest less the least; ``active`` groups,
            share of the ``largest``; ``balance``: entropy of the sizes / log k; ``neighbors``: share of neighbours in
            the anchor's group; ``confidence``: mean highest probability, ``confident``: share above the threshold;
            ``agreement``: adjusted Rand index with the groups `before`.
        """
        highest, found = functional.softmax(self._anchors, 1).max(1)
        k = self._anchors.shape[1]
        groups = found.cpu().numpy()
        share = np.bincount(groups, minlength=k) / max(len(groups), 1)
        used = share[share > 0]
        record = {
            "head_loss": round(float(self.losses.min()), 4),
            "head_spread": round(float(self.losses.max() - self.losses.min()), 4),
            "active": int((share > 0).sum()),
            "largest": round(float(share.max()), 4),
            "balance": round(float(-(used * np.log(used)).sum() / np.log(k)), 4),
            "neighbors": round(float((self._neighbors.argmax(2) == found[:, None]).float().mean()), 4),
            "confidence": round(float(highest.mean()), 4),
            "confident": round(float((highest > self._threshold).float().mean()), 4),
        }
        if before is not None:
            record["agreement"] = round(float(metrics.agreement(before, groups)["ari"]), 4)
        return groups, record


class Evaluator:
    """Compares heads by their own loss, always on the same images and all of their neighbours.

    Parameters
    ----------
    nearest : Tensor (n, m) int64
    settings : SCANSettings
    seed : int
    """

    def __init__(self, nearest: Tensor, settings: SCANSettings, seed: int) -> None:
        anchors = anchors_of(len(nearest), seed)
        self.rows, at = torch.unique(torch.cat([anchors[:, None], nearest[anchors]], 1), return_inverse=True)
        self.at, self.around = at[:, 0], at[:, 1:]
        self.settings = settings

    @torch.no_grad()
    def __call__(self, heads: Heads, features: Tensor) -> Evaluation:
        """Compare all heads by the features (r, d) of the images `rows`."""
        device = heads.linear.weight.device
        rows = heads.prepared(features.to(device))
        at, around = self.at.to(device), self.around.to(device)
        k = heads.n_clusters

        def logits(head: int) -> Tensor:
            part = slice(head * k, (head + 1) * k)
            return functional.linear(rows, heads.linear.weight[part], heads.linear.bias[part])

        losses = np.asarray(
            [self._loss(logits(head).softmax(1), at, around) for head in range(heads.count)], np.float32
        )
        best = logits(int(np.argmin(losses)))
        return Evaluation(losses, best[at], best[around], self.settings.confidence_threshold)

    def _loss(self, p: Tensor, at: Tensor, around: Tensor) -> float:
        """Return the loss of one head by its probabilities (r, k): as `losses.neighbor_loss`, but faster.

        Every image is the neighbour of many: probabilities are made once, and similarities in one product. These are
        no logarithms, so a pair counts 87.5 at most (a similarity of 1e-38), where that loss goes up to 100.
        """
        anchors = p[at]
        similarity = torch.bmm(p[around], anchors[:, :, None])[:, :, 0]
        as_logit = self.settings.bce_on_prob_as_logit
        pairs = functional.softplus(-similarity) if as_logit else -similarity.clamp(min=1e-38).log()
        mean = anchors.mean(0).clamp(min=1e-8)
        return float(pairs.mean() + self.settings.select_weight * (mean * mean.log()).sum())


def alarm(record: Mapping[str, Any], k: int, batch: int) -> str | None:
    """Return what is wrong after an epoch of the clustering and what to do about it, or None.

    Examples
    --------
    >>> alarm({"active": 1, "neighbors": 1.0}, 3, 128).split(".")[0]
    'all images are in one group: the training collapsed'
    """
    active = int(record["active"])
    cure = "a higher entropy_weight, larger batches (cluster_batch=), another --seed, or more heads (n_heads=)"
    if active == 1:
        return f"all images are in one group: the training collapsed. Try {cure}"
    if active < k:
        return f"only {active} of {k} groups have images. Try {cure}, or fewer groups (-k)"
    if batch < 4 * k:
        return (
            f"batches of {batch} images for {k} groups say little of how even the groups are: "
            f"raise cluster_batch to {8 * k} or more"
        )
    if float(record["neighbors"]) < 0.1 + 0.9 / k:
        return (
            "an image and its neighbours fall into different groups, as chance would have it: the representation has "
            "no neighbourhoods to adopt. Train it longer (pretext_epochs=), or use a frozen encoder (preset=frozen)"
        )
    return None
