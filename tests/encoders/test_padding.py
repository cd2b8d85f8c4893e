"""Weights that were trained with TensorFlow's padding are noticed."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.datasets import load_sample_images

from ilk.data import open_images
from ilk.encoders import bundled, padding, pretrained


@pytest.fixture(scope="module")
def crops() -> torch.Tensor:
    """96 pieces of two real photos: uint8 (96, 3, 96, 96)."""
    rng = np.random.default_rng(0)
    found = []
    for image in load_sample_images().images:
        for _ in range(48):
            y, x = rng.integers(0, 427 - 200), rng.integers(0, 640 - 200)
            found.append(open_images(image[None, y : y + 200, x : x + 200]).sized(96).read([0]))
    return torch.cat(found)


def test_weights_of_tensorflow_are_surer_with_its_padding(crops: torch.Tensor) -> None:
    what = pretrained.recipe("efficientnet_lite0", {"image_size": 96})
    state = bundled.state("tf_efficientnet_lite0")
    assert padding.trained_padding(what, state, crops, "file") == "same"
    flat = {**state, "classifier.weight": torch.zeros_like(state["classifier.weight"])}
    assert padding.trained_padding(what, flat, crops, "file") == "default"  # a classifier that knows nothing
    assert padding.trained_padding(what, state, crops[:8], "file") == "default"  # too few to tell


def test_nothing_to_choose(crops: torch.Tensor) -> None:
    state = bundled.state("tf_efficientnet_lite0")
    own = pretrained.recipe("tf_efficientnet_lite0", {"image_size": 96})
    assert padding.trained_padding(own, state, crops, "file") == "default"  # it has that padding already
    headless = {key: value for key, value in state.items() if not key.startswith("classifier")}
    what = pretrained.recipe("efficientnet_lite0", {"image_size": 96})
    assert padding.trained_padding(what, headless, crops, "file") == "default"
