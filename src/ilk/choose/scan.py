"""Partitions for many K, each K starting from the one before."""

from __future__ import annotations

import torch
from torch import Tensor

from ilk import compute
from ilk.choose.spaces import Fit, Space
from ilk.vectors import group_sums

__all__ = ["Scan", "split"]


class Scan:
    """K-means partitions of one space by K. Each start draws from the seed and K alone."""

    def __init__(self, space: Space, n_init: int, seed: int) -> None:
        self.space, self.n_init, self.seed = space, n_init, seed
        self.fits: dict[int, Fit] = {}

    def fit(self, k: int) -> Fit:
        """Return the best of a warm start and `n_init` - 1 fresh ones; without a K to start from, all are fresh."""
        if k not in self.fits:
            generator = compute.generator(self.seed)
            near = max((known for known in self.fits if known < k < 2 * known), default=None)
            warm = None if near is None else split(self.space, self.fits[near], k)
            tries = [] if warm is None else [self.space.lloyd(warm, k)]
            while len(tries) < self.n_init:
                tries.append(self.space.fresh(k, generator))
            self.fits[k] = min(tries, key=lambda found: found.inertia)
        return self.fits[k]


def split(space: Space, fit: Fit, k: int) -> Tensor | None:
    """Return labels (n,) of `k` groups: `fit` with its worst group cut in two, again and again.

    Worst is the group of the largest sum of squares; it is cut by K-means that starts from the two sides of its first
    principal axis. None where nothing is left to cut.
    """
    labels, own = fit.labels.clone(), fit.own.clone()
    for new in range(fit.k, k):
        error = group_sums(own.double()[:, None], labels, new)[:, 0]
        rows = (labels == error.argmax()).nonzero()[:, 0]
        group = space.take(rows)
        if len(torch.unique(group.ids)) < 2:
            return None
        side = (group.axis() > 0).long()
        if not 0 < int(side.sum()) < len(rows):
            return None
        two = group.lloyd(side, 2, max_iter=10)
        labels[rows[two.labels == 1]] = new
        own[rows] = two.own
    return labels
