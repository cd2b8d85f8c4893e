"""Would other images have given the same groups? Halves of the rows, and clouds without groups."""

from __future__ import annotations

import itertools
import statistics
from typing import NamedTuple

import torch
from torch import Tensor

from ilk import compute
from ilk.choose.criteria import Silhouettes, agreement
from ilk.choose.scan import Scan
from ilk.choose.spaces import WIDE, Coordinates, Pairs, Space

__all__ = ["Cloud", "Halves", "clouds"]

_SPLITS = 3
_MOST_ROWS, _MOST_WIDE_ROWS = 8000, 4000
_JUDGED = 2000


class Halves:
    """Scans of random halves of the rows, that label the same rows.

    The rows (8,000 of them at most; 4,000 where they are wide) are split in two three times; each half is scanned for
    itself, in the same way as all rows.
    """

    def __init__(self, space: Space, seed: int) -> None:
        generator = compute.generator(seed)
        wide = isinstance(space, Pairs) or space.x.shape[1] > WIDE
        most = min(len(space), _MOST_WIDE_ROWS if wide else _MOST_ROWS)
        device = space.ids.device
        chosen = torch.randperm(len(space), generator=generator, device=generator.device)[:most].to(device)
        self.space = space if most == len(space) else space.take(chosen)
        self.judged = torch.arange(min(most, _JUDGED), device=device)
        if most == len(space):
            self.judged = chosen[: len(self.judged)]
        halves: list[Tensor] = []
        for _ in range(_SPLITS):
            order = torch.randperm(most, generator=generator, device=generator.device).to(device)
            halves += [order[: most // 2], order[most // 2 :]]
        self.scans = [Scan(self.space.take(half), 1, seed) for half in halves]
        self.seen = [self.space.seen(half, self.judged) for half in halves]
        self.distinct = min(len(torch.unique(scan.space.ids)) for scan in self.scans)

    def stability(self, k: int) -> float:
        """Return the mean adjusted Rand index of all pairs of halves; 0 where a half cannot make `k` groups."""
        if k >= self.distinct:
            return 0.0
        labels = [
            scan.space.assign(scan.fit(k).labels, k, seen) for scan, seen in zip(self.scans, self.seen, strict=True)
        ]
        return statistics.mean(agreement(one, other) for one, other in itertools.combinations(labels, 2))


class Cloud(NamedTuple):
    """What K-means reaches on rows without groups: silhouette and stability."""

    silhouette: float
    stability: float


def clouds(space: Space, k: int, seed: int, *, halves: bool = True) -> Cloud:
    """Return what K-means reaches on rows without groups, spread as those of `space` are.

    Two clouds are drawn, one normal and one uniform, with the variances of the rows along their principal axes and no
    other structure; the larger silhouette counts, and the larger stability (0 unless `halves`).
    """
    n = min(len(space), max(_JUDGED, 10 * k), 5000)
    generator = compute.generator(seed)
    device = space.ids.device
    rows = torch.randperm(len(space), generator=generator, device=generator.device)[: min(n, 1000)].to(device)
    scale = space.spread(rows).sqrt().to(torch.float32).cpu()
    scale = scale[scale > 1e-6 * scale.max()]
    found = []
    for normal in (True, False):
        draw = torch.randn if normal else torch.rand
        cloud = draw(n, len(scale), generator=generator, device=generator.device).cpu()
        cloud = (cloud if normal else (cloud - 0.5) * 12**0.5) * scale
        every = torch.arange(n)
        one = Coordinates(cloud, every)
        scanned = one.take(every)  # by inner products, where the rows are wide
        silhouette = Silhouettes(one, every, torch.ones(n))([Scan(scanned, 1, seed).fit(k)])[0]
        found.append(Cloud(silhouette, Halves(scanned, seed).stability(k) if halves else 0.0))
    return Cloud(max(one.silhouette for one in found), max(one.stability for one in found))
