"""What can be said of groups without any label: how sure, how central, how well apart, which one is next."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from ilk.vectors import neighbors, simplified_silhouette

__all__ = ["Description", "describe"]

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Description:
    """Per row: distance to the own centre, next-best group, silhouette; per group: a plain dict.

    Attributes
    ----------
    distance : (n,) float32, Euclidean, in the space given
    second : (n,) int64, the group that is next nearest; -1 where there is none
    silhouette : (n,) float32 in [-1, 1], simplified (distances to centres)
    groups : list of dict
        id, name, size, exemplars (rows), borderline (rows), quality {silhouette, confidence}, nearest (id).
    """

    distance: Floats
    second: Ints
    silhouette: Floats
    groups: list[dict[str, Any]]


def describe(space: Floats, labels: Ints, confidence: Floats, *, n_shown: int = 12) -> Description:
    """Describe the groups `labels` (n,) of the rows of `space` (n, d).

    Parameters
    ----------
    labels
        -1 = not assigned. Such rows are a group of their own in the answer, without quality.
    confidence
        (n,) in [0, 1].
    n_shown
        How many rows each group names as exemplars (nearest to its centre) and as borderline (least confident).

    Notes
    -----
    O(n k d) time for k groups, chunked; centres are means in `space`.
    """
    n, ids = len(labels), np.unique(labels)
    real = ids[ids >= 0]
    distance = np.full(n, np.nan, np.float32)
    second = np.full(n, -1, np.int64)
    silhouette = np.zeros(n, np.float32)
    nearest: dict[int, int] = {}
    if len(real):
        x = torch.from_numpy(np.require(space, np.float32, ["C", "W"]))
        dense = np.searchsorted(real, labels)
        mine = labels >= 0
        centers = _means(space, dense, mine, len(real))
        c = torch.from_numpy(centers)
        index = neighbors(x, c, min(2, len(real)))[0].numpy()
        other = np.where(index[:, 0] == dense, index[:, -1], index[:, 0])
        distance[mine] = np.linalg.norm(space[mine] - centers[dense[mine]], axis=1)
        if len(real) > 1:
            second[mine] = real[other[mine]]
            rows = torch.from_numpy(np.flatnonzero(mine))
            silhouette[mine] = simplified_silhouette(x[rows], torch.from_numpy(dense[mine]), c).numpy()
            between, _ = neighbors(c, c, 1, exclude_self=True)
            nearest = {int(g): int(real[b]) for g, b in zip(real, between[:, 0].tolist(), strict=True)}
    groups = [
        _group(int(g), np.flatnonzero(labels == g), distance, confidence, silhouette, nearest.get(int(g)), n_shown)
        for g in [*real.tolist(), *([-1] if (labels == -1).any() else [])]
    ]
    return Description(distance, second, silhouette, groups)


def _means(space: Floats, dense: Ints, mine: npt.NDArray[np.bool_], k: int) -> Floats:
    sums = np.zeros((k, space.shape[1]))
    np.add.at(sums, dense[mine], space[mine])
    counts = np.bincount(dense[mine], minlength=k)
    return (sums / counts[:, None]).astype(np.float32)


def _group(
    identity: int,
    rows: Ints,
    distance: Floats,
    confidence: Floats,
    silhouette: Floats,
    nearest: int | None,
    n_shown: int,
) -> dict[str, Any]:
    name = f"group {identity}" if identity >= 0 else "not assigned"
    group: dict[str, Any] = {"id": identity, "name": name, "size": len(rows), "nearest": nearest}
    if identity < 0:
        return {**group, "exemplars": rows[:n_shown].tolist(), "borderline": [], "quality": None}
    central = rows[np.argsort(distance[rows], kind="stable")]
    doubtful = rows[np.lexsort((silhouette[rows], confidence[rows]))]
    shown = set(central[:n_shown].tolist())
    return {
        **group,
        "exemplars": central[:n_shown].tolist(),
        "borderline": [row for row in doubtful[: 2 * n_shown].tolist() if row not in shown][:n_shown],
        "quality": {
            "silhouette": float(silhouette[rows].mean()),
            "confidence": float(confidence[rows].mean()),
        },
    }
