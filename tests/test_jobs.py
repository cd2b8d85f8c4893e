"""Whole jobs from Python: the same promises as the command line's."""

from __future__ import annotations

import csv
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from trial import tree, write_images

import ilk
from ilk import jobs, runs
from ilk.errors import ArgumentError, DataError, Interrupted, NotEnoughImages, RunError
from ilk.jobs import asking

OPTIONS = {"n_clusters": 3, "encoder": "pixels", "preset": "tiny"}
CLASSIC = {"n_clusters": 3, "encoder": "classic", "preset": "tiny"}

pytestmark = pytest.mark.usefixtures("no_report")


def test_events_in_their_order(home: Path, photos: Path) -> None:
    events: list[dict[str, Any]] = []
    run = ilk.cluster(photos, options=OPTIONS, labels="prefix", on_event=events.append)
    kinds = [event["event"] for event in events]
    assert kinds[0] == "found"
    assert kinds[-3:] == ["write", "finishing", "done"]
    assert (events[0]["n"], events[0]["run"]) == (36, str(run.path))
    stages = [event["stage"] for event in events if event["event"] == "stage"]
    assert list(dict.fromkeys(stages)) == ["encoder", "encode", "near", "reduce", "cluster"]
    assert events[-1]["scores"]["acc"] == run.header["summary"]["scores"]["acc"] == 1
    events.clear()
    again = ilk.cluster(photos, options=OPTIONS, labels="prefix", on_event=events.append)
    assert [event["event"] for event in events] == ["found", "already"]
    assert again.header == run.header


def test_what_a_finished_run_holds(home: Path, photos: Path) -> None:
    run = ilk.cluster(photos, "run", options=OPTIONS, command="the command")
    names = {path.name for path in run.path.iterdir()}
    assert names >= {"run.json", "images.parquet", "assignments.parquet", "clusters.json", "features.npy", "map.npy"}
    header = run.header
    assert header["identity"]["source"] == {
        "spec": str(photos), "split": "all", "n": 36, "fingerprint": header["source"]["fingerprint"],
    }  # fmt: skip
    assert (header["command"], header["seed"], header["labels"]) == ("the command", 0, "auto")
    assert header["resolved"]["clusterer"] == "kmeans"
    features = run.features()
    assert (features.shape, features.dtype) == ((36, features.shape[1]), np.float16)
    assert isinstance(features, np.memmap)


def test_unreadable_images_and_copies(home: Path) -> None:
    folder = write_images(home / "photos", 12)
    (folder / "copy.png").write_bytes((folder / "0_0000.png").read_bytes())
    (folder / "broken.png").write_bytes(b"nonsense")
    run = ilk.cluster(folder, options=OPTIONS)
    summary = run.header["summary"]
    assert (summary["n_images"], summary["n_unreadable"], summary["n_duplicates"]) == (13, 1, 1)
    assert sum(summary["sizes"]) == 13
    images = run.images()
    at = images["path"].index("copy.png"), images["path"].index("0_0000.png"), images["path"].index("broken.png")
    assert [images["status"][i] for i in at] == ["duplicate", "ok", "unreadable"]
    assert images["duplicate_of"][at[1]] is None
    assert run.labels()[at[0]] == run.labels()[at[1]]
    assert run.labels()[at[2]] == -2
    assert np.isnan(run.features()[at[2]]).all()
    assert np.isfinite(run.features()[list(at[:2])]).all()


def test_runs_of_other_jobs_have_other_names(home: Path, photos: Path) -> None:
    paths = {jobs.default_run(photos, "transfer", {"a": a}) for a in range(3)}
    assert len(paths) == 3
    assert all(path.parent == Path("ilk-runs") and path.name.startswith("photos-transfer-") for path in paths)
    for source in ("/", "..", "x" * 200, "a b/?*.tar", np.zeros(3), ["a", "b"]):
        path = jobs.default_run(source, "my.module:Method", {})
        assert len(path.parts) == 2
        assert len(path.name) < 100
        assert "-method-" in path.name


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"n_clusters": 99}, NotEnoughImages),
        ({"n_clusters": 1}, ArgumentError),
        ({"encoder": "none such"}, ArgumentError),
        ({"nonsense": 1}, ArgumentError),
        ({"image_size": -1}, ArgumentError),
    ],
)
@pytest.mark.parametrize("cache", [None, "cache"])
def test_what_cannot_work_leaves_nothing(
    home: Path, photos: Path, change: dict[str, Any], error: type[Exception], cache: str | None
) -> None:
    with pytest.raises(error):
        ilk.cluster(photos, options={**OPTIONS, **change, "cache": cache})
    assert tree(home) == {}


