"""The choice of "auto", stand-in caches, and what happens without a network."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm

from ilk import encoders
from ilk.data import open_images
from ilk.encoders import auto, weights
from ilk.errors import DataError, MissingDependency


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make every connection fail at once, as it does without a network."""

    def refuse(*args: Any, **kwargs: Any) -> None:
        raise OSError(-2, "Name or service not known")

    monkeypatch.setattr("socket.getaddrinfo", refuse)
    monkeypatch.setattr("socket.socket.connect", refuse)


def put(hub: Path, name: str, file: Path) -> Path:
    """Put weights into a folder laid out like the hub's cache."""
    repo = timm.models.get_pretrained_cfg(name).hf_hub_id.replace("/", "--")
    root = hub / "hub" / f"models--{repo}"
    (root / "refs").mkdir(parents=True)
    (root / "refs" / "main").write_text("abc123")
    snapshot = root / "snapshots" / "abc123"
    snapshot.mkdir(parents=True)
    (snapshot / "model.safetensors").symlink_to(file)
    return root


PHOTO = np.random.default_rng(0).integers(0, 255, (4, 100, 80, 3), np.uint8)
DIGITS = PHOTO[:, :28, :28, 0].copy()


@pytest.mark.usefixtures("offline")
def test_small_uniform_images_are_pixels(tmp_path: Path, save_random: Callable[..., Path]) -> None:
    encoder = encoders.build(source=open_images(DIGITS), hub=tmp_path)
    assert encoder.name == "pixels"
    assert encoder.n_features == 784
    assert "28 × 28" in encoder.why
    assert not encoder.notes
    put(tmp_path, auto.DEFAULT, save_random("test_vit", tmp_path / "w.safetensors"))
    assert encoders.build(source=open_images(DIGITS), hub=tmp_path).name == "pixels"


@pytest.mark.usefixtures("offline")
def test_nothing_at_hand_means_classic_said_loudly(tmp_path: Path) -> None:
    start = time.monotonic()
    encoder = encoders.build(source=open_images(PHOTO), hub=tmp_path)
    assert time.monotonic() - start < 5
    assert encoder.name == "classic"
    assert "WEAK ENCODER" in encoder.notes[0]
    assert "cannot be downloaded" in encoder.notes[0]
    assert encoder(open_images(PHOTO).read([0])).shape == (1, encoder.n_features)


@pytest.mark.usefixtures("offline")
def test_best_of_what_is_cached(tmp_path: Path, save_random: Callable[..., Path]) -> None:
    file = save_random("resnet18", tmp_path / "w.safetensors")
    put(tmp_path, "mobilenetv2_100.ra_in1k", tmp_path / "w.safetensors")
    put(tmp_path, "resnet18.a1_in1k", file)
    found = auto.choose(open_images(PHOTO), tmp_path)
    assert found.name == "mobilenetv2_100.ra_in1k"
    checkpoints = tmp_path / "checkpoints"
    checkpoints.mkdir()
    name = timm.models.get_pretrained_cfg("resnet50.a1_in1k").url.rpartition("/")[2]
    (checkpoints / name).symlink_to(file)
    assert auto.choose(open_images(PHOTO), tmp_path).name == "resnet50.a1_in1k"
    put(tmp_path, auto.DEFAULT, file)
    found = auto.choose(open_images(PHOTO), tmp_path)
    assert found.name == auto.DEFAULT
    assert not found.notes
    rows = {row["name"]: row for row in encoders.available(tmp_path)}
    assert rows[auto.DEFAULT]["cached"]
    assert rows[auto.DEFAULT]["bytes"] == file.stat().st_size
    assert not rows["densenet201.tv_in1k"]["cached"]
    assert rows["pixels"]["cached"]


@pytest.mark.usefixtures("offline")
def test_cached_weights_are_used_without_a_network(tmp_path: Path, save_random: Callable[..., Path]) -> None:
    file = save_random("test_resnet", tmp_path / "w.safetensors")
    put(tmp_path, "test_resnet", file)
    encoder = encoders.build("test_resnet", settings={"image_size": 32}, hub=tmp_path, cache=tmp_path, device="cpu")
    assert encoder.weights_hash == weights.content(
        {k: v for k, v in weights.read(file).items() if not k.startswith("fc.") and "num_batches" not in k}
    )


@pytest.mark.usefixtures("offline")
def test_half_a_download_is_not_taken_as_whole(tmp_path: Path, save_random: Callable[..., Path]) -> None:
    data = save_random("test_resnet", tmp_path / "w.safetensors").read_bytes()
    root = put(tmp_path, "test_resnet", tmp_path / "nothing")
    (root / "blobs").mkdir()
    (root / "blobs" / "0123.incomplete").write_bytes(data[:1000])
    with pytest.raises(DataError, match="--weights FILE"):
        encoders.build("test_resnet", hub=tmp_path)
    (tmp_path / "nothing").write_bytes(data[: len(data) // 2])
    with pytest.raises(DataError, match="damaged"):
        encoders.build("test_resnet", hub=tmp_path)


@pytest.mark.usefixtures("offline")
def test_no_network_is_said_in_one_line_and_soon(tmp_path: Path) -> None:
    start = time.monotonic()
    with pytest.raises(DataError, match=r"not on this machine.*--weights FILE") as caught:
        encoders.build("resnet50", hub=tmp_path)
    assert time.monotonic() - start < 5
    assert "\n" not in str(caught.value)
    with pytest.raises(DataError, match="no published weights"):
        encoders.build("mobilenetv2_035", hub=tmp_path)


@pytest.mark.usefixtures("offline")
def test_without_timm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken:
        def find_spec(self, name: str, path: object = None, target: object = None) -> None:
            if name == "timm":
                raise RuntimeError("operator torchvision::nms does not exist")

    import sys

    for name in [name for name in sys.modules if name.partition(".")[0] == "timm"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr("sys.meta_path", [Broken(), *sys.meta_path])
    with pytest.raises(MissingDependency, match=r"timm.*torchvision::nms"):
        encoders.build("resnet50", hub=tmp_path)
    encoder = encoders.build(source=open_images(PHOTO), hub=tmp_path)
    assert encoder.name == "classic"
    assert "timm" in encoder.notes[0]
    assert len(encoders.available(tmp_path)) == len(auto.KNOWN) + 3
