"""Which images are near which: how many communities that makes, and how much of it a partition keeps together."""

from __future__ import annotations

import math
import statistics
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from ilk import compute
from ilk.choose.spaces import Pairs, Space
from ilk.errors import ArgumentError
from ilk.vectors import communities, modularity, neighbors, self_tuning

__all__ = ["Neighborhood", "Window"]

N_NEIGHBORS = 15
MOST_ROWS = 20_000  # of more, as many are drawn; a graph that is given is taken whole
LEAST_SHARE = 0.005  # of the rows; smaller communities are crumbs
# The window and the cut were set once, on the sets that docs/how-many-groups.md names, with their classes in sight.
LOWEST, HIGHEST = 0.4, 2.5
LOOSE = 0.01
_SCALE = 7  # neighbour whose distance is a row's own scale
_BLOCK = 512
_MANY = 20_000  # rows from which one run is steady enough

Neighbors = tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]


class Window(NamedTuple):
    """Numbers of groups that are in sight: from `low` to `high`, around the `number` of communities."""

    number: int
    low: int
    high: int

    def __contains__(self, k: object) -> bool:
        return isinstance(k, int) and self.low <= k <= self.high


class Neighborhood:
    """Affinities of the rows to their nearest neighbours, exp(−d² / (σᵢ σⱼ)), σ the distance to the seventh.

    Parameters
    ----------
    space
        The rows.
    graph : (index, distance), optional
        Neighbours of every row (n, k), from elsewhere; a row may be its own. By default the 15 nearest in `space`, of
        20,000 rows at most.
    seed : int

    Attributes
    ----------
    window : Window
        .4 to 2.5 times the number of communities at resolution 1; those of fewer than .5 % of the rows do not count.
        The median of three runs; of one, above 20,000 rows.

    Notes
    -----
    Without a `graph` 2·n²·d FLOPs. Per partition a look at every edge: 15 ms for 70,000 rows.
    """

    def __init__(self, space: Space, graph: Neighbors | None, seed: int) -> None:
        self.rows: npt.NDArray[np.int64] | None = None
        if graph is None:
            generator = compute.generator(seed)
            if len(space) > MOST_ROWS:
                drawn = torch.randperm(len(space), generator=generator, device=generator.device)[:MOST_ROWS]
                self.rows = drawn.sort()[0].cpu().numpy()
                space = space.take(drawn.sort()[0].to(space.ids.device))
            graph = _nearest(space)
        elif graph[0].shape != graph[1].shape or len(graph[0]) != len(space):
            raise ArgumentError(
                f"graph has the shapes {graph[0].shape} and {graph[1].shape}: both must be ({len(space)}, neighbours)."
            )
        self.affinity = _affinity(graph[0], graph[1])
        self.window = self._window(seed)

    def _window(self, seed: int) -> Window:
        n = self.affinity.shape[0]
        counts = []
        for run in range(3 if n <= _MANY else 1):
            sizes = np.bincount(communities(self.affinity, seed=seed + run))
            counts.append(int((sizes >= LEAST_SHARE * n).sum()))
        number = statistics.median_low(counts)
        return Window(number, max(2, math.ceil(LOWEST * number)), max(2, math.floor(HIGHEST * number)))

    def _own(self, labels: torch.Tensor) -> npt.NDArray[np.int64]:
        found: npt.NDArray[np.int64] = labels.cpu().numpy()
        return found if self.rows is None else found[self.rows]

    def modularity(self, labels: torch.Tensor) -> float:
        """Return the modularity of a partition (n,) of the rows, from −1 to 1."""
        return modularity(self.affinity, self._own(labels))

    def cut(self, labels: torch.Tensor) -> float:
        """Return the share of the affinities that join rows of different groups, from 0 to 1."""
        own, edges = self._own(labels), self.affinity.tocoo()
        return float(edges.data[own[edges.row] != own[edges.col]].sum() / edges.data.sum())


def _nearest(space: Space) -> Neighbors:
    k = min(N_NEIGHBORS, len(space) - 1)
    if isinstance(space, Pairs):
        index, distance = _nearest_by_products(space, k)
    else:
        index, distance = neighbors(space.x, space.x, k, exclude_self=True)
    return index.cpu().numpy(), distance.cpu().numpy()


def _nearest_by_products(space: Pairs, k: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the k nearest of every row but itself, from inner products that are there already."""
    indices, distances = [], []
    every = torch.arange(len(space), device=space.ids.device)
    for start in range(0, len(space), _BLOCK):
        some = every[start : start + _BLOCK]
        square = (-2 * space.gram[some]).add_(space.square)
        square[torch.arange(len(some), device=some.device), some] = torch.inf
        near, index = square.topk(k, 1, largest=False)
        indices.append(index)
        distances.append((near + space.square[some, None]).clamp_(min=0).sqrt_())
    return torch.cat(indices), torch.cat(distances)


def _affinity(index: npt.NDArray[np.int64], distance: npt.NDArray[np.float32]) -> Any:
    from scipy.sparse import csr_matrix

    n, k = index.shape
    rows, columns = np.repeat(np.arange(n), k), index.ravel()
    lengths = np.maximum(distance.ravel().astype(np.float64), np.finfo(np.float32).tiny)
    apart = rows != columns
    graph = csr_matrix((lengths[apart], (rows[apart], columns[apart])), shape=(n, n))
    own = int((index[:, 0] == np.arange(n)).all())  # the row itself is the first of its neighbours
    return self_tuning(graph.maximum(graph.T).tocsr(), distance[:, min(_SCALE - 1 + own, k - 1)])