def test_a_stop_while_encoding_is_gone_on_with(monkeypatch: pytest.MonkeyPatch, home: Path, photos: Path) -> None:
    # files that were written a moment ago are read again to be sure, and then the count begins at zero
    monkeypatch.setattr("ilk.files.listing._RACY", 0)

    def stop(event: dict[str, Any]) -> bool:
        return event.get("done", 0) >= 8

    with pytest.raises(Interrupted):
        ilk.cluster(photos, "run", options=CLASSIC, on_event=stop)
    assert [path.name for path in home.iterdir()] == ["run.partial"]
    events: list[dict[str, Any]] = []
    run = ilk.cluster(photos, "run", options=CLASSIC, on_event=events.append)
    assert events[1] == {"event": "resumed", "run": "run"}
    assert next(event for event in events if "done" in event)["done"] >= 8  # not from zero
    assert not (run.path / "cache").exists()


def test_a_wrong_setting_never_costs_an_unfinished_run(home: Path, photos: Path) -> None:
    with pytest.raises(Interrupted):
        ilk.cluster(photos, "run", options=CLASSIC, on_event=lambda event: event.get("done", 0) >= 8)
    before = tree(home)
    with pytest.raises(RunError, match="other settings"):
        ilk.cluster(photos, "run", options={**CLASSIC, "image_size": -1})
    assert tree(home) == before


def test_arrays_and_lists(home: Path, photos: Path) -> None:
    images = np.random.default_rng(0).integers(0, 255, (20, 8, 8), np.uint8)
    run = ilk.cluster(images, options={**OPTIONS, "n_clusters": 2})
    assert run.path.name.startswith("array-transfer-")
    assert ilk.cluster(images, options={**OPTIONS, "n_clusters": 2}).path == run.path
    assert ilk.cluster(images + 1, options={**OPTIONS, "n_clusters": 2}).path != run.path
    paths = sorted(photos.iterdir())
    assert ilk.cluster(paths, options=OPTIONS).header["summary"]["n_images"] == 36


def test_a_folder_called_digits(home: Path) -> None:
    write_images(home / "digits", 9)
    run = ilk.cluster(Path("digits"), "run", options=OPTIONS)
    assert run.header["source"]["spec"] == str(home / "digits")
    assert ilk.evaluate(run, "prefix")["acc"] == 1


def test_predict(home: Path, photos: Path, finished: Path) -> None:
    run = runs.load_run(finished)
    found = ilk.predict(run, photos, cache=home / "cache")
    assert found.group.tolist() == run.labels().tolist()
    with pytest.warns(DeprecationWarning, match="Prediction.group"):
        assert found.cluster is found.group
    assert found.names == run.images()["path"]
    assert tuple(found.columns()) == runs.columns_of("predictions")
    new = write_images(home / "new", 9, seed=9)
    (new / "broken.png").write_bytes(b"nonsense")
    found = ilk.predict(finished, new)
    assert found.status.count("unreadable") == 1
    at = found.status.index("unreadable")
    assert (found.group[at], found.second[at], found.confidence[at], found.known[at]) == (-1, -1, 0, 0)
    assert {found.columns()[name][at] for name in ("group", "group_name", "confidence", "known", "second")} == {None}
    assert found.reasons[at]
    assert ((found.group != found.second) | (found.group == -1)).all()


def test_what_the_threshold_tests_is_what_is_shown(home: Path, finished: Path) -> None:
    start, end = np.random.default_rng(5).integers(0, 256, (2, 12, 12))
    away = np.random.default_rng(8).integers(0, 256, (12, 12))
    far, near = (np.linspace(0, 1, n)[:, None, None] for n in (400, 40))
    np.save(home / "odd.npy", (start + (away - start) * far).astype(np.uint8))  # from one group into none
    np.save(home / "new.npy", (start + (end - start) * near).astype(np.uint8))  # … and into another
    shown = ilk.predict(finished, home / "odd.npy").columns()
    between = ilk.predict(finished, home / "new.npy").columns()
    values = sorted(set(shown["known"]))
    for threshold in (0.0, 0.2, 1.0, *values[::12], *(value + 5e-5 for value in values[:-1:12])):
        found = ilk.predict(finished, home / "odd.npy", threshold=threshold)
        rows = found.columns()
        assert found.threshold == threshold
        assert rows["known"] == shown["known"]
        assert [k >= found.threshold for k in rows["known"]] == [g != "not assigned" for g in rows["group_name"]]
    assert len(values) > 10  # the way out goes through many
    # half-way between two groups an image is known, and its group is not sure: the two numbers differ
    shares = [c / k for c, k in zip(between["confidence"], between["known"], strict=True) if k > 0.2]
    assert min(shares) < 0.8


