"""A fitted model as a notebook shows it."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ilk import showing

__all__ = ["model_page"]

_LOOKED_AT = 2000  # images of a group, spread over it, among which the most typical ones are sought


def model_page(model: Any) -> str | None:
    """Return the groups of a fitted `model` with pictures, the largest first; None where it has no images."""
    encoded = getattr(model, "encoded_", None)
    if encoded is None or not hasattr(model, "labels_"):
        return None
    labels, groups = model.labels_, []
    for group in [*range(model.n_clusters_), -1]:
        rows = np.flatnonzero(labels == group)
        if len(rows):
            name = f"group {group}" if group >= 0 else "not assigned or unreadable"
            groups.append((group < 0, -len(rows), showing.Group(name, len(rows), _pictures(model, group, rows))))
    groups.sort(key=lambda one: one[:2])
    choice = getattr(model, "k_choice_", None)
    return showing.page(
        f"{len(labels):,} images in {model.n_clusters_:,} groups",
        [group for _, _, group in groups],
        rows=[] if choice is None else choice.table,
        suggested=None if choice is None else choice.suggested(),
        why="" if choice is None else choice.why,
        foot=[" ".join(repr(model).split())],
    )


def _pictures(model: Any, group: int, rows: npt.NDArray[np.int64]) -> list[npt.NDArray[np.uint8]]:
    """Return thumbnails of the images nearest to the centre of their group, of each content one."""
    encoded = model.encoded_
    rows = rows[encoded.position[rows] >= 0]
    if not len(rows):
        return []
    rows = rows[np.linspace(0, len(rows) - 1, min(len(rows), _LOOKED_AT)).astype(np.int64)]
    _, first = np.unique(encoded.position[rows], return_index=True)
    rows = rows[np.sort(first)]
    if group >= 0:
        away = np.asarray(encoded.features[encoded.position[rows]], np.float32) - model.cluster_centers_[group]
        rows = rows[np.argsort(np.square(away).sum(1), kind="stable")]
    return list(encoded.thumbs.read(rows[: showing.PICTURES].tolist()))
