"""What a run says of its images, as arrays: read once, and again when the run has grown."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ilk.exports.rows import Rows
from ilk.runs import Run

__all__ = ["Columns", "read"]

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Columns:
    """One entry per image of images.parquet.

    Attributes
    ----------
    paths : list of str
    status : list of str
        "ok", "duplicate" or "unreadable"; equal texts are one.
    reasons : list of str or None
    original : (n,) int64
        Of a duplicate the row of the image it is a copy of; else the row itself.
    bytes_ : (n,) int64
    widths, heights : (n,) int32
        0 where unknown.
    confidence, silhouette, distance : (n,) float32
        Of the group an image was found in; NaN where unknown.
    second : (n,) int64
        The second-best group; -1 where there is none.
    found : (n,) int64
        The group each was found in; -1 in none, -2 unreadable.
    """

    paths: list[str]
    status: list[str]
    reasons: list[str | None]
    original: Ints
    bytes_: Ints
    widths: npt.NDArray[np.int32]
    heights: npt.NDArray[np.int32]
    confidence: Floats
    silhouette: Floats
    distance: Floats
    second: Ints
    found: Ints

    def __len__(self) -> int:
        return len(self.paths)

    def rows(self) -> Rows:
        """Return what finding the images again needs to know of them."""
        return Rows(
            self.paths, self.status, [], self.found, self.second, self.confidence, self.distance,
            self.silhouette, [], self.bytes_, {}, {}, {}, self.found != -2,
        )  # fmt: skip


def read(run: Run) -> Columns:
    """Read the tables of `run`, as it was found; what is damaged is a `RunError`."""
    images, found = run.images(), run.uncorrected().assignments()
    paths: list[str] = images["path"]
    n, index = len(paths), np.asarray(found["index"], np.int64)

    def whole(name: str, dtype: Any) -> npt.NDArray[Any]:
        return np.array([value or 0 for value in images[name]], dtype)

    def assigned(name: str, dtype: Any, empty: Any) -> npt.NDArray[Any]:
        values = np.full(n, empty, dtype)
        if name in found:
            values[index] = np.array([empty if value is None else value for value in found[name]], dtype)
        return values

    rows = {path: row for row, path in enumerate(paths)}
    original = np.array([row if of is None else rows[of] for row, of in enumerate(images["duplicate_of"])], np.int64)
    return Columns(
        paths,
        images["status"],
        images["reason"],
        original,
        whole("bytes", np.int64),
        whole("width", np.int32),
        whole("height", np.int32),
        assigned("confidence", np.float32, np.nan),
        assigned("silhouette", np.float32, np.nan),
        assigned("distance", np.float32, np.nan),
        assigned("second", np.int64, -1),
        run.uncorrected().labels(),
    )
