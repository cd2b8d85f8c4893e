"""Thumbnails as an older ilk wrote them: sprite sheets, which it no longer writes."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ilk.files.sheets import CELLS, encode_sheet


def write_sheets(folder: Path, cells: np.ndarray) -> None:
    """Write uint8 (n, 48, 48, 3) as 00000.webp, 00001.webp, …"""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(-(-len(cells) // CELLS)):
        data = encode_sheet(cells[number * CELLS : (number + 1) * CELLS])
        (folder / f"{number:05d}.webp").write_bytes(data)
