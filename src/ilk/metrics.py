"""Scores of labels against the truth, and of two labelings against each other; NumPy and SciPy only.

Truth may be anything hashable. In `labels`, −1 means "not assigned": such an image counts as wrong for `accuracy` and
`purity`; for `nmi` and `ari` the images of −1 are one more group, as in scikit-learn. Memory is O(n) throughout: the
table of classes and groups is kept as its non-zero cells only.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ilk.errors import ArgumentError, DataError, nearest

__all__ = [
    "Contingency",
    "accuracy",
    "agreement",
    "ari",
    "contingency",
    "nmi",
    "per_cluster_accuracy",
    "purity",
    "scores",
]

Ints = NDArray[np.int64]
Truth = Sequence[Hashable] | NDArray[Any]
Labels = Sequence[int] | NDArray[Any]

_AVERAGES = ("arithmetic", "geometric")


@dataclass(frozen=True)
class Contingency:
    """How many images each class and each cluster share; only the cells that are not zero.

    Attributes
    ----------
    classes : list
        The distinct values of the truth.
    clusters : ndarray (k,) int64
        The distinct labels, ascending.
    rows, columns, counts : ndarray (cells,) int64
        Cell i holds ``counts[i]`` images of ``classes[rows[i]]`` in ``clusters[columns[i]]``.
    """

    classes: list[Hashable]
    clusters: Ints
    rows: Ints
    columns: Ints
    counts: Ints

    @property
    def n(self) -> int:
        """Number of images."""
        return int(self.counts.sum())

    def class_sizes(self) -> Ints:
        """Return the number of images of each class."""
        return _totals(self.rows, self.counts, len(self.classes))

    def cluster_sizes(self) -> Ints:
        """Return the number of images in each cluster."""
        return _totals(self.columns, self.counts, len(self.clusters))

    def dense(self) -> Ints:
        """Return the full table (classes, clusters); its memory is the product of the two."""
        table = np.zeros((len(self.classes), len(self.clusters)), dtype=np.int64)
        table[self.rows, self.columns] = self.counts
        return table

    def assigned(self) -> Contingency:
        """Return the same without the images labelled −1."""
        keep = self.clusters[self.columns] != -1
        return Contingency(self.classes, self.clusters, self.rows[keep], self.columns[keep], self.counts[keep])


def _totals(index: Ints, counts: Ints, size: int) -> Ints:
    return np.bincount(index, weights=counts, minlength=size).astype(np.int64)  # exact below 2**53


def contingency(truth: Truth, labels: Labels) -> Contingency:
    """Count the images each class and each cluster share.

    Parameters
    ----------
    truth : sequence of hashables (n,)
    labels : sequence of integers (n,)

    Raises
    ------
    DataError
        If there are no images or the lengths differ.
    ArgumentError
        If `labels` are not integers in one dimension.

    Examples
    --------
    >>> contingency(["cat", "cat", "dog"], [0, 1, 1]).dense()
    array([[1, 1],
           [0, 1]])
    """
    found = np.asarray(labels)
    if found.ndim != 1 or (found.size and found.dtype.kind not in "iub"):
        raise ArgumentError(f"labels must be integers in one dimension, got {found.dtype} of shape {found.shape}")
    classes, rows = _encode(truth)
    if len(rows) != len(found):
        raise DataError(f"truth has {len(rows)} entries, labels have {len(found)}; they must be of the same images")
    if not len(rows):
        raise DataError("there is nothing to score: truth and labels are empty")
    clusters, columns = np.unique(found.astype(np.int64), return_inverse=True)
    cells, counts = np.unique(rows * len(clusters) + columns, return_counts=True)
    return Contingency(classes, clusters, cells // len(clusters), cells % len(clusters), counts.astype(np.int64))


def _encode(truth: Truth) -> tuple[list[Hashable], Ints]:
    """Return the distinct values and the number of each entry's value among them."""
    if not isinstance(truth, (list, tuple)):
        array = np.asarray(truth)
        if array.ndim != 1:
            raise ArgumentError(f"truth must have one dimension, got the shape {array.shape}")
        if array.dtype.kind in "iubUS":
            values, index = np.unique(array, return_inverse=True)
            return values.tolist(), index.astype(np.int64)
        truth = array.tolist()
    known: dict[Hashable, int] = {}
    try:
        codes = [known.setdefault(value, len(known)) for value in truth]
    except TypeError as error:
        raise ArgumentError(f"truth must hold hashable values such as words or numbers: {error}") from error
    return list(known), np.asarray(codes, dtype=np.int64)


