"""Several sources as one, folders of shards, and images in memory."""

from __future__ import annotations

import io
import os
import zipfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from made import make_tar, picture, put
from PIL import Image

from ilk.data import open_images
from ilk.errors import DataError
from ilk.files import Listing, decode, open_again, open_source, truth
from ilk.files.several import joined, prefixes


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for i, name in enumerate(["A/cat/1.png", "A/dog/1.png", "B/cat/1.png", "loose/2.png", "loose/3.png", "p/A/9.png"]):
        put(tmp_path / name, picture(colour=i))
    put(tmp_path / "loose" / "notes.txt", b"no list of paths")
    make_tar(tmp_path / "c.tar", [("bird/1.png", picture(colour=6)), ("d.svg", b"x")])
    put(tmp_path / "list.csv", b"path,label\nloose/2.png,x\np/A/9.png,y\n")
    np.save(tmp_path / "x.npy", np.full((2, 4, 4), 7, np.uint8))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_names_stand_below_their_sources(home: Path) -> None:
    found = open_source(["A", "B", "loose/*", "list.csv", "c.tar", "x.npy", "p/A"])
    assert found.kind == "several"
    assert found.names == [
        f"{home.name}/A/cat/1.png", f"{home.name}/A/dog/1.png",
        "B/cat/1.png", "list.csv/loose/2.png", "list.csv/p/A/9.png", "c.tar/bird/1.png",
        "x.npy/000000", "x.npy/000001", "loose/3.png",
    ]  # fmt: skip
    # loose/2.png and p/A/9.png are in the list already, so they count once
    assert "2 files are in more than one of the sources, and counted once" in found.notes
    colours = [decode(found.read(i), None).pixels[0, 0, 0] for i in range(len(found))]
    assert colours == [0, 1, 2, 3, 5, 6, 7, 7, 4]
    assert {kind: one.count for kind, one in found.passed_over.items()} == {"pictures": 1, "other": 1}
    assert found.path(0) == str(Path("A/cat/1.png"))
    assert found.path(5) is None
    labels = truth("folder", found)
    assert list(labels.values())[:3] == ["cat", "dog", "cat"]
    assert labels["c.tar/bird/1.png"] == "bird"


