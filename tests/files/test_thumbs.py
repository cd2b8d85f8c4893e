"""Thumbnails and sprite sheets."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ilk.errors import DataError
from ilk.files import Sprites, decode_sheet, encode_sheet, make_thumb, write_sheets


def plain(count: int) -> np.ndarray:
    """Thumbnails told apart by their colour."""
    colours = np.stack([np.arange(count) % 256, np.arange(count) // 256 * 40, np.full(count, 90)], 1)
    return np.broadcast_to(colours[:, None, None].astype(np.uint8), (count, 48, 48, 3))


def test_small_images_stay_crisp() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (8, 8), np.uint8)
    assert (make_thumb(pixels) == pixels.repeat(6, 0).repeat(6, 1)[:, :, None]).all()
    assert set(np.unique(make_thumb(np.eye(28, dtype=np.uint8) * 255))) <= {0, 255}


@pytest.mark.parametrize(
    "shape", [(224, 224, 3), (96, 96, 3), (48, 48, 3), (100, 300, 3), (28, 28, 1), (50, 3), (1, 1, 3)]
)
def test_shapes(shape: tuple[int, ...]) -> None:
    thumb = make_thumb(np.full(shape, 9, np.uint8))
    assert (thumb.shape, thumb.dtype) == ((48, 48, 3), np.uint8)
    assert (thumb == 9).all()


def test_large_images_are_averaged() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (224, 224, 3), np.uint8)
    assert make_thumb(noise).std() < 30 < noise.std()


def test_sheets(tmp_path: Path) -> None:
    thumbs = plain(600)
    assert write_sheets(tmp_path, iter([thumbs[:100], thumbs[100:101], thumbs[101:101], thumbs[101:]])) == 600
    assert sorted(path.name for path in tmp_path.iterdir()) == ["00000.webp", "00001.webp", "00002.webp"]
    index = np.array([599, 0, 256, 255, 17, 17, 511])
    assert np.abs(Sprites(tmp_path).read(index).astype(int) - thumbs[index]).max() <= 12
    assert Sprites(tmp_path).read([]).shape == (0, 48, 48, 3)
    with pytest.raises(DataError, match=r"00009\.bin cannot be read"):
        Sprites(tmp_path).read([2400])
    with pytest.raises(IndexError):
        Sprites(tmp_path).read([-1])
    with pytest.raises(IndexError):
        Sprites(tmp_path).read([760])
    (tmp_path / "00000.webp").write_bytes(b"nonsense")
    with pytest.raises(DataError, match="damaged"):
        Sprites(tmp_path).read([0])


def test_partial_sheet() -> None:
    data = encode_sheet(plain(17))
    assert decode_sheet(data, 17).shape == (17, 48, 48, 3)
    assert len(decode_sheet(data)) == 32
    with pytest.raises(DataError, match="holds 32"):
        decode_sheet(data, 33)
    with pytest.raises(ValueError, match="a sheet holds"):
        encode_sheet(plain(257))
