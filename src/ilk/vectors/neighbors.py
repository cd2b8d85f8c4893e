"""Nearest neighbours without a quadratic matrix: exact up to 100,000 rows, approximate above."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ilk.errors import ArgumentError
from ilk.vectors import descent
from ilk.vectors.cells import Cells, Searcher
from ilk.vectors.exact import Known, check, search
from ilk.vectors.rows import Matrix, Rows

__all__ = ["EXACT_UP_TO", "NeighborIndex", "is_exact", "nearest_of_many", "neighbors", "recall"]

EXACT_UP_TO = 100_000
"""Rows up to which every search on a CPU is exact. All neighbours of so many take some 44 s of one core; 1,000,000 take
100 times that, and an approximate search of these 100 s."""

_DRAWN = 1000  # rows that a recall is measured on


def is_exact(m: int, n: int, device: torch.device | str = "cpu") -> bool:
    """Return whether `neighbors` is exact for `m` queries among `n` rows where nothing else is asked for.

    It is up to 100,000 rows, for queries so few that it costs no more than that, and on a GPU.
    """
    return torch.device(device).type != "cpu" or n <= EXACT_UP_TO or m * n <= EXACT_UP_TO**2


def neighbors(
    queries: Matrix,
    reference: Matrix,
    n_neighbors: int,
    *,
    metric: str = "euclidean",
    exclude_self: bool = False,
    exact: bool | None = None,
    chunk_bytes: int | None = None,
) -> tuple[Tensor, Tensor]:
    """Return the `n_neighbors` rows of `reference` nearest to each row of `queries`, nearest first.

    Parameters
    ----------
    queries : Tensor or ndarray (m, d), float
    reference : Tensor or ndarray (n, d), float
    n_neighbors : int
    metric : {"euclidean", "cosine"}
        ``"cosine"`` is 1 − cosine, from 0 to 2; a row of zeros is at distance 1 from every row.
    exclude_self : bool
        Row i is no neighbour of row i, though its exact duplicates are; `queries` must be `reference`.
    exact : bool, optional
        None: what `is_exact` says; on a GPU always. `recall` measures how much an approximate search has found.
    chunk_bytes : int, optional
        Bound for each block of distances of an exact search; None: 16 MiB, on a GPU 256 MiB.

    Returns
    -------
    index : Tensor (m, n_neighbors) int64
    distance : Tensor (m, n_neighbors) float32
        Not squared; ascending, equal distances by ascending index. Computed from differences: 0 for exact duplicates.
        True distances of the rows that were found, where the search is approximate as well.

    Raises
    ------
    ArgumentError
        For an option outside of what is allowed, or widths that differ.
    NotEnoughImages
        If `reference` has fewer than `n_neighbors` rows (not counting the row itself with `exclude_self`).
    DataError
        If a value is NaN or infinite.

    Notes
    -----
    Exact: 2·m·n·d FLOPs, extra memory O(`chunk_bytes` + m·n_neighbors). A block of ‖y‖² − 2·x·y is one matrix product;
    its best columns come in two rounds: minima of groups of 32 columns, the best groups by `topk`, then `topk` inside
    these. That is exact, since the k smallest values lie in the k groups with the smallest minima. The n_neighbors + 8
    best are then measured by differences and sorted. Where more rows than that are equally far, which of them are kept
    is fixed, but not by index. 70,000 × 50 with 20 neighbours: about 5 s on two cores.

    Approximate: among the rows themselves (`queries` is `reference`) by `descent`, else by `cells`; on one thread, from
    fixed seeds: equal calls give equal bits. About 100 s of one core for 1,000,000 × 50 with 15 neighbours, and 30 s to
    compile.

    Examples
    --------
    >>> x = torch.tensor([[0.0], [1.0], [3.0]])
    >>> index, distance = neighbors(x, x, 1, exclude_self=True)
    >>> index[:, 0].tolist(), distance[:, 0].tolist()
    ([1, 0, 1], [1.0, 1.0, 2.0])
    """
    if exclude_self and queries is not reference:
        raise ArgumentError("exclude_self=True needs queries and reference to be the same object")
    known = Known.of(reference, metric, chunk_bytes)
    asked = check(queries, known, n_neighbors, exclude_self)
    if not exclude_self:
        asked.moments("queries")
    exact = is_exact(len(asked), len(known.rows), known.rows.device) if exact is None else exact
    if exact or known.rows.device.type != "cpu":
        return search(asked, known, n_neighbors, exclude_self)
    if queries is reference:
        return descent.search(known, n_neighbors, exclude_self, EXACT_UP_TO)
    return Cells.fit(known).searcher(known)(asked, n_neighbors)


Nearest = Callable[[NDArray[np.float32]], tuple[NDArray[Any], NDArray[Any]]]


def nearest_of_many(n: int, count: int = 15) -> Nearest | None:
    """Return what finds `count` of the nearest of each of `n` rows, arrays in and out; None where all may be looked at.

    For `ilk.near.lead`, which knows no torch and would hold each of 1,000,000 images against all others.
    """

    def nearest(rows: NDArray[np.float32]) -> tuple[NDArray[Any], NDArray[Any]]:
        index, distance = neighbors(rows, rows, min(count, n - 1), exclude_self=True)
        return index.numpy(), distance.numpy()

    return None if is_exact(n, n) else nearest


def recall(x: Matrix, distance: Tensor, *, metric: str = "euclidean", seed: int = 0) -> float:
    """Return the share of true neighbours that `neighbors(x, x, k, exclude_self=True)` has found, from 0 to 1.

    Parameters
    ----------
    x : Tensor or ndarray (n, d)
    distance : Tensor (n, k)
        Distances of what was found.
    metric, seed

    Notes
    -----
    Of 1,000 rows drawn at random, held against the exact search: 5 s of one core among 1,000,000 × 50. A row that is as
    far as the true last neighbour counts as found, whichever of equally far rows it is.
    """
    n, k = distance.shape
    drawn = np.sort(np.random.default_rng(seed).choice(n, min(n, _DRAWN), replace=False))
    rows = Rows.of(x).take(torch.from_numpy(drawn))
    true = neighbors(rows, x, k + 1, metric=metric, exact=True)[1]  # the first is the row itself, or its duplicate
    return float((distance[drawn] <= true[:, -1:] * (1 + 1e-5)).float().mean())


class NeighborIndex:
    """The same search for few rows at a time: what it takes of the reference is made ready once.

    Parameters
    ----------
    reference : Tensor or ndarray (n, d), float
    metric : {"euclidean", "cosine"}
    cells : Cells, optional
        Of the reference, from elsewhere: no search is exact then. None: searches are exact but for many rows at a time
        among more than 100,000 (see `is_exact`), for which cells are made once.

    Attributes
    ----------
    exact : bool
        Whether all searches so far were exact, and the next one will be unless it is a large one.
    recall : float or None
        The share of true neighbours found, where searches are approximate, as measured when the cells were made.

    Notes
    -----
    Holds (d + 1)·n numbers beside the reference, which must not change; twice as many where both kinds of search are
    used. One query among 70,000 × 50 takes about 3 ms on two cores, most of it for reading these. Several threads may
    ask at once.

    Examples
    --------
    >>> index = NeighborIndex(torch.tensor([[0.0], [1.0], [3.0]]))
    >>> [found.tolist() for found in index(torch.tensor([[2.5]]), 2)]
    [[[2, 1]], [[0.5, 1.5]]]
    """

    def __init__(self, reference: Matrix, *, metric: str = "euclidean", cells: Cells | None = None) -> None:
        self._known = Known.of(reference, metric, None)
        self._cells = cells
        if cells is None:
            self._ready  # noqa: B018 - a fault in the reference is named now, and the first query waits for nothing

    def __len__(self) -> int:
        return len(self._known.rows)

    @property
    def exact(self) -> bool:
        """Whether no search was approximate yet."""
        return self._cells is None

    @property
    def recall(self) -> float | None:
        """The share of true neighbours found."""
        return None if self._cells is None else self._cells.recall

    def __call__(self, queries: Matrix, n_neighbors: int) -> tuple[Tensor, Tensor]:
        """Return what `neighbors` returns, and raise as it does."""
        asked = check(queries, self._known, n_neighbors, False)
        asked.moments("queries")
        if self._cells is None and is_exact(len(asked), len(self), self._known.rows.device):
            return search(asked, self._ready, n_neighbors, False)
        return self._searcher(asked, n_neighbors)

    @functools.cached_property
    def _ready(self) -> Known:
        return replace(self._known, kept=list(self._known.blocks()))

    @functools.cached_property
    def _searcher(self) -> Searcher:
        self._cells = self._cells or Cells.fit(self._known)
        return self._cells.searcher(self._known)
