"""DeepCluster in use: what is reported of epochs, which preset is chosen, and the finer level in a finished run."""

from __future__ import annotations

import csv
import dataclasses
import re
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet
import pytest
import torch
from patterned import SECOND, patterns

import ilk as package
from ilk import runs, train
from ilk.data import open_images
from ilk.errors import ArgumentError
from ilk.methods import DeepCluster
from ilk.methods.deepcluster.settings import frozen_by_default
from ilk.methods.deepcluster.training_step import Classification


@pytest.mark.parametrize("settings", [{}, SECOND], ids=["first", "second"])
def test_what_is_reported_of_an_epoch(settings: dict[str, Any]) -> None:
    records: list[dict[str, Any]] = []
    model = DeepCluster(3, preset="tiny", settings=settings).fit(
        patterns()[0], on_epoch=lambda record, _: records.append(record)
    )
    epochs = [record for record in records if "epoch" in record]
    assert [record["epoch"] for record in epochs] == [1, 2, 3]
    assert all(record["clustering_seconds"] > 0 and record["images_per_second"] > 0 for record in epochs)
    kept = [record for record in model.history_ if "epoch" in record]
    times = {"clustering_seconds", "images_per_second"}  # which the history leaves out
    assert kept == [{key: value for key, value in record.items() if key not in times} for record in epochs]


# -- bfloat16 ----------------------------------------------------------------------------------------------------------


def test_bfloat16_is_taken_where_it_is_faster_and_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ilk.compute.has_bf16", lambda place: True)
    monkeypatch.setattr("ilk.train.cost._WORTH", 0)

    def faster(by: float) -> None:
        def probe(self: Classification) -> train.Cost:
            return train.Cost(1.0, 1, by if self.bf16 else 1.0, "cpu")

        monkeypatch.setattr(Classification, "probe", probe)

    faster(1.2)
    states: list[dict[str, Any]] = []
    model = DeepCluster(3, preset="tiny").fit(patterns()[0], on_epoch=lambda record, state: states.append(state()))
    assert model.bf16_
    faster(1.05)
    assert not DeepCluster(3, preset="tiny").fit(patterns()[0]).bf16_
    middle = next(state for state in states if state.get("epoch") == 1)
    resumed = DeepCluster(3, preset="tiny").fit(patterns()[0], resume=middle)
    assert resumed.bf16_
    assert np.array_equal(resumed.labels_, model.labels_)


# -- which preset ------------------------------------------------------------------------------------------------------


def test_a_network_named_with_auto_is_trained_also_on_photos_on_a_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ilk.methods.deepcluster.settings.is_small", lambda source: None)
    model = DeepCluster(3, network="tiny", epochs=1, image_size=8, device="cpu", settings={"pca_dim": 2})
    assert model.fit(patterns()[0]).settings_["epochs"] == 1
    photo, cpu = open_images(np.zeros((4, 120, 120, 3), np.uint8)), torch.device("cpu")
    asked = {name: DeepCluster(network=name, epochs=0).resolved() for name in ("auto", "features", "resnet18", "small")}
    frozen = {name: frozen_by_default(settings, photo, cpu) for name, settings in asked.items()}
    assert frozen == {"auto": True, "features": True, "resnet18": False, "small": False}


def test_epochs_asked_for_where_auto_freezes_the_network_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ilk.methods.deepcluster.settings.is_small", lambda source: None)
    for asked in ({"epochs": 10}, {"settings": {"epochs": 10}}):
        with pytest.raises(ArgumentError, match="nothing is trained on frozen features"):
            DeepCluster(3, device="cpu", **asked).fit(patterns()[0])


def test_a_network_that_stays_random_is_told_and_a_frozen_one_is_not() -> None:
    model = DeepCluster(3, preset="quick", network="tiny", image_size=8).fit(patterns()[0])
    assert any("no network was trained (epochs=0)" in note for note in model.notes_)
    frozen = DeepCluster(3, preset="quick", settings={"encoder": "pixels", "pca_dim": 3}).fit(patterns()[0])
    assert not any("no network" in note for note in frozen.notes_)
    trained = DeepCluster(3, preset="tiny", epochs=1).fit(patterns()[0])
    assert not any("no network" in note for note in trained.notes_)


# -- the finer level ---------------------------------------------------------------------------------------------------


