"""Images that are files, decoded on demand."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ilk import compute
from ilk.data.sources import (
    Block,
    Index,
    Known,
    Resize,
    Size,
    as_index,
    by_size,
    check_size,
    listed,
    training_size,
)
from ilk.disk import one_line
from ilk.errors import DataError
from ilk.files import Listing, Samples, content_hash, decode, probe, reading_ahead

__all__ = ["FolderImages"]

_WIDEST = np.iinfo(np.int32).max


class FolderImages:
    """Images of a folder, an archive, a list of files, a Parquet file, or several of these. Final.

    Nothing is decoded before it is asked for, and nothing is kept. Without `sized`, `read` gives small uniform images
    as they are and brings all others to a centre crop of 28, 32 or 96 pixels, by the median shorter side.

    Parameters
    ----------
    listing : Listing
        What `ilk.files.open_source` gives.
    samples : Samples
        What is black and white in samples beyond 8 bits; see `ilk.files.survey`.
    """

    def __init__(self, listing: Listing, samples: Samples = Samples()) -> None:  # noqa: B008 - frozen
        self._listing = listing
        self.kind = str(listing.kind)
        self.notes = list(listing.notes)
        self.samples = samples
        self._size: tuple[int, int] | None = None
        self._how: tuple[Resize, float] = ("crop", 1.0)
        self._sizes: npt.NDArray[np.int32] | None = None

    def __len__(self) -> int:
        return len(self._listing.names)

    @property
    def listing(self) -> Listing:
        """The files themselves: names, bytes, stamps."""
        return self._listing

    @property
    def shape(self) -> tuple[int, int, int]:
        """(3, h, w) of what `read` gives."""
        if self._size is None:
            self._size = training_size(self)
        return (3, *self._size)

    def read(self, index: Index) -> Tensor:
        """Return uint8 (b, 3, h, w), decoded by several threads.

        Raises
        ------
        DataError
            Images that cannot be read, by name, with the first one's reason.
        """
        rows = as_index(index)
        _, height, width = self.shape
        pixels = np.zeros((len(rows), height, width, 3), np.uint8)
        reasons: list[str | None] = [None] * len(rows)

        def one(i: int) -> None:
            data, reasons[i] = self._bytes(int(rows[i]))
            if data is not None:
                found = decode(data, (height, width), resize=self._how[0], crop_pct=self._how[1], samples=self.samples)
                reasons[i] = found.reason
                if found.pixels is not None:
                    pixels[i] = found.pixels

        with reading_ahead(self._listing, rows.tolist()):
            _spread(one, len(rows))
        bad = [i for i, reason in enumerate(reasons) if reason is not None]
        if bad:
            names = listed(self.names(rows[bad]))
            raise DataError(f"{len(bad)} of {len(rows)} images cannot be read: {names} ({reasons[bad[0]]})")
        return torch.from_numpy(pixels).permute(0, 3, 1, 2)

    def names(self, index: Index | None = None) -> list[str]:
        """Return the names of the rows `index`, or of all."""
        names = self._listing.names
        return list(names) if index is None else [names[row] for row in as_index(index).tolist()]

    def fingerprint(self) -> str:
        """Return hex digits that change when names, sizes or time stamps do."""
        return self._listing.fingerprint()

    def scan(self, index: Index, known: Known | None = None, *, bare: bool = False) -> Block:
        """Read each file once: hash it and, unless its hash is `known`, decode it and make its thumbnail.

        `bare`: no thumbnail. Works in the calling thread; the parts that take time
        let other threads run. Never raises for an odd file.
        """
        rows = as_index(index)
        _, height, width = self.shape
        pixels = np.zeros((len(rows), height, width, 3), np.uint8)
        block = Block.empty(rows, torch.from_numpy(pixels).permute(0, 3, 1, 2))
        for i, row in enumerate(rows.tolist()):
            data, block.reasons[i] = self._bytes(row)
            block.sizes[i] = int(self._listing.sizes[row]) if data is None else len(data)
            if data is None:
                continue
            block.hashes[i] = content_hash(data)
            if known is not None and known(block.hashes[i]):
                continue
            resize, crop_pct = self._how
            found = decode(
                data, (height, width), resize=resize, crop_pct=crop_pct, samples=self.samples, thumb=not bare
            )
            block.widths[i], block.heights[i] = min(found.width, _WIDEST), min(found.height, _WIDEST)
            block.reasons[i] = found.reason
            if found.pixels is not None:
                pixels[i] = found.pixels
                block.ok[i] = True
                block.thumbs[i] = found.thumb
        return block

    def part(self, a: int, b: int) -> FolderImages:
        """Return the images `a` to `b` (exclusive), as `Listing.part` does; the memory of their files is kept."""
        return self._of(self._listing.part(a, b))

    def take(self, rows: Index) -> FolderImages:
        """Return the images `rows` alone, in that order."""
        return self._of(self._listing.take(as_index(rows).tolist()))

    def _of(self, listing: Listing) -> FolderImages:
        other = FolderImages(listing, self.samples)
        other._sizes, other._size, other._how = self._sizes, self._size, self._how
        return other

    def sized(self, image_size: Size | None, resize: Resize = "crop", crop_pct: float = 1.0) -> FolderImages:
        """Return the same images, brought to another size; None means the source's own choice."""
        other = FolderImages(self._listing, self.samples)
        other._sizes = self._sizes
        other._size = None if image_size is None else check_size(image_size, resize, crop_pct)
        other._how = (resize, crop_pct)
        return other

    def probe(self, at_most: int = 64) -> npt.NDArray[np.int32]:
        """Return (m, 2) int32 height and width of up to `at_most` images, from their headers.

        Which ones is a matter of their sizes in bytes and not of their names: see `ilk.data.sources.by_size`.
        """
        if self._sizes is None:
            found: list[tuple[int, int]] = []
            chosen = by_size(self._listing.sizes, at_most).tolist()
            with reading_ahead(self._listing, chosen):
                for row in chosen:
                    data, _ = self._bytes(row)
                    size = None if data is None else probe(data)
                    if size is not None and size[0] * size[1] <= _WIDEST:  # a header may claim anything
                        found.append((size[1], size[0]))
            self._sizes = np.array(found, np.int32).reshape(-1, 2)
        return self._sizes

    def stamps(self) -> list[bytes] | None:
        """Return for each row 16 bytes of (path, name, size, time stamp), without reading a file: `Listing.marks`."""
        return self._listing.marks()

    def _bytes(self, row: int) -> tuple[bytes | None, str | None]:
        """Return (bytes, None), or (None, reason)."""
        refused = self._listing.refused.get(row)
        if refused is not None:
            return None, refused
        try:
            return self._listing.read(row), None
        except OSError as error:
            return None, f"cannot be read: {one_line(error.strerror or error)}"


def _spread(task: Callable[[int], Any], n: int) -> None:
    """Call `task` for 0 ... n - 1 on several threads."""
    if n < 4:
        for i in range(n):
            task(i)
        return
    with ThreadPoolExecutor(min(n, compute.threads())) as pool:
        list(pool.map(task, range(n)))
