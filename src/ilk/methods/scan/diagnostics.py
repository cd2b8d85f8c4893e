"""What can be seen of SCAN without labels: losses of heads, agreement of neighbours, collapse; and its pictures."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from ilk import metrics
from ilk.methods.inputs.views import Views
from ilk.networks.scan import Heads

__all__ = ["Judge", "Judged", "alarm", "altered_samples", "anchors_of", "figures", "probabilities"]

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]

_ANCHORS = 5_000  # images by which heads are compared
_ROWS, _SHOWN = 8, 8  # of pictures
_BLOCK = 1024


def anchors_of(n: int, seed: int) -> Tensor:
    """Return the rows by which heads are compared: up to 5,000, always the same, sorted."""
    return torch.from_numpy(np.sort(np.random.default_rng(seed).permutation(n)[:_ANCHORS]))


class Judged:
    """What the heads are like on the anchors: losses (h,), and groups and figures of one head."""

    def __init__(self, losses: Floats, mine: Tensor, others: Tensor, threshold: float) -> None:
        self.losses = losses
        self.best = int(np.argmin(losses))
        self._mine, self._others = mine, others  # logits of the best head: of anchors, of their neighbours
        self._threshold = threshold

    @torch.no_grad()
    def told(self, before: Ints | None) -> tuple[Ints, dict[str, Any]]:
        """Return the groups of the anchors by the best head, and what can be said of them.

        Returns
        -------
        dict
            ``head_loss`` and ``head_spread``: least loss of a head, and the greatest less the least; ``active`` groups,
            share of the ``largest``; ``balance``: entropy of the sizes / log k; ``neighbors``: share of neighbours in
            the anchor's group; ``confidence``: mean highest probability, ``sure``: share above the threshold;
            ``agreement``: adjusted Rand index with the groups `before`.
        """
        mine, others = self._mine, self._others
        surest, found = functional.softmax(mine, 1).max(1)
        k = mine.shape[1]
        groups = found.cpu().numpy()
        share = np.bincount(groups, minlength=k) / max(len(groups), 1)
        used = share[share > 0]
        told = {
            "head_loss": round(float(self.losses.min()), 4),
            "head_spread": round(float(self.losses.max() - self.losses.min()), 4),
            "active": int((share > 0).sum()),
            "largest": round(float(share.max()), 4),
            "balance": round(float(-(used * np.log(used)).sum() / np.log(k)), 4),
            "neighbors": round(float((others.argmax(2) == found[:, None]).float().mean()), 4),
            "confidence": round(float(surest.mean()), 4),
            "sure": round(float((surest > self._threshold).float().mean()), 4),
        }
        if before is not None:
            told["agreement"] = round(float(metrics.agreement(before, groups)["ari"]), 4)
        return groups, told


class Judge:
    """Compares heads by their own loss, always on the same images and all of their neighbours.

    Parameters
    ----------
    nearest : Tensor (n, m) int64
    table : mapping
    seed : int
    """

    def __init__(self, nearest: Tensor, table: Mapping[str, Any], seed: int) -> None:
        self.anchors = anchors_of(len(nearest), seed)
        around = nearest[self.anchors]
        self.rows, at = torch.unique(torch.cat([self.anchors[:, None], around], 1), return_inverse=True)
        self.at, self.around = at[:, 0], at[:, 1:]
        self.weight = float(table["select_weight"])
        self.as_logit = bool(table["bce_on_prob_as_logit"])
        self.threshold = float(table["threshold"])

    @torch.no_grad()
    def __call__(self, heads: Heads, features: Tensor) -> Judged:
        """Judge all heads by the features (r, d) of the images `rows`."""
        place = heads.linear.weight.device
        rows = heads.prepared(features.to(place))
        at, around = self.at.to(place), self.around.to(place)
        k = heads.n_clusters

        def logits(head: int) -> Tensor:
            part = slice(head * k, (head + 1) * k)
            return functional.linear(rows, heads.linear.weight[part], heads.linear.bias[part])

        each = [self._loss(logits(head)) for head in range(heads.count)]
        best = logits(int(np.argmin(each)))
        return Judged(np.asarray(each, np.float32), best[at], best[around], self.threshold)

    def _loss(self, logits: Tensor) -> float:
        """Return the loss of one head by the logits (r, k) of the images `rows`: as `losses.neighbor_loss`, but faster.

        Every image is the neighbour of many: probabilities are made once, and similarities in one product. These are
        no logarithms, so a pair counts 87.5 at most (a similarity of 1e-38), where that loss goes up to 100.
        """
        p = logits.softmax(1)
        mine, others = p[self.at.to(p.device)], p[self.around.to(p.device)]
        similarity = torch.bmm(others, mine[:, :, None])[:, :, 0]
        pairs = functional.softplus(-similarity) if self.as_logit else -similarity.clamp(min=1e-38).log()
        mean = mine.mean(0).clamp(min=1e-8)
        return float(pairs.mean() + self.weight * (mean * mean.log()).sum())


@torch.no_grad()
def probabilities(heads: Heads, features: npt.NDArray[Any]) -> Floats:
    """Return (m, k) float32 of features (m, d) by the one head that is left, in blocks of one size."""
    place = heads.linear.weight.device
    found = np.zeros((len(features), heads.n_clusters), np.float32)
    for start in range(0, len(features), _BLOCK):
        part = np.asarray(features[start : start + _BLOCK], np.float32)
        full = np.zeros((_BLOCK, features.shape[1]), np.float32)
        full[: len(part)] = part
        logits = heads(torch.from_numpy(full).to(place))[:, 0]
        found[start : start + len(part)] = functional.softmax(logits, 1).cpu().numpy()[: len(part)]
    return found


def alarm(record: Mapping[str, Any], k: int, batch: int) -> str | None:
    """Return what is wrong after an epoch of the clustering and what to do about it, or None.

    Examples
    --------
    >>> told = {"active": 1, "balance": 0.0, "neighbors": 1.0, "sure": 0.0}
    >>> alarm(told, 3, 128).split(".")[0]
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


