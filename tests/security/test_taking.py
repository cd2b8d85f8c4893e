"""Export takes files of the source only."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from trial import SMALL, Ilk, refused, write_images

import ilk as package
from ilk import runs
from ilk.errors import DataError
from ilk.exports import export
from ilk.files import open_source

pytestmark = pytest.mark.skipif(os.name == "nt", reason="links")


@pytest.fixture
def secrets(tmp_path: Path) -> list[Path]:
    """Files of the user's, outside of everything."""
    folder = tmp_path / "private"
    folder.mkdir()
    (folder / "id_rsa").write_text("PRIVATE KEY")
    (folder / "notes.txt").write_text("private notes")
    return sorted(folder.iterdir())


def point(run: Path, spec: Path, *, names: list[str], kind: str = "list", content: bool = False) -> None:
    """Make `run` one of the list `spec`, as a sender would: every row but the first few stays what it is."""
    header = json.loads((run / "run.json").read_text("utf-8"))
    header["source"] |= {"spec": str(spec), "kind": kind, "fingerprint": "x"}
    (run / "run.json").write_text(json.dumps(header), "utf-8")
    table = pq.read_table(run / "images.parquet").to_pydict()
    table["path"] = [names[i] if i < len(names) else f"x{i}" for i in range(len(table["path"]))]
    table["bytes"] = [0] * len(table["path"])
    if not content:
        del table["content"]
    pq.write_table(pa.table(table), run / "images.parquet")


def got(folder: Path) -> set[str]:
    files = (path for path in folder.rglob("*") if path.is_file() and not path.name.startswith((".", "groups")))
    return {path.read_text(errors="replace") for path in files}


@pytest.mark.parametrize("mode", ["link", "copy"])
@pytest.mark.parametrize("content", [False, True], ids=["an old run", "a run with contents"])
@pytest.mark.parametrize("kind", ["list", "folder"])
def test_a_run_that_brings_its_list_along(
    ilk: Ilk, finished_copy: Path, secrets: list[Path], mode: str, content: bool, kind: str
) -> None:
    spec = finished_copy / "source.txt"
    spec.write_text("\n".join(map(str, secrets)))
    point(finished_copy, spec, names=open_source(spec).names, kind=kind, content=content)
    refused(ilk("export", "run", "out", "--mode", mode), "outside", *([] if content else ["--source"]))
    assert not (finished_copy.parent / "out").exists()


@pytest.mark.parametrize("content", [False, True])
def test_links_in_a_shipped_folder(
    ilk: Ilk, home: Path, finished_copy: Path, secrets: list[Path], content: bool
) -> None:
    """Names of images that lead to other files: one by itself, one through a folder that is a link."""
    photos = write_images(home / "sent", 6)
    (photos / "a.png").symlink_to(secrets[0])
    (photos / "inner").symlink_to(secrets[0].parent)
    (secrets[0].parent / "b.png").write_text("private too")
    names = ["0_0000.png", "a.png", "inner/b.png"]
    point(finished_copy, photos, names=names, kind="folder", content=content)
    for mode in ("link", "copy"):
        said = ilk("export", "run", mode, "--mode", mode)
        assert said.code == 1, said
        assert "outside" in said.out
        paths = list((home / mode).rglob("*.png"))
        names = [path.resolve().name if mode == "link" else path.name for path in paths]
        assert names == (["0_0000.png"] if content or mode == "link" else [])  # an old run cannot show what it grouped
    assert not got(home / "copy") & {"PRIVATE KEY", "private too"}


def test_a_list_of_files_elsewhere(ilk: Ilk, home: Path, tmp_path: Path) -> None:
    """An honest list: what it names is taken where it is still the image that was grouped."""
    photos = write_images(tmp_path / "disk" / "photos", 12)
    (home / "list.txt").write_text("\n".join(str(path) for path in sorted(photos.iterdir())))
    assert ilk("cluster", "list.txt", "-o", "run", "-k", "3", *SMALL).code == 0
    hashes = runs.load_run("run").hashes()
    assert len({*hashes}) == 12
    assert ilk("export", "run", "out", "--mode", "copy").code == 0
    assert len(list((home / "out").rglob("*.png"))) == 12
    other = sorted(photos.iterdir())[0]
    data = bytearray(other.read_bytes())
    data[-20] ^= 1  # as long as before, and another content
    other.write_bytes(data)
    said = ilk("export", "run", "again")
    assert said.code == 1
    assert "not the image that was grouped" in said.out
    assert len(list((home / "again").rglob("*.png"))) == 11


