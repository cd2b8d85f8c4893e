"""K-means: what is asked, checked; starts are drawn in `starts`, Lloyd's iterations are made in `lloyd`."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ilk.errors import ArgumentError, DataError, NotEnoughImages
from ilk.vectors.lloyd import Problem, Run, iterate, together
from ilk.vectors.rows import Matrix, Rows, check_count, l2_normalize
from ilk.vectors.starts import STARTS, draw_starts

__all__ = ["KMeansResult", "kmeans"]

_EMPTY = ("farthest", "split", "keep")


@dataclass(frozen=True)
class KMeansResult:
    """What `kmeans` found.

    Attributes
    ----------
    labels : Tensor (n,) int64
        Nearest centre of each row.
    centers : Tensor (k, d)
        float32, or float64 for float64 data; of length 1 if spherical.
    inertia : float
        Weighted sum of squared distances to the own centre, summed in float64.
    n_iter : int
        Iterations of the best start.
    """

    labels: Tensor
    centers: Tensor
    inertia: float
    n_iter: int


def kmeans(
    x: Matrix,
    n_clusters: int,
    *,
    n_init: int = 1,
    max_iter: int = 300,
    tol: float = 1e-4,
    spherical: bool = False,
    init: str | Tensor = "k-means++",
    empty: str = "farthest",
    generator: torch.Generator | None = None,
    sample_weight: Tensor | None = None,
    chunk_bytes: int | None = None,
) -> KMeansResult:
    """Group the rows of `x` around `n_clusters` centres so that the sum of squared distances is small.

    Parameters
    ----------
    x : Tensor or ndarray (n, d), float
        On any device; a memmap is read block by block.
    n_clusters : int
        From 1 to the number of distinct rows.
    n_init : int
        Starts; the one of least inertia wins (the first among equals). A given `init` is one start.
    max_iter : int
        Iterations per start.
    tol : float
        A start ends when the centres move by less than `tol` times the mean variance of the columns (squared, summed).
    spherical : bool
        Use the rows brought to length 1 and centres of length 1, that is cosine similarity. A row of zeros is
        equally far from all centres and joins the first.
    init : "k-means++", "random" (rows at random, each once) or Tensor (k, d)
    empty : {"farthest", "split", "keep"}
        What becomes of a cluster that runs empty: it is put on the row farthest from its centre, takes half of a large
        cluster (`ilk.vectors.split_empty`), or its centre stays where it is.
    generator : torch.Generator, optional
        Source of the starts; None means a fresh CPU generator with seed 0, so equal calls give equal results.
    sample_weight : Tensor (n,), optional
        Non-negative weights; a row of weight 0 gets a label and moves no centre.
    chunk_bytes : int, optional
        Bound for each block of distances; None: 16 MiB, on a GPU 256 MiB. It changes results by rounding only.

    Returns
    -------
    KMeansResult
        No cluster is empty, unless `empty` is "split" or "keep".

    Raises
    ------
    ArgumentError
        For an option outside of what is allowed.
    NotEnoughImages
        If `x` has fewer rows, or fewer distinct rows, than `n_clusters`.
    DataError
        If `x`, `init` or `sample_weight` holds NaN or infinite values.

    Notes
    -----
    Per iteration 2·n·k·d FLOPs for each start and one pass over `x`; extra memory `chunk_bytes` + O(n + k·d), and
    n·(2 + log k) numbers while a start is drawn. Where k is small, several starts go in lock-step: one matrix product
    per block of rows for all of them, each start with the steps it takes alone, up to rounding. So many do as have 256
    centres and 64 MiB of labels or distances together; with ``empty="split"`` only one does.

    Distances come as ‖c−μ‖² + 2μ·(c−μ) − 2x·(c−μ) with the mean μ of the data: nearly as accurate as with centred data,
    without a copy of them. Sums over blocks are kept in float64. On a CPU they follow the rows that change their group
    where few do, and are made anew now and then and before a start ends.

    "farthest": clusters that run empty are put on far rows one after the other in the order of their numbers, each time
    counting those already placed; then all rows are assigned anew. "split" costs no pass over the rows.

    References
    ----------
    S. Lloyd, Least squares quantization in PCM, IEEE Trans. Inf. Theory 28, 1982. D. Arthur and S. Vassilvitskii,
    k-means++: the advantages of careful seeding, SODA 2007; greedy with 2 + log k trials as in scikit-learn.
    I. Dhillon and D. Modha, Concept decompositions for large sparse text data using clustering, Mach. Learn. 42, 2001.

    Examples
    --------
    >>> x = torch.tensor([[0.0, 0.0], [0.0, 1.0], [9.0, 9.0], [9.0, 8.0]])
    >>> result = kmeans(x, 2)
    >>> bool(result.labels[0] == result.labels[1]), bool(result.labels[1] == result.labels[2]), result.inertia
    (True, False, 1.0)
    """
    rows = Rows.of(x, normalize=spherical)
    k, n_init = check_count(n_clusters, "n_clusters"), check_count(n_init, "n_init")
    max_iter = check_count(max_iter, "max_iter")
    if empty not in _EMPTY:
        raise ArgumentError(f"empty={empty!r}: choose {', '.join(_EMPTY)}")
    if not tol >= 0:
        raise ArgumentError(f"tol={tol!r}: must be at least 0")
    if k > len(rows):
        raise NotEnoughImages(f"n_clusters={k} needs at least {k} rows, x has {len(rows)}")
    mean, variance = rows.moments()
    weight = _check_weight(sample_weight, rows)
    distinct = rows.fewer_distinct_than(k, None if weight is None else weight > 0)
    if distinct is not None:
        raise NotEnoughImages(f"n_clusters={k} needs at least {k} distinct rows, x has {distinct}")
    problem = Problem(rows, k, weight, mean, chunk_bytes, empty, max_iter, tol * variance)
    given = _check_init(init, problem)
    generator = generator or torch.Generator().manual_seed(0)
    best: Run | None = None
    left = 1 if given is not None else n_init
    while left:
        count = min(left, together(problem))
        starts = draw_starts(problem, str(init), count, generator) if given is None else [given]
        for run in iterate(problem, starts, generator):
            if best is None or run.inertia < best.inertia:
                best = run
        left -= count
    assert best is not None
    return KMeansResult(best.labels, best.centers, best.inertia, best.n_iter)


def _check_weight(weight: Tensor | None, rows: Rows) -> Tensor | None:
    if weight is None:
        return None
    weight = torch.as_tensor(weight).to(rows.device, rows.dtype)
    if weight.shape != (len(rows),):
        raise ArgumentError(f"sample_weight must have the shape ({len(rows)},), got {tuple(weight.shape)}")
    if not bool(torch.isfinite(weight).all()):
        raise DataError("sample_weight holds NaN or infinite values")
    if bool((weight < 0).any()):
        raise ArgumentError("sample_weight must not be negative")
    return weight


def _check_init(init: str | Tensor, problem: Problem) -> Tensor | None:
    if isinstance(init, str):
        if init not in STARTS:
            raise ArgumentError(f"init={init!r}: must be 'k-means++', 'random' or a tensor of {problem.k} centres")
        return None
    rows = problem.rows
    centers = torch.as_tensor(init).to(rows.device, rows.dtype)
    if centers.shape != (problem.k, rows.width):
        raise ArgumentError(f"init must have the shape {(problem.k, rows.width)}, got {tuple(centers.shape)}")
    if not bool(torch.isfinite(centers).all()):
        raise DataError("init holds NaN or infinite values")
    return l2_normalize(centers) if rows.normalize else centers.clone()