# -- pictures ----------------------------------------------------------------------------------------------------------


def altered_samples(views: Views, table: Mapping[str, Any], seed: int) -> list[dict[str, Any]]:
    """Return rows of pictures: an image, and what the network is shown in its place."""
    rows = torch.from_numpy(np.random.default_rng(seed).permutation(len(views))[:_ROWS])
    noise = torch.Generator(views.device).manual_seed(seed)
    kinds = ["pretext", "strong"] if table["cluster_augment"] == "strong" or table["selflabel_epochs"] else ["pretext"]
    shown = []
    for kind in kinds:
        for row in rows[: _ROWS // len(kinds)]:
            many = row.repeat(_SHOWN - 1)
            strong = kind == "strong"
            changed = views.strong(many, int(table["cutout"]), noise) if strong else views.altered(many, table, noise)
            copies = torch.cat([views.read(row[None]), changed])
            shown.append({"title": f"{kind}: image, and altered copies", "images": _bytes(views, copies)})
    return shown


def _bytes(views: Views, images: Tensor) -> npt.NDArray[np.uint8]:
    """Return uint8 (b, h, w) or (b, h, w, 3) of what the network is shown."""
    unit = (images * views.std + views.mean).clamp(0, 1)
    pixels = (unit * 255).round().to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()
    return np.ascontiguousarray(pixels[..., 0] if pixels.shape[3] == 1 else pixels)


def figures(
    samples: list[dict[str, Any]],
    thumbs: Callable[[Ints], npt.NDArray[np.uint8]],
    nearest: Ints,
    labels: Ints,
    confidence: Floats,
    k: int,
    seed: int,
) -> list[dict[str, Any]]:
    """Return the pictures as plain data.

    Parameters
    ----------
    samples
        What `altered_samples` returned; may be empty.
    thumbs : callable
        Distinct images (m,) -> uint8 (m, 48, 48, 3).
    nearest : (n, m)
    labels, confidence : (n,)
        Of the distinct images.
    """
    found = []
    if samples:
        found.append(
            {
                "name": "altered",
                "title": "Altered images",
                "caption": "First an image, then copies of it as the network is shown them. The contrast teaches it "
                "that copies belong together.",
                "kind": "images",
                "rows": samples,
            }
        )
    anchors = np.random.default_rng(seed).permutation(len(nearest))[:_ROWS]
    rows = [np.concatenate([[anchor], nearest[anchor][nearest[anchor] != anchor][:_SHOWN]]) for anchor in anchors]
    found.append(
        {
            "name": "neighbors",
            "title": "Nearest neighbours",
            "caption": "Images drawn at random, each before its nearest neighbours in the learnt representation. The "
            "clustering puts a row into one group: where rows are mixed, groups will be.",
            "kind": "images",
            "rows": [{"title": f"group {labels[row[0]]}", "images": thumbs(row)} for row in rows],
        }
    )
    prototypes = []
    for group in range(min(k, 60)):
        mine = np.flatnonzero(labels == group)
        if len(mine):
            best = mine[np.argsort(-confidence[mine], kind="stable")[:_SHOWN]]
            prototypes.append({"title": f"group {group}", "images": thumbs(best)})
    found.append(
        {
            "name": "prototypes",
            "title": "Prototypes",
            "caption": "The images of each group that the network is surest of.",
            "kind": "images",
            "rows": prototypes,
        }
    )
    return found
