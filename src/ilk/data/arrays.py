"""Images that are rows of an array: in memory, on a GPU, or in a memory-mapped file."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ilk import compute
from ilk.data.sources import Block, Index, Known, Resize, Size, as_index, bring, check_size, evenly, thumbnails
from ilk.errors import DataError
from ilk.files import PassedOver, content_hash
from ilk.files.render import ALL_WHITE, NEAR_WHITE

__all__ = ["ArrayImages"]

_UPLOAD = 64 * 2**20  # bytes on their way to a GPU at once


class ArrayImages:
    """Images in one array. Final.

    Parameters
    ----------
    pixels : ndarray, memmap or Tensor, uint8 (n, h, w) or (n, h, w, c)
        c = 1 (grey), 3 (RGB) or 4 (RGBA, laid over white). Channels first, (n, c, h, w), is understood as well where
        the last axis cannot be channels. It is neither copied nor changed.
    names : sequence of str, optional
        One per row; the row numbers otherwise.
    kind : str
        Where the array came from, for messages.
    notes : sequence of str
        What the user should know.
    fingerprint : str, optional
        Hex digits that name the content; computed from all bytes when it is needed and was not given.

    Raises
    ------
    DataError
        Another dtype or shape.

    Examples
    --------
    >>> source = ArrayImages(np.zeros((5, 28, 28), np.uint8))
    >>> len(source), source.shape, tuple(source.read([0, 3]).shape)
    (5, (1, 28, 28), (2, 1, 28, 28))
    """

    def __init__(
        self,
        pixels: Any,
        names: Sequence[str] | None = None,
        *,
        kind: str = "array",
        notes: Sequence[str] = (),
        fingerprint: str | None = None,
    ) -> None:
        self._pixels, self._first = _checked(pixels)
        if names is not None and len(names) != len(self._pixels):
            raise DataError(f"{len(names)} names for {len(self._pixels)} images; give one name per image")
        self._names = None if names is None else list(names)
        self.kind = kind
        self.notes = list(notes)
        self.passed_over = PassedOver()  # what lies beside the file of the array
        self._fingerprint = fingerprint
        self._size: tuple[int, int] | None = None
        self._how: tuple[Resize, float] = ("crop", 1.0)
        self._chosen: npt.NDArray[np.int64] | None = None

    def __len__(self) -> int:
        return len(self._pixels) if self._chosen is None else len(self._chosen)

    @property
    def pixels(self) -> npt.NDArray[np.uint8] | Tensor:
        """The whole array as it was given."""
        return self._pixels

    @property
    def chosen(self) -> npt.NDArray[np.int64] | None:
        """Rows of `pixels` that are the images; None = all, in their order."""
        return self._chosen

    @property
    def _sides(self) -> tuple[int, int]:
        sides = self._pixels.shape[2:4] if self._first else self._pixels.shape[1:3]
        return int(sides[0]), int(sides[1])

    @property
    def _channels(self) -> int:
        axes = self._pixels.shape
        return 1 if len(axes) == 3 else int(axes[1] if self._first else axes[3])

    @property
    def has_alpha(self) -> bool:
        """Whether the array holds RGBA, which `read` lays over white."""
        return self._channels == 4

    @property
    def shape(self) -> tuple[int, int, int]:
        """(c, h, w) of what `read` gives."""
        return (1 if self._channels == 1 else 3, *(self._size or self._sides))

    def read(self, index: Index) -> Tensor:
        """Return uint8 (b, c, h, w), on the device of the array.

        An int64 tensor on the device of the array is never brought to the CPU.
        """
        whole = self._pixels
        if isinstance(whole, Tensor) and isinstance(index, Tensor) and index.device == whole.device:
            rows = index.reshape(-1)
            if self._chosen is not None:
                rows = torch.from_numpy(self._chosen).to(whole.device)[rows]
            return self._brought(self._laid(whole.index_select(0, rows)))
        return self._brought(self._rows(as_index(index)))

    def names(self, index: Index | None = None) -> list[str]:
        """Return the names of the rows `index`, or of all."""
        rows = range(len(self)) if index is None else as_index(index).tolist()
        rows = rows if self._chosen is None else [int(self._chosen[row]) for row in rows]
        return [str(row) if self._names is None else self._names[row] for row in rows]

    def fingerprint(self) -> str:
        """Return hex digits that change when the pixels do. Reads all bytes once."""
        if self._fingerprint is None:
            digest = hashlib.blake2b(repr(tuple(self._pixels.shape)).encode(), digest_size=16)
            for start in range(0, len(self._pixels), 1024):
                digest.update(_raw(self._pixels[start : start + 1024]).tobytes())
            self._fingerprint = digest.hexdigest()
        if self._chosen is None:
            return self._fingerprint
        return hashlib.blake2b(self._fingerprint.encode() + self._chosen.tobytes(), digest_size=16).hexdigest()

    def scan(self, index: Index, known: Known | None = None, *, bare: bool = False) -> Block:
        """Read, hash and thumbnail the rows `index`; rows whose hash is `known` keep zero pixels.

        `bare`: no thumbnail.
        """
        rows = as_index(index)
        stored = self._rows(rows)
        block = Block.empty(rows, self._brought(stored))
        block.hashes[:] = self.hashes(rows)
        block.ok[:] = [known is None or not known(name) for name in block.hashes]
        block.heights[:], block.widths[:] = self._sides
        block.sizes[:] = self._sides[0] * self._sides[1] * self._channels
        if block.ok.any() and not bare:
            fresh = np.flatnonzero(block.ok)
            for i, thumb in zip(fresh.tolist(), thumbnails(stored[torch.from_numpy(fresh)]), strict=True):
                block.thumbs[i] = thumb
        if not block.ok.all():
            pixels = block.pixels.clone()
            pixels[torch.from_numpy(~block.ok)] = 0
            block = Block(**{**vars(block), "pixels": pixels})
        return block

    def hashes(self, index: Index) -> list[bytes]:
        """Return 16 bytes per row that name its size and its pixels as stored."""
        rows = self._stored(as_index(index))
        head = repr((*self._sides, self._channels, self._first)).encode()
        if isinstance(self._pixels, Tensor):
            part = _raw(self._pixels[torch.from_numpy(rows).to(self._pixels.device)])
        else:
            part = _raw(self._pixels[rows])
        return [content_hash(head + row.tobytes()) for row in part]

    def sized(self, image_size: Size | None, resize: Resize = "crop", crop_pct: float = 1.0) -> ArrayImages:
        """Return the same images, brought to another size; None keeps them as they are."""
        other = ArrayImages.__new__(ArrayImages)
        other.__dict__.update(self.__dict__)
        other._size = None if image_size is None else check_size(image_size, resize, crop_pct)
        other._how = (resize, crop_pct)
        return other

    def part(self, a: int, b: int) -> ArrayImages:
        """Return the images `a` to `b` (exclusive)."""
        return self.take(np.arange(a, b))

    def take(self, rows: Index) -> ArrayImages:
        """Return the images `rows` alone, in that order, without a copy of their pixels."""
        other = self.sized(None)
        other._size, other._how = self._size, self._how
        other._chosen = self._stored(as_index(rows))
        return other

    def to(self, device: str | torch.device, share: float = 0.5) -> ArrayImages:
        """Return the same images with their pixels on `device`, if that is a GPU with room for them; else `self`.

        Parameters
        ----------
        share
            Of the GPU's free memory that the pixels may take. Where they take more, `read` goes on to give batches on
            the CPU.
        """
        on_device = torch.device(device)
        row = int(np.prod(self._pixels.shape[1:]))
        here = self._pixels.device if isinstance(self._pixels, Tensor) else torch.device("cpu")
        if on_device.type == "cpu" or here == on_device or len(self) * row > share * compute.free_memory(on_device):
            return self
        whole = torch.empty((len(self), *self._pixels.shape[1:]), dtype=torch.uint8, device=on_device)
        step = max(1, _UPLOAD // max(1, row))
        for start in range(0, len(self), step):
            rows = self._stored(np.arange(start, min(start + step, len(self))))
            part = (
                self._pixels[torch.from_numpy(rows).to(here)]
                if isinstance(self._pixels, Tensor)
                else (torch.from_numpy(np.ascontiguousarray(self._pixels[rows])))
            )
            whole[start : start + len(rows)] = part.to(on_device)
        other = self.take(np.arange(len(self)))
        if self._chosen is not None:
            other._names, other._fingerprint = self.names(), None
        other._pixels, other._chosen = whole, None
        return other

    def probe(self, at_most: int = 64) -> npt.NDArray[np.int32]:
        """Return (m, 2) int32 height and width of up to `at_most` images; they are all the same."""
        return np.repeat(np.array([self._sides], np.int32), len(evenly(len(self), at_most)), axis=0)

    def stamps(self) -> list[bytes] | None:
        """Return None: rows are hashed as fast as anything that could spare it."""
        return None

    def _stored(self, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Return where the images `rows` are in the array."""
        return rows if self._chosen is None else self._chosen[rows]

    def _rows(self, rows: npt.NDArray[np.int64]) -> Tensor:
        """Return uint8 (b, c, h, w) as stored, RGBA laid over white."""
        rows = self._stored(rows)
        if isinstance(self._pixels, Tensor):
            part = self._pixels[torch.from_numpy(rows).to(self._pixels.device)]
        else:
            part = torch.from_numpy(np.ascontiguousarray(self._pixels[rows]))
        return self._laid(part)

    def _laid(self, part: Tensor) -> Tensor:
        """Return rows of the array as uint8 (b, c, h, w), RGBA laid over white."""
        if part.ndim == 3:
            return part.unsqueeze(1)
        part = part if self._first else part.permute(0, 3, 1, 2)
        return _over_white(part) if part.shape[1] == 4 else part

    def _brought(self, pixels: Tensor) -> Tensor:
        if self._size is None or (self._size == self._sides and self._how[1] == 1):
            return pixels
        return bring(pixels, self._size, *self._how)


