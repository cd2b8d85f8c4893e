"""Folders as `Listing`: what is walked, what is set aside, and which links are followed."""

# ruff: noqa: PTH109, PTH116, PTH118, PTH120
# Plain strings and os: a Path for each of 100,000 files takes seconds and most of the memory.

from __future__ import annotations

import heapq
import os
import stat
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ilk import disk
from ilk.files.listing import (
    EXPORTED,
    IMAGE_EXTENSIONS,
    MAX_BYTES,
    Listing,
    Row,
    build,
    is_run_folder,
    printable,
    wanted,
)
from ilk.files.passed import PassedOver, extension, set_aside
from ilk.files.reading import Reader

__all__ = ["Walk", "list_folder", "read_path", "within"]

_COUNTED = 100_000  # entries looked at in folders that are set aside, only to say how many pictures are there


def list_folder(root: Path, split: str = "all", taken: Collection[str] = ()) -> Listing:
    """All images below `root`; the files `taken`, by their relative names, are neither images nor passed over.

    Notes
    -----
    Links to files are followed. Links to folders are followed once, also out of `root` (a data set may be put together
    of them; a note says so), but never upwards: to a folder that holds the source, or the link itself. What is hidden,
    deleted, or kept by a system is passed over by its name, and so is what ilk made; all of it is counted.
    """
    walk = Walk(os.fspath(root), taken=taken)
    rows = list(walk.rows())

    walk.say_links(row.raw for row in rows)
    return build(
        "folder",
        root,
        rows,
        lambda rows: FolderReader(walk.base, [row.raw for row in rows]),
        split=split,
        passed=walk.passed,
        notes=walk.notes,
    )


@dataclass(frozen=True)
class FolderReader(Reader):
    """Files below a folder, by their names as the disk has them; the texts are those of the listing where they can be.

    Pickled with the whole path of the folder.
    """

    base: str
    names: list[str]
    on_disk = True

    def path(self, i: int) -> str:
        """Return where image `i` lies."""
        return f"{self.base}/{self.names[i]}"

    def __call__(self, i: int) -> bytes:
        """Return the bytes of image `i`."""
        return read_path(self.path(i))

    def take(self, rows: Sequence[int]) -> FolderReader:
        """Return the reader of the images `rows` alone."""
        return FolderReader(self.base, [self.names[i] for i in rows])

    def __reduce__(self) -> tuple[Any, ...]:
        return FolderReader, (os.path.join(os.getcwd(), self.base), self.names)


