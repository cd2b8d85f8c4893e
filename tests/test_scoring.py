"""Scores of runs: which labels are read, which images are counted, and what is written where."""

from __future__ import annotations

import io
import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from trial import write_images

import ilk
from ilk import runs, scoring
from ilk.errors import DataError, RunError


def test_score_counts_images_that_have_a_label() -> None:
    found = scoring.score(["a", "b", "c", "d"], [0, 0, 1, 1], {"a": "x", "b": "x", "c": "y"})
    assert found["acc"] == found["nmi"] == found["ari"] == found["purity"] == 1
    assert (found["n_scored"], found["n_unlabelled"]) == (3, 1)
    assert found["clusters"] == {
        "0": {"class": "x", "share": 1.0, "size": 2},
        "1": {"class": "y", "share": 1.0, "size": 1},
    }
    json.dumps(found)


def test_images_without_a_group_count_as_one_group_of_their_own() -> None:
    found = scoring.score(["a", "b", "c", "d"], [0, 0, -1, -1], {"a": 1, "b": 1, "c": 2, "d": 3})
    assert found["n_scored"] == 4
    assert found["acc"] < 1


def test_no_image_has_a_label() -> None:
    with pytest.raises(DataError, match="none of the 2 images has a label: names like 'a'"):
        scoring.score(["a", "b"], [0, 1], {"z": 1})


def test_evaluate_writes_scores(finished_copy: Path) -> None:
    scores = scoring.evaluate(finished_copy, "prefix")
    assert scores is not None
    assert scores["acc"] == 1
    assert runs.load_run(finished_copy).scores() == {"labels": "prefix", **scores}
    assert scoring.evaluate(runs.load_run(finished_copy), "none") is None
    assert scoring.evaluate(finished_copy) is None  # what the run was started with: auto, and a folder has no such
    assert runs.load_run(finished_copy).scores()["labels"] == "prefix"


def test_evaluate_is_a_function_every_time() -> None:
    assert ilk.evaluate is scoring.evaluate
    assert ilk.evaluate is scoring.evaluate


@pytest.mark.parametrize(("labels", "words"), [("folder", "folder"), ("y", "y"), ("no.csv", "no.csv")])
def test_labels_that_are_not_there(finished_copy: Path, labels: str, words: str) -> None:
    with pytest.raises(DataError, match=words):
        scoring.evaluate(finished_copy, labels)
    assert not (finished_copy / "scores.json").exists()


def test_the_source_is_gone(home: Path, photos: Path) -> None:
    source = shutil.copytree(photos, home / "photos")
    run = ilk.cluster(source, home / "run", options={"n_clusters": 3, "encoder": "pixels", "preset": "tiny"})
    shutil.rmtree(source)
    with pytest.raises(DataError, match=r"there is no .*photos"):
        scoring.evaluate(run, "prefix")


def test_an_array_in_memory_has_no_labels(home: Path, no_report: None) -> None:
    images = np.random.default_rng(0).integers(0, 255, (20, 8, 8), np.uint8)
    run = ilk.cluster(images, home / "run", options={"n_clusters": 2, "encoder": "pixels", "preset": "tiny"})
    assert run.header["summary"]["scores"] is None
    assert scoring.evaluate(run) is None
    with pytest.raises(DataError, match="array in memory"):
        scoring.evaluate(run, "y")


def test_files_added_since_are_not_counted(finished_copy: Path, home: Path, photos: Path) -> None:
    header = json.loads((finished_copy / "run.json").read_text("utf-8"))
    source = shutil.copytree(photos, home / "photos")
    write_images(source / "later", 5)
    (source / "0_0000.png").unlink()
    header["source"]["spec"] = str(source)
    runs.write_json(finished_copy / "run.json", header)
    scores = scoring.evaluate(finished_copy, "prefix")
    assert scores is not None
    assert (scores["n_scored"], scores["n_unlabelled"], scores["acc"]) == (35, 1, 1)


def test_arrays_that_changed_since(home: Path, no_report: None) -> None:
    images = np.random.default_rng(0).integers(0, 255, (20, 8, 8), np.uint8)
    np.savez(home / "set.npz", x=images, y=np.arange(20) % 2)
    run = ilk.cluster(home / "set.npz", options={"n_clusters": 2, "encoder": "pixels", "preset": "tiny"})
    assert scoring.evaluate(run) is not None
    np.savez(home / "set.npz", x=images[::-1], y=np.arange(20) % 2)
    with pytest.raises(DataError, match="not those of the run"):
        scoring.evaluate(run)


def test_not_a_run(tmp_path: Path) -> None:
    with pytest.raises(RunError):
        scoring.evaluate(tmp_path / "nowhere")


# -- tables -----------------------------------------------------------------------------------------------------------
def table(path: Path, order: list[int], names: bool) -> None:
    images = []
    for i in order:
        pixels = np.full((16, 16, 3), (200, 0, 0) if i % 2 else (0, 0, 200), np.uint8)
        pixels[i, 3] = 255
        out = io.BytesIO()
        Image.fromarray(pixels).save(out, "PNG")
        images.append({"bytes": out.getvalue(), "path": f"{i}.png" if names else None})
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    pq.write_table(pa.table({"image": pa.array(images, kind), "label": [i % 2 for i in order]}), path)


@pytest.mark.parametrize("shards", [False, True])
def test_a_table_that_was_sorted_anew(tmp_path: Path, shards: bool) -> None:
    """Its rows are named by their numbers: labels would be those of other images, and nothing would show it."""
    (tmp_path / "x").mkdir()
    path = tmp_path / "x" / "t.parquet"
    table(path, list(range(16)), False)
    options = {"n_clusters": 2, "preset": "tiny", "encoder": "pixels"}
    run = ilk.cluster(path.parent if shards else path, tmp_path / "run", options=options, names=False)
    assert scoring.evaluate(run, "label")["acc"] == 1  # type: ignore[index]
    table(path, [*range(0, 16, 2), *range(1, 16, 2)], False)
    with pytest.raises(DataError, match="do not hold the images of the run any more"):
        scoring.evaluate(run, "label")
    table(path, list(range(16)), False)  # a copy with another time is the same table
    assert scoring.evaluate(run, "label")["acc"] == 1  # type: ignore[index]


def test_a_sorted_table_whose_rows_have_names(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    table(path, list(range(16)), True)
    options = {"n_clusters": 2, "preset": "tiny", "encoder": "pixels"}
    run = ilk.cluster(path, tmp_path / "run", options=options, names=False)
    table(path, [*range(0, 16, 2), *range(1, 16, 2)], True)
    assert scoring.evaluate(run, "label")["acc"] == 1  # type: ignore[index]
