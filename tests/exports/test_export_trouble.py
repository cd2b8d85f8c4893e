"""Exports that are refused, interrupted or short of images: nothing foreign is touched, and the next one goes on."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from album import Regroup, files, group, table
from trial import Ilk, tree, write_images

import ilk
from ilk.errors import ArgumentError, DataError
from ilk.exports import placing
from ilk.runs import Run

# -- what is refused ---------------------------------------------------------------------------------------------------


def test_foreign_files_are_in_the_way(album_run: Run, tmp_path: Path) -> None:
    out = tmp_path / "out"
    (out / "00-group").mkdir(parents=True)
    name = next(name for name, part in files(ilk.export(album_run, tmp_path / "x").folder).items() if part[0:2] == "00")
    (out / "00-group" / name).write_text("mine")
    before = tree(out)
    with pytest.raises(DataError, match=rf"{name} is in the way and was not made by ilk"):
        ilk.export(album_run, out, into=True)
    assert tree(out) == before
    (out / "00-group" / name).unlink()
    (out / "groups.csv").write_text("mine")
    with pytest.raises(DataError, match=r"groups\.csv is in the way"):
        ilk.export(album_run, out, into=True)
    assert (out / "groups.csv").read_text() == "mine"
    (out / "groups.csv").unlink()
    shutil.rmtree(out / "00-group")
    (out / "00-group").write_text("a file")
    with pytest.raises(DataError, match="it is a file, no folder"):
        ilk.export(album_run, out, into=True)


def test_planted_links_lead_nowhere(album_run: Run, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "keep").write_text("kept")
    out = tmp_path / "out"
    out.mkdir()
    (out / "01-group").symlink_to(outside)
    with pytest.raises(DataError, match="01-group is in the way: it is a link"):
        ilk.export(album_run, out, into=True)
    (out / "01-group").unlink()
    ilk.export(album_run, out, into=True)
    shutil.rmtree(out / "01-group")
    (out / "01-group").symlink_to(outside)  # now a former export knows files there
    with pytest.raises(DataError, match="01-group is in the way: it is a link"):
        ilk.export(album_run, out, into=True)
    assert [path.name for path in outside.iterdir()] == ["keep"]
    (out / "01-group").unlink()
    (out / "groups.csv").unlink()
    (out / "groups.csv").symlink_to(outside / "keep")
    assert ilk.export(album_run, out, into=True).table == out / "groups-1.csv"
    assert (outside / "keep").read_text() == "kept"


@pytest.mark.parametrize("rel", ["../outside/keep", "/etc/passwd", "00-group/../../outside/keep", "a/b/c", ".ssh/id"])
def test_a_manifest_cannot_name_files_elsewhere(album_run: Run, tmp_path: Path, rel: str) -> None:
    out, keep = tmp_path / "out", tmp_path / "outside" / "keep"
    keep.parent.mkdir()
    keep.write_text("kept")
    ilk.export(album_run, out)
    manifest = json.loads((out / ".ilk-export.json").read_text())
    manifest["files"][rel] = ["gone.png", None, 4, keep.stat().st_mtime_ns, 0]
    (out / ".ilk-export.json").write_text(json.dumps(manifest))
    with pytest.raises(DataError, match="tampered with"):
        ilk.export(album_run, out)
    assert keep.read_text() == "kept"


@pytest.mark.parametrize("text", ["", "{", "[]", '{"ilk_export": 1}', '{"ilk_export": 1, "files": {"a": 3}}'])
def test_a_damaged_manifest_is_named(album_run: Run, tmp_path: Path, text: str) -> None:
    (tmp_path / ".ilk-export.json").write_text(text)
    with pytest.raises(DataError, match="is damaged"):
        ilk.export(album_run, tmp_path)


def test_folders_that_are_refused(album: Path, album_run: Run, tmp_path: Path) -> None:
    for folder, words in [
        (album, "is the source"),
        (album / "sorted", "lies inside the source"),
        (album_run.path, "inside the run"),
        (album_run.path / "plots" / "x", "inside the run"),
        (album / "0_0000.png", "lies inside the source|is a file"),
    ]:
        before = tree(album), tree(album_run.path)
        for layout in ("folders", "csv"):
            with pytest.raises(DataError, match=words):
                ilk.export(album_run, folder, layout=layout)
        assert (tree(album), tree(album_run.path)) == before
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="is a file"):
        ilk.export(album_run, tmp_path / "file")
    ilk.export(album_run, tmp_path / "out")
    with pytest.raises(DataError, match="holds an export as folders"):
        ilk.export(album_run, tmp_path / "out", layout="fiftyone")
    other = group(write_images(tmp_path / "other", 9), tmp_path / "other-run")
    with pytest.raises(DataError, match="holds an export of other images"):
        ilk.export(other, tmp_path / "out")
    with pytest.raises(ArgumentError, match=r"layout='folder'.*Did you mean 'folders'"):
        ilk.export(album_run, tmp_path / "new", layout="folder")
    with pytest.raises(ArgumentError, match="mode='move'"):
        ilk.export(album_run, tmp_path / "new", mode="move")
    assert not (tmp_path / "new").exists()


def test_an_export_is_never_listed_as_images(tmp_path: Path) -> None:
    folder = write_images(tmp_path / "all" / "photos", 9)
    run = group(folder, tmp_path / "run")
    ilk.export(run, tmp_path / "all" / "sorted")
    assert len(ilk.open_images(tmp_path / "all")) == 9
    assert len(ilk.open_images(tmp_path / "all" / "sorted")) == 9  # where it is asked for by name


# -- what goes wrong on the way ----------------------------------------------------------------------------------------


def test_missing_images_are_listed_and_found_again(tmp_path: Path, ilk: Ilk) -> None:
    folder = write_images(tmp_path / "photos", 12)
    run = group(folder, tmp_path / "run").path
    moved = tmp_path / "elsewhere"
    folder.rename(moved)
    said = ilk("export", run, "out")
    assert said.code == 1
    assert f"the images are not at {folder} any more" in said.err
    (moved / "0_0000.png").rename(moved / "renamed.png")
    said = ilk("export", run, "out", "--source", moved, "--json")
    assert said.code == 1
    assert (said.json["n_missing"], said.json["n_images"]) == (1, 11)
    assert said.json["missing"] == {"0_0000.png": "not in the source any more"}
    row = next(row for row in table(Path("out")) if row["path"] == "0_0000.png")
    assert row["exported"] == ""
    (moved / "renamed.png").rename(moved / "0_0000.png")
    said = ilk("export", run, "out", "--source", moved)
    assert said.code == 0
    assert "1 new, 11 as before" in said.out
    said = ilk("export", run, "out", "--source", tmp_path / "run")
    assert said.code == 1
    said = ilk("export", run, "out", "--source", write_images(tmp_path / "others", 3) / "..")
    assert said.code == 1
    assert "none of the 12 images" in said.err


def test_links_follow_the_photos_to_their_new_place(tmp_path: Path) -> None:
    folder = write_images(tmp_path / "photos", 6)
    run = group(folder, tmp_path / "run")
    ilk.export(run, tmp_path / "out")
    folder.rename(tmp_path / "elsewhere")
    done = ilk.export(run, tmp_path / "out", source=tmp_path / "elsewhere")
    assert (done.added, done.changed) == (6, [])
    for row in table(tmp_path / "out"):
        assert (tmp_path / "out" / row["exported"]).readlink() == tmp_path / "elsewhere" / row["path"]


def test_an_array_must_be_the_same_array(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (9, 8, 8), np.uint8)
    np.save(tmp_path / "set.npy", pixels)
    run = group(tmp_path / "set.npy", tmp_path / "run")
    np.save(tmp_path / "set.npy", pixels[::-1])
    with pytest.raises(DataError, match="does not hold the images of the run any more"):
        ilk.export(run, tmp_path / "out")
    assert ilk.export(run, tmp_path / "out", source=pixels).n_images == 9


@pytest.mark.parametrize("mode", ["link", "copy"])
@pytest.mark.parametrize("after", [0, 3, 11])
def test_an_interrupted_export_goes_on(
    album: Path, album_run: Run, tmp_path: Path, mode: str, after: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = iter(range(1000))

    original = placing.Placer._guarded

    def guarded(self: Any, item: Any, action: Any) -> None:
        if next(calls) == after:
            raise KeyboardInterrupt
        original(self, item, action)

    with monkeypatch.context() as patch:
        patch.setattr(placing.Placer, "_guarded", guarded)
        with pytest.raises(KeyboardInterrupt):
            ilk.export(album_run, tmp_path / "out", mode=mode)
    assert json.loads((tmp_path / "out" / ".ilk-export.json").read_text())["status"] == "running"
    part = tmp_path / "out" / "00-group"
    part.mkdir(exist_ok=True)
    (part / ".ilk-0123456789abcdef.tmp").write_bytes(b"half a file")  # what a kill leaves
    done = ilk.export(album_run, tmp_path / "out", mode=mode)
    assert (done.changed, done.missing, done.n_images) == ([], {}, 26)
    assert not list((tmp_path / "out").rglob("*.tmp"))
    assert set(files(tmp_path / "out")) == set(files(ilk.export(album_run, tmp_path / "whole", mode=mode).folder))


def test_an_interrupted_move_goes_on(album_run: Run, regroup: Regroup, tmp_path: Path, monkeypatch: Any) -> None:
    out = tmp_path / "out"
    ilk.export(album_run, out)
    run = regroup(album_run, dict.fromkeys(album_run.images()["path"], 2))
    original, calls = placing.Placer._give, iter(range(100))

    def give(self: Any, before: str, item: Any) -> None:
        if next(calls) == 4:
            raise KeyboardInterrupt
        original(self, before, item)

    with monkeypatch.context() as patch:
        patch.setattr(placing.Placer, "_give", give)
        with pytest.raises(KeyboardInterrupt):
            ilk.export(run, out)
    done = ilk.export(run, out)
    assert (done.changed, done.added, done.removed) == ([], 0, 0)
    assert set(files(out).values()) == {"02-group"}
    assert len(files(out)) == 26


def test_a_table_killed_before_its_manifest_is_still_ours(album_run: Run, tmp_path: Path, monkeypatch: Any) -> None:
    from ilk.exports.manifest import Manifest

    ilk.export(album_run, tmp_path)
    save = Manifest.save

    def die(self: Any, run: Path, status: str) -> None:
        if status == "done":
            raise KeyboardInterrupt
        save(self, run, status)

    for _ in range(2):
        with monkeypatch.context() as patch:
            patch.setattr(Manifest, "save", die)
            with pytest.raises(KeyboardInterrupt):
                ilk.export(album_run, tmp_path)
    assert ilk.export(album_run, tmp_path).table == tmp_path / "groups.csv"


def test_a_disk_without_links(album: Path, album_run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "symlink", refuse)
    done = ilk.export(album_run, tmp_path / "hard")
    assert any("hard links" in note for note in done.notes)
    for row in table(done.folder):
        if row["exported"]:
            assert (done.folder / row["exported"]).samefile(album / row["path"])
    assert ilk.export(album_run, tmp_path / "hard").unchanged == 26
    before = tree(album)
    monkeypatch.setattr(os, "link", refuse)
    done = ilk.export(album_run, tmp_path / "copies")
    assert any("copies were made" in note for note in done.notes)
    assert not any((done.folder / row["exported"]).is_symlink() for row in table(done.folder))
    again = ilk.export(album_run, tmp_path / "copies")
    assert (again.unchanged, again.changed) == (26, [])
    assert tree(album) == before


def test_a_full_disk_stops_with_one_line(
    album_run: Run, tmp_path: Path, ilk: Ilk, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(shutil, "copyfileobj", full)
    said = ilk("export", album_run.path, tmp_path / "out", "--mode", "copy")
    assert said.code == 1
    assert said.err.startswith("ilk: No space left on device")
    monkeypatch.undo()
