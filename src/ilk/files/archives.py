"""Tar and zip archives as `Listing`: members are read in place, never extracted; hostile ones are refused by name."""

from __future__ import annotations

import calendar
import contextlib
import functools
import hashlib
import os
import posixpath
import re
import stat
import tarfile
import threading
import weakref
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ilk.errors import DataError
from ilk.files.addresses import Address
from ilk.files.headers import Header, members_of
from ilk.files.listing import MAX_BYTES, Listing, Row, build, member_set_aside, wanted
from ilk.files.passed import PassedOver
from ilk.files.pieces import Pieces
from ilk.files.reading import Handle, Reader
from ilk.files.remote import seekable
from ilk.files.unpacking import DAMAGED, Member

__all__ = ["TarReader", "ZipReader", "cleaned", "list_tar", "list_zip"]

_LINKS, _LINK_BYTES = 40, 4096  # links in a chain; the name in one
_LOST_LINK = "a link to what is no file in the archive"
_ENCRYPTED, _METHOD = "locked with a password", "packed by a method that ilk cannot unpack (Deflate64 or another)"
_METHODS = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA}
_BOMB_RATIO, _BOMB_BYTES = 100, 64 * 2**20  # an image in a zip does not unpack to 100 times its size


def list_tar(path: Path | Address, split: str = "all") -> Listing:
    """Images of an uncompressed tar: indexed once, read by offset.

    Hard and symbolic links to regular members are read as these; all other links are refused.

    Raises
    ------
    DataError
        Where it is no tar at all. One that breaks off is used as far as it goes, with a note.
    """
    archive = _TarHandle(path)
    passed, notes = PassedOver(), list[str]()
    rows = _TarIndex(path, archive.get().read, archive.state[0], passed, notes).rows

    def reader(rows: list[Row]) -> TarReader:
        sizes = np.fromiter((row.size for row in rows), np.int64, len(rows))
        positions = np.fromiter((row.where if isinstance(row.where, int) else 0 for row in rows), np.int64, len(rows))
        return TarReader(archive, sizes, positions)

    salt = "{}:{}".format(*archive.state)
    return build("tar", path, list(rows.values()), reader, split=split, passed=passed, notes=notes, salt=salt)


@dataclass(frozen=True, eq=False)
class TarReader(Reader):
    """Members of a tar, by their sizes and positions in bytes, (n,) int64 each."""

    archive: Handle[_File | Pieces]
    sizes: NDArray[np.int64]
    positions: NDArray[np.int64]

    def __call__(self, i: int) -> bytes:
        """Return the bytes of image `i`."""
        file, size, at = self.archive.get(), int(self.sizes[i]), int(self.positions[i])
        data = file.read(size, at)
        while 0 < len(data) < size and (more := file.read(size - len(data), at + len(data))):
            data += more
        if len(data) < size:
            raise OSError("the archive ends before it")
        return data

    def take(self, rows: Sequence[int]) -> TarReader:
        """Return the reader of the images `rows` alone."""
        return TarReader(
            self.archive, self.sizes[np.asarray(rows, np.int64)], self.positions[np.asarray(rows, np.int64)]
        )


class _File:
    """A file that is read at any position; closed when it is let go of."""

    def __init__(self, path: Path) -> None:
        self._fd = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
        self._lock = threading.Lock()
        weakref.finalize(self, os.close, self._fd)

    def read(self, size: int, at: int) -> bytes:
        """Return up to `size` bytes from `at` on; where the system has no `pread`, seek and read under a lock."""
        if hasattr(os, "pread"):
            return os.pread(self._fd, size, at)
        with self._lock:
            os.lseek(self._fd, at, os.SEEK_SET)
            return os.read(self._fd, size)


class _TarHandle(Handle[_File | Pieces]):
    def _opened(self) -> _File | Pieces:
        return Pieces(self.path) if isinstance(self.path, Address) else _File(self.path)


