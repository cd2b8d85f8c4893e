"""`Listing`: which images a source has, in a stable order, and how to read each; and what counts as an image.

Made by folders.py, archives.py and parquet.py. A listing knows names, sizes and stamps; it holds no image, and an odd
entry is a row with a reason or a count by extension, never a crash.
"""

from __future__ import annotations

import bisect
import functools
import hashlib
import itertools
import os
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ilk import disk
from ilk.disk import printable as printable
from ilk.errors import DataError
from ilk.files.addresses import Address, marks_at
from ilk.files.kinds import IMAGE_EXTENSIONS as IMAGE_EXTENSIONS
from ilk.files.kinds import looks_like_image as looks_like_image
from ilk.files.kinds import member_set_aside as member_set_aside
from ilk.files.kinds import wanted as wanted
from ilk.files.passed import PassedOver
from ilk.files.reading import Reader

__all__ = ["MAX_BYTES", "Listing", "is_run_folder"]

_RACY = 2_000_000_000  # ns
MAX_BYTES = 512 * 2**20  # a single image file above this is refused: it would have to be held in memory

EXPORTED = ".ilk-export.json"  # a folder that holds it was made by `ilk export`


class Row(NamedTuple):
    """One entry on its way into a listing; `raw` is the name as the container has it (surrogates for odd bytes)."""

    raw: str
    size: int = 0
    stamp: int = 0
    reason: str | None = None
    where: object = None  # what the container's reader needs to find it


