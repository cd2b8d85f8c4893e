"""Bytes -> uint8 RGB at the wanted size; where each file is decoded, and every refusal with its reason.

The common formats (JPEG, PNG, GIF, WebP, BMP) with a believable size are decoded in the calling thread, the rest in
the helper process of helper.py. The common ones are opened through their Pillow classes, not through `Image.open`:
that neither reads nor sets `Image.MAX_IMAGE_PIXELS`, which belongs to the user's program, and cannot warn.
"""

from __future__ import annotations

import contextlib
import hashlib
import struct
import threading
from io import BytesIO

import numpy as np
from PIL import Image, ImageFile
from PIL.BmpImagePlugin import BmpImageFile
from PIL.GifImagePlugin import GifImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.WebPImagePlugin import WebPImageFile

from ilk.errors import ArgumentError
from ilk.files import mending, raw
from ilk.files.helper import shared_pool
from ilk.files.parts import too_many_parts
from ilk.files.reasons import believed, claim_reason, explain
from ilk.files.render import Decoded, Resize, render, upright_size
from ilk.files.samples import Samples

__all__ = ["Decoded", "content_hash", "decode", "probe"]

_JPEG, _PNG = b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n"
_HERE = 64_000_000  # pixels that the calling thread decodes at most
_ALONE = 16_000_000  # from here on one at a time, so that many threads do not multiply the memory
_MAX_SCANS = 64  # a progressive JPEG with more passes over the picture than this is hostile
_alone = threading.Lock()


class _Jpeg(JpegImageFile):
    """JPEG without EXIF parsing: Pillow reads it only for the resolution, and may warn; `orientation` reads its own."""

    def getexif(self) -> Image.Exif:
        return Image.Exif()


def decode(
    data: bytes,
    size: tuple[int, int] | None,
    *,
    resize: Resize = "crop",
    crop_pct: float = 1.0,
    samples: Samples = Samples(),  # noqa: B008 - frozen
    apart: bool = False,
    thumb: bool = False,
) -> Decoded:
    """Decode one image file; never raises for what the file is.

    Parameters
    ----------
    data : bytes
        The whole file.
    size : (height, width) or None
        Wanted size in pixels; None keeps the native one (longest side at most 4096).
    resize : "crop" or "stretch"
        "crop": the central box of the wanted shape, `crop_pct` of the largest that fits, brought to `size`.
        "stretch": the whole picture, whatever its shape.
    crop_pct : float
        In (0, 1].
    samples : Samples
        What is black and white in samples beyond 8 bits, and which bands are shown; by default the file's own values
        decide. See `ilk.files.survey` for those of a whole set.
    apart : bool
        Decode in the helper process whatever the format is: its memory is not ours, and a crash ends the helper only.
    thumb : bool
        Make the thumbnail of the whole picture in the same pass.

    Returns
    -------
    Decoded
        RGB uint8 (h, w, 3), and the thumbnail if asked for; or a reason.

    Raises
    ------
    ArgumentError
        An option outside of what is allowed.

    Notes
    -----
    First frame of animations, first page of a stack; orientation applied; colours brought to sRGB; alpha over white, or
    over grey where white would hide all; grey, palette, CMYK and LAB to RGB; of camera raw the largest preview inside.
    A JPEG without its end marker is read if its rows are there, a PNG whose notes are too large without them. A header
    that claims more than 200 million pixels (a JPEG: 1,000 million) is not believed. Odd formats get 10 s and 1 GiB.
    Thread-safe. A 400 × 533 JPEG to 224 × 224 costs about 2 ms of one core,
    its thumbnail 0.7 ms more.

    Examples
    --------
    >>> decode(b"<html></html>", (8, 8)).reason
    "not an image: starts with '<html></html>'"
    """
    if resize not in ("crop", "stretch"):
        raise ArgumentError(f"resize={resize!r}; allowed are 'crop' and 'stretch'")
    if not 0 < crop_pct <= 1:
        raise ArgumentError(f"crop_pct={crop_pct!r}; it must be above 0 and at most 1")
    if size is not None and not (len(size) == 2 and min(size) > 0):
        raise ArgumentError(f"size={size!r}; give (height, width), both at least 1, or None")
    if reason := _hopeless(data):
        return Decoded(None, 0, 0, reason)
    if not (picture := _picture(data)):
        return Decoded(None, 0, 0, _NO_PREVIEW)
    if reason := too_many_parts(picture):
        return Decoded(None, 0, 0, reason)
    if apart:
        return shared_pool().decode(picture, size, resize, crop_pct, samples, thumb)
    found = _decoded(picture, size, resize, crop_pct, samples, thumb)
    if found.pixels is None and (again := _second_chance(picture, size, resize, crop_pct, samples, thumb)) is not None:
        return again
    return found


