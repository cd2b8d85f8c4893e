"""Sources: what `read`, `scan`, `sized` and `probe` give, for arrays and for files."""

from __future__ import annotations

import os
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from ilk.data import ArrayImages, FolderImages, is_small, open_images
from ilk.data.sources import by_size
from ilk.errors import ArgumentError, DataError
from ilk.files import content_hash
from ilk.files.thumbs import decode_thumb


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Six 40 × 30 photos, one that is a copy, one that is text."""
    rng = np.random.default_rng(0)
    root = tmp_path / "images"
    (root / "sub").mkdir(parents=True)
    for i in range(6):
        Image.fromarray(rng.integers(0, 255, (30, 40, 3), np.uint8)).save(root / f"{i}.png")
    (root / "sub" / "copy.png").write_bytes((root / "2.png").read_bytes())
    (root / "bad.jpg").write_bytes(b"not an image at all")
    return root


def test_array_shapes_and_values() -> None:
    grey = np.arange(2 * 3 * 4, dtype=np.uint8).reshape(2, 3, 4)
    source = open_images(grey)
    assert isinstance(source, ArrayImages)
    assert source.shape == (1, 3, 4)
    assert torch.equal(source.read([1]), torch.from_numpy(grey[1:2])[:, None])
    assert source.names([1]) == ["1"]
    colour = np.random.default_rng(0).integers(0, 255, (5, 6, 7, 3), np.uint8)
    for array in (colour, torch.from_numpy(colour), np.ascontiguousarray(colour.transpose(0, 3, 1, 2))):
        read = open_images(array).read(np.array([4, 0]))
        assert torch.equal(read, torch.from_numpy(colour[[4, 0]]).permute(0, 3, 1, 2))


def test_alpha_lies_over_white() -> None:
    rgba = np.array([[[[10, 20, 30, 0], [10, 20, 30, 255], [0, 0, 0, 128]]]], np.uint8)
    read = ArrayImages(rgba).read([0])
    assert read[0, :, 0].T.tolist() == [[255, 255, 255], [10, 20, 30], [127, 127, 127]]


@pytest.mark.parametrize(
    "array",
    [np.zeros((3, 4, 4)), np.zeros((3, 4), np.uint8), np.zeros((3, 5, 5, 2), np.uint8), np.zeros((3, 0, 4), np.uint8)],
)
def test_other_arrays_are_refused(array: np.ndarray) -> None:
    with pytest.raises(DataError):
        open_images(array)


def test_memmap_is_read_by_rows(tmp_path: Path) -> None:
    array = np.random.default_rng(0).integers(0, 255, (10, 8, 8), np.uint8)
    np.save(tmp_path / "x.npy", array)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    source = open_images(mapped)
    assert torch.equal(source.read([7, 3]), torch.from_numpy(array[[7, 3]])[:, None])
    assert source.fingerprint() == open_images(array).fingerprint()
    array[0, 0, 0] ^= 1
    assert source.fingerprint() != open_images(array).fingerprint()


def test_array_scan_hashes_content_and_shape() -> None:
    array = np.zeros((3, 4, 6), np.uint8)
    array[2, 0, 0] = 9
    block = ArrayImages(array).scan([0, 1, 2])
    assert block.hashes[0] == block.hashes[1] != block.hashes[2]
    assert block.hashes[0] != ArrayImages(array.reshape(3, 6, 4)).scan([0]).hashes[0]
    known = ArrayImages(array).scan([0, 2], known=lambda name: name == block.hashes[2])
    assert known.ok.tolist() == [True, False]
    assert not known.pixels[1].any()


def test_sized_crops_the_middle_or_stretches() -> None:
    array = np.zeros((1, 10, 30), np.uint8)
    array[:, :, 10:20] = 200  # the central square
    crop = ArrayImages(array).sized(20, "crop").read([0])
    stretch = ArrayImages(array).sized(20, "stretch").read([0])
    assert crop.shape == stretch.shape == (1, 1, 20, 20)
    assert (crop == 200).all()
    assert stretch[0, 0, 10, 0] == 0
    assert ArrayImages(array).sized((20, 60)).shape == (1, 20, 60)
    with pytest.raises(ArgumentError, match="resize"):
        ArrayImages(array).sized(20, "bend")  # type: ignore[arg-type]
    with pytest.raises(ArgumentError, match="image_size"):
        ArrayImages(array).sized(0)


def test_folder_reads_and_names(folder: Path) -> None:
    source = open_images(folder).sized((30, 40))
    assert isinstance(source, FolderImages)
    rows = [source.names().index(name) for name in ("1.png", "sub/copy.png")]
    read = source.read(rows)
    assert read.dtype == torch.uint8
    truth = np.asarray(Image.open(folder / "1.png"))
    assert torch.equal(read[0], torch.from_numpy(truth.copy()).permute(2, 0, 1))
    with pytest.raises(DataError, match=r"bad\.jpg"):
        source.read(range(len(source)))


def test_folder_scan_never_raises(folder: Path) -> None:
    source = open_images(folder).sized(16)
    block = source.scan(range(len(source)))
    names = source.names()
    bad = names.index("bad.jpg")
    assert block.ok.sum() == 7
    assert not block.ok[bad]
    assert block.reasons[bad]
    assert block.hashes[bad] == content_hash(b"not an image at all")
    assert block.hashes[names.index("2.png")] == block.hashes[names.index("sub/copy.png")]
    assert (block.widths[block.ok] == 40).all()
    assert (block.heights[block.ok] == 30).all()
    assert block.sizes[bad] == 19
    (folder / "3.png").unlink()
    gone = source.scan([names.index("3.png")])
    assert gone.hashes == [b""]
    assert "cannot be read" in str(gone.reasons[0])


def test_known_files_are_not_decoded(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = open_images(folder).sized(16)
    monkeypatch.setattr("ilk.data.folder.decode", lambda *a, **k: pytest.fail("decoded"))
    block = source.scan([0, 1], known=lambda name: True)
    assert not block.ok.any()
    assert block.reasons == [None, None]


def test_each_file_is_read_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = open_images(folder).sized(16)
    reads: list[int] = []
    read = source.listing.read
    monkeypatch.setattr(source.listing, "read", lambda i: (reads.append(i), read(i))[1])
    source.scan(range(len(source)))
    assert sorted(reads) == list(range(len(source)))


def test_own_size_of_a_folder(folder: Path, tmp_path: Path) -> None:
    assert open_images(folder).shape == (3, 30, 40)  # small and uniform: as they are
    Image.new("RGB", (300, 200)).save(folder / "big.png")
    assert is_small(open_images(folder)) is None
    assert open_images(folder).shape == (3, 32, 32)  # by the median shorter side
    assert open_images(folder).probe().tolist()[0] == [30, 40]


def test_what_files_are_called_decides_nothing(tmp_path: Path) -> None:
    """50 of 128 are large: those at the places that an even spacing by name would look at, or at all others."""
    rng = np.random.default_rng(0)
    pictures = [rng.integers(0, 255, (s, s, 3)).astype(np.uint8) for s in [32] * 78 + [300] * 50]
    spaced = np.unique(np.linspace(0, 127, 64).astype(int)).tolist()
    others = sorted(set(range(128)) - set(spaced))
    found = []
    for kind, order in [("seen", spaced[::-1] + others), ("unseen", others[::-1] + spaced), ("any", range(128))]:
        (tmp_path / kind).mkdir()
        for picture, place in zip(pictures[::-1], order, strict=True):  # the large ones first
            Image.fromarray(picture).save(tmp_path / kind / f"{place:03}.png", compress_level=1)
        source = open_images(tmp_path / kind)
        assert is_small(source) is None
        assert source.shape == (3, 32, 32)
        found.append(sorted(source.probe().tolist()))
    assert found[0] == found[1] == found[2]
    assert len(found[0]) == 64
    assert abs(sum(side == [300, 300] for side in found[0]) - 25) <= 1  # as many as there are


@pytest.mark.parametrize("n", [0, 1, 5, 64, 65, 127, 128, 1000])
def test_rows_by_size_stand_for_all(n: int) -> None:
    sizes = np.random.default_rng(n).integers(0, 10**6, n)
    rows = by_size(sizes, 64)
    assert len(rows) == len(set(rows.tolist())) == min(n, 64)
    assert (np.diff(rows) > 0).all()
    for share in (0.1, 0.5, 0.9) if n >= 64 else ():
        assert abs((sizes[rows] <= np.quantile(sizes, share)).mean() - share) <= 1.5 / 64
    mixed = np.random.default_rng(1).permutation(n)
    assert sorted(sizes[rows]) == sorted(sizes[mixed][by_size(sizes[mixed], 64)])
    if n == 1000:
        odd = sizes.copy()
        odd[:7] = 10**9  # fewer than one in 128
        assert odd[by_size(odd, 64)].max() < 10**9


def test_stamps_follow_the_files(folder: Path) -> None:
    old = time.time() - 100
    for path in folder.rglob("*.*"):
        os.utime(path, (old, old))
    first = open_images(folder).stamps()
    assert first is not None
    assert all(len(stamp) == 16 for stamp in first)
    assert open_images(folder).stamps() == first
    os.utime(folder / "0.png", (old + 1, old + 1))
    second = open_images(folder).stamps()
    assert second is not None
    assert sum(a != b for a, b in zip(first, second, strict=True)) == 1
    os.utime(folder / "0.png")
    assert b"" in (open_images(folder).stamps() or [])  # changed just now: not to be trusted


def test_opening(folder: Path) -> None:
    source = open_images([str(folder / "1.png"), folder / "0.png"])
    assert len(source) == 2
    assert open_images(source) is source
    for wrong in (3, [np.zeros((2, 2), np.uint8)], None):
        with pytest.raises(DataError):
            open_images(wrong)
    with pytest.raises(DataError, match="split"):
        open_images(np.zeros((2, 4, 4), np.uint8), split="train")


def test_thumbnails_of_rows_of_an_array() -> None:
    images = torch.randint(0, 256, (3, 3, 20, 30), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    for channels in (1, 3):
        block = ArrayImages(images[:, :channels]).sized(8).scan([2, 0], lambda name: False)
        right = images[[2, 0], :channels].expand(-1, 3, -1, -1).permute(0, 2, 3, 1).numpy()
        assert all((decode_thumb(a) == b).all() for a, b in zip(block.thumbs, right, strict=True))
    known = ArrayImages(images).hashes([1])[0]
    assert [len(thumb) > 0 for thumb in ArrayImages(images).scan([0, 1], known.__eq__).thumbs] == [True, False]
