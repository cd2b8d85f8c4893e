"""K-means: greedy k-means++ starts and Lloyd's iterations, block by block; one code for CPU and GPU."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ilk.errors import ArgumentError, DataError, NotEnoughImages
from ilk.vectors.rows import Matrix, Rows, check_count, group_sums, l2_normalize
from ilk.vectors.splitting import split_empty

__all__ = ["KMeansResult", "kmeans"]

_RESEED_ROUNDS = 20
_STARTS = ("k-means++", "random")
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


@dataclass(frozen=True)
class _Problem:
    """What all starts share."""

    rows: Rows
    k: int
    weight: Tensor | None  # (n,) in the working precision
    mean: Tensor  # (d,) float64
    chunk_bytes: int | None
    empty: str

    def step(self, columns: int) -> int:
        return self.rows.step(columns + self.rows.width, self.chunk_bytes)

    def weighted(self, values: Tensor) -> Tensor:
        return values if self.weight is None else values * self.weight


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
    Per iteration 2·n·k·d FLOPs in one matrix product and one pass over `x`; extra memory `chunk_bytes` + O(n + k·d),
    and n·(2 + log k) numbers while a start is drawn. Distances come as ‖c−μ‖² + 2μ·(c−μ) − 2x·(c−μ) with the mean μ of
    the data: nearly as accurate as with centred data, without a copy of them. Sums over blocks are kept in float64.

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
    problem = _Problem(rows, k, weight, mean, chunk_bytes, empty)
    given = _check_init(init, problem)
    generator = generator or torch.Generator().manual_seed(0)
    best: KMeansResult | None = None
    for _ in range(1 if given is not None else n_init):
        start = _start(problem, str(init), generator) if given is None else given
        result = _lloyd(problem, start, max_iter, tol * variance, generator)
        if best is None or result.inertia < best.inertia:
            best = result
    assert best is not None
    return best


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


def _check_init(init: str | Tensor, problem: _Problem) -> Tensor | None:
    if isinstance(init, str):
        if init not in _STARTS:
            raise ArgumentError(f"init={init!r}: must be 'k-means++', 'random' or a tensor of {problem.k} centres")
        return None
    rows = problem.rows
    centers = torch.as_tensor(init).to(rows.device, rows.dtype)
    if centers.shape != (problem.k, rows.width):
        raise ArgumentError(f"init must have the shape {(problem.k, rows.width)}, got {tuple(centers.shape)}")
    if not bool(torch.isfinite(centers).all()):
        raise DataError("init holds NaN or infinite values")
    return l2_normalize(centers) if rows.normalize else centers.clone()


def _start(problem: _Problem, init: str, generator: torch.Generator) -> Tensor:
    """Return centres (k, d) to begin with."""
    if init == "k-means++":
        return _plus_plus(problem, generator)
    picked = torch.randperm(len(problem.rows), generator=generator, device=generator.device)[: problem.k]
    return problem.rows.take(picked.to(problem.rows.device))


def _lloyd(problem: _Problem, centers: Tensor, max_iter: int, tol: float, generator: torch.Generator) -> KMeansResult:
    """Iterate from `centers` until they rest or `max_iter`; labels are those of the returned centres."""
    labels = torch.empty(len(problem.rows), dtype=torch.int64, device=problem.rows.device)
    moved, n_iter = math.inf, 0
    while n_iter < max_iter and moved > tol:
        centers, sums, counts = _settle(problem, centers, labels)
        target = (sums / counts.clamp_min(torch.finfo(counts.dtype).tiny)[:, None]).to(centers.dtype)
        if problem.rows.normalize:
            target = l2_normalize(target)
        stays = (counts == 0)[:, None] | ((target == 0).all(1, keepdim=True) & problem.rows.normalize)
        target = torch.where(stays, centers, target)
        if problem.empty == "split":
            target = split_empty(target, counts, generator)
            target = l2_normalize(target) if problem.rows.normalize else target
        moved = float(((target - centers).double() ** 2).sum())
        centers, n_iter = target, n_iter + 1
    if moved > 0:
        centers, _, _ = _settle(problem, centers, labels)
    inertia = float(problem.weighted(_own_distance(problem, centers, labels)).sum(dtype=torch.float64))
    return KMeansResult(labels, centers, inertia, n_iter)


def _settle(problem: _Problem, centers: Tensor, labels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Assign all rows, putting empty clusters on far rows until none is left; return centres, sums and weights."""
    sums, counts = _assign(problem, centers, labels)
    for _ in range(_RESEED_ROUNDS if problem.empty == "farthest" else 0):
        empty = (counts == 0).nonzero()[:, 0]
        if not len(empty):
            break
        centers = _reseed(problem, centers, labels, empty)
        sums, counts = _assign(problem, centers, labels)
    return centers, sums, counts


