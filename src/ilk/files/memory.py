"""Images in memory that are no array: a list of Pillow images, or of arrays of several sizes -> `Listing`."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from ilk.errors import DataError
from ilk.files.listing import Listing
from ilk.files.passed import PassedOver
from ilk.files.reading import Reader

__all__ = ["are_pictures", "list_pictures"]

_PNG = {"1", "L", "LA", "P", "RGB", "RGBA", "I", "I;16"}  # modes that a PNG holds as they are; a TIFF holds the others


def are_pictures(values: Sequence[Any]) -> bool:
    """Whether all `values` are images of Pillow."""
    if not len(values) or not hasattr(values[0], "getexif"):  # Pillow is not imported to say no
        return False
    from PIL import Image

    return all(isinstance(value, Image.Image) for value in values)


def list_pictures(images: Sequence[Any]) -> Listing:
    """Return Pillow images as a listing; they are named by their number, as those of an array.

    Orientation, colour profile, palette and transparency count as in a file.

    Raises
    ------
    DataError
        One cannot be loaded.

    Notes
    -----
    The images are kept and not copied; each is encoded without loss when it is read.
    """
    digest = hashlib.blake2b(digest_size=16)
    for i, image in enumerate(images):
        try:
            digest.update(f"{image.mode}{image.size}{image.getexif().get(274, 1)}".encode())
            digest.update(image.tobytes())
        except (OSError, ValueError, SyntaxError) as error:
            raise DataError(f"image {i} of the list cannot be loaded: {error}") from error

    n = len(images)
    width = max(6, len(str(max(n - 1, 0))))
    names = [f"{i:0{width}d}" for i in range(n)]
    zeros = np.zeros(n, np.int64)
    return Listing("images", Path(), names, zeros, zeros, {}, PassedOver(), [], _Pictures(images), digest.hexdigest())


@dataclass(frozen=True)
class _Pictures(Reader):
    """Pillow images, each encoded when it is read."""

    images: Sequence[Any]

    def __call__(self, i: int) -> bytes:
        from PIL import ImageOps

        upright = ImageOps.exif_transpose(self.images[i])
        out = BytesIO()
        if upright.mode in _PNG:
            upright.save(out, "PNG", compress_level=1)
        else:
            upright.save(out, "TIFF")
        return out.getvalue()

    def take(self, rows: Sequence[int]) -> _Pictures:
        return _Pictures([self.images[i] for i in rows])
