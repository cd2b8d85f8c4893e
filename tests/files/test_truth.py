"""Labels by every way in, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ilk.disk import printable
from ilk.errors import DataError
from ilk.files import open_source, truth

X = np.zeros((6, 8, 8), np.uint8)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ["train/cat/a_1.png", "train/dog/b_2.png", "test/cat/a_3.png", "train/loose.png"]:
        path = tmp_path / "set" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"\x89PNG")
    return tmp_path / "set"


@pytest.mark.parametrize("coding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-32"])
def test_a_table_of_labels_may_be_written_as_a_list_may(folder: Path, coding: str) -> None:
    table = folder.parent / "l.csv"
    text = (
        "path,label\nset/train/cat/a_1.png,x\nset/train/dog/b_2.png,\nset/train/loose.png, \nset/test/cat/a_3.png,y\n"
    )
    table.write_bytes(text.encode(coding))
    # an empty cell is no class of its own
    assert truth(table, table) == {"set/train/cat/a_1.png": "x", "set/test/cat/a_3.png": "y"}


@pytest.mark.parametrize(
    "labels",
    [
        pa.Array.from_buffers(
            pa.string(), 2, [None, pa.py_buffer(np.array([0, 1, 2], np.int32)), pa.py_buffer(b"a\xff")]
        ),
        pa.array([2**30] * 2, pa.date32()),
        pa.array([2**62] * 2, pa.duration("s")),
        pa.array([1, 2], pa.timestamp("ns")),
    ],
)
def test_columns_that_python_cannot_hold(tmp_path: Path, labels: pa.Array) -> None:
    pq.write_table(pa.table({"image": [b"x", b"y"], "label": labels}), tmp_path / "x.parquet")
    with pytest.raises(DataError, match=r"x\.parquet: the column 'label' cannot be read|something else than words"):
        truth("label", tmp_path / "x.parquet")


def test_folder_and_prefix(folder: Path) -> None:
    assert truth("folder", folder) == {
        "train/cat/a_1.png": "cat",
        "train/dog/b_2.png": "dog",
        "test/cat/a_3.png": "cat",
    }
    assert truth("folder", open_source(folder)) == truth("folder", folder)
    assert truth("folder", folder, "test") == {"test/cat/a_3.png": "cat"}
    assert truth("prefix", folder) == {"train/cat/a_1.png": "a", "train/dog/b_2.png": "b", "test/cat/a_3.png": "a"}
    assert truth("none", folder) == truth("auto", folder) == {}
    with pytest.raises(DataError, match="no image lies in a folder"):
        truth("folder", folder / "train" / "cat")
    with pytest.raises(DataError, match="underscore"):
        truth("prefix", [folder / "train" / "loose.png"])
    with pytest.raises(DataError, match="Did you mean 'folder'"):
        truth("foldr", folder)
    with pytest.raises(DataError, match="read from file names"):
        truth("folder", "digits")


def test_train_may_be_a_class(tmp_path: Path) -> None:
    for name in ["train/a.png", "bus/b.png"]:
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_bytes(b"x")
    assert truth("folder", tmp_path) == {"train/a.png": "train", "bus/b.png": "bus"}


def test_arrays(tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    np.savez(path, x=X, y=np.arange(6)[:, None], fine=np.array(list("abcdef")), bad=np.zeros((6, 3)))
    assert truth("auto", path) == {f"{i:06d}": i for i in range(6)}
    assert truth("fine", path)["000002"] == "c"
    with pytest.raises(DataError, match=r"bad is float64 \(6, 3\)"):
        truth("bad", path)
    with pytest.raises(DataError, match=r"it has bad, fine, y.*Did you mean 'fine'"):
        truth("fin", path)
    np.savez(path, x=X)
    assert truth("auto", path) == {}
    assert truth("auto", X) == {}
    assert len(truth("auto", "digits")) == 1797


def test_parts(tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    np.savez(path, x_train=X[:4], x_test=X[4:], y_train=[0, 1, 2, 3], y_test=np.array([4.0, 5.0]))
    merged = truth("auto", path)
    assert list(merged.items())[3:5] == [("train/000003", 3), ("test/000000", 4)]
    assert all(type(label) is int for label in merged.values())
    assert truth("auto", path, "test") == {"test/000000": 4, "test/000001": 5}
    assert truth("auto", open_source(path, "test")) == truth("auto", path, "test")
    np.savez(path, x=X, y=[1, 2])
    with pytest.raises(DataError, match="2 labels for 6 images"):
        truth("auto", path)
    np.savez(path, x=X, y=np.array([None] * 6))
    with pytest.raises(DataError, match="cannot be read"):
        truth("auto", path)
    np.savez(path, x=X, y=np.array([0, 1, 2, 3, 4, np.nan]))
    with pytest.raises(DataError, match="no whole numbers"):
        truth("auto", path)


def test_parquet_column(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    pq.write_table(pa.table({"image": pa.array([b"1", b"2"]), "label": [7, 8]}), path)
    assert truth("label", path) == {"000000": 7, "000001": 8}
    with pytest.raises(DataError, match="Did you mean 'label'"):
        truth("labl", path)


@pytest.mark.parametrize(
    "text",
    [
        "name,label\ntrain/cat/a_1.png,1\n./train/dog/b_2.png,2\ntest\\cat\\a_3.png,3\ntrain/loose.png,4\nmore.png,9\n",
        "﻿x;Class;FileName\n0;1;a_1.png\n0;2;b_2.png\n0;3;a_3.png\n0;4;loose.png\n",
        "img,split,label\na_1.png,train,1\nb_2.png,train,2\na_3.png,test,3\nloose.png,test,4\n",
        "id,label,img\n9,1,a_1.png\n8,2,b_2.png\n7,3,a_3.png\n6,4,loose.png\n",
        "kind,filename,weight\n1,a_1.png,.5\n2,b_2.png,.5\n3,a_3.png,.5\n4,loose.png,.5\n",
        "Name,Path,Label\nTom,train/cat/a_1.png,1\nRex,train/dog/b_2.png,2\nTim,test/cat/a_3.png,3\n-,train/loose.png,4\n",
        "number,sort,shown\n1,1,a_1.png\n2,2,b_2.png\n3,3,a_3.png\n4,4,loose.png\n",
        "first\tsecond\na_1.png\t1\nb_2.png\t2\na_3.png\t3\nloose.png\t4\nloose.png\t4\n\n",
    ],
)
def test_csv(folder: Path, tmp_path: Path, text: str) -> None:
    path = tmp_path / "labels.csv"
    path.write_text(text)
    expected = {"train/cat/a_1.png": "1", "train/dog/b_2.png": "2", "test/cat/a_3.png": "3", "train/loose.png": "4"}
    assert truth(path, folder) == truth(str(path), folder) == expected


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_lines_of_a_csv_end_where_csv_ends_them(tmp_path: Path, end: str) -> None:
    names = ["a\u2028b.png", "c\u0085d.png", "e\u000bf.png", "g\u001eh.png", "i,\nj.png"]
    (tmp_path / "set").mkdir()
    for name in names:
        (tmp_path / "set" / name).write_bytes(b"\x89PNG")
    source = open_source(tmp_path / "set")
    raw = "".join(f'"{name}",{i}{end}' for i, name in enumerate(names))
    listed = "".join(f'"{name}",{i}{end}' for i, name in enumerate(source.names))
    for text, expected in [(raw, dict(zip(names, "01234", strict=True))), (listed, None)]:
        (tmp_path / "labels.csv").write_bytes(f"name,label{end}{text}".encode())
        found = truth(tmp_path / "labels.csv", source)
        right = {printable(name): label for name, label in expected.items()} if expected else None
        assert found == (right or {name: str(i) for i, name in enumerate(source.names)})


def test_csv_refusals(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    for text, words in [
        ("name,label\na_1.png,1\n", "no label for 3 of 4 images: test/cat/a_3.png, train/dog/b_2.png, train/loose.png"),
        ("name,label\na_1.png,1\na_1.png,2\n", "1 images two different labels: a_1.png"),
        ("name\na\n", "two columns"),
        ("", "two columns"),
        ("name,label\na\n", "line 2"),
    ]:
        path.write_text(text)
        with pytest.raises(DataError, match=words):
            truth(path, folder)
    with pytest.raises(DataError, match="cannot be read: No such file"):
        truth("gone.csv", folder)
