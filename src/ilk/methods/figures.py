"""Pictures that several methods have, as plain data for `figures`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["as_images", "image_rows", "kept_tree", "pixels", "sharpness", "spectrum", "tree"]

_LEAVES = 30
_SHOWN = 60


def as_images(values: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    """Return float images (m, c, h, w) in [0, 1] as uint8 (m, h, w) or (m, h, w, 3)."""
    found = np.rint(np.clip(np.asarray(values, np.float32), 0, 1) * 255).astype(np.uint8).transpose(0, 2, 3, 1)
    if found.shape[3] == 1:
        return np.ascontiguousarray(found[..., 0])
    return np.ascontiguousarray(found[..., :3])


def pixels(
    kept: Mapping[str, npt.NDArray[Any]], name: str, encoder: Any, title: str, caption: str
) -> list[dict[str, Any]]:
    """Return rows of pixels (m, c · h · w) as one figure, each from black to white; none where missing."""
    if name not in kept:
        return []
    rows = np.asarray(kept[name], np.float32)[:_SHOWN]
    height, width = np.broadcast_to(np.asarray(encoder.image_size), 2)
    rows = rows / np.maximum(rows.max(1, keepdims=True), 1e-12)
    shown = as_images(rows.reshape(len(rows), -1, int(height), int(width)))
    return [image_rows(name, title, caption, {title: shown})]


def image_rows(name: str, title: str, caption: str, rows: Mapping[str, npt.NDArray[np.uint8]]) -> dict[str, Any]:
    """Return rows of images as one figure."""
    found = [{"title": row, "images": images} for row, images in rows.items()]
    return {"name": name, "title": title, "caption": caption, "kind": "images", "rows": found}


def spectrum(values: npt.NDArray[Any], k: int) -> list[dict[str, Any]]:
    """Return the smallest eigenvalues of a graph's Laplacian as a figure."""
    return [
        {
            "name": "spectrum",
            "title": "Spectrum of the neighbour graph",
            "caption": f"The smallest eigenvalues of the normalised Laplacian. {k} groups were asked for: the wider "
            "the gap behind that eigenvalue, the better the graph falls into so many.",
            "kind": "lines",
            "x": np.arange(1, len(values) + 1),
            "series": {"eigenvalue": np.asarray(values, np.float64)},
            "x_label": "number",
            "y_label": "eigenvalue",
        }
    ]


def kept_tree(merges: npt.NDArray[np.float64]) -> dict[str, npt.NDArray[Any]]:
    """Return the strokes of the last merges of a tree (m − 1, 4), as SciPy has it: x and y, NaN between strokes."""
    from scipy.cluster.hierarchy import dendrogram

    drawn = dendrogram(merges, p=_LEAVES, truncate_mode="lastp", no_plot=True)
    gap = np.full((len(drawn["icoord"]), 1), np.nan)
    x, y = np.asarray(drawn["icoord"]), np.asarray(drawn["dcoord"])
    return {"tree_x": np.hstack([x, x[:, -1:]]).ravel() / 10 + 0.5, "tree_y": np.hstack([y, gap]).ravel()}


def tree(kept: Mapping[str, npt.NDArray[Any]]) -> list[dict[str, Any]]:
    """Return what `kept_tree` kept as a figure; none where there is no tree."""
    if "tree_x" not in kept:
        return []
    return [
        {
            "name": "tree",
            "title": "Tree of the last merges",
            "caption": f"The last merges, from {_LEAVES} branches at most to one. Long uprights below a merge: groups "
            "that are far apart.",
            "kind": "lines",
            "x": kept["tree_x"],
            "series": {"height of the merge": kept["tree_y"]},
            "x_label": "branch",
            "y_label": "height",
        }
    ]


def sharpness(edges: npt.NDArray[Any], series: Mapping[str, npt.NDArray[Any]]) -> list[dict[str, Any]]:
    """Return how confident soft assignments are, at several moments, as a figure."""
    return [
        {
            "name": "sharpness",
            "title": "How confident the soft assignments are",
            "caption": "Share of images by the largest of their soft assignments. Training sharpens them, "
            "right or wrong.",
            "kind": "lines",
            "x": (edges[1:] + edges[:-1]) / 2,
            "series": dict(series),
            "x_label": "largest soft assignment of an image",
            "y_label": "share of images",
        }
    ]
