"""Linear probes: pooling as tabled, classifiers against scikit-learn, a whole `ilk probe`, and labels nowhere else."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

import ilk as package
from ilk.errors import ArgumentError, DataError
from ilk.networks.convnets import build_convnet
from ilk.networks.layers import Dropout
from ilk.probing.layers import layer_names, pooled, pooled_maps, recalibrated
from ilk.probing.linear import Schedule, train_linear


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_alexnets_maps_are_pooled_to_the_published_sizes() -> None:
    net = build_convnet("alexnet", 3, 224, sobel=True, generator=rng()).eval()
    with torch.no_grad():
        found = [rows.shape[1] for rows in pooled_maps(net, torch.zeros(1, 3, 224, 224))]
    assert found == [9600, 9216, 9600, 9600, 9216]
    assert layer_names(net) == [f"conv{i}" for i in range(1, 6)]


@pytest.mark.parametrize("shape", [(32, 28), (64, 14), (2048, 7), (12_000, 2), (3, 40)])
def test_other_maps_are_pooled_to_at_most_9600_values_on_the_finest_grid(shape: tuple[int, int]) -> None:
    channels, side = shape
    maps = torch.rand(2, channels, side, side, generator=rng())
    found = pooled(maps)
    cells = found.shape[1] // channels
    assert cells == 1 or found.shape[1] <= 9600
    finer = int(cells**0.5) + 1
    assert finer > side or channels * finer**2 > 9600
    torch.testing.assert_close(pooled(maps, channels), maps.mean((2, 3)))


def test_an_untrained_networks_batch_norms_are_shown_images_once() -> None:
    net = build_convnet("tiny", 1, 8, sobel=False, generator=rng())
    images = 5 + 3 * torch.rand(200, 1, 8, 8, generator=rng())
    recalibrated(net, iter(images.split(50)))
    first = net.stages[0][0](images)
    torch.testing.assert_close(net.stages[0][1].running_mean, first.mean((0, 2, 3)), rtol=1e-3, atol=1e-3)
    assert not net.training


def test_dropout_rests_while_batch_norms_settle() -> None:
    """As in AlexNet and VGG-16, whose dropout has no noise before a training."""
    net = torch.nn.Sequential(torch.nn.Linear(4, 4), Dropout(0.5), torch.nn.BatchNorm1d(4))
    rows = 5 + torch.rand(100, 4, generator=rng())
    recalibrated(net, iter(rows.split(50)))
    torch.testing.assert_close(net[2].running_mean, net[0](rows).mean(0), rtol=1e-5, atol=1e-5)
    assert not net.training


def test_a_rest_of_one_image_is_no_batch_to_settle_on() -> None:
    """The neck of "small" has a batch norm of vectors, which refuses a single one: 257, 513, 769 images."""
    net = build_convnet("small", 1, 28, sobel=False, generator=rng())
    images = 5 + 3 * torch.rand(9, 1, 28, 28, generator=rng())
    recalibrated(net, iter(images.split(4)))
    norm = net.stages[0][1]
    first = [net.stages[0][0](part).mean((0, 2, 3)) for part in images[:8].split(4)]
    torch.testing.assert_close(norm.running_mean, torch.stack(first).mean(0), rtol=1e-3, atol=1e-3)
    assert not net.training


def blobs(n: int, d: int = 5) -> tuple[torch.Tensor, torch.Tensor]:
    g = rng(3)
    classes = torch.randint(0, 3, (n,), generator=g)
    return 1.5 * torch.randn(3, d, generator=rng(4))[classes] + torch.randn(n, d, generator=g), classes


def test_a_classifier_reaches_logistic_regression_and_knows_only_its_own_layer() -> None:
    x, y = blobs(600)
    noise = torch.randn(600, 4, generator=rng(9))
    layers = [x, noise]

    def train(epoch: int, draws: torch.Generator) -> Any:
        for index in torch.randperm(400, generator=draws).split(64):
            yield [layer[index] for layer in layers], y[index]

    def test() -> Any:
        yield [[layer[400:] for layer in layers]], y[400:]

    told: list[tuple[int, int]] = []
    traces = train_linear(
        train, test, 3, Schedule(epochs=30), 0, torch.device("cpu"), lambda done, total: told.append((done, total))
    )
    theirs = LogisticRegression().fit(x[:400], y[:400]).score(x[400:], y[400:])
    assert abs(traces[0].accuracy[-1] - theirs) < 0.03
    assert traces[1].accuracy[-1] < 0.5
    assert told[-1] == (30, 30)
    alone = train_linear(
        lambda e, d: (([rows[0]], c) for rows, c in train(e, d)), lambda: (([[v[0][0]]], c) for v, c in test()),
        3, Schedule(epochs=30), 0, torch.device("cpu"),
    )  # fmt: skip
    assert alone[0].accuracy == pytest.approx(traces[0].accuracy, abs=0.02)
    found = traces[0].as_record()
    assert found["best"] == round(max(traces[0].accuracy), 4)
    assert found["best"] >= found["last"]
    assert traces[0].accuracy[found["best_epoch"] - 1] == pytest.approx(found["best"], abs=1e-4)


# -- the whole job -----------------------------------------------------------------------------------------------------


def pictures(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Images of three patterns under much noise."""
    rng = np.random.default_rng(seed)
    classes = np.arange(n) % 3
    shapes = np.random.default_rng(7).integers(0, 256, (3, 12, 12))
    return np.clip(shapes[classes] + rng.normal(0, 60, (n, 12, 12)), 0, 255).astype(np.uint8), classes


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A run of an npz with a training and a test part, without the report, which takes most of the time."""
    folder = tmp_path_factory.mktemp("probe")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ilk.report.write_plots", lambda run, source=None: [])
        patch.setattr("ilk.report.write_report", lambda run, out=None, source=None: run.path / "report.html")
        patch.setattr("ilk.layout.map_2d", lambda space, **_: space[:, :2])
        yield made(folder)


def made(folder: Path) -> Path:
    (x, y), (x_test, y_test) = pictures(90, 0), pictures(45, 1)
    np.savez(folder / "set.npz", x_train=x, y_train=y, x_test=x_test, y_test=y_test)
    options = {"n_clusters": 3, "preset": "tiny"}
    package.cluster(folder / "set.npz", folder / "run", method="deepcluster", options=options, split="train")
    return folder / "run"


def test_probe_tells_layers_and_networks_apart_and_keeps_a_picture(run: Path, ilk: Any) -> None:
    said = ilk("probe", run, "--epochs", 5, "--json")
    assert said.code == 0, said.err
    found = said.json
    assert found["layers"] == ["conv1", "conv2"]
    assert list(found["networks"]) == ["trained", "random", "supervised"]
    assert (found["n_train"], found["n_test"], found["classes"]) == (90, 45, 3)
    for network in found["networks"].values():
        assert len(network) == 2
        assert all(0.33 < layer["last"] <= layer["best"] <= 1 for layer in network)
    assert found["pixels"]["values"] == 64
    assert json.loads((run / "probe.json").read_text())["networks"] == found["networks"]
    figures = {figure["name"]: figure for figure in package.load_run(run).figures()}
    assert set(figures["probe"]["series"]) == {"trained", "random", "supervised", "pixels"}
    said = ilk("probe", run, "--epochs", 1, "--images", "40,20", "--no-supervised")
    assert said.code == 0, said.err
    assert "40 images to train on, 20 to test" in said.out
    assert "flatters" in said.out
    again = [figure["name"] for figure in package.load_run(run).figures()]
    assert len(again) == len(set(again)) == len(figures)


def test_the_picture_can_be_drawn(run: Path) -> None:
    from ilk.report.own import draw_own

    package.probe(run, "auto", epochs=1, supervised=False)
    drawn = [draw_own(figure) for figure in package.load_run(run).figures()]
    assert len(drawn) == 8


def test_probing_changes_nothing_of_the_run_and_is_the_same_every_time(run: Path) -> None:
    before = {name: (run / name).read_bytes() for name in ("assignments.parquet", "model/state.safetensors")}
    one, other = (package.probe(run, "auto", epochs=2) for _ in range(2))
    assert one["networks"] == other["networks"]
    assert {name: (run / name).read_bytes() for name in before} == before


def test_other_images_and_random_crops(run: Path, tmp_path: Path) -> None:
    x, y = pictures(60, 5)
    np.savez(tmp_path / "other.npz", x=x, y=y)
    found = package.probe(run, "auto", source=tmp_path / "other.npz", epochs=2, augment=True, supervised=False)
    assert (found["n_train"], found["n_test"]) == (48, 12)
    assert found["training_views"].startswith("random crops")


def test_ten_crops_of_a_network_with_a_margin(tmp_path: Path, no_report: None) -> None:
    x, y = pictures(60, 0)
    np.savez(tmp_path / "set.npz", x=x, y=y)
    options = {"n_clusters": 3, "preset": "tiny", "crop_margin": 1.25, "epochs": 1}
    package.cluster(tmp_path / "set.npz", tmp_path / "run", method="deepcluster", options=options)
    found = package.probe(tmp_path / "run", "auto", epochs=3, ten_crop=True, augment=True, supervised=False)
    assert found["test_views"] == "ten crops"
    assert found["networks"]["trained"][0]["last"] > 0.4


def test_what_was_trained_and_how_long_it_took_is_told(
    tmp_path: Path, no_report: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ilk.layout.map_2d", lambda space, **_: space[:, :2])
    x, y = pictures(60, 0)
    np.savez(tmp_path / "set.npz", x=x, y=y)
    options = {"n_clusters": 3, "preset": "tiny", "epochs": 0}
    package.cluster(tmp_path / "set.npz", tmp_path / "run", method="deepcluster", options=options)
    told: list[dict[str, Any]] = []
    found = package.probe(tmp_path / "run", "auto", epochs=2, on_event=told.append)
    assert found["supervised_epochs"] == 1
    seconds = {event["stage"]: event["seconds"] for event in told if "seconds" in event}
    assert set(seconds) == {"probe trained", "probe random", "probe supervised", "probe pixels"}
    assert 0 < sum(seconds.values()) < found["seconds"] + 0.1


def test_refusals_are_named(run: Path, tmp_path: Path, no_report: None) -> None:
    with pytest.raises(ArgumentError, match="ten crops"):
        package.probe(run, "auto", ten_crop=True)
    with pytest.raises(ArgumentError, match="epochs=0"):
        package.probe(run, "auto", epochs=0)
    with pytest.raises(DataError, match="no labels"):
        package.probe(run, "none")
    x, _ = pictures(30, 0)
    np.savez(tmp_path / "one.npz", x=x, y=np.zeros(30, int))
    with pytest.raises(DataError, match="same label"):
        package.probe(run, "auto", source=tmp_path / "one.npz")
    options = {"n_clusters": 3, "preset": "tiny", "encoder": "pixels"}
    package.cluster(tmp_path / "one.npz", tmp_path / "frozen", method="transfer", options=options)
    with pytest.raises(ArgumentError, match="no network with layers"):
        package.probe(tmp_path / "frozen", "auto")


def test_labels_are_read_after_the_run_and_reach_no_network_but_the_supervised(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With labels by lot the probes fall to chance, and the trained network's own layers stay as they were."""
    from ilk import files

    honest = package.probe(run, "auto", epochs=10, supervised=False)["networks"]["trained"]
    truth = files.truth

    def shuffled(*args: Any, **kwargs: Any) -> dict[str, Any]:
        told = truth(*args, **kwargs)
        values = np.random.default_rng(0).permutation(list(told.values())).tolist()
        return dict(zip(told, values, strict=True))

    monkeypatch.setattr(files, "truth", shuffled)
    lied = package.probe(run, "auto", epochs=10, supervised=False)["networks"]["trained"]
    assert max(layer["last"] for layer in lied) < 0.6 < max(layer["last"] for layer in honest)