def _offsets(problem: _Problem, centers: Tensor) -> tuple[Tensor, Tensor]:
    """Return W (d, k) and b (k,) such that ‖x − c‖² = ‖x − μ‖² + b − 2·x·W."""
    shifted = centers.double() - problem.mean
    bias = (shifted * shifted).sum(1) + 2 * shifted @ problem.mean
    return shifted.T.contiguous().to(centers.dtype), bias.to(centers.dtype)


def _assign(problem: _Problem, centers: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Write the nearest centre of each row into `labels`; return sums (k, d) and weights (k,) of clusters, float64."""
    rows, k = problem.rows, problem.k
    directions, bias = _offsets(problem, centers)
    step = problem.step(2 * k)
    scores, least = centers.new_empty(step, k), centers.new_empty(step)
    sums = torch.zeros(k, rows.width, dtype=torch.float64, device=centers.device)
    counts = torch.zeros(k, 1, dtype=torch.float64, device=centers.device)
    for start, stop, block in rows.blocks(step):
        score = torch.addmm(bias, block, directions, alpha=-2, out=scores[: stop - start])
        own = labels[start:stop]
        torch.min(score, 1, out=(least[: stop - start], own))
        if problem.weight is None:
            sums += group_sums(block, own, k)
        else:
            weight = problem.weight[start:stop, None]
            sums += group_sums(block * weight, own, k)
            counts += group_sums(weight.double(), own, k)
    if problem.weight is None:
        counts = torch.bincount(labels, minlength=k).double()[:, None]
    return sums, counts[:, 0]


def _own_distance(problem: _Problem, centers: Tensor, labels: Tensor) -> Tensor:
    """Return ‖x − centers[labels]‖² (n,) by differences: exactly 0 for a row that lies on its centre."""
    out = torch.empty(len(labels), dtype=centers.dtype, device=centers.device)
    for start, stop, block in problem.rows.blocks(problem.step(2 * problem.rows.width)):
        difference = block - centers[labels[start:stop]]
        torch.sum(difference.square_(), 1, out=out[start:stop])
    return out


def _reseed(problem: _Problem, centers: Tensor, labels: Tensor, empty: Tensor) -> Tensor:
    """Return `centers` with those numbered in `empty` put on the rows farthest from all centres, one by one."""
    centers, only = centers.clone(), torch.zeros_like(labels)
    distance = _own_distance(problem, centers, labels)
    if problem.weight is not None:
        distance *= problem.weight > 0
    if problem.rows.normalize:  # a row of zeros has no direction to start from
        for start, stop, block in problem.rows.blocks(problem.step(0)):
            distance[start:stop] *= (block != 0).any(1)
    for cluster in empty.tolist():
        far = distance.argmax()
        if not bool(distance[far] > 0):
            raise NotEnoughImages(f"n_clusters={problem.k} is more than the distinct rows of x")
        centers[cluster] = problem.rows.take(far[None])[0]
        distance = torch.minimum(distance, _own_distance(problem, centers[cluster][None], only))
    return centers


def _plus_plus(problem: _Problem, generator: torch.Generator) -> Tensor:
    """Draw k rows, each with probability ∝ weight · squared distance to those before; the best of 2 + log k each time.

    The draw itself is made on the CPU in float64, so that it does not depend on the order of additions on a GPU.
    """
    rows, k = problem.rows, problem.k
    trials = 2 + int(math.log(k))
    centers = torch.empty(k, rows.width, dtype=rows.dtype, device=rows.device)
    closest = problem.weighted(torch.ones(len(rows), dtype=rows.dtype, device=rows.device))
    mean = problem.mean.to(rows.dtype)[None]
    spread = _own_distance(problem, mean, torch.zeros(len(rows), dtype=torch.int64, device=rows.device))
    for number in range(k):
        mass = problem.weighted(closest).double() if number else closest.double()
        steps = mass.cpu().cumsum(0)
        count = trials if number else 1
        draws = torch.rand(count, dtype=torch.float64, generator=generator, device=generator.device).cpu()
        picked = torch.searchsorted(steps, draws * steps[-1], right=True).clamp_(max=len(rows) - 1).to(rows.device)
        candidates = rows.take(picked)
        distance = _distances_to(problem, candidates, spread)
        distance[picked, torch.arange(len(picked), device=rows.device)] = 0.0
        if number:
            torch.minimum(distance, closest[:, None], out=distance)
        potential = problem.weighted(distance.T).sum(1, dtype=torch.float64)
        best = potential.argmin()
        centers[number], closest = candidates[best], distance[:, best].contiguous()
    return centers


def _distances_to(problem: _Problem, points: Tensor, spread: Tensor) -> Tensor:
    """Return squared distances (n, t) of all rows to a few `points` (t, d), given `spread` = ‖x − μ‖² (n,)."""
    directions, bias = _offsets(problem, points)
    out = torch.empty(len(spread), len(points), dtype=points.dtype, device=points.device)
    for start, stop, block in problem.rows.blocks(problem.step(2 * len(points))):
        torch.addmm(bias, block, directions, alpha=-2, out=out[start:stop])
    return out.add_(spread[:, None]).clamp_(min=0)
