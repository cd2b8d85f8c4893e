"""Listings of folders, archives, lists and Parquet files, friendly and hostile."""

from __future__ import annotations

import json
import os
import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from made import make_tar, picture, put
from PIL import Image

from ilk.errors import ArgumentError, DataError
from ilk.files import Listing, listing, open_source


# -- folder -----------------------------------------------------------------------------------------------------------
def test_folder_lists_images_in_byte_order(tmp_path: Path) -> None:
    for name in ["b.png", "a/z.JPG", "a/é.png", "B.png", "a.png", "notes.txt", "paper.pdf"]:
        put(tmp_path / name)
    put(tmp_path / "movie.mp4", b"\0\0\0\x18ftypmp42")
    found = open_source(tmp_path)
    assert isinstance(found, Listing)
    assert (found.kind, found.root) == ("folder", tmp_path)
    assert found.names == sorted(found.names, key=str.encode) == ["B.png", "a.png", "a/z.JPG", "a/é.png", "b.png"]
    assert found.ignored == {"txt": 1, "mp4": 1, "pdf": 1}
    assert (found.sizes == len(picture())).all()
    assert found.stamps[0] == (tmp_path / "B.png").stat().st_mtime_ns
    assert found.sizes.dtype == found.stamps.dtype == np.int64
    assert found.read(2) == picture()
    assert open_source(str(tmp_path)).names == found.names


def test_what_counts_as_an_image(tmp_path: Path) -> None:
    put(tmp_path / "text.jpg", b"this is no picture")
    put(tmp_path / "without_ending", picture("JPEG"))
    put(tmp_path / "odd.ending", picture("GIF"))
    put(tmp_path / "README", b"hello")
    put(tmp_path / "data.xyz", b"hello")
    put(tmp_path / "empty", b"")
    found = open_source(tmp_path)
    assert found.names == ["odd.ending", "text.jpg", "without_ending"]
    assert found.ignored == {"(none)": 2, "xyz": 1}


def test_every_format_of_pillow_is_listed_or_left_out_on_purpose() -> None:
    Image.init()
    ours = {ending.lstrip(".") for ending in Image.EXTENSION}
    no_pixels = {"pdf", "ps", "eps", "mpg", "mpeg", "h5", "hdf", "grib", "bufr", "wmf", "emf", "iim", "palm"}
    ambiguous = {
        "fit",
        "pcd",
        "im",
        "rgb",
        "rgba",
        "bw",
        "ras",
        "cur",
        "msp",
        "icb",
        "vda",
        "vst",
        "gbr",
        "ftc",
        "ftu",
        "pxr",
    }
    assert ours - listing.IMAGE_EXTENSIONS <= no_pixels | ambiguous


def test_hidden_and_own_folders_are_passed_over(tmp_path: Path) -> None:
    put(tmp_path / "a.png")
    for name in [".hidden.png", "._a.png", ".cache/b.png", "__MACOSX/c.png", "ilk-runs/x/d.png"]:
        put(tmp_path / name)
    for run in ["run", "other.partial"]:
        put(tmp_path / run / "run.json", b'{"ilk_run": 1}')
        put(tmp_path / run / "thumbs" / "00000.webp")
    put(tmp_path / "mine" / "run.json", b'{"speed": 3}')  # somebody else's
    put(tmp_path / "mine" / "e.png")
    put(tmp_path / "torn" / "run.json", b'{"ilk_run')
    put(tmp_path / "torn" / "f.png")
    assert open_source(tmp_path).names == ["a.png", "mine/e.png", "torn/f.png"]


def test_links_are_followed_once(tmp_path: Path) -> None:
    put(tmp_path / "src" / "real" / "a.png")
    put(tmp_path / "elsewhere" / "deep" / "b.png")
    source = tmp_path / "src"
    (source / "real" / "loop").symlink_to(source)
    (source / "again").symlink_to(source / "real")
    (source / "out").symlink_to(tmp_path / "elsewhere")
    (source / "nothing.png").symlink_to(tmp_path / "gone")
    (source / "self.png").symlink_to(source / "self.png")
    (source / "link.png").symlink_to(source / "real" / "a.png")
    found = open_source(source)
    assert found.names == ["link.png", "nothing.png", "out/deep/b.png", "real/a.png", "self.png"]
    assert found.refused == {1: "a link to nothing", 4: "a link to nothing"}
    assert found.read(0) == picture()
    with pytest.raises(OSError, match="a link to nothing"):
        found.read(1)