def _checked(pixels: Any) -> tuple[npt.NDArray[np.uint8] | Tensor, bool]:
    """Return the array and whether its channels come first."""
    array: Any = pixels if isinstance(pixels, Tensor) else np.asanyarray(pixels)
    if array.dtype not in (np.dtype(np.uint8), torch.uint8):
        raise DataError(f"images must be uint8 (0 to 255), got dtype {array.dtype}; convert them first")
    axes = tuple(array.shape)
    first = len(axes) == 4 and axes[3] not in (1, 3, 4) and axes[1] in (1, 3, 4)
    if len(axes) not in (3, 4) or (len(axes) == 4 and not first and axes[3] not in (1, 3, 4)):
        raise DataError(f"images must have shape (n, h, w) or (n, h, w, c) with c = 1, 3 or 4, got {axes}")
    if min(axes[1:]) < 1:
        raise DataError(f"images of shape {axes[1:]} have no pixels")
    return array, first


def _raw(part: npt.NDArray[np.uint8] | Tensor) -> npt.NDArray[np.uint8]:
    return np.ascontiguousarray(part.cpu().numpy() if isinstance(part, Tensor) else part)


def _over_white(rgba: Tensor) -> Tensor:
    """Lay uint8 (b, 4, h, w) over white, or over mid grey where there is nothing but white; to the nearest integer.

    The same rule as for files: see `ilk.files.render`.
    """
    colour, alpha = rgba[:, :3].to(torch.int32), rgba[:, 3:].to(torch.int32)
    weight = alpha[:, 0].float()
    near = (colour.amin(1) > 255 - NEAR_WHITE) * weight
    seen = weight.sum((1, 2))
    hidden = (weight.amin((1, 2)) <= 127) & (seen > 0) & (near.sum((1, 2)) >= ALL_WHITE * seen)
    under = torch.where(hidden, 128, 255).view(-1, 1, 1, 1)
    return ((colour * alpha + under * (255 - alpha) + 127) // 255).to(torch.uint8)
