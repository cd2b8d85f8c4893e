"""Folders and tables of an export: complete, never outside, never over what is not ours, and the source untouched."""

from __future__ import annotations

import csv
import json
import os
import shutil
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from album import Regroup, group
from hostile import NAMES, picture, write_tar
from PIL import Image
from trial import Ilk, tree, write_images

import ilk
from ilk.errors import ArgumentError, DataError
from ilk.exports import placing
from ilk.runs import Run


def table(folder: Path, name: str = "groups.csv") -> list[dict[str, str]]:
    with open(folder / name, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def files(folder: Path) -> dict[str, str]:
    """Group folder of every exported file, by its name."""
    found = [path for path in folder.rglob("*") if not path.is_dir() and path.parent != folder]
    assert len({path.name for path in found}) == len(found)
    return {path.name: path.parent.name for path in found}


# -- what lies where ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["link", "copy"])
def test_every_image_is_where_its_group_is(album: Path, album_run: Run, tmp_path: Path, mode: str) -> None:
    before, run_before = tree(album), tree(album_run.path)
    done = ilk.export(album_run, tmp_path / "out", mode=mode)
    assert (tree(album), tree(album_run.path)) == (before, run_before)
    images, labels = album_run.images(), album_run.labels()
    rows = table(tmp_path / "out")
    assert [row["path"] for row in rows] == images["path"]  # one line for each, in order
    names = {int(g["id"]): g["name"] for g in album_run.clusters()}
    for row, label, status in zip(rows, labels.tolist(), images["status"], strict=True):
        assert row["status"] == status
        if label == -2:
            assert (row["group"], row["exported"]) == ("", "")
            assert row["reason"]
            continue
        assert (int(row["group"]), row["name"]) == (label, names[label])
        place = tmp_path / "out" / row["exported"]
        assert place.parent.name == f"{label:02}-group"
        assert place.is_symlink() == (mode == "link")
        assert place.read_bytes() == (album / row["path"]).read_bytes()
        if mode == "link":
            assert place.readlink() == album / row["path"]  # absolute
        else:
            assert place.stat().st_mtime_ns == (album / row["path"]).stat().st_mtime_ns
    twin = next(row for row in rows if row["path"] == "twin of 3.png")
    assert (twin["status"], twin["twin"]) == ("duplicate", "0_0003.png")
    assert len(files(tmp_path / "out")) == done.n_images == done.added == 26
    assert (done.n_unreadable, done.n_groups, done.missing) == (2, 3, {})


def test_numbers_of_the_table_are_those_of_the_run(album_run: Run, tmp_path: Path) -> None:
    ilk.export(album_run, tmp_path, layout="csv")
    ilk.export(album_run, tmp_path, layout="parquet")
    rows, found = table(tmp_path), album_run.assignments()
    columns = pq.read_table(tmp_path / "groups.parquet").to_pydict()
    assert list(columns) == list(rows[0])
    for name in ("confidence", "distance", "silhouette"):
        assert [float(rows[i][name]) for i in found["index"]] == pytest.approx(found[name], rel=1e-5)
        assert [columns[name][i] for i in found["index"]] == pytest.approx(found[name])
    assert [columns["group"][i] for i in found["index"]] == found["cluster"]
    assert [int(rows[i]["second"]) for i in found["index"]] == found["second"]
    lost = [i for i, status in enumerate(columns["status"]) if status == "unreadable"]
    assert len(lost) == 2
    assert {columns[name][i] for i in lost for name in ("group", "name", "confidence", "exported")} == {None}
    assert columns["path"] == album_run.images()["path"]


def test_names_stay_when_groups_change_and_clashes_are_told_apart(album_run: Run, tmp_path: Path) -> None:
    ilk.export(album_run, tmp_path / "out")
    names = files(tmp_path / "out")
    assert {"0_0000.png", "more-0_0000.png", "twin of 3.png"} <= names.keys()  # the path where the name is taken


def test_not_assigned_has_a_folder_of_its_own(album_run: Run, regroup: Regroup, tmp_path: Path) -> None:
    run = regroup(album_run, {"0_0006.png": -1, "1_0001.png": -1})
    ilk.export(run, tmp_path / "out")
    names = files(tmp_path / "out")
    assert names["0_0006.png"] == names["1_0001.png"] == "not-assigned"
    row = next(row for row in table(tmp_path / "out") if row["path"] == "0_0006.png")
    assert (row["group"], row["name"]) == ("-1", "not assigned")


def test_folders_bear_the_names_of_groups(album_run: Run, tmp_path: Path) -> None:
    run = ilk.load_run(shutil.copytree(album_run.path, tmp_path / "run"))
    groups = run.clusters()
    for one, name in zip(groups, ["long sleeves", "../../etc", "a/b\\c\n\u202e" + "ü" * 200], strict=True):
        one["name"] = name
    (run.path / "clusters.json").write_text(json.dumps(groups))
    ilk.export(run, tmp_path / "out")
    found = sorted(path.name for path in (tmp_path / "out").iterdir() if path.is_dir())
    assert found[:2] == ["00-long-sleeves", "01-_.._etc"]
    assert found[2].startswith("02-a_b_c-_üü")
    assert len(found[2].encode()) <= 140
    assert len(found) == 3


# -- other sources -----------------------------------------------------------------------------------------------------


def test_hostile_names_stay_inside(tmp_path: Path) -> None:
    run = group(write_tar(tmp_path / "odd.tar"), tmp_path / "run")
    (tmp_path / "in").mkdir()
    done = ilk.export(run, tmp_path / "in" / "out")
    assert sorted(path.name for path in (tmp_path / "in").iterdir()) == ["out"]
    assert not list(tmp_path.glob("*outside*"))
    rows = {row["path"]: row for row in table(tmp_path / "in" / "out")}
    assert len(rows) == len(NAMES) + 3
    exported = [row["exported"] for row in rows.values() if row["exported"]]
    assert len(exported) == done.n_images == len(NAMES)
    assert len({name.casefold() for name in exported}) == len(NAMES)
    for row in rows.values():
        if row["status"] == "unreadable":
            assert row["reason"]
            continue
        name = row["exported"].partition("/")[2]
        assert name.isprintable()
        assert len(name.encode()) <= 140
        assert not set(name) & set('<>:"/\\|?*')
        assert not name.startswith(".")
        assert not name.endswith((".", " "))
    stems = {name.rpartition("/")[2].partition(".")[0].lower() for name in exported}
    assert not stems & {"con", "lpt1"}
    for i, name in enumerate(NAMES):  # the content is the image's own, to the byte
        shown = name.replace("\n", "\\x0a")
        assert (tmp_path / "in" / "out" / rows[shown]["exported"]).read_bytes() == picture(i)
    assert any("spreadsheet" in note for note in done.notes)


def test_sources_without_files_become_files(tmp_path: Path) -> None:
    folder = write_images(tmp_path / "photos", 12)
    names = sorted(path.name for path in folder.iterdir())
    pixels = np.stack([np.asarray(Image.open(folder / name)) for name in names])
    np.save(tmp_path / "set.npy", pixels)
    np.savez(tmp_path / "set.npz", x_train=pixels[:8, ..., None], x_test=pixels[8:, ..., None])
    np.savez(tmp_path / "colour.npz", x=np.repeat(pixels[..., None], 3, -1))
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
        for name in names:
            archive.write(folder / name, f"deep/{name}")
    column = [{"bytes": (folder / name).read_bytes()} for name in names]
    pq.write_table(pa.table({"image": column}), tmp_path / "set.parquet")
    for source in ("set.npy", "set.npz", "colour.npz", "set.zip", "set.parquet"):
        run = group(tmp_path / source, tmp_path / f"run-{source}")
        done = ilk.export(run, tmp_path / f"out-{source}")
        assert done.n_images == 12, source
        assert any("nothing to link" in note for note in done.notes)
        for i, row in enumerate(table(done.folder)):
            place = done.folder / row["exported"]
            assert place.suffix == ".png"
            assert not place.is_symlink()
            shown = np.asarray(Image.open(place))
            np.testing.assert_array_equal(shown if shown.ndim == 2 else shown[..., 0], pixels[i])
        again = ilk.export(run, done.folder)
        assert (again.added, again.unchanged) == (0, 12), source


def test_digits_and_a_list_of_paths(tmp_path: Path, album: Path) -> None:
    names = sorted(str(path) for path in album.glob("*_00*.png"))
    (tmp_path / "list.txt").write_text("\n".join([*names, names[0]]))
    run = group(tmp_path / "list.txt", tmp_path / "run")
    done = ilk.export(run, tmp_path / "out")
    assert done.n_images == 19
    assert {"0_0000.png", "0_0000#2.png"} <= files(done.folder).keys()  # given twice
    run = group(names, tmp_path / "run2")
    with pytest.raises(DataError, match=r"a list of paths.*give it once more"):
        ilk.export(run, tmp_path / "out2")
    assert not (tmp_path / "out2").exists()
    assert ilk.export(run, tmp_path / "out2", source=names).n_images == 18
    assert ilk.export(run, tmp_path / "out3", layout="csv").n_images == 18


# -- a second export ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["link", "copy"])
def test_a_second_export_moves_what_changed_group(
    album: Path, album_run: Run, regroup: Regroup, tmp_path: Path, mode: str
) -> None:
    out = tmp_path / "out"
    ilk.export(album_run, out, mode=mode)
    before = {name: (path, (out / path / name).lstat().st_ino) for name, path in files(out).items()}
    own = {"note.txt": out / "note.txt", "mine.png": out / "00-group" / "mine.png"}
    for place in own.values():
        place.write_text("mine")
    gone = next(name for name, part in before.items() if part[0] == "02-group")
    (out / "02-group" / gone).unlink()
    labels = dict(zip(album_run.images()["path"], album_run.labels().tolist(), strict=True))
    movers = {path: 0 for path, label in labels.items() if label == 1}  # a group that is no more
    source = tree(album)
    done = ilk.export(regroup(album_run, movers), out, mode=mode)
    assert tree(album) == source
    after = files(out)
    assert (done.added, done.moved, done.removed) == (1, len(movers), 0)
    assert not (out / "01-group").exists()
    assert set(after.values()) == {"00-group", "02-group"}
    for name in before.keys() - {gone}:  # moved or left alone, not made anew
        assert (out / after[name] / name).lstat().st_ino == before[name][1]
    assert all(place.read_text() == "mine" for place in own.values())
    assert ilk.export(regroup(album_run, movers), out, mode=mode).unchanged == 26


def test_two_images_that_change_places(tmp_path: Path, regroup: Regroup) -> None:
    """One leaves a group, one of the same name in another folder comes: names differ, so nothing is overwritten."""
    folder = write_images(tmp_path / "photos", 6)
    write_images(folder / "more", 6, seed=3)
    run = group(folder, tmp_path / "run")
    labels = dict(zip(run.images()["path"], run.labels().tolist(), strict=True))
    ilk.export(run, tmp_path / "out", mode="copy")
    other = regroup(run, {path: (label + 1) % 3 for path, label in labels.items()})
    ilk.export(other, tmp_path / "out", mode="copy")
    for row in table(tmp_path / "out"):
        assert (tmp_path / "out" / row["exported"]).read_bytes() == (folder / row["path"]).read_bytes()
        assert int(row["group"]) == (labels[row["path"]] + 1) % 3


def test_new_and_removed_images(tmp_path: Path) -> None:
    folder = write_images(tmp_path / "photos", 12)
    ilk.export(group(folder, tmp_path / "one"), tmp_path / "out")
    (folder / "0_0000.png").unlink()
    write_images(folder / "more", 3, seed=9)  # 0_0000.png among them
    done = ilk.export(group(folder, tmp_path / "two"), tmp_path / "out")
    assert set(files(tmp_path / "out")) == {path.name for path in folder.rglob("*.png")} | {
        "1_0001.png", "more-1_0001.png", "2_0002.png", "more-2_0002.png"
    } - {"more-0_0000.png"}  # fmt: skip
    assert done.n_images == 14


def test_a_copy_is_not_removed_when_the_source_is_gone(tmp_path: Path) -> None:
    folder = write_images(tmp_path / "photos", 12)
    ilk.export(group(folder, tmp_path / "one"), tmp_path / "out", mode="copy")
    (folder / "0_0000.png").unlink()
    done = ilk.export(group(folder, tmp_path / "two"), tmp_path / "out", mode="copy")
    assert [Path(rel).name for rel in done.left] == ["0_0000.png"]
    assert "0_0000.png" in files(tmp_path / "out")
    assert "0_0000.png" not in {row["path"] for row in table(tmp_path / "out")}


def test_links_become_copies_and_links_again(album: Path, album_run: Run, tmp_path: Path) -> None:
    for mode in ("link", "copy", "link"):
        done = ilk.export(album_run, tmp_path / "out", mode=mode)
        places = [tmp_path / "out" / part / name for name, part in files(tmp_path / "out").items()]
        assert {place.is_symlink() for place in places} == {mode == "link"}
        assert (done.added, done.removed, len(places)) == (26, 0, 26)


def test_what_the_user_changed_is_kept(album_run: Run, regroup: Regroup, tmp_path: Path) -> None:
    out = tmp_path / "out"
    ilk.export(album_run, out, mode="copy")
    place = out / files(out)["0_0003.png"] / "0_0003.png"
    place.write_bytes(b"edited")
    (out / "groups.csv").write_text("edited")
    done = ilk.export(regroup(album_run, {"1_0001.png": 2}), out, mode="copy")
    assert place.read_bytes() == b"edited"
    assert (out / "groups.csv").read_text() == "edited"
    assert sorted(done.changed) == sorted([str(place.relative_to(out)), "groups.csv"])
    assert done.table == out / "groups-1.csv"
    assert len(table(out, "groups-1.csv")) == 28
    done = ilk.export(album_run, out, mode="copy")
    assert done.table == out / "groups-1.csv"  # ours, and as we left it


# -- what is refused ---------------------------------------------------------------------------------------------------


def test_foreign_files_are_in_the_way(album_run: Run, tmp_path: Path) -> None:
    out = tmp_path / "out"
    (out / "00-group").mkdir(parents=True)
    name = next(name for name, part in files(ilk.export(album_run, tmp_path / "x").folder).items() if part[0:2] == "00")
    (out / "00-group" / name).write_text("mine")
    before = tree(out)
    with pytest.raises(DataError, match=rf"{name} is in the way and was not made by ilk"):
        ilk.export(album_run, out)
    assert tree(out) == before
    (out / "00-group" / name).unlink()
    (out / "groups.csv").write_text("mine")
    with pytest.raises(DataError, match=r"groups\.csv is in the way"):
        ilk.export(album_run, out)
    assert (out / "groups.csv").read_text() == "mine"
    (out / "groups.csv").unlink()
    shutil.rmtree(out / "00-group")
    (out / "00-group").write_text("a file")
    with pytest.raises(DataError, match="it is a file, no folder"):
        ilk.export(album_run, out)


def test_planted_links_lead_nowhere(album_run: Run, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "keep").write_text("kept")
    out = tmp_path / "out"
    out.mkdir()
    (out / "01-group").symlink_to(outside)
    with pytest.raises(DataError, match="01-group is in the way: it is a link"):
        ilk.export(album_run, out)
    (out / "01-group").unlink()
    ilk.export(album_run, out)
    shutil.rmtree(out / "01-group")
    (out / "01-group").symlink_to(outside)  # now a former export knows files there
    with pytest.raises(DataError, match="01-group is in the way: it is a link"):
        ilk.export(album_run, out)
    assert [path.name for path in outside.iterdir()] == ["keep"]
    (out / "01-group").unlink()
    (out / "groups.csv").unlink()
    (out / "groups.csv").symlink_to(outside / "keep")
    assert ilk.export(album_run, out).table == out / "groups-1.csv"
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
    (part / ".ilk-123-4.tmp").write_bytes(b"half a file")  # what a kill leaves
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

    monkeypatch.setattr(shutil, "copyfile", full)
    said = ilk("export", album_run.path, tmp_path / "out", "--mode", "copy")
    assert said.code == 1
    assert said.err.startswith("ilk: No space left on device")
    monkeypatch.undo()


# -- the command -------------------------------------------------------------------------------------------------------


def test_the_command_says_what_it_did(album_run: Run, ilk: Ilk) -> None:
    said = ilk("export", album_run.path, "out")
    assert said.code == 0
    assert "exported 26 images in 3 groups" in said.out
    assert "files    26 new" in said.out
    said = ilk("export", album_run.path, "out", "--json")
    assert said.json["unchanged"] == 26
    assert Path(said.json["table"]).name == "groups.csv"
    assert ilk("export", album_run.path, "out", "--as", "zip").code == 2
    assert ilk("export", "nowhere", "out").code == 1
