"""The tables of a run with its corrections: what no longer holds of an image or a group is left empty."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, zip_longest
from typing import Any

import numpy as np
import numpy.typing as npt

from ilk.corrections.folding import MOVED, NOTHING, Found, Grouping

__all__ = ["assignments", "at_home", "clusters", "looking_like", "still"]

_SHOWN = 12
_LOOKS, _MEASURED = 2 / 3, 0.9  # of the images of a group then and now: words and means hold while so many are in both

_FEW = 1 << 20  # pairs of groups


def assignments(table: Mapping[str, list[Any]], grouping: Grouping) -> dict[str, list[Any]]:
    """Return the columns of assignments.parquet with the groups of `grouping`.

    Of an image in another group than it was found in, confidence, distance and silhouettes are empty, and the group
    that it was found in is its second one. Of images of merged groups the silhouettes are empty.
    """
    index = np.asarray(table["index"], np.int64)
    found, now = np.asarray(table["group"], np.int64), grouping.labels[index]
    merged = grouping.merged
    brought = np.array([merged.get(group, group) for group in found.tolist()], np.int64)
    other = (now != brought).tolist()
    joined = np.isin(now, np.unique(now[(brought == now) & (found != now)])).tolist()
    columns = dict(table)
    columns["group"] = now.tolist()
    for name in ("confidence", "distance", "silhouette", "silhouette_reduced"):
        if name in columns:
            lost = [a or b for a, b in zip(other, joined, strict=True)] if name.startswith("silhouette") else other
            columns[name] = [None if gone else value for gone, value in zip(lost, columns[name], strict=True)]
    seconds = zip(columns["second"], brought.tolist(), other, now.tolist(), strict=True)
    second = [before if gone else merged.get(value, value) for value, before, gone, _ in seconds]
    columns["second"] = [
        two if two != one and two in grouping.names else -1 for two, one in zip(second, columns["group"], strict=True)
    ]
    return columns


def at_home(found: npt.NDArray[np.int64], grouping: Grouping) -> npt.NDArray[np.bool_]:
    """Return (n,) whether each image is where it was found: what was found of it says how central it is there.

    In a group made by hand, which has no such images, it is those that nobody put there one by one.
    """
    top = max(int(found.max(initial=0)), *grouping.merged, 0)
    now = np.arange(top + 1)
    now[list(grouping.merged)] = list(grouping.merged.values())
    home = (found >= 0) & (now[np.maximum(found, 0)] == grouping.labels)
    made = ~np.isin(grouping.labels, np.unique(grouping.labels[home]))
    mine: npt.NDArray[np.bool_] = home | (made & (grouping.labels >= 0) & (found >= 0) & (grouping.said != MOVED))
    return mine


def still(found: npt.NDArray[np.int64], now: npt.NDArray[np.int64], share: float) -> dict[int, int]:
    """Return which groups are still those that were found, but for some images: group now -> group found.

    Two are the same where more than half, and at least `share`, of the images that either has are in both.

    Examples
    --------
    >>> still(np.array([0, 0, 0, 1, 1, 1, 1]), np.array([2, 2, 2, 1, 1, 1, 0]), 0.7)
    {1: 1, 2: 0}
    """
    inside = np.flatnonzero((found >= 0) & (now >= 0))
    width = int(found.max(initial=0)) + 1
    both = now[inside] * width + found[inside]
    if both.max(initial=0) < _FEW:  # counted faster than sorted
        of = np.bincount(both)
        pairs = np.flatnonzero(of)
        counts = of[pairs]
    else:
        pairs, counts = np.unique(both, return_counts=True)
    then, here = np.bincount(found[found >= 0], minlength=width), np.bincount(now[now >= 0], minlength=1)
    shared = counts / (then[pairs % width] + here[pairs // width] - counts)
    same = pairs[(shared >= share) & (shared > 0.5)]
    return dict(zip((same // width).tolist(), (same % width).tolist(), strict=True))


def looking_like(found: npt.NDArray[np.int64], now: npt.NDArray[np.int64]) -> dict[int, int]:
    """Return the groups of which what was guessed of groups that were found still holds: group now -> group found."""
    return still(found, now, _LOOKS)


def clusters(
    records: Sequence[Mapping[str, Any]],
    found: Found,
    grouping: Grouping,
    table: Mapping[str, list[Any]],
    duplicate: Sequence[bool],
) -> list[dict[str, Any]]:
    """Return the groups of clusters.json as they are now: by number, merged ones gone, new ones behind.

    Parameters
    ----------
    records
        clusters.json.
    found, grouping
        Before and after.
    table
        What `assignments` returned.
    duplicate
        Whether each image is a copy of another.
    """
    known = {int(record["id"]): record for record in records}
    sizes = grouping.sizes()
    shown = max((len(record.get("exemplars") or ()) for record in records), default=_SHOWN) or _SHOWN
    shown_now: dict[int, list[int]] = {}
    home = at_home(found.labels, grouping)
    for row in _by_turns([record.get("exemplars") or () for record in records]):
        if not home[row]:
            continue
        shown_now.setdefault(int(grouping.labels[row]), []).append(row)
    edges: dict[int, list[int]] = {}
    for row in chain.from_iterable(record.get("borderline") or () for record in records):
        edges.setdefault(int(grouping.labels[row]), []).append(row)
    qualities = next((tuple(record["quality"]) for record in records if record.get("quality")), ())
    looks, measured = (still(found.labels, grouping.labels, share) for share in (_LOOKS, _MEASURED))
    result = []
    for group in sizes:
        record = dict(known.get(group, {"id": group, "looks_like": [], "nearest": None}))
        if group != NOTHING and "looks_like" in record:
            record["looks_like"] = known.get(looks.get(group, NOTHING - 1), {}).get("looks_like", [])
        name = grouping.names.get(group, "")
        if group == NOTHING:
            record["name"] = "not assigned"
        elif name or group not in known or found.names.get(group):
            record["name"] = name or f"group {group}"
        record["nearest"] = _nearest(record.get("nearest"), group, grouping)
        if group in grouping.notes:
            record["note"] = grouping.notes[group]
        members = grouping.labels == group
        if group not in known or not np.array_equal(members, found.labels == group):
            record["size"] = sizes[group]
            record["exemplars"] = _exemplars(
                shown_now.get(group, []), np.flatnonzero(members), grouping, duplicate, shown
            )
            record["borderline"] = [row for row in edges.get(group, []) if row not in record["exemplars"]][:shown]
            record["quality"] = _quality(qualities, members, table) if measured.get(group) == group else None
        result.append(record)
    return result


def _by_turns(lists: Sequence[Sequence[int]]) -> Iterator[int]:
    """Yield the first of each list, then the second of each …"""
    for turn in zip_longest(*lists):
        yield from (row for row in turn if row is not None)


def _exemplars(
    first: Sequence[int], members: Any, grouping: Grouping, duplicate: Sequence[bool], shown: int
) -> list[int]:
    """Return images that stand for a group: those that did before, then those put there by hand, then any."""
    if len(first) >= shown:
        return list(first[:shown])
    own = [row for row in members.tolist() if not duplicate[row]] or members.tolist()
    by_hand = [row for row in own if grouping.said[row] == MOVED]
    return list(dict.fromkeys((*first, *by_hand[:shown], *own[: 2 * shown])))[:shown]


def _nearest(nearest: Any, group: int, grouping: Grouping) -> int | None:
    if nearest is None:
        return None
    now = grouping.merged.get(nearest, nearest)
    return now if now != group and now in grouping.names else None


def _quality(names: Sequence[str], members: Any, table: Mapping[str, list[Any]]) -> dict[str, float | None] | None:
    """Return the means of what still holds of the images of a group."""
    mine = members[np.asarray(table["index"], np.int64)]
    found: dict[str, float | None] = {}
    for name in names:
        values = np.asarray(table[name], np.float64)[mine] if name in table else np.empty(0)
        values = values[np.isfinite(values)]
        found[name] = float(values.mean()) if len(values) else None
    return found
