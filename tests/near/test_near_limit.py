"""The limit: where copies are set apart by a gap, in the gap; among images that are all much alike, none is stacked."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
import torch
from sklearn.datasets import load_digits

from ilk import near
from ilk.methods.inputs.copies import jittered

Floats = npt.NDArray[np.float32]


def photos(n: int, seed: int = 0) -> Floats:
    """Features of n images that have little to do with each other: nearest others at about 0.9."""
    return np.random.default_rng(seed).normal(size=(n, 60)).astype(np.float32)


def copied(x: Floats, share: float, seed: int = 1) -> Floats:
    """Copies that lie `share` of their length away."""
    step = np.random.default_rng(seed).normal(size=x.shape)
    step *= share * np.linalg.norm(x, axis=1, keepdims=True) / np.linalg.norm(step, axis=1, keepdims=True)
    return (x + step).astype(np.float32)


def stacked(x: Floats, limit: near.Limit) -> int:
    if limit.value is None:
        return 0
    return int((near.lead(x, np.arange(len(x)), limit.value) != np.arange(len(x))).sum())


def shuffled(*parts: Floats) -> Floats:
    x = np.concatenate(parts)
    return x[np.random.default_rng(5).permutation(len(x))]


@pytest.mark.parametrize("n_copies", [0, 1, 3, 40, 200])
@pytest.mark.parametrize("reach", [0.15, 0.25, 0.45])
def test_copies_are_stacked_and_others_are_not(n_copies: int, reach: float) -> None:
    x = photos(200)
    y = shuffled(x, copied(x[:n_copies], 0.12))
    limit = near.find(y, np.linspace(0.5 * reach, reach, 40))
    assert 0.12 < limit.value < 0.8
    assert stacked(y, limit) == n_copies


def test_a_burst_is_one_stack() -> None:
    x = photos(150)
    burst = copied(np.repeat(x[:1], 400, 0), 0.15)
    y = shuffled(x, burst)
    limit = near.find(y, np.linspace(0.05, 0.25, 40))
    assert stacked(y, limit) == 400


@pytest.mark.parametrize("copies", [None, 0.05, 0.1, 0.2, 0.4, 0.8])
def test_digits_are_much_alike_and_none_is_a_copy(copies: float | None) -> None:
    x = load_digits().data.astype(np.float32)
    limit = near.find(x, None if copies is None else np.full(30, copies))
    assert stacked(x, limit) == 0


def test_copies_among_digits_are_found_all_the_same() -> None:
    x = load_digits().data.astype(np.float32)
    y = shuffled(x, copied(x[::20], 0.02))
    limit = near.find(y, np.linspace(0.01, 0.05, 30))
    assert stacked(y, limit) == len(x[::20])


def test_tight_groups_are_no_stacks_where_no_copies_can_be_made() -> None:
    """A network that was trained on the classes draws each of them into a point."""
    x = copied(np.repeat(photos(10), 60, 0), 0.1)
    assert stacked(x, near.find(x)) == 0
    pairs = shuffled(photos(100), copied(photos(100)[:20], 0.05))
    assert stacked(pairs, near.find(pairs)) == 20


def test_the_limit_never_takes_all() -> None:
    x = copied(np.repeat(photos(1), 300, 0), 0.2)  # shots of one thing, and nothing else
    limit = near.find(x, np.full(30, 2.0))
    assert stacked(x, limit) < 150


def test_images_that_say_nothing() -> None:
    assert near.find(photos(2)).value is None
    assert near.find(np.ones((20, 5), np.float32)).value is None
    assert near.find(np.zeros((20, 5), np.float32), np.zeros(9)).value is None
    found = near.find(photos(50), np.full(9, 0.3))
    assert found.as_record()["n_copies"] == 9
    assert "0.30" in found.why


@pytest.mark.parametrize("shape", [(3, 40, 56), (1, 28, 28), (1, 8, 8), (3, 1, 1)])
def test_jittered_copies_are_like_their_image(shape: tuple[int, int, int]) -> None:
    c, h, w = shape
    ramp = torch.linspace(30, 220, w).expand(c, h, w).to(torch.uint8)
    made = jittered(ramp, 4, np.random.default_rng(0))
    assert made.shape == (4, *shape)
    assert made.dtype == torch.uint8
    assert (made.float() - ramp.float()).abs().mean() < 40
    if w > 1:
        assert all((one != ramp).any() for one in made)
    assert torch.equal(made, jittered(ramp, 4, np.random.default_rng(0)))
