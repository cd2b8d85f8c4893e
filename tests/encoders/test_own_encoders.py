"""Encoders of the user's own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from torch import Tensor, nn

from ilk import compute, encoders
from ilk.data import open_images
from ilk.errors import ArgumentError, RunError

PHOTOS = np.random.default_rng(0).integers(0, 255, (7, 40, 50, 3), np.uint8)


def means(pixels: np.ndarray) -> np.ndarray:
    """Mean colours of uint8 (b, h, w, 3)."""
    assert pixels.dtype == np.uint8
    assert pixels.shape[3] == 3
    return pixels.mean((1, 2))


class Means(nn.Module):
    """The same of float (b, 3, h, w) from 0 to 1."""

    def forward(self, images: Tensor) -> Tensor:
        assert not self.training
        return images.mean((2, 3))


def test_a_function_and_a_module_see_the_same_pictures() -> None:
    source = open_images(PHOTOS)
    by_function = encoders.build(means, settings={"image_size": 32}, device="cpu")
    by_module = encoders.build(Means(), settings={"image_size": 32}, device="cpu")
    assert by_function.name.endswith(":means")
    assert by_function.n_features == 3
    pixels = source.sized(32).read(range(7))
    np.testing.assert_allclose(by_function(pixels), pixels.double().mean((2, 3)).numpy(), rtol=1e-5)
    np.testing.assert_allclose(by_module(pixels), by_function(pixels) / 255, rtol=1e-4)


def test_a_model_of_timm_gets_what_it_was_trained_with() -> None:
    with compute.seeded(0):
        model = timm.create_model("test_efficientnet", num_classes=0)
    encoder = encoders.build(model, device="cpu")
    side = model.pretrained_cfg["input_size"][1]
    assert encoder.image_size == side
    pixels = open_images(PHOTOS).sized(side).read(range(7))
    mean, std = (torch.tensor(model.pretrained_cfg[key]).view(3, 1, 1) for key in ("mean", "std"))
    with torch.inference_mode():
        truth = model.eval()((pixels / 255 - mean) / std).numpy()
    np.testing.assert_allclose(encoder(pixels), truth, rtol=1e-4, atol=1e-5)


def test_by_module_and_function(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my_encoder_of_a_test.py").write_text(
        "def colours(pixels):\n    return pixels.mean((1, 2))\nwrong = 3\n", "utf-8"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    encoder = encoders.build("my_encoder_of_a_test:colours", settings={"image_size": 16})
    assert encoder.name == "my_encoder_of_a_test:colours"
    for name, message in (("my_encoder_of_a_test:nothing", "cannot be loaded"), ("no_such:x", "cannot be loaded")):
        with pytest.raises(ArgumentError, match=message):
            encoders.build(name)
    with pytest.raises(ArgumentError, match="cannot be called"):
        encoders.build("my_encoder_of_a_test:wrong")


def test_features_are_kept_only_under_a_key(tmp_path: Path) -> None:
    calls = []

    def counted(pixels: np.ndarray) -> np.ndarray:
        calls.append(len(pixels))
        return means(pixels)

    source = open_images(PHOTOS)
    for key, expected in ((None, 7), ("colours-v1", 0)):
        settings = {"image_size": 16} | ({} if key is None else {"encoder_key": key})
        for _ in range(2):
            encoder = encoders.build(counted, settings=settings)
            calls.clear()
            encoders.encode(source, encoder, cache=tmp_path)
        assert sum(calls) == expected
    other = encoders.build(counted, settings={"image_size": 16, "encoder_key": "colours-v2"})
    assert other.key != encoder.key


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda pixels: pixels.mean(), "returned shape"),
        (lambda pixels: pixels.mean((1, 2))[:1], "returned shape"),
        (lambda pixels: [["a"]] * len(pixels), "does not return numbers"),
    ],
)
def test_what_is_no_vector_for_each_image_is_refused(wrong: object, message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        encoders.build(wrong)


def test_a_run_asks_for_it_again() -> None:
    spec = encoders.build(means, settings={"image_size": 16}).spec()
    with pytest.raises(RunError, match=r"your own encoder .*means.*give it again"):
        encoders.rebuild(spec)
    again = encoders.rebuild(spec, own=means)
    assert again.image_size == 16
    with pytest.raises(RunError, match="gives 1 numbers"):
        encoders.rebuild(spec, own=lambda pixels: pixels.mean((1, 2, 3))[:, None])
