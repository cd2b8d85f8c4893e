"""FITS, the astronomers' format, in its own numbers: signed, shifted and scaled as the header says."""

from __future__ import annotations

from io import BytesIO

import numpy as np

from ilk.files.samples import Kind, Raster

__all__ = ["fits_size", "is_fits", "read_fits"]

_BLOCK, _CARD, _MOST_BLOCKS = 2880, 80, 64
_TYPES = {8: ">u1", 16: ">i2", 32: ">i4", 64: ">i8", -32: ">f4", -64: ">f8"}


def is_fits(data: bytes) -> bool:
    """Return whether these are the first bytes of a FITS file."""
    return data.startswith(b"SIMPLE  =")


def fits_size(data: bytes) -> tuple[int, int]:
    """Return (width, height) of the picture."""
    cards, _ = _header(data)
    return int(cards["NAXIS1"]), int(cards["NAXIS2"])


def read_fits(data: bytes) -> Raster:
    """Read the first plane of the first picture, upright: FITS counts rows from the bottom.

    Raises
    ------
    ValueError
        It holds no picture, or fewer bytes than it says.
    """
    cards, start = _header(data)
    bits, width, height = int(cards["BITPIX"]), int(cards["NAXIS1"]), int(cards["NAXIS2"])
    if bits not in _TYPES:
        raise ValueError(f"{bits} bits a sample, which FITS does not know")
    stored = np.dtype(_TYPES[bits])
    plane = BytesIO(data[start : start + width * height * stored.itemsize]).getvalue()
    if len(plane) < width * height * stored.itemsize:
        raise ValueError("unexpected end of file")
    values = np.frombuffer(plane, stored).reshape(height, width)[::-1]
    scale, shift = cards.get("BSCALE", 1.0), cards.get("BZERO", 0.0)
    kind: Kind | None = None if bits == 8 else "float" if bits < 0 else "integer"
    missing = values == cards["BLANK"] if bits > 0 and "BLANK" in cards else None
    if bits == 16 and (scale, shift) == (1.0, 32768.0):
        kind = "uint16"
    if (scale, shift) != (1.0, 0.0) or missing is not None:
        values = values * scale + shift  # float64
        kind = kind or "integer"
    if missing is not None:
        values = np.where(missing, np.nan, values)
    return Raster(values.astype(values.dtype.newbyteorder("=")), kind)


def _header(data: bytes) -> tuple[dict[str, float], int]:
    """Return the cards that hold numbers, and where the picture begins."""
    cards: dict[str, float] = {}
    for block in range(_MOST_BLOCKS):
        text = data[block * _BLOCK : (block + 1) * _BLOCK]
        if len(text) < _BLOCK:
            break
        for at in range(0, _BLOCK, _CARD):
            card = text[at : at + _CARD].decode("ascii", "replace")
            if card.startswith("END "):
                sides = [cards.get(key, 0) for key in ("NAXIS1", "NAXIS2")]
                if "BITPIX" not in cards or cards.get("NAXIS", 0) < 2 or min(sides) < 1:
                    raise ValueError("its first part holds no picture")
                return cards, (block + 1) * _BLOCK
            if card[8:10] == "= ":
                value = card[10:].partition("/")[0].strip().replace("D", "E")
                try:
                    cards[card[:8].strip()] = float(value)
                except ValueError:
                    continue  # words
    raise ValueError("its header does not end")
