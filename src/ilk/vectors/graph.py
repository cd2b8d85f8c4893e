"""Sparse neighbour graphs: in one piece, with self-tuning weights, and their leading eigenvectors."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from ilk.errors import DataError
from ilk.vectors.neighbors import neighbors

__all__ = ["connected", "self_tuning", "spectral_embedding"]

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]

_DENSE = 512  # rows up to which all eigenvectors are found at once
_LEAST = 1e-10  # weight of the longest edges: an edge of weight 0 would be none


def connected(x: npt.NDArray[Any], index: Ints, distance: Floats, *, mutual: bool = False) -> Any:
    """Return the distances of a neighbour graph as a symmetric sparse matrix (n, n) that is in one piece.

    Parameters
    ----------
    x : (n, d)
        Where the rows are.
    index, distance : (n, k)
        Neighbours of every row; a row may be its own.
    mutual : bool
        Keep only edges that both ends have, rather than either.

    Notes
    -----
    Each piece beside the largest is tied to it by one edge, the shortest there
    is. Edges of length 0 get the smallest positive float, so that they stay edges. Cost: the neighbours of all rows
    outside of the largest piece.

    Examples
    --------
    >>> x = np.array([[0.0], [1.0], [9.0], [10.0]], np.float32)
    >>> connected(x, np.array([[1], [0], [3], [2]]), np.ones((4, 1), np.float32)).toarray()[1].tolist()
    [1.0, 0.0, 8.0, 0.0]
    """
    from scipy.sparse import csr_matrix
    from scipy.sparse.csgraph import connected_components

    n, k = index.shape
    rows = np.repeat(np.arange(n), k)
    columns, lengths = index.ravel(), np.maximum(distance.ravel().astype(np.float64), np.finfo(np.float32).tiny)
    apart = rows != columns
    graph = csr_matrix((lengths[apart], (rows[apart], columns[apart])), shape=(n, n))
    graph = (graph.minimum if mutual else graph.maximum)(graph.T).tocsr()
    graph.eliminate_zeros()
    count, piece = connected_components(graph, directed=False)
    if count == 1:
        return graph
    largest = int(np.bincount(piece).argmax())
    outside, inside = np.flatnonzero(piece != largest), np.flatnonzero(piece == largest)
    near, away = neighbors(_rows(x, outside), _rows(x, inside), 1)
    order = np.argsort(away[:, 0].numpy(), kind="stable")
    _, first = np.unique(piece[outside][order], return_index=True)
    chosen = order[first]
    ends, lengths = inside[near[chosen, 0].numpy()], np.maximum(away[chosen, 0].numpy(), np.finfo(np.float32).tiny)
    bridges = csr_matrix((lengths.astype(np.float64), (outside[chosen], ends)), shape=(n, n))
    return graph.maximum(bridges.maximum(bridges.T)).tocsr()


def _rows(x: npt.NDArray[Any], rows: Ints) -> torch.Tensor:
    return torch.from_numpy(np.asarray(x[rows], np.float32))


def self_tuning(graph: Any, scale: Floats) -> Any:
    """Return affinities exp(−d² / (σᵢ σⱼ)) of the edges of a symmetric graph of distances, as a sparse matrix.

    Parameters
    ----------
    graph : sparse (n, n)
        Distances.
    scale : (n,)
        σ: the distance of every row to one of its near neighbours, commonly the seventh.

    References
    ----------
    L. Zelnik-Manor, P. Perona, "Self-Tuning Spectral Clustering", NIPS 2004.

    Examples
    --------
    >>> from scipy.sparse import csr_matrix
    >>> graph = csr_matrix(np.array([[0.0, 2.0], [2.0, 0.0]]))
    >>> self_tuning(graph, np.array([1.0, 4.0])).toarray()[0].round(4).tolist()
    [0.0, 0.3679]
    """
    edges = graph.tocoo()
    width = scale.astype(np.float64)
    positive = width[width > 0]
    width = np.maximum(width, 1e-6 * positive.mean() if len(positive) else 1.0)  # rows that coincide have no width
    weights = np.exp(-np.square(edges.data) / (width[edges.row] * width[edges.col]))
    edges.data = np.maximum(weights, _LEAST)
    return edges.tocsr()


def spectral_embedding(affinity: Any, n_components: int) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return the leading eigenvectors of the normalised affinity matrix, and eigenvalues of the Laplacian.

    Parameters
    ----------
    affinity : sparse (n, n), symmetric, non-negative, in one piece
    n_components : int

    Returns
    -------
    vectors : (n, n_components)
        Of D^-½ A D^-½, by descending eigenvalue, each with its largest entry positive.
    values : (n_components + 1,) or (n,) where n is smaller
        Eigenvalues of the normalised Laplacian I − D^-½ A D^-½, ascending.

    Raises
    ------
    DataError
        The eigenvectors did not converge.

    Notes
    -----
    Lanczos iterations at the large end of the spectrum: some hundred sparse products. The start is drawn with a fixed
    seed, so equal graphs give equal vectors. Up to 512 rows all eigenvectors are found at once.
    """
    from scipy.sparse import diags
    from scipy.sparse.linalg import ArpackError, eigsh

    n = affinity.shape[0]
    wanted = min(n_components + 1, n)
    scale = diags(1 / np.sqrt(np.asarray(affinity.sum(0)).ravel()))
    matrix = (scale @ affinity @ scale).tocsr()
    if n <= max(_DENSE, wanted + 2):
        values, vectors = np.linalg.eigh(matrix.toarray())
    else:
        start = np.random.default_rng(0).uniform(0.5, 1.5, n)
        try:
            values, vectors = eigsh(
                matrix, wanted, which="LA", ncv=max(40, 3 * wanted), tol=1e-5, v0=start, rng=0, maxiter=2000
            )
        except ArpackError as error:
            raise DataError(f"the eigenvectors of the neighbour graph cannot be found ({error}).") from None
    order = np.argsort(-values, kind="stable")[:wanted]
    values, vectors = values[order], vectors[:, order[:n_components]]
    top = vectors[np.abs(vectors).argmax(0), np.arange(vectors.shape[1])]
    return vectors * np.where(top < 0, -1.0, 1.0), 1 - values