def test_tables(home: Path, photos: Path, finished: Path) -> None:
    found = ilk.predict(finished, photos)
    found.write("a.csv")
    found.write("a.PARQUET")
    with open("a.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["group"]) for row in rows] == pq.read_table("a.PARQUET").to_pydict()["group"]
    with pytest.raises(RunError, match=r"\.csv or \.parquet"):
        found.write("a.xlsx")
    with pytest.raises(RunError, match="cannot write"):
        found.write("nowhere/a.csv")
    assert sorted(path.name for path in home.iterdir()) == ["a.PARQUET", "a.csv"]


@pytest.mark.parametrize(
    ("labels", "kind", "error"),
    [
        ("perfix", "folder", ArgumentError),
        ("folder", "npz", ArgumentError),
        ("prefix", "digits", ArgumentError),
        ("gone.csv", "folder", DataError),
        ("gone.TSV", "npz", DataError),
    ],
)
def test_labels_that_can_never_be_right(home: Path, labels: str, kind: str, error: type[Exception]) -> None:
    with pytest.raises(error, match="--labels"):
        asking.checked_labels(labels, kind)


@pytest.mark.parametrize(
    ("labels", "kind"),
    [("auto", "folder"), ("none", "npz"), ("any key", "npz"), ("any column", "parquet"), ("folder", "tar")],
)
def test_labels_that_may_be_right(labels: str, kind: str) -> None:
    assert asking.checked_labels(labels, kind) == labels


def test_a_finished_fit_is_not_lost_where_umap_does_not_load(
    monkeypatch: pytest.MonkeyPatch, home: Path, photos: Path
) -> None:
    monkeypatch.setitem(sys.modules, "umap", None)
    run = ilk.cluster(photos, options={**OPTIONS, "reducer": "pca"})
    assert any("two principal components" in told for told in run.header["summary"]["warnings"])
    assert np.isfinite(run.map()).all()
    assert len(np.unique(run.map(), axis=0)) > 3


# -- labels that change ------------------------------------------------------------------------------------------------


def table(path: Path, photos: Path, label: Any) -> str:
    names = sorted(one.name for one in photos.iterdir())
    path.write_text("name,label\n" + "".join(f"{name},{label(i, name)}\n" for i, name in enumerate(names)))
    return str(path)


def test_the_same_job_is_scored_by_the_labels_of_now(home: Path, photos: Path) -> None:
    file = table(home / "labels.csv", photos, lambda _, name: name[0])
    run = ilk.cluster(photos, options=OPTIONS, labels=file)
    assert run.header["summary"]["scores"]["acc"] == 1
    before = tree(run.path)
    again = ilk.cluster(photos, options=OPTIONS, labels=file)
    assert (again.header, tree(run.path)) == (run.header, before)  # nothing is new, nothing is written
    table(home / "labels.csv", photos, lambda i, _: i % 2)
    again = ilk.cluster(photos, options=OPTIONS, labels=file)
    right = ilk.evaluate(run, file)
    assert right is not None
    assert right["acc"] == 1 / 3
    assert (
        again.header["summary"]["scores"]["acc"] == runs.load_run(run.path).header["summary"]["scores"]["acc"] == 1 / 3
    )
    assert again.scores() == {"labels": file, **right}
    # a label for every image but one: said, and the old scores are not passed off as those of this file
    (home / "labels.csv").write_text("name,label\n0_0000.png,1\n")
    with pytest.raises(DataError, match="no label for 35 of 36 images"):
        ilk.cluster(photos, options=OPTIONS, labels=file)


def test_labels_of_an_npz_may_change_too(home: Path) -> None:
    rng = np.random.default_rng(0)
    x = (rng.integers(0, 200, (3, 8, 8))[np.arange(30) % 3] + rng.integers(0, 40, (30, 8, 8))).astype(np.uint8)
    np.savez("x.npz", x=x, y=np.arange(30) % 3)
    assert ilk.cluster("x.npz", "run", options=OPTIONS).header["summary"]["scores"]["acc"] == 1
    np.savez("x.npz", x=x, y=np.arange(30) // 15, z=np.arange(30) // 10)
    again = ilk.cluster("x.npz", "run", options=OPTIONS)
    assert again.header["summary"]["scores"]["acc"] < 0.7
    ilk.evaluate("run", "z")
    assert ilk.cluster("x.npz", "run", options=OPTIONS).scores()["labels"] == "z"  # what was asked for by name stays
    np.savez("x.npz", x=x, y=np.arange(3))
    (home / "run" / "scores.json").write_text("torn")
    for _ in range(2):
        warnings = ilk.cluster("x.npz", "run", options=OPTIONS).header["summary"]["warnings"]
        assert [text for text in warnings if "not scored" in text] == [
            f"not scored: {home / 'x.npz'}: y are 3 labels for 30 images"
        ]
    np.savez("x.npz", x=x, y=np.arange(30) % 3)
    summary = ilk.cluster("x.npz", "run", options=OPTIONS).header["summary"]
    assert summary["scores"]["acc"] == 1
    assert not any("not scored" in text for text in summary["warnings"])
