"""Stacks: every image within the limit of the one that stands for it, whatever lies between; the best one stands."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from ilk import near
from ilk.near.rows import Coordinates

Floats = npt.NDArray[np.float32]


def clumps(n: int, d: int, seed: int, wide: float = 0.3) -> Floats:
    """Rows around a few directions, at all distances up to well beyond `wide`."""
    rng = np.random.default_rng(seed)
    centers = rng.normal(size=(max(2, n // 12), d))
    centers /= np.linalg.norm(centers, axis=1, keepdims=True)
    steps = rng.normal(size=(n, d)) / np.sqrt(d) * rng.uniform(0, wide, (n, 1))
    return (centers[rng.integers(0, len(centers), n)] + steps).astype(np.float32)


def brute(x: Floats, order: npt.NDArray[np.int64], limit: float) -> npt.NDArray[np.int64]:
    """The same by its definition: one image after the other, all distances measured."""
    u = near.unit(x)
    heads: list[int] = []
    found = np.arange(len(x))
    for row in order.tolist():
        apart = np.linalg.norm(u[heads] - u[row], axis=1) if heads else np.empty(0)
        if len(apart) and apart.min() <= limit:
            found[row] = heads[int(apart.argmin())]
        else:
            heads.append(row)
    return found


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize(("n", "d"), [(40, 5), (900, 24), (600, 200)])
def test_as_by_definition(n: int, d: int, seed: int) -> None:
    x = clumps(n, d, seed)
    order = np.random.default_rng(seed).permutation(n)
    heads = near.lead(x, order, 0.2)
    np.testing.assert_array_equal(heads, brute(x, order, 0.2))
    assert 0 < (heads != np.arange(n)).sum() < n - 1


@pytest.mark.parametrize("seed", range(4))
def test_every_member_is_within_the_limit_of_its_head(seed: int) -> None:
    x = clumps(700, 90, seed).astype(np.float16)
    ties = np.random.default_rng(seed).integers(0, 3, 700)
    for heads in (near.lead(x, np.arange(700), 0.25), near.lead(x, np.arange(700), 0.25, ties)):
        u = near.unit(x)
        assert np.linalg.norm(u - u[heads], axis=1).max() <= 0.25
        np.testing.assert_array_equal(heads[heads], heads)


def test_a_chain_does_not_glue_a_group_together() -> None:
    angle = np.arange(60) * 0.05
    x = np.stack([np.cos(angle), np.sin(angle)], 1).astype(np.float32)
    heads = near.lead(x, np.arange(60), 0.12)
    assert np.abs(angle - angle[heads]).max() <= 0.121
    assert len(np.unique(heads)) == 20


def test_the_best_stands_for_its_stack() -> None:
    order, ties = near.best_first(np.array([10, 40, 40, 40]), np.array([10, 40, 40, 40]), np.array([9, 5, 7, 7]))
    assert order.tolist() == [2, 3, 1, 0]
    assert ties.tolist() == [2, 1, 0, 0]
    x = np.tile(np.array([[1.0, 2.0, 3.0]], np.float32), (4, 1))
    assert near.lead(x, order, 0.1, ties).tolist() == [2, 2, 2, 2]


def test_of_equals_the_central_one_stands() -> None:
    angle = np.array([0.0, 0.05, 0.1, 2.0])
    x = np.stack([np.cos(angle), np.sin(angle)], 1).astype(np.float32)
    assert near.lead(x, np.arange(4), 0.12, np.zeros(4, np.int64)).tolist() == [1, 1, 1, 3]
    assert near.lead(x, np.arange(4), 0.12, np.arange(4)).tolist() == [0, 0, 0, 3]
    # far out, but the only one that all others are near
    wide = np.array([0.0, 0.1, -0.1])
    x = np.stack([np.cos(wide), np.sin(wide)], 1).astype(np.float32)
    assert near.lead(x, np.arange(3), 0.12, np.zeros(3, np.int64)).tolist() == [0, 0, 0]


@pytest.mark.parametrize("d", [3, 64, 65, 300])
def test_short_coordinates_never_rule_out_what_is_near(d: int) -> None:
    x = clumps(300, d, d)
    short, u = Coordinates.of(x), near.unit(x)
    apart = np.linalg.norm(u[:, None] - u[None], axis=2)
    i, j = short.may_be_near(short.rows, short.rows, 0.3)
    may = np.zeros((300, 300), bool)
    may[i, j] = True
    assert (may | (apart > 0.3)).all()
    assert may.mean() < 0.5  # and rule out most of the others


def test_new_images_join_the_heads_that_are_there() -> None:
    x = clumps(400, 30, 3)
    heads = np.unique(near.lead(x[:300], np.arange(300), 0.25))
    found = near.joined(x, heads, np.arange(300, 400), 0.25)
    u = near.unit(x)
    apart = np.linalg.norm(u[300:, None] - u[heads][None], axis=2)
    wanted = np.where(apart.min(1) <= 0.25, heads[apart.argmin(1)], np.arange(300, 400))
    np.testing.assert_array_equal(found, wanted)


def test_nothing_and_one() -> None:
    assert near.lead(np.zeros((0, 4), np.float32), np.arange(0), 0.1).tolist() == []
    assert near.lead(np.ones((1, 4), np.float32), np.arange(1), 0.1).tolist() == [0]
    # rows of zeros are alike, and like nothing else
    x = np.array([[0, 0], [1, 0], [0, 0]], np.float32)
    assert near.lead(x, np.arange(3), 0.1).tolist() == [0, 1, 0]


def fifteen(rows: Floats) -> tuple[npt.NDArray[np.int64], Floats]:
    """The 15 nearest of each row, all distances measured."""
    apart = np.linalg.norm(rows[:, None] - rows[None], axis=2)
    np.fill_diagonal(apart, np.inf)
    index = np.argsort(apart, axis=1, kind="stable")[:, :15]
    return index, np.take_along_axis(apart, index, 1)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(("n", "d"), [(40, 5), (600, 24), (500, 200)])
def test_of_very_many_images_the_nearest_are_enough(n: int, d: int, seed: int) -> None:
    x = clumps(n, d, seed)
    order = np.random.default_rng(seed).permutation(n)
    heads, wanted = near.lead(x, order, 0.2, nearest=fifteen), brute(x, order, 0.2)
    assert (heads == wanted).mean() > 0.98
    u = near.unit(x)
    assert np.linalg.norm(u - u[heads], axis=1).max() <= 0.2 + 1e-6
    assert (heads[heads] == heads).all()


def test_a_stack_may_have_more_images_than_nearest_are_looked_at() -> None:
    """All are within the limit of the best one, and hardly any has it among its 15 nearest."""
    rng = np.random.default_rng(0)
    steps = rng.normal(size=(300, 40))
    x = np.ones((300, 40)) + 0.25 * steps / np.linalg.norm(steps, axis=1, keepdims=True)
    x = np.concatenate([np.ones((1, 40)), x]).astype(np.float32)
    order = rng.permutation(301)
    order = np.concatenate([[0], order[order > 0]])
    u = near.unit(x)
    assert np.linalg.norm(u - u[0], axis=1).max() < 0.05
    index, _ = fifteen(u)
    index[0] = np.arange(1, 16)  # of the best one none but these are its nearest
    index[:, 0] = np.where((index == 0).any(1), index[:, 1], index[:, 0])

    def some(rows: Floats) -> tuple[npt.NDArray[np.int64], Floats]:
        return index, np.zeros(index.shape, np.float32)

    assert (near.lead(x, order, 0.05, nearest=some) == 0).mean() > 0.95
