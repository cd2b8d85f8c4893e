"""Folder, date, camera and size of every image, to choose by; dates and cameras are read from the files meanwhile."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ilk.files.exif import Taken
from ilk.gallery.columns import Columns

__all__ = ["FACETS", "Facets"]

FACETS = ("folder", "date", "camera", "dimensions")
_MOST = 1000  # values of a facet that are listed; what is beyond can be searched for
_UNKNOWN = ""
_AT_ONCE, _PAUSE = 16, 0.002  # files, seconds

Ints = npt.NDArray[np.int64]


class _Codes:
    """A text for each image, as numbers of texts."""

    def __init__(self, n: int) -> None:
        self.values: list[str] = [_UNKNOWN]
        self.codes = np.zeros(n, np.int32)
        self._number = {_UNKNOWN: 0}

    def set(self, row: int, value: str) -> None:
        self.codes[row] = self.number(value)

    def number(self, value: str) -> int:
        if value not in self._number:
            self._number[value] = len(self.values)
            self.values.append(value)
        return self._number[value]

    def having(self, rows: Ints, values: Sequence[str]) -> npt.NDArray[np.bool_]:
        wanted = [self._number[value] for value in values if value in self._number]
        return np.isin(self.codes[rows], wanted)

    def counted(self) -> list[dict[str, Any]]:
        counts = np.bincount(self.codes, minlength=len(self.values)).tolist()
        return [{"value": value, "count": n} for value, n in zip(list(self.values), counts, strict=False) if n]


class Facets:
    """What images can be chosen by beside their group.

    Parameters
    ----------
    columns : Columns
    """

    def __init__(self, columns: Columns) -> None:
        n = len(columns)
        self.ready = False
        self._codes = {name: _Codes(n) for name in FACETS}
        self._dates = np.full(n, np.iinfo(np.int64).max, np.int64)
        self._stop = threading.Event()
        folder, dimensions = self._codes["folder"], self._codes["dimensions"]
        folder.codes[:] = [folder.number(path.rpartition("/")[0]) for path in columns.paths]
        pairs = zip(columns.widths.tolist(), columns.heights.tolist(), strict=True)
        dimensions.codes[:] = [dimensions.number(f"{w} × {h}" if w and h else _UNKNOWN) for w, h in pairs]

    def read(self, n: int, taken: Callable[[int], Taken]) -> None:
        """Read dates and cameras of all images, until `stop`; for a thread of its own."""
        for row in range(n):
            # who looks at pictures meanwhile goes first
            if self._stop.is_set() or (row % _AT_ONCE == 0 and self._stop.wait(_PAUSE)):
                return
            found = taken(row)
            self._codes["date"].set(row, found.date[:7])
            self._codes["camera"].set(row, found.camera)
            if found.date:
                self._dates[row] = int("".join(c for c in found.date if c.isdigit()))
        self.ready = True

    def stop(self) -> None:
        """Read no further."""
        self._stop.set()

    def having(self, name: str, rows: Ints, values: Sequence[str]) -> npt.NDArray[np.bool_]:
        """Return which of `rows` have one of `values`."""
        return self._codes[name].having(rows, values)

    def dates(self, rows: Ints) -> Ints:
        """Return numbers that sort `rows` by date; those without one are last."""
        return self._dates[rows]

    def column(self, name: str) -> npt.NDArray[np.int32]:
        """Return for every image which of the values in `answer` it has; -1 for one that is not listed."""
        codes = self._codes[name].codes.copy()  # first: values that are added meanwhile are behind those of these
        number = {value: i for i, value in enumerate(list(self._codes[name].values))}
        row_of = np.full(len(number), -1, np.int32)
        for i, one in enumerate(self._listed(name)):
            if one["value"] in number:
                row_of[number[one["value"]]] = i
        found: npt.NDArray[np.int32] = row_of[codes]
        return found

    def answer(self) -> dict[str, Any]:
        """Return what ``/api/facets`` answers: values and how many images have them; months in order, else by count."""
        return {"ready": self.ready, **{name: self._listed(name) for name in FACETS}}

    def _listed(self, name: str) -> list[dict[str, Any]]:
        found = self._codes[name].counted()
        by_count = Counter({one["value"]: one["count"] for one in found}).most_common(_MOST)
        found = [{"value": value, "count": n} for value, n in by_count]
        if name in ("folder", "date"):
            found.sort(key=lambda one: one["value"])
        return found
