"""Where K-means starts: greedy k-means++ for several starts at a time, or rows at random."""

from __future__ import annotations

import torch
from torch import Tensor

from ilk.vectors.lloyd import Problem, offsets, own_distance

__all__ = ["STARTS", "draw_starts"]

STARTS = ("k-means++", "random")


def draw_starts(problem: Problem, init: str, count: int, generator: torch.Generator) -> list[Tensor]:
    """Return centres (k, d) for each of `count` starts; `generator` is asked as if they were drawn one by one."""
    if init == "k-means++":
        return list(_plus_plus(problem, count, generator))
    found = []
    for _ in range(count):
        picked = torch.randperm(len(problem.rows), generator=generator, device=generator.device)[: problem.k]
        found.append(problem.rows.take(picked.to(problem.rows.device)))
    return found


def _plus_plus(problem: Problem, count: int, generator: torch.Generator) -> Tensor:
    """Draw k rows, each with probability ∝ weight · squared distance to those before; the best of 2 + log k each time.

    The draws themselves are made on the CPU in float64, so that they do not depend on the order of additions on a GPU.
    """
    rows, k = problem.rows, problem.k
    sizes = [1] + [problem.trials] * (k - 1)
    draws = [[_uniform(size, generator) for size in sizes] for _ in range(count)]
    centers = torch.empty(count, k, rows.width, dtype=rows.dtype, device=rows.device)
    ones = torch.ones(len(rows), dtype=rows.dtype, device=rows.device)
    spread = own_distance(problem, problem.mean.to(rows.dtype)[None], torch.zeros_like(ones, dtype=torch.int64))
    closest = ones.expand(count, -1)
    for number, size in enumerate(sizes):
        picked = torch.stack([_pick(problem, own, draw[number]) for own, draw in zip(closest, draws, strict=True)])
        candidates = rows.take(picked.view(-1))
        distance = _distances_to(problem, candidates, spread)
        distance[torch.arange(len(distance), device=rows.device), picked.view(-1)] = 0.0
        nearer = torch.empty(count, len(rows), dtype=rows.dtype, device=rows.device)
        for start, trials in enumerate(distance.view(count, size, -1)):
            if number:
                torch.minimum(trials, closest[start], out=trials)
            best = problem.weighted(trials).sum(1, dtype=torch.float64).argmin()
            centers[start, number], nearer[start] = candidates[start * size + best], trials[best]
        closest = nearer
    return centers


def _uniform(size: int, generator: torch.Generator) -> Tensor:
    return torch.rand(size, dtype=torch.float64, generator=generator, device=generator.device).cpu()


def _pick(problem: Problem, closest: Tensor, draws: Tensor) -> Tensor:
    """Return rows drawn with a probability ∝ weight · `closest` (n,), one for each number of `draws` below 1."""
    steps = problem.weighted(closest).double().cpu().cumsum(0)
    picked = torch.searchsorted(steps, draws * steps[-1], right=True)
    return picked.clamp_(max=len(closest) - 1).to(closest.device)


def _distances_to(problem: Problem, points: Tensor, spread: Tensor) -> Tensor:
    """Return squared distances (m, n) of `points` (m, d) to all rows, given `spread` = ‖x − μ‖² (n,)."""
    directions, bias = offsets(problem, points)
    out = torch.empty(len(points), len(spread), dtype=points.dtype, device=points.device)
    for start, stop, block in problem.rows.blocks(problem.step(2 * len(points))):
        out[:, start:stop] = torch.addmm(bias, block, directions.T, alpha=-2).T
    return out.add_(spread).clamp_(min=0)
