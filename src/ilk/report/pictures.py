"""Pixels to show: the run's thumbnails, and larger pictures from the source where that is open."""

from __future__ import annotations

import base64
import io
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
from PIL import Image

from ilk.errors import DataError, IlkError
from ilk.files.arrays import ArraySet
from ilk.files.decode import content_hash, decode, probe
from ilk.files.features import FeatureSet
from ilk.files.listing import Listing
from ilk.files.opening import Source as Opened
from ilk.files.opening import open_source
from ilk.files.render import MAX_SIDE
from ilk.files.samples import Samples
from ilk.files.sprites import sprites_of
from ilk.files.thumbs import SHORTER, UNSEEN, squares
from ilk.files.together import open_together
from ilk.report.facts import Facts
from ilk.runs import Run

Pixels = npt.NDArray[np.uint8]
Source = Opened | None
T = TypeVar("T")

SMALL = 64  # px; images up to this size are shown pixel by pixel
THUMB = 48  # px; side of the smallest pictures
SIDE = 112  # px of a picture that is taken from the source
LARGE_QUALITY = 72
MISSING = np.full((THUMB, THUMB, 3), 200, np.uint8)


def images_of(run: Run) -> Source:
    """Return the images that a run was made from, where they can be found again; None elsewhere.

    Lists a folder once. What a file is now must have the content that the run knows before it is shown; of an array,
    the whole.
    """
    records = run.sources()
    try:
        found = open_together(records).images if records[0].get("spec") is not None else None
    except (IlkError, OSError):
        return None
    if isinstance(found, Listing):
        return found if run.hashes() else None
    return found if isinstance(found, ArraySet) and found.fingerprint() == records[0].get("fingerprint") else None


