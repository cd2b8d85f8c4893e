"""Sidecars: what photo managers read, beside or apart from the images, and never over what somebody else wrote."""

from __future__ import annotations

import shutil
import xml.etree.ElementTree as ET
import zipfile
from pathlib import Path

import pytest
from album import Regroup, group, table
from trial import Ilk, tree, write_images

import ilk
from ilk.errors import ArgumentError, DataError
from ilk.exports.xmp import is_ours, sidecar
from ilk.runs import Run

LI = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}li"
SUBJECT, HIERARCHY = (
    "{http://purl.org/dc/elements/1.1/}subject",
    "{http://ns.adobe.com/lightroom/1.0/}hierarchicalSubject",
)


def keywords(data: bytes | Path) -> tuple[list[str | None], list[str | None]]:
    """What an XML parser finds as keywords, flat and in a hierarchy."""
    root = ET.fromstring(data if isinstance(data, bytes) else data.read_bytes())
    flat, deep = (
        [li.text for li in node.iter(LI)] for node in (root.find(f".//{SUBJECT}"), root.find(f".//{HIERARCHY}"))
    )
    return flat, deep


def sidecars(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*.xmp")}


@pytest.fixture
def own(album: Path, tmp_path: Path) -> Path:
    """An album that a test may write into."""
    return shutil.copytree(album, tmp_path / "own")


@pytest.mark.parametrize(
    "name",
    [
        "sleeves",
        "a & b <c> \"d\" 'e' ]]>",
        "été 👗 衣",
        "a|b|c",
        "line\nbreak \x00 \x1b[31m",
        "half \ud800",
        "\uffff",
        "&amp;",
    ],
)
def test_any_name_is_well_formed_and_read_back(name: str) -> None:
    flat, deep = keywords(sidecar(name))
    assert len(flat) == len(deep) == 1
    assert deep[0] == f"ilk|{str(flat[0]).replace('|', '/')}"
    if name.isprintable() and "\uffff" not in name and "\ud800" not in name:
        assert flat[0] == name
    assert is_ours(sidecar(name))
    assert sidecar(name) == sidecar(name)


def test_one_for_every_grouped_image_in_a_tree_like_the_sources(
    album: Path, album_run: Run, regroup: Regroup, tmp_path: Path
) -> None:
    run = regroup(album_run, {"0_0006.png": -1})
    run.corrections.rename(1, "hats & caps")
    before = tree(album)
    done = ilk.export(run, tmp_path / "out", mode="xmp")
    labels = dict(zip(run.images()["path"], run.labels().tolist(), strict=True))
    names = {0: "group 0", 1: "hats & caps", 2: "group 2"}
    found = sidecars(tmp_path / "out")
    assert found.keys() == {f"{path}.xmp" for path, label in labels.items() if label >= 0}
    assert {"more/0_0000.png.xmp", "twin of 3.png.xmp"} <= found.keys()
    for path, data in found.items():
        assert keywords(data)[0] == [names[labels[path.removesuffix(".xmp")]]]
    assert tree(album) == before
    assert done.n_images == done.added == len(found)
    assert {row["path"]: row["exported"] for row in table(tmp_path / "out") if row["exported"]} == {
        path.removesuffix(".xmp"): path for path in found
    }


def test_again_writes_what_changed_and_removes_what_has_no_group(
    album_run: Run, regroup: Regroup, tmp_path: Path
) -> None:
    run, out = regroup(album_run, {}), tmp_path / "out"
    first = ilk.export(run, out, mode="xmp")
    stamps = {path: path.stat().st_mtime_ns for path in out.rglob("*.xmp")}
    assert ilk.export(run, out, mode="xmp").unchanged == first.added
    assert {path: path.stat().st_mtime_ns for path in stamps} == stamps
    to = 1 - int(run.labels()[0] == 1)
    run.corrections.move([0], to)
    run.corrections.ignore([2])
    again = ilk.export(run, out, mode="xmp")
    assert (again.added, again.moved, again.removed, again.unchanged) == (0, 1, 1, first.added - 2)
    paths = run.images()["path"]
    assert keywords(out / f"{paths[0]}.xmp")[0] == [f"group {to}"]
    assert not (out / f"{paths[2]}.xmp").exists()


@pytest.mark.parametrize("called", ["full", "stem"])
def test_beside_the_images_and_never_over_those_of_others(own: Path, tmp_path: Path, called: str) -> None:
    run = group(own, tmp_path / "run")
    name = {"full": "0_0000.png.xmp", "stem": "0_0000.xmp"}[called]
    (own / name).write_text("<x:xmpmeta>darktable's own</x:xmpmeta>")
    (tmp_path / "target").write_text("kept")
    (own / {"full": "1_0001.png.xmp", "stem": "1_0001.xmp"}[called]).symlink_to(tmp_path / "target")
    before = tree(own)
    done = ilk.export(run, tmp_path / "out", mode="xmp", beside=True, sidecars=called)
    assert sorted(Path(path).name for path in done.foreign) == sorted([name, name.replace("0_0000", "1_0001")])
    assert {path: state for path, state in tree(own).items() if path in before} == before  # theirs, and every image
    assert (tmp_path / "target").read_text() == "kept"
    assert done.added == len(sidecars(own)) - 2 == done.n_images
    edited = own / name.replace("0_0000", "2_0002")
    edited.write_bytes(edited.read_bytes().replace(b"group", b"Group"))
    assert len(ilk.export(run, tmp_path / "out", mode="xmp", beside=True, sidecars=called).foreign) == 3
    assert b"Group" in edited.read_bytes()


def test_a_stem_of_two_images_serves_both_where_they_agree(tmp_path: Path) -> None:
    folder = write_images(tmp_path / "images", 12)
    shutil.copy(folder / "0_0000.png", folder / "0_0000.webp")  # its duplicate: the same group
    shutil.copy(folder / "1_0001.png", folder / "0_0003.webp")  # of another one
    run = group(folder, tmp_path / "run")
    done = ilk.export(run, tmp_path / "out", mode="xmp", sidecars="stem")
    assert list(done.missing) == ["0_0003.webp"]
    assert done.n_images == 13
    assert len(sidecars(tmp_path / "out")) == 12


def test_an_archive_needs_no_files_and_a_hostile_name_leads_nowhere(tmp_path: Path) -> None:
    folder = write_images(tmp_path / "images", 9)
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
        for i, path in enumerate(sorted(folder.iterdir())):
            archive.write(path, f"sub/{'con' if i == 0 else 'x:y' if i == 1 else path.stem}.png")
    run = group(tmp_path / "all.zip", tmp_path / "run")
    (tmp_path / "all.zip").unlink()
    done = ilk.export(run, tmp_path / "out", mode="xmp")
    assert done.n_images == 9
    assert {"sub/_con.png.xmp", "sub/x_y.png.xmp"} <= sidecars(tmp_path / "out").keys()
    with pytest.raises(DataError):
        ilk.export(run, tmp_path / "out", mode="xmp", beside=True)


def test_a_link_in_the_folder_leads_nowhere(album_run: Run, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "out" / "more").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(DataError, match="is in the way"):
        ilk.export(album_run, tmp_path / "out", mode="xmp", into=True)
    assert not any((tmp_path / "elsewhere").iterdir())


@pytest.mark.parametrize(
    "options",
    [{"beside": True}, {"sidecars": "stem"}, {"mode": "xmp", "layout": "fiftyone"}, {"mode": "xmp", "sidecars": "ful"}],
)
def test_options_that_do_not_go_together(album_run: Run, tmp_path: Path, options: dict) -> None:
    with pytest.raises(ArgumentError):
        ilk.export(album_run, tmp_path / "out", **options)


def test_from_the_command_line(ilk: Ilk, album_run: Run, tmp_path: Path) -> None:
    said = ilk("export", str(album_run.path), str(tmp_path / "out"), "--mode", "xmp", "--json")
    assert (said.code, said.json["layout"], said.json["n_foreign"]) == (0, "xmp", 0)
    assert said.json["n_images"] == len(sidecars(tmp_path / "out"))
