"""How many epochs the published thresholds take, and where they stand."""

from __future__ import annotations

import numpy as np
import pytest

from ilk.losses import lambda_thresholds, linear_thresholds


def test_the_seeds_loop_takes_47_epochs_and_the_papers_46() -> None:
    """The loop as the seed has it: the test looks at what the epoch just used."""
    count, lam = 0, 0.0
    upper, lower = 0.95, 0.455
    thresholds = []
    while upper > lower:
        upper, lower = 0.95 - lam, 0.455 + 0.1 * lam
        thresholds.append((upper, lower))
        count += 1
        lam += 1.1 * 0.009
    assert count == 47
    np.testing.assert_allclose(lambda_thresholds(beyond=True), thresholds)
    np.testing.assert_allclose(lambda_thresholds(beyond=False), thresholds[:46])


def test_where_the_lambda_thresholds_begin_and_end() -> None:
    seed, paper = lambda_thresholds(beyond=True), lambda_thresholds(beyond=False)
    assert seed[0] == paper[0] == (0.95, 0.455)
    assert seed[-1] == pytest.approx((0.4946, 0.50054))
    assert all(upper >= lower for upper, lower in paper)
    assert seed[-1][0] < seed[-1][1]


@pytest.mark.parametrize(
    ("upper", "lower", "epochs", "step", "last"),
    [
        ((0.9, 0.5), (0.9, 0.5), 20, -0.02, 0.52),
        ((0.99, 0.75), (0.99, 0.75), 50, -0.0048, 0.7548),
        ((0.99, 0.5), (0.99, 0.5), 75, -0.00653333, 0.50653333),
        ((0.99, 0.895), (0.80, 0.895), 50, -0.0019, 0.8969),
    ],
    ids=["MNIST", "CIFAR", "STL", "two thresholds"],
)
def test_the_released_steps(upper: tuple, lower: tuple, epochs: int, step: float, last: float) -> None:
    found = linear_thresholds(upper, lower, epochs)
    assert len(found) == epochs
    assert found[0] == (upper[0], lower[0])
    assert found[1][0] - found[0][0] == pytest.approx(step, abs=1e-7)
    assert found[-1][0] == pytest.approx(last, abs=1e-6)
    assert all(high >= low for high, low in found)