def test_names_do_not_depend_on_where_one_works(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = [str(home / "B"), str(home / "loose" / "*.png")]
    wanted = open_source(["B", "loose/*.png"])
    told = {"spec": spec, "kind": "several", "folder": str(home)}
    monkeypatch.chdir(home / "p")
    again = open_again(told)
    assert again.names == wanted.names == ["B/cat/1.png", "loose/2.png", "loose/3.png"]
    assert again.fingerprint() == wanted.fingerprint()
    put(home / "B" / "cat" / "1.png", picture(colour=99) + b"!")
    assert open_again(told).fingerprint() != wanted.fingerprint()


def test_prefixes_are_the_shortest_that_differ() -> None:
    assert prefixes(["/a/2023/photos", "/a/2024/photos", "/b/x.zip"]) == ["2023/photos/", "2024/photos/", "x.zip/"]
    assert prefixes(["/photos", "/a/photos", "/"]) == ["photos/", "a/photos/", "root/"]


def test_patterns(home: Path) -> None:
    assert open_source("loose/*.png").names == ["loose/2.png", "loose/3.png"]
    assert open_source("?/cat").names == ["A/cat/1.png", "B/cat/1.png"]
    assert open_source(["A"]).names == open_source("A").names == ["cat/1.png", "dog/1.png"]
    put(home / "odd[1].png")
    assert open_source("odd[1].png").names == ["odd[1].png"]  # a file of that very name wins
    with pytest.raises(DataError, match=r"nothing matches .*\*\.jpg"):
        open_source("loose/*.jpg")
    with pytest.raises(DataError, match=r"there is no Aa\. Did you mean 'A'"):
        open_source(["B", "Aa"])
    with pytest.raises(DataError, match=r"no image in loose/\*\.txt: only other files"):
        open_source("loose/*.txt")


def test_several_lists_of_files_alone_keep_their_order(home: Path) -> None:
    found = open_source(["loose/3.png", "A/cat/1.png", "loose/3.png", "gone.png"])
    assert (found.kind, found.names) == ("list", ["loose/3.png", "A/cat/1.png", "loose/3.png#2", "gone.png"])
    assert found.refused == {3: "no such file"}


# -- shards ------------------------------------------------------------------------------------------------------------
def shards(folder: Path) -> Path:
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    for part, shard in (("train", 0), ("train", 1), ("test", 0)):
        first = 10 * shard + (5 if part == "test" else 0)
        rows = [{"bytes": picture(colour=first + i), "path": f"{i}.png"} for i in range(3)]
        table = pa.table({"image": pa.array(rows, kind), "label": [first + i for i in range(3)]})
        path = folder / "data" / f"{part}-{shard:05d}-of-00002.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(table, path)
    put(folder / "README.md", b"a data set")
    return folder


def test_a_folder_of_parquet_shards(tmp_path: Path) -> None:
    found = open_source(shards(tmp_path))
    assert (found.kind, len(found)) == ("shards", 9)
    assert found.notes == ["merged train (2 files) and test (1); --split train or test takes one"]
    train = open_source(tmp_path, "train")
    assert train.names[2:4] == ["data/train-00000-of-00002/2.png", "data/train-00001-of-00002/0.png"]
    assert [train.read(i) for i in range(6)] == [picture(colour=c) for c in (0, 1, 2, 10, 11, 12)]
    assert list(truth("label", tmp_path, "test").values()) == [5, 6, 7]
    with pytest.raises(DataError, match="has the columns image, label"):
        truth("lable", tmp_path)
    pq.write_table(pa.table({"a": [1]}), tmp_path / "index.parquet")  # no images: said, and the others count
    put(tmp_path / "broken.parquet", b"PAR1")
    found = open_source(tmp_path)
    assert len(found) == 9
    assert sum(note.startswith("passed over: ") for note in found.notes) == 2


def test_a_folder_of_tar_shards(tmp_path: Path) -> None:
    for shard in range(2):
        members = [(f"{i:06d}.jpg", picture(colour=i)) for i in range(3 * shard, 3 * shard + 3)]
        members += [(name.replace("jpg", "cls"), b"3") for name, _ in members]
        make_tar(tmp_path / f"wds-{shard:06d}.tar", members)
    with zipfile.ZipFile(tmp_path / "more.zip", "w") as archive:
        archive.writestr("6.png", picture(colour=6))
    found = open_source(tmp_path)
    assert found.names == ["more/6.png", *(f"wds-{i // 3:06d}/{i:06d}.jpg" for i in range(6))]
    assert [found.read(i) for i in range(7)] == [picture(colour=c) for c in (6, 0, 1, 2, 3, 4, 5)]
    os.mkfifo(tmp_path / "pipe.tar")  # never opened
    (tmp_path / "gone.tar").symlink_to(tmp_path / "nowhere")
    assert len(open_source(tmp_path)) == 7
    (tmp_path / "pipe.tar").unlink()
    (tmp_path / "gone.tar").unlink()
    put(tmp_path / "a.png")  # beside images archives are passed over, and said
    found = open_source(tmp_path)
    assert found.names == ["a.png"]
    assert found.passed_over["archives"].count == 3


def test_everything_beside_shards_is_counted(tmp_path: Path) -> None:
    for name in ("a.zip", "b.zip"):
        with zipfile.ZipFile(tmp_path / name, "w") as archive:
            archive.writestr("0.png" if name == "a.zip" else "only.mov", picture() if name == "a.zip" else b"x")
            archive.writestr("note.txt", b"x")
    for i in range(5):
        put(tmp_path / f"bad{i}.zip", b"PK\3\4 nothing")
    for name in ("x.tar.gz", "y.rar", "clip.mov", "z.jxl", "w.npz", ".hidden/0.png", "README"):
        put(tmp_path / name, b"x")
    found = open_source(tmp_path)
    assert found.names == ["a/0.png"]
    counts = {kind: one.count for kind, one in found.passed_over.items()}
    assert counts == {"archives": 7, "videos": 2, "pictures": 1, "arrays": 1, "hidden": 1, "other": 3}
    assert found.passed_over["videos"].examples == ["b/only.mov", "clip.mov"]
    assert [note for note in found.notes if note.startswith("passed over: ")][3:] == [
        "passed over: 2 more that cannot be read"
    ]


@pytest.mark.parametrize("split", ["all", "train", "test"])
def test_the_other_part_of_shards_is_not_passed_over(tmp_path: Path, split: str) -> None:
    assert set(open_source(shards(tmp_path), split).passed_over) == {"other"}  # README.md


# -- by content --------------------------------------------------------------------------------------------------------
def test_a_replaced_file_of_the_same_name_size_and_time(tmp_path: Path) -> None:
    path = put(tmp_path / "a.bmp", picture("BMP", 1))
    os.utime(path, ns=(10**18, 10**18))
    stamps, contents = open_source(tmp_path), open_source(tmp_path, by_content=True)
    before = stamps.fingerprint(), contents.fingerprint(), stamps.marks()
    put(path, picture("BMP", 2))
    os.utime(path, ns=(10**18, 10**18))
    stamps, contents = open_source(tmp_path), open_source(tmp_path, by_content=True)
    assert (stamps.fingerprint(), stamps.marks()) == (before[0], before[2])  # the rule: name, size and time
    assert contents.fingerprint() != before[1]  # and where the user says so: content
    assert contents.marks() is None
    os.utime(path, ns=(10**18, 2 * 10**18))
    assert open_source(tmp_path, by_content=True).fingerprint() == contents.fingerprint()


# -- in memory ---------------------------------------------------------------------------------------------------------
def test_lists_of_pillow_images() -> None:
    exif = Image.Exif()
    exif[274] = 6  # turn it to the right
    wide = Image.new("RGB", (8, 4))
    wide.paste((200, 0, 0), (0, 0, 4, 4))
    turned = io.BytesIO()
    wide.save(turned, "PNG", exif=exif)
    images = [Image.new("L", (4, 4), 9), wide, Image.open(turned), Image.new("CMYK", (4, 4)), Image.new("1", (2, 2), 1)]
    found = open_source(images)
    assert isinstance(found, Listing)
    assert (found.kind, found.names[1]) == ("images", "000001")
    assert open_source(list(images)).fingerprint() == found.fingerprint()
    assert open_source(images[::-1]).fingerprint() != found.fingerprint()
    shown = [decode(found.read(i), None) for i in range(5)]
    assert [(one.width, one.height) for one in shown] == [(4, 4), (8, 4), (4, 8), (4, 4), (2, 2)]
    assert (shown[0].pixels == 9).all()
    assert shown[2].pixels[0, 0].tolist() == [200, 0, 0]
    assert (shown[3].pixels == 255).all()
    assert open_images(images).shape == (3, 28, 28)
    with pytest.raises(DataError, match="no train and test parts"):
        open_source(images, "train")


# -- links -------------------------------------------------------------------------------------------------------------
@pytest.mark.skipif(not hasattr(os, "symlink"), reason="links")
def test_patterns_follow_links_as_folders_do(tmp_path: Path) -> None:
    """Loops are gone through once, nothing above is taken in, and what lies outside is said."""
    home = tmp_path / "priv" / "photos"
    for name in ("a.png", "sub/b.png", ".hidden/c.png", "@eaDir/d.png"):
        put(home / name)
    put(tmp_path / "priv" / "secret.png")
    put(tmp_path / "far" / "e.png")
    for link, target in (("loop", "."), ("two", "."), ("sub/up", ".."), ("back", ".."), ("far", tmp_path / "far")):
        (home / link).symlink_to(target)
    (home / "same").symlink_to("sub")
    folder = open_source(home)
    assert folder.names == ["a.png", "far/e.png", "sub/b.png"]
    for pattern in ("**/*.png", "**/**/*.png", "**"):
        found = open_source(str(home / pattern))
        assert sorted(name.rpartition("/")[2] for name in found.names) == ["a.png", "b.png", "e.png"]
        assert "1 image lies outside of" in " ".join(found.notes)
        assert found.passed_over["outside"].count >= 1
        assert found.passed_over["hidden"].count == 1
    assert open_source(str(home / "*/*.png")).names == ["far/e.png", "sub/b.png"]
    assert open_source(str(home / "*b/?.png")).names == ["b.png"]
    assert len(open_source(str(home / ".hidden" / "*.png"))) == 1  # named by a dot


def test_a_source_and_a_link_to_it_are_one(tmp_path: Path) -> None:
    for i in range(3):
        put(tmp_path / "src" / f"{i}.png")
    make_tar(tmp_path / "x.tar", [("a.png", picture())])
    (tmp_path / "again").symlink_to("src")
    (tmp_path / "again.tar").symlink_to("x.tar")
    found = open_source([tmp_path / name for name in ("src", "x.tar", "again", "again.tar")])
    assert found.names == ["src/0.png", "src/1.png", "src/2.png", "x.tar/a.png"]
    assert found.notes == ["4 files are in more than one of the sources, and counted once"]


def test_what_is_in_a_source_of_several_counts_once(tmp_path: Path) -> None:
    shards = tmp_path / "shards"
    shards.mkdir()
    make_tar(shards / "a.tar", [(f"{i}.png", picture(colour=i)) for i in range(3)])
    pq.write_table(pa.table({"image": [picture(colour=i) for i in range(4, 6)]}), shards / "b.parquet")
    put(tmp_path / "f" / "1.png", picture(colour=7))
    np.savez(tmp_path / "x.npz", x=np.zeros((4, 8, 8), np.uint8))
    (tmp_path / "y.npz").symlink_to("x.npz")
    for given, n, twice in (
        (["shards", "shards/a.tar"], 5, 3),
        (["shards/b.parquet", "shards"], 5, 2),
        (["x.npz", "y.npz"], 4, 4),
        (["shards", "f", "x.npz"], 10, 0),
    ):
        found = open_source(given, folder=tmp_path)
        assert (given, len(found), len(set(found.names))) == (given, n, n)
        said = f"{twice} files are in more than one of the sources, and counted once"
        assert (said in found.notes) == (twice > 0)
    inner = open_source(["shards", "f"], folder=tmp_path)
    assert isinstance(inner, Listing)
    assert len(joined("several", tmp_path, [("a/", inner), ("b/", open_source(shards / "a.tar"))])) == 6


def test_a_hidden_link_is_counted_as_a_hidden_folder(tmp_path: Path) -> None:
    put(tmp_path / "src" / "a.png")
    put(tmp_path / "far" / "b.png")
    put(tmp_path / "far" / "c.png")
    for link, target in ((".far", tmp_path / "far"), (".up", ".."), (".self", ".")):
        (tmp_path / "src" / link).symlink_to(target)
    found = open_source(tmp_path / "src")
    assert found.names == ["a.png"]
    assert {kind: one.count for kind, one in found.passed_over.items()} == {"hidden": 2, "outside": 1, "system": 1}


# -- names that look the same ------------------------------------------------------------------------------------------
def test_two_names_that_are_printed_alike(tmp_path: Path) -> None:
    for i, name in enumerate(("a\x01.png", "a\\x01.png", "b.png", "c\u2028.png", "c\\u2028.png")):
        put(tmp_path / "x" / name, picture(colour=i))
    found = open_source(tmp_path / "x")
    assert found.names == ["a\\x01.png", "a\\x01.png#2", "b.png", "c\\u2028.png", "c\\u2028.png#2"]
    assert [found.read(i) for i in range(5)] == [picture(colour=i) for i in (0, 1, 2, 4, 3)]
    assert all(Path(found.path(i) or "gone").exists() for i in range(5))
