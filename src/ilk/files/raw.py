"""Camera raw files: the picture that the camera itself made of them, which lies inside as a JPEG.

A raw file holds sensor values, a thumbnail, and one or more finished previews, the largest of the size of the screen or
of the sensor. The preview is what a person sees in a file manager; developing the sensor's values is another program's
job.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

__all__ = ["RAW_EXTENSIONS", "is_raw", "preview"]

RAW_EXTENSIONS = frozenset(
    "cr2 cr3 crw nef nrw arw sr2 srf raf rw2 rwl orf dng pef srw x3f 3fr iiq erf mrw kdc dcr mef mos".split()  # noqa: SIM905
)

_STARTS = (b"FUJIFILMCCD-RAW", b"IIU\0", b"IIRO", b"IIRS", b"MMOR", b"FOVb", b"\0MRM", b"HEAPCCDR")
_SMALLEST = 320  # pixels of the longer side; below it is a thumbnail, and nobody's picture
_MOST_MARKS = 4096
_MOST_TAGS = 512
_DNG_VERSION, _SUB_FILE, _SUB_IFDS, _ORIENTATION, _MAKE, _ROWS = 50706, 254, 330, 274, 271, 257
_THUMB = 160


class _Found(NamedTuple):
    pixels: int
    start: int
    size: tuple[int, int]


def is_raw(data: bytes) -> bool:
    """Return whether these are the first bytes, or all bytes, of a camera raw file.

    >>> is_raw(b"FUJIFILMCCD-RAW 0201FF383501"), is_raw(b"II*\\0")
    (True, False)
    """
    if data.startswith(_STARTS) or data[4:12] == b"ftypcrx ":
        return True
    if data[:4] not in (b"II*\0", b"MM\0*"):
        return False
    if data[8:10] == b"CR":
        return True
    tags = _tags(data)
    # a digital negative, or a camera's own: the picture that comes first is the small copy of one further down
    small = tags.get(_SUB_FILE) == 1 or (_MAKE in tags and tags.get(_ROWS, 0) <= _THUMB)
    return _DNG_VERSION in tags or (_SUB_IFDS in tags and small)


def preview(data: bytes) -> bytes | None:
    """Return the largest finished JPEG inside a raw file, from its start to the end of the file; None where none is.

    Notes
    -----
    Found by their first bytes and read up to their size: thumbnails below 320 pixels and the sensor's own values, which
    some cameras keep as lossless JPEG, do not count. Some 10 ms for 30 MB.
    """
    best: _Found | None = None
    for found in _jpegs(data):
        if best is None or found.pixels > best.pixels:
            best = found
    if best is None or max(best.size) < _SMALLEST:
        return None
    inside = data[best.start :]
    turn = _tags(data).get(_ORIENTATION, 1)
    if 1 < turn <= 8 and b"Exif\0\0" not in inside[:64]:  # what the camera says of the picture it says outside of it
        entry = struct.pack("<HHIHH", _ORIENTATION, 3, 1, turn, 0)
        exif = b"Exif\0\0II*\0\x08\0\0\0\x01\0" + entry + bytes(4)
        inside = inside[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + inside[2:]
    return inside


def _jpegs(data: bytes) -> Iterator[_Found]:
    """Yield the pictures inside: baseline and progressive JPEGs whose headers are whole."""
    at, seen = data.find(b"\xff\xd8\xff"), 0
    while at >= 0 and seen < _MOST_MARKS:
        seen += 1
        size = _jpeg_size(data, at)
        if size is not None:
            yield _Found(size[0] * size[1], at, size)
        at = data.find(b"\xff\xd8\xff", at + 3)


def _jpeg_size(data: bytes, at: int) -> tuple[int, int] | None:
    """Return (width, height) of the JPEG that starts at `at`; None where it is none, or lossless."""
    at += 2
    for _ in range(64):
        if at + 9 > len(data) or data[at] != 0xFF:
            return None
        kind = data[at + 1]
        (length,) = struct.unpack_from(">H", data, at + 2)
        if kind in (0xC0, 0xC1, 0xC2):
            height, width = struct.unpack_from(">HH", data, at + 5)
            return (width, height) if width and height else None
        if not (0xC4 <= kind <= 0xFE) or kind in (0xD8, 0xD9, 0xDA) or length < 2:
            return None  # another coding (lossless: 0xC3), the end, or pixels without a size
        at += 2 + length
    return None


def _tags(data: bytes) -> dict[int, int]:
    """Return the first value of each tag of the first directory of a TIFF-like file."""
    order = "<" if data[:2] == b"II" else ">"
    found: dict[int, int] = {}
    try:
        (at,) = struct.unpack_from(order + "I", data, 4)
        (count,) = struct.unpack_from(order + "H", data, at)
        for i in range(min(count, _MOST_TAGS)):
            tag, kind, _ = struct.unpack_from(order + "HHI", data, at + 2 + 12 * i)
            form = {3: "H", 4: "I"}.get(kind, "B" if kind in (1, 7) else "I")
            (found[tag],) = struct.unpack_from(order + form, data, at + 10 + 12 * i)
    except struct.error:
        pass
    return found
