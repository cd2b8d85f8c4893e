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
from ilk.encoders import auto, contest
from ilk.encoders import weights as weights_module
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
def test_small_uniform_images_are_gradients(tmp_path: Path, save_random: Callable[..., Path]) -> None:
    encoder = encoders.build(source=open_images(DIGITS), hub=tmp_path)
    assert encoder.name == "gradients"
    assert "28 × 28" in encoder.why
    assert not encoder.notes
    put(tmp_path, auto.BETTER[0], save_random("test_vit", tmp_path / "w.safetensors"))
    assert encoders.build(source=open_images(DIGITS), hub=tmp_path).name == "gradients"


def test_small_pictures_with_colours_are_a_contest(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Strokes of two kinds in any colours: gradients know them; a network of photos at 64 pixels sees a blur."""
    rng = np.random.default_rng(0)
    strokes = np.zeros((200, 16, 16), np.float32)
    for i in range(200):
        at = rng.integers(3, 12)
        strokes[i, slice(at, at + 2) if i % 2 else slice(None), slice(None) if i % 2 else slice(at, at + 2)] = 1
    ink, paper = rng.integers(0, 255, (2, 200, 1, 1, 3))
    images = (strokes[..., None] * ink + (1 - strokes[..., None]) * paper).astype(np.uint8)
    assert contest.is_colourful(open_images(images))
    assert not contest.is_colourful(open_images(np.repeat(DIGITS[..., None], 3, 3)))
    assert auto.choose(open_images(images), tmp_path).contested
    halves = iter((0.2, 0.5, 0.5, 0.2))
    monkeypatch.setattr("ilk.encoders.building.agreement", lambda source, encoder: next(halves))
    options = {"source": open_images(images), "hub": tmp_path, "cache": home, "settings": {"image_size": 64}}
    first, second = (encoders.build(device="cpu", **options) for _ in range(2))
    assert first.name == "gradients"
    assert "by 0.20 with a network, by 0.50 with gradients" in first.why
    assert second.name.startswith("tf_efficientnet_lite0")


def test_agreement_is_one_for_groups_and_small_for_a_cloud() -> None:
    rng = np.random.default_rng(0)
    centers = rng.normal(size=(10, 8)) * 20
    rows = {"groups": centers[np.arange(200) % 10] + rng.normal(size=(200, 8)), "cloud": rng.normal(size=(200, 8))}
    source = open_images(np.arange(200, dtype=np.uint8)[:, None, None].repeat(8, 1).repeat(8, 2))
    found = {}
    for name, features in rows.items():

        def lookup(pixels: np.ndarray, features: np.ndarray = features) -> np.ndarray:
            return features[pixels[:, 0, 0, 0]]

        found[name] = contest.agreement(source, encoders.build(lookup, settings={"image_size": 8}))
    assert found["groups"] > 0.7  # 10 groups agree wholly, 20 halve them as it comes
    assert found["cloud"] < 0.35


def test_photos_get_a_real_network_and_nobody_is_asked(
    tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is cached, and a network would be there: it is not even tried."""
    tried: list[Any] = []
    monkeypatch.setattr("socket.getaddrinfo", lambda *args, **kwargs: tried.append(args))
    monkeypatch.setattr("socket.socket.connect", lambda *args, **kwargs: tried.append(args))
    source = open_images(PHOTO)
    encoder = encoders.build(source=source, hub=tmp_path, cache=home, settings={"image_size": 64}, device="cpu")
    assert encoder.name == "tf_efficientnet_lite0+tf_efficientnet_lite2"
    assert encoder.n_features == 2560
    assert "balanced" in encoder.why
    assert "88 MB" in encoder.why
    assert not tried
    features = encoder(source.sized(64).read(range(4)))
    np.testing.assert_allclose(np.linalg.norm(features, axis=1), 2**0.5, rtol=1e-4)


def test_which_bundled_encoder_follows_from_the_time_it_takes() -> None:
    chosen = {n: auto.bundled_choice(n, 100.0, 2)[0] for n in (0, 500, 10_000, 1_000_000)}
    assert chosen == {0: "balanced", 500: "balanced", 10_000: "balanced", 1_000_000: "fast"}
    assert auto.bundled_choice(10_000, 5.0, 2)[0] == "fast"  # a slow machine
    assert auto.bundled_choice(10_000, 5.0, 64)[0] == "balanced"  # many of its cores
    name, why = auto.bundled_choice(200_000, 100.0, 2)
    assert name == "fast"
    assert "200,000 images take about 21 minutes" in why
    assert "56 minutes with --encoder balanced" in why


@pytest.mark.usefixtures("offline")
def test_a_better_one_that_is_cached_is_taken(tmp_path: Path, save_random: Callable[..., Path]) -> None:
    file = save_random("resnet18", tmp_path / "w.safetensors")
    put(tmp_path, "resnet18.a1_in1k", file)
    assert auto.choose(open_images(PHOTO), tmp_path).bundled
    checkpoints = tmp_path / "checkpoints"
    checkpoints.mkdir()
    url = timm.models.get_pretrained_cfg("resnet50.a1_in1k").url.rpartition("/")[2]
    (checkpoints / url).symlink_to(file)
    put(tmp_path, auto.BETTER[2], file)
    assert auto.choose(open_images(PHOTO), tmp_path).name == auto.BETTER[2]
    put(tmp_path, auto.BETTER[0], file)
    assert auto.choose(open_images(PHOTO), tmp_path).name == auto.BETTER[0]
    rows = {row["name"]: row for row in encoders.available(tmp_path)}
    assert rows["dinov2"] | {"what": ""} == {
        "name": "dinov2", "model": auto.BETTER[0], "what": "", "ready": "cached", "cached": True,
        "bytes": file.stat().st_size,
    }  # fmt: skip
    assert rows["resnet50.a1_in1k"]["ready"] == "cached"
    assert rows["densenet201.tv_in1k"]["ready"] == "download"
    assert rows["fast"]["ready"] == rows["balanced"]["ready"] == "bundled"
    assert rows["balanced"]["bytes"] > rows["fast"]["bytes"] > 10e6
    assert rows["gradients"]["cached"]


def test_a_remembered_better_one_is_taken(tmp_path: Path, weights: Path) -> None:
    from ilk.encoders import remembered
    from ilk.encoders.weights import read

    remembered.remember(tmp_path, auto.BETTER[0], read(weights), weights)
    assert auto.choose(open_images(PHOTO), tmp_path, tmp_path).name == auto.BETTER[0]


@pytest.mark.usefixtures("offline")
def test_cached_weights_are_used_without_a_network(tmp_path: Path, save_random: Callable[..., Path]) -> None:
    file = save_random("test_resnet", tmp_path / "w.safetensors")
    put(tmp_path, "test_resnet", file)
    encoder = encoders.build("test_resnet", settings={"image_size": 32}, hub=tmp_path, cache=tmp_path, device="cpu")
    assert encoder.weights_hash == weights_module.content(
        {k: v for k, v in weights_module.read(file).items() if not k.startswith("fc.") and "num_batches" not in k}
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
    with pytest.raises(MissingDependency, match="timm"):
        encoders.build(source=open_images(PHOTO), hub=tmp_path)
    rows = encoders.available(tmp_path)
    assert {row["ready"] for row in rows if row["name"] in auto.KNOWN} == {"download"}
