"""What an image source is, and what it hands out.

A source gives pixels and names by index. It never augments and never knows labels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ilk.errors import ArgumentError
from ilk.files.thumbs import make_thumb

__all__ = [
    "SMALL",
    "THUMB",
    "Block",
    "ImageSource",
    "Index",
    "Known",
    "Resize",
    "Size",
    "is_small",
    "network_size",
    "square",
    "thumbnails",
    "training_size",
]

THUMB = 48
"""Side in pixels of the squares of thumbnails that figures show."""

SMALL = 64
"""Uniform images with both sides up to this are "small": worth using pixel by pixel."""

Index = Sequence[int] | npt.NDArray[np.integer[Any]] | Tensor
Known = Callable[[bytes], bool]
Size = int | tuple[int, int]  # a square side, or (height, width)
Resize = Literal["crop", "stretch"]


@dataclass(frozen=True)
class Block:
    """What `ImageSource.scan` found in b rows. Rows that are unreadable or already known have no pixels.

    Attributes
    ----------
    index : ndarray (b,) int64
        Rows of the source.
    pixels : Tensor uint8 (b, c, h, w)
        Zeros where `ok` is false.
    ok : ndarray (b,) bool
        True where `pixels` holds the image.
    hashes : list of bytes
        16 bytes that name the content; empty where the bytes could not be read at all.
    sizes : ndarray (b,) int64
        Bytes of the file or of the array row.
    widths, heights : ndarray (b,) int32
        As stored, orientation applied; 0 where unknown.
    reasons : list of (str or None)
        Why a row is unreadable; None for readable and for known rows.
    thumbs : list of bytes
        As `ilk.files.make_thumb` gives them; empty where `ok` is false.
    """

    index: npt.NDArray[np.int64]
    pixels: Tensor
    ok: npt.NDArray[np.bool_]
    hashes: list[bytes]
    sizes: npt.NDArray[np.int64]
    widths: npt.NDArray[np.int32]
    heights: npt.NDArray[np.int32]
    reasons: list[str | None]
    thumbs: list[bytes]

    @classmethod
    def empty(cls, index: Index, pixels: Tensor) -> Block:
        """Return a block for the rows `index` in which nothing has been found yet."""
        rows = as_index(index)
        b = len(rows)
        return cls(
            index=rows,
            pixels=pixels,
            ok=np.zeros(b, bool),
            hashes=[b""] * b,
            sizes=np.zeros(b, np.int64),
            widths=np.zeros(b, np.int32),
            heights=np.zeros(b, np.int32),
            reasons=[None] * b,
            thumbs=[b""] * b,
        )


@runtime_checkable
class ImageSource(Protocol):
    """n images, read by index. `ArrayImages` and `FolderImages` are the two kinds.

    Attributes
    ----------
    shape : tuple (c, h, w)
        Of what `read` gives.
    kind : str
        What the images come from: one of `ilk.files.ARRAY_KINDS`, or the kind of an `ilk.files.Listing`.
    notes : list of str
        What the user should know about the source.
    """

    kind: str
    notes: list[str]

    @property
    def shape(self) -> tuple[int, int, int]:
        """(c, h, w) of every image."""
        ...

    def __len__(self) -> int: ...

    def read(self, index: Index) -> Tensor:
        """Return uint8 (b, c, h, w); DataError names the images that cannot be read."""

    def names(self, index: Index | None = None) -> list[str]:
        """Return the names of the rows `index`, or of all."""

    def fingerprint(self) -> str:
        """Return hex digits that change when the images do."""

    def scan(self, index: Index, known: Known | None = None, *, bare: bool = False) -> Block:
        """Read, hash and thumbnail the rows `index`, but do not decode what is `known`. An odd file never raises.

        `bare`: no thumbnail.
        """

    def sized(self, image_size: Size | None, resize: Resize = "crop", crop_pct: float = 1.0) -> ImageSource:
        """Return the same images, brought to another size."""

    def probe(self, at_most: int = 64) -> npt.NDArray[np.int32]:
        """Return (m, 2) int32 height and width of up to `at_most` readable images, spread over all that there are."""

    def stamps(self) -> list[bytes] | None:
        """Return for each row 16 bytes that change when its file does, without reading it; None if that is no gain."""


def as_index(index: Index) -> npt.NDArray[np.int64]:
    """Return `index` as a flat int64 array."""
    if isinstance(index, Tensor):
        index = index.detach().cpu().numpy()
    return np.asarray(index, dtype=np.int64).reshape(-1)


def evenly(n: int, at_most: int) -> npt.NDArray[np.int64]:
    """Return up to `at_most` evenly spaced rows of n.

    Examples
    --------
    >>> evenly(10, 3)
    array([0, 4, 9])
    """
    return np.unique(np.linspace(0, max(n - 1, 0), min(n, at_most)).astype(np.int64))


def by_size(sizes: npt.NDArray[np.int64], at_most: int) -> npt.NDArray[np.int64]:
    """Return up to `at_most` rows, in their order, that stand for all: one of each of as many equal parts by size.

    Images with more pixels take more bytes. So a choice by rank of size shows every part of a source, whatever its
    files are called; a part of less than half of one in `at_most` at either end stays unseen. Only among files of the
    very same size (or where none is known: rows of a table) the order decides.

    Parameters
    ----------
    sizes : (n,) int64
        Bytes of every image, 0 where unknown.

    Examples
    --------
    >>> by_size(np.array([9, 1, 5, 7, 3, 8]), 3)
    array([0, 3, 4])
    """
    n = len(sizes)
    if n <= at_most:
        return np.arange(n)
    ranks = (2 * np.arange(at_most, dtype=np.int64) + 1) * n // (2 * at_most)  # the middle of every part
    return np.sort(np.argsort(sizes, kind="stable")[ranks]).astype(np.int64)


def square(size: Size) -> tuple[int, int]:
    """Return (height, width) of a size.

    Examples
    --------
    >>> square(224), square((28, 20))
    ((224, 224), (28, 20))
    """
    return (size, size) if isinstance(size, int) else (int(size[0]), int(size[1]))


def check_size(image_size: Size, resize: Resize, crop_pct: float) -> tuple[int, int]:
    """Return (height, width), or raise ArgumentError naming what is wrong."""
    sides = square(image_size)
    if min(sides) < 1 or max(sides) > 4096:
        raise ArgumentError(f"image_size={image_size!r}: sides must be from 1 to 4096 pixels")
    if resize not in ("crop", "stretch"):
        raise ArgumentError(f"resize={resize!r}: must be 'crop' or 'stretch'")
    if not 0 < crop_pct <= 1:
        raise ArgumentError(f"crop_pct={crop_pct!r}: must be above 0 and at most 1")
    return sides


def is_small(source: ImageSource) -> tuple[int, int] | None:
    """Return (height, width) if the images all seem to have the same size, at most 64 pixels a side; else None.

    Judged by up to 64 images of all sizes in bytes (`by_size`): a few among very many are overlooked. Such images
    (handwritten digits, clothing icons, CIFAR-like crops) hold no more than their pixels, and a network made for photos
    sees a blown-up blur.
    """
    sizes = source.probe()
    if not len(sizes) or (sizes != sizes[0]).any() or sizes.max() > SMALL:
        return None
    return int(sizes[0, 0]), int(sizes[0, 1])


_SIDES = ((28, 28), (48, 32))  # (median shorter side up to, side to train on); 96 above


def network_size(source: ImageSource) -> int:
    """Return the side of the squares that images of `source` become for a network made for 28, 32 or 96 pixels.

    By the median shorter side of up to 64 of them (`by_size`): up to 28, up to 48, above.
    """
    sizes = source.probe()
    shorter = float(np.median(sizes.min(axis=1))) if len(sizes) else 0.0
    return next((side for up_to, side in _SIDES if shorter <= up_to), 96)


def training_size(source: ImageSource) -> tuple[int, int]:
    """Return (height, width) that images of `source` are brought to where nothing else is asked for.

    Small uniform images (see `is_small`) keep their size. All others become squares of 28, 32 or 96 pixels: see
    `network_size`.
    """
    small = is_small(source)
    if small is not None:
        return small
    side = network_size(source)
    return side, side


def bring(pixels: Tensor, size: tuple[int, int], resize: Resize = "stretch", crop_pct: float = 1.0) -> Tensor:
    """Bring a uint8 (b, c, h, w) batch to (b, c, *size), bicubic with antialiasing.

    ``resize="crop"`` keeps the proportions: it takes the largest centred box of the wanted proportions, times
    `crop_pct`, and scales that.
    """
    height, width = pixels.shape[-2:]
    if resize == "crop":
        scale = min(height / size[0], width / size[1]) * crop_pct
        rows, columns = max(1, round(size[0] * scale)), max(1, round(size[1] * scale))
        top, left = (height - rows) // 2, (width - columns) // 2
        pixels = pixels[..., top : top + rows, left : left + columns]
    if tuple(pixels.shape[-2:]) == size or not len(pixels):
        return pixels if len(pixels) else pixels.new_zeros((0, pixels.shape[1], *size))
    return torch.nn.functional.interpolate(pixels, size=size, mode="bicubic", antialias=True)


def thumbnails(pixels: Tensor) -> list[bytes]:
    """Return the thumbnails of a uint8 (b, c, h, w) batch, c = 1 or 3: see `ilk.files.make_thumb`."""
    return [make_thumb(image) for image in pixels.permute(0, 2, 3, 1).cpu().contiguous().numpy()]


def listed(names: Iterable[str], at_most: int = 3) -> str:
    """Return the first few names, and how many more there are.

    Examples
    --------
    >>> listed(["a", "b", "c", "d", "e"])
    "'a', 'b', 'c' and 2 more"
    """
    every = list(names)
    more = f" and {len(every) - at_most} more" if len(every) > at_most else ""
    return ", ".join(repr(name) for name in every[:at_most]) + more
