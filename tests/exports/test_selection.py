"""A selection, and a dry run: what is asked for and nothing else; what would be written, and nothing written."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import pytest
from album import files, table
from trial import Ilk, refused, tree

import ilk
from ilk.errors import ArgumentError
from ilk.runs import Run

LAYOUTS = ["folders", "imagefolder", "csv", "parquet", "fiftyone", "embedding-atlas", "xmp"]


def rows_in(folder: Path) -> set[str]:
    """Paths of the images that the table of an export names."""
    found = next(path for path in folder.iterdir() if path.stem in ("groups", "atlas"))
    if found.suffix == ".csv":
        return {row["path"] for row in table(folder)}
    return set(pq.read_table(found).column("path").to_pylist())


@pytest.mark.parametrize("layout", LAYOUTS)
def test_groups_and_images_are_all_there_is(album_run: Run, tmp_path: Path, layout: str) -> None:
    paths, labels = album_run.images()["path"], album_run.labels().tolist()
    other = next(row for row, label in enumerate(labels) if label == 2)
    wanted = {path for row, path in enumerate(paths) if labels[row] == 1 or row == other}
    done = ilk.export(album_run, tmp_path / "out", layout=layout, groups=["group 1"], images=[other])
    assert rows_in(tmp_path / "out") == wanted
    assert (done.n_images, done.n_unreadable) == (len(wanted), 0)
    if layout in ("folders", "imagefolder", "fiftyone", "xmp"):
        tables = {"groups.csv", "metadata.csv", "labels.json", ".ilk-export.json"}
        held = [path for path in (tmp_path / "out").rglob("*") if not path.is_dir() and path.name not in tables]
        assert len(held) == len(wanted)


def test_an_image_has_the_same_name_in_a_selection(album_run: Run, tmp_path: Path) -> None:
    ilk.export(album_run, tmp_path / "all")
    ilk.export(album_run, tmp_path / "some", images=["more/0_0000.png"])
    (name,) = files(tmp_path / "some")
    assert name == "more-0_0000.png"  # although nothing else here has its name
    assert name in files(tmp_path / "all")


def test_the_folder_holds_the_last_selection(album_run: Run, tmp_path: Path) -> None:
    everything = ilk.export(album_run, tmp_path / "out")
    (tmp_path / "out" / "mine.txt").write_text("kept")
    some = ilk.export(album_run, tmp_path / "out", groups=0)
    assert some.unchanged + some.removed == everything.added
    assert (tmp_path / "out" / "mine.txt").exists()
    assert len(files(tmp_path / "out")) == some.n_images


@pytest.mark.parametrize(
    ("options", "word"), [({"groups": [7]}, "7"), ({"images": ["no.png"]}, "no.png"), ({"groups": [-1]}, "no image")]
)
def test_what_is_not_there_is_named(album_run: Run, tmp_path: Path, options: dict, word: str) -> None:
    with pytest.raises(ArgumentError, match=word):
        ilk.export(album_run, tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("mode", ["link", "copy"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_dry_run_says_what_the_other_does_and_writes_nothing(
    album_run: Run, tmp_path: Path, layout: str, mode: str
) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / ".ilk-0123456789abcdef.tmp").write_text("half")
    for options in ({}, {"groups": [0]}):
        before = tree(tmp_path)
        dry = ilk.export(album_run, tmp_path / "out", layout=layout, mode=mode, dry=True, **options)
        assert tree(tmp_path) == before
        done = ilk.export(album_run, tmp_path / "out", layout=layout, mode=mode, **options)
        for name in ("n_images", "added", "moved", "unchanged", "removed", "converted", "missing", "n_groups", "table"):
            assert getattr(dry, name) == getattr(done, name), name
        assert (dry.dry, done.dry) == (True, False)
        if layout not in ("embedding-atlas", "imagefolder", "fiftyone"):  # pictures made PNG are as large as they get
            assert abs(dry.bytes - done.bytes) <= 16  # of a Parquet file
        assert any("nothing was written" in line for line in dry.lines())


def test_from_the_command_line(ilk: Ilk, album_run: Run, tmp_path: Path) -> None:
    run, out = str(album_run.path), str(tmp_path / "out")
    (tmp_path / "names.txt").write_text("0_0000.png\n\ntwin of 3.png\n")
    said = ilk("export", run, out, "--images", str(tmp_path / "names.txt"), "2", "--dry-run", "--json")
    assert (said.code, said.json["n_images"], said.json["dry"]) == (0, 3, True)
    assert not Path(out).exists()
    said = ilk("export", run, out, "--groups", "0", "group 2", "--json")
    assert said.json["n_groups"] == 2
    assert ilk("export", run, out, "3").code == 2
    assert ilk("export", run, out, "--groups", "0", "--images", "1", "2").code == 2
    refused(ilk("export", run, out, "--groups", "sleevs"), "sleevs")
