"""Sprite sheets: 256 thumbnails of 48 px in one WebP picture, as runs and caches of an older ilk have them."""

from __future__ import annotations

from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ilk.errors import DataError

__all__ = ["CELLS", "COLUMNS", "SHEET_BYTES", "SIDE", "decode_sheet"]

SIDE = 48  # pixels
COLUMNS = 16
CELLS = 256  # thumbnails in a sheet
SHEET_BYTES = 8 << 20  # 14 bytes a pixel: more is no sheet


def decode_sheet(data: bytes, count: int | None = None) -> NDArray[np.uint8]:
    """The first `count` thumbnails of a sheet (None: all its cells), uint8 (count, 48, 48, 3).

    Raises
    ------
    DataError
        Where it is not a sheet, or holds fewer.
    """
    width, height = _webp_size(data)  # first: Pillow makes room for all that a WebP file claims when it opens it
    if not width:
        raise DataError("a sprite sheet is damaged: it is no WebP picture")
    if width != COLUMNS * SIDE or not 0 < height <= CELLS // COLUMNS * SIDE or height % SIDE:
        raise DataError(f"a sprite sheet is {COLUMNS * SIDE} pixels wide; this is {width} × {height}")
    try:
        with Image.open(BytesIO(data), formats=["WEBP"]) as image:
            sheet = np.array(image.convert("RGB"))
    except (OSError, SyntaxError, ValueError) as error:
        raise DataError(f"a sprite sheet is damaged: {error}") from error
    if sheet.shape[:2] != (height, width):
        raise DataError("a sprite sheet is damaged: its pixels are not as many as it says")
    cells = sheet.reshape(-1, SIDE, COLUMNS, SIDE, 3).swapaxes(1, 2).reshape(-1, SIDE, SIDE, 3)
    if count is not None and count > len(cells):
        raise DataError(f"a sprite sheet holds {len(cells)} thumbnails, {count} were expected")
    return np.ascontiguousarray(cells[:count])


def _webp_size(data: bytes) -> tuple[int, int]:
    """Return (width, height) of a WebP file from its first bytes; (0, 0) where it is none."""
    if data[:4] != b"RIFF" or data[8:12] != b"WEBP" or len(data) < 30:
        return 0, 0
    kind = data[12:16]
    if kind == b"VP8 " and data[23:26] == b"\x9d\x01\x2a":
        return int.from_bytes(data[26:28], "little") & 0x3FFF, int.from_bytes(data[28:30], "little") & 0x3FFF
    if kind == b"VP8L":
        both = int.from_bytes(data[21:25], "little")
        return (both & 0x3FFF) + 1, (both >> 14 & 0x3FFF) + 1
    if kind == b"VP8X":
        return int.from_bytes(data[24:27], "little") + 1, int.from_bytes(data[27:30], "little") + 1
    return 0, 0