@dataclass(eq=False)
class Listing:
    """The images of a folder, archive, list or Parquet file, or of several of these.

    Attributes
    ----------
    kind : str
        "folder", "tar", "zip", "list", "parquet", "shards" (a folder of archives or tables), "several" or "images" (in
        memory).
    root : Path or Address
        The folder that names are relative to, or the archive.
    names : list of str
        Unique, relative, posix, always encodable as UTF-8. Sorted by bytes; a list or a Parquet file keeps its order.
    sizes, stamps : ndarray int64 (n,)
        Bytes, and time of the last change in ns; 0 where the container has none.
    refused : dict of int to str
        Entries that are never opened, and why.
    passed_over : PassedOver
        Everything else that is there, by kind: count, endings, examples.
    notes : list of str
        What the user should know.
    parts : list of Part
        The sources that this one is made of, where it is made of several.
    by_content : bool
        Names, sizes and time stamps are not trusted: `fingerprint` reads every file, and `marks` gives none.
    span, whole : (a, b) and int, or None
        Of a `part`: which images of the whole it is, and how many the whole has.
    """

    kind: str
    root: Path | Address
    names: list[str]
    sizes: NDArray[np.int64]
    stamps: NDArray[np.int64]
    refused: dict[int, str]
    passed_over: PassedOver
    notes: list[str]
    _reader: Reader = field(repr=False)
    _salt: str = field(default="", repr=False)  # what a container knows of its content beside names, sizes and stamps
    parts: list[Part] = field(default_factory=list, repr=False)
    by_content: bool = False
    span: tuple[int, int] | None = None
    whole: int | None = None
    _content: str | None = field(default=None, repr=False)
    ahead: Any = field(default=None, repr=False)  # what reads ahead, while it does: `ilk.files.reading_ahead`

    def __len__(self) -> int:
        return len(self.names)

    def read(self, i: int) -> bytes:
        """The bytes of file `i`; thread-safe.

        Raises
        ------
        OSError
            Where it is refused, gone or damaged; the message is fit for a reader.
        """
        return self.fetched(i) if self.ahead is None else bytes(self.ahead.take(i))

    def fetched(self, i: int) -> bytes:
        """The same, never of what was read ahead."""
        if i in self.refused:
            raise OSError(self.refused[i])
        try:
            return self._reader(i)
        except OSError as error:
            raise OSError(error.strerror or str(error) or "cannot be read") from error

    @property
    def remote(self) -> bool:
        """Whether images lie at an address, all or some: each then takes the time of a request."""
        return isinstance(self.root, Address) or any(part.listing.remote for part in self.parts)

    @property
    def ignored(self) -> dict[str, int]:
        """Files passed over because they are not images, by extension."""
        return self.passed_over.endings

    def path(self, i: int) -> str | None:
        """Where file `i` lies on the disk; None for what lies inside a container."""
        return self._reader.path(i)

    @property
    def on_disk(self) -> bool:
        """Whether images are files of their own, with a `path`: all, or at least one of them."""
        return self._reader.on_disk

    def fingerprint(self) -> str:
        """32 hex digits that change when a name, a size or a stamp does; with `by_content`, when a name or a byte does.

        The size and the stamp of an archive count too, and the checksums that a zip holds.
        """
        if self.by_content:
            return self._of_content()
        digest = hashlib.blake2b(f"{self.kind}\0{self._salt}\0".encode(), digest_size=16)
        digest.update("\0".join(self.names).encode())
        digest.update(self.sizes.tobytes())
        digest.update(self.stamps.tobytes())
        for part in self.parts:
            digest.update(part.listing.fingerprint().encode())
        return digest.hexdigest()

    def _of_content(self) -> str:
        def content(i: int) -> bytes:
            try:
                return hashlib.blake2b(self.read(i), digest_size=16).digest()
            except OSError as error:
                return str(error).encode()

        if self._content is None:
            digest = hashlib.blake2b(f"content\0{self.kind}\0".encode(), digest_size=16)
            digest.update("\0".join(self.names).encode())
            threads = 32 if self.remote else os.cpu_count() or 1
            with ThreadPoolExecutor(threads, thread_name_prefix="ilk-content") as pool:
                for found in pool.map(content, range(len(self.names)), chunksize=64):
                    digest.update(found)
            self._content = digest.hexdigest()
        return self._content

    def take(self, rows: Sequence[int]) -> Listing:
        """Return the images `rows` alone, in that order; by content, because what is known of a source is of all."""
        taken = self._select(rows)
        taken.by_content = True
        return taken

    def part(self, a: int, b: int) -> Listing:
        """Return the images `a` to `b` (exclusive): small enough to send, and of the same names, stamps and `marks`.

        It can be pickled, as every listing can, and read in another process or on another machine that has the same
        files at the same paths; what it reads from it opens there. Names, sizes, stamps and reasons are those of the
        whole; the `fingerprint` is its own, and of what was passed over it knows nothing.
        """
        a, b, _ = slice(a, b).indices(len(self))
        part, first = self._select(range(a, b)), 0 if self.span is None else self.span[0]
        part.span, part.whole = (first + a, first + max(a, b)), len(self) if self.whole is None else self.whole
        return part

    def _select(self, rows: Sequence[int]) -> Listing:
        kept = np.asarray(rows, np.int64)
        parts = _picked(self.parts, kept)
        return Listing(
            self.kind,
            self.root,
            [self.names[i] for i in rows],
            self.sizes[kept],
            self.stamps[kept],
            {at: self.refused[i] for at, i in enumerate(rows) if i in self.refused} if self.refused else {},
            PassedOver(),
            [],
            PartsReader(parts) if parts else self._reader.take(rows),
            self._salt,
            parts=parts,
            by_content=self.by_content,
        )

    def __getstate__(self) -> dict[str, Any]:
        # what is known of it elsewhere must not depend on the folder in which somebody stands
        return {
            **self.__dict__,
            "ahead": None,
            "root": self.root.absolute() if isinstance(self.root, Path) else self.root,
        }

    def marks(self) -> list[bytes] | None:
        """For each image 16 bytes of (path, name, size, time stamp), without reading it.

        Equal marks are taken for equal files: what is known of one by its mark is not read again. Whatever the
        `fingerprint` knows of a container is part of the marks of what is in it: its own size and stamp, the checksums
        of a zip, the column of a table. Empty for files that changed within the last 2 s: one more
        change might leave the stamp as it is. None where there are no stamps, or `by_content` forbids to trust them.
        """
        if self.by_content:
            return None
        if self.parts:
            found = [(part, part.listing.marks()) for part in self.parts]
            return [b"" if marks is None else marks[i] for part, marks in found for i in part.rows]
        if isinstance(self.root, Address):
            return marks_at(self.root, self._salt, self.names, self.sizes.tolist(), self.stamps.tolist())
        location = str(self.root.resolve())
        if self.root.is_file():
            archive = self.root.stat()
            location += f"\0{archive.st_size}\0{archive.st_mtime_ns}\0{self._salt}"
            if time.time_ns() - archive.st_mtime_ns < _RACY:
                return None
        elif not self.stamps.any():
            return None
        root = hashlib.blake2b(location.encode("utf-8", "surrogateescape"), digest_size=16).digest()
        limit = time.time_ns() - _RACY
        result = []
        for name, size, stamp in zip(self.names, self.sizes.tolist(), self.stamps.tolist(), strict=True):
            text = f"\0{size}\0{stamp}\0{name}".encode("utf-8", "surrogateescape")
            result.append(b"" if stamp > limit else hashlib.blake2b(root + text, digest_size=16).digest())
        return result


class Part(NamedTuple):
    """One of several sources: which of its images the whole has, in the order of the whole."""

    prefix: str  # before its names
    listing: Listing
    rows: list[int]