def _decoded(
    data: bytes,
    size: tuple[int, int] | None,
    resize: Resize,
    crop_pct: float,
    samples: Samples,
    thumb: bool = False,
) -> Decoded:
    """Decode what needs no mending, here or in a helper."""
    image, claim = _open_here(data)
    kind = "JPEG" if data.startswith(_JPEG) else None
    if claim is not None and not believed(kind, *claim):
        return Decoded(None, *claim, claim_reason(*claim, kind))
    if image is None:
        return shared_pool().decode(data, size, resize, crop_pct, samples, thumb)
    width, height = upright_size(image)
    try:
        with _alone if width * height > _ALONE else contextlib.nullcontext():
            return render(image, size, resize, crop_pct, samples, thumb)
    except Warning:  # the user turned warnings into errors and Pillow had one after all: the helper ignores them
        return shared_pool().decode(data, size, resize, crop_pct, samples, thumb)
    except Exception as error:  # whatever a decoder raises becomes the row's reason
        return Decoded(None, width, height, explain(error, data, image.format, 2**30))


def _second_chance(
    data: bytes, size: tuple[int, int] | None, resize: Resize, crop_pct: float, samples: Samples, thumb: bool
) -> Decoded | None:
    """Decode a file that breaks a rule of its format and holds all its pixels; None where it does not hold them."""
    if data.startswith(_PNG):
        slim = mending.png_without_notes(data)
        return None if slim is None else _decoded(slim, size, resize, crop_pct, samples, thumb)
    if mending.is_endless(data):
        ended = mending.ended(data)
        # by the whole picture: what is missing may lie outside of the crop, or vanish in a small copy
        one, other = (_decoded(whole, None, "stretch", 1.0, samples) for whole in ended)
        if one.pixels is not None and other.pixels is not None and np.array_equal(one.pixels, other.pixels):
            return _decoded(ended[0], size, resize, crop_pct, samples, thumb)
    return None


_NO_PREVIEW = "camera RAW without a preview inside: develop it to JPEG or TIFF first"


def _picture(data: bytes) -> bytes:
    """The picture in a file: the file itself, or of camera raw the largest preview, upright; empty if it has none."""
    if data.startswith((_JPEG, _PNG)) or not raw.is_raw(data):
        return data
    return raw.preview(data) or b""


def probe(data: bytes) -> tuple[int, int] | None:
    """(width, height) in pixels from the header, EXIF orientation applied; None where it cannot be read.

    >>> probe(b"") is None
    True
    """
    if _hopeless(data) or not (data := _picture(data)) or too_many_parts(data):
        return None
    image, claim = _open_here(data)
    if image is None and data.startswith(_PNG) and (slim := mending.png_without_notes(data)) is not None:
        image, claim = _open_here(slim)
    if image is not None:
        return upright_size(image)
    return claim if claim is not None else shared_pool().probe(data)


def content_hash(data: bytes) -> bytes:
    """16 bytes that stand for the content (BLAKE2b).

    >>> content_hash(b"").hex()
    'cae66941d9efbd404e4d88758ea67670'
    """
    return hashlib.blake2b(data, digest_size=16).digest()