def test_pipes_and_sockets_are_never_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path / "a.png")
    os.mkfifo(tmp_path / "pipe.png")
    os.mkfifo(tmp_path / "pipe")
    with socket.socket(socket.AF_UNIX) as server:
        monkeypatch.chdir(tmp_path)  # a socket's full name may be too long
        server.bind("s.png")
    found = open_source(tmp_path)
    assert found.names == ["a.png", "pipe.png", "s.png"]
    assert found.refused == {1: "not a regular file", 2: "not a regular file"}


def test_no_permission_is_a_note_or_an_oserror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path / "a.png")
    put(tmp_path / "locked" / "b.png")
    real = os.scandir

    def scandir(path: str) -> object:  # the tests may run as root, whom nothing is forbidden
        if str(path).endswith("locked"):
            raise PermissionError(13, "Permission denied")
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    found = open_source(tmp_path)
    assert found.names == ["a.png"]
    assert found.notes == ["passed over the folder 'locked': Permission denied"]
    (tmp_path / "a.png").unlink()
    with pytest.raises(OSError, match="No such file"):
        found.read(0)


def test_names_that_are_not_utf8_survive(tmp_path: Path) -> None:
    folder = os.fsencode(tmp_path)
    for name in [b"caf\xe9.png", b"line\nbreak.png", b"caf\\xe9.png", "漢字 ü.png".encode(), b"x" * 251 + b".png"]:
        with open(folder + b"/" + name, "wb") as file:
            file.write(picture(colour=len(name) % 256))
    found = open_source(tmp_path)
    assert len(set(found.names)) == 5
    json.dumps(found.names).encode()
    pa.array(found.names)
    assert "caf\\xe9.png" in found.names
    assert "caf\\xe9.png#2" in found.names
    assert "line\\x0abreak.png" in found.names
    assert {found.read(i) for i in range(5)} == {
        picture(colour=n) for n in (8, 14, 11, len("漢字 ü.png".encode()), 255)
    }
    found.fingerprint()


def test_huge_files_are_refused(tmp_path: Path) -> None:
    with open(put(tmp_path / "huge.tif"), "r+b") as file:
        file.truncate(600 * 2**20)  # sparse
    assert open_source(tmp_path).refused == {0: "larger than 512 MiB"}


def test_fingerprint(tmp_path: Path) -> None:
    path = put(tmp_path / "a.png")
    os.utime(path, ns=(10**18, 10**18))
    first = open_source(tmp_path).fingerprint()
    assert open_source(tmp_path).fingerprint() == first
    os.utime(path, ns=(10**18, 10**18 + 1))
    assert open_source(tmp_path).fingerprint() != first
    os.utime(path, ns=(10**18, 10**18))
    assert open_source(tmp_path).fingerprint() == first
    path.write_bytes(picture() + b"!")
    os.utime(path, ns=(10**18, 10**18))
    assert open_source(tmp_path).fingerprint() != first
    put(path)
    os.utime(path.rename(tmp_path / "b.png"), ns=(10**18, 10**18))
    assert open_source(tmp_path).fingerprint() != first


def test_splits(tmp_path: Path) -> None:
    for name in ["train/cat/a.png", "train/dog/b.png", "test/cat/c.png", "extra.png"]:
        put(tmp_path / name)
    merged = open_source(tmp_path)
    assert len(merged.names) == 4
    assert "merged train/ (2) and test/ (1)" in merged.notes[0]
    assert open_source(tmp_path, "train").names == ["train/cat/a.png", "train/dog/b.png"]
    test = open_source(tmp_path, "test")
    assert (test.names, test.read(0)) == (["test/cat/c.png"], picture())
    with pytest.raises(DataError, match="no train/ and test/"):
        open_source(tmp_path / "train", "test")
    with pytest.raises(ArgumentError, match="Did you mean 'train'"):
        open_source(tmp_path, "trian")
    wrapped = make_tar(tmp_path / "x.tar", [("set/train/a.png", picture()), ("set/test/b.png", picture(colour=3))])
    assert open_source(wrapped, "test").read(0) == picture(colour=3)


