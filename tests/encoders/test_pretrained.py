"""Networks of timm: features equal to timm's own, pools, sizes, settings, and weights that do not fit."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from safetensors.torch import load_file, save_file

from ilk import encoders
from ilk.encoders import backend, pretrained, runners
from ilk.encoders.weights import read
from ilk.errors import ArgumentError, DataError, MissingDependency, RunError


def graph(name: str, state: dict[str, torch.Tensor], **settings: object) -> torch.nn.Module:
    """Build the torch graph of a model."""
    what = pretrained.recipe(name, settings)
    return pretrained.network(what, pretrained.trimmed(state, what), "test")


def test_features_are_those_of_timm(weights: Path, network: encoders.FrozenEncoder) -> None:
    pixels = backend.synthetic(11, 32, 32)
    model = timm.create_model("test_efficientnet", num_classes=0).eval()
    model.load_state_dict(load_file(weights), strict=False)
    mean, std = (torch.tensor(model.pretrained_cfg[key]).view(3, 1, 1) for key in ("mean", "std"))
    with torch.inference_mode():
        truth = model((pixels / 255 - mean) / std).numpy()
    found = network(pixels)
    assert network.backend == "openvino"
    assert found.dtype == np.float32
    assert found.shape == (11, network.n_features)
    np.testing.assert_allclose(found, truth, rtol=1e-3, atol=1e-4)
    assert backend.cosine(found, truth) > 0.9999


def test_company_does_not_matter(network: encoders.FrozenEncoder) -> None:
    pixels = backend.synthetic(9, 32, 32)
    alone = np.concatenate([network(row[None]) for row in pixels])
    assert np.array_equal(network(pixels), alone)
    assert np.array_equal(network(pixels.flip(0)), alone[::-1])


def test_other_sizes_grey_and_wrong_input(network: encoders.FrozenEncoder) -> None:
    big = backend.synthetic(2, 90, 120)
    assert network(big).shape == (2, network.n_features)
    grey = torch.full((1, 1, 32, 32), 77, dtype=torch.uint8)
    assert np.array_equal(network(grey), network(grey.expand(-1, 3, -1, -1)))
    assert network(big[:0]).shape == (0, network.n_features)
    with pytest.raises(ArgumentError, match="uint8"):
        network(big.float())


def test_pools_of_a_convolutional_network(weights: Path) -> None:
    state, rows = load_file(weights), torch.randint(0, 255, (2, 64, 64, 3), dtype=torch.uint8)
    shapes = {"gap": 256, "flatten": 256 * 4, "logits": 1000, "softmax": 1000}
    for pool, d in shapes.items():
        features = graph("test_efficientnet", state, pool=pool, image_size=64)(rows)
        assert features.shape == (2, d)
        if pool == "softmax":
            assert torch.allclose(features.sum(1), torch.ones(2))
    with pytest.raises(ArgumentError, match="no class token"):
        graph("test_efficientnet", state, pool="cls")


def test_padding_of_tensorflow_changes_features(weights: Path) -> None:
    state, rows = load_file(weights), torch.randint(0, 255, (2, 64, 64, 3), dtype=torch.uint8)
    plain, same = (
        graph("test_efficientnet", state, pad_type=kind, image_size=64)(rows) for kind in ("default", "same")
    )
    assert not torch.allclose(plain, same)
    with pytest.raises(ArgumentError, match="pad_type=same"):
        graph("test_resnet", {}, pad_type="same")


def test_dinov2_takes_224() -> None:
    name = "vit_small_patch14_dinov2.lvd142m"
    what = pretrained.recipe(name)
    assert (what.image_size, what.pool) == (224, "cls")
    with torch.device("meta"):
        assert pretrained._model(what, {}).pos_embed.shape == (1, 1 + 16**2, 384)
    assert pretrained.recipe(name, {"image_size": 518}).image_size == 518
    with pytest.raises(ArgumentError, match="no classifier"):
        pretrained.recipe(name, {"pool": "logits"})


@pytest.mark.parametrize("side", [96, 224])
def test_positions_are_interpolated(side: int, tmp_path: Path, save_random: Callable[..., Path]) -> None:
    state = load_file(save_random("test_vit", tmp_path / "vit.safetensors"))
    state["pos_embed"] = torch.randn(state["pos_embed"].shape, generator=torch.Generator().manual_seed(0))
    positions = graph("test_vit", state, image_size=side).model.pos_embed  # type: ignore[union-attr]
    grid = state["pos_embed"][:, 1:].reshape(1, 10, 10, 64).permute(0, 3, 1, 2)
    cells = side // 16
    truth = torch.nn.functional.interpolate(grid, (cells, cells), mode="bicubic", antialias=True, align_corners=False)
    assert torch.allclose(positions[:, 1:], truth.permute(0, 2, 3, 1).reshape(1, cells**2, 64), atol=1e-5)
    assert torch.equal(positions[:, :1], state["pos_embed"][:, :1])


def test_pools_of_a_transformer(tmp_path: Path, save_random: Callable[..., Path]) -> None:
    state = load_file(save_random("test_vit", tmp_path / "vit.safetensors"))
    rows = torch.randint(0, 255, (2, 160, 160, 3), dtype=torch.uint8)
    model = timm.create_model("test_vit", num_classes=0).eval()
    for pool, d in {"cls": 64, "gap": 64, "flatten": 64 * 101}.items():
        assert graph("test_vit", state, pool=pool)(rows).shape == (2, d), pool
    assert pretrained.recipe("test_vit").pool == "cls"
    assert len(model.pos_embed[0]) == 101


def test_half_precision_is_made_whole(weights: Path, tmp_path: Path) -> None:
    half = {key: value.half() if value.is_floating_point() else value for key, value in load_file(weights).items()}
    save_file(half, tmp_path / "half.safetensors")
    module = graph("test_efficientnet", read(tmp_path / "half.safetensors"), image_size=64)
    assert {parameter.dtype for parameter in module.parameters()} == {torch.float32}


def test_state_dicts_and_wrappers(weights: Path, tmp_path: Path) -> None:
    state = load_file(weights)
    torch.save({"state_dict": {f"module.{key}": value for key, value in state.items()}}, tmp_path / "w.pth")
    assert read(tmp_path / "w.pth").keys() == state.keys()


def test_weights_that_do_not_fit(weights: Path, tmp_path: Path, home: Path) -> None:
    with pytest.raises(DataError, match=r"not those of test_resnet: \d+ missing .*; \d+ of another network .*"):
        encoders.build("test_resnet", weights=weights, device="cpu", cache=home)
    state = load_file(weights)
    state["conv_stem.weight"] = torch.zeros(1, 2, 3, 3)
    with pytest.raises(DataError, match=r"1 of another shape \(conv_stem\.weight \(1, 2, 3, 3\) instead of"):
        graph("test_efficientnet", state)
    state = load_file(weights)
    state["conv_stem.weight"][0, 0, 0, 0] = float("nan")
    with pytest.raises(DataError, match="not finite"):
        graph("test_efficientnet", state)


def test_head_of_another_size(weights: Path) -> None:
    state = load_file(weights)
    state["classifier.weight"], state["classifier.bias"] = torch.zeros(7, 256), torch.zeros(7)
    rows = torch.zeros((1, 64, 64, 3), dtype=torch.uint8)
    assert graph("test_efficientnet", state, pool="logits", image_size=64)(rows).shape == (1, 7)
    del state["classifier.weight"], state["classifier.bias"]
    assert graph("test_efficientnet", state, image_size=64)(rows).shape == (1, 256)


def test_damaged_weights(weights: Path, tmp_path: Path) -> None:
    data = weights.read_bytes()
    for name, content in {
        "cut.safetensors": data[: len(data) // 2],
        "text.safetensors": b"hello",
        "empty.safetensors": b"",
        "zip.pth": b"PK\x03\x04 but not a zip",
    }.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(DataError, match=name):
            read(tmp_path / name)
    with pytest.raises(DataError, match="no such file"):
        read(tmp_path / "nothing")


class Evil:
    """Unpickling this would run a command."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (Path.touch, (Path("evil-ran"),))  # type: ignore[return-value]


