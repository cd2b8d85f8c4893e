"""Runs of earlier versions, as people have them: they open, and say what they said then. See runs_of_before/make.py."""

from __future__ import annotations

import csv
import json
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from trial import Ilk

from ilk import load_run

ARCHIVES = sorted((Path(__file__).parent / "runs_of_before").glob("*.tar.xz"))
RUNS = ["transfer", "dac", "scan", "deepcluster", "dec", "kmeans"]


@pytest.fixture(scope="module", params=ARCHIVES, ids=lambda path: path.name.split(".")[0])
def unpacked(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("before")
    with tarfile.open(request.param) as archive:
        archive.extractall(folder, filter="data")
    return folder


@pytest.fixture(params=RUNS)
def name(request: pytest.FixtureRequest, unpacked: Path, ilk: Ilk, monkeypatch: pytest.MonkeyPatch) -> str:
    """A run, ``runs/NAME`` of the working folder."""
    monkeypatch.chdir(unpacked)
    return str(request.param)


def recorded(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(Path("expected.json").read_text())[name]
    return found


def test_a_run_opens_with_its_groups(name: str) -> None:
    run, want = load_run(f"runs/{name}"), recorded(name)
    assert run.labels().tolist() == want["labels"]
    groups = {group["id"]: group["size"] for group in run.clusters()}
    assert groups == {i: want["labels"].count(i) for i in range(want["n_clusters"])}
    assert run.images()["status"].count("duplicate") == 2
    assert (run.fine_labels() is not None) == (name == "deepcluster")
    assert run.features().shape[0] == len(want["labels"])


def test_its_model_predicts_as_it_did(name: str) -> None:
    run, want = load_run(f"runs/{name}"), recorded(name)
    new = [str(path) for path in sorted(Path("new").iterdir())]
    model = run.model(device="cpu")
    assert model.predict(new).tolist() == want["model"]
    assert model.labels_.tolist() == [max(label, -1) for label in want["labels"]]


def test_new_images_are_placed_as_they_were(name: str, ilk: Ilk) -> None:
    want = recorded(name)
    told = ilk("predict", f"runs/{name}", "new", "--json", "--no-cache").json
    assert [row["group"] for row in told["images"]] == want["predicted"]
    np.testing.assert_allclose([row["confidence"] for row in told["images"]], want["confidence"], atol=2e-3)


def test_report_and_export(name: str, ilk: Ilk, tmp_path: Path) -> None:
    want = recorded(name)
    said = ilk("report", f"runs/{name}", "-o", tmp_path / "report.html")
    assert said.code == 0, said
    assert "once more.png" in (tmp_path / "report.html").read_text()
    done = ilk("export", f"runs/{name}", tmp_path / "out", "--json").json
    assert done["n_images"] == sum(label >= 0 for label in want["labels"])
    rows = list(csv.DictReader((tmp_path / "out" / "groups.csv").read_text().splitlines()))
    assert [int(row["group"] or -2) for row in rows] == want["labels"]
    assert [row["duplicate_of"] for row in rows if row["duplicate_of"]] == ["0_000.png", "1_001.png"]


def test_scores(name: str, ilk: Ilk) -> None:
    said = ilk("evaluate", f"runs/{name}", "--labels", "prefix", "--json").json
    assert said["scores"]["acc"] > 0.9
