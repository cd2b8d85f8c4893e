"""Encoders side by side."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from ilk import encoders
from ilk.data import open_images
from ilk.encoders import names
from ilk.encoders.joined import join
from ilk.errors import ArgumentError, RunError

PHOTOS = np.random.default_rng(0).integers(0, 255, (6, 40, 40, 3), np.uint8)


@pytest.fixture
def parts(network: encoders.FrozenEncoder) -> list[encoders.FrozenEncoder]:
    """A network that takes 32 pixels, and gradients of 16."""
    return [network, encoders.build("gradients", settings={"image_size": 16})]


def test_each_part_has_length_one_after_signed_square_roots(parts: list[encoders.FrozenEncoder]) -> None:
    pixels = open_images(PHOTOS).sized(32).read(range(6))
    small = torch.nn.functional.interpolate(pixels, size=(16, 16), mode="bicubic", antialias=True)
    alone = [parts[0](pixels), parts[1](small)]
    for signed in (True, False):
        found = join(parts, signed)(pixels)
        at = 0
        for features in alone:
            expected = np.sign(features) * np.abs(features) ** 0.5 if signed else features
            expected = expected / np.linalg.norm(expected, axis=1, keepdims=True)
            np.testing.assert_allclose(found[:, at : at + features.shape[1]], expected, rtol=1e-4, atol=1e-5)
            at += features.shape[1]
        assert at == found.shape[1]


def test_names_files_and_keys(parts: list[encoders.FrozenEncoder]) -> None:
    both = join(parts)
    assert both.name == "test_efficientnet+gradients"
    assert both.weights_files == [parts[0].weights_file]
    assert both.image_size == 32
    assert len({both.key, join(parts, False).key, join(parts[::-1]).key, *(part.key for part in parts)}) == 5


def test_it_comes_back_from_what_a_run_keeps(parts: list[encoders.FrozenEncoder], home: Path) -> None:
    both = join(parts)
    pixels = open_images(PHOTOS).sized(32).read(range(6))
    again = encoders.rebuild(both.spec(), both.weights_files, device="cpu", cache=home)
    assert again.key == both.key
    np.testing.assert_array_equal(again(pixels), both(pixels))
    with pytest.raises(RunError, match=r"encoder test_efficientnet.gradients are missing: 0 of 1"):
        encoders.rebuild(both.spec(), None, device="cpu", cache=home)
    with pytest.raises(RunError, match="damaged"):
        encoders.rebuild({**both.spec(), "parts": [{**both.spec()}]}, both.weights_files, cache=home)


def test_by_name_with_a_cache(weights: Path, home: Path, tmp_path: Path) -> None:
    """The weights of the network were remembered before: both parts go by name."""
    options = {"device": "cpu", "precision": "fp32", "settings": {"image_size": 32}}
    encoders.build("test_efficientnet", weights=weights, cache=tmp_path, **options)
    both = encoders.build("test_efficientnet+pixels", cache=tmp_path, **options)
    source = open_images(PHOTOS)
    first = encoders.encode(source, both, cache=tmp_path)
    second = encoders.encode(source, both, cache=tmp_path)
    assert (first.n_encoded, second.n_encoded, second.n_cached) == (6, 0, 6)
    assert np.array_equal(first.features, second.features)
    plain = encoders.build("test_efficientnet", cache=tmp_path, **{**options, "settings": {**options["settings"]}})
    rooted = encoders.build(
        "test_efficientnet", cache=tmp_path, **{**options, "settings": {**options["settings"], "signed_sqrt": True}}
    )
    pixels = source.sized(32).read(range(6))
    expected = np.sign(plain(pixels)) * np.sqrt(np.abs(plain(pixels)))
    np.testing.assert_allclose(
        rooted(pixels), expected / np.linalg.norm(expected, axis=1, keepdims=True), rtol=1e-3, atol=1e-5
    )
    with pytest.raises(ArgumentError, match="can belong to one"):
        encoders.build("test_efficientnet+resnet18", weights=weights, cache=tmp_path)


@pytest.mark.parametrize(
    ("name", "message"), [("fast+", "name every part"), ("fast+balanced", "there twice"), ("auto+fast", "every part")]
)
def test_names_that_make_no_sense(name: str, message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        names.parts(name)


def test_short_names_are_models_of_timm() -> None:
    import timm

    for short, model in names.SHORT.items():
        assert short not in timm.list_models(), short  # it would hide a model
        for part in model.split("+"):
            assert timm.models.get_pretrained_cfg(part) is not None, part


def test_a_wrong_name_says_which_was_meant(tmp_path: Path, save_random: Callable[..., Path]) -> None:
    with pytest.raises(ArgumentError, match="Did you mean 'balanced'"):
        encoders.build("balnced", cache=tmp_path)