def accuracy(truth: Truth, labels: Labels) -> float:
    """Return the share of images that are right under the best one-to-one match of clusters and classes (ACC).

    Parameters
    ----------
    truth : sequence of hashables (n,)
    labels : sequence of integers (n,)
        −1 is "not assigned" and never right. Numbers of clusters and of classes may differ; what finds no partner is
        wrong.

    Returns
    -------
    float
        From 0 to 1.

    Raises
    ------
    DataError, ArgumentError
        As `contingency`.

    Notes
    -----
    A sparse assignment problem over the non-zero cells.

    References
    ----------
    H. Kuhn, The Hungarian method for the assignment problem, Naval Research Logistics Quarterly 2, 1955; solved by
    R. Jonker and A. Volgenant's algorithm for sparse problems (SciPy).

    Examples
    --------
    >>> accuracy(["cat", "cat", "dog", "dog"], [1, 1, 0, 1])
    0.75
    """
    table = contingency(truth, labels)
    return _matched(table.assigned()) / table.n


def _matched(table: Contingency) -> int:
    """Return the most images a one-to-one match of classes and clusters can cover."""
    if not len(table.counts):
        return 0
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import min_weight_full_bipartite_matching

    # Class i may also take the column that is its own, which covers nothing: so every class has a partner.
    n_classes, none = len(table.classes), int(table.counts.max()) + 1
    own = np.arange(n_classes)
    rows = np.concatenate([table.rows, own])
    columns = np.concatenate([table.columns, own + len(table.clusters)])
    costs = np.concatenate([none - table.counts, np.full(n_classes, none)]).astype(np.float64)
    graph = csr_array((costs, (rows, columns)), shape=(n_classes, len(table.clusters) + n_classes))
    matched_rows, matched_columns = min_weight_full_bipartite_matching(graph)
    return int(n_classes * none - graph[matched_rows, matched_columns].sum())


def purity(truth: Truth, labels: Labels) -> float:
    """Return the share of images that belong to the most frequent class of their cluster; −1 counts as wrong.

    Examples
    --------
    >>> purity([0, 0, 1, 1], [0, 1, 2, 2])
    1.0
    """
    table = contingency(truth, labels)
    return _pure(table)


def _pure(table: Contingency) -> float:
    most = np.zeros(len(table.clusters), dtype=np.int64)
    np.maximum.at(most, table.columns, table.counts)
    return int(most[table.clusters != -1].sum()) / table.n


def nmi(truth: Truth, labels: Labels, average: str = "arithmetic") -> float:
    """Return the mutual information of the two labelings over the mean of their entropies.

    Parameters
    ----------
    truth : sequence of hashables (n,)
    labels : sequence of integers (n,)
        −1 is one more group.
    average : {"arithmetic", "geometric"}
        Which mean; papers before about 2018 mostly use the geometric.

    Returns
    -------
    float
        From 0 to 1; 1 where both are a single group.

    Raises
    ------
    ArgumentError, DataError
        Also as `contingency`.

    References
    ----------
    A. Strehl and J. Ghosh, Cluster ensembles, JMLR 3, 2002. N. Vinh, J. Epps and J. Bailey, Information theoretic
    measures for clusterings comparison, JMLR 11, 2010.

    Examples
    --------
    >>> nmi(["a", "a", "b", "b"], [1, 1, 0, 0])
    1.0
    """
    if average not in _AVERAGES:
        allowed = ", ".join(map(repr, _AVERAGES))
        raise ArgumentError(f"average={average!r}: must be one of {allowed}.{nearest(str(average), _AVERAGES)}")
    return _nmi(contingency(truth, labels), average)


def _nmi(table: Contingency, average: str) -> float:
    n, classes, clusters = table.n, table.class_sizes(), table.cluster_sizes()
    if len(table.counts) == len(classes) == len(clusters):  # one to one: exactly 1, whatever the logarithms round to
        return 1.0
    if min(len(classes), len(clusters)) == 1:
        return 0.0
    joint = table.counts / n
    logs = np.log(table.counts) + np.log(n) - np.log(classes[table.rows]) - np.log(clusters[table.columns])
    information = float((joint * logs).sum())
    if information <= np.finfo(np.float64).eps:
        return 0.0
    first, second = _entropy(classes, n), _entropy(clusters, n)
    mean = (first + second) / 2 if average == "arithmetic" else float(np.sqrt(first * second))
    return min(information / mean, 1.0)


