"""One clustering out of several: recovered through renumbering and noise, never worse in its own objective."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
import torch
from sklearn.metrics import adjusted_rand_score
from torch import Tensor

from ilk.errors import ArgumentError
from ilk.vectors import consensus


def noisy(n: int, h: int, k: int, wrong: float, seed: int = 0) -> tuple[np.ndarray, Tensor]:
    """Labels, and h clusterings of them: renumbered at random, a share of the rows put anywhere."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, k, n)
    votes = np.stack(
        [rng.permutation(k)[np.where(rng.random(n) < wrong, rng.integers(0, k, n), truth)] for _ in range(h)]
    )
    return truth, one_hot(votes.T, k)


def one_hot(labels: np.ndarray, k: int) -> Tensor:
    return torch.nn.functional.one_hot(torch.from_numpy(np.ascontiguousarray(labels)), k).float()


def spread(p: Tensor, orders: list[tuple[int, ...]]) -> float:
    """What is minimised: squared distances of the renumbered clusterings from their mean."""
    renumbered = torch.stack([p[:, i, list(order)] for i, order in enumerate(orders)])
    return float(((renumbered - renumbered.mean(0)) ** 2).sum())


def test_renumbering_alone_changes_nothing() -> None:
    truth, p = noisy(100, 5, 4, 0.0)
    found = consensus(p)
    assert adjusted_rand_score(truth, found.membership.argmax(1)) == 1.0
    torch.testing.assert_close(found.membership.max(1).values, torch.ones(100))
    torch.testing.assert_close(found.agreement, torch.ones(5))
    assert found.rounds == 1


def test_the_consensus_is_better_than_each_of_many_noisy_clusterings() -> None:
    truth, p = noisy(600, 15, 5, 0.5)
    each = [adjusted_rand_score(truth, p[:, i].argmax(1)) for i in range(15)]
    found = consensus(p)
    assert adjusted_rand_score(truth, found.membership.argmax(1)) > 0.95 > 0.5 > max(each)


@pytest.mark.parametrize("seed", range(5))
def test_it_is_the_best_of_all_renumberings_of_few(seed: int) -> None:
    _, p = noisy(40, 3, 3, 0.4, seed)
    every = list(permutations(range(3)))
    best = min(spread(p, [every[0], a, b]) for a in every for b in every)
    found = consensus(p)
    assert spread(p, [tuple(row) for row in found.order.tolist()]) == pytest.approx(best, rel=1e-6)


def test_new_rows_go_through_the_same_order() -> None:
    _, p = noisy(80, 4, 3, 0.2)
    found = consensus(p)
    again = torch.stack([p[:, i, found.order[i]] for i in range(4)]).mean(0)
    torch.testing.assert_close(again, found.membership)
    assert (found.order.sort(1).values == torch.arange(3)).all()


def test_probabilities_count_by_how_sure_they_are() -> None:
    """Two unsure clusterings against one that is sure: hard votes would decide otherwise."""
    base = one_hot(np.repeat(np.arange(2), 10)[:, None].repeat(3, 1), 2)
    base[0] = torch.tensor([[0.45, 0.55], [0.45, 0.55], [1.0, 0.0]])
    assert int(consensus(base).membership[0].argmax()) == 0
    assert int(consensus(one_hot(base.argmax(2).numpy(), 2)).membership[0].argmax()) == 1


def test_a_clustering_that_stands_apart_agrees_least_and_decides_nothing() -> None:
    truth, p = noisy(400, 6, 4, 0.1)
    p[:, 0] = one_hot(np.random.default_rng(5).integers(0, 4, 400), 4)
    found = consensus(p)
    assert int(found.agreement.argmin()) == 0
    assert adjusted_rand_score(truth, found.membership.argmax(1)) > 0.95


def test_groups_are_numbered_as_in_the_clustering_that_agrees_best() -> None:
    truth, p = noisy(300, 4, 5, 0.3)
    p[:, 2] = one_hot(np.random.default_rng(3).permutation(5)[truth], 5)
    assert consensus(p).order[2].tolist() == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("seed", range(4))
def test_matching_goes_on_until_no_renumbering_of_one_clustering_helps(seed: int) -> None:
    """Where noise hides the groups, matching all with one of the clusterings is not enough."""
    _, p = noisy(60, 8, 3, 0.9, seed)
    found = consensus(p)
    order = [tuple(row) for row in found.order.tolist()]
    least = spread(p, order)
    for i in range(8):
        for other in permutations(range(3)):
            assert spread(p, [*order[:i], other, *order[i + 1 :]]) >= least - 1e-4
    assert found.rounds > 1


def test_one_clustering_is_its_own_consensus() -> None:
    _, p = noisy(30, 1, 4, 0.0)
    torch.testing.assert_close(consensus(p).membership, p[:, 0])


def test_refusals() -> None:
    with pytest.raises(ArgumentError, match=r"shape \(n, h, k\), got \(3, 2\)"):
        consensus(torch.ones(3, 2))
    with pytest.raises(ArgumentError, match="float tensor"):
        consensus(torch.ones(3, 2, 2, dtype=torch.int64))
    with pytest.raises(ArgumentError, match="at least 0"):
        consensus(torch.full((3, 2, 2), torch.nan))
