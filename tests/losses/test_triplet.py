"""The triplet loss against a loop over triplets, and how these are drawn."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ilk import losses

LABELS = [0, 0, 0, 1, 1, 2, 2, 2, 2, 3, 1, 0]


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def by_loop(x: torch.Tensor, triplets: list[list[int]], margin: float, weight: float) -> float:
    terms = []
    for i, j, n in triplets:
        near, far = float((x[i] - x[j]).square().sum()), float((x[i] - x[n]).square().sum())
        terms.append(max(0.0, weight * near - far + margin))
    return sum(terms) / len(terms)


@pytest.mark.parametrize("most", [1, 3, 20])
def test_mean_over_triplets(most: int) -> None:
    x = torch.randn(12, 3, dtype=torch.float64, generator=rng())
    triplets = losses.random_triplets(torch.tensor(LABELS), most, rng(1))
    found = losses.triplet_margin(x, triplets, margin=0.3, weight=0.8)
    assert found.item() == pytest.approx(by_loop(x, triplets.tolist(), 0.3, 0.8), rel=1e-12)


@pytest.mark.parametrize("most", [1, 3, 20])
def test_every_pair_once_against_different_rows_of_other_groups(most: int) -> None:
    drawn: dict[tuple[int, int], list[int]] = {}
    for i, j, n in losses.random_triplets(torch.tensor(LABELS), most, rng()).tolist():
        drawn.setdefault((i, j), []).append(n)
    assert set(drawn) == {(i, j) for j in range(12) for i in range(j) if LABELS[i] == LABELS[j]}
    for (i, _), others in drawn.items():
        away = [n for n in range(12) if LABELS[n] != LABELS[i]]
        assert len(set(others)) == len(others) == min(most, len(away))
        assert set(others) <= set(away)


def test_rows_of_other_groups_are_drawn_alike() -> None:
    labels, draws = torch.tensor([0, 0, 1, 2, 2, 3]), rng()
    others = torch.cat([losses.random_triplets(labels, 2, draws)[:2, 2] for _ in range(2000)])
    assert np.allclose(np.bincount(others, minlength=6)[2:] / 4000, 0.25, atol=0.03)
    again = losses.random_triplets(labels, 2, rng())
    assert torch.equal(again, losses.random_triplets(labels, 2, rng()))


@pytest.mark.parametrize("labels", [[0, 0, 0], [0, 1, 2]], ids=["a single group", "no pair"])
def test_without_triplets_there_is_nothing_to_learn(labels: list[int]) -> None:
    x = torch.randn(3, 2, generator=rng()).requires_grad_()
    loss = losses.triplet_margin(x, losses.random_triplets(torch.tensor(labels), 20, rng()))
    loss.backward()
    assert loss.item() == 0
    assert not x.grad.any()
