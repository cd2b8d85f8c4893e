"""A small network with random weights, converted once, and folders of random photos."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import timm
from PIL import Image
from safetensors.torch import save_file

from ilk import compute, encoders
from ilk.encoders import FrozenEncoder

SMALL = {"image_size": 32}


def _save_random(name: str, path: Path, **options: object) -> Path:
    """Write random weights of a timm model as safetensors."""
    with compute.seeded(0):
        model = timm.create_model(name, pretrained=False, **options)
    save_file({key: value.contiguous() for key, value in model.state_dict().items()}, path)
    return path


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache that all tests of a session share for converted models."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="session")
def save_random() -> Callable[..., Path]:
    """The function that writes random weights of a timm model to a file."""
    return _save_random


@pytest.fixture(scope="session")
def weights(home: Path) -> Path:
    """Random weights of test_efficientnet."""
    return _save_random("test_efficientnet", home / "random.safetensors")


@pytest.fixture(scope="session")
def _network(home: Path, weights: Path) -> FrozenEncoder:
    # "auto" is bf16 on some processors and fp32 on others
    return encoders.build(
        "test_efficientnet", weights=weights, settings=SMALL, device="cpu", cache=home, precision="fp32"
    )


@pytest.fixture
def network(_network: FrozenEncoder) -> FrozenEncoder:
    """test_efficientnet at 32 pixels with random weights, on the default back end, in fp32."""
    return replace(_network, workers=2)


@pytest.fixture
def photos(tmp_path: Path) -> Callable[..., Path]:
    """Make a folder of n random 40 × 30 photos."""

    def make(n: int, name: str = "photos", first: int = 0) -> Path:
        root = tmp_path / name
        root.mkdir(exist_ok=True)
        for i in range(first, first + n):
            coarse = np.random.default_rng(i).integers(0, 255, (4, 5, 3), np.uint8)
            Image.fromarray(coarse).resize((40, 30), Image.Resampling.BICUBIC).save(root / f"{i:04d}.png")
        return root

    return make
