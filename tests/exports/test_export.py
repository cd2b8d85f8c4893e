"""Folders and tables of an export: complete, never outside, never over what is not ours, and the source untouched."""

from __future__ import annotations

import json
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from album import Regroup, files, group, table
from hostile import NAMES, picture, write_tar
from PIL import Image
from trial import Ilk, tree, write_images

import ilk
from ilk.errors import DataError
from ilk.runs import Run

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
        assert (int(row["group"]), row["group_name"]) == (label, names[label])
        place = tmp_path / "out" / row["exported"]
        assert place.parent.name == f"{label:02}-group"
        assert place.is_symlink() == (mode == "link")
        assert place.read_bytes() == (album / row["path"]).read_bytes()
        if mode == "link":
            assert place.readlink() == album / row["path"]  # absolute
        else:
            assert place.stat().st_mtime_ns == (album / row["path"]).stat().st_mtime_ns
    twin = next(row for row in rows if row["path"] == "twin of 3.png")
    assert (twin["status"], twin["duplicate_of"]) == ("duplicate", "0_0003.png")
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
    assert [columns["group"][i] for i in found["index"]] == found["group"]
    assert [int(rows[i]["second"]) for i in found["index"]] == found["second"]
    lost = [i for i, status in enumerate(columns["status"]) if status == "unreadable"]
    assert len(lost) == 2
    assert {columns[name][i] for i in lost for name in ("group", "group_name", "confidence", "exported")} == {None}
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
    assert (row["group"], row["group_name"]) == ("-1", "not assigned")


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
    assert len(exported) == done.n_images == len(NAMES) + 1  # /absolute.png is a name like any other
    assert len({name.casefold() for name in exported}) == len(exported)
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
    assert ilk.export(run, tmp_path / "out2").n_images == 18  # each is what it was, by content
    told = json.loads((run.path / "run.json").read_text("utf-8"))
    told["source"]["spec"] = None  # as a run says it of a longer list
    (run.path / "run.json").write_text(json.dumps(told), "utf-8")
    with pytest.raises(DataError, match=r"a list of paths.*give it once more"):
        ilk.export(run.path, tmp_path / "out4")
    assert not (tmp_path / "out4").exists()
    assert ilk.export(run.path, tmp_path / "out4", source=names).n_images == 18
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


# -- the command -------------------------------------------------------------------------------------------------------


def test_the_command_says_what_it_did(album_run: Run, ilk: Ilk) -> None:
    said = ilk("export", album_run.path, "out")
    assert said.code == 0
    assert "exported 26 images in 3 groups" in said.out
    assert "files    26 new; links to your images" in said.out
    assert "--mode copy" in said.out
    said = ilk("export", album_run.path, "copies", "--mode", "copy")
    assert "files    26 new\n" in said.out
    said = ilk("export", album_run.path, "out", "--json")
    assert said.json["unchanged"] == 26
    assert Path(said.json["table"]).name == "groups.csv"
    assert ilk("export", album_run.path, "out", "--as", "zip").code == 2
    assert ilk("export", "nowhere", "out").code == 1


def test_a_folder_full_of_other_things_is_not_exported_into_unasked(album_run: Run, ilk: Ilk) -> None:
    mine = Path("mine")
    mine.mkdir()
    (mine / ".DS_Store").write_bytes(b"x")  # what a system keeps is nothing
    (mine / "Thumbs.db").write_bytes(b"x")
    assert ilk("export", album_run.path, mine).code == 0
    shutil.rmtree(mine)
    mine.mkdir()
    (mine / "letter.txt").write_text("mine")
    said = ilk("export", album_run.path, mine)
    assert said.code == 1
    assert "mine holds other things (letter.txt) and no export" in said.err
    assert "say --into" in said.err
    assert said.err.endswith(f"Type: ilk export {album_run.path} mine/groups\n")
    assert [path.name for path in mine.iterdir()] == ["letter.txt"]
    assert ilk("export", album_run.path, mine, "--dry-run").code == 1
    assert ilk("export", album_run.path, mine, "--as", "csv").code == 0  # one file beside the others
    shutil.rmtree(mine)
    mine.mkdir()
    (mine / "letter.txt").write_text("mine")
    assert ilk("export", album_run.path, mine, "--into").code == 0
    assert ilk("export", album_run.path, mine).code == 0  # an export stands there now
    assert (mine / "letter.txt").read_text() == "mine"
