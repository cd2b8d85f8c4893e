"""What can be said of groups without any label: how confident, how central, how well apart, which one is next."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from ilk.vectors import neighbors, silhouette_samples

__all__ = ["Description", "describe"]

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]


_BLOCK = 16 * 2**20
NAN = np.float32("nan")
WORK = 1e10
"""What the silhouettes of one space may cost: pairs of rows, times columns + 30. About 1 s of two cores; all pairs of
11,180 rows of 50 columns. Beyond, the distances are to a sample of the rows."""


@dataclass(frozen=True)
class Description:
    """Per row: distance to the own centre, next-best group, silhouettes; per group: a plain dict.

    Attributes
    ----------
    distance : (n,) float32, Euclidean, in the space given
    second : (n,) int64, the group that is next nearest; -1 where there is none
    silhouette : (n,) float32 in [-1, 1], in the features; NaN for rows of no group, and where there is one group only
    silhouette_reduced : (n,) float32, the same in the reduced space; NaN where there is no such space
    groups : list of dict
        id, name, size, exemplars (rows), borderline (rows), quality {silhouette, silhouette_reduced, confidence},
        nearest (id).
    samples : dict
        For each of the two silhouettes, to how many rows the distances are; None: to all.
    """

    distance: Floats
    second: Ints
    silhouette: Floats
    silhouette_reduced: Floats
    groups: list[dict[str, Any]]
    samples: dict[str, int | None]


def describe(
    space: npt.NDArray[Any],
    features: npt.NDArray[Any],
    labels: Ints,
    confidence: Floats,
    *,
    reduced: bool = False,
    n_shown: int = 12,
) -> Description:
    """Describe the groups `labels` (n,) of the rows of `space` (n, d) and of `features` (n, p).

    Parameters
    ----------
    space
        Where the groups were sought: distances, the next group and the central rows are those of this space. float32,
        or float16, which may be a memmap and is read block by block.
    features
        Where it is to be seen how far apart the groups are, float32: the features, or their principal components.
    labels
        -1 = not assigned. Such rows are a group of their own in the answer, without quality.
    confidence
        (n,) in [0, 1].
    reduced
        Whether `space` is a reduction of the features, such as UMAP's: silhouettes are measured there, too. A reduction
        that was made to gather what is alike has larger ones, so that they say little about the images.
    n_shown
        How many rows each group names as exemplars (nearest to its centre) and as borderline (least confident).

    Notes
    -----
    O(n k d) time for k groups, chunked; centres are means in `space`. The silhouettes are as scikit-learn's up to
    11,180 rows of 50 columns (n² (p + 30) up to 1e10); beyond, the mean distances of each row are to a random sample of
    as many rows as that work allows, at least 32 of each group, and differ by some hundredths. Memory is O(n p), never
    O(n²).
    """
    n, ids = len(labels), np.unique(labels)
    real = ids[ids >= 0]
    distance = np.full(n, np.nan, np.float32)
    second = np.full(n, -1, np.int64)
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
            between, _ = neighbors(c, c, 1, exclude_self=True)
            nearest = {int(g): int(real[b]) for g, b in zip(real, between[:, 0].tolist(), strict=True)}
    silhouette, sample = silhouettes(features, labels)
    samples = {"silhouette": sample}
    inside, samples["silhouette_reduced"] = silhouettes(space, labels) if reduced else (np.full(n, NAN), None)
    means = {"silhouette": silhouette, "silhouette_reduced": inside, "confidence": confidence}
    groups = [
        _group(int(g), np.flatnonzero(labels == g), distance, means, nearest.get(int(g)), n_shown)
        for g in [*real.tolist(), *([-1] if (labels == -1).any() else [])]
    ]
    return Description(distance, second, silhouette, inside, groups, samples)


def silhouettes(x: npt.NDArray[Any], labels: Ints) -> tuple[Floats, int | None]:
    """Return the silhouettes (n,) of the rows of `x` (n, d), and to how many rows distances are (None: to all).

    NaN for rows of group -1, and for all rows where there is one group only, or no group of two.
    """
    found = np.full(len(labels), NAN)
    mine = labels >= 0
    ids, counts = np.unique(labels[mine], return_counts=True)
    if len(ids) < 2 or counts.max() < 2:
        return found, None
    n = int(counts.sum())
    most = max(2, int(WORK / n / (x.shape[1] + 30)))
    sample = None if n <= most else most
    found[mine] = silhouette_samples(x, labels, sample_size=sample).numpy()[mine]
    return found, sample


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
    identity: int, rows: Ints, distance: Floats, means: dict[str, Floats], nearest: int | None, n_shown: int
) -> dict[str, Any]:
    name = f"group {identity}" if identity >= 0 else "not assigned"
    group: dict[str, Any] = {"id": identity, "name": name, "size": len(rows), "nearest": nearest}
    if identity < 0:
        return {**group, "exemplars": rows[:n_shown].tolist(), "borderline": [], "quality": None}
    central = rows[np.argsort(distance[rows], kind="stable")]
    doubtful = rows[np.lexsort((means["silhouette"][rows], means["confidence"][rows]))]
    shown = set(central[:n_shown].tolist())
    quality = {name: float(values[rows].mean()) for name, values in means.items()}
    return {
        **group,
        "exemplars": central[:n_shown].tolist(),
        "borderline": [row for row in doubtful[: 2 * n_shown].tolist() if row not in shown][:n_shown],
        "quality": {name: value if np.isfinite(value) else None for name, value in quality.items()},
    }
