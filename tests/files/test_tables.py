"""Parquet as people write it: base64, names of files beside it, dictionaries, several columns."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from made import picture, put

from ilk.errors import DataError
from ilk.files import open_source

IMAGES = [picture(colour=i) for i in range(5)]
STRUCT = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


def written(path: Path, **columns: Any) -> Path:
    pq.write_table(pa.table(columns), path)
    return path


def test_base64(tmp_path: Path) -> None:
    plain = [base64.b64encode(data).decode() for data in IMAGES]
    addresses = [f"data:image/png;base64,{text}" for text in plain]
    for name, texts in (("a", plain), ("b", addresses), ("c", [None, *plain[1:]])):
        found = open_source(written(tmp_path / f"{name}.parquet", caption=["x"] * 5, picture=texts))
        first = 1 if name == "c" else 0
        assert [found.read(i) for i in range(first, 5)] == IMAGES[first:]
    with pytest.raises(OSError, match="no image in this row"):
        found.read(0)
    found = open_source(written(tmp_path / "d.parquet", image=[plain[0], "no base64!"]))
    with pytest.raises(OSError, match="no base64 in this row"):
        found.read(1)


def test_rows_with_a_path_are_files_beside_the_table(tmp_path: Path) -> None:
    home = tmp_path / "set"
    for i, data in enumerate(IMAGES):
        put(home / "files" / f"{i}.png", data)
    put(tmp_path / "secret.png")
    (home / "link.png").symlink_to(tmp_path / "secret.png")
    names = [f"files/{i}.png" for i in range(5)]
    odd = ["../secret.png", str(tmp_path / "secret.png"), "link.png", "gone.png", "files"]
    for name, columns in (
        ("a", {"image": pa.array([{"bytes": None, "path": path} for path in [*names, *odd]], STRUCT)}),
        ("b", {"id": range(10), "image_path": [*names, *odd]}),
    ):
        found = open_source(written(home / f"{name}.parquet", **columns))
        assert found.names[:5] == names
        assert [found.read(i) for i in range(5)] == IMAGES
        for i in range(5, 8):  # nothing outside of the folder of the table is read
            with pytest.raises(OSError, match="outside of the folder of the table"):
                found.read(i)
        for i in (8, 9):
            with pytest.raises(OSError, match=r"No such file|not a"):
                found.read(i)


def test_columns(tmp_path: Path) -> None:
    path = written(tmp_path / "x.parquet", left=IMAGES, right=IMAGES[::-1], caption=["a.png"] * 5)
    with pytest.raises(DataError, match=r"several image columns \(left, right\); name one: .*x\.parquet:left"):
        open_source(path)
    assert open_source(f"{path}:right").read(0) == IMAGES[4]
    assert open_source([f"{path}:right", f"{path}:left"]).names[5] == "x.parquet:left/000000"
    with pytest.raises(DataError):
        open_source(f"{path}:middle")
    assert open_source(written(tmp_path / "y.parquet", image=IMAGES, mask=IMAGES[::-1])).read(0) == IMAGES[0]
    coded = written(tmp_path / "z.parquet", jpg=pa.array(IMAGES).dictionary_encode())
    assert [open_source(coded).read(i) for i in range(5)] == IMAGES
    large = pa.struct([("bytes", pa.large_binary()), ("path", pa.large_string())])  # as polars writes it
    rows = pa.array([{"bytes": data, "path": f"{i}.png"} for i, data in enumerate(IMAGES)], large)
    found = open_source(written(tmp_path / "w.parquet", image=rows))
    assert (found.names[4], found.read(4)) == ("4.png", IMAGES[4])
    lists = written(tmp_path / "v.parquet", images=pa.array([[data] for data in IMAGES]))
    with pytest.raises(DataError, match=r"lists of images \(images\) are not read: write one image a row"):
        open_source(lists)