def test_pickle_is_not_executed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"x": Evil()}, "evil.pth")
    with pytest.raises(DataError, match="state dict"):
        read(tmp_path / "evil.pth")
    assert not Path("evil-ran").exists()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"image_sise": 64}, "Did you mean 'image_size'"),
        ({"pool": "gep"}, "Did you mean 'gap'"),
        ({"image_size": 0}, "image_size=0"),
        ({"image_size": "big"}, "image_size='big'"),
        ({"resize": "squash"}, "resize='squash'"),
        ({"pad_type": "valid"}, "pad_type='valid'"),
    ],
)
def test_settings_are_checked(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ArgumentError, match=message.replace("'", ".")):
        pretrained.recipe("test_efficientnet", settings)


def test_unknown_names(weights: Path) -> None:
    with pytest.raises(ArgumentError, match=r"Did you mean .resnet50"):
        encoders.build("resnet5o", weights=weights)
    with pytest.raises(ArgumentError, match="precision"):
        encoders.build("pixels", precision="fp8")
    with pytest.raises(ArgumentError, match="takes none"):
        encoders.build("pixels", weights=weights)
    with pytest.raises(ArgumentError, match=r"pixels.*has no setting 'pool'"):
        encoders.build("pixels", settings={"pool": "gap"})


# the back end ---------------------------------------------------------------------------------------------------------