def _entropy(sizes: Ints, n: int) -> float:
    return float((sizes / n * (np.log(n) - np.log(sizes))).sum())


def ari(truth: Truth, labels: Labels) -> float:
    """Return the adjusted Rand index: agreement on pairs of images, 0 where it is what chance gives.

    Parameters
    ----------
    truth : sequence of hashables (n,)
    labels : sequence of integers (n,)
        −1 is one more group.

    Returns
    -------
    float
        From −0.5 to 1.

    Raises
    ------
    DataError, ArgumentError
        As `contingency`.

    References
    ----------
    L. Hubert and P. Arabie, Comparing partitions, Journal of Classification 2, 1985.

    Examples
    --------
    >>> ari([0, 0, 1, 1], [0, 0, 1, 2])
    0.5714285714285714
    """
    return _ari(contingency(truth, labels))


def _ari(table: Contingency) -> float:
    together, classes, clusters = map(_pairs, (table.counts, table.class_sizes(), table.cluster_sizes()))
    every = table.n * (table.n - 1) // 2
    # (together − expected) / (mean − expected), all times 2 · every: integers of any size, so nothing is rounded away
    above = 2 * (together * every - classes * clusters)
    below = (classes + clusters) * every - 2 * classes * clusters
    return above / below if below else 1.0


def _pairs(counts: Ints) -> int:
    return int((counts * (counts - 1) // 2).sum())


def per_cluster_accuracy(truth: Truth, labels: Labels) -> dict[int, dict[str, Any]]:
    """Return for each cluster (−1 aside) its most frequent class, that class's share, and the size of the cluster.

    Among classes of equal count, the one first in order wins (sorted for arrays, first seen for lists).

    Examples
    --------
    >>> per_cluster_accuracy(["cat", "cat", "dog"], [0, 0, 0])
    {0: {'class': 'cat', 'share': 0.6666666666666666, 'size': 3}}
    """
    table = contingency(truth, labels)
    order = np.lexsort((table.rows, -table.counts, table.columns))
    clusters, first = np.unique(table.columns[order], return_index=True)
    sizes, found = table.cluster_sizes(), {}
    for column, cell in zip(clusters.tolist(), order[first].tolist(), strict=True):
        if (number := int(table.clusters[column])) != -1:
            share, size = int(table.counts[cell]) / int(sizes[column]), int(sizes[column])
            found[number] = {"class": table.classes[table.rows[cell]], "share": share, "size": size}
    return found


def agreement(a: Labels, b: Labels) -> dict[str, float]:
    """Return how alike two labelings of the same images are: ``ari``, ``nmi`` and ``same``.

    ``same`` is the share of images that stay together under the best one-to-one match of the two sets of groups; what
    either calls −1 has not stayed.

    Examples
    --------
    >>> agreement([0, 0, 1, 1], [5, 5, 3, 3])
    {'ari': 1.0, 'nmi': 1.0, 'same': 1.0}
    """
    table = contingency(a, b)
    known = np.array([value != -1 for value in table.classes])[table.rows]
    kept = Contingency(table.classes, table.clusters, table.rows[known], table.columns[known], table.counts[known])
    return {"ari": _ari(table), "nmi": _nmi(table, "arithmetic"), "same": _matched(kept.assigned()) / table.n}


def scores(truth: Truth, labels: Labels) -> dict[str, float]:
    """Return ``acc``, ``nmi`` (arithmetic), ``nmi_geometric``, ``ari`` and ``purity`` from one table.

    Examples
    --------
    >>> scores([0, 0, 1, 1], [1, 1, 0, 0])
    {'acc': 1.0, 'nmi': 1.0, 'nmi_geometric': 1.0, 'ari': 1.0, 'purity': 1.0}
    """
    table = contingency(truth, labels)
    return {
        "acc": _matched(table.assigned()) / table.n,
        "nmi": _nmi(table, "arithmetic"),
        "nmi_geometric": _nmi(table, "geometric"),
        "ari": _ari(table),
        "purity": _pure(table),
    }
