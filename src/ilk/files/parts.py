"""How many parts a picture is made of: the readers in Python take a step for each, and keep much of it."""

from __future__ import annotations

import struct

__all__ = ["too_many_parts"]

_PARTS = 100_000  # a PNG of 512 MiB in the usual pieces of 8 KiB has 65,536
_HEAD = 64 * 2**20  # bytes of a JPEG or GIF before its first picture: profiles, notes and previews take some


def too_many_parts(data: bytes) -> str | None:
    """Return why a PNG, JPEG or GIF is not read: it is made of far more parts than a picture needs; else None.

    Costs a step for each part that there is, at most 100,000.

    >>> too_many_parts(b"\\xff\\xd8" + b"\\xff\\xfe\\0\\2" * 200_000)
    'made of more than 100,000 parts, which no picture needs'
    >>> too_many_parts(b"GIF89a") is None
    True
    """
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        many, head = _png(data), 0
    elif data.startswith(b"\xff\xd8"):
        many, head = _jpeg(data)
    elif data.startswith((b"GIF87a", b"GIF89a")):
        many, head = _gif(data)
    else:
        return None
    if many > _PARTS:
        return f"made of more than {_PARTS:,} parts, which no picture needs"
    return f"has more than {_HEAD >> 20} MiB before its picture" if head > _HEAD else None


def _png(data: bytes) -> int:
    """Count the chunks."""
    at, count = 8, 0
    while at + 8 <= len(data) and count <= _PARTS:
        at += 12 + int.from_bytes(data[at : at + 4], "big")
        count += 1
    return count


def _jpeg(data: bytes) -> tuple[int, int]:
    """Count the segments, and single bytes between them, up to the first scan; and the bytes until there."""
    at, count = 2, 0
    while at + 4 <= len(data) and count <= _PARTS:
        mark = data[at + 1]
        if (
            data[at] != 0xFF or mark in (0x00, 0x01, 0xFF) or 0xD0 <= mark <= 0xD8
        ):  # filling, and marks that stand alone
            at += 1
        elif mark in (0xD9, 0xDA):
            break
        else:
            (length,) = struct.unpack_from(">H", data, at + 2)
            at += 2 + max(length, 2)
        count += 1
    return count, min(at, len(data))


def _gif(data: bytes) -> tuple[int, int]:
    """Count the blocks of all extensions before the first frame; and the bytes until there."""
    at = 13 + (3 << (data[10] & 7) + 1 if len(data) > 10 and data[10] & 0x80 else 0)
    count = 0
    while at < len(data) and data[at] not in (0x2C, 0x3B) and count <= _PARTS:
        if data[at] == 0x21:
            at += 2
            while at < len(data) and data[at] and count <= _PARTS:
                at += 1 + data[at]
                count += 1
        at += 1
        count += 1
    return count, min(at, len(data))
