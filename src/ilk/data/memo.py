"""What the files of a source held when they were last read: stamp → hash, so that unchanged files are not even read.

``cache/files/<source>/`` holds tables of pairs. A job adds a small one whenever a shard is safe, so that a
process that is killed loses one shard, and at its end puts its own into one. Names of tables say which rows of the
source they are of: jobs over parts of one source write tables of their own, and the job over all reads them all.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError
from safetensors.numpy import save

from ilk import disk
from ilk.data.index import Names, as_names
from ilk.data.keeping import write_whole
from ilk.errors import IlkError

__all__ = ["Memo"]

_TABLE = re.compile(r"(\d+)-(\d+)-[0-9a-f]{32}\.safetensors")

Rows = npt.NDArray[np.int64]


class Memo:
    """The memory of one source, or of a part of it.

    Parameters
    ----------
    folder : Path
        Below ``cache/files``; what is absent or damaged counts as empty. A file of the same name with ``.safetensors``
        behind it is the memory of an older ilk.
    stamps : list of bytes, or None
        Of the rows, see `ImageSource.stamps`; nothing is remembered without, nor of rows whose stamp is empty.
    span : (a, b), optional
        Which rows of the whole source these are; all of it if not given.

    Attributes
    ----------
    found : ndarray S16 (n,)
        Hash of each row whose file is as it was; b"" for the others.
    """

    def __init__(self, folder: Path, stamps: list[bytes] | None, span: tuple[int, int] | None = None) -> None:
        self._folder = folder
        self._stamps = None if stamps is None else as_names(stamps)
        self._n = 0 if stamps is None else len(stamps)
        self._span = span
        self._written: list[Path] = []
        self._read: list[tuple[Path, Names]] = []  # tables and their stamps
        self.found: Names = np.zeros(self._n, "S16")
        if self._stamps is not None and self._n:
            self._look()

    def _look(self) -> None:
        assert self._stamps is not None
        order = np.argsort(self._stamps)
        mine = self._stamps[order]
        for path in self._tables():
            pairs = _read(path)
            if pairs is None:
                continue
            stamps, hashes = pairs
            at = np.minimum(np.searchsorted(mine, stamps), len(mine) - 1)
            hit = (mine[at] == stamps) & (stamps != b"")
            self.found[order[at[hit]]] = hashes[hit]
            self._read.append((path, stamps))
        # of equal stamps only one was filled in: there are none but empty ones
        self.found[self._stamps == b""] = b""

    def _tables(self) -> Iterator[Path]:
        """Yield what may know of these rows, the oldest first."""
        old = self._folder.with_name(f"{self._folder.name}.safetensors")
        if old.is_file():
            yield old
        try:
            names = sorted((path.stat().st_mtime_ns, path) for path in self._folder.iterdir())
        except OSError:
            return
        for _, path in names:
            found = _TABLE.fullmatch(path.name)
            if found and (self._span is None or (int(found[1]) < self._span[1] and self._span[0] < int(found[2]))):
                yield path

    def add(self, rows: Rows, hashes: Names) -> None:
        """Remember the hashes of some rows now; they are what a process that is killed next has read."""
        self._write(rows, hashes)

    def save(self, hashes: Names) -> None:
        """Remember the hashes (b"" where unknown) of all rows in one table.

        Tables of which nothing more is said there are removed; those of files that are gone only by a job over the
        whole source.
        """
        if self._stamps is None or not self._n:
            return
        known = np.flatnonzero((self._stamps != b"") & (hashes != b""))
        as_it_was = len(self._read) == 1 and not self._written and len(known) == len(self._read[0][1])
        if not len(known) or (as_it_was and np.array_equal(self.found[known], hashes[known])):
            return
        kept = self._write(known, hashes[known])
        if kept is None:
            return
        remembered = np.sort(self._stamps[known])
        for path in self._written[:-1]:
            _remove(path, kept)
        for path, stamps in self._read:
            if self._span is None or bool(_among(stamps, remembered).all()):
                _remove(path, kept)

    def _write(self, rows: Rows, hashes: Names) -> Path | None:
        if self._stamps is None:
            return None
        some = (self._stamps[rows] != b"") & (hashes != b"")
        if not some.any():
            return None
        pairs = np.concatenate(
            [names[some].view(np.uint8).reshape(-1, 16) for names in (self._stamps[rows], np.asarray(hashes, "S16"))], 1
        )
        a, b = self._span or (0, self._n)
        tensors = {"pairs": np.ascontiguousarray(pairs)}
        digest = disk.tensor_digest(tensors)
        path = self._folder / f"{a}-{b}-{digest}.safetensors"
        try:
            self._folder.parent.parent.mkdir(parents=True, exist_ok=True)
            disk.own_folder(self._folder.parent)
            write_whole(path, save(tensors, {"digest": digest}))
        except (IlkError, OSError):  # a memo only saves time: the next run reads the files again
            return None
        self._written.append(path)
        return path


def _read(path: Path) -> tuple[Names, Names] | None:
    """Return stamps and hashes of a table, (m,) S16 each."""
    with contextlib.suppress(SafetensorError, OSError, KeyError, ValueError), disk.open_tensors(path) as file:
        pairs = file.get_tensor("pairs")
        sound = pairs.dtype == np.uint8 and pairs.shape[1:] == (32,)
        if sound and file.metadata()["digest"] == disk.tensor_digest({"pairs": pairs}):
            split = np.ascontiguousarray(pairs).view("S16")
            return split[:, 0].copy(), split[:, 1].copy()
    return None


def _among(names: Names, known: Names) -> npt.NDArray[np.bool_]:
    """Return which of `names` are in the sorted `known`."""
    return np.asarray(known[np.minimum(np.searchsorted(known, names), len(known) - 1)] == names)


def _remove(path: Path, but: Path) -> None:
    if path != but:
        with contextlib.suppress(OSError):
            path.unlink()
