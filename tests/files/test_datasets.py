"""MNIST and CIFAR as their authors pack them; and a pickle is read as a format, whatever it wants to have called."""

from __future__ import annotations

import contextlib
import gzip
import io
import pickle
import pickletools
import struct
from pathlib import Path

import numpy as np
import pytest
from made import put

from ilk import jobs
from ilk.errors import DataError
from ilk.files import ArraySet, open_source, truth
from ilk.files.datasets import is_dataset_file
from ilk.files.plainpickle import plain_pickle

RNG = np.random.default_rng(0)


def idx(array: np.ndarray) -> bytes:
    return struct.pack(f">4B{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.tobytes()


def mnist(folder: Path, packed: bool = False) -> dict[str, np.ndarray]:
    made = {}
    for part, n in (("train", 5), ("t10k", 3)):
        made[part] = RNG.integers(0, 256, (n, 6, 7), np.uint8)
        for name, array in (
            ("images-idx3", made[part]),
            ("labels-idx1", np.arange(n, dtype=np.uint8) + (part == "t10k")),
        ):
            data = idx(array)
            path = folder / f"{part}-{name}-ubyte{'.gz' if packed else ''}"
            put(path, gzip.compress(data) if packed else data)
    return made


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gz"])
def test_mnist(tmp_path: Path, packed: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    made = mnist(tmp_path / "MNIST" / "raw", packed)
    found = open_source(tmp_path)  # as torchvision lays it out
    assert isinstance(found, ArraySet)
    assert (found.kind, found.names[4:6]) == ("idx", ["train/000004", "test/000000"])
    np.testing.assert_array_equal(found.pixels, np.concatenate([made["train"], made["t10k"]]))
    assert found.notes == ["merged train (5) and test (3); split=train or test takes one"]
    test = open_source(tmp_path, "test")
    np.testing.assert_array_equal(test.pixels, made["t10k"])
    assert list(truth("auto", tmp_path).values()) == [0, 1, 2, 3, 4, 1, 2, 3]
    assert truth("auto", tmp_path, "test") == {"test/000000": 1, "test/000001": 2, "test/000002": 3}
    alone = next((tmp_path / "MNIST" / "raw").glob("t10k-images*"))
    np.testing.assert_array_equal(open_source(alone).pixels, made["t10k"])
    assert list(truth("auto", alone).values()) == [1, 2, 3]
    if packed:  # both are there where torchvision unpacked them: they count once
        mnist(tmp_path / "MNIST" / "raw")
        assert len(open_source(tmp_path)) == 8
    cut = put(tmp_path / "b" / "train-images-idx3-ubyte", idx(made["train"])[:-3])
    with pytest.raises(DataError, match=r"is damaged: it states .* and holds less"):
        open_source(cut)
    put(cut, struct.pack(">4B3I", 0, 0, 8, 3, 2**31, 2**31, 2**31))
    with pytest.raises(DataError, match="is damaged"):
        open_source(cut)
    put(cut, idx(made["train"]))
    monkeypatch.setattr("ilk.files.datasets.available_memory", lambda: 100)
    with pytest.raises(DataError, match=r"do not fit in memory"):
        open_source(cut)


def cifar(n: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (n, 32, 32, 3), np.uint8)


def rows(images: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(images.transpose(0, 3, 1, 2)).reshape(len(images), 3072)


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_cifar_pickles(tmp_path: Path, protocol: int) -> None:
    folder = tmp_path / "cifar-10-batches-py"
    for i, name in enumerate(["data_batch_1", "data_batch_2", "test_batch"]):
        batch = {
            b"data": rows(cifar(4, i)),
            b"labels": [i, 1, 2, 3],
            b"batch_label": b"one",
            b"filenames": [b"a.png"] * 4,
        }
        put(folder / name, pickle.dumps(batch, protocol=protocol))
    put(folder / "batches.meta", pickle.dumps({"label_names": ["cat"]}, protocol=protocol))
    found = open_source(folder)
    assert (found.kind, found.names[0], found.names[8]) == ("cifar", "train/000000", "test/000000")
    np.testing.assert_array_equal(found.pixels, np.concatenate([cifar(4, i) for i in range(3)]))
    assert list(truth("auto", folder).values()) == [0, 1, 2, 3, 1, 1, 2, 3, 2, 1, 2, 3]
    np.testing.assert_array_equal(open_source(folder / "test_batch").pixels, cifar(4, 2))
    hundred = {"data": rows(cifar(2, 7)), "fine_labels": [5, 6], "coarse_labels": [1, 2]}
    put(tmp_path / "cifar-100-python" / "train", pickle.dumps(hundred, protocol=protocol))
    found = open_source(tmp_path / "cifar-100-python")
    np.testing.assert_array_equal(found.pixels, cifar(2, 7))
    assert list(truth("auto", found).values()) == [5, 6]
    assert list(truth("coarse", found).values()) == [1, 2]
    with pytest.raises(DataError, match="has none of that name; allowed are auto, none, fine or coarse"):
        truth("colour", found)


def test_a_pickle_of_python_2(tmp_path: Path) -> None:
    """As the published files are: byte strings, and an array whose bytes are one."""
    data = rows(cifar(2, 3)).tobytes()
    stream = b"\x80\x02}q\x01(U\x04dataq\x02cnumpy.core.multiarray\n_reconstruct\nq\x03cnumpy\nndarray\nq\x04K\x00\x85"
    stream += b"U\x01b\x87R(K\x01K\x02M\x00\x0c\x86cnumpy\ndtype\nU\x02u1K\x00K\x01\x87R"
    stream += b"(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89"
    stream += b"T" + struct.pack("<i", len(data)) + data + b"tbU\x06labelsq\x09]q\x0a(K\x03K\x08eu."
    pickletools.dis(stream, io.StringIO())  # it is one
    path = put(tmp_path / "data_batch_1", stream)
    np.testing.assert_array_equal(open_source(path).pixels, cifar(2, 3))
    assert list(truth("auto", path).values()) == [3, 8]


def test_cifar_binary(tmp_path: Path) -> None:
    ten = np.column_stack([np.array([4, 9], np.uint8), rows(cifar(2, 1))])
    put(tmp_path / "ten" / "data_batch_1.bin", ten.tobytes())
    np.testing.assert_array_equal(open_source(tmp_path / "ten").pixels, cifar(2, 1))
    assert list(truth("auto", tmp_path / "ten").values()) == [4, 9]
    hundred = np.column_stack([np.array([[1, 50], [2, 60]], np.uint8), rows(cifar(2, 2))])
    put(tmp_path / "hundred" / "test.bin", hundred.tobytes())
    found = open_source(tmp_path / "hundred" / "test.bin")
    np.testing.assert_array_equal(found.pixels, cifar(2, 2))
    assert (list(truth("auto", found).values()), list(truth("coarse", found).values())) == ([50, 60], [1, 2])


class Evil:
    def __init__(self, call: object, *given: object) -> None:
        self.told = call, given

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return self.told  # type: ignore[return-value]


def touch(path: str) -> None:
    Path(path).touch()


@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4, 5])
def test_a_pickle_runs_nothing(tmp_path: Path, protocol: int) -> None:
    gone = tmp_path / "it-ran"
    evil: list[object] = [
        {b"data": Evil(touch, str(gone))},
        {b"data": Evil(eval, "1")},
        {b"data": np.array([object()])},
        {b"data": np.array([(1, 2)], "u1,u1")},
        {b"data": Path("x")},
        Evil,
    ]
    for value in evil:
        with pytest.raises(DataError):
            plain_pickle(pickle.dumps(value, protocol=protocol), "x")
    path = put(tmp_path / "data_batch_1", pickle.dumps(evil[0], protocol=max(protocol, 2)))
    with pytest.raises(
        DataError, match=r"a pickle that wants .*touch: ilk reads plain arrays from it, and runs nothing"
    ):
        open_source(path)
    assert not gone.exists()


def test_damaged_pickles_are_refused_by_name() -> None:
    for head in (b"\x80", b"\x80\x02", b""):
        assert is_dataset_file(Path("data_batch_1"), head) in (None, "cifar")
    whole = pickle.dumps({b"data": rows(cifar(1, 0)), b"labels": [1]}, protocol=2)
    for at in range(0, len(whole), 37):
        with pytest.raises(DataError, match=r"^x is"):
            plain_pickle(whole[:at], "x")
    rng = np.random.default_rng(0)
    for _ in range(300):
        torn = bytearray(whole)
        torn[int(rng.integers(0, 120))] = int(rng.integers(0, 256))
        with contextlib.suppress(DataError):  # or it is read: a flipped pixel
            plain_pickle(bytes(torn), "x")
    for text in (b"\x80\x02" + b"(" * 100_000 + b".", b"\x80\x02" + b"]" * 100_000 + b"a" * 99_999 + b"."):
        with contextlib.suppress(DataError):  # they are odd, and end
            plain_pickle(text, "x")


def test_what_lies_beside_a_data_set_is_counted(tmp_path: Path) -> None:
    head = b"\0\0\x08\3" + struct.pack(">III", 4, 8, 8)
    put(tmp_path / "train-images-idx3-ubyte", head + bytes(range(256)))
    put(tmp_path / "train-labels-idx1-ubyte", b"\0\0\x08\1" + struct.pack(">I", 4) + bytes(4))
    put(tmp_path / ".hidden" / "a.png", b"x")
    put(tmp_path / "clip.mov", b"x")
    put(tmp_path / "more.tar.gz", b"x")
    found = open_source(tmp_path)
    assert len(found) == 4
    assert {kind: one.count for kind, one in found.passed_over.items()} == {"hidden": 1, "videos": 1, "archives": 1}
    run = jobs.cluster(
        tmp_path, tmp_path.parent / "run", options={"n_clusters": 2, "encoder": "pixels", "preset": "tiny"}
    )
    told = run.header["source"]["passed_over"]
    assert {kind: one["count"] for kind, one in told.items()} == {"hidden": 1, "videos": 1, "archives": 1}