def _hopeless(data: bytes) -> str | None:
    """A reason for what needs no decoder to be refused: nothing, HTML, PDF, PostScript."""
    start = data[:64].lstrip(b"\xef\xbb\xbf \t\r\n")
    if not data or start.startswith((b"<", b"%PDF", b"%!PS")):
        return explain(OSError(), data, None, 0)
    return None


def _open_here(data: bytes) -> tuple[ImageFile.ImageFile | None, tuple[int, int] | None]:
    """The opened image if this thread may decode it, and the size its header claims where that is known.

    Claims are read before the Pillow class is made: WebP takes memory, and GIF may warn, as soon as it is opened.
    """
    try:
        factory, claim = _factory(data)
        if factory is None or (claim is not None and claim[0] * claim[1] > _HERE):
            return None, claim
        image = factory(BytesIO(data))
    except Exception:  # the helper asks every other reader of Pillow, and finds the words
        return None, None
    width, height = image.size
    if width * height > _HERE:
        return None, (width, height)
    if image.format == "JPEG" and _slow_jpeg(data, image):
        return None, (width, height)
    return image, (width, height)


def _factory(data: bytes) -> tuple[type[ImageFile.ImageFile] | None, tuple[int, int] | None]:
    """Pillow's class for a common format, and the claimed (width, height) where it has to be known before."""
    if data.startswith(_JPEG):
        return _Jpeg, None
    if data.startswith(_PNG):
        claim = struct.unpack(">II", data[16:24]) if data[12:16] == b"IHDR" else None
        # Pillow warns about an odd acTL chunk; animations are rare enough to be the helper's
        return (None if b"acTL" in data else PngImageFile), claim
    if data.startswith((b"GIF87a", b"GIF89a")):
        return GifImageFile, _gif_size(data)
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return WebPImageFile, _webp_size(data)
    # BMP: run-length coding is decoded in Python, slowly and holding the GIL
    if data.startswith(b"BM") and data[14:18] in _BMP_HEADERS and data[30:34] in (b"\0\0\0\0", b"\3\0\0\0"):
        return BmpImageFile, None
    return None, None


_BMP_HEADERS = {struct.pack("<I", n) for n in (40, 52, 56, 64, 108, 124)}


def _slow_jpeg(data: bytes, image: ImageFile.ImageFile) -> bool:
    """A progressive JPEG keeps all coefficients (6 bytes a pixel) and passes over them once a scan."""
    if not image.info.get("progressive"):
        return False
    width, height = image.size
    return width * height > _ALONE or data.count(b"\xff\xda") > _MAX_SCANS


def _webp_size(data: bytes) -> tuple[int, int]:
    """Canvas of a WebP file; raises struct.error, IndexError or ValueError where the header is broken."""
    kind = data[12:16]
    if kind == b"VP8X":
        return int.from_bytes(data[24:27], "little") + 1, int.from_bytes(data[27:30], "little") + 1
    if kind == b"VP8L":
        (bits,) = struct.unpack_from("<I", data, 21)
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if kind == b"VP8 ":
        width, height = struct.unpack_from("<HH", data, 26)
        return width & 0x3FFF, height & 0x3FFF
    raise ValueError("not a WebP header")


def _gif_size(data: bytes) -> tuple[int, int]:
    """Screen of a GIF file, or its first frame where that sticks out; raises IndexError or struct.error if broken."""
    width, height = struct.unpack_from("<HH", data, 6)
    at = 13 + (3 << (data[10] & 7) + 1 if data[10] & 0x80 else 0)
    while data[at] != 0x2C:  # up to the first frame
        if data[at] == 0x3B:
            raise ValueError("a GIF without a frame")
        if data[at] == 0x21:  # an extension: its label, then blocks up to an empty one
            at += 2
            while data[at]:
                at += 1 + data[at]
        at += 1
    left, top, columns, rows = struct.unpack_from("<HHHH", data, at + 1)
    return max(width, left + columns), max(height, top + rows)
