"""What is measured of one partition: silhouette, Calinski-Harabasz, Davies-Bouldin, and agreement of two partitions."""

from __future__ import annotations

import torch
from torch import Tensor

from ilk.choose.spaces import MOST_PAIRS, Fit, Space
from ilk.vectors import group_sums

__all__ = ["Silhouettes", "agreement", "calinski_harabasz", "davies_bouldin", "stratified"]

_BLOCK = 512


class Silhouettes:
    """Mean silhouettes of many partitions of the same rows; their distances are computed once.

    Parameters
    ----------
    space
        The rows.
    index, weight : Tensor (m,)
        The rows that are compared, and how many rows each of them stands for. Weights of 1 give the exact silhouette.

    Notes
    -----
    2·m²·d FLOPs once and m² additions per partition. Up to 8,192 rows the distances are kept (256 MiB at most), above
    they are computed anew, block by block, at each call: pass all partitions in one.
    """

    def __init__(self, space: Space, index: Tensor, weight: Tensor) -> None:
        self.space, self.index, self.weight = space, index, weight.double()
        self._kept: list[Tensor] | None = list(self._compute()) if len(index) <= MOST_PAIRS else None

    def _compute(self) -> list[Tensor]:
        return [self._block(start) for start in range(0, len(self.index), _BLOCK)]

    def _block(self, start: int) -> Tensor:
        """Return distances (m, b) of all rows to a block of them, each times the weight of its row."""
        some = self.index[start : start + _BLOCK]
        distance = self.space.squared(self.index, some).sqrt_()
        here = torch.arange(len(some), device=distance.device)
        distance[start + here, here] = 0.0
        return distance.mul_(self.weight.float()[:, None])

    def __call__(self, fits: list[Fit]) -> list[float]:
        """Return the mean silhouette of each partition, from -1 to 1."""
        groups = [torch.unique(fit.labels[self.index], return_inverse=True)[1] for fit in fits]
        totals = torch.zeros(len(fits), dtype=torch.float64, device=self.weight.device)
        for number, start in enumerate(range(0, len(self.index), _BLOCK)):
            block = self._block(start) if self._kept is None else self._kept[number]
            for which, own in enumerate(groups):
                totals[which] += self._sum(block, own, start)
        return (totals / self.weight.sum()).tolist()

    def _sum(self, block: Tensor, own: Tensor, start: int) -> Tensor:
        """Return the weighted sum of silhouettes of the rows of a block; 0 for what is alone in its group."""
        k, mine = int(own.max()) + 1, own[start : start + block.shape[1]]
        weight = self.weight[start : start + block.shape[1]]
        sizes = torch.zeros(k, dtype=torch.float64, device=own.device).index_add_(0, own, self.weight)
        sums = group_sums(block, own, k).double()
        within = sums.gather(0, mine[None])[0] / (sizes[mine] - weight).clamp_min(1e-12)
        between = (sums / sizes[:, None]).scatter_(0, mine[None], torch.inf).amin(0)
        alone = torch.bincount(own, minlength=k)[mine] == 1
        larger = torch.maximum(within, between)
        value = torch.where(alone | (larger == 0) | ~larger.isfinite(), 0.0, (between - within) / larger)
        return (value * weight).nan_to_num(0.0).sum()


def stratified(fit: Fit, size: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Return (index, weight) of about `size` rows: of each group its share, but 10 where it has them."""
    sizes = torch.bincount(fit.labels, minlength=fit.k).cpu()
    n = len(fit.labels)
    shuffled = torch.randperm(n, generator=generator, device=generator.device).cpu()
    order = shuffled[fit.labels.cpu()[shuffled].argsort(stable=True)]  # group by group, at random inside
    own = fit.labels.cpu()[order]
    share = torch.maximum((sizes * size + n // 2) // n, sizes.clamp_max(10))
    position = torch.arange(n) - (sizes.cumsum(0) - sizes)[own]
    index = order[position < share[own]].sort()[0].to(fit.labels.device)
    return index, (sizes / share).to(index.device)[fit.labels[index]]


def calinski_harabasz(fit: Fit, total: float) -> float:
    """Return the variance between means over that within groups, each per degree of freedom; 1 where none is within.

    `total` is the sum of squared distances of all rows to their mean.
    """
    inertia, n = fit.inertia, len(fit.labels)
    return 1.0 if inertia == 0 else (total - inertia) / (fit.k - 1) / (inertia / (n - fit.k))


def davies_bouldin(fit: Fit, between: Tensor) -> float:
    """Return the mean over groups of the worst (spread + spread) / distance to another; 0 where there is no spread.

    `between` holds the squared distances (k, k) of the means; the spread of a group is the mean distance to its mean.
    """
    counts = torch.bincount(fit.labels, minlength=fit.k)
    spread = group_sums(fit.own.double().sqrt()[:, None], fit.labels, fit.k)[:, 0] / counts
    apart = between.double().sqrt()
    if float(spread.max()) < 1e-8 or float(apart.max()) < 1e-8:
        return 0.0
    apart = torch.where(apart == 0, torch.inf, apart)
    return float(((spread[:, None] + spread) / apart).amax(1).mean())


def agreement(one: Tensor, other: Tensor) -> float:
    """Return the adjusted Rand index of two labelings (n,), numbered from 0: 1 = the same pairs, 0 = by chance.

    >>> agreement(torch.tensor([0, 0, 1, 1]), torch.tensor([1, 1, 0, 0]))
    1.0
    """
    a, b, n = int(one.max()) + 1, int(other.max()) + 1, len(one)
    table = torch.bincount(one * b + other, minlength=a * b).view(a, b).double()

    def pairs(counts: Tensor) -> float:
        return float((counts * (counts - 1)).sum()) / 2

    both, first, second = pairs(table), pairs(table.sum(1)), pairs(table.sum(0))
    chance = first * second / (n * (n - 1) / 2)
    most = (first + second) / 2
    return 1.0 if most == chance else (both - chance) / (most - chance)
