"""Pictures of DeepCluster, as plain data: pseudo-labels, both levels, agreement, filters, edges."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ilk.data import ArrayImages, Encoded, NoThumbs
from ilk.methods.deepcluster.training_step import PseudoLabels
from ilk.methods.figures import image_rows
from ilk.networks.sobel import Sobel

__all__ = ["fine_figure", "merge_figure", "training_figures"]

Ints = npt.NDArray[Any]
Figure = dict[str, Any]

_ROWS, _EACH = 10, 12  # clusters and images of a picture
_LEVELS, _MOST_FINE, _FINE_EACH = 30, 3, 10  # rows of the picture of both levels, of a group, images of a row
_FILTERS = 96
_SIDE = 96  # pixels of an image at most


def training_figures(
    stage: PseudoLabels,
    history: Sequence[Mapping[str, Any]],
    fine: Ints,
    group: Ints,
    images: ArrayImages,
    seed: int,
) -> list[Figure]:
    """Return what a training has to show.

    Parameters
    ----------
    stage, history
        The training, and its records.
    fine, group
        Final cluster (n,) of every image, and the group (k,) of each cluster.
    images
        As they are kept.
    """
    labels: Ints | None = stage.memory.get("labels")
    first, last = stage.memory.get("first"), None if labels is None else labels[0]
    found = []
    for name, when, pseudo in (("first", 1, first), ("last", len(history), last)):
        if pseudo is not None:
            title = f"Pseudo-labels of the {name} epoch ({when})"
            found.append(_group_figure(f"groups-{name}", title, pseudo, images, seed))
    found += [_size_figure(first, last, fine, group), *_agreement_figure(history)]
    weights = stage.network.filters()
    found += [] if weights is None else [_filter_figure(weights)]
    if stage.settings.sobel:
        rows = torch.arange(min(12, len(images)))
        found.append(_sobel_figure(stage.views.read(rows), images.read(rows)))
    return found


def _group_figure(name: str, title: str, labels: Ints, images: ArrayImages, seed: int) -> Figure:
    """Return images of ten pseudo-labels, drawn at random among those that have most of the images."""
    rng = np.random.default_rng(seed)
    counts = np.bincount(labels)
    large = np.flatnonzero(counts >= min(_EACH, np.sort(counts)[-min(_ROWS, len(counts))]))
    rows = {}
    for cluster in np.sort(rng.permutation(large)[:_ROWS]).tolist():
        members = np.flatnonzero(labels == cluster)
        picked = torch.from_numpy(np.sort(rng.permutation(members)[:_EACH]))
        rows[f"pseudo-label {cluster}: {len(members)} images"] = _shown(images.read(picked))
    return image_rows(name, title, "Every row is one pseudo-label, its images drawn at random.", rows)


def _shown(pixels: Tensor) -> npt.NDArray[np.uint8]:
    """Return uint8 (b, c, h, w) as (b, h, w) or (b, h, w, 3), not larger than 96 pixels a side."""
    if pixels.shape[-1] > _SIDE:
        small = torch.nn.functional.interpolate(pixels.float(), (_SIDE, _SIDE), mode="area")
        pixels = small.round().clamp(0, 255).to(torch.uint8)
    array = pixels.cpu().permute(0, 2, 3, 1).numpy()
    return np.ascontiguousarray(array[..., 0] if array.shape[3] == 1 else array)


def _stretched(values: Tensor) -> npt.NDArray[np.uint8]:
    """Return (b, h, w) or (b, 3, h, w) as uint8 images, each from its least to its greatest value."""
    flat = values.flatten(1).float()
    least, most = flat.amin(1), flat.amax(1)
    shape = (-1, *[1] * (values.ndim - 1))
    scaled = (values - least.view(shape)) / (most - least).clamp_min(1e-12).view(shape) * 255
    array = scaled.round().clamp(0, 255).to(torch.uint8).cpu()
    return np.ascontiguousarray((array.permute(0, 2, 3, 1) if array.ndim == 4 else array).numpy())


def _filter_figure(weights: Tensor) -> Figure:
    """Return the filters (out, in, h, w) of the first layer: in colour for three channels, else channel by channel."""
    kept = weights[:_FILTERS].cpu()
    names = {1: ["grey"], 2: ["left minus right", "top minus bottom"]}.get(kept.shape[1], [])
    rows = {name: _stretched(kept[:, i]) for i, name in enumerate(names)}
    if kept.shape[1] == 3:
        rows = {f"{len(kept)} filters": _stretched(kept)}
    caption = "Each is stretched from its least to its greatest weight."
    return image_rows("filters", "Filters of the first layer", caption, rows)


def _sobel_figure(images: Tensor, pixels: Tensor) -> Figure:
    """Return what the Sobel front makes of a few normalised `images` (b, c, h, w), below their `pixels` (uint8)."""
    with torch.no_grad():
        edges = Sobel().to(images.device)(images)
    rows = {
        "image": _shown(pixels),
        "left minus right": _stretched(edges[:, 0]),
        "top minus bottom": _stretched(edges[:, 1]),
        "strength of the edge": _stretched(edges.square().sum(1).sqrt()),
    }
    caption = "Colours are gone before the first layer; the border is an edge to the mean grey."
    return image_rows("sobel", "What the network sees: edges", caption, rows)


def _size_figure(first: Ints | None, last: Ints | None, fine: Ints, group: Ints) -> Figure:
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
        "caption": f"Sorted. Even sizes are a flat line. {len(group)} final clusters were merged into "
        f"{int(group.max()) + 1} groups.",
        "kind": "lines",
        "x": np.arange(1, longest + 1),
        "series": series,
        "x_label": "pseudo-label, by size",
        "y_label": "images",
    }


def _agreement_figure(history: Sequence[Mapping[str, Any]]) -> list[Figure]:
    """Return the agreement of successive clusterings by epoch; none before the second."""
    records = [record for record in history if "agreement" in record]
    if not records:
        return []
    return [
        {
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
    ]


def merge_figure(sizes: Ints, group: Ints) -> Figure:
    """Return how many fine clusters, of these sizes (k,), each group is made of."""
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


def fine_figure(labels: Ints, group: Ints, encoded: Encoded, seed: int) -> list[Figure]:
    """Return images of the largest fine clusters (final ones, not pseudo-labels) of every group; none without images.

    Parameters
    ----------
    labels : (n,)
        Fine cluster of every image, -1 = not readable.
    group : (k,)
        Of each fine cluster.
    encoded : Encoded
        Has the thumbnails.
    """
    if isinstance(encoded.thumbs, NoThumbs):
        return []
    rng = np.random.default_rng(seed)
    sizes = np.bincount(labels[labels >= 0], minlength=len(group))
    n_groups = int(group.max()) + 1
    each = min(_MOST_FINE, max(1, _LEVELS // n_groups))
    whole = np.bincount(group, weights=sizes, minlength=n_groups)
    rows = {}
    for g in np.sort(np.argsort(-whole, kind="stable")[:_LEVELS]).tolist():
        mine = np.flatnonzero((group == g) & (sizes > 0))
        largest = mine[np.argsort(-sizes[mine], kind="stable")]
        for cluster in largest[:each].tolist():
            members = encoded.rows[labels[encoded.rows] == cluster]
            picked = np.sort(rng.permutation(members)[:_FINE_EACH])
            title = f"group {g}, fine cluster {cluster}: {sizes[cluster]:,} of {int(whole[g]):,} images"
            rows[title] = encoded.thumbs.read(picked)
    many = f" The {_LEVELS} largest groups." if n_groups > _LEVELS else ""
    caption = (
        f"Final clusters, before and after they were merged. Up to {each} of each group, images drawn at random; "
        f"all are in the column `fine` of the run's table.{many}"
    )
    return [image_rows("fine-groups", "Both levels: the largest fine clusters of each group", caption, rows)]
