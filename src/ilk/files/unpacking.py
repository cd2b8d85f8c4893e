"""Members of a zip, unpacked piece by piece: never more than is asked for, whatever the archive claims."""

from __future__ import annotations

import bz2
import copy
import lzma
import struct
import zipfile
import zlib
from types import TracebackType
from typing import Any

__all__ = ["DAMAGED", "Member"]

DAMAGED = (
    zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error, EOFError, NotImplementedError, RuntimeError,
    ValueError, OSError,
)  # fmt: skip
"""What reading a member may raise; bz2 raises a plain OSError."""

_PIECE = 16 * 2**10  # packed bytes taken at once
_LZMA = 256 * 2**20  # bytes that its dictionary may take; the highest level asks for 65 MiB


class Member:
    """One member of a zip that is read from its beginning.

    zipfile itself keeps to what is asked for with Deflate only: of bzip2 and LZMA it unpacks all that some kilobytes
    stand for, which may be gigabytes. Opening and closing are not safe among threads, reading is.

    Parameters
    ----------
    archive, info
        The open archive, and the member of it.

    Raises
    ------
    DAMAGED
        It cannot be unpacked, by `read` too; or its checksum is another one than the archive says.
    """

    def __init__(self, archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> None:
        self._info = info
        self._left, self._sum = info.file_size, 0
        self._unpack: Any = None
        if info.compress_type not in (zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
            self._file = archive.open(info)
            return
        as_it_is = copy.copy(info)
        as_it_is.compress_type, as_it_is.file_size = zipfile.ZIP_STORED, info.compress_size
        del as_it_is.CRC  # it is that of the unpacked
        self._file = archive.open(as_it_is)
        if info.compress_type == zipfile.ZIP_BZIP2:
            self._unpack = bz2.BZ2Decompressor()
            return
        _, length = struct.unpack("<HH", self._file.read(4))
        head = self._file.read(length) + b"\xff" * 8  # of a .lzma file of unknown length
        self._unpack = lzma.LZMADecompressor(lzma.FORMAT_ALONE, memlimit=_LZMA)
        self._unpack.decompress(head, 0)

    def read(self, size: int) -> bytes:
        """Return the next `size` bytes; fewer only where the member ends."""
        if self._unpack is None:
            return self._file.read(size)
        size = min(size, self._left)
        found = bytearray()
        while len(found) < size and not self._unpack.eof:
            packed = self._file.read(_PIECE) if self._unpack.needs_input else b""
            if not packed and self._unpack.needs_input:
                break
            found += self._unpack.decompress(packed, size - len(found))
        self._left -= len(found)
        self._sum = zlib.crc32(found, self._sum)
        if not self._left and self._sum != self._info.CRC:
            raise zipfile.BadZipFile("its checksum is another one")
        return bytes(found)

    def close(self) -> None:
        """Let go of it."""
        self._file.close()

    def __enter__(self) -> Member:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
