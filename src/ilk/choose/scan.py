"""Partitions for many K, each K starting from the one before."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from ilk import compute
from ilk.choose.spaces import Fit, Space
from ilk.vectors import group_sums

__all__ = ["Scan", "one_thread", "split"]

_SMALL = 4096


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
            fresh = self.n_init - (warm is not None)
            self.fits[k] = self.space.best(k, warm, fresh, generator)
        return self.fits[k]


@contextmanager
def one_thread(n: int) -> Iterator[None]:
    """Use one thread for arrays of `n` rows where more would wait for each other longer than they work."""
    before = torch.get_num_threads()
    if n > _SMALL or before == 1:
        yield
        return
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def split(space: Space, fit: Fit, k: int) -> Tensor | None:
    """Return labels (n,) of `k` groups: `fit` with its worst group cut in two, again and again.

    Worst is the group of the largest sum of squares; it is cut by K-means that starts from the two sides of its first
    principal axis. None where nothing is left to cut.
    """
    labels, own = fit.labels.clone(), fit.own.clone()
    for new in range(fit.k, k):
        error = group_sums(own.double()[:, None], labels, new)[:, 0]
        rows = (labels == error.argmax()).nonzero()[:, 0]
        if len(torch.unique(space.ids[rows])) < 2:
            return None
        side, own[rows] = space.halve(rows)
        if not 0 < int(side.sum()) < len(rows):
            return None
        labels[rows[side == 1]] = new
    return labels