def test_the_finer_level_is_in_the_run_its_exports_and_predictions(
    tmp_path: Path, no_report: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ilk.layout.map_2d", lambda space, **_: space[:, :2])
    images = patterns()[0]
    images = np.concatenate([images, images[:2]])  # duplicates share the fine cluster of theirs
    np.save(tmp_path / "set.npy", images)
    model = DeepCluster(3, preset="tiny", epochs=1).fit(images)
    options = {"n_clusters": 3, "preset": "tiny", "epochs": 1}
    run = package.cluster(tmp_path / "set.npy", tmp_path / "run", method="deepcluster", options=options)
    assert run.assignments()["fine"] == model.fine_labels_.tolist()
    assert np.array_equal(run.fine_labels(), model.fine_labels_)
    loaded = DeepCluster.from_state(run.state())
    assert np.array_equal(loaded.fine_labels_, model.fine_labels_)
    assert np.array_equal(loaded.fine_to_group_[run.fine_labels()], run.labels())
    with open(package.export(run, tmp_path / "table", layout="csv").table, newline="") as file:
        lines = list(csv.DictReader(file))
    assert [int(line["fine"]) for line in lines] == model.fine_labels_.tolist()
    table = pyarrow.parquet.read_table(package.export(run, tmp_path / "columns", layout="parquet").table)
    assert table.column("fine").to_pylist() == model.fine_labels_.tolist()
    found = package.predict(run, tmp_path / "set.npy")
    assert found.columns()["fine"] == model.fine_labels_.tolist()
    (figure,) = (figure for figure in run.figures() if figure["name"] == "fine-groups")
    assert sum(row["title"].startswith("group 0, ") for row in figure["rows"]) in (1, 2, 3)


def test_a_method_with_one_level_has_no_such_column(
    tmp_path: Path, no_report: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ilk.layout.map_2d", lambda space, **_: space[:, :2])
    np.save(tmp_path / "set.npy", patterns(30)[0])
    run = package.cluster(tmp_path / "set.npy", tmp_path / "run", method="kmeans", options={"n_clusters": 3})
    assert "fine" not in run.assignments()
    assert run.fine_labels() is None
    assert "fine" not in package.export(run, tmp_path / "table", layout="csv").table.read_text().splitlines()[0]
    assert "fine" not in package.predict(run, tmp_path / "set.npy").columns()


def test_what_cannot_be_read_is_in_no_fine_cluster() -> None:
    model = DeepCluster(3, preset="tiny", epochs=0).fit(patterns()[0])
    encoded = model.encode(patterns(4)[0])
    assert (model.fine_of(encoded) >= 0).all()
    nothing = dataclasses.replace(encoded, features=encoded.features[:0], position=np.full(4, -1))
    assert model.fine_of(nothing).tolist() == [-1] * 4


def test_the_picture_of_both_levels_shows_the_largest_fine_clusters_with_their_sizes() -> None:
    images = patterns()[0]
    model = DeepCluster(3, preset="quick", settings={"encoder": "pixels", "pca_dim": 3}).fit(images)
    (figure,) = (runs.checked_figure(f) for f in model.figures() if f["name"] == "fine-groups")
    sizes = np.bincount(model.fine_labels_)
    for row in figure["rows"]:
        group, fine, size, whole = (int(number) for number in re.findall(r"\d+", row["title"]))
        assert model.fine_to_group_[fine] == group
        assert (size, whole) == (sizes[fine], (model.labels_ == group).sum())
        assert len(row["images"]) == min(size, 10)
        mine = [model.encoded_.thumbs.read([i])[0] for i in np.flatnonzero(model.fine_labels_ == fine)]
        assert all(any(np.array_equal(shown, own) for own in mine) for shown in row["images"])
    shown = [int(re.findall(r"\d+", row["title"])[1]) for row in figure["rows"]]
    assert {int(np.flatnonzero((model.fine_to_group_ == g) * sizes == (sizes * (model.fine_to_group_ == g)).max())[0])
            for g in range(3)} <= set(shown)  # fmt: skip
    many = DeepCluster(40, preset="tiny", epochs=0).fit(patterns(400, k=60)[0])
    (figure,) = (runs.checked_figure(f) for f in many.figures() if f["name"] == "fine-groups")
    assert len(figure["rows"]) == 30
    assert "30 largest groups" in figure["caption"]