def test_listing_looks_at_folders_and_opens_no_image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What makes it quick: about 1 s for 100,000."""
    for k in range(10):
        (tmp_path / str(k)).mkdir()
        for i in range(50):
            (tmp_path / str(k) / f"{i}.jpg").touch()
    looked, real = [], os.stat

    def counted(path: Any, **options: Any) -> os.stat_result:
        looked.append(path)
        return real(path, **options)

    with monkeypatch.context() as patch:
        patch.setattr("os.stat", counted)
        patch.setattr("builtins.open", lambda *a, **k: pytest.fail("an image was opened"))
        assert len(open_source(tmp_path)) == 500
    assert 10 <= len(looked) < 50


# -- list -------------------------------------------------------------------------------------------------------------
def test_list_file(tmp_path: Path) -> None:
    put(tmp_path / "sub" / "b.png", picture(colour=2))
    put(tmp_path / "a.png", picture(colour=1))
    text = f"# my images\nsub/b.png\r\n\n./a.png\ngone.png\n{tmp_path}/a.png\nsub\n"
    found = open_source(put(tmp_path / "list.txt", text.encode()))
    assert (found.kind, found.root) == ("list", tmp_path)
    assert found.names == ["sub/b.png", "a.png", "gone.png", "a.png#2", "sub"]
    assert found.refused == {2: "no such file", 4: "a folder, not a file"}
    assert [found.read(i) for i in (0, 1, 3)] == [picture(colour=c) for c in (2, 1, 1)]
    with pytest.raises(DataError, match="names no file"):
        open_source(put(tmp_path / "none.txt", b"# nothing\n"))
    with pytest.raises(DataError, match="not a text file"):
        open_source(put(tmp_path / "binary.txt", bytes(2000)))


def test_sequence_of_paths_keeps_its_order(tmp_path: Path) -> None:
    paths = [put(tmp_path / name, picture(colour=i)) for i, name in enumerate(["y/b.png", "x/a.png"])]
    found = open_source(paths)
    assert found.names == ["y/b.png", "x/a.png"] or found.names == [str(p.relative_to(Path.cwd())) for p in paths]
    assert [found.read(i) for i in range(2)] == [picture(colour=i) for i in range(2)]
    with pytest.raises(DataError, match="is empty"):
        open_source([])
    with pytest.raises(DataError, match="a list with int in it"):
        open_source([1, 2])


# -- Parquet ----------------------------------------------------------------------------------------------------------
def test_parquet(tmp_path: Path) -> None:
    images = [picture(colour=i) for i in range(100)]
    rows = [{"bytes": data, "path": f"p{i % 99}.png"} for i, data in enumerate(images)]
    rows[5] = {"bytes": images[5], "path": "../../up.png"}
    rows[6] = {"bytes": None, "path": None}
    rows[7] = None
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    table = pa.table({"label": list(range(100)), "image": pa.array(rows, kind), "raw": pa.array(images)})
    pq.write_table(table, tmp_path / "x.parquet", row_group_size=17)
    found = open_source(tmp_path / "x.parquet")
    assert (found.kind, len(found)) == ("parquet", 100)
    assert found.names[:8] == ["p0.png", "p1.png", "p2.png", "p3.png", "p4.png", "000005", "000006", "000007"]
    assert found.names[99] == "p0.png#2"
    order = [i for i in np.random.default_rng(0).permutation(100) if i not in (6, 7)]
    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(found.read, order)) == [images[i] for i in order]
    for i in (6, 7):
        with pytest.raises(OSError, match="no image in this row"):
            found.read(i)
    first = found.fingerprint()
    pq.write_table(table.slice(1), tmp_path / "x.parquet")
    assert open_source(tmp_path / "x.parquet").fingerprint() != first


def test_parquet_is_read_in_windows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setattr(sys.modules["ilk.files.windows"], "_WINDOW_BYTES", 4000)
    images = [bytes([i]) * 500 for i in range(200)]
    pq.write_table(pa.table({"img": pa.array(images)}), tmp_path / "x.parquet", compression=None, use_dictionary=False)
    found = open_source(tmp_path / "x.parquet")
    assert [found.read(i) for i in range(200)] == images
    assert [found.read(i) for i in reversed(range(200))] == images[::-1]
    assert all(found.read(i) == images[i] for i in (150, 3, 199, 0))


def test_parquet_refusals(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    pq.write_table(pa.table({"a": [1], "b": ["x"]}), path)
    with pytest.raises(DataError, match=r"no image column.*a, b"):
        open_source(path)
    pq.write_table(pa.table({"a": pa.array([b"x"]), "b": pa.array([b"x"])}), path)
    with pytest.raises(DataError, match=r"several image columns \(a, b\)"):
        open_source(path)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(DataError, match="not a readable Parquet"):
        open_source(path)
