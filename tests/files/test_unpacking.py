"""What unpacks to far more than it is: pickles, members of zips, npz and tables are bounded by what they claim."""

from __future__ import annotations

import bz2
import io
import pickle
import struct
import sys
import tracemalloc
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from made import picture, put

from ilk.errors import DataError
from ilk.files import Listing, columns, open_source, truth
from ilk.files.plainpickle import plain_pickle


@contextmanager
def at_most(mebibytes: float) -> Iterator[None]:
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < mebibytes * 2**20
    finally:
        tracemalloc.stop()


def nested(end: bytes, levels: int = 40) -> bytes:
    """A pickle of tuples in tuples, each twice the one before, taken from the memo; then `end`."""
    body = b"\x80\x02)q\x00"
    for n in range(levels):
        body += b"h" + bytes([n]) + b"h" + bytes([n]) + b"\x86q" + bytes([n + 1])
    return body + end


def doubled(value: object, times: int = 40) -> object:
    for _ in range(times):
        value = [value, value]
    return value


def test_a_pickle_that_holds_itself_many_times() -> None:
    again = b"h\x28\x85R."
    bombs = [nested(b"c_codecs\nencode\n" + again), nested(b"cnumpy\ndtype\n" + again), nested(b".")]
    bombs += [pickle.dumps(doubled(one), protocol=2) for one in (0, b"x" * 100, {b"a": 1}, ())]
    bombs.append(pickle.dumps([b"x" * 1000] * 100_000, protocol=2))
    text = "x" * 100_000  # each call would make bytes of it anew
    encoded = b"\x80\x02(X" + struct.pack("<I", len(text)) + text.encode() + b"q\x000c_codecs\nencode\nq\x010"
    bombs.append(encoded + b"h\x01h\x00\x85R" * 1000 + b"l.")
    for bomb in bombs:
        with at_most(64), pytest.raises(DataError, match=r"^x is"):
            plain_pickle(bomb, "x")


def test_numbers_of_one_hash_are_no_keys() -> None:
    """2,000 keys of one hash take 2,000 comparisons each; a dict of millions never ends."""
    numbers = [(2**61 - 1) * (i + 1) for i in range(2_000)]
    assert len(set(map(hash, numbers))) == 1
    for bomb in (
        pickle.dumps(dict.fromkeys(numbers), protocol=2),
        b"\x80\x02}" + b"".join(b"p%d\n" % number for number in numbers) + b".",
    ):
        with pytest.raises(DataError, match="more than 64 bits as a key"):
            plain_pickle(bomb, "x")
    assert plain_pickle(pickle.dumps({2**63: 1, -1: 2, b"a": 3}, protocol=2), "x") == {2**63: 1, -1: 2, b"a": 3}


def test_a_pickle_that_takes_things_again_is_read() -> None:
    names, number = [b"a.png", b"b.png"], (7, 8)
    value = {b"names": names, b"again": names, b"x": number, b"y": (number, number)}
    assert plain_pickle(pickle.dumps(value, protocol=2), "x") == value
    many = {b"a": ["same"] * 10_000, b"data": np.arange(5, dtype=np.uint8), b"more": np.arange(9, dtype=np.uint8)}
    found = plain_pickle(pickle.dumps(many, protocol=2), "x")
    assert found[b"a"] == many[b"a"]
    np.testing.assert_array_equal(found[b"more"], many[b"more"])


@pytest.mark.parametrize("labels", [[[0, 1], [2, 3]], ["x" * 100_000, "y"], [None, 1], 3])
def test_labels_of_a_pickle_are_one_an_image(tmp_path: Path, labels: object) -> None:
    data = {b"data": np.zeros((2, 3072), np.uint8), b"labels": labels}
    path = put(tmp_path / "data_batch_1", pickle.dumps(data, protocol=2))
    assert len(open_source(path)) == 2
    with at_most(16), pytest.raises(DataError, match="label"):
        truth("auto", path)


def zeros_of_bzip2(mebibytes: int) -> bytes:
    packer = bz2.BZ2Compressor(9)
    return b"".join([*(packer.compress(bytes(2**20)) for _ in range(mebibytes)), packer.flush()])


def zeros_of_lzma(mebibytes: int) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("a", bytes(mebibytes * 2**20))
        info = archive.getinfo("a")
    start = info.header_offset + 30 + 1
    return out.getvalue()[start : start + info.compress_size]


def claiming(method: int, data: bytes, claim: int, name: bytes = b"a.png") -> bytes:
    """A zip with one member that unpacks to more than its directory claims."""
    sizes = struct.pack("<III", 0, len(data), claim)
    local = b"PK\3\4" + struct.pack("<HHHHH", 20, 2, method, 0, 33) + sizes + struct.pack("<HH", len(name), 0) + name
    entry = b"PK\1\2" + struct.pack("<HHHHHH", 20, 20, 2, method, 0, 33) + sizes
    entry += struct.pack("<HHHHHII", len(name), 0, 0, 0, 0, 0, 0) + name
    end = b"PK\5\6" + struct.pack("<HHHHIIH", 0, 0, 1, 1, len(entry), len(local) + len(data), 0)
    return local + data + entry + end


