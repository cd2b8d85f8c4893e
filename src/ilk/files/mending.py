"""Files that break a rule of their format and still hold every pixel: read as viewers read them.

Nothing is guessed: metadata that a decoder chokes on is left out, an end marker that is missing is added; a picture
whose rows are not all there stays unreadable.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

__all__ = ["ended", "is_endless", "png_without_notes"]

_NOTES = (b"zTXt", b"iTXt", b"tEXt", b"iCCP", b"eXIf")
_MOST = 2**20  # bytes of text or profile that Pillow takes, unpacked
_STEP = 64 * 1024
_BESIDE = 64 * 1024


def png_without_notes(data: bytes) -> bytes | None:
    """Return a PNG without the texts and profiles that are larger than a decoder takes; None where there are none.

    Display calibrations, XMP of editors and whole workflows make megabytes, packed into some kB. What is kept is at
    most 1 MiB, unpacked, in all; to see that, at most 2 MiB are unpacked, whatever the file holds, and packed notes
    behind are left out unread.
    """
    kept, left_out, room, budget = [data[:8]], False, _MOST, _Budget()
    for kind, start, stop in _chunks(data):
        if kind in _NOTES:
            size = _unpacked(kind, data[start + 8 : stop - 4], room, budget)
            if size is None:
                left_out = True
                continue
            room -= size
        kept.append(data[start:stop])
        if kind == b"IEND":
            break
    return b"".join(kept) if left_out else None


def _chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Yield (kind, start, stop) of the chunks of a PNG, as far as they are whole."""
    at = 8
    while at + 12 <= len(data):
        (length,) = struct.unpack_from(">I", data, at)
        stop = at + 12 + length
        if stop > len(data):
            yield data[at + 4 : at + 8], at, len(data)
            return
        yield data[at + 4 : at + 8], at, stop
        at = stop


@dataclass
class _Budget:
    """What may still be unpacked of a whole file: a small file can hold a thousand notes of a megabyte each."""

    left: int = 2 * _MOST


def _unpacked(kind: bytes, body: bytes, room: int, budget: _Budget) -> int | None:
    """Return how many bytes a chunk of text or profile holds once unpacked; None where they are more than `room`.

    None also where that cannot be said any more within `budget`.
    """
    at = body.find(b"\0") + 1
    begin: int | None = None
    if kind in (b"zTXt", b"iCCP"):
        begin = at + 1
    elif kind == b"iTXt" and body[at : at + 1] == b"\1":
        begin = body.find(b"\0", body.find(b"\0", at + 2) + 1) + 1
    if begin is None:
        return len(body) if len(body) <= room else None
    size, unpacker = 0, zlib.decompressobj()
    # in small steps: what a broken stream gave before it broke is known then, and no rest of the input is copied often
    for start in range(begin, len(body), _STEP):
        piece = body[start : start + _STEP]
        while piece and not unpacker.eof:
            if budget.left <= 0:
                return None
            try:
                found = len(unpacker.decompress(piece, _STEP))
            except zlib.error:
                budget.left -= _STEP
                return 0  # whatever it is, it is not large
            size, piece = size + found, unpacker.unconsumed_tail
            budget.left -= found
            if size > room:
                return None
        if unpacker.eof:
            break
    return size


def is_endless(data: bytes) -> bool:
    """Return whether a JPEG lacks its end marker, as far as its last bytes show."""
    return data.startswith(b"\xff\xd8\xff") and b"\xff\xd9" not in data[-_BESIDE:]


def ended(data: bytes) -> tuple[bytes, bytes]:
    """Return a JPEG with an end marker, twice: other bytes stand before it.

    A decoder that has all rows ignores them, so both give the same picture; where rows are missing, the bytes become
    pixels, and the two pictures differ.
    """
    return data + b"\x00\x5a" * 256 + b"\xff\xd9", data + b"\x55\xa7\x33" * 171 + b"\xff\xd9"
