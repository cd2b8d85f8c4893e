"""What fuzzing found once, made small."""

from __future__ import annotations

import json
import struct
import zlib
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from trial import Ilk, refused

import ilk as package


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


@pytest.mark.parametrize(("width", "height"), [(3_645_916_989, 12), (12, 2**31 - 1), (2**31, 2**32 - 1)])
def test_sizes_that_no_table_can_hold(tmp_path: Path, width: int, height: int) -> None:
    """A header claims billions of pixels a side: the image is refused, and the others are read."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0")) + chunk(b"IEND", b"")
    (tmp_path / "a.png").write_bytes(data)
    Image.new("RGB", (12, 9)).save(tmp_path / "b.png")
    source = package.open_images(tmp_path)
    assert source.shape == (3, 9, 12)  # the other's, alone
    block = source.scan(np.arange(2))
    assert block.ok.tolist() == [False, True]
    assert block.reasons[0]
    assert block.reasons[1] is None


def test_reasons_are_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Libraries speak in lines and quote the bytes that they did not understand."""
    from ilk.files import Listing

    for name in ("a.png", "b.png"):
        Image.new("RGB", (12, 9)).save(tmp_path / name)
    source = package.open_images(tmp_path)
    said = "don't know what type: \x0e\nDeserializing page header failed.\n"

    def broken(self: Listing, i: int) -> bytes:
        raise OSError(said)

    monkeypatch.setattr(Listing, "read", broken)
    reasons = source.scan(np.arange(2)).reasons
    assert reasons == ["cannot be read: don't know what type: \\x0e Deserializing page header failed."] * 2


@pytest.mark.parametrize("column", ["silhouette_reduced", "silhouette", "second", "distance", "fine"])
def test_columns_that_a_run_may_lack_are_of_their_kind(ilk: Ilk, finished_copy: Path, column: str) -> None:
    path = finished_copy / "assignments.parquet"
    table = pq.read_table(path).to_pydict()
    table[column] = ["text"] * len(table["index"])
    pq.write_table(pa.table(table), path)
    refused(ilk("report", "run", "-o", "r.html"), "assignments.parquet", f"column {column} is of another type")


@pytest.mark.parametrize("key", ["quality", "encoded", "threads", "choice", "source", "summary", "seconds", "versions"])
@pytest.mark.parametrize("value", ["text", {"silhouette": 3}])
def test_every_part_of_a_header_is_of_its_kind(ilk: Ilk, finished_copy: Path, key: str, value: object) -> None:
    """A number where the report expects an object, and the like: the part is named, or does no harm."""
    path = finished_copy / "run.json"
    path.write_text(json.dumps({**json.loads(path.read_text("utf-8")), key: value}), "utf-8")
    for command in ("info", "report"):
        said = ilk(command, finished_copy)
        assert "unexpected" not in said.err
        if said.code:
            refused(said, "--overwrite")
