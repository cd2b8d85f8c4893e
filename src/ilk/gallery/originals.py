"""The images themselves, by the number of their row: as they are where a browser shows them, else as JPEG or PNG."""

from __future__ import annotations

import threading
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from ilk import disk
from ilk.errors import DataError, IlkError
from ilk.exports.origin import Origin, find, png
from ilk.files import ArraySet, decode, probe
from ilk.files.exif import HEAD, Taken, taken
from ilk.gallery.columns import Columns
from ilk.runs import Run

__all__ = ["Originals"]

_SHOWN = ((b"\xff\xd8\xff", "image/jpeg"), (b"\x89PNG\r\n\x1a\n", "image/png"), (b"GIF8", "image/gif"))
_SIDE = 4096  # pixels of what is decoded for a browser, at most
_QUALITY = 88
_PATIENCE = 0.2  # seconds that what is said beside an image waits for the source


class Originals:
    """The source of a run, opened again when it is first needed; safe for threads.

    Parameters
    ----------
    run, columns
    """

    def __init__(self, run: Run, columns: Columns) -> None:
        self._run, self._columns = run, columns
        self._lock, self._known = threading.Lock(), threading.Event()
        self._origin: Origin | None = None
        self._gone: str | None = None

    def open(self) -> Origin | None:
        """Return the source; None where it cannot be had, and `gone` says why. Lists all files the first time."""
        with self._lock:
            if not self._known.is_set():
                try:
                    self._origin = find(self._run, self._columns.rows())
                except (IlkError, OSError) as error:
                    self._gone = str(error)
                self._known.set()
            return self._origin

    def _soon(self) -> Origin | None:
        """Return the source where another thread has opened it, or does so in a moment."""
        self._known.wait(_PATIENCE)
        return self._origin

    @property
    def gone(self) -> str | None:
        """Why there are no originals; None while nothing speaks against them."""
        return self._gone

    @property
    def soon(self) -> bool:
        """Whether the source is still being opened: what it says of an image is known then."""
        return not self._known.is_set()

    def file(self, row: int) -> str | None:
        """Return the whole path of an image; None where it is no file of its own, or not there (any more, or yet)."""
        origin = self._soon()
        if origin is None or row in origin.reasons or not origin.has_files:
            return None
        return origin.file(row)

    def picture(self, row: int, side: int | None = None) -> tuple[bytes, str]:
        """Return an image for a browser, and its media type.

        Parameters
        ----------
        row
        side
            Pixels of its longer side, at most.

        Raises
        ------
        DataError
            It cannot be had, or read.
        """
        origin = self.open()
        if origin is None:
            raise DataError(str(self._gone))
        if row in origin.reasons:
            raise DataError(f"{self._columns.paths[row]}: {origin.reasons[row]}")
        if isinstance(origin.images, ArraySet):
            return png(_at_most(origin.images.pixels[origin.at[row]], side)), "image/png"
        try:
            data = origin.content(row, as_png=False)
        except OSError as error:
            raise DataError(f"{self._columns.paths[row]} cannot be read: {error.strerror or error}") from None
        kind, size = _kind(data), probe(data)
        if kind is not None and (side is None or (size is not None and max(size) <= side)):
            return data, kind
        return self._decoded(row, data, size, min(side or _SIDE, _SIDE), origin)

    def taken(self, row: int) -> Taken:
        """Return when and with what an image was taken; never raises."""
        origin = self._soon()
        if origin is None or row in origin.reasons or isinstance(origin.images, ArraySet) or origin.images.remote:
            return Taken()  # at an address it would be a request for every image
        try:
            path = origin.images.path(int(origin.at[row]))
            if path is None:
                return taken(origin.images.read(int(origin.at[row]))[:HEAD])
            with disk.opened(Path(path), follow=True) as file:
                return taken(file.read(HEAD))
        except OSError:
            return Taken()

    def _decoded(
        self, row: int, data: bytes, size: tuple[int, int] | None, side: int, origin: Origin
    ) -> tuple[bytes, str]:
        """Decode in the helper process, and encode what it gives."""
        wanted = None
        if size is not None and max(size) > side:
            wanted = tuple(max(1, round(length * side / max(size))) for length in (size[1], size[0]))
        found = decode(data, wanted, resize="stretch", samples=origin.samples, apart=True)  # type: ignore[arg-type]
        if found.pixels is None:
            raise DataError(f"{self._columns.paths[row]} cannot be shown: {found.reason}")
        if wanted is None and found.pixels.size <= 3 * 256 * 256:  # small ones keep every pixel
            return png(found.pixels), "image/png"
        out = BytesIO()
        Image.fromarray(found.pixels).save(out, "JPEG", quality=_QUALITY)
        return out.getvalue(), "image/jpeg"


def _kind(data: bytes) -> str | None:
    """Return the media type of what every browser shows; None of anything else. What the file is called counts not."""
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "image/webp"
    return next((kind for magic, kind in _SHOWN if data.startswith(magic)), None)


def _at_most(pixels: npt.NDArray[Any], side: int | None) -> npt.NDArray[np.uint8]:
    """Return pixels of an array with every so-manieth where they are more than `side`."""
    step = 1 if side is None else max(1, -(-max(pixels.shape[:2]) // side))
    return np.ascontiguousarray(pixels[::step, ::step])
