"""Files that break a rule of their format and still hold every pixel: read as viewers read them.

Nothing is guessed: metadata that a decoder chokes on is left out, an end marker that is missing is added; a picture
whose rows are not all there stays unreadable.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

__all__ = ["ended", "is_endless", "png_without_notes"]

_NOTES = (b"zTXt", b"iTXt", b"tEXt", b"iCCP", b"eXIf")
_MOST = 2**20  # bytes of text or profile that Pillow takes, unpacked
_BESIDE = 64 * 1024


def png_without_notes(data: bytes) -> bytes | None:
    """Return a PNG without the texts and profiles that are larger than a decoder takes; None where there are none.

    Display calibrations, XMP of editors and whole workflows make megabytes, packed into some kB.
    """
    kept, left_out, texts = [data[:8]], False, 0
    for kind, start, stop in _chunks(data):
        if kind in _NOTES:
            size = _unpacked(kind, data[start + 8 : stop - 4])
            if texts + size > _MOST:
                left_out = True
                continue
            texts += size
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


def _unpacked(kind: bytes, body: bytes) -> int:
    """Return how many bytes a chunk of text or profile holds once unpacked; up to a little above the limit."""
    at = body.find(b"\0") + 1
    packed: bytes | None = None
    if kind in (b"zTXt", b"iCCP"):
        packed = body[at + 1 :]
    elif kind == b"iTXt" and body[at : at + 1] == b"\1":
        packed = body[body.find(b"\0", body.find(b"\0", at + 2) + 1) + 1 :]
    if packed is None:
        return len(body)
    try:
        return len(zlib.decompressobj().decompress(packed, _MOST + 1))
    except zlib.error:
        return 0  # whatever it is, it is not large


def is_endless(data: bytes) -> bool:
    """Return whether a JPEG lacks its end marker, as far as its last bytes show."""
    return data.startswith(b"\xff\xd8\xff") and b"\xff\xd9" not in data[-_BESIDE:]


def ended(data: bytes) -> tuple[bytes, bytes]:
    """Return a JPEG with an end marker, twice: other bytes stand before it.

    A decoder that has all rows ignores them, so both give the same picture; where rows are missing, the bytes become
    pixels, and the two pictures differ.
    """
    return data + b"\x00\x5a" * 256 + b"\xff\xd9", data + b"\x55\xa7\x33" * 171 + b"\xff\xd9"
