"""Jittered copies of some of the images of a fit: how far they lie from their image says what "nearly the same" is."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image, ImageEnhance
from torch import Tensor

from ilk import encoders
from ilk.data import ArrayImages, Encoded, ImageSource, square
from ilk.methods.inputs.encoder import brings_features
from ilk.near import unit

__all__ = ["copies_of", "jittered"]

_EACH = 3  # copies of an image
_FEWEST, _MOST, _SHARE = 8, 32, 30  # images that are copied: one of every 30
_CUT = 0.03  # of each side, at most
_LIGHT = 0.1  # brighter or darker, at most
_SMALLER = 0.8  # brought to this and back, at most
_QUALITY = (70, 95)  # of JPEG


def copies_of(
    source: ImageSource, encoder: encoders.FrozenEncoder, encoded: Encoded, cache: Path | None
) -> npt.NDArray[np.float32] | None:
    """Return (c,) how far copies lie from their image in the features; None where they cannot be made.

    Up to 32 images, three copies of each: a tenth of the images at most where these are many. With a cache they are
    encoded once.
    """
    m = len(encoded.rows)
    if brings_features(source) or m < 2:
        return None
    count = int(np.clip(m // _SHARE, min(m, _FEWEST), _MOST))
    chosen = np.unique(np.linspace(0, m - 1, count).astype(np.int64))
    sides = square(encoder.image_size)
    whole = (
        round(sides[0] / encoder.crop_pct),
        round(sides[1] / encoder.crop_pct),
    )  # it cuts the middle of it
    block = source.sized(whole, encoder.resize).scan(encoded.rows[chosen], bare=True)
    there = np.flatnonzero(block.ok)  # a file may have gone since
    if not len(there):
        return None
    rng = np.random.default_rng(0)
    made = torch.cat([jittered(block.pixels[i], _EACH, rng) for i in there.tolist()])
    images = ArrayImages(made.permute(0, 2, 3, 1).contiguous().numpy())
    found = encoders.encode(images, encoder, cache=cache)
    at = np.repeat(chosen[there], _EACH)
    apart = unit(found.features)[found.position] - unit(encoded.features[at])
    return np.asarray(np.linalg.norm(apart, axis=1), np.float32)


def jittered(pixels: Tensor, count: int, rng: np.random.Generator) -> Tensor:
    """Return `count` copies of an image, as a shot a moment later or a copy in another program might be.

    Each is cut a little at every side, brightened or darkened, made smaller and large again, and saved as a JPEG.

    Parameters
    ----------
    pixels : Tensor uint8 (c, h, w)
        c = 1 or 3.
    count : int
    rng : numpy Generator

    Returns
    -------
    Tensor uint8 (count, c, h, w)
    """
    channels, height, width = pixels.shape
    whole = pixels.cpu().permute(1, 2, 0).numpy()
    image = Image.fromarray(whole[:, :, 0] if channels == 1 else whole)
    found = np.empty((count, height, width, channels), np.uint8)
    for i in range(count):
        left, top, right, bottom = rng.uniform(0, _CUT, 4)
        box = (left * width, top * height, width - right * width, height - bottom * height)
        smaller = rng.uniform(_SMALLER, 1)
        size = (max(1, round(smaller * width)), max(1, round(smaller * height)))
        copy = image.resize(size, Image.Resampling.BICUBIC, box=box)
        copy = ImageEnhance.Brightness(copy).enhance(rng.uniform(1 - _LIGHT, 1 + _LIGHT))
        with io.BytesIO() as file:
            copy.save(file, "JPEG", quality=int(rng.integers(*_QUALITY)))
            copy = Image.open(file).resize((width, height), Image.Resampling.BICUBIC)
        found[i] = np.asarray(copy).reshape(height, width, channels)
    return torch.from_numpy(found).permute(0, 3, 1, 2)
