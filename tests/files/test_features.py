"""Features of the user's own in files: what is read, and every refusal by name."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ilk.errors import DataError
from ilk.files import FeatureSet, Listing, are_features, load_features, open_source
from ilk.files.large import release

X = np.random.default_rng(0).normal(size=(7, 5))


def saved(folder: Path, values: Any) -> Path:
    np.save(folder / "f.npy", values)
    return folder / "f.npy"


def parquet(folder: Path, **columns: Any) -> Path:
    pq.write_table(pa.table(columns), folder / "f.parquet", row_group_size=3)
    return folder / "f.parquet"


def lists(values: np.ndarray, kind: Any) -> Any:
    return pa.array([list(row) for row in values], kind)  # float16 is made of float16 alone before pyarrow 19


# -- npy ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("stored", "read"), [("f2", "f2"), ("f4", "f4"), ("f8", "f4"), (">f4", "f4"), (">f8", "f4")])
def test_all_floats_are_read_mapped(tmp_path: Path, stored: str, read: str) -> None:
    found = load_features(saved(tmp_path, X.astype(stored)))
    assert isinstance(found.values, np.memmap)
    assert (len(found), found.width, found.dtype) == (7, 5, np.dtype(read))
    part = found.read(np.array([3, 0]))
    assert part.dtype.isnative
    assert np.array_equal(part, X.astype(stored)[[3, 0]].astype(read))
    assert found.names[:2] == ["row 0", "row 1"]
    assert found.given().all()


def test_columns_first_are_the_same_features(tmp_path: Path) -> None:
    found = load_features(saved(tmp_path, np.asfortranarray(X)))
    assert found.fingerprint() == load_features(X).fingerprint()
    assert np.array_equal(found.read(slice(0, 7)), X.astype("f4"))


def test_the_fingerprint_is_of_the_content(tmp_path: Path) -> None:
    one, other = X.astype("f4"), X.astype("f4")
    other[-1, -1] = np.nextafter(other[-1, -1], 9)
    assert load_features(saved(tmp_path, one)).fingerprint() == load_features(one).fingerprint()
    assert load_features(other).fingerprint() != load_features(one).fingerprint()
    assert load_features(one.reshape(5, 7)).fingerprint() != load_features(one).fingerprint()


def test_a_row_of_nan_has_no_features() -> None:
    values = X.copy()
    values[2] = np.nan
    assert load_features(values).given().tolist() == [True, True, False, True, True, True, True]


@pytest.mark.parametrize("odd", [np.nan, np.inf, -np.inf, 1e30, 1e300])
def test_odd_numbers_are_named_by_row(odd: float) -> None:
    values = X.copy()
    values[[2, 5], 1] = odd
    with pytest.raises(DataError, match=r"2 rows hold NaN, infinity or numbers beyond 1e\+15: row 2, row 5\."):
        load_features(values).given()


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (np.zeros((4, 8), np.uint8), "whole numbers look like pixels"),
        (np.zeros((4, 8), np.int64), "whole numbers look like pixels"),
        (np.zeros((4, 8), bool), "whole numbers"),
        (np.zeros(4), r"allowed are features: .* of shape \(n, d\)"),
        (np.zeros((4, 2, 2)), r"x\.reshape\(len\(x\), -1\)"),
        (np.zeros((0, 2)), "there are no features"),
        (np.zeros((2, 0)), "there are no features"),
        (np.zeros((2, 2), complex), "complex128"),
        (np.full((2, 2), np.nan), "no row holds features"),
    ],
)
def test_what_is_no_table_of_features(tmp_path: Path, values: np.ndarray, words: str) -> None:
    with pytest.raises(DataError, match=words):
        load_features(saved(tmp_path, values)).given()


def test_what_is_no_file_of_features(tmp_path: Path) -> None:
    (tmp_path / "f.csv").write_text("1,2\n")
    (tmp_path / "broken.npy").write_bytes(b"\x93NUMPY")
    np.save(tmp_path / "objects.npy", np.array([{}, 1], object), allow_pickle=True)
    for name, words in [
        ("missing.npy", "does not exist"),
        ("f.csv", r"give a float \.npy"),
        (".", "is a folder"),
        ("broken.npy", "cannot be read as features"),
        ("objects.npy", "pickle, which is never loaded"),
    ]:
        with pytest.raises(DataError, match=words):
            load_features(tmp_path / name)
    with pytest.raises(DataError, match="got dict"):
        load_features({})  # type: ignore[arg-type]


# -- parquet -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "kind", [pa.list_(pa.float32()), pa.large_list(pa.float64()), pa.list_(pa.float32(), 5), pa.list_(pa.float16())]
)
def test_lists_of_floats(tmp_path: Path, kind: Any) -> None:
    values = X.astype("f2")
    found = load_features(parquet(tmp_path, id=list(range(7)), vector=lists(values, kind)))
    assert found.about == "column vector"
    assert not found.named
    assert np.array_equal(found.read(slice(0, 7)), values)
    assert found.dtype == ("f2" if kind == pa.list_(pa.float16()) else "f4")


def test_tensors_of_one_shape(tmp_path: Path) -> None:
    kind = pa.fixed_shape_tensor(pa.float32(), (5,))
    values = X.astype("f4")
    storage = pa.array(values.tolist(), pa.list_(pa.float32(), 5))
    found = load_features(parquet(tmp_path, emb=pa.ExtensionArray.from_storage(kind, storage)))
    assert np.array_equal(found.read(slice(0, 7)), values)


def test_columns_of_floats_but_not_those_called_like_labels(tmp_path: Path) -> None:
    columns = {f"f{i}": X[:, i] for i in range(5)}
    path = parquet(tmp_path, path=[f"{i}.png" for i in range(7)], Label=np.ones(7), id=list(range(7)), **columns)
    found = load_features(path)
    assert np.array_equal(found.read(slice(0, 7)), X.astype("f4"))
    assert found.about == "5 columns, f0 … f4"
    assert found.names[6] == "6.png"
    assert found.named
    one = load_features(f"{path}:f3")
    assert np.array_equal(one.read(slice(0, 7))[:, 0], X[:, 3].astype("f4"))


def test_the_column_is_named_or_usual(tmp_path: Path) -> None:
    other = lists(X[:, :2], pa.list_(pa.float32()))
    found = load_features(parquet(tmp_path, other=other, Embedding=lists(X, pa.list_(pa.float32()))))
    assert (found.width, found.about) == (5, "column Embedding")
    path = parquet(tmp_path, a=other, b=lists(X, pa.list_(pa.float32())), y=list(range(7)), t=["x"] * 7)
    with pytest.raises(DataError, match=r"several columns of features \(a, b\): name one, .*f\.parquet:a"):
        load_features(path)
    assert load_features(f"{path}:b").width == 5
    with pytest.raises(DataError, match=r"has no column 'bb'.*Did you mean 'b'"):
        load_features(f"{path}:bb")
    with pytest.raises(DataError, match="column 't' holds no floats"):
        load_features(f"{path}:t")


def test_rows_without_a_list_have_no_features(tmp_path: Path) -> None:
    rows = [None, None, [], None, *X[4:].tolist()]
    found = load_features(parquet(tmp_path, vector=pa.array(rows, pa.list_(pa.float64()))))
    assert found.given().tolist() == [False] * 4 + [True] * 3
    assert np.array_equal(found.read(np.array([4, 6])), X[[4, 6]].astype("f4"))


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"v": pa.array([[1.0, 2.0], [1.0]])}, "'v' has 1 numbers in row 1, and 2 before"),
        ({"v": pa.array([*[[1.0, 2.0]] * 4, [1.0] * 3])}, "'v' has 3 numbers in row 4, and 2 before"),
        ({"v": pa.array([None, None], pa.list_(pa.float32()))}, "'v' holds no features"),
        ({"v": pa.array([[1, 2], [3, 4]])}, "whole numbers look like pixels"),
        ({"n": ["a", "b"]}, "no column of features"),
        ({"path": ["a", None], "v": pa.array([[1.0], [2.0]])}, "names no image in row 1"),
        ({"path": ["a", "./a"], "v": pa.array([[1.0], [2.0]])}, r"names 1 image\(s\) more than once: a"),
        ({"v": pa.array([[1.0, None], [2.0, 1.0]])}, "1 row holds NaN"),
    ],
)
def test_tables_that_do_not_fit(tmp_path: Path, columns: dict[str, Any], words: str) -> None:
    with pytest.raises(DataError, match=words):
        load_features(parquet(tmp_path, **columns)).given()


def test_a_large_table_lies_in_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ilk.files.large._IN_MEMORY", 1)
    found = load_features(parquet(tmp_path, vector=lists(X, pa.list_(pa.float32()))))
    assert isinstance(found.values, np.memmap)
    assert np.array_equal(found.read(slice(0, 7)), X.astype("f4"))


# -- as a source -------------------------------------------------------------------------------------------------------


def test_floats_in_two_dimensions_are_a_source_of_features(tmp_path: Path) -> None:
    assert are_features(np.float16, (3, 4))
    assert not are_features(np.uint8, (3, 4))
    assert not are_features(np.float32, (3, 4, 4))
    for source in (
        X,
        saved(tmp_path, X),
        str(parquet(tmp_path, path=list("abcdefg"), v=lists(X, pa.list_(pa.float32())))),
    ):
        found = open_source(source)
        assert isinstance(found, FeatureSet)
        assert found.kind == "features"
        assert len(found) == 7
    assert found.names == list("abcdefg")
    with pytest.raises(DataError, match="without train and test parts"):
        open_source(X, "train")


def test_a_table_of_images_stays_one(tmp_path: Path) -> None:
    path = parquet(tmp_path, image=[b"x"] * 7, v=lists(X, pa.list_(pa.float32())))
    assert isinstance(open_source(path), Listing)
    assert isinstance(open_source(f"{path}:v"), FeatureSet)


def test_other_arrays_are_still_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"features \(n, d\) as a float \.npy: x\.astype"):
        open_source(saved(tmp_path, np.zeros((4, 8), np.int64)))
    with pytest.raises(DataError, match="scale floats"):
        open_source(np.zeros((4, 8, 8)))
    with pytest.raises(DataError, match="allowed are uint8 images"):
        open_source(np.zeros(4))


# -- memory ------------------------------------------------------------------------------------------------------------


def in_memory(path: Path) -> float:
    """Return how many MiB of the mapped file `path` are in the memory of this process."""
    found, mine = 0, False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        word = line.split(maxsplit=5)
        if "-" in word[0]:
            mine = len(word) == 6 and word[5] == str(path)
        elif mine and word[0] == "Rss:":
            found += int(word[1])
    return found / 1024


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="asks /proc")
def test_what_was_read_of_a_mapped_file_does_not_stay_in_memory(tmp_path: Path) -> None:
    path = saved(tmp_path, np.ones((40_000, 512), np.float16))  # 39 MiB
    whole = np.load(path, mmap_mode="r")
    assert whole.sum(dtype=np.float64) == whole.size
    assert in_memory(path) > 30
    release(whole[5:].T)  # any view of it will do
    assert in_memory(path) == 0

    features = load_features(path)
    assert features.given().all()
    assert in_memory(path) < 10
    sums = [float(features.read(part).sum(dtype=np.float64)) for part in features.blocks()]
    assert (sum(sums), in_memory(path) < 10) == (whole.size, True)


def test_what_was_written_stays(tmp_path: Path) -> None:
    path = saved(tmp_path, np.zeros((9, 4)))
    for mode, kept in (("c", 0.0), ("r+", 3.0)):  # "c": changes are in memory alone, and would be lost
        mapped = np.load(path, mmap_mode=mode)
        mapped[2] = 3
        release(mapped)
        assert (mapped[2] == 3).all()
        assert np.load(path)[2, 0] == kept
    release(np.ones(3))
