"""K-means for a scan over K: on coordinates, or on inner products where rows are wide and few.

Both spaces know a partition of their rows by its labels alone, so one may start from any partition, and both see the
rows centred and brought to variance 1 in all, which changes none of the criteria.
"""

from __future__ import annotations

import hashlib
import math
from typing import NamedTuple

import torch
from torch import Tensor

from ilk.choose.sketch import Sketch, sketch
from ilk.errors import NotEnoughImages
from ilk.vectors import Rows, group_sums, kmeans

__all__ = ["Coordinates", "Fit", "Pairs", "Space", "open_space"]

MOST_PAIRS = 8192  # rows whose inner products fit in 256 MiB
WIDE = 128  # columns from which inner products are the quicker form (measured: equal at about 100)
MANY = 20_000
_MAX_ITER = 300
_POWER = 8
_PART = 256


class Fit(NamedTuple):
    """A partition: labels (n,) int64 from 0 to k - 1, none empty, and squared distances (n,) to the own mean."""

    labels: Tensor
    own: Tensor
    k: int

    @property
    def inertia(self) -> float:
        """Sum of squared distances to the own mean."""
        return float(self.own.sum(dtype=torch.float64))


class Coordinates:
    """Rows (n, d) float32, centred and scaled, and which of them are equal: ids (n,) int64."""

    def __init__(self, x: Tensor, ids: Tensor) -> None:
        self.x, self.ids = x, ids

    def __len__(self) -> int:
        return len(self.x)

    def total(self) -> float:
        """Return the sum of squared distances to the mean of all rows."""
        return float((self.x.double() - self.x.double().mean(0)).square_().sum())

    def take(self, index: Tensor) -> Space:
        """Return the space of the rows at `index`."""
        x, ids = self.x[index], self.ids[index]
        wide = x.shape[1] > WIDE and len(x) <= MOST_PAIRS
        return Pairs(x @ x.T, ids) if wide else Coordinates(x, ids)

    def lloyd(self, labels: Tensor, k: int, max_iter: int = _MAX_ITER) -> Fit:
        """Iterate from the means of a partition until they rest."""
        return self._fit(kmeans(self.x, k, init=self._means(self.x, labels, k), max_iter=max_iter).labels, k)

    def fresh(self, k: int, generator: torch.Generator) -> Fit:
        """Iterate from a k-means++ start; of many rows, a sample comes to rest first."""
        init: str | Tensor = "k-means++"
        if len(self) > MANY:
            sample = torch.randperm(len(self), generator=generator, device=generator.device)[: MANY // 2]
            some = self.x[sample.to(self.x.device)]
            if len(torch.unique(self.ids[sample.to(self.ids.device)])) > k:
                init = kmeans(some, k, generator=generator, max_iter=_MAX_ITER).centers
        return self._fit(kmeans(self.x, k, init=init, generator=generator, max_iter=_MAX_ITER).labels, k)

    def best(self, k: int, warm: Tensor | None, count: int, generator: torch.Generator) -> Fit:
        """Return the best of `count` fresh starts and, where there is one, the partition `warm`; all come to rest."""
        found = [] if warm is None else [self.lloyd(warm, k)]
        found += [self.fresh(k, generator) for _ in range(count)]
        return min(found, key=lambda fit: fit.inertia)

    def halve(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Return two groups of some rows, from the sides of their first principal axis: label, squared distance."""
        part = Coordinates(self.x[rows], self.ids[rows])
        side = (part.axis() > 0).long()
        if not 0 < int(side.sum()) < len(rows):
            return side, part.x.new_zeros(len(rows))
        two = part.lloyd(side, 2, max_iter=10)
        return two.labels, two.own

    @staticmethod
    def _means(x: Tensor, labels: Tensor, k: int) -> Tensor:
        sums = torch.zeros(k, x.shape[1], dtype=torch.float64, device=x.device)
        for start in range(0, len(x), 1 << 16):  # float32 inside a block, float64 between blocks
            sums += group_sums(x[start : start + (1 << 16)], labels[start : start + (1 << 16)], k)
        return (sums / torch.bincount(labels, minlength=k).clamp_min(1)[:, None]).to(x.dtype)

    def _fit(self, labels: Tensor, k: int) -> Fit:
        offset = self.x - self._means(self.x, labels, k)[labels]
        return Fit(labels, offset.square_().sum(1), k)

    def axis(self) -> Tensor:
        """Return the positions (n,) of the rows along their first principal axis."""
        x = self.x - self.x.mean(0)
        scores = x @ x[(x * x).sum(1).argmax()]
        for _ in range(_POWER):
            direction = x.T @ scores
            scores = x @ (direction / direction.norm().clamp_min(1e-30))
        return scores

    def squared(self, rows: Tensor, to: Tensor) -> Tensor:
        """Return squared distances (len(rows), len(to)) between rows."""
        precise = torch.float64 if self.x.shape[1] <= WIDE else torch.float32
        left, right = self.x[rows].to(precise), self.x[to].to(precise)
        square = (left * left).sum(1, keepdim=True) + (right * right).sum(1)
        return square.addmm_(left, right.T, alpha=-2).clamp_(min=0).float()

    def between(self, fit: Fit) -> Tensor:
        """Return squared distances (k, k) between the means."""
        means = self._means(self.x, fit.labels, fit.k).double()
        apart: Tensor = torch.cdist(means, means, compute_mode="donot_use_mm_for_euclid_dist")
        return apart.square_()

    def seen(self, index: Tensor, rows: Tensor) -> Tensor:
        """Return what the space of the rows `index` needs to `assign` the rows `rows`."""
        return self.x[rows]

    def assign(self, labels: Tensor, k: int, seen: Tensor) -> Tensor:
        """Return for each seen row the nearest mean of a partition of these rows."""
        means = self._means(self.x, labels, k)
        return ((means * means).sum(1) - 2 * seen @ means.T).argmin(1)

    def spread(self, rows: Tensor) -> Tensor:
        """Return the variances of `rows` along their principal axes."""
        x = self.x[rows].double()
        x -= x.mean(0)
        inner = x.T @ x if x.shape[1] < len(x) else x @ x.T
        return _variances(inner / len(x))


class Pairs:
    """Inner products (n, n) float32 of centred and scaled rows.

    The squared distance to the mean of a group is ``G_ii − 2 Σ_j G_ij / m + Σ_jl G_jl / m²`` over its m members, so an
    iteration costs n·k and one row of G for each row that changed its group: the width of the rows plays no part.
    """

    def __init__(self, gram: Tensor, ids: Tensor, narrow: Sketch | None = None) -> None:
        self.gram, self.ids = gram, ids
        self.square = gram.diagonal().clone()
        self.narrow = sketch(gram) if narrow is None else narrow

    def __len__(self) -> int:
        return len(self.gram)

    def total(self) -> float:
        """Return the sum of squared distances to the mean of all rows."""
        return float(self.square.sum(dtype=torch.float64) - self.gram.sum(dtype=torch.float64) / len(self))

    def take(self, index: Tensor) -> Space:
        """Return the space of the rows at `index`."""
        return Pairs(self.gram[index][:, index], self.ids[index], self.narrow.take(index))

    def lloyd(self, labels: Tensor, k: int, max_iter: int = _MAX_ITER) -> Fit:
        """Iterate from the means of a partition until they rest."""
        labels, every = labels.clone(), torch.arange(len(labels), device=labels.device)
        sums = group_sums(self.gram, labels, k)
        for _ in range(max_iter):
            counts = torch.bincount(labels, minlength=k)
            inner = (self._inner(sums[labels, every], labels, k) / counts**2).float()
            offset = torch.addcmul(inner[:, None], sums, (-2 / counts).float()[:, None])  # ‖x − mean‖² less ‖x‖²
            found = offset.min(0).indices  # argmin(0) takes five times as long
            _fill_empty(found, offset[found, every] + self.square, k)
            moved = (found != labels).nonzero()[:, 0]
            if not len(moved):
                break
            if 2 * len(moved) < len(labels):
                rows = self.gram[moved]
                sums.index_add_(0, labels[moved], rows, alpha=-1).index_add_(0, found[moved], rows)
            else:
                sums = group_sums(self.gram, found, k)
            labels = found
        counts = torch.bincount(labels, minlength=k)
        own = sums[labels, every].double()
        square = self.square.double() - 2 * own / counts[labels] + (self._inner(own, labels, k) / counts**2)[labels]
        square[(counts == 1)[labels]] = 0.0
        return Fit(labels, square.clamp_(min=0).float(), k)

    def fresh(self, k: int, generator: torch.Generator) -> Fit:
        """Iterate from a greedy k-means++ start, first in the sketch and then here."""
        return self.best(k, None, 1, generator)

    def best(self, k: int, warm: Tensor | None, count: int, generator: torch.Generator) -> Fit:
        """Let `count` fresh starts and the partition `warm` race in the sketch; the best of them comes to rest here."""
        labels, own = self.narrow.race(k, warm, count, generator)
        _fill_empty(labels, own, k)
        return self.lloyd(labels, k)

    def halve(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Return two groups of some rows, from the sides of their first principal axis: label, squared distance."""
        return self.narrow.take(rows).halve()

    def squared(self, rows: Tensor, to: Tensor) -> Tensor:
        """Return squared distances (len(rows), len(to)) between rows."""
        inner = self.gram[to][:, rows].T.contiguous()  # symmetric: whole rows first
        return inner.mul_(-2).add_(self.square[rows, None]).add_(self.square[to]).clamp_(min=0)

    def between(self, fit: Fit) -> Tensor:
        """Return squared distances (k, k) between the means."""
        counts = torch.bincount(fit.labels, minlength=fit.k).double()
        sums = group_sums(self.gram, fit.labels, fit.k)
        inner = group_sums(sums.T.contiguous().double(), fit.labels, fit.k) / counts / counts[:, None]
        square = inner.diagonal()
        apart: Tensor = square + square[:, None] - 2 * inner
        return apart.clamp_(min=0).fill_diagonal_(0)

    def seen(self, index: Tensor, rows: Tensor) -> Tensor:
        """Return what the space of the rows `index` needs to `assign` the rows `rows`."""
        return self.gram[index][:, rows]

    def assign(self, labels: Tensor, k: int, seen: Tensor) -> Tensor:
        """Return for each seen row the nearest mean of a partition of these rows."""
        counts = torch.bincount(labels, minlength=k)
        own = group_sums(self.gram, labels, k)[labels, torch.arange(len(labels), device=labels.device)]
        inner = self._inner(own, labels, k)
        offset = (inner / counts**2).float()[:, None] - group_sums(seen, labels, k) * (2 / counts)[:, None]
        return offset.min(0).indices

    @staticmethod
    def _inner(own: Tensor, labels: Tensor, k: int) -> Tensor:
        """Return the sum (k,), float64, of all inner products inside each group, from the sum in its own by row."""
        return torch.zeros(k, dtype=torch.float64, device=own.device).index_add_(0, labels, own.double())

    def spread(self, rows: Tensor) -> Tensor:
        """Return the variances of `rows` along their principal axes."""
        inner = self.gram[rows][:, rows].double()
        inner = inner - inner.mean(0) - inner.mean(1, keepdim=True) + inner.mean()
        return _variances(inner / len(inner))


Space = Coordinates | Pairs


def _variances(covariance: Tensor) -> Tensor:
    found: Tensor = torch.linalg.eigvalsh(covariance)
    return found.clamp_(min=0)


def _fill_empty(labels: Tensor, cost: Tensor, k: int) -> None:
    """Give each empty group the row of largest `cost` that is not alone in its own; changes `labels` and `cost`."""
    counts = torch.bincount(labels, minlength=k)
    for group in (counts == 0).nonzero()[:, 0].tolist():
        cost[(counts == 1)[labels]] = -torch.inf
        far = cost.argmax()
        counts[labels[far]] -= 1
        counts[group], labels[far] = 1, group


def open_space(rows: Rows) -> Space:
    """Return the rows as a space: inner products where they are wide and few, coordinates elsewhere.

    Raises
    ------
    DataError
        If a value is NaN or infinite.
    NotEnoughImages
        If all rows are equal.
    """
    mean, variance = rows.moments("features")
    scale = math.sqrt(variance * rows.width)
    if not scale > 0:
        raise NotEnoughImages(
            "1 distinct image(s): too few to choose a number of groups. Give at least 3, or set K with -k."
        )
    wide = rows.width > WIDE and len(rows) <= MOST_PAIRS
    step = rows.step(rows.width, None)
    keys = []
    out = torch.empty(len(rows), len(rows) if wide else rows.width, device=rows.device)
    for start, stop, block in rows.blocks(step):
        x = _scaled(block, mean, scale)
        keys.append(x.view(torch.int32).sum(1, dtype=torch.int64))  # exact, so equal where rows are
        if not wide:
            out[start:stop] = x
            continue
        _half_product(x, out[start:stop, start:stop])
        for first, last, other in rows.blocks(step):
            if first >= start:
                break
            inner = x @ _scaled(other, mean, scale).T
            out[start:stop, first:last], out[first:last, start:stop] = inner, inner.T
    same = _number(rows, torch.cat(keys), mean, scale)
    return Pairs(out, same) if wide else Coordinates(out, same)


def _scaled(block: Tensor, mean: Tensor, scale: float) -> Tensor:
    # the same whatever type the rows came in; float32 costs half on wide rows, but could overflow on the way
    block = block.float() if block.shape[1] > WIDE and 1e-18 < scale < 1e18 else block.double()
    return ((block - mean.to(block.dtype)) / scale).float().add_(0.0)  # + 0.0: no negative zeros


def _half_product(x: Tensor, out: Tensor) -> None:
    """Write ``x @ x.T`` to `out`; of what is equal on both sides of the diagonal, little is computed twice."""
    for start in range(0, len(x), _PART):
        stop = min(start + _PART, len(x))
        out[start:stop, :stop] = x[start:stop] @ x[:stop].T
        out[:start, start:stop] = out[start:stop, :start].T


def _number(rows: Rows, keys: Tensor, mean: Tensor, scale: float) -> Tensor:
    """Return numbers (n,) from 0 up, the same for equal rows. Only rows that share their key are hashed as a whole."""
    numbers: Tensor
    _, numbers, counts = torch.unique(keys, return_inverse=True, return_counts=True)
    shared = (counts[numbers] > 1).nonzero()[:, 0]
    if not len(shared):
        return numbers
    known: dict[bytes, int] = {}
    found = []
    for some in shared.split(rows.step(rows.width, None)):
        x = _scaled(rows.take(some), mean, scale).cpu().contiguous().numpy()
        found += [known.setdefault(_digest(row), len(keys) + len(known)) for row in x]
    numbers[shared] = torch.tensor(found, device=numbers.device)
    again: Tensor = torch.unique(numbers, return_inverse=True)[1]
    return again


def _digest(row: object) -> bytes:
    return hashlib.blake2b(row, digest_size=16).digest()  # type: ignore[arg-type]
