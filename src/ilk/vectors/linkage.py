"""Agglomeration on a directed neighbour graph: groups are merged by the paths that lead between them and back."""

from __future__ import annotations

import heapq
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["Linkage", "chains", "neighbor_weights"]

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


def neighbor_weights(index: Ints, distance: npt.NDArray[Any], scale: float = 1.0) -> Any:
    """Return the directed graph of weights exp(−d² / σ²) as a sparse matrix (n, n).

    Parameters
    ----------
    index, distance : (n, k)
        Neighbours of every row, itself not among them.
    scale : float
        σ² is `scale` times the mean of all d².

    Examples
    --------
    >>> w = neighbor_weights(np.array([[1], [0]]), np.array([[2.0], [2.0]]))
    >>> w.toarray().round(4).tolist()
    [[0.0, 0.3679], [0.3679, 0.0]]
    """
    from scipy.sparse import csr_matrix

    n, k = index.shape
    square = np.square(distance.astype(np.float64))
    width = max(scale * float(square.mean()), 1e-12)
    rows = np.repeat(np.arange(n), k)
    return csr_matrix((np.exp(-square / width).ravel(), (rows, index.ravel())), shape=(n, n))


def chains(index: Ints) -> Ints:
    """Return groups (n,) of rows that are tied by nearest neighbours: many, each of a few rows.

    Parameters
    ----------
    index : (n, k)
        Of which the first column counts.

    Examples
    --------
    >>> chains(np.array([[1], [0], [3], [2], [3]])).tolist()
    [0, 0, 1, 1, 1]
    """
    from scipy.sparse import csr_matrix
    from scipy.sparse.csgraph import connected_components

    n = len(index)
    nearest = csr_matrix((np.ones(n), (np.arange(n), index[:, 0])), shape=(n, n))
    found: Ints = connected_components(nearest, directed=False)[1].astype(np.int64)
    return found


