"""What others wrote into a source, quoted in an error or a note: never a control character, nor one that turns text."""

from __future__ import annotations

import re
import zipfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ilk.errors import DataError
from ilk.files import Listing, load_features, open_source, truth

EVIL = "\x1b]0;owned\x07\x1b[31m\n\u202e\u2028\x9b"
BAD = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


def write(kind: str, path: Path) -> Path:
    path = path / kind
    if kind == "data_batch_1":
        path.write_bytes(b"\x80\x04\x8c\x08a\x1b[31m\x07b\x8c\x05\x1b[31m\x93.")
    elif kind == "x.npz":
        np.savez(path, **{EVIL: np.zeros((2, 2), np.uint8)})
    elif kind == "one.parquet":
        pq.write_table(pa.table({EVIL: [1, 2]}), path)
    elif kind == "two.parquet":
        pq.write_table(pa.table({EVIL: [b"x"], "b" + EVIL: [b"y"]}), path)
    elif kind == "l.csv":
        path.write_text(f"{EVIL},x\n1,2\n")
    return path


@pytest.mark.parametrize(
    "kind", ["data_batch_1", "x.npz", "one.parquet", "two.parquet", "l.csv", EVIL.replace("/", "")]
)
def test_errors_that_quote_a_source(tmp_path: Path, kind: str) -> None:
    with pytest.raises(DataError) as error:
        open_source(write(kind, tmp_path))
    assert not BAD.search(str(error.value))


def test_features_and_labels(tmp_path: Path) -> None:
    for call in (
        lambda: load_features(write("one.parquet", tmp_path)),
        lambda: load_features(f"{write('one.parquet', tmp_path)}:{EVIL}x"),
        lambda: truth(EVIL, "digits"),
        lambda: truth(EVIL + ".csv", "digits"),
    ):
        with pytest.raises(DataError) as error:
            call()
        assert not BAD.search(str(error.value))


def test_notes(tmp_path: Path) -> None:
    (tmp_path / "far").mkdir()
    (tmp_path / "far" / "a.png").write_bytes(b"x")
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / f"l{EVIL}").symlink_to(tmp_path / "far")
    with zipfile.ZipFile(tmp_path / "x" / f"{EVIL}.zip", "w") as archive:
        archive.writestr("a", b"")
    found = open_source(tmp_path / "x")
    assert isinstance(found, Listing)
    assert "1 image lies outside" in found.notes[0]
    assert not BAD.search(" ".join(found.notes))
