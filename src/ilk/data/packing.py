"""Images to train on: every image decoded once, to one size, and read from there in every epoch."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ilk import compute, disk
from ilk.data.arrays import ArrayImages
from ilk.data.collect import Work, collect
from ilk.data.direct import collect_directly
from ilk.data.encoded import Encoded, OnProgress, room
from ilk.data.folder import FolderImages
from ilk.data.own import OwnFeatures
from ilk.data.shards import DECODE_VERSION
from ilk.data.sources import Size, is_small, square, training_size
from ilk.errors import ArgumentError, DataError

__all__ = ["Packed", "channel_mean", "channel_moments", "pack"]

_SMALL = 256 * 2**20  # bytes of pixels above which they are worth announcing
_BLOCK = 4 * 2**20  # bytes of pixels per thread and step


@dataclass(frozen=True)
class Packed:
    """The distinct readable images of a source, ready to train on, and what became of each of its n files.

    Attributes
    ----------
    images : ArrayImages
        m images, uint8 (c, h, w). ``images.read(index)`` gives (b, c, h, w); ``images.to(device)`` takes them to a GPU.
    image_size : (int, int)
        Height and width that a network is to see. `images` are larger by the margin where they were cropped from larger
        ones.
    facts : Encoded
        As encoding gives it, but for the features.
    """

    images: ArrayImages
    image_size: tuple[int, int]
    facts: Encoded

    def __len__(self) -> int:
        return len(self.images)

    @property
    def notes(self) -> list[str]:
        """What the user should know."""
        return self.facts.notes

    def encoded(self, features: npt.NDArray[Any]) -> Encoded:
        """Return what a run folder needs, with `features` (m, d), one row per image of `images`."""
        if len(features) != len(self.images):
            raise ValueError(f"{len(features)} rows of features for {len(self.images)} images")
        return self.facts.with_features(_half(features))


def pack(
    source: ArrayImages | FolderImages | OwnFeatures,
    image_size: Size | None = None,
    *,
    cache: str | Path | None = None,
    margin: float = 1.0,
    on_progress: OnProgress | None = None,
    on_note: Callable[[str], object] | None = None,
) -> Packed:
    """Decode every distinct image of `source` once and bring it to one size: centre crop of the shorter side.

    Parameters
    ----------
    source : ImageSource
    image_size : int or (height, width), optional
        By default small uniform images keep their size, and others become squares of 28, 32 or 96 pixels: see
        `ilk.data.training_size`.
    cache : path, optional
        Where decoded images are kept for the next time; a temporary folder otherwise. Arrays need none.
    margin : float
        At least 1. Images that have to be resized are kept this much larger, for random crops.
    on_progress : callable (done, total) -> bool or None
        True stops: `Interrupted` is raised, and the next call goes on from there.
    on_note : callable (text)
        Told the size on disk before it is taken, where that is more than 256 MiB.

    Returns
    -------
    Packed

    Raises
    ------
    ArgumentError
        Features of the user's own, which nothing would read here.
    DataError
        The images would take more than half of the free disk, or the cache cannot be written.
    Interrupted

    Notes
    -----
    Memory: at most 256 MiB, whatever n is. An array whose images have the right size already is used as it is, without
    a copy. Odd files, duplicates and kills: as in `ilk.encoders.encode`, by the same code.

    Examples
    --------
    >>> from ilk.data import open_images
    >>> packed = pack(open_images(np.random.default_rng(0).integers(0, 255, (5, 8, 8), np.uint8)), 16)
    >>> packed.images.shape, packed.facts.status
    ((1, 16, 16), ['ok', 'ok', 'ok', 'ok', 'ok'])
    """
    if not 1 <= margin <= 4:
        raise ArgumentError(f"margin={margin!r}: give a number from 1 to 4")
    if isinstance(source, OwnFeatures):
        raise ArgumentError(
            "features of your own were given, and this method trains a network on the images themselves: leave the "
            "features out, or group them with -m transfer, or with preset=quick or frozen of another method."
        )
    size = training_size(source) if image_size is None else square(image_size)
    home = None if cache is None else Path(cache).expanduser()
    if isinstance(source, ArrayImages):
        return _of_array(source, size, margin, home, on_progress)
    keeps = margin == 1 or is_small(source) == size
    sides = size if keeps else (round(size[0] * margin), round(size[1] * margin))
    width = 3 * sides[0] * sides[1]
    work = Work(
        f"pixels/{sides[0]}x{sides[1]}-{DECODE_VERSION}",
        width,
        np.uint8,
        _flat,
        max(1, min(64, _BLOCK // width)),
        compute.threads(),
    )
    facts = collect(
        source.sized(sides),
        work,
        cache=cache,
        on_progress=on_progress,
        before=lambda n: _announce(len(source), n, sides, home, on_note),
    )
    pixels = facts.features.reshape(len(facts.rows), *sides, 3)
    images = ArrayImages(pixels, source.names(facts.rows), kind=source.kind, fingerprint=source.fingerprint())
    return Packed(images, size, _without_features(facts))


def _of_array(
    source: ArrayImages, size: tuple[int, int], margin: float, home: Path | None, report: OnProgress | None
) -> Packed:
    c, *own = source.sized(None).shape
    if tuple(own) == size and not source.has_alpha:
        facts = collect_directly(source, 0, np.uint8, _flat, on_progress=report)
        images = source.sized(None)
        return Packed(images if len(facts.rows) == len(source) else images.take(facts.rows), size, facts)
    sides = size if tuple(own) == size else (round(size[0] * margin), round(size[1] * margin))
    if home is not None:
        home = None if disk.unwritable(home) else home
    if home is not None:
        home.mkdir(parents=True, exist_ok=True)
    facts = collect_directly(
        source.sized(sides), c * sides[0] * sides[1], np.uint8, _flat, folder=home, on_progress=report
    )
    pixels = facts.features.reshape(len(facts.rows), *sides, c)
    images = ArrayImages(pixels[..., 0] if c == 1 else pixels, source.names(facts.rows), kind=source.kind)
    return Packed(images, size, _without_features(facts))


def _flat(pixels: Tensor) -> npt.NDArray[np.uint8]:
    """uint8 (b, c, h, w) -> (b, h w c): images lie in memory as they were decoded."""
    rows: npt.NDArray[np.uint8] = pixels.permute(0, 2, 3, 1).contiguous().flatten(1).cpu().numpy()
    return rows


def _without_features(facts: Encoded) -> Encoded:
    return facts.with_features(np.zeros((len(facts.rows), 0), np.uint8))


def _half(features: npt.NDArray[Any]) -> npt.NDArray[np.float16]:
    """Return (m, d) as float16, a slice at a time, in a file if large."""
    if features.dtype == np.float16:
        return features
    kept = room(*features.shape)
    largest = np.finfo(np.float16).max
    for start in range(0, len(features), 4096):
        np.clip(features[start : start + 4096], -largest, largest, out=kept[start : start + 4096], casting="unsafe")
    return kept


def _announce(
    n: int, n_new: int, sides: tuple[int, int], home: Path | None, on_note: Callable[[str], object] | None
) -> None:
    """Say what the images will take on the disk; refuse what is more than half of what is free."""
    one = 3 * sides[0] * sides[1]
    size = n_new * one + (n * one if n * one >= _SMALL else 0)  # kept, and side by side while training
    path = next(p for p in (home or Path("/"), *(home or Path("/")).parents) if p.exists())
    free = shutil.disk_usage(path).free
    what = f"{n:,} images of {sides[1]} × {sides[0]} pixels take {size / 1e9:.1f} GB on the disk"
    if size > free / 2:
        raise DataError(
            f"{what}, more than half of the {free / 1e9:.1f} GB that are free in {path}. Make image_size smaller, "
            "free some space, or choose another disk with --cache."
        )
    if size >= _SMALL and on_note is not None:
        on_note(f"{what} ({path})")


def channel_mean(images: ArrayImages, *, rows: int = 1024) -> Tensor:
    """Return the mean (c,) float32 of every channel over all `images`, on the scale 0 to 1.

    Examples
    --------
    >>> channel_mean(ArrayImages(np.full((3, 4, 4), 51, np.uint8)))
    tensor([0.2000])
    """
    return channel_moments(images, rows=rows)[0]


def channel_moments(images: ArrayImages, *, rows: int = 1024) -> tuple[Tensor, Tensor]:
    """Return mean and standard deviation (c,) float32 of every channel over all `images`, on the scale 0 to 1.

    A channel that never changes has the deviation 1. The sums are of whole numbers, so they are exact.

    Examples
    --------
    >>> mean, std = channel_moments(ArrayImages(np.array([0, 51], np.uint8).reshape(2, 1, 1)))
    >>> mean, std
    (tensor([0.1000]), tensor([0.1000]))
    """
    sums = torch.zeros(2, images.shape[0], dtype=torch.int64)
    for start in range(0, len(images), rows):
        part = images.read(range(start, min(start + rows, len(images)))).cpu().to(torch.int64)
        sums[0] += part.sum((0, 2, 3))
        sums[1] += (part * part).sum((0, 2, 3))
    count = max(1, len(images) * images.shape[1] * images.shape[2])
    mean, square = sums.double() / count
    std = (square - mean.square()).clamp(min=0).sqrt() / 255
    return (sums[0].double() / (255 * count)).float(), torch.where(std > 0, std, 1.0).float()