class Pictures:
    """Where pixels come from while one report is being made.

    Attributes
    ----------
    small : bool
        The images are at most 64 px: show their pixels, enlarged without smoothing.
    sharp : bool
        The source is open, so images can be had larger than their thumbnails.
    has_thumbs : bool
        The run holds thumbnails.
    old : bool
        They have 48 pixels, as an older ilk made them: a picture of more than that comes from the source.
    there : bool
        There is something to show: the run is not of features alone.
    note : str
        Why there are thumbnails only, although a source was given; else empty.
    """

    def __init__(self, run: Run, facts: Facts, source: Source = None) -> None:
        self.small = 0 < facts.longest <= SMALL
        self.note = ""
        self._paths = facts.paths
        self._hashes = run.hashes()
        self._samples = Samples.of_run(run.header)
        self._sprites = sprites_of(run.thumbs())
        self.old = self._sprites is None or self._sprites.old
        self._source = self._opened(source)
        self._position = {} if self._source is None else {name: i for i, name in enumerate(self._source.names)}
        if self._source is not None and not any(path in self._position for path in self._paths[:1000]):
            self._source, self.note = None, "The source given holds other images than this run."
        self.sharp = self._source is not None
        self.has_thumbs = self._sprites is not None
        self.there = self.sharp or self.has_thumbs

    def _opened(self, source: Source) -> Listing | ArraySet | None:
        if source is None:
            return None
        try:
            found = open_source(source)
            return None if isinstance(found, FeatureSet) else found
        except (IlkError, OSError) as error:
            self.note = f"The source could not be opened: {error}"
            return None

    def rows(self, rows: Sequence[Sequence[int]], side: int = THUMB) -> list[list[Pixels]]:
        """Return the pictures of several rows of images, as `pixels`."""
        found = iter(self.pixels([i for row in rows for i in row], side))
        return [[next(found) for _ in row] for row in rows]

    def pixels(self, index: Sequence[int], side: int = THUMB) -> list[Pixels]:
        """Return the central square of each image, uint8 (side, side, 3); small images as they are, at their own size.

        From the thumbnails; of an older run whose thumbnails are smaller, from the source where it is open.
        """
        index = list(index)
        found: list[Pixels | None] = [None] * len(index)
        if self.old and self.sharp and (side > THUMB or self.small):
            found = self._from_source(index, 0 if self.small else side)
        missing = [i for i, p in zip(index, found, strict=True) if p is None]
        thumbs = iter(_spread(lambda i: self._square(i, side), missing))
        return [next(thumbs) if p is None else p for p in found]

    def addresses(self, index: Sequence[int]) -> list[str]:
        """Return a picture of each image as a ``data:`` address: its thumbnail as it is in the run."""
        index = list(index)
        if self.old and self.sharp:
            return [data_uri(pixels, exact=self.small) for pixels in self.pixels(index, SIDE)]
        return [address(*self._file(i)) for i in index]

    def larger(self, index: Sequence[int], side: int) -> list[bytes | None]:
        """Return each image as a JPEG of at most `side` pixels a side; None where it is no larger than its thumbnail.

        None as well where the source is not open, or does not have the image any more.
        """
        if not self.sharp or self.small:
            return [None] * len(index)
        return _spread(lambda i: self._larger(i, side), list(index))

    def _larger(self, i: int, side: int) -> bytes | None:
        pixels = self._whole(i, side)
        if pixels is None or min(pixels.shape[:2]) <= SHORTER:
            return None
        image = Image.fromarray(np.ascontiguousarray(pixels))
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", quality=LARGE_QUALITY, optimize=True)
        return buffer.getvalue()

    def _file(self, i: int) -> tuple[bytes, str]:
        try:
            if self._sprites is not None:
                return self._sprites.picture(i)
        except (DataError, IndexError):  # a pack is gone or damaged: all the others still serve
            pass
        return UNSEEN, "image/png"

    def _square(self, i: int, side: int) -> Pixels:
        pixels = MISSING
        try:
            if self._sprites is not None:
                pixels = self._sprites.pixels(i)
        except (DataError, IndexError):
            pass
        if self.small and not self.old and pixels is not MISSING:
            return pixels
        square: Pixels = squares([pixels], side)[0]
        return square

    def _from_source(self, index: list[int], side: int) -> list[Pixels | None]:
        """Return pictures from the source: squares, or whole ones where `side` is 0."""

        def one(i: int) -> Pixels | None:
            whole = self._whole(i)
            return whole if whole is None or not side else squares([whole], side)[0]

        return _spread(one, index)

    def _whole(self, i: int, side: int = MAX_SIDE) -> Pixels | None:
        """Return an image, uint8 (h, w, 3), both sides at most `side`; None where the source does not have it."""
        row = self._position.get(self._paths[i])
        if row is None or self._source is None:
            return None
        if isinstance(self._source, ArraySet):
            image = Image.fromarray(np.ascontiguousarray(_rgb(self._source.pixels[row])))
            image.thumbnail((side, side), Image.Resampling.BICUBIC, reducing_gap=2.0)
            return np.asarray(image)
        try:
            data = self._source.read(row)
            if self._hashes and content_hash(data).hex() != self._hashes[i]:  # another image by now
                return None
            if (sides := probe(data)) is None:
                return None
            scale = min(1.0, side / max(sides))
            size = max(1, round(sides[1] * scale)), max(1, round(sides[0] * scale))
            return decode(data, size, resize="stretch", samples=self._samples).pixels
        except OSError:
            return None


def _spread(task: Callable[[int], T], index: list[int]) -> list[T]:
    """Call `task` for each of `index` on some cores: decoding leaves the interpreter free."""
    if len(index) < 2:
        return [task(i) for i in index]
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        return list(pool.map(task, index))


def _rgb(pixels: npt.NDArray[Any]) -> Pixels:
    """Turn one image of an array, grey or with alpha, into (h, w, 3)."""
    pixels = np.asarray(pixels, np.uint8)
    if pixels.ndim == 2:
        pixels = pixels[:, :, None]
    return np.repeat(pixels[:, :, :1], 3, axis=2) if pixels.shape[2] < 3 else pixels[:, :, :3]


def data_uri(pixels: Pixels, *, exact: bool = False) -> str:
    """Return a picture as a ``data:`` address for HTML: WebP, `exact` for lossless."""
    buffer = io.BytesIO()
    image = Image.fromarray(np.ascontiguousarray(pixels))
    if exact:
        image.save(buffer, "WEBP", lossless=True, quality=20, method=1)
    else:
        image.save(buffer, "WEBP", quality=80, method=3)
    return "data:image/webp;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def address(data: bytes, kind: str) -> str:
    """Return a picture file as a ``data:`` address for HTML."""
    return f"data:{kind};base64,{base64.b64encode(data).decode('ascii')}"
