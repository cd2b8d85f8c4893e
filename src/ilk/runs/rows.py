"""All rows of a run as one: those that it was made with, and behind them those that joined it since."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ilk.runs import checking
from ilk.runs.parts import Part, Update, joined_images, updates_of
from ilk.runs.stacked import stacked
from ilk.shards import ShardThumbs

__all__ = ["Rows"]

_NOBODY: dict[str, Any] = {
    "name": None,
    "exemplars": [],
    "borderline": [],
    "quality": None,
    "nearest": None,
    "looks_like": [],
}


class Rows:
    """The tables and arrays of a run and of its updates, each read when it is asked for.

    Which updates there are is looked at once: what joins the run meanwhile does not change the number of rows.

    Parameters
    ----------
    folder : Path
        The run.
    header : mapping
        run.json.
    as_made
        Without updates.
    """

    def __init__(self, folder: Path, header: Mapping[str, Any], *, as_made: bool = False) -> None:
        self._source, self._as_made = header.get("source") or {}, as_made
        self.first = Part(folder, 0, self._source.get("n"), header.get("shards"))

    @cached_property
    def updates(self) -> list[Update]:
        """Every update, in order."""
        return [] if self._as_made else updates_of(self.first)

    @property
    def full(self) -> list[Part]:
        """The parts that have rows."""
        return [self.first, *(one for one in self.updates if one.record["n"])]

    def __len__(self) -> int:
        return sum(part.count() for part in self.full)

    def sources(self) -> list[dict[str, Any]]:
        """Return where the images are: see `Run.sources`."""
        found: dict[str, dict[str, Any]] = {"": {**self._source, "prefix": ""}}
        for update in self.updates:
            record = update.record["source"]
            found[record["prefix"]] = dict(record)
        return list(found.values())

    def images(self) -> dict[str, list[Any]]:
        """Return the columns of images.parquet, and ``gone``."""
        return joined_images([self.first, *self.updates])

    def hashes(self) -> list[str | None] | None:
        """Return the content of every file; None where the run knows none."""
        found = [part.hashes() for part in self.full]
        if found[0] is None:
            return None
        return [one for part, own in zip(self.full, found, strict=True) for one in own or [None] * part.count()]

    def assignments(self) -> dict[str, list[Any]]:
        """Return the columns of assignments.parquet, groups as they were found."""
        tables = [part.assignments() for part in self.full]
        if len(tables) == 1:
            return tables[0]
        return {name: [one for table in tables for one in _column(table, name)] for name in tables[0]}

    def grown(self, records: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Return the groups of clusters.json with the sizes that they have by now."""
        if len(self.full) == 1:
            return records
        labels = checking.by_image(self.assignments(), "group", len(self))
        more = {int(one) for one in np.unique(labels[labels >= -1])} - {
            row["id"] for row in records
        }  # the first of none
        rows = records + [{**_NOBODY, "id": one, "name": "not assigned" if one < 0 else None} for one in sorted(more)]
        return [{**row, "size": int((labels == row["id"]).sum())} for row in rows]

    def features(self) -> npt.NDArray[Any]:
        """Return (n, d) floats: see `ilk.runs.stacked`."""
        first, *others = self.full
        kept = first.features()
        return stacked([kept, *(part.features(kept.shape[1]) for part in others)])

    def map(self) -> npt.NDArray[Any] | None:
        """Return (n, 2) floats; None where the run has no map."""
        if not (self.first.folder / "map.npy").exists():
            return None
        return stacked([part.array("map.npy", 2) for part in self.full])

    def thumbs(self) -> list[tuple[int, Path | ShardThumbs]]:
        """Return the folders of thumbnails, or what reads them from shards, and the row that each begins with."""
        found = [(part.start, part.thumbs()) for part in self.full]
        return [(start, thumbs) for start, thumbs in found if thumbs is not None]

    def counts(self) -> dict[str, int]:
        """Return what a summary says of an updated run; empty where there was no update."""
        if not self.updates:
            return {}
        images = self.images()
        status = images["status"]
        return {
            "n_images": sum(one != "unreadable" for one in status),
            "n_unreadable": status.count("unreadable"),
            "n_duplicates": status.count("duplicate"),
            "n_gone": sum(images["gone"]),
            "n_updates": len(self.updates),
        }


def _column(table: dict[str, list[Any]], name: str) -> list[Any]:
    """Return a column of a table; empty cells where an update's table lacks it."""
    return table[name] if name in table else [-1 if name == "fine" else None] * len(table["index"])
