"""What a run says, gathered once: arrays of its tables and one record per group."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from ilk import near
from ilk.report.words import UNMEASURED, apart, finite
from ilk.runs import Run, guessed, own_name

Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]

NOISE = -1


@dataclass
class Group:
    """One group; `members` are all its images, `central` and `borderline` those to show, best first.

    `name` is what a person called it, `words` are guessed; the one or the other is empty, or both. The mean silhouette
    of its images is that of the features; `reduced` is that of the reduced space, where there is one.
    """

    id: int
    name: str
    members: Indices
    exemplars: list[int]
    edge: list[int]
    silhouette: float | None
    reduced: float | None
    confidence: float | None
    nearest: int | None
    word: str  # how far apart it stands
    words: list[str] = field(default_factory=list)

    @property
    def size(self) -> int:
        """Number of images."""
        return len(self.members)

    @property
    def title(self) -> str:
        """``Group 3``, ``Group 3 “sleeves”`` or ``Not assigned``."""
        if self.id == NOISE:
            return "Not assigned"
        return f"Group {self.id} “{self.name}”" if self.name else f"Group {self.id}"

    @property
    def caption(self) -> str:
        """The title, with what it looks like where that was guessed: ``Group 3 (looks like sandal, clog)``."""
        return f"{self.title} (looks like {', '.join(self.words)})" if self.words else self.title

    @property
    def label(self) -> str:
        """A few words for a plot: ``3``, ``3 “sleeves”``, or ``3 sandal?`` for a guess."""
        guessed = f" {self.words[0]}?" if self.words else ""
        return self.title.removeprefix("Group ") + guessed


@dataclass
class Facts:
    """A run's tables as arrays; all arrays have one entry per image of images.parquet.

    Silhouettes are those of the features, and of the reduced space. Older runs have one only, of the space that their
    groups were sought in: it stands as `reduced`.
    """

    header: dict[str, Any]
    paths: list[str]
    status: list[str]
    reasons: list[str | None]
    labels: Indices
    distance: Floats
    confidence: Floats
    silhouette: Floats
    reduced: Floats
    duplicate: npt.NDArray[np.bool_]
    original: Indices  # of a duplicate, the row of the image it equals; else -1
    longest: int
    stack: Indices  # the row of the image that stands for all that are nearly the same as this one
    n_corrections: int = 0  # made by hand, and in effect
    n_joined: int = 0  # since the run was made
    n_gone: int = 0  # from its source since
    said: npt.NDArray[np.int8] | None = None  # of each image by a person: see `ilk.corrections.Grouping`
    groups: list[Group] = field(default_factory=list)

    @property
    def summary(self) -> dict[str, Any]:
        """The summary that the command printed, or an empty dict."""
        return dict(self.header.get("summary") or {})

    @property
    def sample(self) -> int | None:
        """To how many images the distances of the silhouettes (of the features) are; None: to all."""
        sample = finite(((self.header.get("quality") or {}).get("silhouette") or {}).get("sample"))
        return None if sample is None else int(sample)

    @cached_property
    def n_readable(self) -> int:
        """Number of images that have a group, or could have one."""
        return sum(s != "unreadable" for s in self.status)

    @cached_property
    def n_groups(self) -> int:
        """Number of groups; “not assigned” is none."""
        return sum(g.id != NOISE for g in self.groups)

    def unreadable(self) -> list[int]:
        """Rows of the files that could not be read."""
        return [i for i, s in enumerate(self.status) if s == "unreadable"]

    def one_each(self, rows: Iterable[int], shown: Sequence[int] = ()) -> list[int]:
        """Return the first of each stack of near duplicates among `rows`, none of a stack that is `shown`."""
        seen, found = {int(self.stack[i]) for i in shown}, []
        for i in rows:
            if (stack := int(self.stack[i])) not in seen:
                seen.add(stack)
                found.append(i)
        return found

    @property
    def n_near(self) -> int:
        """Number of images for which another one stands that is nearly the same; exact duplicates are not counted."""
        return int(((self.stack != np.arange(len(self.stack))) & ~self.duplicate).sum())

    def duplicates(self) -> list[list[int]]:
        """Sets of exact duplicates, largest first: rows, the kept one in front."""
        sets: dict[int, list[int]] = {}
        for i in np.flatnonzero(self.duplicate & (self.original >= 0)).tolist():
            sets.setdefault(int(self.original[i]), []).append(i)
        return sorted(([first, *rest] for first, rest in sets.items()), key=lambda s: (-len(s), s[0]))


def gather(run: Run) -> Facts:
    """Read the tables of `run`; groups come biggest first, “not assigned” last.

    Raises
    ------
    RunError
        A table is missing or damaged.
    """
    images, rows = run.images(), run.assignments()
    n = len(images["path"])
    where = np.asarray(rows["index"], np.int64)
    labels = np.full(n, -2, np.int64)
    labels[where] = np.asarray(rows["group"], np.int64)
    nothing: list[Any] = [None] * n
    row_of = {path: row for row, path in enumerate(images["path"])}
    both = "silhouette_reduced" in rows
    status = [str(s) for s in images.get("status", ["ok"] * n)]
    facts = Facts(
        header=run.header,
        paths=[str(p) for p in images["path"]],
        status=status,
        reasons=images.get("reason", nothing),
        labels=labels,
        distance=_column(rows, "distance", where, n),
        confidence=_column(rows, "confidence", where, n),
        silhouette=_column(rows, "silhouette" if both else "", where, n),
        reduced=_column(rows, "silhouette_reduced" if both else "silhouette", where, n),
        duplicate=np.asarray([s == "duplicate" for s in status], bool),
        original=np.asarray([row_of.get(path, -1) for path in images.get("duplicate_of", nothing)], np.int64),
        longest=_longest(images),
        n_joined=sum(update.record["n"] for update in run.updates),
        n_gone=sum(images["gone"]),
        stack=near.stacks(run) if "near" in run.header else np.arange(n),  # an older run would be looked through
    )
    if (grouping := run.grouping()) is not None:
        facts.n_corrections, facts.said = grouping.count, grouping.said
    facts.groups = _groups(facts, run.clusters())
    if grouping is not None:
        facts.groups = [group for group in facts.groups if group.size]  # a person may take all out of one
    return facts


def _column(rows: dict[str, list[Any]], name: str, where: Indices, n: int) -> Floats:
    column = np.full(n, np.nan)
    if name in rows:
        column[where] = np.asarray(rows[name], np.float64)  # None becomes nan
    return column


def _longest(images: dict[str, list[Any]]) -> int:
    """Return the median longer side of the readable images in pixels; 0 where the run does not say."""
    pairs = zip(images.get("width", []), images.get("height", []), strict=True)
    sides = [max(w, h) for w, h in pairs if w and h]
    return int(np.median(sides)) if sides else 0


def _groups(facts: Facts, clusters: Sequence[dict[str, Any]]) -> list[Group]:
    """One record for every id that clusters.json or the assignments know."""
    records = {int(c["id"]): c for c in clusters}
    order = np.argsort(facts.labels, kind="stable")
    ids, starts = np.unique(facts.labels[order], return_index=True)
    members = dict(zip(ids.tolist(), np.split(order, starts[1:]), strict=True))
    nobody = np.empty(0, np.int64)
    known = {*records, *(i for i in members if i >= NOISE)}
    groups = [_group(facts, i, members.get(i, nobody), records.get(i, {"id": i})) for i in known]
    groups = [g for g in groups if g.id != NOISE or g.size]
    return sorted(groups, key=lambda g: (g.id == NOISE, -g.size, g.id))


def _group(facts: Facts, group_id: int, members: Indices, record: dict[str, Any]) -> Group:
    quality = record.get("quality") or {}
    corrected = facts.n_corrections > 0 and group_id != NOISE and record.get("quality", quality) is None
    n = len(facts.paths)
    mine = {
        key: [i for i in record.get(key) or [] if 0 <= i < n and facts.status[i] == "ok"]
        for key in ("exemplars", "borderline")
    }
    nearest = record.get("nearest")
    both = "silhouette_reduced" in quality
    measured = members[:0] if corrected else members
    silhouette = _mean(quality.get("silhouette") if both else None, facts.silhouette[measured])
    confidence = _mean(quality.get("confidence"), facts.confidence[measured])
    return Group(
        id=group_id,
        name=own_name(record),
        members=members,
        exemplars=mine["exemplars"],
        edge=mine["borderline"],
        silhouette=silhouette,
        reduced=_mean(quality.get("silhouette_reduced"), facts.reduced[measured]),
        confidence=confidence,
        nearest=int(nearest) if nearest is not None and nearest >= 0 else None,
        word=UNMEASURED if corrected else apart(facts.header, silhouette, confidence) if group_id != NOISE else "",
        words=guessed(record),
    )


def _mean(stated: Any, values: Floats) -> float | None:
    """Return what clusters.json says, else the mean of the images' own values."""
    if finite(stated) is not None:
        return finite(stated)
    values = values[np.isfinite(values)]
    return float(values.mean()) if len(values) else None


