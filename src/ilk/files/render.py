"""An opened Pillow image, or samples read in another way -> uint8 RGB pixels.

Nothing here opens a file or decides where it is decoded (see decode.py and helper.py): both the calling thread and the
helper process end in `render`. No call here can raise a Python warning: `warnings.catch_warnings` is not thread-safe,
so the EXIF reader is our own and palettes with transparency never take the path on which Pillow warns.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile

from ilk.files.colours import to_srgb
from ilk.files.samples import Raster, Samples, before_loading, deep_values, eight_bits, to_eight_bits
from ilk.files.thumbs import encoded, shrunk

__all__ = ["ALL_WHITE", "MAX_SIDE", "NEAR_WHITE", "Decoded", "orientation", "render", "render_raster", "upright_size"]

Resize = Literal["crop", "stretch"]

MAX_SIDE = 4096  # longest side of a picture decoded at its native size, in pixels
_GAP = 2.0  # Pillow's reducing_gap: shrink by whole factors down to this multiple of the wanted size, then filter

_TRANSPOSE = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


@dataclass(slots=True)
class Decoded:
    """What became of one file.

    Attributes
    ----------
    pixels : ndarray uint8 (h, w, 3) or None
        RGB; None where the file could not be decoded.
    width, height : int
        Size of the picture itself in pixels, EXIF orientation applied; 0 where not even the header could be read.
    reason : str or None
        Why there are no pixels, for people; None where there are.
    thumb : bytes
        Its thumbnail as a file (`ilk.files.make_thumb`); empty where none was asked for, or there are no pixels.
    """

    pixels: NDArray[np.uint8] | None
    width: int
    height: int
    reason: str | None
    thumb: bytes = b""


def render(
    image: ImageFile.ImageFile,
    size: tuple[int, int] | None,
    resize: Resize = "crop",
    crop_pct: float = 1.0,
    samples: Samples = Samples(),  # noqa: B008 - frozen
    thumb: bool = False,
) -> Decoded:
    """Decode an opened image to RGB pixels.

    Parameters
    ----------
    image : PIL.ImageFile.ImageFile
        Opened, not yet loaded.
    size : (height, width) or None
        Wanted size; None keeps the native one up to a longest side of 4096.
    resize : "crop" or "stretch"
        Central crop of the wanted shape, or the whole picture whatever its shape.
    crop_pct : float
        Side of the crop as a share of the largest one that fits; in (0, 1].
    samples : Samples
        What is black and white in samples beyond 8 bits; by default the file's own values decide.
    thumb : bool
        Make the thumbnail too. It shows the whole picture, whatever the crop. Of a JPEG that is shrunk while it is
        decoded (to sizes below 64 pixels) it has less than its usual 128 pixels, but at least twice as many as `size`.

    Notes
    -----
    The orientation and the colour profile are applied to the small result, never to the large picture: the crop is
    central, so its box needs only the two sides exchanged. Alpha is composed after the resize (Pillow resizes
    premultiplied): over white, or over grey where white would hide all there is.
    """
    claimed = image.size
    turn = orientation(image) if image.format == "JPEG" else 1  # known before the pixels, and needed for the draft
    if image.format == "JPEG":
        _draft(image, size if turn < 5 or size is None else size[::-1], resize, crop_pct)
    before_loading(image)
    image.load()
    if image.format != "JPEG":
        claimed, turn = image.size, orientation(image)  # PNG may state it after the pixels; TIFF turns itself
    small = _simple_mode(image, samples)
    return _finished(small, image.info, claimed, turn, size, resize, crop_pct, thumb)


def render_raster(
    raster: Raster,
    size: tuple[int, int] | None,
    resize: Resize = "crop",
    crop_pct: float = 1.0,
    samples: Samples = Samples(),  # noqa: B008 - frozen
    thumb: bool = False,
) -> Decoded:
    """Make RGB pixels of samples that were read without Pillow; else as `render`."""
    values = raster.values
    height, width = values.shape[:2]
    alpha = None
    if values.ndim == 3:
        count = values.shape[2]
        if raster.alpha and not samples.bands:
            alpha, values, count = values[..., -1], values[..., :-1], count - 1
            values = _divided(values, alpha) if raster.multiplied else values
        chosen = samples.bands or ((1, 2, 3) if count >= 3 else (1,))
        if max(chosen) > count:
            return Decoded(None, width, height, f"has {count} bands: there is no band {max(chosen)}")
        values = values[..., [band - 1 for band in chosen]]
        values = values[..., 0] if len(chosen) == 1 else values
    if raster.kind is None:
        pixels = np.nan_to_num(values).astype(np.uint8) * np.uint8(255 if values.dtype == np.bool_ else 1)
    else:
        pixels = to_eight_bits(values, raster.kind, raster.depth, samples)
    if raster.inverted:
        pixels = 255 - pixels
    small = Image.fromarray(np.ascontiguousarray(pixels))
    if alpha is not None:
        small.putalpha(Image.fromarray(eight_bits(alpha, (0.0, _opaque(alpha)))))
    info = {"icc_profile": raster.profile} if raster.profile else {}
    return _finished(small, info, (width, height), raster.turn, size, resize, crop_pct, thumb)


def _opaque(alpha: NDArray[Any]) -> float:
    return 1.0 if alpha.dtype.kind == "f" else float(np.iinfo(alpha.dtype).max)


def _divided(values: NDArray[Any], alpha: NDArray[Any]) -> NDArray[Any]:
    """Return colours that are multiplied by their opacity as they were before; black where nothing can be seen."""
    top = _opaque(alpha)
    seen = np.where(alpha > 0, alpha, top)[..., None].astype(np.float32)
    found = values.astype(np.float32) * (np.float32(top) / seen)
    if values.dtype.kind == "f":
        return found.astype(values.dtype)
    return np.clip(np.rint(found), 0, np.iinfo(values.dtype).max).astype(values.dtype)


def _finished(
    small: Image.Image,
    info: dict[Any, Any],
    claimed: tuple[int, int],
    turn: int,
    size: tuple[int, int] | None,
    resize: Resize,
    crop_pct: float,
    thumb: bool,
) -> Decoded:
    """Bring a picture in a simple mode to its size, its colours to sRGB, and turn it upright."""
    swap = turn >= 5
    shown = encoded(_upright(shrunk(small), info, turn)) if thumb else b""
    if size is None:
        if max(small.size) > MAX_SIDE:
            small = small.copy()
            small.thumbnail((MAX_SIDE, MAX_SIDE), Image.Resampling.BICUBIC, reducing_gap=_GAP)
    else:
        height, width = size[::-1] if swap else size
        box = _box(small.size, width / height, crop_pct) if resize == "crop" else None
        small = small.resize((width, height), Image.Resampling.BICUBIC, box=box, reducing_gap=_GAP)
    width, height = claimed[::-1] if swap else claimed
    return Decoded(np.array(_upright(small, info, turn)), width, height, None, shown)


def _upright(small: Image.Image, info: dict[Any, Any], turn: int) -> Image.Image:
    """RGB in sRGB, turned as people see it."""
    small = _rgb(to_srgb(small, info))
    return small.transpose(_TRANSPOSE[turn]) if turn in _TRANSPOSE else small


def upright_size(image: ImageFile.ImageFile) -> tuple[int, int]:
    """(width, height) of an opened image as people see it, without decoding the pixels."""
    # Pillow exchanges the sides of a TIFF itself when it opens one
    swap = image.format != "TIFF" and orientation(image) >= 5
    return image.size[::-1] if swap else image.size


def orientation(image: Image.Image) -> int:
    """EXIF orientation, 1 … 8, from EXIF, a PNG's raw profile or XMP; 1 where absent or nonsense.

    >>> orientation(Image.new("L", (2, 2)))
    1
    """
    if image.format == "TIFF":
        return 1  # Pillow's TIFF reader turns the picture while loading
    info = image.info
    exif = info.get("exif")
    if exif is None and isinstance(raw := info.get("Raw profile type exif"), str):
        try:
            exif = bytes.fromhex("".join(raw.split("\n")[3:]))
        except ValueError:
            exif = None
    value = _exif_orientation(exif) if isinstance(exif, bytes) else None
    if value is None:
        xmp = info.get("XML:com.adobe.xmp") or info.get("xmp") or b""
        text = xmp.decode("utf-8", "replace") if isinstance(xmp, bytes) else str(xmp)
        found = re.search(r'tiff:Orientation(?:="|>)([0-9])', text)
        value = int(found[1]) if found else 1
    return value if 1 <= value <= 8 else 1


def _exif_orientation(exif: bytes) -> int | None:
    """Tag 0x0112 of the first directory of an EXIF block, or None."""
    start = exif.find(b"Exif\0\0", 0, 16)
    tiff = exif[start + 6 :] if start >= 0 else exif
    order = {b"II": "<", b"MM": ">"}.get(tiff[:2])
    if order is None:
        return None
    try:
        (offset,) = struct.unpack_from(order + "I", tiff, 4)
        (count,) = struct.unpack_from(order + "H", tiff, offset)
        for i in range(min(count, 512)):
            tag, kind, _, value = struct.unpack_from(order + "HHIH", tiff, offset + 2 + 12 * i)
            if tag == 0x0112:
                if kind == 4:  # a LONG, against the standard
                    (value,) = struct.unpack_from(order + "I", tiff, offset + 10 + 12 * i)
                return int(value)
    except struct.error:
        return None
    return None


def _draft(image: ImageFile.ImageFile, size: tuple[int, int] | None, resize: Resize, crop_pct: float) -> None:
    """Let the JPEG decoder shrink by 2, 4 or 8 where that still leaves `_GAP` times the wanted size."""
    width, height = image.size
    if size is None:
        scale = MAX_SIDE / max(width, height)
    elif resize == "stretch":
        scale = max(size[1] / width, size[0] / height) * _GAP
    else:
        left, top, right, bottom = _box(image.size, size[1] / size[0], crop_pct)
        scale = max(size[1] / (right - left), size[0] / (bottom - top)) * _GAP
    if scale <= 0.5:
        image.draft(image.mode, (max(1, int(width * scale)), max(1, int(height * scale))))


def _box(size: tuple[int, int], aspect: float, crop_pct: float) -> tuple[float, float, float, float]:
    """Central box (left, top, right, bottom) of shape `aspect` = width / height, `crop_pct` of the largest that fits.

    >>> _box((400, 300), 1.0, 1.0)
    (50.0, 0.0, 350.0, 300.0)
    """
    width, height = size
    w = min(float(width), height * aspect) * crop_pct
    h = min(float(height), width / aspect) * crop_pct
    # never outside of the picture: Pillow refuses a box that is too large by a rounding error
    left, top = max((width - w) / 2, 0.0), max((height - h) / 2, 0.0)
    return left, top, min(left + w, float(width)), min(top + h, float(height))


def _simple_mode(image: Image.Image, samples: Samples) -> Image.Image:
    """The same picture in L, RGB, CMYK, LA or RGBA: modes that Pillow resizes with a filter."""
    mode = image.mode
    if (found := deep_values(image)) is not None:
        values, kind, bits = found
        pixels = to_eight_bits(values, kind, bits, samples)
        grey = Image.fromarray(255 - pixels if _white_is_zero(image) else pixels)
        if isinstance(clear := image.info.get("transparency"), int):  # the one grey of a PNG that is not there
            grey.putalpha(Image.fromarray(np.where(values == clear, 0, 255).astype(np.uint8)))
        return grey
    if mode in ("L", "RGB", "CMYK") and "transparency" not in image.info:
        return image
    if mode in ("LA", "RGBA"):
        return image
    if mode == "La":
        return image.convert("LA")
    if image.has_transparency_data:
        return image.convert("RGBA")
    return image.convert("L" if mode in ("1", "L") else "RGB")


def _white_is_zero(image: Image.Image) -> bool:
    return getattr(image, "tag_v2", {}).get(262) == 0  # Pillow itself turns those of 1 and 8 bits


NEAR_WHITE, ALL_WHITE = 16, 0.98  # nearer to white than this it cannot be seen there; share of what is visible


def _rgb(image: Image.Image) -> Image.Image:
    """RGB; alpha composed over white, or over mid grey where there is nothing but white."""
    if image.mode in ("LA", "RGBA"):
        image = image.convert("RGBA")
        over = Image.new("RGB", image.size, (128, 128, 128) if _white_on_clear(image) else (255, 255, 255))
        over.paste(image, mask=image.getchannel("A"))
        return over
    return image if image.mode == "RGB" else image.convert("RGB")


def _white_on_clear(image: Image.Image) -> bool:
    """Whether all that can be seen of an RGBA picture is white, and not everything can be seen."""
    pixels = np.asarray(image)
    alpha = pixels[..., 3]
    if alpha.min() > 127 or not alpha.any():
        return False
    near = pixels[..., :3].min(-1) > 255 - NEAR_WHITE
    weight = alpha.astype(np.float64)
    return bool((weight * near).sum() >= ALL_WHITE * weight.sum())
