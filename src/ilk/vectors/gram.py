"""Few rows of many columns: K-means and silhouettes from the inner products of the rows alone.

With n rows of d columns and n < d, the Gram matrix is smaller than the data and says everything that K-means and
silhouettes ask for. It is computed once; after that no step depends on d, and K-means does not depend on k either.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ilk.errors import ArgumentError, NotEnoughImages
from ilk.vectors.rows import Matrix, Rows, check_count, check_labels, group_sums
from ilk.vectors.silhouette import cluster_numbers, silhouettes_from_sums

__all__ = ["Gram", "gram_kmeans", "gram_matrix", "silhouettes"]

_COLUMN_BYTES = 32 * 2**20  # columns of all rows that are held at a time, in the working precision
_TILE = 2048  # rows of a product: only the lower half of the matrix is computed
_QUERIES = 256
_DISTANCE_BYTES = 16 * 2**20


@dataclass(frozen=True)
class Gram:
    """Inner products of rows from which their mean has been subtracted.

    Attributes
    ----------
    inner : Tensor (n, n), symmetric
        float32, or float64 for float64 data.
    square : Tensor (n,)
        Its diagonal: squared distances to the mean.
    """

    inner: Tensor
    square: Tensor

    def __len__(self) -> int:
        return len(self.square)

    def to(self, index: Tensor) -> Tensor:
        """Return the squared distances (t, n) of the rows at `index` (t,) to all rows."""
        found = self.square[index, None] + self.square - 2 * self.inner[index]
        found[torch.arange(len(index), device=index.device), index] = 0.0
        return found.clamp_(min=0)


def gram_matrix(x: Matrix) -> Gram:
    """Return the inner products of the centred rows of `x`.

    Parameters
    ----------
    x : Tensor or ndarray (n, d), float
        A memmap is read twice, the second time a few columns at a time.

    Returns
    -------
    Gram

    Raises
    ------
    DataError
        If a value is NaN or infinite.

    Notes
    -----
    n²·d FLOPs; memory 4 n² bytes and 64 MiB. Rounding is about 1e-6 of the squared distances to the mean.

    Examples
    --------
    >>> gram_matrix(torch.tensor([[0.0, 5.0], [2.0, 5.0]])).inner
    tensor([[ 1., -1.],
            [-1.,  1.]])
    """
    rows = Rows.of(x)
    n, mean = len(rows), rows.moments()[0].to(rows.dtype)
    inner = torch.zeros(n, n, dtype=rows.dtype, device=rows.device)
    step = max(1, _COLUMN_BYTES // (n * inner.itemsize))
    for first in range(0, rows.width, step):
        part = rows.columns(first, first + step) - mean[first : first + step]
        for start in range(0, n, _TILE):
            stop = min(start + _TILE, n)
            inner[start:stop, :stop].addmm_(part[start:stop], part[:stop].T)
    for start in range(0, n, _TILE):  # the upper half is the lower one, also inside a tile: symmetric to the bit
        stop = min(start + _TILE, n)
        tile = inner[start:stop, start:stop]
        tile.copy_(tile.tril() + tile.tril(-1).T)
        inner[:start, start:stop] = inner[start:stop, :start].T
    return Gram(inner, inner.diagonal().clone())


def gram_kmeans(
    gram: Gram,
    n_clusters: int,
    *,
    n_init: int = 1,
    max_iter: int = 300,
    generator: torch.Generator | None = None,
) -> tuple[Tensor, float]:
    """Do what `kmeans` does, from inner products: the same starts from the same generator, the same steps.

    Parameters
    ----------
    gram : Gram
    n_clusters : int
        From 1 to n.
    n_init : int
        Starts; the one of least inertia wins (the first among equals).
    max_iter : int
        A start ends earlier where no row changes its group; there is no other tolerance.
    generator : torch.Generator, optional
        Source of the starts; None means a fresh CPU generator with seed 0.

    Returns
    -------
    labels : Tensor (n,) int64
        No group is empty.
    inertia : float

    Raises
    ------
    NotEnoughImages
        If there are fewer rows than groups.

    Notes
    -----
    An iteration costs n² additions at first and then n for every row that changes its group, whatever k and d are,
    and n·k comparisons; memory O(n·k). An empty group gets the row that is farthest from its centre.

    References
    ----------
    I. Dhillon, Y. Guan and B. Kulis, Kernel k-means, spectral clustering and normalized cuts, KDD 2004.

    Examples
    --------
    >>> labels, inertia = gram_kmeans(gram_matrix(torch.tensor([[0.0, 0, 0], [0, 1, 0], [9, 9, 0], [9, 8, 0]])), 2)
    >>> bool(labels[0] == labels[1]), bool(labels[1] == labels[2]), round(inertia, 3)
    (True, False, 1.0)
    """
    k, n_init, max_iter = (
        check_count(n_clusters, "n_clusters"),
        check_count(n_init, "n_init"),
        check_count(max_iter, "max_iter"),
    )
    if k > len(gram):
        raise NotEnoughImages(f"n_clusters={k} needs at least {k} rows, there are {len(gram)}")
    generator = generator or torch.Generator().manual_seed(0)
    best: tuple[Tensor, float] | None = None
    for _ in range(n_init):
        labels, inertia = _lloyd(gram, _plus_plus(gram, k, generator), max_iter)
        if best is None or inertia < best[1]:
            best = labels, inertia
    assert best is not None
    return best


def _plus_plus(gram: Gram, k: int, generator: torch.Generator) -> Tensor:
    """Draw k rows as `kmeans` does: greedy k-means++ with 2 + log k trials."""
    n, trials = len(gram), 2 + int(math.log(k))
    picked_all = torch.empty(k, dtype=torch.int64, device=gram.square.device)
    closest = torch.ones_like(gram.square)
    for number in range(k):
        steps = closest.double().cpu().cumsum(0)
        draws = torch.rand(
            trials if number else 1, dtype=torch.float64, generator=generator, device=generator.device
        ).cpu()
        picked = torch.searchsorted(steps, draws * steps[-1], right=True).clamp_(max=n - 1).to(closest.device)
        distance = gram.to(picked)
        if number:
            torch.minimum(distance, closest, out=distance)
        best = distance.sum(1, dtype=torch.float64).argmin()
        picked_all[number], closest = picked[best], distance[best]
    return picked_all


def _lloyd(gram: Gram, start: Tensor, max_iter: int) -> tuple[Tensor, float]:
    """Iterate from the rows `start` (k,) until no row changes its group; return labels and inertia."""
    inner, k = gram.inner, len(start)
    labels = _assign(gram, inner[start], torch.ones_like(start), gram.square[start])
    sums, exact = group_sums(inner, labels, k), True
    for _ in range(max_iter):
        counts = torch.bincount(labels, minlength=k)
        found = _assign(gram, sums, counts, _norms(sums, labels, counts))
        changed = (found != labels).nonzero()[:, 0]
        if not len(changed) and exact:
            break
        if 0 < len(changed) < len(labels) // 4:  # fewer additions; their rounding is taken back before the end
            sums.index_add_(0, labels[changed], inner[changed], alpha=-1)
            sums.index_add_(0, found[changed], inner[changed])
            exact = False
        else:
            sums, exact = group_sums(inner, found, k), True
        labels = found
    sums, counts = group_sums(inner, labels, k), torch.bincount(labels, minlength=k)
    own = gram.square - 2 * sums.gather(0, labels[None])[0] / counts[labels]
    return labels, float((own + _norms(sums, labels, counts)[labels]).clamp_(min=0).sum(dtype=torch.float64))


def _norms(sums: Tensor, labels: Tensor, counts: Tensor) -> Tensor:
    """Return the squared lengths (k,) of the centres, whose inner products with all rows are sums / counts."""
    own = sums.gather(0, labels[None])[0]
    total = torch.zeros(len(sums), dtype=torch.float64, device=sums.device).index_add_(0, labels, own.double())
    return (total / counts.double().clamp_min(1) ** 2).to(sums.dtype)


def _assign(gram: Gram, sums: Tensor, counts: Tensor, norms: Tensor) -> Tensor:
    """Return the nearest centre (n,) of each row; a centre that is nearest to none gets the row farthest from its own.

    Such a row is taken from a group that keeps another one, so no group is left empty.
    """
    score = torch.addcdiv(norms[:, None], sums, counts.clamp_min(1)[:, None].to(sums.dtype), value=-2)
    least, labels = score.min(0)
    sizes = torch.bincount(labels, minlength=len(sums))
    empty = (sizes == 0).nonzero()[:, 0]
    if not len(empty):
        return labels
    distance = gram.square + least
    for group in empty:
        far = torch.where(sizes[labels] > 1, distance, -torch.inf).argmax()
        sizes[labels[far]] -= 1
        sizes[group] += 1
        labels[far] = group
        distance = torch.minimum(distance, gram.to(far[None])[0])
    return labels


def silhouettes(x: Matrix | Gram, labelings: Sequence[Matrix]) -> list[Tensor]:
    """Return the silhouettes of all rows for many groupings of the same rows, computing each distance once.

    Parameters
    ----------
    x : Tensor or ndarray (n, d), float, or Gram
        A memmap is read block by block, n / 256 times.
    labelings : sequence of (n,) integers
        Each with 2 to n − 1 groups.

    Returns
    -------
    list of Tensor (n,)
        As `silhouette_samples` gives them one by one.

    Raises
    ------
    ArgumentError
        If labels do not fit the rows, are negative, or make fewer than 2 groups or as many groups as rows.

    Notes
    -----
    2·n²·d FLOPs for the distances (none for a Gram matrix), and n² additions for every grouping. Memory: 16 MiB of
    distances, 256 rows and 32 MiB of data, and 256 sums per group of each labeling.

    Examples
    --------
    >>> x = torch.tensor([[0.0], [1.0], [9.0], [10.0]])
    >>> [s.mean().item() > 0.8 for s in silhouettes(x, [torch.tensor([0, 0, 1, 1]), torch.tensor([0, 1, 0, 1])])]
    [True, False]
    """
    rows = Rows.of(x.inner if isinstance(x, Gram) else x)
    groups = [_groups(labels, rows) for labels in labelings]
    sizes = [torch.bincount(own).to(rows.dtype) for own in groups]
    out = [torch.empty(len(rows), dtype=rows.dtype, device=rows.device) for _ in groups]
    for start, stop, blocks in _distances(x) if isinstance(x, Gram) else _direct(rows):
        sums = [torch.zeros(len(s), stop - start, dtype=torch.float64, device=rows.device) for s in sizes]
        for first, last, distance in blocks:
            for total, own in zip(sums, groups, strict=True):
                total += group_sums(distance, own[first:last], len(total))
        for found, total, own, size in zip(out, sums, groups, sizes, strict=True):
            found[start:stop] = silhouettes_from_sums(total, own[start:stop], size)
    return out


_Blocks = Iterator[tuple[int, int, Tensor]]


def _groups(labels: Matrix, rows: Rows) -> Tensor:
    found = check_labels(labels, rows)
    if int(found.min()) < 0:
        raise ArgumentError("labels must not be negative here; leave out the rows of noise")
    return cluster_numbers(found)


def _distances(gram: Gram) -> Iterator[tuple[int, int, _Blocks]]:
    """Yield blocks of queries, and with each the blocks (first, last, distances) of all rows to them."""
    n = len(gram)
    height = max(1, _DISTANCE_BYTES // (min(_QUERIES, n) * gram.inner.itemsize))

    def blocks(start: int, stop: int) -> _Blocks:
        for first in range(0, n, height):
            last = min(first + height, n)
            square = gram.square[first:last, None] + gram.square[start:stop]
            square.sub_(gram.inner[first:last, start:stop], alpha=2)
            yield first, last, _root(square, first, start)

    for start in range(0, n, _QUERIES):
        stop = min(start + _QUERIES, n)
        yield start, stop, blocks(start, stop)


def _direct(rows: Rows) -> Iterator[tuple[int, int, _Blocks]]:
    """Do the same from the rows themselves."""
    mean = rows.moments()[0].to(rows.dtype)
    height = min(rows.step(rows.width, _COLUMN_BYTES), rows.step(_QUERIES, _DISTANCE_BYTES))

    def blocks(queries: Tensor, start: int) -> _Blocks:
        far = (queries * queries).sum(1)
        for first, last, block in rows.blocks(height):
            offset = block - mean
            square = torch.addmm(far, offset, queries.T, alpha=-2).add_((offset * offset).sum(1, keepdim=True))
            yield first, last, _root(square, first, start)

    for start, stop, block in rows.blocks(_QUERIES):
        yield start, stop, blocks(block - mean, start)


def _root(square: Tensor, first: int, start: int) -> Tensor:
    """Return distances from their squares, in place; a row is at distance 0 from itself, whatever rounding says."""
    distance = square.clamp_(min=0).sqrt_()
    low, high = max(first, start), min(first + len(square), start + square.shape[1])
    if low < high:
        own = torch.arange(low, high, device=square.device)
        distance[own - first, own - start] = 0.0
    return distance
