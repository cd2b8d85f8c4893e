"""The exact search for nearest neighbours: products of blocks, the best few measured by differences."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from ilk.errors import ArgumentError, NotEnoughImages
from ilk.vectors.rows import Matrix, Rows, check_count

__all__ = ["SPARE", "Known", "check", "columns_of", "measure", "search", "smallest"]

_METRICS = ("euclidean", "cosine")
SPARE = 8  # candidates beyond n_neighbors that are measured accurately as well
_GROUP = 32  # columns whose minimum stands for them in the first round of the selection


@dataclass(frozen=True)
class Known:
    """A checked reference, and its columns for the products: made block by block, or kept."""

    rows: Rows
    origin: Tensor
    chunk_bytes: int | None
    kept: list[tuple[int, int, Tensor]] | None = None

    @classmethod
    def of(cls, reference: Matrix, metric: str, chunk_bytes: int | None) -> Known:
        """Check `reference` and its metric, and make it ready."""
        if metric not in _METRICS:
            raise ArgumentError(f"metric={metric!r}: must be one of {', '.join(map(repr, _METRICS))}")
        rows = Rows.of(reference, "reference", normalize=metric == "cosine")
        mean = rows.moments("reference")[0].to(rows.dtype)
        return cls(rows, torch.zeros_like(mean) if rows.normalize else mean, chunk_bytes)

    def blocks(self) -> Iterable[tuple[int, int, Tensor]]:
        """Yield (first, last, columns (d + 1, ·) of the rows first … last − 1)."""
        if self.kept is not None:
            return self.kept
        width = self.rows.step(max(self.rows.width + 1, 2 * _GROUP), self.chunk_bytes)
        return (
            (first, last, columns_of(block - self.origin, self.rows.normalize))
            for first, last, block in self.rows.blocks(width)
        )


def check(queries: Matrix, known: Known, n_neighbors: int, exclude_self: bool) -> Rows:
    """Return the checked queries.

    Raises
    ------
    ArgumentError, NotEnoughImages
    """
    k = check_count(n_neighbors, "n_neighbors")
    asked = Rows.of(queries, "queries", normalize=known.rows.normalize)
    if asked.width != known.rows.width or asked.device != known.rows.device:
        raise ArgumentError(
            f"queries are {asked.width} wide on {asked.device}, "
            f"reference is {known.rows.width} wide on {known.rows.device}"
        )
    least = k + int(exclude_self)
    if least > len(known.rows):
        raise NotEnoughImages(f"n_neighbors={k} needs at least {least} rows, reference has {len(known.rows)}")
    return asked


def search(asked: Rows, known: Known, k: int, exclude_self: bool) -> tuple[Tensor, Tensor]:
    """Return index and distance of the k nearest."""
    candidates = _candidates(asked, known, min(k + SPARE, len(known.rows) - int(exclude_self)), exclude_self)
    return measure(asked, known.rows, candidates, k, known.chunk_bytes)


def _candidates(asked: Rows, reference: Known, k: int, exclude_self: bool) -> Tensor:
    """Return the k nearest (m, k) up to rounding, in no order."""
    known, origin, chunk_bytes = reference.rows, reference.origin, reference.chunk_bytes
    best = torch.full((len(asked), k), torch.inf, dtype=known.dtype, device=known.device)
    index = torch.zeros((len(asked), k), dtype=torch.int64, device=known.device)
    for first, last, columns in reference.blocks():
        step = asked.step(columns.shape[1] + known.width + 1, chunk_bytes)
        buffer = columns.new_empty(step, columns.shape[1])
        for start, stop, rows in asked.blocks(step):
            rows = torch.nn.functional.pad((rows - origin).to(known.dtype) * -2, (0, 1), value=1.0)
            score = torch.mm(rows, columns, out=buffer[: stop - start])
            low, high = max(start, first), min(stop, last)
            if exclude_self and low < high:
                own = torch.arange(low, high, device=known.device)
                score[own - start, own - first] = torch.inf
            values, found = smallest(score, min(k, last - first))
            if first:
                values = torch.cat([best[start:stop], values], 1)
                found = torch.cat([index[start:stop], found + first], 1)
                values, order = values.topk(k, 1, largest=False, sorted=False)
                found = found.gather(1, order)
            best[start:stop, : values.shape[1]] = values
            index[start:stop, : values.shape[1]] = found
    return index


def columns_of(block: Tensor, unit: bool) -> Tensor:
    """Return (d + 1, columns): the rows of `block` over ‖y‖² (1 if `unit`), padded with infinitely far columns."""
    size = -(-len(block) // _GROUP) * _GROUP
    columns = block.new_zeros(block.shape[1] + 1, size)
    columns[:-1, : len(block)] = block.T
    columns[-1] = torch.inf
    columns[-1, : len(block)] = 1.0 if unit else (block * block).sum(1)
    return columns


def smallest(score: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Return the k smallest values of each row (q, k) and their columns, in no order."""
    groups = score.shape[1] // _GROUP
    if groups <= 2 * k:
        values, found = score.topk(k, 1, largest=False, sorted=False)
        return values, found
    least = score.view(-1, _GROUP, groups).amin(1)  # group g: columns g, g + groups, g + 2·groups …
    chosen = least.topk(k, 1, largest=False, sorted=False)[1]
    columns = (chosen[:, :, None] + torch.arange(_GROUP, device=score.device) * groups).flatten(1)
    values, order = score.gather(1, columns).topk(k, 1, largest=False, sorted=False)
    return values, columns.gather(1, order)


def measure(asked: Rows, known: Rows, candidates: Tensor, k: int, chunk_bytes: int | None) -> tuple[Tensor, Tensor]:
    """Return the k nearest of `candidates` (m, c) and their distances, by differences and in order."""
    index = torch.empty((len(asked), k), dtype=torch.int64, device=known.device)
    distance = torch.empty((len(asked), k), dtype=torch.float32, device=known.device)
    count = candidates.shape[1]
    for start, stop, rows in asked.blocks(asked.step(2 * count * known.width, chunk_bytes)):
        chosen = candidates[start:stop].sort(1)[0]
        points = known.take(chosen.flatten()).view(len(rows), count, -1)
        square = (points - rows[:, None]).square().sum(2)
        if known.normalize:
            void = (rows == 0).all(1)[:, None] | (points == 0).all(2)
            square = torch.where(void, 1.0, square / 2)
        else:
            square = square.sqrt()
        values, order = square.sort(dim=1, stable=True)
        distance[start:stop] = values[:, :k]
        index[start:stop] = chosen.gather(1, order[:, :k])
    return index, distance
