"""Flat pseudo-labels whatever the clusters' sizes; rates that adapt to layers."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from ilk.train import LARC, inverse_sizes, uniform_draw


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def skewed(n: int = 20_000, k: int = 50, seed: int = 0) -> torch.Tensor:
    """Clusters of very different sizes, some of them empty."""
    rng = np.random.default_rng(seed)
    return torch.from_numpy(rng.choice(k, n, p=rng.dirichlet(np.full(k, 0.3))))


@pytest.mark.parametrize("seed", range(3))
def test_the_histogram_of_an_epoch_is_flat(seed: int) -> None:
    labels = skewed(seed=seed)
    full = labels.bincount().count_nonzero()
    drawn = uniform_draw(labels, rng(seed))
    counts = labels[drawn].bincount()
    counts = counts[counts > 0]
    assert len(drawn) == len(labels)
    assert len(counts) == full
    assert counts.max() - counts.min() <= 1  # flat to ± 2 was asked for
    sizes = labels.bincount()
    assert sizes.max() > 50 * sizes[sizes > 0].min()  # left alone they would be anything but


def test_images_come_twice_only_where_their_cluster_is_too_small() -> None:
    labels = torch.tensor([0] * 90 + [1] * 10)
    drawn = uniform_draw(labels, rng())
    times = drawn.bincount(minlength=100)
    assert times[:90].max() == 1
    assert times[:90].sum() == times[90:].sum() == 50
    assert times[90:].max() > 1
    first = uniform_draw(torch.zeros(64, dtype=torch.int64), rng())
    assert sorted(first.tolist()) == list(range(64))


def test_every_image_has_its_turn_and_the_order_is_random() -> None:
    labels = skewed(500, 5)
    draws = torch.stack([uniform_draw(labels, rng(seed)) for seed in range(80)])
    assert len(draws.unique()) == 500
    assert not torch.equal(draws[0], draws[1])
    assert torch.equal(uniform_draw(labels, rng(7)), uniform_draw(labels, rng(7)))
    where = labels[draws[0]].double()
    assert abs(float(where[:250].mean() - where[250:].mean())) < 0.5  # clusters are not one after the other


def test_weights_by_inverse_size_give_every_cluster_the_same_say() -> None:
    labels = skewed()
    weights = inverse_sizes(labels, 60)
    say = torch.zeros(60).index_add_(0, labels, weights[labels])
    full = labels.bincount(minlength=60) > 0
    torch.testing.assert_close(say[full], say[full].mean().expand(int(full.sum())), rtol=1e-3, atol=0)
    assert float(weights[labels].mean()) == pytest.approx(1, rel=1e-4)
    assert not weights[~full].any()


def test_larc_step_by_hand() -> None:
    p = nn.Parameter(torch.tensor([3.0, 4.0]))
    still = nn.Parameter(torch.zeros(2))
    optimizer = LARC([p, still], lr=2.0, momentum=0.9, weight_decay=0.1, trust=0.01)
    speed = torch.zeros(2)
    for _ in range(2):
        before = p.detach().clone()
        p.grad, still.grad = torch.tensor([0.0, 2.0]), torch.tensor([1.0, 0.0])
        optimizer.step()
        norm = float(before.norm())
        rate = 0.01 * norm / (2.0 + 0.1 * norm)
        scaled = rate * (torch.tensor([0.0, 2.0]) + 0.1 * before)
        speed = 0.9 * speed + scaled
        torch.testing.assert_close(p.detach(), before - 2.0 * speed)
    assert optimizer.param_groups[0]["weight_decay"] == 0.1
    assert still.detach()[0] < 0  # weights of length 0 take a plain step