class _TarIndex:
    """The rows of a tar, by name. Where it has links, it is gone through twice: few have any."""

    def __init__(
        self,
        path: Path | Address,
        pread: Callable[[int, int], bytes],
        size: int,
        passed: PassedOver,
        notes: list[str],
    ) -> None:
        self.rows: dict[str, Row] = {}
        self._path, self._pread, self._passed = path, pread, passed
        self._end = size
        self._links: dict[str, str | None] = {}  # name -> the member that it leads to; None: out of the archive
        doubled = 0
        try:
            for raw, reason, member in self._members():
                if not raw or member.isdir() or member_set_aside(raw, passed):
                    self._note_link(raw, member)
                    continue
                doubled += raw in self.rows
                self._links.pop(raw, None)
                if reason is None and (member.issym() or member.islnk()):
                    self._note_link(raw, member)
                    self.rows[raw] = Row(raw)  # its position in the order; what it is shows when all members are known
                elif (row := self._row(raw, reason, member)) is not None:
                    self.rows[raw] = row
        except (tarfile.TarError, OSError, EOFError, ValueError, OverflowError) as error:
            if not self.rows:
                raise DataError(f"{path} is not a readable tar archive: {error}") from error
            notes.append(f"the archive is damaged after {next(reversed(self.rows))!r}: what comes later is missing")
        if doubled:
            notes.append(f"{doubled:,} names are in the archive more than once: the last of each counts")
        if self._links:
            self._follow()

    def _members(self) -> Iterator[tuple[str, str | None, Header]]:
        for member in members_of(seekable(self._path)):
            yield *cleaned(member.name), member

    def _row(self, raw: str, reason: str | None, member: Header) -> Row | None:
        reason = reason or _tar_problem(member, self._end)
        if reason is None and not wanted(raw, lambda: self._pread(32, member.offset_data), self._passed):
            return None
        size, stamp = (0, 0) if reason else (member.size, member.stamp)
        return Row(raw, size, stamp, reason, member.offset_data)

    def _note_link(self, raw: str, member: Header) -> None:
        if member.issym() or member.islnk():
            self._links[raw] = _target(raw if member.issym() else "", member.linkname)

    def _follow(self) -> None:
        """Put what links lead to in their rows."""
        ends = {raw: end for raw in self._links if (end := _end_of(raw, self._links)) is not None}
        needed, found = set(ends.values()), dict[str, Header]()
        with contextlib.suppress(tarfile.TarError, OSError, EOFError, ValueError, OverflowError):  # noted before
            for raw, reason, member in self._members():
                if raw in needed and reason is None and member.isreg():
                    found[raw] = member
        for raw in sorted(self._links.keys() & self.rows.keys()):
            member = found.get(ends.get(raw, ""))  # type: ignore[assignment]
            row = self._row(raw, None, member) if member is not None else None
            if member is None and wanted(raw, bytes, self._passed):
                row = Row(raw, reason=_LOST_LINK)
            if row is None:
                del self.rows[raw]
            else:
                self.rows[raw] = row


def _target(link: str, given: str) -> str | None:
    """The name of the member that `given` leads to from the symbolic link `link` ("": from the top); None: out of it.

    >>> _target("a/b.jpg", "../c.jpg"), _target("", "/x/./c.jpg"), _target("b.jpg", "../c.jpg")
    ('c.jpg', 'x/c.jpg', None)
    """
    start = "" if given.startswith("/") else link.rpartition("/")[0]
    found = posixpath.normpath(f"{start}/{given}".lstrip("/"))
    return None if found == ".." or found.startswith("../") else found


def _end_of(raw: str, links: Mapping[str, str | None]) -> str | None:
    """What a chain of links ends at; None where it leads out of the archive or in a circle."""
    at: str | None = raw
    for _ in range(_LINKS):
        if at is None or at not in links:
            return at
        at = links[at]
    return None


def _tar_problem(member: Header, end: int) -> str | None:
    if not member.isreg():
        return "not a regular file in an archive"
    if member.issparse():
        return "a sparse file in an archive"
    if member.size < 0 or member.offset_data + member.size > end:
        return "the archive ends before it"
    return None


def cleaned(name: str) -> tuple[str, str | None]:
    r"""A member's name without ./, / and C: in front (nothing is extracted to there), and why it must not be used.

    >>> cleaned("/home/./a.jpg"), cleaned("C:/a.jpg"), cleaned("a/../../b.jpg")[1]
    (('home/a.jpg', None), ('a.jpg', None), 'leads out of the archive (..)')
    """
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if ".." in parts:
        return name, "leads out of the archive (..)"
    if parts and re.match(r"[A-Za-z]:", parts[0]):
        parts = [parts[0][2:], *parts[1:]] if parts[0][2:] else parts[1:]
    return "/".join(parts) or name or "(no name)", None


def list_zip(path: Path | Address, split: str = "all") -> Listing:
    """Images of a zip archive, unpacked one at a time in memory.

    Raises
    ------
    DataError
        Where the archive's directory cannot be read.
    """
    try:
        handle = _ZipHandle(path)
        archive = handle.get()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise DataError(f"{path} is not a readable zip archive: {error}; was it copied to its end?") from error
    passed, notes = PassedOver(), list[str]()
    rows: dict[str, Row] = {}
    members: dict[str, zipfile.ZipInfo] = {}
    links: dict[str, str | None] = {}
    doubled = 0
    for info in archive.file.infolist():
        info.filename = info.filename or "(no name)"  # zipfile looks at the last letter of it
        raw, reason = cleaned(info.filename.replace("\\", "/"))
        if info.is_dir():
            continue
        members[raw] = info
        if reason is None and stat.S_ISLNK(info.external_attr >> 16):
            links[raw] = _zip_target(archive, raw, info)
        if member_set_aside(raw, passed):
            continue
        reason = reason or ("" if raw in links else _zip_problem(info)) or None
        head = functools.partial(_head, archive, info)
        if reason is None and raw not in links and not wanted(raw, head, passed):
            continue
        doubled += raw in rows
        rows[raw] = Row(raw, info.file_size, _zip_stamp(info), reason, info)
    if doubled:
        notes.append(f"{doubled:,} names are in the archive more than once: the last of each counts")
    for raw in sorted(links.keys() & rows.keys()):
        followed = _followed(raw, members.get(_end_of(raw, links) or ""), passed)
        if followed is None:
            del rows[raw]
        else:
            rows[raw] = followed
    notes += _cannot(rows, path)

    def reader(rows: list[Row]) -> ZipReader:
        return ZipReader(handle, [row.where for row in rows])

    sums = hashlib.blake2b(b"".join(info.CRC.to_bytes(4, "little") for info in members.values()), digest_size=16)
    salt = "{}:{}".format(*handle.state) + f":{sums.hexdigest()}"
    return build("zip", path, list(rows.values()), reader, split=split, passed=passed, notes=notes, salt=salt)


