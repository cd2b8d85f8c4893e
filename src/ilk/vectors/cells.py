"""Approximate neighbours of new rows: the reference in cells around centres, of which the nearest few are searched."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ilk.vectors.exact import SPARE, Known, columns_of, measure, search, smallest
from ilk.vectors.kmeans import kmeans
from ilk.vectors.repeats import repeats
from ilk.vectors.rows import Matrix, Rows

__all__ = ["Cells"]

_PER_CENTER = 50  # rows that a centre is fitted to
_STEPS = 10
_TRIED = 500  # rows that the number of cells to search is found on
_WANTED = 0.995  # recall that ends that search
_MOST = 512  # cells of a search
_BATCH = 8192


@dataclass(frozen=True)
class Cells:
    """Which cell every row of a reference lies in. It is data: arrays and two numbers.

    Attributes
    ----------
    centers : Tensor (c, d) float32
    of : Tensor (n,) int32
        Cell of every row.
    probes : int
        How many cells are searched for the neighbours of a row.
    recall : float
        The share of the 15 nearest rows that are found so, measured when the cells were made.
    """

    centers: Tensor
    of: Tensor
    probes: int
    recall: float

    @classmethod
    def fit(cls, known: Known, seed: int = 0) -> Self:
        """Lay out 2·√n cells by K-means on 50 rows for each, and find out how many of them to search.

        Cost for n × d: 4·n^1.5·d FLOPs.
        """
        rows = known.rows
        n = len(rows)
        count = max(1, min(n, round(2 * n**0.5)))
        random = np.random.default_rng(seed)
        drawn = np.sort(random.choice(n, min(n, _PER_CENTER * count), replace=False))
        sample = rows.take(torch.from_numpy(drawn)).float() + 0.0
        start = sample[torch.from_numpy(repeats(sample.numpy())[0])]
        start = start[torch.from_numpy(np.sort(random.choice(len(start), min(count, len(start)), replace=False)))]
        centers = kmeans(
            sample, len(start), init=start, max_iter=_STEPS, empty="keep", spherical=rows.normalize
        ).centers.float()
        found = cls(centers, _nearest(rows, centers), 1, 1.0)
        tried = rows.take(torch.from_numpy(np.sort(random.choice(n, min(n, _TRIED), replace=False))))
        asked, k = Rows(tried, rows.normalize), min(16, n)
        true = search(asked, known, k, False)[1]
        probes, reached, searcher = 8, 0.0, Searcher(found, known)
        while True:
            probes = min(probes, len(centers))
            away = searcher(asked, k, probes)[1]
            hits = (away <= true[:, -1:] * (1 + 1e-5) + 1e-12).float()[:, min(1, k - 1) :]  # not the row itself
            reached = float(hits.mean())
            if reached >= _WANTED or probes >= min(_MOST, len(centers)):
                return cls(centers, found.of, probes, reached)
            probes *= 2

    @classmethod
    def of_rows(cls, reference: Matrix, *, metric: str = "euclidean", seed: int = 0) -> Self:
        """Return `fit` of the rows of `reference` (n, d) float."""
        return cls.fit(Known.of(reference, metric, None), seed)

    def searcher(self, known: Known) -> Searcher:
        """Return the search among the rows of `known`, which these cells are of."""
        return Searcher(self, known)

    def state(self) -> dict[str, Any]:
        """Return arrays and plain values."""
        return {
            "centers": self.centers.numpy(),
            "of": self.of.numpy(),
            "probes": self.probes,
            "recall": round(self.recall, 4),
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any], shape: tuple[int, int]) -> Self:
        """Rebuild the cells of a reference of `shape` (n, d); ValueError where they cannot be that."""
        centers, of = np.array(state["centers"], np.float32), np.array(state["of"], np.int32)
        probes, recall = int(state["probes"]), float(state["recall"])
        fits = centers.ndim == 2 and len(centers) and centers.shape[1] == shape[1] and of.shape == (shape[0],)
        fits = fits and np.isfinite(centers).all() and of.min() >= 0 and of.max() < len(centers)
        if not fits or not 1 <= probes <= len(centers) or not 0 <= recall <= 1:
            raise ValueError(f"cells {centers.shape} of {of.shape} rows, {probes} searched, for rows of {shape}")
        return cls(torch.from_numpy(centers), torch.from_numpy(of), probes, recall)


class Searcher:
    """A search in cells: their rows side by side, ready for products. Several threads may ask at once."""

    def __init__(self, cells: Cells, known: Known) -> None:
        self.cells, self.known = cells, known
        self.members = torch.from_numpy(np.argsort(cells.of.numpy(), kind="stable"))
        counts = np.bincount(cells.of.numpy(), minlength=len(cells.centers))
        self.bounds: npt.NDArray[np.int64] = np.concatenate([[0], np.cumsum(counts)])
        self.centers = columns_of((cells.centers - known.origin).float(), known.rows.normalize)
        self.columns = [
            columns_of(known.rows.take(self.members[start:stop]) - known.origin, known.rows.normalize)
            for start, stop in zip(self.bounds, self.bounds[1:], strict=False)
        ]

    def __call__(self, asked: Rows, k: int, probes: int | None = None) -> tuple[Tensor, Tensor]:
        """Return index and distance (m, k) of the k nearest rows in the nearest cells."""
        known, rows = self.known, self.known.rows
        probes = self.cells.probes if probes is None else probes
        index = torch.empty((len(asked), k), dtype=torch.int64)
        distance = torch.empty((len(asked), k), dtype=torch.float32)
        for start, stop, block in asked.blocks(min(_BATCH, len(asked))):
            some, missed = self._candidates(block, min(k + SPARE, len(rows)), min(probes, len(self.columns)))
            mine = Rows(block, rows.normalize)
            index[start:stop], distance[start:stop] = measure(mine, rows, some, k, known.chunk_bytes)
            if len(missed):  # the nearest cells hold too few rows
                near = search(Rows(block[missed], rows.normalize), known, k, False)
                index[start + missed], distance[start + missed] = near
        return index, distance

    def _candidates(self, block: Tensor, k: int, probes: int) -> tuple[Tensor, Tensor]:
        """Return the k nearest (b, k) in the nearest cells, in no order, and the rows for which there are fewer."""
        b = len(block)
        rows = torch.nn.functional.pad((block - self.known.origin).to(block.dtype) * -2, (0, 1), value=1.0)
        near = smallest(rows @ self.centers, probes)[1]
        pairs = near.flatten().argsort(stable=True)
        counts = np.bincount(near.flatten().numpy(), minlength=len(self.columns))
        ends = np.cumsum(counts)
        values = torch.full((b * probes, k), torch.inf, dtype=rows.dtype)
        index = torch.zeros((b * probes, k), dtype=torch.int64)
        for cell in np.flatnonzero(counts):
            first, last = self.bounds[cell], self.bounds[cell + 1]
            if first == last:
                continue
            slots = pairs[ends[cell] - counts[cell] : ends[cell]]
            best, found = smallest(rows[slots // probes] @ self.columns[cell], min(k, int(last - first)))
            values[slots, : best.shape[1]] = best
            index[slots, : best.shape[1]] = self.members[first:last][found]
        values, order = values.view(b, -1).topk(k, 1, largest=False, sorted=False)
        return index.view(b, -1).gather(1, order), torch.isinf(values).any(1).nonzero()[:, 0]


def _nearest(rows: Rows, centers: Tensor) -> Tensor:
    known = Known.of(centers, "cosine" if rows.normalize else "euclidean", None)
    directions = columns_of(centers - known.origin, rows.normalize)
    of = torch.empty(len(rows), dtype=torch.int32)
    for start, stop, block in rows.blocks(rows.step(directions.shape[1] + rows.width, None)):
        shifted = torch.nn.functional.pad((block - known.origin).float() * -2, (0, 1), value=1.0)
        of[start:stop] = (shifted @ directions).argmin(1).int()
    return of
