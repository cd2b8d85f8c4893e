"""What other tools read: torchvision itself, and the documented schema of the others."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from album import Regroup, group
from hostile import write_tar
from trial import write_images

import ilk
from ilk.errors import DataError
from ilk.exports import atlas
from ilk.files import Sprites
from ilk.runs import Run


@pytest.mark.parametrize("mode", ["link", "copy"])
def test_torchvision_reads_the_image_folder(album_run: Run, regroup: Regroup, tmp_path: Path, mode: str) -> None:
    from torchvision.datasets import ImageFolder

    run = regroup(album_run, {"0_0006.png": -1})
    done = ilk.export(run, tmp_path / "out", layout="imagefolder", mode=mode)
    data = ImageFolder(str(tmp_path / "out"))
    assert data.classes == ["00-group", "01-group", "02-group"]  # no class of leftovers
    assert len(data) == done.n_images == 25
    assert any("belong to no group" in note for note in done.notes)
    labels = dict(zip(run.images()["path"], run.labels().tolist(), strict=True))
    with open(tmp_path / "out" / "groups.csv", encoding="utf-8", newline="") as file:
        rows = {row["exported"]: row["path"] for row in csv.DictReader(file) if row["exported"]}
    for place, target in data.samples:
        path = rows[str(Path(place).relative_to(tmp_path / "out"))]
        assert labels[path] == target
        assert data.loader(place).size == (12, 12)
    assert (done.converted, Path(next(k for k, v in rows.items() if v == "other.tga")).suffix) == (1, ".png")


def test_metadata_is_what_the_imagefolder_loader_wants(album_run: Run, tmp_path: Path) -> None:
    ilk.export(album_run, tmp_path / "out", layout="imagefolder")
    with open(tmp_path / "out" / "metadata.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["file_name", "label", "group", "confidence"]
    found = {str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").glob("*/*")}
    assert {row["file_name"] for row in rows} == found  # every image once, relative, no ..
    for row in rows:
        assert row["file_name"].startswith(f"{row['label']}/{''}")
        assert not row["label"].isnumeric()  # always a string, whatever the reader guesses
        assert 0 <= float(row["confidence"]) <= 1
    again = ilk.export(album_run, tmp_path / "out", layout="imagefolder")
    assert (again.unchanged, again.changed) == (26, [])


def check_fiftyone(folder: Path) -> dict[str, dict[str, object]]:
    """The documented schema of FiftyOneImageClassificationDataset, read as its importer does."""
    found = json.loads((folder / "labels.json").read_text("utf-8"))
    assert set(found) == {"classes", "labels"}
    assert len(set(found["classes"])) == len(found["classes"])
    stems = [path.relative_to(folder / "data").with_suffix("").as_posix() for path in (folder / "data").rglob("*")]
    assert len(set(stems)) == len(stems)
    assert set(stems) == set(found["labels"])  # every label has its image and the other way round
    for target in found["labels"].values():
        assert set(target) <= {"label", "confidence", "attributes"}
        assert 0 <= target["label"] < len(found["classes"])
        assert isinstance(target.get("confidence", 0.0), float)
        assert not {"id", "tags", "label", "confidence", "logits"} & set(target["attributes"])
    return {stem: {**t, "label": found["classes"][t["label"]]} for stem, t in found["labels"].items()}


def test_fiftyone_dataset(album_run: Run, regroup: Regroup, tmp_path: Path) -> None:
    run = regroup(album_run, {"0_0006.png": -1})
    done = ilk.export(run, tmp_path / "out", layout="fiftyone")
    found = {str(target["attributes"]["ilk_path"]): target for target in check_fiftyone(done.folder).values()}
    labels, layout, table = run.labels(), np.asarray(run.map()), run.assignments()
    for i, path in enumerate(run.images()["path"]):
        if labels[i] == -2:
            assert path not in found
            continue
        assert found[path]["label"] == ("not-assigned" if labels[i] < 0 else f"{labels[i]:02}-group")
        assert found[path]["confidence"] == pytest.approx(table["confidence"][table["index"].index(i)])
        point = [found[path]["attributes"][name] for name in ("map_x", "map_y")]
        assert point == pytest.approx(layout[i].tolist())
    inodes = {path.name: path.lstat().st_ino for path in (done.folder / "data").iterdir()}
    again = ilk.export(album_run, done.folder, layout="fiftyone")  # other groups: only the labels change
    assert (again.unchanged, again.moved) == (26, 0)
    assert inodes == {path.name: path.lstat().st_ino for path in (done.folder / "data").iterdir()}
    assert all(target["label"] != "not-assigned" for target in check_fiftyone(done.folder).values())


def test_fiftyone_with_names_that_differ_in_case_and_ending_only(tmp_path: Path) -> None:
    run = group(write_tar(tmp_path / "odd.tar", ["a.png", "A.PNG", "a.jpg", "b/a.png", *"123456"]), tmp_path / "run")
    check_fiftyone(ilk.export(run, tmp_path / "out", layout="fiftyone").folder)


def test_embedding_atlas_file(album_run: Run, tmp_path: Path) -> None:
    done = ilk.export(album_run, tmp_path / "out", layout="embedding-atlas")
    assert done.opened_by.endswith("atlas.parquet --x x --y y --neighbors neighbors")
    table = pq.read_table(tmp_path / "out" / "atlas.parquet")
    rows = table.to_pylist()
    assert len(rows) == done.n_images == 26  # unreadable images have no place on a map
    images, layout = album_run.images(), np.asarray(album_run.map())
    index = [i for i, status in enumerate(images["status"]) if status != "unreadable"]
    assert [row["path"] for row in rows] == [images["path"][i] for i in index]
    np.testing.assert_array_equal(np.array([(row["x"], row["y"]) for row in rows]), layout[index])
    sprites = Sprites(album_run.path / "thumbs")
    for i, row in zip(index, rows, strict=True):
        assert row["image"]["bytes"].startswith((b"\xff\xd8\xff", b"\x89PNG"))  # WebP is not shown by the viewer
        assert row["image"]["bytes"] == sprites.picture(i)[0]
        assert row["caption"].startswith("group ")
    features = np.asarray(album_run.features()[index], np.float64)
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    distance = 1 - unit @ unit.T
    for i, row in enumerate(rows):  # against the whole table of distances
        ids, found = row["neighbors"]["ids"], row["neighbors"]["distances"]
        assert len(ids) == 15
        assert i not in ids
        assert found == sorted(found)
        assert found == pytest.approx(np.sort(np.delete(distance[i], i))[:15], abs=2e-6)
        assert distance[i][ids] == pytest.approx(found, abs=2e-6)


def test_embedding_atlas_without_neighbors_or_map(
    album_run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(atlas, "MOST_WORK", 1)
    monkeypatch.setattr(atlas, "_BLOCK", 7)
    done = ilk.export(album_run, tmp_path / "out", layout="embedding-atlas")
    assert "--neighbors" not in done.opened_by
    assert any("neighbours are left out" in note for note in done.notes)
    table = pq.read_table(tmp_path / "out" / "atlas.parquet")
    assert "neighbors" not in table.column_names
    assert table.num_rows == 26
    monkeypatch.setattr(Run, "map", lambda self: None)
    with pytest.raises(DataError, match="has no map"):
        ilk.export(album_run, tmp_path / "none", layout="embedding-atlas")
    assert not list((tmp_path / "none").glob("*.parquet"))


def test_tables_need_no_source(tmp_path: Path) -> None:
    folder = write_images(tmp_path / "photos", 9)
    run = group(folder, tmp_path / "run")
    folder.rename(tmp_path / "gone")
    for layout, name in [("csv", "groups.csv"), ("parquet", "groups.parquet"), ("embedding-atlas", "atlas.parquet")]:
        assert ilk.export(run, tmp_path / "out", layout=layout).table == tmp_path / "out" / name
