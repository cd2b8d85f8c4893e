"""The rows of a run in parts: those it was made with, then those of every update. Each part is read with all checks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy.typing as npt

from ilk import disk, shards
from ilk.errors import RunError
from ilk.runs import checking, shapes
from ilk.runs.columns import kinds_of
from ilk.runs.state import AGAIN, short
from ilk.runs.tables import count_rows, read_table

__all__ = ["CHANGES", "FOLDER", "MADE_BY", "MOST", "Part", "Update", "damaged", "joined_images", "read", "updates_of"]

FOLDER = "updates"
"""Where a run has its updates: ``0001``, ``0002`` …"""
MOST = 9999
MADE_BY = 1
"""Version of the format of an update, ``ilk_update``."""
CHANGES = "changes.parquet"

_CHANGES = kinds_of("changes")
_LONGEST = 1 << 16  # characters of a path


def damaged(path: Path, error: Exception, cure: str = AGAIN) -> RunError:
    """Return the error that says that the file `path` of a run is missing or damaged, and why."""
    return RunError(f"{path} is missing or damaged ({short(error)}). {cure}")


def read(path: Path, how: Callable[[Path], Any], cure: str = AGAIN) -> Any:
    """Return what `how` makes of `path`; RunError where it cannot."""
    try:
        return how(path)
    except (OSError, ValueError) as error:
        raise damaged(path, error, cure) from None


class Part:
    """Rows of a run that were written together, in `folder`, from row `start`.

    Attributes
    ----------
    folder : Path
    start : int
    cure : str
        What to do where a file is damaged.
    """

    cure = AGAIN

    def __init__(
        self, folder: Path, start: int = 0, said: int | None = None, named: Mapping[str, Any] | None = None
    ) -> None:
        self.folder = folder
        self.start = start
        self._said = said  # how many rows there are to be
        self._naming = named

    def count(self) -> int:
        """Return the number of rows, from the foot of the table."""
        n = int(self.read("images.parquet", count_rows))
        if self._said is not None and self._said != n:
            raise self.damaged("images.parquet", ValueError(f"{n:,} rows; {self._sayer} says otherwise"))
        return n

    @property
    def _sayer(self) -> str:
        return "run.json"

    def images(self) -> dict[str, list[Any]]:
        """Columns of images.parquet."""
        table: dict[str, list[Any]] = self.read("images.parquet", lambda path: checking.images(path, self.start))
        return table

    def hashes(self) -> list[str | None] | None:
        """Content of every file; None in runs that do not know any."""

        def contents(path: Path) -> list[str | None]:
            return read_table(path, {"content": "text"}, more=False)["content"]

        try:
            return list(self.read("images.parquet", contents))
        except RunError:
            self.images()  # raises where more is wrong than that
            return None

    def assignments(self) -> dict[str, list[Any]]:
        """Columns of assignments.parquet."""
        n = self.count()
        table: dict[str, list[Any]] = self.read(
            "assignments.parquet", lambda path: checking.assignments(path, self.start + n, self.start)
        )
        return table

    def array(self, name: str, width: int | None = None) -> npt.NDArray[Any]:
        """Return the memory map (n, width) of floats in the file `name`."""
        array: npt.NDArray[Any] = self.read(name, disk.read_array)
        n = self.count()
        if array.ndim != 2 or len(array) != n or array.dtype.kind != "f" or (width or array.shape[1]) != array.shape[1]:
            raise self.damaged(name, ValueError(f"{array.dtype} {array.shape} for {n:,} images"))
        return array

    @cached_property
    def named(self) -> shards.Named | None:
        """The shards of a cache that it names; None where it has features and thumbnails of its own."""
        return None if self._naming is None else shards.read(self.folder, self._naming, self.count())

    def features(self, width: int | None = None) -> npt.NDArray[Any]:
        """Return (n, d) floats, NaN where unreadable: a memory map, or rows of shards, all of which are there."""
        if self.named is None:
            return self.array("features.npy", width)
        self.named.shards.check()
        found: npt.NDArray[Any] = self.named.features()
        return found

    @property
    def features_path(self) -> Path:
        """The file that says what the features are: they themselves, or where they are."""
        return self.folder / ("features.npy" if self._naming is None else "slots.npy")

    def thumbs(self) -> Path | shards.ShardThumbs | None:
        """Return the folder of thumbnails, or what reads them from shards; None where there are none."""
        if self.named is not None:
            self.named.shards.check()
            return self.named.thumbs()
        folder = self.folder / "thumbs"
        return folder if folder.is_dir() else None

    def read(self, name: str, how: Callable[[Path], Any]) -> Any:
        """Return what `how` makes of a file of this part; RunError where it cannot."""
        return read(self.folder / name, how, self.cure)

    def damaged(self, name: str, error: Exception) -> RunError:
        """Return the error that names the file."""
        return damaged(self.folder / name, error, self.cure)


class Update(Part):
    """What one update added, and what it found changed.

    Attributes
    ----------
    number : int
        From 1.
    record : dict
        update.json: ``before`` and ``n`` (rows), ``source`` (as in run.json, and ``prefix``), ``counts``, ``created``.
    """

    def __init__(self, folder: Path, number: int, start: int) -> None:
        self.number = number
        self.cure = f"Remove {folder} (and later updates), and update the run again."
        self.record = self._record(folder, start)
        super().__init__(folder, start, self.record["n"])

    def _record(self, folder: Path, start: int) -> dict[str, Any]:
        path = folder / "update.json"
        found = read(path, disk.read_json, self.cure)
        if wrong := shapes.misfit(found, shapes.UPDATE):
            raise damaged(path, ValueError(wrong), self.cure)
        if found["ilk_update"] > MADE_BY:
            raise RunError(f"{folder} was written by a newer ilk (update format {found['ilk_update']}). Upgrade ilk.")
        if found["before"] != start or found["n"] < 0:
            what = f"made when the run had {found['before']:,} images; it has {start:,}"
            raise damaged(path, ValueError(what), self.cure)
        return dict(found)

    @property
    def _sayer(self) -> str:
        return "update.json"

    def count(self) -> int:
        """Return the number of rows that were added; an update may have none."""
        return super().count() if self.record["n"] else 0

    def changes(self) -> dict[str, list[Any]]:
        """Columns of changes.parquet: index, path, gone; of the rows of before that are not as they were."""
        table: dict[str, list[Any]] = self.read(CHANGES, lambda path: _changed(path, self.start))
        return table


def updates_of(first: Part) -> list[Update]:
    """Return the updates of the run whose rows `first` was made with.

    Raises
    ------
    RunError
        One is missing or damaged, or the folder is a link.
    """
    run, folder = first.folder, first.folder / FOLDER
    if not folder.is_dir() and not folder.is_symlink():
        return []
    n = first.count()
    try:
        numbers = sorted(int(one.name) for one in disk.within(run, FOLDER, "x").parent.iterdir() if _is_one(one.name))
        found: list[Update] = []
        for number in range(1, (numbers[-1] if numbers else 0) + 1):
            one = disk.within(folder, f"{number:04}", "x").parent
            if number not in numbers:
                raise FileNotFoundError(f"no {one.name}, though there are later ones")
            found.append(Update(one, number, n))
            n += found[-1].record["n"]
    except OSError as error:
        raise damaged(folder, error, "Remove what does not belong there, and update the run again.") from None
    return found


def _is_one(name: str) -> bool:
    return len(name) == 4 and name.isascii() and name.isdecimal() and name != "0000"


def joined_images(parts: Sequence[Part]) -> dict[str, list[Any]]:
    """Return the images of a run with all updates: paths as they are now, and ``gone``.

    Raises
    ------
    RunError
        Tables that do not fit together.
    """
    table = dict(parts[0].images())
    n = len(table["index"])
    table["gone"] = [False] * n
    for part in parts[1:]:
        assert isinstance(part, Update)
        _apply(part.changes(), table)
        if part.record["n"]:
            new = part.images()
            for name in table:
                table[name] = table[name] + new.get(name, [False if name == "gone" else None] * len(new["index"]))
    if len(parts) > 1:
        known = set(table["path"])
        last = parts[-1]
        if len(known) < len(table["path"]):
            raise last.damaged(CHANGES, ValueError("two images of one path"))
        if not {*table["duplicate_of"]} <= {*known, None}:
            raise last.damaged("images.parquet", ValueError("a duplicate of an image that is not there"))
    return table


def _apply(changes: Mapping[str, list[Any]], table: dict[str, list[Any]]) -> None:
    """Bring paths, and what is gone, up to date; what names another image by its path follows."""
    paths, gone = list(table["path"]), list(table["gone"])
    moved: dict[str, str] = {}
    for row, path, lost in zip(changes["index"], changes["path"], changes["gone"], strict=True):
        if path != paths[row]:
            moved[paths[row]] = path
        paths[row], gone[row] = path, bool(lost)
    copies = [moved.get(one, one) if one is not None else None for one in table["duplicate_of"]]
    table |= {"path": paths, "gone": gone, "duplicate_of": copies}


def _changed(path: Path, before: int) -> dict[str, list[Any]]:
    table = read_table(path, _CHANGES, more=False)
    index = table["index"]
    if not all(isinstance(row, int) and 0 <= row < before for row in index) or len(set(index)) < len(index):
        raise ValueError("an image that was not there before, or is there twice")
    if not all(isinstance(one, str) and 0 < len(one) <= _LONGEST for one in table["path"]):
        raise ValueError("an image without a name")
    if not {*table["gone"]} <= {0, 1}:
        raise ValueError("column gone holds what is neither 0 nor 1")
    return table
