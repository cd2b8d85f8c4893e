"""TIFF files that Pillow does not read: doubles and halves, colours in floats, five bands or thirteen; and stacks.

Runs in the helper process only, which has limits on memory and time.
"""

from __future__ import annotations

from io import BytesIO
from itertools import islice
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ilk.files.samples import Kind, kind_of, without_no_data

__all__ = ["Raster", "is_tiff", "raster_size", "read_raster"]

_NO_DATA = 42113
_MIN_IS_WHITE = 0
_MOST_PAGES = 10_000


class Raster(NamedTuple):
    """The first picture of a TIFF file.

    Attributes
    ----------
    values : (h, w) or (h, w, bands)
        As stored; what the file says is no data is NaN, and such values are floats then.
    kind : str or None
        Which rule the samples follow; None for 8 bits.
    depth : int
        Bits of a sample that count, where the file states fewer than its type has, which then decides; else 0.
    inverted : bool
        The largest value is black.
    pages : int
    """

    values: NDArray[Any]
    kind: Kind | None
    depth: int
    inverted: bool
    pages: int


def is_tiff(data: bytes) -> bool:
    """Return whether these are the first bytes of a TIFF file, or of a large one (BigTIFF)."""
    return data[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


def raster_size(data: bytes) -> tuple[int, int]:
    """Return (width, height) of the first picture, from its header."""
    import tifffile

    with tifffile.TiffFile(BytesIO(data)) as file:
        page: Any = file.pages.first
        return int(page.imagewidth), int(page.imagelength)


def read_raster(data: bytes) -> Raster:
    """Read the first picture of a TIFF file.

    Raises
    ------
    ValueError
        What it holds cannot be read: the message says what it is.
    """
    import tifffile

    with tifffile.TiffFile(BytesIO(data)) as file:
        page: Any = file.pages.first
        if page.imagedepth > 1:
            raise ValueError("a TIFF of a volume, which is not a picture")
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
        return Raster(
            without_no_data(values, tag.value if tag else None),
            kind_of(values.dtype),
            bits if 8 < bits < 16 else 0,
            page.photometric == _MIN_IS_WHITE,
            pages,
        )


def _kind(page: Any) -> str:
    """Return what a page is, in words: "a TIFF of 13 bands of float64 (LZW)"."""
    bands = page.samplesperpixel
    packed = getattr(page.compression, "name", str(page.compression))
    what = f"{bands} bands of " if bands > 1 else ""
    return f"a TIFF of {what}{page.dtype}" + ("" if packed == "NONE" else f" ({packed})")
