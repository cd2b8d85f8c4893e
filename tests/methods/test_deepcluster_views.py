"""What DeepCluster's networks see: the centre for clustering, augmented for training, parts in other sizes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from ilk import compute
from ilk.augment import resized_crop
from ilk.data import ArrayImages, channel_moments
from ilk.methods.deepcluster.settings import PRESETS
from ilk.methods.deepcluster.views import Views


def views(side: int, preset: str = "small", **more: Any) -> tuple[Views, np.ndarray]:
    pixels = np.random.default_rng(0).integers(0, 256, (40, 32, 32, 3), np.uint8)
    images = ArrayImages(pixels)
    mean, std = channel_moments(images)
    settings = PRESETS[preset].replace(image_size=side, **more)
    return Views(images, settings, mean, std, torch.device("cpu")), pixels


def test_clustering_sees_the_centre_normalised() -> None:
    seen, pixels = views(28)
    found = seen.read(torch.arange(40))
    part = pixels[:, 2:30, 2:30].astype(np.float64) / 255
    whole = pixels.astype(np.float64) / 255
    theirs = (part - whole.mean((0, 1, 2))) / whole.std((0, 1, 2))
    np.testing.assert_allclose(found.permute(0, 2, 3, 1).numpy(), theirs, atol=1e-4)
    assert found.is_contiguous(memory_format=torch.channels_last)


def test_nothing_asked_for_is_nothing_changed() -> None:
    still = {"rotation": 0.0, "translate": 0.0, "zoom": (1.0, 1.0), "flip": False}
    seen, _ = views(32, **still)
    index = torch.arange(8)
    assert torch.equal(seen.augmented(seen.unit(index), compute.generator(0)), seen.read(index))


@pytest.mark.parametrize("preset", ["small", "paper_alexnet", "v2_small"])
def test_augmentations_have_the_size_of_the_network_and_differ_by_image_and_draw(preset: str) -> None:
    seen, _ = views(28, preset)
    same = torch.zeros(6, dtype=torch.int64)
    one = seen.augmented(seen.unit(same), compute.generator(0))
    assert one.shape == (6, 3, 28, 28)
    assert len({tuple(image.flatten().tolist()) for image in one}) == 6
    assert torch.equal(one, seen.augmented(seen.unit(same), compute.generator(0)))
    assert not torch.equal(one, seen.augmented(seen.unit(same), compute.generator(1)))


def test_grey_images_among_colours_and_colours_for_a_grey_network() -> None:
    colour, grey = (np.random.default_rng(1).integers(0, 256, (4, 8, 8, *c), np.uint8) for c in ((3,), ()))
    cpu = torch.device("cpu")
    for pixels, channels in ((grey, 3), (colour, 1)):
        moments = torch.zeros(channels), torch.ones(channels)
        seen = Views(ArrayImages(pixels), PRESETS["tiny"], *moments, cpu)
        found = seen.augmented(seen.unit(torch.arange(4)), compute.generator(0))
        assert found.shape == (4, channels, 8, 8)
        wanted = pixels[:, None] if channels == 3 else pixels.transpose(0, 3, 1, 2).mean(1, keepdims=True)
        np.testing.assert_allclose(found.numpy(), np.broadcast_to(wanted, found.shape) / 255, atol=1e-6)


def test_parts_come_in_the_size_that_is_asked_for() -> None:
    """A linear ramp stays one: its values say where a part was cut, whatever the size it is brought to."""
    ramp = (torch.arange(40.0) + 0.5).expand(1, 1, 40, 40).repeat(50, 1, 1, 1)
    for side in (10, 40, 64):
        found = resized_crop(ramp, compute.generator(3), scale=(0.25, 0.25), ratio=(1.0, 1.0), size=side)
        assert found.shape == (50, 1, side, side)
        wide = (found[:, 0, 0, -1] - found[:, 0, 0, 0]) * side / (side - 1)
        torch.testing.assert_close(wide, torch.full((50,), 20.0), atol=1.2, rtol=0)  # half of each side
        assert found.min() >= 0.4
        assert found.max() <= 40
        assert found[:, 0, 0, 0].std() > 2
