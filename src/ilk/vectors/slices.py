"""K-means and PCA of rows that lie in slices, each where it is: only sums travel, and they are added in a fixed order.

A `Slice` holds consecutive rows of a matrix that no process has as a whole. Whoever asks talks to all slices at once
through ``each(method, *arguments)``, which returns their answers in the order of the slices: `here` for slices in this
process, and an engine with one worker a slice elsewhere. The order of the additions is that of the slices, so who is
faster changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from ilk.errors import ArgumentError, DataError, NotEnoughImages
from ilk.vectors.kmeans import KMeansResult
from ilk.vectors.lloyd import RESEED_ROUNDS, Problem, Run, assign, means, own_distance, sum_anew, way
from ilk.vectors.pca import PCA, from_sums
from ilk.vectors.rows import Matrix, Rows, check_count
from ilk.vectors.starts import draw_starts

__all__ = ["Each", "Slice", "here", "kmeans_of_slices", "pca_of_slices"]

Each = Callable[..., list[Any]]
"""``each(method, *arguments)``: what the method of that name returns in every slice, in the order of the slices."""

_SAMPLE = 65_536  # rows from which starts are drawn


class Slice:
    """Consecutive rows of a matrix, and what a clustering of all slices has made of them so far.

    Parameters
    ----------
    x : Tensor or ndarray (m, d), float
        The rows; a memmap is read block by block.
    start : int
        Number of its first row among the rows of all slices.
    spherical : bool
        Rows are brought to length 1 on the way.
    chunk_bytes : int, optional
        Bound for each block; see `kmeans`.
    """

    def __init__(self, x: Matrix, start: int = 0, *, spherical: bool = False, chunk_bytes: int | None = None) -> None:
        self._rows = Rows.of(x, normalize=spherical)
        self._start = start
        self._chunk = chunk_bytes
        self._far: Tensor | None = None

    def moments(self) -> tuple[int, Tensor, float]:
        """Return the number of rows m, their mean (d,) in float64, and the mean variance of their columns.

        Raises
        ------
        DataError
            A value is NaN or infinite.
        """
        return len(self._rows), *self._rows.moments()

    def rows(self, index: Tensor) -> Tensor:
        """Return those of the rows numbered in `index` (int64, sorted, of all slices) that are here, as a copy."""
        mine = index[(index >= self._start) & (index < self._start + len(self._rows))]
        return self._rows.take(mine - self._start)

    def scatter(self, origin: Tensor) -> tuple[Tensor, Tensor]:
        """Return the sums (d,) of x − `origin`, and those of their products (d, d), in float64."""
        d = self._rows.width
        start = origin.to(self._rows.dtype)
        sums, products = (torch.zeros(*shape, dtype=torch.float64, device=origin.device) for shape in ((d,), (d, d)))
        for _, _, block in self._rows.blocks(self._rows.step(2 * d, self._chunk)):
            offset = block - start
            sums += offset.sum(0, dtype=torch.float64)
            products += offset.T @ offset
        return sums, products

    def begin(self, centers: Tensor, mean: Tensor) -> None:
        """Make ready for iterations from `centers` (k, d); `mean` (d,) float64 is that of all slices."""
        self._problem = Problem(self._rows, len(centers), None, mean, self._chunk, "keep", 1, 0.0)
        self._run = Run.of(self._problem, centers)

    def assign(self, centers: Tensor, anew: bool) -> tuple[Tensor, Tensor, bool]:
        """Give all rows their nearest centre; return sums (k, d), counts (k,), float64, and whether sums are exact.

        `anew`: sums are made of all rows, instead of following those that changed their group.
        """
        run = self._run
        run.centers, run.anew = centers, run.anew or anew
        assign(self._problem, [run])
        run.n_iter += 1
        return run.sums, run.counts, run.exact

    def sums(self) -> Tensor:
        """Return the sums (k, d) of each group, made of all rows."""
        sum_anew(self._problem, self._run)
        return self._run.sums

    def farthest(self, centers: Tensor, placed: Tensor | None) -> tuple[float, Tensor]:
        """Return the largest squared distance of a row to its own centre, and that row (d,).

        `placed` (d,): a centre that came to be since the last call; None begins anew, from the labels as they are.
        """
        if placed is None or self._far is None:
            self._far = own_distance(self._problem, centers, self._run.labels)
            if self._rows.normalize:  # a row of zeros has no direction to start from
                for start, stop, block in self._rows.blocks(self._problem.step(0)):
                    self._far[start:stop] *= (block != 0).any(1)
        else:
            only = torch.zeros_like(self._run.labels)
            self._far = torch.minimum(self._far, own_distance(self._problem, placed[None], only))
        at = self._far.argmax()
        return float(self._far[at]), self._rows.take(at[None])[0]

    def finish(self, centers: Tensor) -> tuple[Tensor, float]:
        """Return the labels (m,) int64 as they are, and the sum of squared distances to `centers`."""
        own = own_distance(self._problem, centers, self._run.labels)
        return self._run.labels, float(own.sum(dtype=torch.float64))


def here(slices: Sequence[Slice]) -> Each:
    """Return what asks slices of this process.

    >>> here([Slice(torch.ones(2, 3)), Slice(torch.zeros(1, 3), 2)])("rows", torch.tensor([0, 2]))
    [tensor([[1., 1., 1.]]), tensor([[0., 0., 0.]])]
    """
    return lambda method, *arguments: [getattr(one, method)(*arguments) for one in slices]


def kmeans_of_slices(
    each: Each,
    n_clusters: int,
    *,
    n_init: int = 1,
    max_iter: int = 300,
    tol: float = 1e-4,
    init: Tensor | None = None,
    spherical: bool = False,
    sample: int = _SAMPLE,
    generator: torch.Generator | None = None,
) -> KMeansResult:
    """Group the rows of all slices: `ilk.vectors.kmeans` with ``empty="farthest"``, where no process has all rows.

    Parameters
    ----------
    each
        Asks all slices.
    n_clusters, n_init, max_iter, tol
        As in `kmeans`.
    init : Tensor (k, d), optional
        One start. None: k-means++ on a sample of the rows.
    spherical : bool
        Centres have length 1; the slices have to be made with it too.
    sample : int
        Rows that the starts are drawn from, at random from all slices and the same however they are cut. With no more
        rows than these, starts are those of `kmeans`.
    generator : torch.Generator, optional
        None: seed 0, so equal calls give equal results.

    Returns
    -------
    KMeansResult
        `labels` in the order of the slices. From the same start the same as one process finds, up to the rounding of
        sums in float64.

    Raises
    ------
    ArgumentError, NotEnoughImages, DataError
        As in `kmeans`.

    Notes
    -----
    An iteration asks once: k·d numbers go to every slice and come back from it. A group that runs empty asks once more,
    and all rows are assigned anew. Labels come once, at the end.
    """
    k, n_init = check_count(n_clusters, "n_clusters"), check_count(n_init, "n_init")
    max_iter = check_count(max_iter, "max_iter")
    if not tol >= 0:
        raise ArgumentError(f"tol={tol!r}: must be at least 0")
    sizes, mean, variance = _moments(each)
    if sum(sizes) < k:
        raise NotEnoughImages(f"n_clusters={k} needs at least {k} rows, the slices have {sum(sizes)}")
    generator = generator or torch.Generator().manual_seed(0)
    drawn = Rows(_sample(each, sum(sizes), sample, generator), spherical)
    frame = Problem(drawn, k, None, mean, None, "keep", max_iter, tol * variance)
    if init is None:
        starts = [draw_starts(frame, "k-means++", 1, generator)[0] for _ in range(n_init)]
    else:
        starts = [init.to(drawn.dtype)]
        if init.shape != (k, drawn.width):
            raise ArgumentError(f"init must have the shape {(k, drawn.width)}, got {tuple(init.shape)}")
    found = [_from_start(each, frame, start) for start in starts]
    return min(found, key=lambda result: result.inertia)  # the first among equals


def pca_of_slices(each: Each, n_components: int, *, whiten: bool = False, normalize: bool = False) -> PCA:
    """Find the principal components of the rows of all slices: `ilk.vectors.fit_pca`, by one (d, d) sum a slice.

    `normalize` is what the PCA says of itself; the slices have to be made with ``spherical`` then.

    Raises
    ------
    ArgumentError, NotEnoughImages, DataError
        As in `fit_pca`; there have to be at least as many rows as columns.
    """
    sizes, mean, _ = _moments(each)
    n, d, k = sum(sizes), len(mean), check_count(n_components, "n_components")
    if k > d:
        raise ArgumentError(f"n_components={k}: must be at most {d}, the number of columns")
    if n < max(d, 2):
        raise NotEnoughImages(f"the slices have {n} rows of {d} numbers: as many rows as numbers are needed")
    sample = each("rows", torch.zeros(1, dtype=torch.int64))[0]
    origin = mean.to(sample.dtype)
    found = each("scatter", origin)
    sums, scatter = _added([one[0] for one in found]), _added([one[1] for one in found])
    if not bool(torch.isfinite(scatter).all()):
        raise DataError("the slices hold values too large for their precision; scale them down")
    return from_sums(n, k, origin, sums, scatter, sample.dtype, whiten=whiten, normalize=normalize)


def _moments(each: Each) -> tuple[list[int], Tensor, float]:
    """Return how many rows each slice has, the mean (d,) of all, and the mean variance of their columns."""
    answers = each("moments")
    sizes = [count for count, _, _ in answers]
    n = sum(sizes)
    mean = _added([count * own for count, own, _ in answers]) / n
    spread = [count * (variance + float(((own - mean) ** 2).mean())) for count, own, variance in answers]
    return sizes, mean, sum(spread) / n


def _sample(each: Each, n: int, most: int, generator: torch.Generator) -> Tensor:
    """Return up to `most` of the `n` rows: the same ones however the slices are cut, in their order."""
    index = torch.arange(n)
    if n > most:  # fewer numbers than a permutation of all rows, which may be 10^9
        drawn = torch.unique(torch.randint(n, (2 * most,), generator=generator))
        index = drawn[torch.randperm(len(drawn), generator=generator)[:most]].sort().values
    return torch.cat(each("rows", index))


def _from_start(each: Each, frame: Problem, start: Tensor) -> KMeansResult:
    """Iterate from `start` (k, d) until the centres rest; labels are those of the returned centres."""
    each("begin", start, frame.mean)
    run = Run.of(frame, start)
    while True:
        _assign(each, run)
        _accept(each, frame, run)
        if run.resting:
            break
        _advance(each, frame, run)
        if run.resting and not run.moved:
            break
    ends = each("finish", run.centers)
    return KMeansResult(torch.cat([one[0] for one in ends]), run.centers, sum(one[1] for one in ends), run.n_iter)


def _assign(each: Each, run: Run, anew: bool = False) -> None:
    answers = each("assign", run.centers, anew)
    run.sums, run.counts = _added([one[0] for one in answers]), _added([one[1] for one in answers])
    run.exact = all(one[2] for one in answers)


def _advance(each: Each, frame: Problem, run: Run) -> None:
    """Put the centres where the means of their groups are; they rest on exact sums only."""
    run.n_iter += 1
    target = means(frame, run)
    last = run.n_iter == frame.max_iter
    if not run.exact and (last or way(target, run.centers) <= frame.tol):
        run.sums = _added(each("sums"))
        target = means(frame, run)
    run.moved = way(target, run.centers)
    run.centers = target
    run.resting = last or run.moved <= frame.tol


def _accept(each: Each, frame: Problem, run: Run) -> None:
    """Put empty groups on far rows, one by one, and assign all rows again, until none is left."""
    for _ in range(RESEED_ROUNDS):
        empty = (run.counts == 0).nonzero()[:, 0].tolist()
        if not empty:
            return
        run.centers = run.centers.clone()
        placed = None
        for group in empty:
            distance, row = max(each("farthest", run.centers, placed), key=lambda one: one[0])  # the first among equals
            if not distance > 0:
                raise NotEnoughImages(f"n_clusters={frame.k} is more than the distinct rows of the slices")
            placed = run.centers[group] = row
        _assign(each, run, anew=True)


def _added(values: Sequence[Tensor]) -> Tensor:
    """Return the sum in the order of the slices."""
    total = values[0].clone()
    for one in values[1:]:
        total += one
    return total
