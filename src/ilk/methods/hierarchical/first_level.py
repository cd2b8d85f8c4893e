"""The first level: images around many centres, read block by block."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from ilk import compute
from ilk.methods.assign.placer import coordinates
from ilk.vectors import PCA, kmeans
from ilk.vectors.repeats import repeats

__all__ = ["BLOCK", "Centers", "blocks", "find_centers"]

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]

BLOCK = 8192
"""Images at a time."""


class Centers(NamedTuple):
    """Where the centres are.

    Attributes
    ----------
    rows : (c, p) float32
        In principal components.
    weights : (c,) float32
        How many images are around each; at least 1.
    """

    rows: Floats
    weights: Floats


def blocks(pca: PCA, features: npt.NDArray[Any]) -> Iterator[tuple[int, int, Floats]]:
    """Yield (start, stop, coordinates) of `features` (m, d), which may be a memory map."""
    for start in range(0, len(features), BLOCK):
        stop = min(len(features), start + BLOCK)
        yield start, stop, coordinates(pca, features[start:stop])


def find_centers(
    pca: PCA,
    features: npt.NDArray[Any],
    count: int,
    per_center: int,
    steps: int,
    seed: int,
    on_progress: Callable[[int, int], Any],
) -> Centers:
    """Lay `count` centres, or one on each distinct image where there are no more.

    Notes
    -----
    K-means on `per_center` images for each centre, drawn at random. Then each centre moves to the mean of all images
    that are nearest to it, and weighs as many. Memory: the images that are drawn, a block, and the centres. Cost: one
    iteration on all images, `steps` on those that are drawn; 2·m·count·p FLOPs each.
    """
    m = len(features)
    random = np.random.default_rng(seed)
    drawn = np.sort(random.choice(m, min(m, per_center * count), replace=False))
    sample = np.concatenate(
        [coordinates(pca, features[some]) for some in np.array_split(drawn, -(-len(drawn) // BLOCK))]
    )
    first, of = repeats(sample)
    if len(drawn) == m and len(first) <= count:
        return Centers(sample[first], np.bincount(of).astype(np.float32))
    start = sample[first[np.sort(random.choice(len(first), min(count, len(first)), replace=False))]]
    found = kmeans(
        torch.from_numpy(sample),
        len(start),
        init=torch.from_numpy(start),
        max_iter=steps,
        empty="split",
        generator=compute.generator(seed),
    ).centers
    sums = torch.zeros(found.shape, dtype=torch.float64)
    weights = torch.zeros(len(found), dtype=torch.float64)
    half = found.square().sum(1) / 2
    for _, stop, block in blocks(pca, features):
        rows = torch.from_numpy(block)
        nearest = torch.addmm(half, rows, found.T, alpha=-1).argmin(1)
        sums.index_add_(0, nearest, rows.double())
        weights += torch.bincount(nearest, minlength=len(found))
        on_progress(stop, m)
    held = weights > 0
    rows = (sums[held] / weights[held, None]).float()
    return Centers(rows.numpy(), weights[held].float().numpy())
