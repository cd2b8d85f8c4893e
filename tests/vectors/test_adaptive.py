"""Numbers of neighbours that adapt to how close rows lie: one bound for all pairs, a fixed number on average."""

from __future__ import annotations

import pytest
import torch

from ilk.errors import ArgumentError
from ilk.vectors import adaptive_counts, neighbors


def distances(n: int = 200, m: int = 30, seed: int = 0) -> torch.Tensor:
    x = torch.randn(n, 3, generator=torch.Generator().manual_seed(seed))
    return neighbors(x, x, m, exclude_self=True)[1]


@pytest.mark.parametrize(("mean", "least"), [(10, 1), (10, 5), (10, 10), (30, 1), (1, 1)])
def test_it_is_the_loop_over_sorted_pairs(mean: int, least: int) -> None:
    distance = distances()
    pairs = sorted(float(distance[i, j]) for i in range(200) for j in range(least, 30))
    bound = pairs[200 * (mean - least) - 1] if mean > least else -1.0
    expected = [least + sum(float(distance[i, j]) <= bound for j in range(least, 30)) for i in range(200)]
    found = adaptive_counts(distance, mean, least=least)
    assert found.tolist() == expected
    assert 200 * mean <= int(found.sum()) <= 200 * mean + 1  # a pair is seen from both sides, equally far


def test_dense_rows_keep_more_and_none_is_left_alone() -> None:
    g = torch.Generator().manual_seed(0)
    x = torch.cat([0.1 * torch.randn(100, 4, generator=g), 100 + 5 * torch.randn(100, 4, generator=g)])
    _, distance = neighbors(x, x, 40, exclude_self=True)
    counts = adaptive_counts(distance, 15)
    assert counts[100:].tolist() == [1] * 100
    assert float(counts[:100].float().mean()) == pytest.approx(29, abs=0.02)
    assert int(adaptive_counts(distance, 15, least=4)[100:].min()) == 4
    torch.testing.assert_close(adaptive_counts(7 * distance, 15), counts)


def test_pairs_equally_far_at_the_bound_are_all_kept() -> None:
    assert adaptive_counts(torch.ones(5, 6), 2).tolist() == [6] * 5


def test_refusals() -> None:
    distance = distances()
    with pytest.raises(ArgumentError, match="mean=31: there are 30"):
        adaptive_counts(distance, 31)
    with pytest.raises(ArgumentError, match="least=11: must be at most mean=10"):
        adaptive_counts(distance, 10, least=11)
    with pytest.raises(ArgumentError, match="least=0"):
        adaptive_counts(distance, 10, least=0)
    with pytest.raises(ArgumentError, match="ascend"):
        adaptive_counts(distance.flip(1), 10)
    with pytest.raises(ArgumentError, match="ascend"):
        adaptive_counts(torch.full((3, 4), torch.nan), 2)
    with pytest.raises(ArgumentError, match=r"shape \(n, m\)"):
        adaptive_counts(torch.ones(4), 1)
