"""When and with what a photo was taken: three fields of its EXIF block, found in the first bytes of the file."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from typing import NamedTuple

__all__ = ["HEAD", "Taken", "taken"]

HEAD = 1 << 17
"""Bytes of a file that are enough: an EXIF block of a JPEG is smaller than 64 KiB, and stands in front."""

_ENTRIES = 512  # of a directory; usual are 20
_TEXT = 64  # characters
_MARKS = 8
_MAKE, _MODEL, _CHANGED, _EXIF, _TAKEN = 0x010F, 0x0110, 0x0132, 0x8769, 0x9003
_WHEN = re.compile(r"([0-9]{4})[:-]([0-9]{2})[:-]([0-9]{2})(?:[ T]([0-9]{2}):([0-9]{2}):([0-9]{2}))?")


class Taken(NamedTuple):
    """What a file says of itself; empty what it does not say.

    Attributes
    ----------
    date : str
        ``2024-05-17 10:20:30``, as the camera's clock had it.
    camera : str
        Make and model.
    """

    date: str = ""
    camera: str = ""


def taken(head: bytes) -> Taken:
    """Return when and with what a photo was taken; never raises for what the file is.

    Parameters
    ----------
    head : bytes
        The beginning of the file, `HEAD` bytes of it or all: JPEG, TIFF and what is built like it (camera raw), PNG,
        WebP, HEIC.

    Examples
    --------
    >>> taken(b"no photo")
    Taken(date='', camera='')
    """
    for block in _blocks(head):
        try:
            found = _read(block)
        except (struct.error, OverflowError, ValueError):
            continue
        if found != Taken():
            return found
    return Taken()


def _blocks(head: bytes) -> Iterator[bytes]:
    """Yield what may be the TIFF structure of an EXIF block."""
    if head[:4] in (b"II*\0", b"MM\0*"):
        yield head
        return
    at = -1
    for _ in range(_MARKS):  # in HEIC the words stand in a table first
        if (at := head.find(b"Exif\0\0", at + 1)) < 0:
            break
        yield head[at + 6 :]
    if head.startswith(b"\x89PNG") and (at := head.find(b"eXIf")) >= 0:
        yield head[at + 4 :]
    if head[:4] == b"RIFF" and (at := head.find(b"EXIF")) >= 0:
        yield head[at + 8 :]


def _read(tiff: bytes) -> Taken:
    order = {b"II": "<", b"MM": ">"}[tiff[:2].ljust(2)] if tiff[:2] in (b"II", b"MM") else ""
    if not order:
        return Taken()
    (first,) = struct.unpack_from(order + "I", tiff, 4)
    main = _directory(tiff, order, first)
    inner = _directory(tiff, order, main[_EXIF][0]) if _EXIF in main else {}
    date = _date(_text(tiff, inner.get(_TAKEN))) or _date(_text(tiff, main.get(_CHANGED)))
    make, model = _text(tiff, main.get(_MAKE)), _text(tiff, main.get(_MODEL))
    named = model.casefold().startswith(make.casefold().split(" ")[0]) if make and model else False
    return Taken(date, model if named else " ".join(part for part in (make, model) if part))


def _directory(tiff: bytes, order: str, at: int) -> dict[int, tuple[int, int]]:
    """Return tag -> (value or its position, count) of the fields that count here."""
    (count,) = struct.unpack_from(order + "H", tiff, at)
    found = {}
    for i in range(min(count, _ENTRIES)):
        start = at + 2 + 12 * i
        if start + 12 > len(tiff):
            break
        tag, _, length, value = struct.unpack_from(order + "HHII", tiff, start)
        if tag in (_MAKE, _MODEL, _CHANGED, _EXIF, _TAKEN):
            found[tag] = (start + 8 if tag != _EXIF and length <= 4 else value, length)
    return found


def _text(tiff: bytes, field: tuple[int, int] | None) -> str:
    if field is None:
        return ""
    at, length = field
    raw = tiff[at : at + min(length, _TEXT)].split(b"\0")[0].decode("utf-8", "replace")
    return " ".join("".join(c if c.isprintable() else " " for c in raw).split())


def _date(text: str) -> str:
    """Return a date in ISO order; empty where it is none, such as one of zeros.

    >>> _date("2024:05:17 10:20:30"), _date("0000:00:00 00:00:00")
    ('2024-05-17 10:20:30', '')
    """
    found = _WHEN.match(text)
    if found is None:
        return ""
    year, month, day, *clock = (int(part or 0) for part in found.groups())
    if not (1800 <= year < 2200 and 1 <= month <= 12 and 1 <= day <= 31 and clock[0] < 24 and max(clock[1:]) < 61):
        return ""
    return "{:04}-{:02}-{:02} {:02}:{:02}:{:02}".format(year, month, day, *clock)
