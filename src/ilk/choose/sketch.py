"""A narrow copy of wide rows, in which many K-means starts run at the price of one.

The cost of a K-means partition hardly changes when the rows are projected on their leading principal subspace (Cohen et
al., "Dimensionality reduction for k-means clustering and low rank approximation", 2015). So starts race there, and
only the winner is brought to rest among the rows themselves.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

__all__ = ["Sketch", "sketch"]

WIDTH = 48
_SEED = 0
_TOLERANCE = 1e-4  # of the inertia; what is left to gain is gained among the rows themselves
_MAX_ITER = 100
_POWER = 8
_CELLS = 1 << 22  # numbers in one array (starts, k, n): 16 MiB


class Sketch(NamedTuple):
    """Positions x (n, w) float32 of rows, and the squared length (n,) of what each leaves outside."""

    x: Tensor
    outside: Tensor

    def take(self, index: Tensor) -> Sketch:
        """Return the sketch of the rows at `index`."""
        return Sketch(self.x[index], self.outside[index])

    def means(self, labels: Tensor, k: int) -> Tensor:
        """Return the means (k, w) of a partition without empty groups."""
        sums = _with_ones(self.x).new_zeros(k, self.x.shape[1] + 1).index_add_(0, labels, _with_ones(self.x))
        return sums[:, :-1] / sums[:, -1:]

    def draw(self, k: int, count: int, generator: torch.Generator) -> Tensor:
        """Return `count` greedy k-means++ starts (count, k, w).

        Each time the best of 2 + log k draws ∝ squared distance.
        """
        x, n, trials = self.x, len(self.x), 2 + int(math.log(k))
        draws = torch.rand(k, count, trials, generator=generator, device=generator.device).to(x.device)
        square, start = (x * x).sum(1), torch.arange(count, device=x.device)
        centers = x.new_empty(count, k, x.shape[1])
        centers[:, 0] = x[(draws[0, :, 0] * n).long().clamp_(max=n - 1)]
        closest = (x - centers[:, :1]).square_().sum(2)
        for number in range(1, k):
            steps = closest.cumsum(1, dtype=torch.float64)
            picked = torch.searchsorted(steps, draws[number] * steps[:, -1:], right=True).clamp_(max=n - 1)
            flat = picked.view(-1)
            distance = torch.addmm(square, x[flat], x.T, alpha=-2).add_(square[flat, None]).view(count, trials, n)
            distance = torch.minimum(distance.clamp_(min=0), closest[:, None])
            best = distance.sum(2).argmin(1)
            closest, centers[:, number] = distance[start, best], x[picked[start, best]]
        return centers

    def converge(self, centers: Tensor, max_iter: int = _MAX_ITER) -> tuple[Tensor, Tensor]:
        """Iterate from starts (s, k, w) and return, of the best, labels (n,) and squared distances (n,).

        A group may come out empty.
        """
        _, k, width = centers.shape
        ones, before = _with_ones(self.x), None
        rest = (self.x * self.x).sum(1) + self.outside
        for _ in range(max_iter):
            flat = centers.reshape(-1, width)
            offset = torch.addmm((flat * flat).sum(1, keepdim=True), flat, self.x.T, alpha=-2).view(-1, k, len(self.x))
            nearest = offset.amin(1, keepdim=True)  # a twentieth of the time of min(1), which also says where
            inertia = nearest.sum((1, 2)) + rest.sum()
            if before is not None and bool((before - inertia <= _TOLERANCE * inertia).all()):
                break
            before = inertia
            sums = ((offset == nearest).to(ones.dtype).view(-1, len(ones)) @ ones).view(-1, k, width + 1)
            counts = sums[:, :, width:]
            centers = torch.where(counts > 0, sums[:, :, :width] / counts.clamp_min(1), centers)
        best = inertia.argmin()
        return offset[best].min(0).indices, (nearest[best, 0] + rest).clamp_(min=0)

    def race(self, k: int, warm: Tensor | None, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Return labels (n,) and squared distances (n,) of the best among `warm` and `count` fresh starts."""
        found = [] if warm is None else [self.converge(self.means(warm, k)[None])]
        most = max(1, _CELLS // (k * len(self.x)))
        while count > 0:
            found.append(self.converge(self.draw(k, min(count, most), generator)))
            count -= most
        return min(found, key=lambda one: float(one[1].sum()))

    def halve(self) -> tuple[Tensor, Tensor]:
        """Return side (n,), 0 or 1, and squared distance (n,): two groups from the sides of the first axis."""
        x = self.x - self.x.mean(0)
        scores = x @ x[(x * x).sum(1).argmax()]
        for _ in range(_POWER):
            scores = x @ torch.nn.functional.normalize(x.T @ scores, dim=0, eps=1e-30)
        side = (scores > 0).long()
        if not 0 < int(side.sum()) < len(side):
            return side, self.outside
        return self.converge(self.means(side, 2)[None], 10)


def sketch(gram: Tensor) -> Sketch:
    """Return the sketch of rows of which the inner products (n, n) are known.

    A random subspace, drawn twice towards the leading one by the inner products, and the Nyström approximation on it:
    three products of (n, n) with (n, 48).
    """
    n = len(gram)
    width = min(WIDTH, n)
    start = torch.randn(n, width, generator=torch.Generator().manual_seed(_SEED)).to(gram.device)
    basis = torch.linalg.qr(gram @ start)[0]
    image = gram @ basis
    values, vectors = torch.linalg.eigh((basis.T @ image).double())
    keep = values > 1e-6 * values[-1]
    x = image @ (vectors[:, keep] / values[keep].sqrt()).to(gram.dtype)
    return Sketch(x, (gram.diagonal() - (x * x).sum(1)).clamp_(min=0))


def _with_ones(x: Tensor) -> Tensor:
    return torch.nn.functional.pad(x, (0, 1), value=1.0)