@dataclass(frozen=True, eq=False)
class ZipReader(Reader):
    """Members of a zip."""

    archive: Handle[_Zip]
    members: list[Any]  # zipfile.ZipInfo; anything where the row is refused

    def __call__(self, i: int) -> bytes:
        """Return the bytes of image `i`."""
        return _unpack(self.archive.get(), self.members[i], self.members[i].file_size)

    def take(self, rows: Sequence[int]) -> ZipReader:
        """Return the reader of the images `rows` alone."""
        return ZipReader(self.archive, [self.members[i] for i in rows])


class _Zip:
    """An open zip, closed when it is let go of."""

    def __init__(self, path: Path | Address) -> None:
        self.file = zipfile.ZipFile(seekable(path))
        self.lock = threading.Lock()  # opening and closing count references without one; reading has the archive's own
        weakref.finalize(self, self.file.close)


class _ZipHandle(Handle[_Zip]):
    def _opened(self) -> _Zip:
        return _Zip(self.path)


def _zip_target(archive: _Zip, raw: str, info: zipfile.ZipInfo) -> str | None:
    """The member that a symbolic link leads to: its content is the name."""
    if info.file_size > _LINK_BYTES:
        return None
    try:
        return _target(raw, _unpack(archive, info, info.file_size).decode("utf-8", "surrogateescape"))
    except OSError:
        return None


def _followed(raw: str, info: zipfile.ZipInfo | None, passed: PassedOver) -> Row | None:
    """The row of a link that leads to `info`; None where it is no image."""
    if not wanted(raw, bytes, passed):
        return None
    reason = _LOST_LINK if info is None or stat.S_ISLNK(info.external_attr >> 16) else _zip_problem(info)
    return Row(raw, reason=reason) if info is None or reason else Row(raw, info.file_size, _zip_stamp(info), None, info)


def _cannot(rows: Mapping[str, Row], path: Path | Address) -> list[str]:
    """Say what to do where no image of the zip can be read, for one and the same reason."""
    reasons = {row.reason for row in rows.values()}
    if len(reasons) == 1 and (why := next(iter(reasons))) in (_ENCRYPTED, _METHOD):
        return [f"every image in {path.name} is {why}: unpack it with the program that made it, and give the folder"]
    return []


def _zip_problem(info: zipfile.ZipInfo) -> str | None:
    mode = info.external_attr >> 16
    if stat.S_IFMT(mode) not in (0, stat.S_IFREG):
        return "not a regular file in an archive"
    if info.flag_bits & 1:
        return _ENCRYPTED
    if info.compress_type not in _METHODS:
        return _METHOD
    if info.file_size > MAX_BYTES:
        return f"claims to unpack to {info.file_size >> 20:,} MiB; the limit is {MAX_BYTES >> 20}"
    if info.file_size > _BOMB_BYTES and info.file_size > _BOMB_RATIO * info.compress_size:
        return f"claims to unpack to {info.file_size >> 20:,} MiB from {info.compress_size >> 10:,} KiB"
    return None


def _zip_stamp(info: zipfile.ZipInfo) -> int:
    try:
        return calendar.timegm((*info.date_time, 0, 0, 0)) * 10**9
    except (ValueError, OverflowError):
        return 0


def _head(archive: _Zip, info: zipfile.ZipInfo) -> bytes:
    try:
        return _unpack(archive, info, 32)
    except OSError:
        return b""


def _unpack(archive: _Zip, info: zipfile.ZipInfo, size: int) -> bytes:
    try:
        with archive.lock:
            member = Member(archive.file, info)
        try:
            data = member.read(size)
        finally:
            with archive.lock:
                member.close()
    except DAMAGED as error:
        raise OSError(f"damaged in the archive: {error}") from error
    if len(data) < min(size, info.file_size):
        raise OSError("damaged in the archive: it is shorter than the archive says")
    return data
