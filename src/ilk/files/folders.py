"""Folders and lists of paths as `Listing`."""

# ruff: noqa: PTH100, PTH116, PTH118, PTH120
# Plain strings and os: a Path for each of 100,000 files takes seconds and most of the memory.

from __future__ import annotations

import heapq
import os
import stat
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from ilk import disk
from ilk.errors import DataError
from ilk.files.listing import (
    EXPORTED,
    MAX_BYTES,
    SKIPPED_FOLDERS,
    Listing,
    Row,
    build,
    is_run_folder,
    printable,
    wanted,
)

__all__ = ["list_folder", "list_paths", "read_paths"]


def list_folder(root: Path, split: str = "all") -> Listing:
    """All images below `root`; links to folders are followed once, hidden and ilk's own passed over."""
    ignored, notes = Counter[str](), list[str]()
    base = os.fspath(root)
    rows = list(_walk(base, ignored, notes))

    odd: dict[int, str] = {}

    def place(i: int) -> str:
        return f"{base}/{odd.get(i) or listing.names[i]}"

    def reader(rows: list[Row]) -> Callable[[int], bytes]:
        # two lists of 100,000 names would be one too many: the raw one is kept only where it differs
        odd.update({i: row.raw for i, row in enumerate(rows) if printable(row.raw) != row.raw})
        return lambda i: _read_path(place(i))

    listing = build("folder", root, rows, reader, split=split, ignored=ignored, notes=notes)
    listing._path = place
    return listing


def _walk(base: str, ignored: Counter[str], notes: list[str]) -> Iterator[Row]:
    """Rows of all files below `base`. Real folders come before links: the order of the disk does not matter."""
    seen = set[tuple[int, int]]()
    waiting = [(0, "", base)]  # (is it a link?, relative name, path)
    while waiting:
        _, prefix, path = heapq.heappop(waiting)
        try:
            state = os.stat(path)
            if (state.st_dev, state.st_ino) in seen and state.st_ino:
                continue
            seen.add((state.st_dev, state.st_ino))
            with os.scandir(path) as found:
                entries = list(found)
        except OSError as error:
            notes.append(f"passed over the folder {printable(prefix.rstrip('/'))!r}: {error.strerror}")
            continue
        if prefix and any(entry.name == "run.json" for entry in entries) and is_run_folder(path):
            continue
        if prefix and any(entry.name == EXPORTED for entry in entries):  # links to images that are listed already
            continue
        for entry in entries:
            if entry.name[0] == "." or entry.name in SKIPPED_FOLDERS:
                continue
            if _is_folder(entry):
                heapq.heappush(waiting, (int(entry.is_symlink()), f"{prefix}{entry.name}/", entry.path))
            elif (row := _file_row(entry, prefix, ignored)) is not None:
                yield row


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that leads in a circle
        return False


def _file_row(entry: os.DirEntry[str], prefix: str, ignored: Counter[str]) -> Row | None:
    raw = prefix + entry.name

    def head() -> bytes:
        try:
            with disk.opened(entry.path, follow=True) as file:
                return file.read(32)
        except OSError:
            return b""

    try:
        state = entry.stat()
    except OSError as error:
        reason = "a link to nothing" if entry.is_symlink() else error.strerror or "cannot be read"
        return Row(raw, reason=reason) if wanted(entry.name, bytes, ignored) else None
    if not stat.S_ISREG(state.st_mode):  # never opened: a pipe would wait for ever
        return Row(raw, reason="not a regular file") if wanted(entry.name, bytes, ignored) else None
    return Row(raw, state.st_size, state.st_mtime_ns) if wanted(entry.name, head, ignored) else None


def _read_path(path: str) -> bytes:
    return disk.read_bytes(path, MAX_BYTES, follow=True)


def read_paths(file: Path) -> list[str]:
    """Paths of a text file, one a line; empty lines and those that start with # are left out.

    Raises
    ------
    DataError
        Where it is not text.
    """
    data = disk.read_bytes(file, MAX_BYTES, follow=True)
    if b"\0" in data:
        raise DataError(f"{file} is not a text file of paths: it holds zero bytes")
    lines = data.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "surrogateescape").split("\n")
    return [line for raw in lines if (line := raw.strip("\r")) and line.strip() and not line.startswith("#")]


def list_paths(paths: Sequence[str | os.PathLike[str]], folder: Path, split: str = "all") -> Listing:
    """The given files in the given order; relative ones are below `folder`.

    Names are relative to `folder` where all lie below it, else to the folder that all have in common. A path that
    cannot be read is a refused row; one given twice is two rows, the second named with #2.
    """
    base = os.path.abspath(folder)
    full = [os.path.normpath(os.path.join(base, os.fspath(path))) for path in paths]
    root = base
    if not all(path.startswith(base.rstrip(os.sep) + os.sep) for path in full):
        try:
            root = os.path.commonpath([os.path.dirname(path) for path in full])
        except ValueError as error:  # two drives
            raise DataError(f"the listed files have no folder in common: {error}") from error
    rows = [_path_row(path, os.path.relpath(path, root).replace(os.sep, "/")) for path in full]
    places: list[str] = []

    def reader(rows: list[Row]) -> Callable[[int], bytes]:
        places.extend(str(row.where) for row in rows)
        return lambda i: _read_path(places[i])

    listing = build("list", Path(root), rows, reader, split=split, ordered=True)
    listing._path = places.__getitem__
    return listing


def _path_row(path: str, raw: str) -> Row:
    try:
        state = os.stat(path)
    except (OSError, ValueError) as error:
        missing = isinstance(error, FileNotFoundError)
        return Row(raw, reason="no such file" if missing else getattr(error, "strerror", None) or "not a path")
    if stat.S_ISDIR(state.st_mode):
        return Row(raw, reason="a folder, not a file")
    if not stat.S_ISREG(state.st_mode):
        return Row(raw, reason="not a regular file")
    return Row(raw, state.st_size, state.st_mtime_ns, where=path)
