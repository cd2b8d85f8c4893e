"""Arrays, and every refusal of `open_source`."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest

from ilk.errors import ArgumentError, DataError
from ilk.files import ArraySet, open_again, open_source

X = np.random.default_rng(0).integers(0, 256, (6, 8, 8), np.uint8)


class Forbidden:
    """A pickle that says so when it is loaded."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return pytest.fail, ("a label was read",)


@pytest.mark.parametrize(
    ("odd", "said"),
    [
        ("n" * 300, r"n{300} cannot be read: .*too long"),
        ("n" * 300 + "/*.png", r"n{300}/\*\.png cannot be read: .*too long"),
        ("x\0y", r"there is no x\\x00y|x\\x00y cannot be read"),
        ("~nobody-at-all/x", "cannot be read: Could not determine home"),
        ("~nobody-at-all/*", "cannot be read: Could not determine home"),
        ("gone", "gone is a link to nothing"),
    ],
)
@pytest.mark.parametrize("alone", [True, False])
def test_names_that_cannot_be_asked_after(
    tmp_path: Path, odd: str, said: str, alone: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "1.png").write_bytes(b"\x89PNG")
    if odd == "gone":
        (tmp_path / "gone").symlink_to("nowhere")
        if not alone:  # listed with its reason, as files are
            assert open_source(["a", odd]).refused == {1: "no such file"}
            return
    with pytest.raises(DataError, match=said):
        open_source(odd if alone else ["a", odd])


