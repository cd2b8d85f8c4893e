"""Headers of a tar as tarfile reads them, with bounds: a header claims no gigabytes, and none leads back to itself."""

from __future__ import annotations

import tarfile
from typing import Any, Self

__all__ = ["Header", "members_of"]

_BYTES = 2**20  # of a header that holds a long name or further fields
_CHAIN = 16  # such headers before one member; usual are one or two
_FIELDS = ("path", "linkpath", "size", "mtime", "GNU.sparse.name")
_LATEST = 9_000_000_000  # s; what is later does not fit into 64 bits of ns


def members_of(path: Any) -> Any:
    """Yield each `Header` of the uncompressed tar `path`, or file that can be sought in; none is kept.

    Raises
    ------
    tarfile.TarError, OSError, ValueError
        It is no tar, or damaged from here on.
    """
    given = {"fileobj": path} if hasattr(path, "seek") else {"name": path}
    with tarfile.open(mode="r:", tarinfo=Header, **given) as tar:
        for member in tar:
            tar.members = []  # type: ignore[attr-defined]  # it would keep a kilobyte for each
            yield member


class Header(tarfile.TarInfo):
    """A member of a tar. A sparse file is known as such, and its map is not read."""

    @property
    def stamp(self) -> int:
        """Time of the last change in ns; 0 where the header holds none that can be."""
        return int(self.mtime * 1e9) if 0 <= self.mtime < _LATEST else 0

    @classmethod
    def fromtarfile(cls, tar: tarfile.TarFile) -> Self:
        """Return the next header; what is none ends the archive with an error, and not as if it were its end."""
        try:
            return super().fromtarfile(tar)
        except (tarfile.InvalidHeaderError, tarfile.TruncatedHeaderError) as error:  # type: ignore[attr-defined]
            raise tarfile.ReadError(str(error)) from error

    def _proc_member(self, tar: Any) -> tarfile.TarInfo:
        """Read what belongs to this header; tarfile calls this and says that it may be overridden."""
        before = tar.fileobj.tell()
        further = self.type in (tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK, *_PAX)
        tar.ilk_chain = getattr(tar, "ilk_chain", 0) + 1 if further else 0
        if self.size < 0 or (further and (self.size > _BYTES or tar.ilk_chain > _CHAIN)):
            raise tarfile.ReadError("a header that claims what cannot be")
        try:
            found: tarfile.TarInfo = super()._proc_member(tar)  # type: ignore[misc]
        except IndexError as error:  # a sparse file whose map breaks off
            raise tarfile.ReadError("it breaks off") from error
        if found.size < 0 or tar.offset < before:
            raise tarfile.ReadError("a header that leads back")
        return found

    def _proc_sparse(self, tar: Any) -> tarfile.TarInfo:
        """Pass over the map of an old sparse file, which may go on for gigabytes."""
        structs, more, size = self._sparse_structs  # type: ignore[attr-defined]
        del self._sparse_structs  # type: ignore[attr-defined]
        while more:
            block = tar.fileobj.read(tarfile.BLOCKSIZE)
            if len(block) < tarfile.BLOCKSIZE:
                raise tarfile.ReadError("it breaks off")
            more = bool(block[504])
        self.sparse = structs
        self.offset_data = tar.fileobj.tell()
        tar.offset = self.offset_data + -(-self.size // tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE
        self.size = size
        return self

    def _proc_pax(self, tar: Any) -> tarfile.TarInfo:
        """Read the header's further fields; tarfile's own way of it takes the square of their length."""
        fields = _fields(tar.fileobj.read(-(-self.size // tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE)[: self.size])
        if self.type == tarfile.XGLTYPE:
            tar.pax_headers.update(fields)
            return self.fromtarfile(tar)
        fields = {**tar.pax_headers, **fields}
        found = self.fromtarfile(tar)
        found._apply_pax_info(fields, tar.encoding, tar.errors)  # type: ignore[attr-defined]
        found.offset = self.offset
        if any(field.startswith("GNU.sparse.") for field in fields):
            found.sparse = b""  # all that is not None says that it is one
            found.name = fields.get("GNU.sparse.name", found.name)
        if "size" in fields and found.isreg():
            tar.offset = found.offset_data + -(-found.size // tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE
        return found


_PAX = (tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE)


def _fields(data: bytes) -> dict[str, str]:
    """Return the fields of a pax header that count here: records of "length name=value" and a line break.

    >>> _fields(b"11 path=ab" + bytes([10]))
    {'path': 'ab'}
    """
    found, at = {}, 0
    while at < len(data) and data[at : at + 1] != b"\0":
        digits, space, _ = data[at : at + 8].partition(b" ")
        length = int(digits) if space and digits.isdigit() else 0
        name, equals, value = data[at + len(digits) + 1 : at + length - 1].partition(b"=")
        if length < len(digits) + 3 or not equals or at + length > len(data):
            raise tarfile.ReadError("a header with odd fields")
        key = name.decode("utf-8", "replace")
        if key in _FIELDS:
            found[key] = value.decode("utf-8", "surrogateescape")
        elif key.startswith("GNU.sparse."):
            found["GNU.sparse.map"] = ""
        at += length
    return found
