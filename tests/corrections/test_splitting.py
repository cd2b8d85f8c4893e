"""Halves of a group, by features."""

from __future__ import annotations

import numpy as np
import pytest

from ilk.corrections.splitting import split_in_two


def clouds(n: int, m: int, d: int = 20, seed: int = 0, noise: float = 0.05) -> np.ndarray:
    """`n` rows around one direction and `m` around another."""
    rng = np.random.default_rng(seed)
    middle = rng.normal(size=(2, d))
    middle /= np.linalg.norm(middle, axis=1, keepdims=True)
    x = np.repeat(middle, (n, m), 0) + rng.normal(0, noise, (n + m, d))
    return (x * rng.uniform(0.5, 2, (n + m, 1))).astype(np.float32)  # only directions count


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(("n", "m"), [(30, 10), (10, 30), (40, 1), (20, 20), (9000, 1500)])
def test_two_clouds_are_two_halves(seed: int, n: int, m: int) -> None:
    side = split_in_two(clouds(n, m, seed=seed))
    first = np.arange(n + m) < n
    assert (
        side == (~first if m <= n else first)
    ).all()  # the smaller one goes, of equal ones that without the first row


def test_the_order_of_rows_decides_nothing_but_who_goes() -> None:
    x = np.random.default_rng(0).normal(size=(200, 8)).astype(np.float32)
    order = np.random.default_rng(1).permutation(200)
    side, other = split_in_two(x), split_in_two(x[order])
    assert (side[order] == other).all() or (2 * side.sum() == 200 and (side[order] != other).all())
    assert 0 < side.sum() <= 100
    assert (split_in_two(x) == side).all()


def test_examples_stay_and_bring_their_like() -> None:
    x = np.concatenate([clouds(20, 20, seed=3), clouds(1, 19, seed=3)])  # 21 of the one, then 39 of the other
    examples = np.zeros(len(x), bool)
    examples[[0, 1]] = True
    like = np.arange(len(x)) < 20
    like[40] = True
    assert (split_in_two(x, examples) == like).all()  # the larger or the smaller: what was shown goes
    examples[25] = True  # one that is unlike them
    side = split_in_two(x, examples)
    assert side[[0, 1, 25]].all()


def test_rows_that_are_all_alike_have_no_halves() -> None:
    assert not split_in_two(np.ones((5, 3), np.float32)).any()
    assert not split_in_two(np.zeros((4, 3), np.float32)).any()
