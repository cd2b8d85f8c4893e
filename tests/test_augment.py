"""Augmentations against scalar versions, one image and one pixel at a time."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

from ilk.augment import affine
from ilk.errors import ArgumentError


def draws(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def batch(b: int = 5, c: int = 3, h: int = 7, w: int = 9, seed: int = 0) -> torch.Tensor:
    return torch.rand((b, c, h, w), generator=draws(seed)) - 0.4


def by_hand(images: torch.Tensor, seed: int, options: dict[str, Any]) -> np.ndarray:
    """What `affine` promises, written as the docstring says it: loops, and matrices in homogeneous coordinates."""
    b, c, h, w = images.shape
    low, high = options.get("zoom", (1.0, 1.0))
    drawn = torch.rand((6 + c, b), generator=draws(seed)).double().numpy()
    result = np.zeros((b, c, h, w), np.float32)
    for n in range(b):
        angle, down, across = 2 * drawn[:3, n] - 1
        angle *= math.radians(options.get("rotation", 0))
        turn = np.array([[math.cos(angle), -math.sin(angle), 0], [math.sin(angle), math.cos(angle), 0], [0, 0, 1]])
        size = options.get("shift", 0)
        move = np.array([[1, 0, down * size * h], [0, 1, across * size * w], [0, 0, 1]])
        grow = np.diag([low + (high - low) * drawn[3, n], low + (high - low) * drawn[4, n], 1])
        to_centre = np.array([[1, 0, -(h - 1) / 2], [0, 1, -(w - 1) / 2], [0, 0, 1]])
        whole = np.linalg.inv(to_centre) @ turn @ move @ grow @ to_centre
        mirrored = options.get("flip", False) and drawn[5, n] < 0.5
        for row in range(h):
            for column in range(w):
                y, x, _ = whole @ [row, w - 1 - column if mirrored else column, 1]
                at = min(max(round(y), 0), h - 1), min(max(round(x), 0), w - 1)
                result[n, :, row, column] = images[n, :, at[0], at[1]].numpy()
        ends = result[n].min(), result[n].max()
        for channel in range(c):
            moved = result[n, channel] + np.float32((2 * drawn[6 + channel, n] - 1) * options.get("channel_shift", 0))
            result[n, channel] = np.clip(moved, *ends)
    return result * np.float32(options.get("scale", 1))


@pytest.mark.parametrize(
    "options",
    [
        {"rotation": 20},
        {"shift": 0.3},
        {"zoom": (0.6, 1.5)},
        {"flip": True},
        {"channel_shift": 0.2},
        {"scale": 0.95},
        {"rotation": 40, "shift": 0.2, "zoom": (0.8, 1.3), "flip": True, "channel_shift": 0.1, "scale": 0.975},
    ],
    ids=str,
)
@pytest.mark.parametrize("c", [1, 3])
def test_affine_is_what_it_says(options: dict[str, Any], c: int) -> None:
    for seed in range(4):
        images = batch(c=c, seed=seed + 10)
        np.testing.assert_allclose(affine(images, draws(seed), **options), by_hand(images, seed, options), atol=1e-6)


def test_without_options_nothing_changes() -> None:
    for images in (batch(), batch(b=1, c=1, h=1, w=1), batch(h=4, w=1), batch(b=0), batch().bfloat16()):
        seen = affine(images, draws(0))
        assert torch.equal(seen, images)
        assert seen.dtype == images.dtype


def pinned(monkeypatch: pytest.MonkeyPatch, value: float) -> None:
    """Let every factor be drawn as `value` in [0, 1]."""
    monkeypatch.setattr(torch, "rand", lambda size, generator=None, device=None: torch.full(size, value))


@pytest.mark.parametrize("sides", [(6, 6), (5, 5)])
def test_a_quarter_turn(sides: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    images = batch(h=sides[0], w=sides[1])
    pinned(monkeypatch, 1.0)
    for border in ("nearest", "reflect", "zeros"):
        for mode in ("nearest", "bilinear"):
            seen = affine(images, None, rotation=90, mode=mode, border=border)
            torch.testing.assert_close(seen, images.rot90(-1, (2, 3)), atol=2e-5, rtol=0)


def test_a_pure_shift_repeats_the_edge_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    images = batch(h=10, w=10)
    pinned(monkeypatch, 1.0)
    seen = affine(images, None, shift=0.2)
    assert torch.equal(seen[:, :, :8, :8], images[:, :, 2:, 2:])
    assert torch.equal(seen[:, :, 8:, :8], images[:, :, -1:, 2:].expand(-1, -1, 2, -1))
    zeros = affine(images, None, shift=0.2, border="zeros")
    assert torch.equal(zeros[:, :, :8, :8], images[:, :, 2:, 2:])
    assert not zeros[:, :, 8:].any()
    assert torch.allclose(affine(images, None, shift=0.2, border="reflect")[:, :, 8, :8], images[:, :, 8, 2:])


def test_half_of_the_images_are_mirrored_exactly() -> None:
    images = batch(b=2000, c=1, h=2, w=3)
    seen = affine(images, draws(1), flip=True)
    same = (seen == images).flatten(1).all(1)
    mirrored = (seen == images.flip(3)).flatten(1).all(1)
    assert (same ^ mirrored).all()
    assert 900 < same.sum() < 1100


def test_channels_are_moved_apart_and_stay_in_range() -> None:
    images = batch(b=50)
    seen = affine(images, draws(0), channel_shift=0.3)
    assert torch.equal(seen.amin((1, 2, 3)) >= images.amin((1, 2, 3)), torch.ones(50, dtype=torch.bool))
    assert torch.equal(seen.amax((1, 2, 3)) <= images.amax((1, 2, 3)), torch.ones(50, dtype=torch.bool))
    offsets = (seen - images).mean((2, 3))
    assert (offsets.std(1) > 0.01).float().mean() > 0.9


def test_every_image_has_factors_of_its_own() -> None:
    images = batch(b=1, h=20, w=20).expand(64, -1, -1, -1)
    seen = affine(images, draws(0), rotation=30)
    assert len({one.numpy().tobytes() for one in seen}) > 50


def test_options_do_not_move_each_others_draws() -> None:
    for options in ({}, {"flip": True}, {"rotation": 9, "channel_shift": 0.1, "scale": 2.0}):
        generator, other = draws(3), draws(3)
        affine(batch(), generator, **options)
        torch.rand((9, 5), generator=other)
        assert torch.equal(generator.get_state(), other.get_state())


def test_same_seed_same_images_and_the_input_is_kept() -> None:
    images = batch()
    before = images.clone()
    options = {"rotation": 10, "shift": 0.1, "zoom": (0.9, 1.1), "flip": True, "channel_shift": 0.1}
    assert torch.equal(affine(images, draws(5), **options), affine(images, draws(5), **options))
    assert not torch.equal(affine(images, draws(5), **options), affine(images, draws(6), **options))
    assert torch.equal(images, before)


@pytest.mark.parametrize(
    ("images", "options", "hint"),
    [
        (torch.zeros((2, 3, 4, 4), dtype=torch.uint8), {}, "uint8"),
        (torch.zeros((3, 4, 4)), {}, r"\(3, 4, 4\)"),
        (batch(), {"mode": "cubic"}, "cubic"),
        (batch(), {"border": "wrap"}, "wrap"),
    ],
)
def test_what_is_refused(images: torch.Tensor, options: dict[str, Any], hint: str) -> None:
    with pytest.raises(ArgumentError, match=hint):
        affine(images, draws(0), **options)
