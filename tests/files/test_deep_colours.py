"""Colours of 16 bits: the same picture as with 8, or a reason; never the bands of another model as red, green, blue."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray

from ilk.data import open_images
from ilk.files import Samples, decode

WHOLE = Samples(dtype=True)
Pixels = NDArray[np.generic]


def tiff(values: Pixels, **options: object) -> bytes:
    out = io.BytesIO()
    tifffile.imwrite(out, values, metadata=None, **options)
    return out.getvalue()


def bands(count: int) -> NDArray[np.uint8]:
    return np.random.default_rng(count).integers(0, 256, (8, 8, count), np.uint8)


def seen(data: bytes, samples: Samples = WHOLE) -> NDArray[np.int16]:
    found = decode(data, None, samples=samples)
    assert found.reason is None
    assert found.pixels is not None
    return found.pixels.astype(np.int16)


@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("associated", [False, True])
def test_opacity_lies_on_white(kind: type[np.generic], associated: bool) -> None:
    colours, alpha = bands(3) / 255.0, np.linspace(0, 1, 64).reshape(8, 8, 1)
    stored = np.concatenate([colours * alpha if associated else colours, alpha], -1)
    values = stored.astype(kind) if kind is np.float32 else np.rint(stored * np.iinfo(kind).max).astype(kind)
    data = tiff(values, photometric="rgb", extrasamples=["assocalpha" if associated else "unassalpha"])
    # 8 bits of a nearly clear colour say little of it, and it shows little
    np.testing.assert_allclose(seen(data), np.rint((colours * alpha + 1 - alpha) * 255), atol=2)


@pytest.mark.parametrize(
    ("count", "model", "said"),
    [(5, "separated", "CMYK"), (3, "cielab", "CIELAB"), (3, "icclab", "ICCLAB"), (3, "ycbcr", "YCbCr")],
)
def test_other_models_are_not_shown_as_red_green_blue(count: int, model: str, said: str) -> None:
    data = tiff(bands(count).astype(np.uint16) * 257, photometric=model)
    assert f"whose colours are {said}: save it as RGB" in str(decode(data, None, samples=WHOLE).reason)
    asked = seen(data, Samples(dtype=True, bands=(3, 2, 1)))  # who names bands wants these
    np.testing.assert_array_equal(asked, bands(count)[..., [2, 1, 0]])


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(values: NDArray[np.uint16], colour: int, clear: int | None = None) -> bytes:
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", values.shape[1], len(values), 16, colour, 0, 0, 0))
    head += chunk(b"tRNS", struct.pack(">H", clear)) if clear is not None else b""
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def test_the_grey_of_a_png_that_is_clear() -> None:
    values = np.arange(64, dtype=np.uint16).reshape(8, 8) * 1000
    found = seen(png(values, 0, clear=21_000))[..., 0]
    right = np.rint(values / 257)
    right[values == 21_000] = 255
    np.testing.assert_allclose(found, right, atol=1)


@pytest.mark.parametrize(("count", "colour"), [(2, 4), (3, 2), (4, 6)])
def test_pngs_that_are_read_by_half_are_said(tmp_path: Path, count: int, colour: int) -> None:
    for i in range(2):
        (tmp_path / f"{i}.png").write_bytes(png(bands(count).astype(np.uint16) + 300, colour))
    said = "2 of 2 files looked at have colours or opacity of 16 bits that can be read by their upper 8 bits only"
    assert any(said in note for note in open_images(tmp_path).notes)