def central(facts: Facts, group: Group, limit: int) -> list[int]:
    """Return up to `limit` images of `group`, the most central first, of near duplicates one."""
    first = facts.one_each(group.exemplars)[:limit]
    if len(first) == limit:
        return first
    distance, confidence = facts.distance[group.members], facts.confidence[group.members]
    order = np.lexsort((-np.nan_to_num(confidence, nan=-1.0), np.nan_to_num(distance, nan=np.inf)))
    taken = {*first, *group.edge}  # the borderline ones are shown apart
    rest = (i for i in group.members[order].tolist() if i not in taken and not facts.duplicate[i])
    return first + facts.one_each(rest, first)[: limit - len(first)]


def borderline(facts: Facts, group: Group, limit: int, shown: Sequence[int] = ()) -> list[int]:
    """Return up to `limit` images of `group` that nearly belong elsewhere, the most doubtful first, none of `shown`.

    A group of fewer than 8 images has none: all of it is in sight anyway.
    """
    if group.id == NOISE or (group.size < 8 and not group.edge):
        return []
    taken = set(shown)
    first = [i for i in group.edge if i not in taken][:limit]
    if len(first) == limit or group.edge:
        return first
    doubt = facts.silhouette[group.members]
    if not np.isfinite(doubt).any():
        doubt = facts.confidence[group.members]
    if not np.isfinite(doubt).any():
        return []
    order = group.members[np.argsort(np.nan_to_num(doubt, nan=np.inf), kind="stable")]
    rest = [i for i in order.tolist() if i not in taken and not facts.duplicate[i]]
    return rest[: min(limit, group.size // 4)]