def test_npz(tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    np.savez(path, x=X, y=np.array([Forbidden()], object))
    found = open_source(path)
    assert isinstance(found, ArraySet)
    assert (found.kind, found.names[:2], found.root) == ("npz", ["000000", "000001"], path)
    assert (found.pixels == X).all()


def test_npz_with_parts_and_labels_untouched(tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    bad = np.array([Forbidden()], object)
    np.savez_compressed(path, x_train=X[:4], x_test=X[4:], y_train=bad, y_test=bad, y=bad)
    merged = open_source(path)
    assert (merged.pixels == X).all()
    assert merged.names[3:5] == ["train/000003", "test/000000"]
    assert merged.notes == ["merged x_train (4) and x_test (2); split=train or test takes one"]
    assert (open_source(path, "test").pixels == X[4:]).all()
    assert open_source(path, "train").names == [f"train/{i:06d}" for i in range(4)]
    assert open_source(path, "train").notes == []
    shuffled = tmp_path / "y.npz"
    np.savez(shuffled, x_train=X[:4], x_test=X[4:], y_train=np.arange(4))
    assert open_source(shuffled).fingerprint() == merged.fingerprint()


def test_npy_is_mapped(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", X)
    found = open_source(tmp_path / "x.npy")
    assert isinstance(found.pixels, np.memmap)
    assert (found.kind, len(found)) == ("npy", 6)


def test_digits() -> None:
    found = open_source("digits")
    assert (found.kind, found.pixels.shape, found.pixels.dtype) == ("digits", (1797, 8, 8), np.uint8)
    assert (found.pixels.min(), found.pixels.max()) == (0, 255)
    assert set(np.unique(found.pixels)) <= {round(v * 255 / 16) for v in range(17)}
    assert found.names[7] == "digits/0007"


def test_array_in_memory() -> None:
    found = open_source(X)
    assert found.pixels is X
    assert open_source(found) is found
    other = X.copy()
    other[3, 3, 3] ^= 1
    assert open_source(other).fingerprint() != found.fingerprint()
    assert open_source(X.copy()).fingerprint() == found.fingerprint()
    assert open_source(X[..., None]).fingerprint() != found.fingerprint()


def test_large_array_is_sampled(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setattr(sys.modules["ilk.files.arrays"], "_HASHED_WHOLE", 10)
    assert len(open_source(X).fingerprint()) == 32


def test_by_content_reads_all_of_a_large_array(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setattr(sys.modules["ilk.files.arrays"], "_HASHED_WHOLE", 10)
    monkeypatch.setattr(sys.modules["ilk.files.arrays"], "_SAMPLE", 2)
    path, other = tmp_path / "x.npy", X.copy()
    np.save(path, X)
    sampled, whole = open_source(path).fingerprint(), open_source(path, by_content=True).fingerprint()
    for fingerprint in (sampled, whole):  # a run may have been made either way
        assert open_again({"spec": str(path), "fingerprint": fingerprint}).fingerprint() == fingerprint
    other[1] += 1
    np.save(path, other)
    assert open_source(path).fingerprint() == sampled
    assert open_source(path, by_content=True).fingerprint() != whole
    assert open_again({"spec": str(path), "fingerprint": whole}).fingerprint() != whole


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (X.astype(np.float32), "float32 .*allowed are uint8.*scale"),
        (X.astype(object), "object"),
        (X[0], r"shape \(8, 8\)"),
        (X[:0], "no image in it"),
        (X[:, :0], "no image in it"),
        (np.zeros((2, 8, 8, 4), np.uint8), "with alpha"),
        (np.zeros((2, 3, 8, 8), np.uint8), r"channels first; use x.transpose\(0, 2, 3, 1\)"),
        (np.zeros((2, 8, 8, 2), np.uint8), r"shape \(2, 8, 8, 2\)"),
        (np.zeros((2, 8, 8, 3, 1), np.uint8), "shape"),
    ],
)
def test_arrays_of_the_wrong_kind(tmp_path: Path, array: np.ndarray, words: str) -> None:
    with pytest.raises(DataError, match=words):
        open_source(array)
    np.savez(tmp_path / "x.npz", x=array)
    with pytest.raises(DataError, match=words):
        open_source(tmp_path / "x.npz")
    np.save(tmp_path / "x.npy", array)
    with pytest.raises(DataError):
        open_source(tmp_path / "x.npy")


def test_damaged_arrays(tmp_path: Path) -> None:
    npz, npy = tmp_path / "x.npz", tmp_path / "x.npy"
    np.savez_compressed(npz, x=X)
    np.save(npy, X)
    data = npz.read_bytes()
    for damaged in (data[:-40], data[:100], b"nonsense"):
        npz.write_bytes(damaged)
        with pytest.raises(DataError, match="not a readable"):
            open_source(npz)
    torn = bytearray(data)
    torn[250] ^= 0xFF
    npz.write_bytes(torn)
    with pytest.raises(DataError, match=r"x\.npz"):
        open_source(npz)
    for damaged in (npy.read_bytes()[:-40], npy.read_bytes()[:20], b"nonsense"):
        npy.write_bytes(damaged)
        with pytest.raises(DataError, match="cannot be read as uint8"):
            open_source(npy)
    np.savez(npz, pictures=X, y=np.arange(6))
    with pytest.raises(DataError, match=r"no key `x`.*its keys are pictures, y"):
        open_source(npz)
    np.savez(npz, x_train=X, x_test=X[:, :4])
    with pytest.raises(DataError, match="different sizes"):
        open_source(npz)


def test_an_npz_that_claims_more_than_there_is(tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    header = b"{'descr': '|u1', 'fortran_order': False, 'shape': (1000000000000, 8, 8), }"
    header = header.ljust(117) + b"\n"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x.npy", b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + bytes(64))
    with pytest.raises(DataError, match="do not fit in memory"):
        open_source(path)


def test_refusals(tmp_path: Path) -> None:
    (tmp_path / "holiday").mkdir()
    with pytest.raises(DataError, match=r"there is no .*holyday.* Did you mean '.*holiday'\?"):
        open_source(tmp_path / "holyday")
    with pytest.raises(DataError, match=r"Did you mean '.*holiday'\?"):
        open_source(tmp_path / "Holiday")
    with pytest.raises(DataError, match=r"no image in .*: it holds nothing"):
        open_source(tmp_path / "holiday")
    for name in ("a.mp4", "b.mp4", "c.txt", "README"):
        (tmp_path / "holiday" / name).write_bytes(b"x")
    with pytest.raises(
        DataError, match=r"only 2 videos \(\.mp4\), 2 other files \(1 without a known ending, 1 \.txt\)"
    ):
        open_source(tmp_path / "holiday")
    (tmp_path / "x.docx").write_bytes(b"something")
    with pytest.raises(DataError, match=r"\(\.docx\); allowed are a folder"):
        open_source(tmp_path / "x.docx")
    (tmp_path / "x.jpg").write_bytes(b"\xff\xd8\xff")
    (tmp_path / "x.tar").write_bytes(b"")
    with pytest.raises(DataError, match="is an empty file"):
        open_source(tmp_path / "x.tar")
    (tmp_path / "x.gz").write_bytes(b"\x1f\x8b123")
    with pytest.raises(DataError, match="gzip-compressed"):
        open_source(tmp_path / "x.gz")
    with pytest.raises(DataError, match="is a chain of addresses"):
        open_source("zip::https://example.org/images.zip")
    with pytest.raises(DataError, match="cannot be a source"):
        open_source(7)
    with pytest.raises(DataError):
        open_source("a\0b")
    with pytest.raises(DataError):
        open_source("x" * 5000)
    with pytest.raises(DataError, match="neither a file nor a folder"):
        open_source("/dev/null")


def test_a_run_is_no_source(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text('{"ilk_run": 1}')
    with pytest.raises(DataError, match="is a run that ilk wrote"):
        open_source(tmp_path)


def test_split_needs_parts(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", x=X)
    np.save(tmp_path / "x.npy", X)
    for source in (tmp_path / "x.npz", tmp_path / "x.npy", "digits", X):
        with pytest.raises(DataError, match="no train and test parts"):
            open_source(source, "train")
    with pytest.raises(ArgumentError):
        open_source(open_source(X), "train")
