"""Several sources, lists, shards and published sets, from the command line to the export; and what was passed over."""

from __future__ import annotations

import json
import os
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from sklearn.metrics import adjusted_rand_score
from trial import SMALL, Ilk, refused, tree, write_images

import ilk as package
from ilk import runs


@pytest.fixture
def album(home: Path) -> Path:
    """A/ and B/ with folders of each pattern, more/ with loose files, and a zip: 9 images of each of 3 patterns."""
    made = sorted(write_images(home / "all", 27).iterdir())
    for i, path in enumerate(made):
        pattern = path.name[0]
        target = home / ("A", "B", "more")[i % 3] / (f"kind {pattern}" if i % 3 < 2 else "")
        target.mkdir(parents=True, exist_ok=True)
        shutil.move(path, target / path.name)
    with zipfile.ZipFile(home / "c.zip", "w") as archive:
        for path in sorted(write_images(home / "packed", 3, seed=1).iterdir()):
            archive.write(path, f"kind {path.name[0]}/{path.name}")
    shutil.rmtree(home / "all")
    shutil.rmtree(home / "packed")
    return home


def test_several_sources_from_groups_to_export(ilk: Ilk, album: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = ["A", "B", "more/*.png", "c.zip"]
    said = ilk("cluster", *given, "-o", "run", "-k", "3", *SMALL, "--labels", "prefix")
    assert said.code == 0, said.err
    assert "found    30 image files" in said.out
    assert "scores   ACC 1.000" in said.out
    run = runs.load_run(album / "run")
    assert run.header["source"]["spec"] == [str(album / one) for one in given]
    names = run.images()["path"]
    assert {name.split("/")[0] for name in names} == {"A", "B", "more", "c.zip"}
    assert ilk("cluster", *given, "-o", "run", "-k", "3", *SMALL).out.count("already") == 1
    refused(ilk("cluster", "A", "-o", "run", "-k", "3", *SMALL), "a finished run of other images", "and 3 more")
    monkeypatch.chdir(album / "A")  # names do not depend on where one works
    scores = ilk("evaluate", "../run", "--labels", "folder", "--json").json
    assert scores["scores"]["n_scored"] == 30
    found = ilk("predict", "../run", "kind 0", "../c.zip", "--json").json
    assert found["n_images"] == 6
    assert ilk("report", "../run").code == 0
    assert "A and 3 more" in (album / "run" / "report.html").read_text("utf-8")
    done = package.export(run, album / "out")
    assert (done.n_images, done.missing) == (30, {})
    refused(ilk("export", "../run", "../A/inside"), "lies inside the source")
    monkeypatch.chdir(album)  # single files are called as they are from here
    one = package.cluster(
        [album / "A", album / "B", str(album / "more" / "*.png"), album / "c.zip"],
        album / "python",
        options={"n_clusters": 3, "encoder": "pixels", "preset": "tiny"},
    )
    assert one.images()["path"] == names
    assert one.labels().tolist() == run.labels().tolist()


def test_default_name_and_one_odd_source(ilk: Ilk, album: Path) -> None:
    said = ilk("cluster", "A", "B", "-k", "3", *SMALL, "--json")
    assert Path(said.json["run"]).name.startswith("A-and-1-more-transfer-")
    refused(ilk("cluster", "A", "Bb", *SMALL), "there is no Bb", "Did you mean 'B'?")
    (album / "empty").mkdir()
    refused(ilk("cluster", "A", "empty", *SMALL), "there is no image in empty: it holds nothing")


def test_what_was_passed_over_is_said_everywhere(ilk: Ilk, home: Path) -> None:
    write_images(home / "photos", 12)
    for name in ("a.jxl", "b.mov", ".hidden.jpg", "#recycle/old.jpg", "note<b>.txt"):
        (home / "photos" / name).parent.mkdir(exist_ok=True)
        (home / "photos" / name).write_bytes(b"no picture")
    said = ilk("cluster", "photos", "-o", "run", "-k", "3", *SMALL)
    assert "found    12 image files" in said.out
    assert (
        "left out 1 picture of a format that ilk cannot read (.jxl), 1 video (.mov), 1 hidden picture (.hidden.jpg), "
        "1 deleted picture (#recycle/old.jpg), 1 other file (.txt)"
    ) in said.out
    assert "         to take them in: convert the pictures to PNG or JPEG; " in said.out
    told = runs.load_run("run").header["source"]["passed_over"]
    assert {kind: one["count"] for kind, one in told.items()} == dict.fromkeys(
        ["pictures", "videos", "hidden", "deleted", "other"], 1
    )
    assert told["other"]["examples"] == ["note<b>.txt"]
    page = (home / "run" / "report.html").read_text("utf-8")
    assert 'id="passed"' in page
    assert "1 deleted picture" in page
    assert "note&lt;b&gt;.txt" in page
    assert "left out 1 picture of a format" in ilk("predict", "run", "photos").out
    (home / "bad").mkdir()
    told["other"]["count"] = "many"
    header = json.loads((home / "run" / "run.json").read_text("utf-8"))
    header["source"]["passed_over"] = told
    (home / "run" / "run.json").write_text(json.dumps(header), "utf-8")
    refused(ilk("report", "run"), "source/passed_over/other/count")


def test_a_clean_folder_says_nothing(ilk: Ilk, home: Path) -> None:
    write_images(home / "photos", 12)
    (home / "photos" / ".DS_Store").write_bytes(b"x")
    assert "passed" not in ilk("cluster", "photos", "-o", "run", "-k", "3", *SMALL).out
    assert 'id="passed"' not in (home / "run" / "report.html").read_text("utf-8")


def test_a_run_of_a_list_brings_no_foreign_file_along(ilk: Ilk, album: Path) -> None:
    """A run names what it was made from; an export takes what is in a folder of it, or is the very image."""
    assert ilk("cluster", "A", "more/*.png", "-o", "run", "-k", "3", *SMALL).code == 0
    victim = sorted((album / "more").iterdir())[0]
    Image.new("L", (12, 12), 9).save(victim)
    done = package.export("run", album / "out")
    assert list(done.missing) == [f"more/{victim.name}"]
    assert (
        "in no folder" in done.missing[f"more/{victim.name}"] or "lies outside" in done.missing[f"more/{victim.name}"]
    )


def test_by_content_decides_where_it_is_said(ilk: Ilk, home: Path) -> None:
    def write(shift: int) -> None:
        (home / "photos").mkdir(exist_ok=True)
        for i in range(12):
            path = home / "photos" / f"{i}.bmp"
            Image.new("L", (12, 12), 20 * ((i + shift) % 12)).save(path)
            os.utime(path, ns=(10**18, 10**18))

    def groups(*more: str) -> list[int]:
        assert ilk("cluster", "photos", "-o", f"run{len(more)}", "-k", "2", *SMALL, "--overwrite", *more).code == 0
        return runs.load_run(f"run{len(more)}").labels().tolist()

    write(0)
    first, careful = groups(), groups("--by-content")
    assert first == careful
    write(5)  # other images of the same names, sizes and times
    assert groups() == first  # the rule says that these are the same files
    changed = groups("--by-content")
    assert changed != first
    assert sorted(np.bincount(changed)) == sorted(np.bincount(first))


def test_shards_and_published_sets_are_scored_by_their_labels(ilk: Ilk, home: Path) -> None:
    made = sorted(write_images(home / "made", 24).iterdir())
    (home / "shards" / "data").mkdir(parents=True)
    for shard in range(2):
        rows = [{"bytes": path.read_bytes(), "path": path.name} for path in made[12 * shard : 12 * shard + 12]]
        kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
        table = pa.table({"image": pa.array(rows, kind), "label": [int(row["path"][0]) for row in rows]})
        pq.write_table(table, home / "shards" / "data" / f"train-{shard:05d}-of-00002.parquet")
    said = ilk("cluster", "shards", "-o", "run", "-k", "3", *SMALL, "--labels", "label", "--json")
    assert said.json["scores"]["acc"] == 1
    pixels = np.stack([np.asarray(Image.open(path)) for path in made])
    labels = np.array([int(path.name[0]) for path in made], np.uint8)
    (home / "sets").mkdir()
    for name, array in (("images-idx3", pixels), ("labels-idx1", labels)):
        head = bytes([0, 0, 8, array.ndim]) + b"".join(n.to_bytes(4, "big") for n in array.shape)
        (home / "sets" / f"train-{name}-ubyte").write_bytes(head + array.tobytes())
    found = ilk("cluster", "sets", "-o", "idx", "-k", "3", *SMALL, "--json").json
    assert found["scores"]["acc"] == 1
    assert ilk("evaluate", "idx", "--json").json["scores"]["n_scored"] == 24
    assert package.export("idx", home / "out").n_images == 24


def test_paths_and_pictures_of_a_program(home: Path) -> None:
    paths = sorted(map(str, write_images(home / "photos", 18).iterdir()))
    model = package.TransferClustering(n_clusters=3, encoder="pixels", preset="tiny")
    wanted = model.fit(paths).labels_
    assert model.fit(np.array(paths)).labels_.tolist() == wanted.tolist()
    assert model.predict(np.array(paths[:3])).tolist() == wanted[:3].tolist()
    images = [Image.open(path) for path in paths]
    drawn = model.fit(images).labels_  # other bytes, in another order: the same groups by other numbers
    assert adjusted_rand_score(wanted, drawn) == 1
    assert model.predict(images[:3]).tolist() == drawn[:3].tolist()
    run = package.cluster(images, home / "run", options={"n_clusters": 3, "encoder": "pixels", "preset": "tiny"})
    assert run.labels().tolist() == drawn.tolist()
    assert run.header["source"]["spec"] is None
    assert tree(home / "run")