def test_conversion_happens_once(weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    options = {"weights": weights, "settings": {"image_size": 32}, "device": "cpu", "cache": tmp_path}
    first = encoders.build("test_efficientnet", **options)  # type: ignore[arg-type]
    monkeypatch.setattr(runners, "convert", lambda *a: pytest.fail("converted again"))
    again = encoders.build("test_efficientnet", **options)  # type: ignore[arg-type]
    assert again.key == first.key
    forced = encoders.build("test_efficientnet", precision=first.precision, **options)  # type: ignore[arg-type]
    assert forced.key == first.key


def test_damaged_model_is_converted_again(weights: Path, tmp_path: Path) -> None:
    options = {"weights": weights, "settings": {"image_size": 32}, "device": "cpu", "cache": tmp_path}
    encoders.build("test_efficientnet", **options)  # type: ignore[arg-type]
    model = next((tmp_path / "models").glob("*/model.bin"))
    whole = model.read_bytes()
    model.write_bytes(whole[:1000])
    encoders.build("test_efficientnet", **options)  # type: ignore[arg-type]
    assert model.read_bytes() == whole
    assert not list((tmp_path / "models").glob(".*"))


@pytest.mark.parametrize("how", ["differs", "fails", "absent"])
def test_fallback_to_torch(
    how: str, weights: Path, tmp_path: Path, network: encoders.FrozenEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: object) -> None:
        raise RuntimeError("no such operation")

    def absent() -> None:
        raise MissingDependency("OpenVINO is not installed")

    if how == "differs":
        monkeypatch.setattr(backend, "_all", lambda runner, pixels: np.ones((len(pixels), 256), np.float32))
    elif how == "fails":
        monkeypatch.setattr(runners, "convert", fail)
    else:
        monkeypatch.setattr(runners, "openvino", absent)
    options = {"weights": weights, "settings": {"image_size": 32}, "device": "cpu", "cache": tmp_path}
    made = encoders.build("test_efficientnet", **options)  # type: ignore[arg-type]
    assert made.backend == "torch"
    assert made.key != network.key
    assert len(made.notes) == 1
    assert "torch encodes" in made.notes[0]
    pixels = backend.synthetic(9, 32, 32)
    assert backend.cosine(made(pixels), network(pixels)) > 0.999
    assert np.array_equal(made(pixels), np.concatenate([made(row[None]) for row in pixels]))
    assert encoders.build("test_efficientnet", **options).notes == made.notes  # type: ignore[arg-type]


def test_forced_bf16_agrees_roughly(weights: Path, tmp_path: Path, network: encoders.FrozenEncoder) -> None:
    options = {"weights": weights, "settings": {"image_size": 32}, "device": "cpu", "cache": tmp_path}
    half = encoders.build("test_efficientnet", precision="bf16", **options)  # type: ignore[arg-type]
    assert half.precision == "bf16"
    assert half.key != network.key
    pixels = backend.synthetic(8, 32, 32)
    assert backend.cosine(half(pixels), network(pixels)) >= backend.AGREE


# coming back ----------------------------------------------------------------------------------------------------------


def test_rebuild_without_the_original_file(network: encoders.FrozenEncoder, home: Path, tmp_path: Path) -> None:
    assert network.weights_file is not None
    kept = tmp_path / "encoder.safetensors"
    kept.hardlink_to(network.weights_file)
    again = encoders.rebuild(network.spec(), kept, device="cpu", cache=home)
    pixels = backend.synthetic(3, 32, 32)
    assert again.key == network.key
    assert np.array_equal(again(pixels), network(pixels))


def test_rebuild_refuses_other_weights(network: encoders.FrozenEncoder, home: Path, tmp_path: Path) -> None:
    assert network.weights_file is not None
    state = load_file(network.weights_file)
    state["conv_stem.weight"][0, 0, 0, 0] += 1
    save_file(state, tmp_path / "other.safetensors")
    for file in (tmp_path / "other.safetensors", tmp_path / "missing.safetensors", None):
        with pytest.raises(RunError):
            encoders.rebuild(network.spec(), file, device="cpu", cache=home)
    with pytest.raises(RunError, match="damaged"):
        encoders.rebuild({"name": "resnet50"}, None)


def test_temporary_cache_goes_with_the_encoder(weights: Path) -> None:
    made = encoders.build("test_efficientnet", weights=weights, settings={"image_size": 32}, device="cpu")
    file = made.weights_file
    assert file is not None
    assert file.is_file()
    del made
    assert not file.exists()


def test_real_weights(shared_data: Path, home: Path) -> None:
    file = shared_data / "mobilenetv2_100_imagenet1k_supervised_fp16.safetensors"
    made = encoders.build("mobilenetv2_100", weights=file, device="cpu", cache=home, precision="fp32")
    pixels = backend.synthetic(8, 224, 224)
    module = graph("mobilenetv2_100", read(file))
    with torch.inference_mode():
        truth = module(pixels.permute(0, 2, 3, 1)).numpy()
    assert (made.image_size, made.crop_pct, made.n_features) == (224, 0.875, 1280)
    assert backend.cosine(made(pixels), truth) >= 0.999
