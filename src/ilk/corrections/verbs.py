"""What each correction does to the groups: one function for every verb of the journal."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = [
    "CONFIRMED",
    "FOLLOW",
    "IGNORED",
    "MOVED",
    "NOBODY",
    "NOTHING",
    "UNREADABLE",
    "Found",
    "Groups",
    "Ints",
    "Touched",
]

NOTHING, UNREADABLE = -1, -2
"""Labels of images that belong to no group, and of files that could not be read."""
NOBODY, MOVED, CONFIRMED, IGNORED = range(4)
"""What a person said of an image: nothing, that it belongs elsewhere, that it is right, that it belongs to no group."""

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Found:
    """The groups that a method found.

    Attributes
    ----------
    keys : (n) sequence of str
        What each image is known by: its content (32 hex digits), or its path where the run does not know contents.
        Copies share it.
    labels : (n,) int64
        Group of each image; -1 in none, -2 unreadable.
    names : dict
        Name of every group by its number, empty where it has none.
    """

    keys: Sequence[str]
    labels: Ints
    names: Mapping[int, str]

    @cached_property
    def rows(self) -> dict[str, list[int]]:
        """Readable images by key."""
        found: dict[str, list[int]] = {}
        for row, (key, label) in enumerate(zip(self.keys, self.labels.tolist(), strict=True)):
            if label != UNREADABLE:
                found.setdefault(key, []).append(row)
        return found


Touched = tuple[Ints, Ints, npt.NDArray[np.int8]]  # rows, their groups before, what was said of them before


class Groups:
    """The groups of images, to be changed.

    Attributes
    ----------
    found : Found
        As they were found.
    labels, said, names, merged, parents, notes
        As those of `ilk.corrections.Grouping`. The mappings are never changed, only replaced.
    touched : list
        What was put elsewhere, as it was.
    """

    def __init__(self, found: Found) -> None:
        self.found = found
        self.labels = np.array(found.labels, np.int64)
        self.said = np.zeros(len(self.labels), np.int8)
        ids = {*found.names, *np.unique(self.labels).tolist()}
        self.names: Mapping[int, str] = {int(i): found.names.get(i, "") for i in ids if i >= 0}
        self.merged: Mapping[int, int] = {}
        self.parents: Mapping[int, int | None] = {}
        self.notes: Mapping[int, str] = {}
        self.touched: list[Touched] = []

    def where(self, group: int) -> int | None:
        """Return the group in which `group` is now; None where there is none."""
        group = self.merged.get(group, group)
        return group if group in self.names else None

    def rows_of(self, keys: Iterable[str]) -> Ints:
        """Return the rows of the images `keys`, in their order; those that are unknown are left out."""
        known = self.found.rows
        return np.array([row for key in keys for row in known.get(key, ())], np.int64)

    def set(self, rows: Ints, label: int, said: int | None = None) -> None:
        """Put `rows` into a group; `said`: what a person said of them, None: nothing new."""
        self.touched.append((rows, self.labels[rows], self.said[rows]))
        self.labels[rows] = label
        if said is not None:
            self.said[rows] = said


# -- what each action does: it returns why it cannot, or nothing -------------------------------------------------------

Arguments = Mapping[str, Any]


def _no_group(group: int) -> str:
    return f"there is no group {group}"


def _rename(groups: Groups, arguments: Arguments) -> str:
    if (group := groups.where(arguments["group"])) is None:
        return _no_group(arguments["group"])
    groups.names = {**groups.names, group: arguments["name"]}
    return ""


def _note(groups: Groups, arguments: Arguments) -> str:
    if (group := groups.where(arguments["group"])) is None:
        return _no_group(arguments["group"])
    rest = {one: text for one, text in groups.notes.items() if one != group}
    groups.notes = {**rest, group: arguments["text"]} if arguments["text"] else rest
    return ""


def _move(groups: Groups, arguments: Arguments) -> str:
    if (group := groups.where(arguments["to"])) is None:
        return _no_group(arguments["to"])
    groups.set(groups.rows_of(arguments["images"]), group, MOVED)
    return ""


def _confirm(groups: Groups, arguments: Arguments) -> str:
    keys: dict[int, list[str]] = {}
    for key, group in zip(arguments["images"], arguments["groups"], strict=True):
        keys.setdefault(group, []).append(key)
    lost = [group for group in keys if groups.where(group) is None]
    for group, mine in keys.items():
        if (now := groups.where(group)) is not None:
            groups.set(groups.rows_of(mine), now, CONFIRMED)
    return _no_group(lost[0]) if lost else ""


def _ignore(groups: Groups, arguments: Arguments) -> str:
    groups.set(groups.rows_of(arguments["images"]), NOTHING, IGNORED)
    return ""


def _merge(groups: Groups, arguments: Arguments) -> str:
    now = [groups.where(group) for group in arguments["groups"]]
    if None in now:
        return _no_group(arguments["groups"][now.index(None)])
    _join(groups, [group for group in now if group is not None])
    return ""


def _join(groups: Groups, some: Sequence[int]) -> None:
    """Put all images of `some` into the first of them."""
    into, *rest = some
    gone = {group for group in rest if group != into}
    name = next((groups.names[group] for group in (into, *rest) if groups.names[group]), "")
    groups.set(np.flatnonzero(np.isin(groups.labels, list(gone))), into)
    groups.names = {group: own for group, own in groups.names.items() if group not in gone} | {into: name}
    before = {group: into if at in gone else at for group, at in groups.merged.items()}
    groups.merged = before | dict.fromkeys(gone, into)
    texts = [groups.notes[group] for group in (into, *sorted(gone)) if group in groups.notes]
    kept = {group: text for group, text in groups.notes.items() if group not in gone}
    groups.notes = {**kept, into: "\n".join(texts)} if texts else kept


def _split(groups: Groups, arguments: Arguments) -> str:
    parent, group = groups.where(arguments["group"]), arguments["to"]
    if parent is None:
        return _no_group(arguments["group"])
    if group in groups.names or group in groups.merged:
        return f"there is a group {group} already"
    rows = groups.rows_of(arguments["images"])
    groups.set(rows[groups.labels[rows] == parent], group)
    examples = groups.rows_of(arguments.get("examples", ()))
    groups.set(examples[groups.labels[examples] == group], group, MOVED)
    groups.names = {**groups.names, group: ""}
    groups.parents = {**groups.parents, group: arguments["group"]}
    return ""


def _new(groups: Groups, arguments: Arguments) -> str:
    group = arguments["to"]
    if group in groups.names or group in groups.merged:
        return f"there is a group {group} already"
    groups.set(groups.rows_of(arguments["images"]), group, MOVED)
    groups.names = {**groups.names, group: arguments.get("name", "")}
    groups.parents = {**groups.parents, group: None}
    return ""


def _regroup(groups: Groups, arguments: Arguments) -> str:
    """Put images where a grouping put them; what a person said of an image stands above it."""
    problems: list[str] = []
    for group in arguments.get("new", ()):
        if group in groups.names or group in groups.merged:
            problems.append(f"there is a group {group} already")
        else:
            groups.names = {**groups.names, group: ""}
            groups.parents = {**groups.parents, group: None}
    problems += _put(groups, arguments)
    for closed, into in arguments.get("gone", ()):
        here, there = groups.where(closed), groups.where(into)
        if here is None or there is None:
            problems.append(_no_group(closed if here is None else into))
        elif (groups.said[groups.labels == here] != NOBODY).any():
            problems.append(f"group {here} holds images that were put there by hand, and stays")
        elif here != there:
            _join(groups, [there, here])
    return "; ".join(problems)


def _put(groups: Groups, arguments: Arguments) -> list[str]:
    lost = []
    for to, keys in zip(arguments["to"], arguments["images"], strict=True):
        if (group := groups.where(to)) is None:
            lost.append(_no_group(to))
        else:
            rows = groups.rows_of(keys)
            groups.set(rows[groups.said[rows] == NOBODY], group)
    return lost


def _joined(groups: Groups, arguments: Arguments) -> str:
    _put(groups, arguments)
    return ""  # where the group is undone, they are where they were found


FOLLOW: Mapping[str, Callable[[Groups, Arguments], str]] = {
    "rename": _rename,
    "note": _note,
    "move": _move,
    "confirm": _confirm,
    "ignore": _ignore,
    "merge": _merge,
    "split": _split,
    "new": _new,
    "regroup": _regroup,
    "joined": _joined,
}