@dataclass(frozen=True)
class PartsReader(Reader):
    """The images of several listings, one after the other."""

    parts: list[Part]

    @functools.cached_property
    def _starts(self) -> list[int]:
        return starts_of(self.parts)

    @property
    def on_disk(self) -> bool:  # type: ignore[override]
        """Whether any of the images is a file of its own."""
        return any(part.listing.on_disk for part in self.parts)

    def _at(self, i: int) -> tuple[Listing, int]:
        part = bisect.bisect_right(self._starts, i) - 1
        return self.parts[part].listing, int(self.parts[part].rows[i - self._starts[part]])

    def __call__(self, i: int) -> bytes:
        """Return the bytes of image `i`."""
        listing, row = self._at(i)
        return listing.read(row)

    def path(self, i: int) -> str | None:
        """Return where image `i` lies."""
        listing, row = self._at(i)
        return listing.path(row)

    def take(self, rows: Sequence[int]) -> PartsReader:
        """Return the reader of the images `rows` alone."""
        return PartsReader(_picked(self.parts, np.asarray(rows, np.int64)))

    def __reduce__(self) -> tuple[Any, ...]:
        return PartsReader, (self.parts,)


def starts_of(parts: Sequence[Part]) -> list[int]:
    """Return the first row of each of the `parts`, and the number of rows of all."""
    return list(itertools.accumulate((len(part.rows) for part in parts), initial=0))


def _picked(parts: Sequence[Part], rows: NDArray[np.int64]) -> list[Part]:
    """Return `parts` of the images `rows` alone, in that order; those that are not needed are left out."""
    if not parts:
        return []
    of = np.searchsorted(starts_of(parts), rows, side="right") - 1
    starts = starts_of(parts)
    found = []
    for run in np.split(np.arange(len(rows)), np.flatnonzero(np.diff(of)) + 1):  # rows of one part after the other
        if len(run):
            part = parts[of[run[0]]]
            inner = [part.rows[i] for i in (rows[run] - starts[of[run[0]]]).tolist()]
            found.append(Part(part.prefix, part.listing._select(inner), list(range(len(inner)))))
    return found


def build(
    kind: str,
    root: Path | Address,
    rows: list[Row],
    reader: Callable[[list[Row]], Reader],
    *,
    split: str = "all",
    ordered: bool = False,
    passed: PassedOver | None = None,
    notes: list[str] | None = None,
    salt: str = "",
) -> Listing:
    """Select the split, sort (unless `ordered`), make names printable and unique; `reader(rows)` gives the reader."""
    notes = list(notes or [])
    rows = _select_split(rows, split, root, notes)
    if not ordered:
        rows.sort(key=lambda row: row.raw.encode("utf-8", "surrogateescape"))
    rows = [
        row._replace(reason=f"larger than {MAX_BYTES >> 20} MiB")
        if row.size > MAX_BYTES and row.reason is None
        else row
        for row in rows
    ]
    return Listing(
        kind,
        root,
        unique([printable(row.raw) for row in rows]),
        np.fromiter((row.size for row in rows), np.int64, len(rows)),
        np.fromiter((row.stamp for row in rows), np.int64, len(rows)),
        {i: row.reason for i, row in enumerate(rows) if row.reason is not None},
        passed if passed is not None else PassedOver(),
        notes,
        reader(rows),
        salt,
    )


def unique(names: list[str]) -> list[str]:
    """The same names, the second of its kind with #2 behind it, and so on."""
    if len(set(names)) == len(names):
        return names
    taken, seen = set(names), Counter[str]()
    out = []
    for name in names:
        seen[name] += 1
        new = name
        if seen[name] > 1:
            count = seen[name]
            while (new := f"{name}#{count}") in taken:
                count += 1
            taken.add(new)
        out.append(new)
    return out


def _select_split(rows: list[Row], split: str, root: Path | Address, notes: list[str]) -> list[Row]:
    """Rows below train/ or test/ (also inside one folder that holds all); both, with a note, for "all"."""
    if not rows:  # whoever asked says so
        return rows
    depth = 0
    tops = {row.raw.split("/", 1)[0] for row in rows}
    if len(tops) == 1 and not tops & {"train", "test"} and all("/" in row.raw for row in rows):
        depth = 1
    parts = [row.raw.split("/", depth + 1)[depth : depth + 2] for row in rows]
    tops = {part[0] for part in parts if len(part) == 2}
    if {"train", "test"} <= tops:
        if split != "all":
            return [row for row, part in zip(rows, parts, strict=True) if part[0] == split and len(part) == 2]
        count = Counter(part[0] for part in parts)
        notes.append(
            f"merged train/ ({count['train']:,}) and test/ ({count['test']:,}); --split train or test takes one"
        )
    elif split != "all":
        raise DataError(
            f"{root} has no train/ and test/ folders with images, so there is no split {split!r}; leave it out"
        )
    return rows


def is_run_folder(folder: str | Path) -> bool:
    """Whether `folder` is one that ilk wrote: it holds a run.json that is an object with the key "ilk_run"."""
    try:
        found = disk.read_json(Path(folder) / "run.json", follow=True)
        return isinstance(found, dict) and "ilk_run" in found
    except (OSError, ValueError):
        return False
