"""What can be seen of DeepCluster without labels: agreement of clusterings, sizes; and its pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ilk import metrics
from ilk.data import Encoded
from ilk.networks.sobel import Sobel

__all__ = [
    "advice",
    "agreement_figure",
    "filter_figure",
    "fine_figure",
    "group_figure",
    "merge_figure",
    "seen",
    "shown",
    "size_figure",
    "sobel_figure",
]

Ints = npt.NDArray[Any]
Figure = dict[str, Any]

_ROWS, _EACH = 10, 12  # clusters and images of a picture
_LEVELS, _MOST_FINE, _FINE_EACH = 30, 3, 10  # rows of the picture of both levels, of a group, images of a row
_FILTERS = 96
_SHOWN_SIDE = 96


def seen(labels: Ints, before: Ints | None) -> dict[str, float]:
    """Return what can be said of a clustering beside the one before.

    Returns
    -------
    dict
        ``clusters``: how many have images; ``largest``: share of the largest; ``agreement``: NMI (arithmetic) with the
        clustering before; ``reassigned``: share of the images outside of the largest common part of their cluster with
        one of before. Clusters have no fixed numbers, so none is compared by its number.

    Examples
    --------
    >>> import numpy as np
    >>> seen(np.array([0, 0, 0, 1]), np.array([5, 5, 3, 3]))["reassigned"]
    0.25
    """
    counts = np.bincount(labels)
    told: dict[str, float] = {
        "clusters": int((counts > 0).sum()),
        "largest": round(float(counts.max() / len(labels)), 4),
    }
    if before is not None:
        table = metrics.contingency(before, labels)
        most = np.zeros(len(table.clusters), np.int64)
        np.maximum.at(most, table.columns, table.counts)
        told["agreement"] = round(float(metrics.nmi(before, labels)), 4)
        told["reassigned"] = round(1 - float(most.sum() / len(labels)), 4)
    return told


def advice(history: Sequence[Mapping[str, Any]], k: int) -> list[str]:
    """Return what the user should know after a training."""
    if not history:
        return [
            "no network was trained (epochs=0): the groups are those of random features. Give epochs=10, or "
            "--set preset=small, to train it"
        ]
    last = history[-1]
    notes = []
    if last["largest"] > 0.5:
        notes.append(
            f"{last['largest']:.0%} of the images are in one of {k} pseudo-labels: the training collapsed. Try "
            "balance=uniform, a smaller lr, or another --seed"
        )
    elif last["clusters"] < 0.9 * k:
        notes.append(f"only {last['clusters']} of {k} pseudo-labels have images: fewer distinct features than n_fine")
    return notes


# -- pictures ----------------------------------------------------------------------------------------------------------


def group_figure(name: str, title: str, labels: Ints, read: Any, seed: int) -> Figure:
    """Return images of ten pseudo-labels, drawn by lot among those that have most of the images."""
    rng = np.random.default_rng(seed)
    counts = np.bincount(labels)
    large = np.flatnonzero(counts >= min(_EACH, np.sort(counts)[-min(_ROWS, len(counts))]))
    rows = []
    for cluster in np.sort(rng.permutation(large)[:_ROWS]).tolist():
        members = np.flatnonzero(labels == cluster)
        picked = np.sort(rng.permutation(members)[:_EACH])
        rows.append({"title": f"pseudo-label {cluster}: {len(members)} images", "images": read(picked)})
    return {
        "name": name,
        "title": title,
        "caption": "Every row is one pseudo-label, its images drawn by lot.",
        "kind": "images",
        "rows": rows,
    }


def shown(pixels: Tensor) -> npt.NDArray[np.uint8]:
    """Return uint8 (b, c, h, w) as (b, h, w) or (b, h, w, 3), not larger than 96 pixels a side."""
    if pixels.shape[-1] > _SHOWN_SIDE:
        small = torch.nn.functional.interpolate(pixels.float(), (_SHOWN_SIDE, _SHOWN_SIDE), mode="area")
        pixels = small.round().clamp(0, 255).to(torch.uint8)
    array = pixels.cpu().permute(0, 2, 3, 1).numpy()
    return np.ascontiguousarray(array[..., 0] if array.shape[3] == 1 else array)


def stretched(values: Tensor) -> npt.NDArray[np.uint8]:
    """Return (b, h, w) or (b, 3, h, w) as uint8 images, each from its least to its greatest value."""
    flat = values.flatten(1).float()
    least, most = flat.amin(1), flat.amax(1)
    shape = (-1, *[1] * (values.ndim - 1))
    scaled = (values - least.view(shape)) / (most - least).clamp_min(1e-12).view(shape) * 255
    array = scaled.round().clamp(0, 255).to(torch.uint8).cpu()
    return np.ascontiguousarray((array.permute(0, 2, 3, 1) if array.ndim == 4 else array).numpy())


def filter_figure(weights: Tensor) -> Figure:
    """Return the filters (out, in, h, w) of the first layer: in colour for three channels, else channel by channel."""
    kept = weights[:_FILTERS].cpu()
    names = {1: ["grey"], 2: ["left minus right", "top minus bottom"]}.get(kept.shape[1], [])
    if kept.shape[1] == 3:
        rows = [{"title": f"{len(kept)} filters", "images": stretched(kept)}]
    else:
        rows = [{"title": name, "images": stretched(kept[:, i])} for i, name in enumerate(names)]
    return {
        "name": "filters",
        "title": "Filters of the first layer",
        "caption": "Each is stretched from its least to its greatest weight.",
        "kind": "images",
        "rows": rows,
    }


def sobel_figure(images: Tensor, pixels: Tensor) -> Figure:
    """Return what the Sobel front makes of a few normalised `images` (b, c, h, w), below their `pixels` (uint8)."""
    with torch.no_grad():
        edges = Sobel().to(images.device)(images)
    rows = [
        {"title": "image", "images": shown(pixels)},
        {"title": "left minus right", "images": stretched(edges[:, 0])},
        {"title": "top minus bottom", "images": stretched(edges[:, 1])},
        {"title": "strength of the edge", "images": stretched(edges.square().sum(1).sqrt())},
    ]
    return {
        "name": "sobel",
        "title": "What the network sees: edges",
        "caption": "Colours are gone before the first layer; the border is an edge to the mean grey.",
        "kind": "images",
        "rows": rows,
    }


def size_figure(first: Ints | None, last: Ints | None, fine: Ints, group: Ints) -> Figure:
    """Return the sizes of all pseudo-labels, sorted, of the first and last epoch and of the final clustering."""
    found = {"first epoch": first, "last epoch": last, "final clusters": fine}
    sorts = {name: np.sort(np.bincount(labels))[::-1] for name, labels in found.items() if labels is not None}
    longest = max(len(sizes) for sizes in sorts.values())
    series = {
        name: np.concatenate([sizes, np.full(longest - len(sizes), np.nan)]).astype(np.float64)
        for name, sizes in sorts.items()
    }
    return {
        "name": "pseudo-label-sizes",
        "title": "Sizes of the pseudo-labels",
        "caption": f"Sorted. Even sizes are a flat line. {len(group)} final clusters were united to "
        f"{int(group.max()) + 1} groups.",
        "kind": "lines",
        "x": np.arange(1, longest + 1),
        "series": series,
        "x_label": "pseudo-label, by size",
        "y_label": "images",
    }


def agreement_figure(history: Sequence[Mapping[str, Any]]) -> Figure | None:
    """Return the agreement of successive clusterings by epoch."""
    records = [record for record in history if "agreement" in record]
    if not records:
        return None
    return {
        "name": "agreement",
        "title": "Do the pseudo-labels come to rest?",
        "caption": "NMI between the clusterings of two successive epochs, and the share of images outside of the "
        "largest common part of their cluster with one of before.",
        "kind": "lines",
        "x": np.array([record["epoch"] for record in records]),
        "series": {
            "agreement (NMI)": np.array([record["agreement"] for record in records], np.float64),
            "reassigned": np.array([record["reassigned"] for record in records], np.float64),
        },
        "x_label": "epoch",
        "y_label": "share",
    }


def merge_figure(sizes: Ints, group: Ints) -> Figure:
    """Return how many fine clusters each group is made of."""
    n_groups = int(group.max()) + 1
    return {
        "name": "fine-clusters",
        "title": "Fine clusters of each group",
        "caption": "Many clusters, then few: both levels are kept.",
        "kind": "bars",
        "names": [f"group {g}" for g in range(n_groups)],
        "values": [int(((group == g) & (sizes > 0)).sum()) for g in range(n_groups)],
        "x_label": "fine clusters",
    }


def fine_figure(labels: Ints, group: Ints, encoded: Encoded, seed: int) -> Figure:
    """Return images of the largest fine clusters (final ones, not pseudo-labels) of every group.

    Parameters
    ----------
    labels : (n,)
        Fine cluster of every image, -1 = not readable.
    group : (k,)
        Of each fine cluster.
    encoded : Encoded
        Has the thumbnails.
    """
    rng = np.random.default_rng(seed)
    sizes = np.bincount(labels[labels >= 0], minlength=len(group))
    n_groups = int(group.max()) + 1
    each = min(_MOST_FINE, max(1, _LEVELS // n_groups))
    whole = np.bincount(group, weights=sizes, minlength=n_groups)
    rows = []
    for g in np.sort(np.argsort(-whole, kind="stable")[:_LEVELS]).tolist():
        mine = np.flatnonzero((group == g) & (sizes > 0))
        largest = mine[np.argsort(-sizes[mine], kind="stable")]
        for cluster in largest[:each].tolist():
            members = encoded.rows[labels[encoded.rows] == cluster]
            picked = np.sort(rng.permutation(members)[:_FINE_EACH])
            told = f"group {g}, fine cluster {cluster}: {sizes[cluster]:,} of {int(whole[g]):,} images"
            rows.append({"title": told, "images": encoded.thumbs.read(picked)})
    many = f" The {_LEVELS} largest groups." if n_groups > _LEVELS else ""
    return {
        "name": "fine-groups",
        "title": "Both levels: the largest fine clusters of each group",
        "caption": f"Final clusters, before and after they were united. Up to {each} of each group, images drawn by "
        f"lot; all are in the column `fine` of the run's table.{many}",
        "kind": "images",
        "rows": rows,
    }
