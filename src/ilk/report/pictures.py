"""Pixels to show: from the source where it can be opened, from the run's 48 px thumbnails otherwise."""

from __future__ import annotations

import base64
import io
import itertools
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from ilk.errors import DataError, IlkError
from ilk.files.arrays import ArraySet
from ilk.files.decode import decode
from ilk.files.features import FeatureSet
from ilk.files.listing import Listing
from ilk.files.opening import Source as Opened
from ilk.files.opening import open_source
from ilk.files.samples import Samples
from ilk.files.sprites import JoinedSprites, sprites_of
from ilk.files.thumbs import CELLS, Sprites
from ilk.report.facts import Facts
from ilk.runs import Run

Pixels = npt.NDArray[np.uint8]
Source = Opened | None

SMALL = 64  # px; images up to this size are shown pixel by pixel
THUMB = 48  # px; side of a thumbnail of the run
MISSING = np.full((THUMB, THUMB, 3), 200, np.uint8)


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
    there : bool
        There is something to show: the run is not of features alone.
    note : str
        Why there are thumbnails only, although a source was given; else empty.
    """

    def __init__(self, run: Run, facts: Facts, source: Source = None) -> None:
        self.small = 0 < facts.longest <= SMALL
        self.note = ""
        self._paths = facts.paths
        self._samples = Samples.of_run(run.header)
        self._folders = run.thumbs()
        self._source = self._opened(source)
        self._position = {} if self._source is None else {name: i for i, name in enumerate(self._source.names)}
        if self._source is not None and not any(path in self._position for path in self._paths[:1000]):
            self._source, self.note = None, "The source given holds other images than this run."
        self.sharp = self._source is not None
        self.has_thumbs = bool(self._folders)
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

    def rows(self, rows: Sequence[Sequence[int]], side: int = 0) -> list[list[Pixels]]:
        """Return the pictures of several rows of images; together, because each sprite sheet is then read once."""
        found = iter(self.pixels([i for row in rows for i in row], side))
        return [[next(found) for _ in row] for row in rows]

    def pixels(self, index: Sequence[int], side: int = 0) -> list[Pixels]:
        """Return one (h, w, 3) picture per image: `side` px square from the source, thumbnails where `side` is 0.

        Small images come at their own size. An image that can no longer be read comes as its thumbnail.
        """
        index = list(index)
        found: list[Pixels | None] = [None] * len(index)
        if side and isinstance(self._source, ArraySet):
            found = [p if p is None or self.small else _resized(p, side) for p in self._own(index)]
        elif side and isinstance(self._source, Listing):
            with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
                found = list(pool.map(lambda i: self._decoded(i, side), index))
        missing = [i for i, p in zip(index, found, strict=True) if p is None]
        thumbs = iter(self._thumbs(missing))
        return [next(thumbs) if p is None else p for p in found]

    def _thumbs(self, index: list[int]) -> list[Pixels]:
        """Return thumbnails, decoding the sprite sheets side by side: each worker reads its own share of the sheets."""
        if not self._folders or not index:
            return [MISSING] * len(index)
        by_sheet = sorted(set(index))
        workers = min(os.cpu_count() or 1, 1 + by_sheet[-1] // CELLS, 8)
        cuts = [by_sheet[len(by_sheet) * w // workers] // CELLS * CELLS for w in range(workers)]
        bounds = [*cuts, by_sheet[-1] + 1]
        parts = [[i for i in by_sheet if low <= i < high] for low, high in itertools.pairwise(bounds)]
        with ThreadPoolExecutor(workers) as pool:
            read = dict(zip(by_sheet, itertools.chain.from_iterable(pool.map(self._sheets, parts)), strict=True))
        return [read[i] for i in index]

    def _sheets(self, index: list[int]) -> list[Pixels]:
        sprites = sprites_of(self._folders)
        assert sprites is not None
        try:
            return list(sprites.read(index))
        except (DataError, IndexError):  # a sheet is gone or damaged: all the others still serve
            return [_thumb(sprites, i) for i in index]

    def _own(self, index: list[int]) -> list[Pixels | None]:
        assert isinstance(self._source, ArraySet)
        rows = [self._position.get(self._paths[i]) for i in index]
        return [None if r is None else _rgb(self._source.pixels[r]) for r in rows]

    def _decoded(self, i: int, side: int) -> Pixels | None:
        assert isinstance(self._source, Listing)
        position = self._position.get(self._paths[i])
        if position is None:
            return None
        try:
            data = self._source.read(position)
            return decode(data, None if self.small else (side, side), samples=self._samples).pixels
        except OSError:
            return None


def _thumb(sprites: Sprites | JoinedSprites, i: int) -> Pixels:
    try:
        return np.asarray(sprites.read([i])[0])
    except (DataError, IndexError):
        return MISSING


def _rgb(pixels: npt.NDArray[Any]) -> Pixels:
    """Turn one image of an array, grey or with alpha, into (h, w, 3)."""
    pixels = np.asarray(pixels, np.uint8)
    if pixels.ndim == 2:
        pixels = pixels[:, :, None]
    return np.repeat(pixels[:, :, :1], 3, axis=2) if pixels.shape[2] < 3 else pixels[:, :, :3]


def _resized(pixels: Pixels, side: int) -> Pixels:
    return np.asarray(Image.fromarray(pixels).resize((side, side), Image.Resampling.BOX))


def data_uri(pixels: Pixels, *, exact: bool = False) -> str:
    """Return a picture as a ``data:`` address for HTML: WebP, `exact` for lossless."""
    buffer = io.BytesIO()
    image = Image.fromarray(np.ascontiguousarray(pixels))
    if exact:
        image.save(buffer, "WEBP", lossless=True, quality=20, method=1)
    else:
        image.save(buffer, "WEBP", quality=80, method=3)
    return "data:image/webp;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
