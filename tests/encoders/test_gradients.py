"""Oriented gradients: directions, votes, cells, and what must not matter."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from ilk import encoders
from ilk.data import open_images
from ilk.encoders.gradients import BINS, CELLS, oriented_gradients


def ramp(degrees: float, side: int = 32) -> torch.Tensor:
    """A plane that gets brighter in one direction: 0 = to the right, 90 = downwards."""
    y, x = np.mgrid[:side, :side] - (side - 1) / 2
    angle = math.radians(degrees)
    return torch.from_numpy(x * math.cos(angle) + y * math.sin(angle))[None]


def inner(features: torch.Tensor) -> torch.Tensor:
    """Votes of the directions (12,), as shares, in the cells that do not touch the border."""
    votes = features.view(BINS, CELLS, CELLS)[:, 2:-2, 2:-2].square().sum((1, 2))
    return votes / votes.sum()


@pytest.mark.parametrize("direction", range(BINS))
def test_a_ramp_votes_for_its_direction(direction: int) -> None:
    votes = inner(oriented_gradients(ramp(30 * direction)))
    assert votes[direction] == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("share", [0.25, 0.5, 0.9])
@pytest.mark.parametrize("direction", [0, 5, 6, 11])
def test_between_two_directions_votes_are_shared_linearly(direction: int, share: float) -> None:
    votes = inner(oriented_gradients(ramp(30 * (direction + share))))
    assert votes[direction] == pytest.approx(1 - share, abs=2e-3)
    assert votes[(direction + 1) % BINS] == pytest.approx(share, abs=2e-3)


def test_light_to_dark_is_not_dark_to_light() -> None:
    picture = torch.randint(0, 255, (1, 28, 28), generator=torch.Generator().manual_seed(0)).float()
    there, back = (oriented_gradients(p).view(BINS, -1) for p in (picture, -picture))
    torch.testing.assert_close(there, back.roll(BINS // 2, 0), rtol=1e-3, atol=1e-4)


def test_a_quarter_turn_turns_cells_and_directions() -> None:
    picture = torch.rand((1, 32, 32), generator=torch.Generator().manual_seed(1))
    turned = picture.rot90(-1, (1, 2))  # clockwise: what pointed to the right points downwards
    expected = oriented_gradients(picture).view(BINS, CELLS, CELLS).rot90(-1, (1, 2)).roll(BINS // 4, 0)
    torch.testing.assert_close(oriented_gradients(turned).view(BINS, CELLS, CELLS), expected, rtol=1e-3, atol=1e-4)


def test_brightness_and_contrast_do_not_matter() -> None:
    picture = torch.randint(0, 100, (3, 20, 24), generator=torch.Generator().manual_seed(0)).float()
    truth = oriented_gradients(picture)
    torch.testing.assert_close(oriented_gradients(2.5 * picture + 7), truth, rtol=1e-3, atol=1e-3)
    assert float(truth.max()) > 0.1


def test_plain_pictures_have_zeros() -> None:
    for value in (0, 255):
        found = oriented_gradients(torch.full((2, 28, 28), value, dtype=torch.uint8))
        assert torch.isfinite(found).all()
        assert float(found.max()) < 1e-3


def test_against_a_plain_loop() -> None:
    """Every pixel votes alone: interpolation, blur and derivative aside, which the ramps test."""
    picture = torch.randint(0, 255, (32, 32), generator=torch.Generator().manual_seed(3)).double()
    scaled = (picture / (picture.max() - picture.min())).numpy()
    offsets = np.arange(-4, 5)
    kernel = np.exp(-0.5 * (offsets / 0.8) ** 2)
    kernel /= kernel.sum()
    padded = np.pad(scaled, 4, mode="symmetric")
    blurred = np.zeros((32, 32))
    for y in range(32):
        for x in range(32):
            blurred[y, x] = kernel @ padded[y : y + 9, x : x + 9] @ kernel
    edged = np.pad(blurred, 1, mode="edge")
    weights = np.exp(-0.5 * (((np.arange(32) - 4 * np.arange(8)[:, None] - 1.5) / 4) / 0.6) ** 2)
    weights /= weights.sum(1, keepdims=True)
    votes = np.zeros((12, 8, 8))
    for y in range(32):
        for x in range(32):
            dx = (edged[y + 1, x + 2] - edged[y + 1, x]) / 2
            dy = (edged[y + 2, x + 1] - edged[y, x + 1]) / 2
            at = math.degrees(math.atan2(dy, dx)) % 360 / 30
            low, share = int(at) % 12, at - int(at)
            for k, part in ((low, 1 - share), ((low + 1) % 12, share)):
                votes[k] += math.hypot(dx, dy) * part * np.outer(weights[:, y], weights[:, x])
    found = oriented_gradients(picture[None]).view(12, 8, 8).numpy()
    np.testing.assert_allclose(found, np.sqrt(votes), rtol=2e-3, atol=2e-4)


def test_an_image_does_not_depend_on_its_company_and_comes_back() -> None:
    images = np.random.default_rng(0).integers(0, 255, (70, 28, 28), np.uint8)
    source = open_images(images)
    encoder = encoders.build("gradients", source=source)
    assert encoder.n_features == BINS * CELLS**2
    together = encoder(source.read(range(70)))
    np.testing.assert_allclose(together[69], encoder(source.read([69]))[0], rtol=1e-5, atol=1e-6)
    again = encoders.rebuild(encoder.spec())
    assert again.key == encoder.key
    assert np.array_equal(again(source.read(range(70))), together)


def test_grey_pictures_in_three_channels_are_the_same_pictures() -> None:
    images = np.random.default_rng(0).integers(0, 255, (4, 28, 28), np.uint8)
    grey, colour = open_images(images), open_images(np.repeat(images[..., None], 3, 3))
    found = [encoders.build("gradients", source=s)(s.read(range(4))) for s in (grey, colour)]
    np.testing.assert_allclose(found[0], found[1], atol=0.02)  # luminance rounds
