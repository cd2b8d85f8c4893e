"""TIFF files that Pillow does not read: doubles and float16, colours in floats, five bands or thirteen; and stacks.

Runs in the helper process only, which has limits on memory and time.
"""

from __future__ import annotations

from io import BytesIO
from itertools import islice
from typing import Any

import numpy as np

from ilk.files.samples import Raster, kind_of, without_no_data

__all__ = ["is_tiff", "raster_size", "read_raster"]

_NO_DATA = 42113
_MIN_IS_WHITE = 0
# What bands of a picture mean where they are not grey values or red, green and blue (which 0, 1 and 2 say).
_MODELS = {
    3: "a palette",
    5: "CMYK",
    6: "YCbCr",
    8: "CIELAB",
    9: "ICCLAB",
    10: "ITULAB",
    32844: "LogL",
    32845: "LogLuv",
}
_ASSOCIATED = 1  # colours are multiplied by their opacity
_MOST_PAGES = 10_000
_LOOKED = 16
_ORIENTATION = 274


def is_tiff(data: bytes) -> bool:
    """Return whether these are the first bytes of a TIFF file, or of a large one (BigTIFF)."""
    return data[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


def raster_size(data: bytes) -> tuple[int, int]:
    """Return (width, height) of the first picture, from its header."""
    import tifffile

    with tifffile.TiffFile(BytesIO(data)) as file:
        page: Any = _picture(file)
        width, height = int(page.imagewidth), int(page.imagelength)
    return (height, width) if _turn(page) >= 5 else (width, height)


def _picture(file: Any) -> Any:
    """Return the first page that is not a small copy of another; the first where all are."""
    pages = [page for page in islice(file.pages, _LOOKED) if hasattr(page, "is_reduced")]
    return next((page for page in pages if not page.is_reduced), pages[0])


def _turn(page: Any) -> int:
    tag = page.tags.get(_ORIENTATION)
    value = tag.value if tag else 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def read_raster(data: bytes, plain: bool = False) -> Raster:
    """Read the first picture of a TIFF file.

    Parameters
    ----------
    data
    plain
        Whether bands are wanted as they are stored, whatever colours they stand for.

    Raises
    ------
    ValueError
        What it holds cannot be read: the message says what it is.
    """
    import tifffile

    with tifffile.TiffFile(BytesIO(data)) as file:
        page: Any = _picture(file)
        if page.imagedepth > 1:
            raise ValueError("a TIFF of a volume, which is not a picture")
        if not plain and (model := _MODELS.get(int(page.photometric))):
            raise ValueError(f"{_kind(page)}, whose colours are {model}: save it as RGB")
        try:
            values = page.asarray()
        except Exception as error:
            why = str(error).splitlines()[0][:80] if str(error) else "cannot be read"
            raise ValueError(f"{_kind(page)}: {why}") from error
        if page.planarconfig == 2 and values.ndim == 3:
            values = np.moveaxis(values, 0, -1)
        values = values[..., 0] if values.ndim == 3 and values.shape[2] == 1 else values
        if values.ndim not in (2, 3) or values.dtype.kind not in "biuf":
            raise ValueError(f"{_kind(page)}: of a kind that cannot be shown")
        pages = sum(not getattr(other, "is_reduced", False) for other in islice(file.pages, _MOST_PAGES))
        tag = page.tags.get(_NO_DATA)
        bits = page.bitspersample if isinstance(page.bitspersample, int) else min(page.bitspersample or (0,))
        extra = page.extrasamples or ()
        profile = page.iccprofile if isinstance(page.iccprofile, bytes) else b""
        return Raster(
            without_no_data(values, tag.value if tag else None),
            kind_of(values.dtype),
            bits if 8 < bits < 16 else 0,
            inverted=page.photometric == _MIN_IS_WHITE,
            turn=_turn(page),
            profile=profile,
            alpha=values.ndim == 3 and values.shape[2] in (2, 4) and any(int(kind) in (1, 2) for kind in extra),
            multiplied=_ASSOCIATED in map(int, extra),
            pages=pages,
        )


def _kind(page: Any) -> str:
    """Return what a page is, in words: "a TIFF of 13 bands of float64 (LZW)"."""
    bands = page.samplesperpixel
    packed = str(getattr(page.compression, "name", page.compression))
    packed = packed if packed.isidentifier() else f"compression {int(page.compression)}"
    what = f"{bands} bands of " if bands > 1 else ""
    return f"a TIFF of {what}{page.dtype}" + ("" if packed == "NONE" else f" ({packed})")
