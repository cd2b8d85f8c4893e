"""Parquet as people write it: base64, names of files beside it, dictionaries, several columns."""

from __future__ import annotations

import base64
import os
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


def test_a_row_that_names_what_no_file_can_be_called(tmp_path: Path) -> None:
    put(tmp_path / "a.png", IMAGES[0])
    names = ["a.png", "a\0.png", "a" * 5000 + ".png", "a.png"]
    struct = pa.array([{"bytes": None, "path": name} for name in names], STRUCT)
    for column in (names, struct):
        found = open_source(written(tmp_path / "x.parquet", image=column))
        assert (found.read(0), found.read(3)) == (IMAGES[0], IMAGES[0])
        for i in (1, 2):
            with pytest.raises(OSError, match=r"no file can be called|[Tt]oo long"):
                found.read(i)


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


# -- what is known again -----------------------------------------------------------------------------------------------
OLD = 1_700_000_000_000_000_000


def test_two_columns_are_two_sources(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    pq.write_table(pa.table({"left": [picture(colour=1)] * 3, "right": [picture(colour=2)] * 3}), path)
    os.utime(path, ns=(OLD, OLD))
    left, right = open_source(f"{path}:left"), open_source(f"{path}:right")
    assert left.fingerprint() != right.fingerprint()
    assert not set(left.marks()) & set(right.marks())
    assert left.marks() == open_source(f"{path}:left").marks()
    assert len(set(left.marks())) == 3


@pytest.mark.parametrize("mixed", [False, True])
def test_a_replaced_file_beside_a_table_is_another_one(tmp_path: Path, mixed: bool) -> None:
    """The table, its time and its size stay as they are."""
    path = tmp_path / "x.parquet"
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    rows = [{"bytes": picture(colour=9) if mixed and i == 3 else None, "path": f"{i}.bmp"} for i in range(4)]
    pq.write_table(pa.table({"image": pa.array(rows, kind)}), path)
    os.utime(path, ns=(OLD, OLD))

    def put_beside(colour: int, time: int, size: int = 0) -> list[bytes]:
        for i in range(3):
            put(tmp_path / f"{i}.bmp", picture("BMP", colour + i) + bytes(size))
            os.utime(tmp_path / f"{i}.bmp", ns=(time, time))
        found = open_source(path)
        seen.append(found.fingerprint())
        assert found.read(0) == picture("BMP", colour) + bytes(size)
        return found.marks()[:3]

    seen: list[str] = []
    first = put_beside(0, OLD)
    assert put_beside(0, OLD) == first
    assert not set(put_beside(10, OLD + 10**9)) & set(first)
    assert not set(put_beside(20, OLD, size=1)) & set(first)
    assert seen[0] == seen[1]
    assert len(set(seen)) == 3
    put(tmp_path / "0.bmp", picture("BMP", 30))  # just now: it may change once more within the same tick
    assert open_source(path).marks()[0] == b""
    if mixed:
        put(tmp_path / "3.bmp", bytes(100))  # beside a row that has its own
        assert open_source(path).read(3) == picture(colour=9)
        assert open_source(path).sizes[3] == 0


def test_a_part_of_another_type_is_damage_and_ends_no_process(tmp_path: Path) -> None:
    """The foot of the file says of one part that it holds other things than the column: pyarrow would abort."""
    images = [{"bytes": picture(colour=i), "path": None} for i in range(8)]
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table({"image": pa.array(images, kind)}), path, row_group_size=4)
    whole = path.read_bytes()
    mark = b"\x1c\x15\x0c\x19"  # in the foot: of a part, its type (6: bytes), its codings
    assert mark in whole
    path.write_bytes(whole.replace(mark, b"\x1c\x15\x08\x19", 1))  # 4: floats
    with pytest.raises(DataError, match="damaged: part"):
        open_source(path)
