"""Lloyd's iterations from several starts in lock-step: each block of rows is read once for all of them."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import torch
from torch import Tensor

from ilk.errors import NotEnoughImages
from ilk.vectors.rows import Rows, group_sums, l2_normalize
from ilk.vectors.splitting import split_empty

__all__ = [
    "RESEED_ROUNDS",
    "Problem",
    "Run",
    "assign",
    "iterate",
    "means",
    "offsets",
    "own_distance",
    "sum_anew",
    "together",
    "way",
]

RESEED_ROUNDS = 20
"""How often empty groups get a new centre before they are left empty."""
_COLUMNS = 256  # centres of all starts together, beyond which a wider product is no cheaper for each
_LOT_BYTES = 64 * 2**20  # what starts in lock-step may hold for each row
_FEW = 4  # sums follow the rows that change their group where fewer than one in so many did before
_RENEWED = 16  # iterations, after which sums are made anew, so that rounding does not add up


@dataclass(frozen=True)
class Problem:
    """What all starts share."""

    rows: Rows
    k: int
    weight: Tensor | None  # (n,) in the working precision
    mean: Tensor  # (d,) float64
    chunk_bytes: int | None
    empty: str
    max_iter: int
    tol: float  # of the squared way of all centres

    @property
    def trials(self) -> int:
        """Rows that greedy k-means++ draws for each centre."""
        return 2 + int(math.log(self.k))

    @property
    def follows(self) -> bool:
        """Whether sums may follow the rows that change their group.

        Not on a GPU, where additions to chosen rows have no fixed order. Not on the sphere, where the sum of rows of
        zeros has to be exactly 0.
        """
        return self.rows.device.type == "cpu" and not self.rows.normalize

    def step(self, columns: int) -> int:
        """Return how many rows go into a block with so many other numbers for each."""
        return self.rows.step(columns + self.rows.width, self.chunk_bytes)

    def weighted(self, values: Tensor) -> Tensor:
        """Return values (…, n), each times the weight of its row."""
        return values if self.weight is None else values * self.weight


@dataclass
class Run:
    """A start and what became of it.

    Attributes
    ----------
    centers : Tensor (k, d)
    labels : Tensor (n,) int64
    inertia : float
    n_iter : int
    """

    centers: Tensor
    labels: Tensor
    sums: Tensor  # (k, d) float64, of the rows of each group
    counts: Tensor  # (k,) float64
    inertia: float = math.nan
    n_iter: int = 0
    moved: float = math.inf
    resting: bool = False  # the centres stay: only labels may be missing
    anew: bool = True  # the next sums are made of all rows
    exact: bool = False  # the last ones were
    changes: int = field(default=0)  # rows that changed their group

    @classmethod
    def of(cls, problem: Problem, centers: Tensor) -> Run:
        """Return a run that begins at `centers` (k, d)."""
        labels = torch.full((len(problem.rows),), -1, dtype=torch.int64, device=centers.device)
        sums = torch.zeros(centers.shape, dtype=torch.float64, device=centers.device)
        return cls(centers, labels, sums, sums.new_zeros(problem.k))

    def begin(self) -> None:
        """Make ready for a pass over all rows."""
        self.changes = 0
        self.counts.zero_()
        if self.anew:
            self.sums.zero_()

    def add(self, block: Tensor, old: Tensor, found: Tensor, follows: bool) -> None:
        """Add a block of rows, times their weights, to the sums; `old` are its labels so far, `found` the new ones."""
        if self.resting:
            return
        if self.anew:
            self.sums += group_sums(block, found, len(self.sums))
            self.changes += int((found != old).sum()) if follows else len(old)
            return
        changed = (found != old).nonzero()[:, 0]
        if len(changed):
            rows = block[changed]
            part = torch.zeros_like(self.sums, dtype=rows.dtype).index_add_(0, old[changed], rows, alpha=-1)
            self.sums += part.index_add_(0, found[changed], rows)
            self.changes += len(changed)

    def end(self, follows: bool) -> None:
        """Note after a pass whether the sums are exact, and how the next ones are made."""
        self.exact = self.anew or (self.exact and not self.changes)
        few = self.changes * _FEW < len(self.labels)
        self.anew = not (follows and few and (self.n_iter + 1) % _RENEWED)


def together(problem: Problem) -> int:
    """Return how many starts go in lock-step: as long as it is cheaper, and within 64 MiB for what each row needs."""
    if problem.empty == "split":  # halves are drawn while a start goes on: the next start is drawn after that
        return 1
    row = max(problem.trials * problem.rows.dtype.itemsize, 8)  # distances while it is drawn, then a label
    return max(1, min(_COLUMNS // problem.k, _LOT_BYTES // (row * len(problem.rows))))


def iterate(problem: Problem, starts: list[Tensor], generator: torch.Generator) -> list[Run]:
    """Iterate from every start (k, d) until its centres rest; labels are those of the returned centres."""
    runs = [Run.of(problem, centers) for centers in starts]
    going = runs
    while going:
        assign(problem, going)
        for run in going:
            _accept(problem, run)
            if run.resting:
                run.moved = 0.0
            else:
                _advance(problem, run, generator)
        going = [run for run in going if not run.resting or run.moved > 0]
    for run in runs:
        own = own_distance(problem, run.centers, run.labels)
        run.inertia = float(problem.weighted(own).sum(dtype=torch.float64))
    return runs


def _advance(problem: Problem, run: Run, generator: torch.Generator) -> None:
    """Put the centres where the means of their groups are; they rest on exact sums only."""
    run.n_iter += 1
    target = means(problem, run)
    last = run.n_iter == problem.max_iter
    if not run.exact and (last or way(target, run.centers) <= problem.tol):
        sum_anew(problem, run)
        target = means(problem, run)
    if problem.empty == "split":
        target = split_empty(target, run.counts, generator)
        target = l2_normalize(target) if problem.rows.normalize else target
    run.moved = way(target, run.centers)
    run.centers = target
    run.resting = last or run.moved <= problem.tol


def means(problem: Problem, run: Run) -> Tensor:
    """Return the means (k, d) of the groups; the centre of one without rows stays where it is."""
    centers, counts = run.centers, run.counts
    target = (run.sums / counts.clamp_min(torch.finfo(counts.dtype).tiny)[:, None]).to(centers.dtype)
    if problem.rows.normalize:
        target = l2_normalize(target)
    stays = (counts == 0)[:, None] | ((target == 0).all(1, keepdim=True) & problem.rows.normalize)
    return torch.where(stays, centers, target)


def way(target: Tensor, centers: Tensor) -> float:
    """Return the sum of the squared ways that the centres go."""
    return float(((target - centers).double() ** 2).sum())


def offsets(problem: Problem, centers: Tensor) -> tuple[Tensor, Tensor]:
    """Return W (m, d) and b (m,) for centres (m, d) such that ‖x − c‖² = ‖x − μ‖² + b − 2·W·x."""
    shifted = centers.double() - problem.mean
    bias = (shifted * shifted).sum(1) + 2 * shifted @ problem.mean
    return shifted.to(centers.dtype), bias.to(centers.dtype)


def assign(problem: Problem, runs: list[Run]) -> None:
    """Give all rows their nearest centre in every run, and bring the sums and weights of its groups up to date."""
    rows, k, count = problem.rows, problem.k, len(runs)
    directions, bias = offsets(problem, torch.cat([run.centers for run in runs]))
    step = problem.step(2 * len(bias))
    scores, least = bias.new_empty(step, len(bias)), bias.new_empty(step * count)
    nearest = torch.empty(step * count, dtype=torch.int64, device=bias.device)
    for run in runs:
        run.begin()
    for start, stop, block in rows.blocks(step):
        size = (stop - start) * count
        score = torch.addmm(bias, block, directions.T, alpha=-2, out=scores[: stop - start])
        torch.min(score.view(size, k), 1, out=(least[:size], nearest[:size]))
        weight = None if problem.weight is None else problem.weight[start:stop, None]
        block = block if weight is None else block * weight
        for found, run in zip(nearest[:size].view(-1, count).T.contiguous(), runs, strict=True):
            own = run.labels[start:stop]
            run.add(block, own, found, problem.follows)
            own.copy_(found)
            if weight is not None:
                run.counts += group_sums(weight.double(), found, k)[:, 0]
    for run in runs:
        run.end(problem.follows)
        if problem.weight is None:
            run.counts = torch.bincount(run.labels, minlength=k).double()


def sum_anew(problem: Problem, run: Run) -> None:
    """Make the sums of all rows, instead of following those that changed their group."""
    run.sums.zero_()
    for start, stop, block in problem.rows.blocks(problem.step(problem.rows.width)):
        part = block if problem.weight is None else block * problem.weight[start:stop, None]
        run.sums += group_sums(part, run.labels[start:stop], problem.k)
    run.exact = True


def _accept(problem: Problem, run: Run) -> None:
    """Put empty clusters on far rows, and assign all rows again, until none is left."""
    for _ in range(RESEED_ROUNDS if problem.empty == "farthest" else 0):
        empty = (run.counts == 0).nonzero()[:, 0]
        if not len(empty):
            return
        run.centers = _reseed(problem, run.centers, run.labels, empty)
        run.anew = True
        assign(problem, [run])


def own_distance(problem: Problem, centers: Tensor, labels: Tensor) -> Tensor:
    """Return ‖x − centers[labels]‖² (n,) by differences: exactly 0 for a row that lies on its centre."""
    out = torch.empty(len(labels), dtype=centers.dtype, device=centers.device)
    for start, stop, block in problem.rows.blocks(problem.step(2 * problem.rows.width)):
        difference = block - centers[labels[start:stop]]
        torch.sum(difference.square_(), 1, out=out[start:stop])
    return out


def _reseed(problem: Problem, centers: Tensor, labels: Tensor, empty: Tensor) -> Tensor:
    """Return `centers` with those numbered in `empty` put on the rows farthest from all centres, one by one."""
    centers, only = centers.clone(), torch.zeros_like(labels)
    distance = own_distance(problem, centers, labels)
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
        distance = torch.minimum(distance, own_distance(problem, centers[cluster][None], only))
    return centers
