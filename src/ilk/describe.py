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


_BLOCK = 16 * 2**20


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


def describe(space: npt.NDArray[Any], labels: Ints, confidence: Floats, *, n_shown: int = 12) -> Description:
    """Describe the groups `labels` (n,) of the rows of `space` (n, d).

    Parameters
    ----------
    space
        float32, or float16, which may be a memmap and is read block by block.
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
        x = space if space.dtype == np.float16 else np.require(space, np.float32, ["C", "W"])
        dense = np.searchsorted(real, labels)
        mine = labels >= 0
        dense[~mine] = -1
        centers = _means(x, dense, len(real))
        c = torch.from_numpy(centers)
        index = neighbors(x, c, min(2, len(real)))[0].numpy()
        other = np.where(index[:, 0] == dense, index[:, -1], index[:, 0])
        for start, stop in _slices(x):
            offset = np.asarray(x[start:stop], np.float32) - centers[dense[start:stop]]
            distance[start:stop] = np.where(mine[start:stop], np.linalg.norm(offset, axis=1), np.nan)
        if len(real) > 1:
            second[mine] = real[other[mine]]
            silhouette[:] = simplified_silhouette(x, dense, c).numpy()
            between, _ = neighbors(c, c, 1, exclude_self=True)
            nearest = {int(g): int(real[b]) for g, b in zip(real, between[:, 0].tolist(), strict=True)}
    groups = [
        _group(int(g), np.flatnonzero(labels == g), distance, confidence, silhouette, nearest.get(int(g)), n_shown)
        for g in [*real.tolist(), *([-1] if (labels == -1).any() else [])]
    ]
    return Description(distance, second, silhouette, groups)


def _slices(x: npt.NDArray[Any]) -> list[tuple[int, int]]:
    """Return (start, stop) of blocks of at most 16 MiB in single precision: rows may be long, and in a file."""
    step = max(1, _BLOCK // (4 * x.shape[1]))
    return [(start, min(start + step, len(x))) for start in range(0, len(x), step)]


def _means(x: npt.NDArray[Any], dense: Ints, k: int) -> Floats:
    sums = torch.zeros((k, x.shape[1]), dtype=torch.float64)
    for start, stop in _slices(x):
        kept = np.flatnonzero(dense[start:stop] >= 0)
        block = torch.from_numpy(np.asarray(x[start:stop][kept], np.float64))
        sums.index_add_(0, torch.from_numpy(dense[start:stop][kept]), block)
    counts = np.bincount(dense[dense >= 0], minlength=k)
    return (sums.numpy() / counts[:, None]).astype(np.float32)


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