def test_the_folder_that_the_user_names(ilk: Ilk, home: Path, tmp_path: Path) -> None:
    photos = write_images(tmp_path / "disk" / "photos", 12)
    (home / "list.txt").write_text("\n".join(str(path) for path in sorted(photos.iterdir())))
    assert ilk("cluster", "list.txt", "-o", "run", "-k", "3", *SMALL).code == 0
    point(home / "run", home / "list.txt", names=[path.name for path in sorted(photos.iterdir())])
    refused(ilk("export", "run", "out"), "older ilk", "--source")
    assert ilk("export", "run", "out", "--source", photos).code == 0
    assert len(list((home / "out").rglob("*.png"))) == 12


def test_files_beside_their_list(ilk: Ilk, home: Path) -> None:
    photos = write_images(home / "photos", 12)
    names = [path.name for path in sorted(photos.iterdir())]
    (photos / "list.txt").write_text("\n".join(names))
    assert ilk("cluster", "photos/list.txt", "-o", "run", "-k", "3", *SMALL).code == 0
    point(home / "run", photos / "list.txt", names=names)
    assert ilk("export", "run", "out").code == 0
    assert len(list((home / "out").rglob("*.png"))) == 12


def test_what_the_caller_lists_is_the_callers_choice(home: Path, tmp_path: Path, finished_copy: Path) -> None:
    photos = write_images(tmp_path / "disk" / "photos", 3)
    names = [path.name for path in sorted(photos.iterdir())]
    point(finished_copy, home / "gone.txt", names=names)
    done = export(finished_copy, home / "out", source=[str(path) for path in sorted(photos.iterdir())])
    assert done.n_images == 3
    with pytest.raises(DataError, match="not at"):
        export(finished_copy, home / "none")


@pytest.mark.parametrize("container", [False, True], ids=["a folder", "an archive"])
@pytest.mark.parametrize("content", [False, True], ids=["an old run", "a run with contents"])
def test_a_run_that_names_a_folder_or_archive_of_the_users(
    ilk: Ilk, home: Path, tmp_path: Path, finished_copy: Path, content: bool, container: bool
) -> None:
    """Whoever sends a run may guess where the user's pictures are, and not what is in them: nothing is copied."""
    private = write_images(tmp_path / "private", 3, seed=9)
    names = [path.name for path in sorted(private.iterdir())]
    spec = private
    if container:
        spec = Path(shutil.make_archive(str(tmp_path / "private"), "tar", private))
        names = open_source(spec).names
    point(finished_copy, spec, names=names, kind="tar" if container else "folder", content=content)
    said = ilk("export", "run", "out", "--mode", "copy")
    assert said.code == 1
    assert "--source" in said.out
    assert list((home / "out").rglob("*.png")) == []
    assert ilk("export", "run", "mine", "--mode", "copy", "--source", spec).code == 1  # the other rows are missing
    assert len(list((home / "mine").rglob("*.png"))) == 3  # the user's own word


def test_a_picture_that_was_changed_since(ilk: Ilk, home: Path) -> None:
    photos = write_images(home / "photos", 12)
    assert ilk("cluster", "photos", "-o", "run", "-k", "3", *SMALL).code == 0
    other = sorted(photos.iterdir())[0]
    other.write_bytes(other.read_bytes() + b"more")
    said = ilk("export", "run", "out", "--mode", "copy")
    assert said.code == 1
    assert other.name in said.out
    assert len(list((home / "out").rglob("*.png"))) == 11
    assert ilk("export", "run", "out", "--mode", "copy", "--source", photos).code == 0
    assert len(list((home / "out").rglob("*.png"))) == 12
    assert ilk("export", "run", "links").code == 0  # a link gives nothing away
    assert len(list((home / "links").rglob("*.png"))) == 12


def test_contents_are_those_of_the_files(photos: Path, finished: Path) -> None:
    from ilk.files import content_hash

    run = runs.load_run(finished)
    for name, told in zip(run.images()["path"], run.hashes(), strict=True):
        assert content_hash((photos / name).read_bytes()).hex() == told
    assert "content" not in run.images()


def test_arrays_have_contents_too(tmp_path: Path) -> None:
    run = package.cluster("digits", tmp_path / "run", options={"n_clusters": 3, "preset": "tiny", "encoder": "pixels"})
    assert len({*run.hashes()}) > 1700