@pytest.mark.parametrize(("method", "packed"), [(zipfile.ZIP_BZIP2, zeros_of_bzip2), (zipfile.ZIP_LZMA, zeros_of_lzma)])
def test_a_member_is_unpacked_as_far_as_it_claims(tmp_path: Path, method: int, packed: Callable[[int], bytes]) -> None:
    data = packed(100)
    path = put(tmp_path / "x.zip", claiming(method, data, 1000))
    found = open_source(path)
    with at_most(20), pytest.raises(OSError, match="damaged in the archive"):
        found.read(0)
    npz = put(tmp_path / "x.npz", claiming(method, data, 1000, b"x.npy"))
    with at_most(20), pytest.raises(DataError, match="not a readable"):
        open_source(npz)


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_every_method_is_unpacked(tmp_path: Path, method: int) -> None:
    rng = np.random.default_rng(0)
    large = picture("BMP") + rng.integers(0, 4, 3_000_000, np.uint8).tobytes()
    pixels = rng.integers(0, 256, (50, 16, 16), np.uint8)
    with zipfile.ZipFile(tmp_path / "x.zip", "w", method) as archive:
        archive.writestr("a.png", picture())
        archive.writestr("b", large)
    found = open_source(tmp_path / "x.zip")
    assert [found.read(i) for i in range(2)] == [picture(), large]
    for order in "CF":
        np.save(tmp_path / "x.npy", np.asarray(pixels, order=order))
        with zipfile.ZipFile(tmp_path / "x.npz", "w", method) as archive:
            archive.write(tmp_path / "x.npy", "x.npy")
        np.testing.assert_array_equal(open_source(tmp_path / "x.npz").pixels, pixels)


def test_an_npz_takes_its_own_size_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x.npz"
    np.savez_compressed(path, x=np.zeros((4000, 64, 64), np.uint8), y=np.zeros(4000, np.int64))
    with at_most(15.7 + 8):
        assert len(open_source(path)) == 4000
    monkeypatch.setattr(sys.modules["ilk.files.arrays"], "available_memory", lambda: 10**6)
    with at_most(4), pytest.raises(DataError, match="do not fit in memory"):
        open_source(path)


def test_numbers_that_take_no_room(tmp_path: Path) -> None:
    """4 MB of zeros a row: some kB as a file, which no more memory is given for than for any other of its size."""
    column = pa.FixedSizeListArray.from_arrays(pa.array(np.zeros(100 * 2**20, np.float32)), 2**20)
    pq.write_table(pa.table({"features": column}), tmp_path / "x.parquet", compression="zstd")
    assert (tmp_path / "x.parquet").stat().st_size < 2**16
    before = pa.total_allocated_bytes()
    with at_most(16), pytest.raises(DataError, match=r"claims 104,857,600 numbers in [\d,]+ bytes: they cannot be"):
        open_source(tmp_path / "x.parquet")
    assert pa.total_allocated_bytes() - before < 2**24
    pq.write_table(pa.table({"a.b": column.slice(0, 40)}), tmp_path / "y.parquet", compression="zstd")
    taken: list[int] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(columns, "release", lambda array: taken.append(pa.total_allocated_bytes() - before))
        assert len(open_source(tmp_path / "y.parquet")) == 40
    assert len(taken) > 5  # in batches of as many rows as fit
    assert max(taken) < 512 * 2**20


def test_one_value_in_all_rows_takes_its_room_once(tmp_path: Path) -> None:
    """By the dictionary of a Parquet file one picture or text of a megabyte stands in thousands of rows."""
    rows, long = pa.array(np.zeros(5000, np.int32)), "x" * 2**20
    image = picture() + bytes(2**20)
    struct = pa.StructArray.from_arrays([pa.DictionaryArray.from_arrays(rows, pa.array([image]))], ["bytes"])
    text = pa.DictionaryArray.from_arrays(rows, pa.array([long]))
    short = pa.DictionaryArray.from_arrays(rows, pa.array(["cat"]))
    place = tmp_path / "x.parquet"
    pq.write_table(pa.table({"image": struct, "label": short, "long": text}), place, store_schema=False)
    assert place.stat().st_size < 4 * 2**20
    before, most = pa.total_allocated_bytes(), 0
    found = open_source(place)
    assert isinstance(found, Listing)
    for i in range(0, 5000, 500):
        assert found.read(i) == image
        most = max(most, pa.total_allocated_bytes() - before)
    assert set(truth("label", found).values()) == {"cat"}
    with at_most(64), pytest.raises(DataError, match="one has more than 1,000 letters"):
        truth("long", found)
    pq.write_table(pa.table({"name": text, "features": [[1.0, 2.0]] * 5000}), place, store_schema=False)
    with at_most(64), pytest.raises(DataError, match="holds texts of more than 1,000 letters, which are no names"):
        open_source(place)
    paths = pa.StructArray.from_arrays([pa.nulls(5000, pa.binary()), text], ["bytes", "path"])
    pq.write_table(pa.table({"image": paths}), place, store_schema=False, row_group_size=700)
    with at_most(64):
        assert open_source(place).names[:2] == ["000000", "000001"]
    assert most < 2**27


def test_rows_that_take_no_room(tmp_path: Path) -> None:
    """A column of nulls is coded by its length: some bytes are millions of rows."""
    path = tmp_path / "x.parquet"
    pq.write_table(pa.table({"image": pa.nulls(2_000_000, pa.binary())}), path, row_group_size=2_000_000)
    assert path.stat().st_size < 10_000
    with at_most(8), pytest.raises(DataError, match=r"2,000,000 rows in .* bytes"):
        open_source(path)
    few = pa.array([picture(), *[None] * 999], pa.binary())
    pq.write_table(pa.table({"image": few}), path)
    assert len(open_source(path)) == 1000