class Walk:
    """One walk through the folder `base`; what is set aside is counted in `passed`, what to know is in `notes`."""

    def __init__(self, base: str, passed: PassedOver | None = None, taken: Collection[str] = ()) -> None:
        self.base = base
        self.taken = taken
        self.passed = PassedOver() if passed is None else passed
        self.notes: list[str] = []
        self._real = os.path.realpath(base)
        self._away: dict[str, str] = {}  # links that lead out of the source, and where to
        self._left = _COUNTED

    def rows(self) -> Iterator[Row]:
        """Rows of all files."""
        for prefix, files in self.folders():
            for entry in files:
                if prefix + entry.name in self.taken:
                    continue
                if (row := self._file_row(entry, prefix)) is not None:
                    yield row

    def folders(self) -> Iterator[tuple[str, list[os.DirEntry[str]]]]:
        """Yield each folder that is gone through as its relative name ("" or "a/b/"), and what in it is no folder.

        What is set aside by its name is in neither, and counted.
        Real folders come before links: the order of the disk does not matter.
        """
        seen = set[tuple[int, int]]()
        waiting = [(0, "", self.base)]  # (is it a link?, relative name, path)
        while waiting:
            _, prefix, path = heapq.heappop(waiting)
            try:
                state = os.stat(path)
                if (state.st_dev, state.st_ino) in seen and state.st_ino:
                    continue
                seen.add((state.st_dev, state.st_ino))
                with os.scandir(path) as found:
                    entries = sorted(found, key=_name)  # what is said of them does not depend on the disk either
            except OSError as error:
                self.notes.append(f"passed over the folder {printable(prefix.rstrip('/'))!r}: {error.strerror}")
                continue
            if prefix and self._own(entries, path):
                self.passed.add("results", printable(prefix))
                continue
            files = []
            for entry in entries:
                folder = _is_folder(entry)
                if (kind := set_aside(entry.name)) is not None:
                    self.set_aside(kind, entry, prefix, folder)
                elif not folder:
                    files.append(entry)
                elif not (link := entry.is_symlink()) or self.follows(entry, prefix):
                    heapq.heappush(waiting, (int(link), f"{prefix}{entry.name}/", entry.path))
            yield prefix, files

    def say_links(self, names: Iterable[str]) -> None:
        """Note how many images, by their relative names, came in through links that lead out of the source."""
        counts = Counter[str]()
        for name in names if self._away else ():
            at = name.find("/")
            while at >= 0:
                if (link := name[: at + 1]) in self._away:
                    counts[link] += 1
                    break
                at = name.find("/", at + 1)
        if counts:
            links = ", ".join(f"{printable(a.rstrip('/'))} -> {printable(self._away[a])}" for a in sorted(counts)[:2])
            more = f" and {len(counts) - 2:,} more" if len(counts) > 2 else ""
            images = "1 image lies" if counts.total() == 1 else f"{counts.total():,} images lie"
            self.notes.append(f"{images} outside of {printable(self.base)}, behind links: {links}{more}")

    @staticmethod
    def _own(entries: list[os.DirEntry[str]], path: str) -> bool:
        """Whether ilk made the folder: a run, or an export (links to images that are listed already)."""
        names = {entry.name for entry in entries} & {"run.json", EXPORTED}
        return EXPORTED in names or ("run.json" in names and is_run_folder(path))

    def follows(self, entry: os.DirEntry[str], prefix: str) -> bool:
        """Whether the link `entry` to a folder is followed: never upwards."""
        target = os.path.realpath(entry.path)
        here = os.path.realpath(os.path.dirname(entry.path))
        if within(target, self._real):  # what it leads to is listed anyway, once
            return True
        if within(here, target) or within(self._real, target):
            self.passed.add("outside", printable(prefix + entry.name))
            return False
        self._away[f"{prefix}{entry.name}/"] = target
        return True

    def set_aside(self, kind: str, entry: os.DirEntry[str], prefix: str, folder: bool) -> None:
        """Count `entry`, or the pictures in it, as of `kind`; all that is no picture as what a system keeps."""
        name = printable(prefix + entry.name)
        if not folder:
            self.passed.add(kind if extension(entry.name) in IMAGE_EXTENSIONS else "system", name)
            return
        if kind in ("results", "system"):
            self.passed.add(kind, name)
            return
        if entry.is_symlink():
            if within(os.path.realpath(entry.path), self._real):  # these are listed anyway
                self.passed.add("system", name)
                return
            if not self.follows(entry, prefix):
                return
        for path, folders, files in os.walk(entry.path):  # links below it are not gone through
            folders.sort()
            inner = printable(prefix + entry.name + path[len(entry.path) :].replace(os.sep, "/"))
            for file in sorted(files):
                picture = extension(file) in IMAGE_EXTENSIONS and not file.startswith("._")
                self.passed.add(kind if picture else "system", f"{inner}/{printable(file)}")
            self._left -= len(files) + 1
            if self._left < 0:
                return

    def _file_row(self, entry: os.DirEntry[str], prefix: str) -> Row | None:
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
            return Row(raw, reason=reason) if wanted(raw, bytes, self.passed) else None
        if not stat.S_ISREG(state.st_mode):  # never opened: a pipe would wait for ever
            return Row(raw, reason="not a regular file") if wanted(raw, bytes, self.passed) else None
        return Row(raw, state.st_size, state.st_mtime_ns) if wanted(raw, head, self.passed) else None


def within(path: str, folder: str) -> bool:
    """Whether `path` is `folder` or lies below it; both are real paths."""
    return path == folder or path.startswith(folder.rstrip(os.sep) + os.sep)


def _name(entry: os.DirEntry[str]) -> str:
    return entry.name


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that leads in a circle
        return False


def read_path(path: str) -> bytes:
    """Return the bytes of an image file, links followed."""
    return disk.read_bytes(path, MAX_BYTES, follow=True)
