"""The triplet loss against a loop over triplets."""

from __future__ import annotations

import pytest
import torch

from ilk import losses


def by_loop(x: torch.Tensor, labels: list[int], margin: float, weight: float, most: int) -> float:
    terms = []
    for i in range(len(x)):
        away = sorted(float((x[i] - x[n]).square().sum()) for n in range(len(x)) if labels[n] != labels[i])[:most]
        for j in range(len(x)):
            if j != i and labels[j] == labels[i]:
                near = float((x[i] - x[j]).square().sum())
                terms += [max(0.0, weight * near - far + margin) for far in away]
    return sum(terms) / max(len(terms), 1)


@pytest.mark.parametrize("most", [1, 3, 20])
def test_every_pair_against_the_nearest_of_other_groups(most: int) -> None:
    x = torch.randn(12, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    labels = [0, 0, 0, 1, 1, 2, 2, 2, 2, 3, 1, 0]
    found = losses.triplet_margin(x, torch.tensor(labels), margin=0.3, weight=0.8, most=most)
    assert found.item() == pytest.approx(by_loop(x, labels, 0.3, 0.8, most), rel=1e-12)


@pytest.mark.parametrize("labels", [[0, 0, 0], [0, 1, 2]], ids=["a single group", "no pair"])
def test_without_triplets_there_is_nothing_to_learn(labels: list[int]) -> None:
    x = torch.randn(3, 2, generator=torch.Generator().manual_seed(0)).requires_grad_()
    loss = losses.triplet_margin(x, torch.tensor(labels))
    loss.backward()
    assert loss.item() == 0
    assert not x.grad.any()
