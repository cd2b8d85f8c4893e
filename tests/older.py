"""Thumbnails as an older ilk wrote them: sprite sheets, which it no longer writes."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ilk.files.sheets import CELLS, COLUMNS, SIDE


def encode_sheet(thumbs: NDArray[np.uint8]) -> bytes:
    """WebP sprite sheet of up to 256 thumbnails, uint8 (n, 48, 48, 3)."""
    count = len(thumbs)
    if not 1 <= count <= CELLS or thumbs.shape[1:] != (SIDE, SIDE, 3):
        raise ValueError(f"thumbs of shape {thumbs.shape}; a sheet holds 1 to {CELLS} of (48, 48, 3)")
    rows = -(-count // COLUMNS)
    cells = np.full((rows * COLUMNS, SIDE, SIDE, 3), 255, np.uint8)
    cells[:count] = thumbs
    sheet = cells.reshape(rows, COLUMNS, SIDE, SIDE, 3).swapaxes(1, 2).reshape(rows * SIDE, COLUMNS * SIDE, 3)
    out = BytesIO()
    Image.fromarray(sheet).save(out, "WEBP", quality=80, method=2)
    return out.getvalue()


def write_sheets(folder: Path, cells: np.ndarray) -> None:
    """Write uint8 (n, 48, 48, 3) as 00000.webp, 00001.webp, …"""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(-(-len(cells) // CELLS)):
        data = encode_sheet(cells[number * CELLS : (number + 1) * CELLS])
        (folder / f"{number:05d}.webp").write_bytes(data)
