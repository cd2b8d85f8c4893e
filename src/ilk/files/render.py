"""An opened Pillow image -> uint8 RGB pixels, and words for what went wrong.

Nothing here opens a file or decides where it is decoded (see decode.py and helper.py): both the calling thread and the
helper process end in `render`. No call here can raise a Python warning: `warnings.catch_warnings` is not thread-safe,
so the EXIF reader is our own and palettes with transparency never take the path on which Pillow warns.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile, UnidentifiedImageError

__all__ = ["MAX_CLAIM", "MAX_SIDE", "Decoded", "claim_reason", "explain", "orientation", "render", "upright_size"]

Resize = Literal["crop", "stretch"]

MAX_SIDE = 4096  # longest side of a picture decoded at its native size, in pixels
MAX_CLAIM = 200_000_000  # a header that claims more pixels than this is not believed
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
    """

    pixels: NDArray[np.uint8] | None
    width: int
    height: int
    reason: str | None


def render(
    image: ImageFile.ImageFile, size: tuple[int, int] | None, resize: Resize = "crop", crop_pct: float = 1.0
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

    Notes
    -----
    The orientation is applied to the small result, never to the large picture: the crop is central, so its box needs
    only the two sides exchanged. Alpha is composed over white after the resize (Pillow resizes premultiplied).
    """
    claimed = image.size
    turn = orientation(image) if image.format == "JPEG" else 1  # known before the pixels, and needed for the draft
    if image.format == "JPEG":
        _draft(image, size if turn < 5 or size is None else size[::-1], resize, crop_pct)
    image.load()
    if image.format != "JPEG":
        claimed, turn = image.size, orientation(image)  # PNG may state it after the pixels; TIFF turns itself
    swap = turn >= 5
    small: Image.Image = _simple_mode(image)
    if size is None:
        if max(small.size) > MAX_SIDE:
            small = small.copy() if small is image else small
            small.thumbnail((MAX_SIDE, MAX_SIDE), Image.Resampling.BICUBIC, reducing_gap=_GAP)
    else:
        height, width = size[::-1] if swap else size
        box = _box(small.size, width / height, crop_pct) if resize == "crop" else None
        small = small.resize((width, height), Image.Resampling.BICUBIC, box=box, reducing_gap=_GAP)
    small = _rgb(small)
    if turn in _TRANSPOSE:
        small = small.transpose(_TRANSPOSE[turn])
    width, height = claimed[::-1] if swap else claimed
    return Decoded(np.array(small), width, height, None)


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


def _simple_mode(image: Image.Image) -> Image.Image:
    """The same picture in L, RGB, CMYK, LA or RGBA: modes that Pillow resizes with a filter."""
    mode = image.mode
    if mode.startswith("I") or mode == "F":
        return Image.fromarray(_to_eight_bits(image))
    if mode in ("L", "RGB", "CMYK") and "transparency" not in image.info:
        return image
    if mode in ("LA", "RGBA"):
        return image
    if mode == "La":
        return image.convert("LA")
    if image.has_transparency_data:
        return image.convert("RGBA")
    return image.convert("L" if mode in ("1", "L") else "RGB")


def _to_eight_bits(image: Image.Image) -> NDArray[np.uint8]:
    """Grey values of 12, 16 or 32 bits, or floats, as uint8 (h, w).

    By bit depth where the file states one (16 bits: v / 257; a TIFF of 9 … 15 bits by its own maximum; a PGM, which
    Pillow stretches to 65535, as 16 bits). 32-bit integers within 0 … 255 are taken as they are; floats within 0 … 1
    are multiplied by 255, those within 0 … 255 taken as they are. Anything else is stretched from its minimum to its
    maximum. What is not finite counts as the minimum.
    """
    values = np.asarray(image)
    if image.mode.startswith("I;16") or image.format == "PPM":
        bits = getattr(image, "tag_v2", {}).get(258, (16,))  # BitsPerSample
        bits = bits[0] if isinstance(bits, tuple) else bits
        return _scaled(values, 0.0, float(2**bits - 1) if 8 < bits < 16 else 65535.0)
    finite = values if image.mode == "I" else values[np.isfinite(values)]
    if not finite.size:
        return np.zeros(values.shape, np.uint8)
    low, high = float(finite.min()), float(finite.max())
    if low >= 0 and high <= 255:
        as_is = image.mode == "I" or high > 1
        return _scaled(values, 0.0, 255.0 if as_is else 1.0)
    return _scaled(values, low, high)


def _scaled(values: NDArray[np.generic], low: float, high: float) -> NDArray[np.uint8]:
    """`values` (h, w) with low … high mapped to 0 … 255, a band of rows at a time to bound the memory."""
    out = np.empty(values.shape, np.uint8)
    for i in range(0, len(values), 256):
        band = (values[i : i + 256].astype(np.float64) - low) * (255.0 / (high - low) if high > low else 1.0)
        out[i : i + 256] = np.clip(np.rint(np.nan_to_num(band, nan=0.0, posinf=0.0, neginf=0.0)), 0, 255)
    return out


def _rgb(image: Image.Image) -> Image.Image:
    """RGB; alpha composed over white."""
    if image.mode in ("LA", "RGBA"):
        image = image.convert("RGBA")
        white = Image.new("RGB", image.size, (255, 255, 255))
        white.paste(image, mask=image.getchannel("A"))
        return white
    return image if image.mode == "RGB" else image.convert("RGB")


def claim_reason(width: int, height: int) -> str:
    """Reason for a header that claims too much.

    >>> claim_reason(50_000, 50_000)
    'claims 50,000 × 50,000 pixels'
    """
    return f"claims {width:,} × {height:,} pixels"


def explain(error: BaseException, data: bytes, kind: str | None, memory: int) -> str:
    """One short line for people: why this file gives no pixels.

    Parameters
    ----------
    kind : str or None
        The format where it is known ("JPEG"); None where nothing recognised the file.
    memory : int
        The limit, in bytes, that a MemoryError speaks of.

    >>> explain(OSError("image file is truncated (3 bytes not processed)"), b"", "JPEG", 0)
    'truncated JPEG: 3 bytes not processed'
    >>> explain(UnidentifiedImageError(), b"<!DOCTYPE html><p>", None, 0)
    "not an image: starts with '<!DOCTYPE html>'"
    """
    text = " ".join(str(error).split())
    if isinstance(error, MemoryError) or re.search("out of memory|Memory allocation", text):
        return f"needed more than {memory / 2**30:g} GiB"
    if isinstance(error, Image.DecompressionBombError):
        found = re.search(r"\((\d+) pixels\)", text)
        return f"claims {int(found[1]):,} pixels" if found else "claims too many pixels"
    if isinstance(error, UnidentifiedImageError) or kind is None:
        return _unknown(data)
    if isinstance(error, KeyError | IndexError | AssertionError | AttributeError) or not text:
        return f"broken {kind}"  # the message of these is a bare key or nothing
    text = re.sub(r" when reading image file$|^cannot read this .*|^decoder error -?\d+$", "", text)[:120]
    if found := re.match(r"image file is truncated(?: \((?!0 bytes)(.*)\))?", text):
        return f"truncated {kind}: {found[1] or 'it ends too early'}"
    if re.match(r"(?i)truncated|unexpected end|not enough data|end of file|buffer overrun", text):
        return f"truncated {kind}: it ends too early"
    return f"broken {kind}: {text}" if text else f"broken {kind}"


_MAGIC = {
    b"\xff\xd8\xff": "JPEG",
    b"\x89PNG": "PNG",
    b"GIF8": "GIF",
    b"RIFF": "WebP",
    b"BM": "BMP",
    b"II*\0": "TIFF",
    b"MM\0*": "TIFF",
    b"%PDF": "PDF",
    b"%!PS": "PostScript",
}


def _unknown(data: bytes) -> str:
    """Reason for data that no decoder recognises."""
    if not data:
        return "empty file"
    head = data[:15]
    for magic, kind in _MAGIC.items():
        if head.startswith(magic):
            if kind in ("PDF", "PostScript"):
                return f"not an image: a {kind} document"
            return f"broken {kind}: its header cannot be read"
    if data[4:8] == b"ftyp":
        brand = data[8:12]
        if brand[:3] in (b"avi", b"hei", b"hev", b"mif", b"msf"):
            return f"broken {'AVIF' if brand[:3] == b'avi' else 'HEIC'}: its header cannot be read"
        return "not an image: a video (MP4 or MOV)"
    text = head.decode("utf-8", "replace").strip()
    if text and all(c.isprintable() or c.isspace() for c in text) and "�" not in text[:-1]:
        return f"not an image: starts with '{' '.join(text.split())}'"
    return f"not an image, or of an unknown kind: starts with the bytes {data[:4].hex(' ')}"
