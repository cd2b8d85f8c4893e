"""What can be seen of DAC without labels: groups in use, agreement, collapse, the best of several trainings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from ilk import losses, metrics
from ilk.methods.dac.settings import DACSettings

__all__ = [
    "alarm",
    "best",
    "corners",
    "entries",
    "figures",
    "joined",
    "measured",
    "merged",
    "score",
    "shares",
    "sharing",
    "shown",
]

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]

_BLOCK = 1000  # rows whose pairs are looked at together
_SHOWN = 2000  # images of a figure
_MERGED = 1.6  # times its least share: two even groups in one have twice the share, and a rest always stays outside


def measured(features: Tensor, before: Ints | None) -> tuple[Ints, dict[str, float]]:
    """Return the groups (n,) of label features (n, k), and what can be said of them.

    Returns
    -------
    dict
        ``active``: groups with at least one image; ``largest``: share of the largest; ``confidence``: mean of each
        image's highest probability; ``agreement``: adjusted Rand index with the groups `before`.
    """
    found = features.argmax(1).cpu().numpy()
    counts = np.bincount(found, minlength=features.shape[1])
    record = {
        "active": int((counts > 0).sum()),
        "largest": round(float(counts.max() / len(found)), 4),
        "confidence": round(float((features.amax(1) / features.sum(1)).mean()), 4),
    }
    if before is not None:
        record["agreement"] = round(float(metrics.agreement(before, found)["ari"]), 4)
    return found, record


def alarm(active: int, positive: float, k: int, batch: float, settings: DACSettings) -> str | None:
    """Return what is wrong after an epoch and what to do about it, or None.

    Parameters
    ----------
    active
        Groups that have images.
    positive
        Share of all pairs of a batch (the diagonal included) that were positive.
    k, batch
        Number of groups asked for, images in a batch.
    settings
        Those in force: only what can still be changed is named as a cure.
    """
    scales = ["bn_affine=false"] if settings.bn_affine else []
    linear = settings.schedule == "linear"
    if active == 1:
        higher = ["higher first thresholds (upper_threshold= and lower_threshold=)"] if linear else []
        cures = [*scales, *higher, "a smaller lr", *_again(settings)]
        return f"all images are in one group: the training collapsed. Try {_listed(cures)}"
    if active < k:
        cures = [*scales, "fewer groups (-k)", *_again(settings)]
        return f"only {active} of {k} groups have images. Try {_listed(cures)}"
    if positive < 1.05 / batch:
        other = "another preset" if settings.selection == "all" else "selection=all, whose one threshold is lower"
        cure = "Lower upper_threshold= and lower_threshold=" if linear else f"Try {other}"
        return f"no two images count as the same group: the threshold is above all similarities. {cure}"
    return None


def _again(settings: DACSettings) -> list[str]:
    more = max(3, 2 * settings.n_trials)
    return ["another --seed", f"n_trials={more} to keep the best of {more} trainings"]


def _listed(cures: Sequence[str]) -> str:
    return f"{', '.join(cures[:-1])}, or {cures[-1]}"


def merged(largest: Sequence[float] | npt.NDArray[Any], settings: DACSettings) -> str | None:
    """Return what is wrong, and what to do, where groups have run together that were apart before; None otherwise.

    Parameters
    ----------
    largest
        Share of the largest group after every epoch, the first to the last: that after the last is held against the
        least of all.
    settings

    Examples
    --------
    >>> shares, settings = [0.12, 0.11, 0.13, 0.2], DACSettings()
    >>> merged(shares[:3], settings), merged(shares, settings).split(":")[0]
    (None, 'the largest group grew from 11 % of the images (epoch 2) to 20 %')
    """
    shares = [float(share) for share in largest]
    if not shares or shares[-1] <= _MERGED * min(shares):
        return None
    apart = max(epoch for epoch, share in enumerate(shares, 1) if share <= _MERGED * min(shares))
    cures = [*(["bn_affine=false"] if settings.bn_affine else []), f"epochs={apart} to stop before", *_again(settings)]
    first = shares.index(min(shares)) + 1
    return (
        f"the largest group grew from {min(shares):.0%} of the images (epoch {first}) to {shares[-1]:.0%}: groups have "
        f"probably run together as the threshold fell. Look at the largest one; try {_listed(cures)}"
    ).replace("%", " %")


def score(features: Tensor, threshold: float, seed: int) -> dict[str, float]:
    """Judge a finished training by what needs no labels.

    Every restart is held against the same `threshold`, on all images: cross-entropy of pairs that count as the same
    group above it and as different below. Pairs within blocks of 1,000 images drawn at random stand for all pairs.

    Returns
    -------
    dict
        ``pair_loss`` (less is better), ``active``, ``entropy`` of the group sizes relative to log k, in [0, 1].
    """
    n, k = features.shape
    order = torch.randperm(n, generator=torch.Generator().manual_seed(seed)).to(features.device)
    total, pairs = 0.0, 0
    for rows in torch.split(order, _BLOCK):
        similarity = losses.similarities(features[rows])
        total += float(losses.every_pair(similarity, similarity, threshold).loss) * similarity.numel()
        pairs += similarity.numel()
    share = np.bincount(features.argmax(1).cpu().numpy(), minlength=k) / n
    entropy = float(-(share[share > 0] * np.log(share[share > 0])).sum() / np.log(k))
    return {"pair_loss": total / max(pairs, 1), "active": int((share > 0).sum()), "entropy": entropy}


def best(scores: Sequence[Mapping[str, float]], labels: Sequence[Ints], k: int) -> int:
    """Return which training to keep: all groups in use first, then the least pair loss, then agreement with the others.

    A training that lost groups, or whose sizes are far from even compared to the others (entropy below .8 of the best),
    is kept only where all are like that. Pair losses within 1 % of each other are a tie.

    Examples
    --------
    >>> good, lost = {"pair_loss": 0.3, "active": 3, "entropy": 1.0}, {"pair_loss": 0.1, "active": 2, "entropy": 0.6}
    >>> best([lost, good], [np.zeros(4, int), np.arange(4)], 3)
    1
    """
    top = max(found["entropy"] for found in scores)
    sound = [i for i, found in enumerate(scores) if found["active"] == k and found["entropy"] >= 0.8 * top]
    left = sound or list(range(len(scores)))
    least = min(scores[i]["pair_loss"] for i in left)
    tied = [i for i in left if scores[i]["pair_loss"] <= 1.01 * least]
    if len(tied) == 1 or len(labels) < 3:
        return min(tied, key=lambda i: scores[i]["pair_loss"])
    support = {
        i: np.mean([metrics.agreement(labels[i], labels[j])["ari"] for j in range(len(labels)) if j != i]) for i in tied
    }
    return max(tied, key=lambda i: support[i])


def shares(features: npt.NDArray[Any]) -> Floats:
    """Return the rows scaled to a sum of 1."""
    wide = np.asarray(features, np.float32)
    return np.asarray(wide / wide.sum(1, keepdims=True))


# -- figures ----------------------------------------------------------------------------------------------------------


def corners(k: int) -> Floats:
    """Return the corners (k, 2) of a regular polygon, the first one on top, clockwise.

    Examples
    --------
    >>> corners(4).round(3).tolist()
    [[0.0, 1.0], [1.0, 0.0], [0.0, -1.0], [-1.0, -0.0]]
    """
    angle = 2 * np.pi * np.arange(k) / k
    return np.stack([np.sin(angle), np.cos(angle)], axis=1).astype(np.float32)


def figures(stages: npt.NDArray[Any], names: Sequence[str], labels: Ints, means: Floats) -> list[dict[str, Any]]:
    """Return the pictures of the slides as plain data.

    Parameters
    ----------
    stages : (s, m, k)
        Label features of m images at several stages of the training.
    names
        Of the stages.
    labels : (m,)
        Final groups of these images.
    means : (k, k)
        Mean label feature of each group.
    """
    k = means.shape[1]
    weights = np.asarray(stages, np.float32)
    points = (weights / np.maximum(weights.sum(2, keepdims=True), 1e-9)) @ corners(k)
    panels = [{"title": name, "points": at, "labels": labels} for name, at in zip(names, points, strict=True)]
    groups = [f"group {g}" for g in range(k)]
    return [
        {
            "name": "label-features",
            "title": "Label features while DAC learns",
            "caption": f"Every dot is an image. Its label feature, scaled to a sum of 1, weighs the {k} corners of a "
            "regular polygon, one corner per group: a dot on a corner belongs to one group only. Colours are the final "
            "groups.",
            "kind": "scatter",
            "panels": panels,
            "x_label": "",
            "y_label": "",
        },
        {
            "name": "mean-label-features",
            "title": "Mean label feature of each group",
            "caption": "Rows are groups, columns the entries of the label feature (length 1). One bright entry per "
            "row: the group is pure; two: it shares images with another.",
            "kind": "matrix",
            "values": np.round(means, 2),
            "row_names": groups,
            "column_names": [str(h) for h in range(k)],
        },
    ]


def shown(n: int, seed: int) -> npt.NDArray[np.int64]:
    """Return the images that figures show, sorted."""
    return np.sort(np.random.default_rng(seed).permutation(n)[:_SHOWN])


def sharing(taught: Ints, found: Ints) -> tuple[int, int]:
    """Count the taught groups that share a group with another, most of each, and the groups they share.

    Parameters
    ----------
    taught, found
        (n,) groups of the same images, as they were taught and as they are now.

    Examples
    --------
    >>> taught = np.array([0, 0, 1, 1, 2, 2])
    >>> sharing(taught, np.array([5, 5, 5, 5, 7, 7])), sharing(taught, taught)
    ((2, 1), (0, 0))
    """
    table = metrics.contingency(taught, found).dense()
    main, most = table.argmax(1), table.max(1) * 2 > table.sum(1)
    counts = np.unique(main[most], return_counts=True)[1]
    return int(counts[counts > 1].sum()), int((counts > 1).sum())


def joined(taught: Ints, found: Ints) -> list[str]:
    """Say in one note where groups that a training began with have ended in one; see `sharing`."""
    groups, homes = sharing(taught, found)
    if not groups:
        return []
    return [
        f"{groups} of the {len(np.unique(taught))} groups that the training began with have ended in {homes}: "
        "look whether they are of one kind; without -m dac they stay apart"
    ]


def entries(taught: Ints, found: Ints, k: int) -> Ints:
    """Return an entry (k,) of its own for every taught group, with most images where they are already.

    Parameters
    ----------
    taught, found
        (n,) groups from 0 to k - 1 of the same images, as they were taught and as they are now.
    k

    Examples
    --------
    >>> entries(np.array([0, 0, 0, 1, 1, 2]), np.array([2, 2, 2, 2, 2, 1]), 3)
    array([2, 0, 1])
    """
    table = np.bincount(taught * k + found, minlength=k * k).reshape(k, k)
    return np.asarray(linear_sum_assignment(table, maximize=True)[1], np.int64)
