"""Tar and zip archives as `Listing`: members are read in place, never extracted; hostile ones are refused by name."""

from __future__ import annotations

import calendar
import lzma
import os
import re
import stat
import tarfile
import threading
import weakref
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from ilk.errors import DataError
from ilk.files.listing import MAX_BYTES, Listing, Row, build, is_hidden, wanted

__all__ = ["list_tar", "list_zip"]

_BOMB_RATIO, _BOMB_BYTES = 100, 64 * 2**20  # an image in a zip does not unpack to 100 times its size


def list_tar(path: Path, split: str = "all") -> Listing:
    """Images of an uncompressed tar: indexed once, read by offset.

    Raises
    ------
    DataError
        Where it is no tar at all. One that breaks off is used as far as it goes, with a note.
    """
    fd = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
    pread = _positioned(fd)
    ignored, notes = Counter[str](), list[str]()
    rows: dict[str, Row] = {}
    try:
        _index_tar(path, rows, notes, lambda name, at: wanted(name, lambda: pread(32, at), ignored))
    except BaseException:
        os.close(fd)
        raise

    def reader(rows: list[Row]) -> Callable[[int], bytes]:
        def read(i: int) -> bytes:
            size, at = places[i]
            data = pread(size, at)
            while 0 < len(data) < size and (more := pread(size - len(data), at + len(data))):
                data += more
            if len(data) < size:
                raise OSError("the archive ends before it")
            return data

        places = [(row.size, row.where if isinstance(row.where, int) else 0) for row in rows]
        weakref.finalize(read, os.close, fd)
        return read

    return build("tar", path, list(rows.values()), reader, split=split, ignored=ignored, notes=notes)


def _index_tar(path: Path, rows: dict[str, Row], notes: list[str], is_image: Callable[[str, int], bool]) -> None:
    end = path.stat().st_size
    doubled = 0
    try:
        with tarfile.open(path, "r:") as tar:
            for member in tar:
                tar.members = []  # type: ignore[attr-defined]  # it would keep a kilobyte for each
                raw, reason = _clean(member.name)
                if member.isdir() or is_hidden(raw):
                    continue
                reason = reason or _tar_problem(member, end)
                if reason is None and not is_image(raw, member.offset_data):
                    continue
                doubled += raw in rows
                size, stamp = (0, 0) if reason else (member.size, int(member.mtime * 1e9))
                rows[raw] = Row(raw, size, stamp, reason, member.offset_data)
    except (tarfile.TarError, OSError, EOFError, ValueError, OverflowError) as error:
        if not rows:
            raise DataError(f"{path} is not a readable tar archive: {error}") from error
        notes.append(f"the archive is damaged after {next(reversed(rows))!r}: what comes later is missing")
    if doubled:
        notes.append(f"{doubled:,} names are in the archive more than once: the last of each counts")


def _tar_problem(member: tarfile.TarInfo, end: int) -> str | None:
    if member.issym() or member.islnk():
        return "a link in an archive"
    if not member.isreg():
        return "not a regular file in an archive"
    if member.issparse():
        return "a sparse file in an archive"
    if member.size < 0 or member.offset_data + member.size > end:
        return "the archive ends before it"
    return None


def _positioned(fd: int) -> Callable[[int, int], bytes]:
    """`pread` of `fd`; where the system has none, seek and read under a lock."""
    if hasattr(os, "pread"):
        return lambda size, at: os.pread(fd, size, at)
    lock = threading.Lock()

    def read(size: int, at: int) -> bytes:
        with lock:
            os.lseek(fd, at, os.SEEK_SET)
            return os.read(fd, size)

    return read


def _clean(name: str) -> tuple[str, str | None]:
    """A member's name without leading ./, and why it must not be used."""
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if ".." in parts:
        return name, "leads out of the archive (..)"
    if name.startswith("/") or re.match(r"[A-Za-z]:", name):
        return name, "an absolute name in an archive"
    return "/".join(parts) or name or "(no name)", None


def list_zip(path: Path, split: str = "all") -> Listing:
    """Images of a zip archive, unpacked one at a time in memory.

    Raises
    ------
    DataError
        Where the archive's directory cannot be read.
    """
    try:
        archive = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise DataError(f"{path} is not a readable zip archive: {error}") from error
    lock = threading.Lock()
    ignored, notes = Counter[str](), list[str]()
    rows: dict[str, Row] = {}
    doubled = 0
    for info in archive.infolist():
        info.filename = info.filename or "(no name)"  # zipfile looks at the last letter of it
        raw, reason = _clean(info.filename.replace("\\", "/"))
        if info.is_dir() or is_hidden(raw):
            continue
        reason = reason or _zip_problem(info)
        if reason is None and not wanted(raw, lambda info=info: _head(archive, info, lock), ignored):  # type: ignore[misc]
            continue
        doubled += raw in rows
        rows[raw] = Row(raw, info.file_size, _zip_stamp(info), reason, info)
    if doubled:
        notes.append(f"{doubled:,} names are in the archive more than once: the last of each counts")

    def reader(rows: list[Row]) -> Callable[[int], bytes]:
        infos = [row.where for row in rows]

        def read(i: int) -> bytes:
            info = infos[i]
            assert isinstance(info, zipfile.ZipInfo)
            return _unpack(archive, info, lock, info.file_size)

        weakref.finalize(read, archive.close)
        return read

    return build("zip", path, list(rows.values()), reader, split=split, ignored=ignored, notes=notes)


def _zip_problem(info: zipfile.ZipInfo) -> str | None:
    mode = info.external_attr >> 16
    if stat.S_IFMT(mode) not in (0, stat.S_IFREG):
        return "a link in an archive" if stat.S_ISLNK(mode) else "not a regular file in an archive"
    if info.flag_bits & 1:
        return "encrypted"
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


def _head(archive: zipfile.ZipFile, info: zipfile.ZipInfo, lock: threading.Lock) -> bytes:
    try:
        return _unpack(archive, info, lock, 32)
    except OSError:
        return b""


def _unpack(archive: zipfile.ZipFile, info: zipfile.ZipInfo, lock: threading.Lock, size: int) -> bytes:
    try:
        with lock:  # opening and closing count references without one; reading has the archive's own lock
            member = archive.open(info)
        try:
            data = member.read(size)
        finally:
            with lock:
                member.close()
    except (
        zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, NotImplementedError, RuntimeError, ValueError
    ) as error:  # fmt: skip
        raise OSError(f"damaged in the archive: {error}") from error
    if len(data) < min(size, info.file_size):
        raise OSError("damaged in the archive: it is shorter than the archive says")
    return data