class Linkage:
    """Groups on a directed graph that are merged two by two.

    The affinity of groups a and b is

        A(a, b) = 1ᵀ W[a, b] W[b, a] 1 / |a|² + 1ᵀ W[b, a] W[a, b] 1 / |b|²

    that is, the weights of all paths of two edges that lead from a into b and back, and from b into a and back. While
    more than `limit` groups are left, the next merge is of the group i and its most similar group for which
    A(i, 1st) + Σ (A(i, 1st) − A(i, j-th)) / (c − 1) over the c most similar groups is largest: pairs count that stand
    out among their neighbours; where i has fewer, the others count as 0. After that it is of the pair of the largest A.

    Parameters
    ----------
    weights : sparse (n, n)
        Directed, non-negative.
    labels : (n,) int64
        Groups to begin with, numbered from 0.
    local : int
        c, how many of the most similar groups a group is compared with.
    limit : int
        With so many groups or fewer, the affinity alone decides.

    Attributes
    ----------
    count : int
        Groups that are left.
    size : (groups,) float64
        Rows of every group; 0 for those that were merged into others.
    merges : list of (int, int, float)
        Numbers of the two groups, the first of which goes on, and their affinity.

    Notes
    -----
    Only pairs of groups that share edges both ways are kept: O(edges) memory. A merge adds two sparse vectors and looks
    at the neighbours of the new group again; a heap with one entry per group says what comes next.

    References
    ----------
    W. Zhang, X. Wang, D. Zhao, X. Tang, "Graph Degree Linkage: Agglomerative Clustering on a Directed Graph", ECCV
    2012.
    J. Yang, D. Parikh, D. Batra, "Joint Unsupervised Learning of Deep Representations and Image Clusters", CVPR 2016.
    """

    def __init__(self, weights: Any, labels: Ints, local: int = 5, limit: int = 100) -> None:
        from scipy.sparse import csr_matrix

        self.labels = labels.copy()
        self.local, self.limit = local, limit
        n, self.count = len(labels), int(labels.max()) + 1
        member = csr_matrix((np.ones(n), (labels, np.arange(n))), shape=(self.count, n))
        # to[a] (sparse over rows i): what leads from a to i; back[a]: what leads from i to a
        to, back = (member @ weights).tocsr(), (member @ weights.T).tocsr()
        self.to, self.back = _vectors(to), _vectors(back)
        self.members = [np.flatnonzero(labels == g) for g in range(self.count)] if self.count < 64 else _members(labels)
        self.size = np.bincount(labels, minlength=self.count).astype(np.float64)
        self.paths: list[dict[int, float]] = [{} for _ in range(self.count)]  # paths[a][b]: from a into b and back
        self.near: list[dict[int, float]] = [{} for _ in range(self.count)]  # near[a][b]: A(a, b), where it is not 0
        both = to.multiply(back).tocoo()  # (group, row): paths from the group to the row and back
        pairs = csr_matrix((both.data, (both.row, labels[both.col])), shape=(self.count, self.count)).tocoo()
        for a, b, value in zip(pairs.row.tolist(), pairs.col.tolist(), pairs.data.tolist(), strict=True):
            if a != b and value > 0:
                self.paths[a][b] = value
        for a in range(self.count):
            for b in self.paths[a]:
                self.near[a][b] = self.near[b][a] = self._measured(a, b)
        self.version = [0] * self.count
        self.merges: list[tuple[int, int, float]] = []
        self.heap: list[tuple[float, int, int, int]] = []
        for a in range(self.count):
            self._push(a)

    def affinity(self, a: int, b: int) -> float:
        """Return A(a, b)."""
        return self.near[a].get(b, 0.0)

    def left(self) -> Ints:
        """Return the numbers of the groups that are left, ascending."""
        return np.flatnonzero(self.size)

    def isolated(self, a: int) -> bool:
        """Return whether group `a`, one of those left, has no affinity to any other."""
        return not self.near[a]

    def merge_to(self, target: int) -> bool:
        """Merge until `target` groups are left; false where no two of those left share edges both ways."""
        while self.count > target:
            if not self.heap:
                return False
            _, a, b, version = heapq.heappop(self.heap)
            if version == self.version[a]:
                self._merge(a, b)
        return True

    def join(self, a: int, b: int) -> None:
        """Merge two groups that are left, whatever their affinity."""
        self._merge(a, b)

    def groups(self) -> Ints:
        """Return the groups (n,), numbered from 0 in the order of their first rows."""
        _, first, inverse = np.unique(self.labels, return_index=True, return_inverse=True)
        rank = np.empty(len(first), np.int64)
        rank[np.argsort(first)] = np.arange(len(first))
        return rank[inverse]

    # -- inside ------------------------------------------------------------------------------------------------------

    def _measured(self, a: int, b: int) -> float:
        there, back = self.paths[a].get(b, 0.0), self.paths[b].get(a, 0.0)
        return there / float(self.size[a]) ** 2 + back / float(self.size[b]) ** 2

    def _push(self, a: int) -> None:
        """Put what `a` would merge with into the heap; entries of older versions count no more."""
        self.version[a] += 1
        if not self.near[a]:
            return
        compared = self.local if self.count > self.limit else 1
        near = sorted([(-value, b) for b, value in self.near[a].items()])[:compared]
        rank, partner = near[0]
        if compared > 1:  # groups without affinity add nothing to the sum: as if they stood at 0
            rank += rank - sum(value for value, _ in near[1:]) / (compared - 1)
        heapq.heappush(self.heap, (rank, a, partner, self.version[a]))

    def _merge(self, a: int, b: int) -> None:
        """Merge `b` into `a`, or `a` into `b` where that is larger."""
        value = self.affinity(a, b)
        if len(self.members[b]) > len(self.members[a]):
            a, b = b, a
        self.merges.append((a, b, value))
        self.labels[self.members[b]] = a
        self.members[a] = np.concatenate([self.members[a], self.members[b]])
        self.size[a] += self.size[b]
        self.size[b] = 0.0
        self.to[a], self.back[a] = _added(self.to[a], self.to[b]), _added(self.back[a], self.back[b])
        around = (self.near[a].keys() | self.near[b].keys()) - {a, b}
        for c in around:  # from c into the new group: the sum over its rows
            into = self.paths[c].pop(a, 0.0) + self.paths[c].pop(b, 0.0)
            if into > 0:
                self.paths[c][a] = into
            self.near[c].pop(a, None)
            self.near[c].pop(b, None)
        self.paths[a], self.paths[b] = self._from(a), {}
        self.near[b] = {}
        around |= self.paths[a].keys()
        self.near[a] = {c: self._measured(a, c) for c in around if c in self.paths[a] or a in self.paths[c]}
        for c, value in self.near[a].items():
            self.near[c][a] = value
        self.to[b] = self.back[b] = (np.zeros(0, np.int64), np.zeros(0))
        self.members[b] = self.members[b][:0]
        self.version[b] += 1
        self.count -= 1
        # at the limit the measure changes, and what the heap says of all others is void
        for c in self.left().tolist() if self.count == self.limit else [a, *around]:
            self._push(c)

    def _from(self, a: int) -> dict[int, float]:
        """Return the paths from `a` into every other group and back."""
        rows, i, j = np.intersect1d(self.to[a][0], self.back[a][0], assume_unique=True, return_indices=True)
        groups, position = np.unique(self.labels[rows], return_inverse=True)
        sums = np.bincount(position, self.to[a][1][i] * self.back[a][1][j], minlength=len(groups))
        return {g: value for g, value in zip(groups.tolist(), sums.tolist(), strict=True) if g != a and value > 0}


Vector = tuple[Ints, Floats]
"""Sparse: ascending rows, and their values."""


def _vectors(matrix: Any) -> list[Vector]:
    matrix.sort_indices()
    ends = matrix.indptr
    return [(matrix.indices[s:e].astype(np.int64), matrix.data[s:e]) for s, e in pairwise(ends)]


def _members(labels: Ints) -> list[Ints]:
    order = np.argsort(labels, kind="stable")
    return np.split(order, np.cumsum(np.bincount(labels))[:-1])


def _added(x: Vector, y: Vector) -> Vector:
    rows, position = np.unique(np.concatenate([x[0], y[0]]), return_inverse=True)
    sums: Floats = np.bincount(position, np.concatenate([x[1], y[1]]), minlength=len(rows)).astype(np.float64)
    return rows, sums
