"""Which images a page is shown, and in which order: a group, a view, a search; by facets; a stack as one image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from ilk.errors import ArgumentError, nearest
from ilk.gallery.facets import FACETS, Facets
from ilk.gallery.opened import IGNORED, Now, Opened

__all__ = ["SORTS", "VIEWS", "Asked", "images"]

VIEWS = ("all", "unassigned", "ignored", "unreadable", "near", "outliers", "doubtful")
SORTS = ("central", "doubtful", "path", "date", "size")
_LONGEST = 1000  # characters of a search

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Asked:
    """What a page asks to see: one of `group`, `view` and `text`, an order, and facets."""

    group: int | None = None
    view: str | None = None
    text: str | None = None
    sort: str | None = None
    stacked: bool = False
    facets: Mapping[str, Sequence[str]] = field(default_factory=dict)

    @classmethod
    def of(cls, query: Any) -> Asked:
        """Return what a query string asks.

        Raises
        ------
        ArgumentError
            It asks for what there is not.
        """
        group, view, text, sort = (query.get(name) for name in ("group", "view", "q", "sort"))
        if sum(one is not None for one in (group, view, text)) != 1:
            raise ArgumentError("ask for one of group=, view= and q=.")
        if view is not None and view not in VIEWS:
            raise ArgumentError(f"view={view!r}: allowed are {', '.join(VIEWS)}.{nearest(view, VIEWS)}")
        if sort not in (None, "", *SORTS):
            raise ArgumentError(f"sort={sort!r}: allowed are {', '.join(SORTS)}.{nearest(sort, SORTS)}")
        if text is not None and len(text) > _LONGEST:
            raise ArgumentError(f"search for at most {_LONGEST:,} characters.")
        facets = {name: query.getlist(name) for name in FACETS if name in query}
        stacked = query.get("stack") == "1"
        return cls(None if group is None else number(group, "group"), view, text, sort or None, stacked, facets)


def number(text: str, what: str) -> int:
    """Return a number of a group or of an image.

    Raises
    ------
    ArgumentError
        It is none.
    """
    if not (text.removeprefix("-").isascii() and text.removeprefix("-").isdecimal() and len(text) <= 12):
        raise ArgumentError(f"{what}={text[:40]!r} is no number.")
    return int(text)


def images(opened: Opened, now: Now, facets: Facets, stacks: Ints | None, outliers: Ints, asked: Asked) -> Any:
    """Return what ``/api/rows`` answers.

    Parameters
    ----------
    opened, now, facets
    stacks : (n,) int64 or None
        The row that stands for the stack of each image; None: only exact copies are stacked.
    outliers : (k,) int64
        Rows that fit no group, the farthest first.
    asked
    """
    stacks = opened.columns.original if stacks is None else stacks
    counts = np.bincount(stacks[now.labels != -2], minlength=len(stacks))
    rows, order = _chosen(opened, now, stacks, counts, outliers, asked)
    for name, values in asked.facets.items():
        rows = rows[facets.having(name, rows, values)]
    sort = asked.sort or order
    if sort is not None:
        rows = rows[_order(opened, now, facets, rows, sort)]
    if asked.stacked:
        rows = rows[_firsts(stacks[rows])]
    found = {
        "rows": rows.tolist(),
        "stack": counts[stacks[rows]].tolist(),
        "said": now.grouping.said[rows].tolist(),
        "confidence": shares(now.certainty[rows]),
    }
    return found if asked.group is not None else {**found, "group": now.labels[rows].tolist()}


def shares(values: npt.NDArray[Any]) -> list[float | None]:
    """Return numbers with three digits behind the point, None for those that are not finite."""
    finite = np.isfinite(values)
    found: list[float | None] = (np.rint(np.where(finite, values, 0).astype(np.float64) * 1000) / 1000).tolist()
    for i in np.flatnonzero(~finite).tolist():
        found[i] = None
    return found


def _chosen(
    opened: Opened, now: Now, stacks: Ints, counts: Ints, outliers: Ints, asked: Asked
) -> tuple[Ints, str | None]:
    """Return rows, and how they are sorted where nobody says; None: as they are."""
    labels, said = now.labels, now.grouping.said
    if asked.group is not None:
        if asked.group not in now.grouping.names:
            into = now.grouping.where(asked.group)
            gone = f" It was merged into group {into}." if into is not None else ""
            raise ArgumentError(f"there is no group {asked.group}.{gone}")
        return np.flatnonzero(labels == asked.group), "central"
    if asked.text is not None:
        wanted = asked.text.casefold()
        return _where([wanted in path.casefold() for path in opened.columns.paths]), "path"
    own = np.arange(len(labels))
    found: dict[str, tuple[Any, str | None]] = {
        "all": (lambda: labels != -2, "path"),
        "unassigned": (lambda: (labels == -1) & (said != IGNORED), "path"),
        "ignored": (lambda: said == IGNORED, "path"),
        "unreadable": (lambda: labels == -2, "path"),
        "near": (lambda: (stacks == own) & (counts > 1), None),
        "doubtful": (lambda: now.doubtful, "doubtful"),
    }
    if asked.view == "outliers":
        return outliers[labels[outliers] != -2], None
    which, order = found[asked.view or "all"]
    rows = np.flatnonzero(which())
    if asked.view == "near":
        rows = rows[np.argsort(-counts[rows], kind="stable")]
    return rows, order


def _where(which: Sequence[bool]) -> Ints:
    return np.flatnonzero(np.array(which, bool))


def _order(opened: Opened, now: Now, facets: Facets, rows: Ints, sort: str) -> Ints:
    columns = opened.columns
    if sort == "central":
        return np.lexsort((rows, columns.found[rows], now.central[rows]))
    if sort == "doubtful":
        certainty = np.nan_to_num(now.certainty[rows], nan=-1.0)
        return np.lexsort((rows, np.nan_to_num(columns.silhouette[rows], nan=0.0), certainty))
    if sort == "size":
        return np.lexsort((rows, -columns.bytes_[rows]))
    if sort == "date":  # what has no date is last
        return np.lexsort((rows, facets.dates(rows)))
    return np.argsort(opened.by_path[rows], kind="stable")


def _firsts(stacks: Ints) -> Ints:
    """Return where each value is first, in order."""
    return np.sort(np.unique(stacks, return_index=True)[1])
