"""Groups as they were found + the journal = groups as they are: one function, with no way around it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ilk.corrections.actions import Action

__all__ = ["NOBODY", "NOTHING", "UNREADABLE", "Found", "Grouping", "State", "corrected"]

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


@dataclass(frozen=True)
class Grouping:
    """The groups of a run with all corrections.

    Attributes
    ----------
    labels : (n,) int64
        Group of each image; -1 in none or ignored, -2 unreadable. Of n images of images.parquet.
    said : (n,) int8
        What a person said of each image: 0 nothing, 1 moved to its group, 2 confirmed in it, 3 ignored. Whatever is
        not 0 is to stay where it is.
    names : dict
        Name of every group by its number, empty where nobody gave it one. In the order of the numbers.
    merged : dict
        Group that was merged away -> the group that its images are in. What was found of it still counts there.
    parents : dict
        Group made by hand -> the group it was split from; None where it was made of chosen images.
    apart : list of (int, int)
        Groups that were split from each other.
    notes : dict
        Notes by group.
    count : int
        Actions that are in effect: those undone, undo and redo are not counted.
    last : int
        Number of the last action of the journal; 0 where there is none.
    redo : int
        Actions that were undone, and can be redone; all that are in effect can be undone.
    problems : list of str
        Actions that could not be followed: the groups they are of are not there.
    """

    labels: Ints
    said: npt.NDArray[np.int8]
    names: dict[int, str]
    merged: dict[int, int]
    parents: dict[int, int | None]
    apart: list[tuple[int, int]]
    notes: dict[int, str]
    count: int
    last: int
    redo: int
    problems: list[str] = field(default_factory=list)

    def sizes(self) -> dict[int, int]:
        """Return the number of images of every group, by its number; -1 only where it has any."""
        ids, counts = np.unique(self.labels[self.labels >= NOTHING], return_counts=True)
        here = dict(zip(ids.tolist(), counts.tolist(), strict=True))
        none = {NOTHING: here[NOTHING]} if NOTHING in here else {}
        return {group: here.get(group, 0) for group in self.names} | none

    def where(self, group: int) -> int | None:
        """Return the group in which `group` of before is now; None where there is no such group."""
        group = self.merged.get(group, group)
        return group if group in self.names or group == NOTHING else None


def corrected(found: Found, actions: Iterable[Action]) -> Grouping:
    """Return the groups that `actions` make of those that were `found`. Nothing else has a say.

    An action whose group or images are not there changes nothing and is named in `Grouping.problems`; images that
    are unknown are passed over.

    Examples
    --------
    >>> found = Found(["a", "b", "c"], np.array([0, 0, 1]), {0: "", 1: ""})
    >>> corrected(found, [Action(1, "", "move", {"images": ["b"], "to": 1})]).labels.tolist()
    [0, 1, 1]
    >>> merge = Action(1, "", "merge", {"groups": [1, 0]})
    >>> corrected(found, [merge]).merged, corrected(found, [merge, Action(2, "", "undo")]).labels.tolist()
    ({0: 1}, [0, 0, 1])
    """
    state = State(found)
    for action in actions:
        state.take(action)
    return state.grouping()


Touched = tuple[Ints, Ints, npt.NDArray[np.int8]]  # rows, their groups before, what was said of them before


class _Before(NamedTuple):
    """What an action changed, as it was. The mappings are never changed, only replaced."""

    touched: list[Touched]
    names: Mapping[int, str]
    merged: Mapping[int, int]
    parents: Mapping[int, int | None]
    notes: Mapping[int, str]


class State:
    """The same, an action at a time: each costs what it changes, and so does undoing it.

    Attributes
    ----------
    found : Found
    labels, said, names, merged, parents, notes
        As those of `Grouping`.
    actions, undone : list of Action
        In effect, the newest last; undone, the one to be redone first last.
    next : int
        The number of the next new group: none is given twice, also not one whose group was undone.
    last : int
        Number of the last action.
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
        self.actions: list[Action] = []
        self.undone: list[Action] = []
        self.next = max(self.names, default=-1) + 1
        self.last = 0
        self._before: list[_Before] = []
        self._touched: list[Touched] = []
        self._problems: dict[int, str] = {}

    def take(self, action: Action) -> None:
        """Follow one action."""
        self.last = action.n
        if action.do == "undo":
            if self.actions:
                self._undo()
        elif action.do == "redo":
            if self.undone:
                self._do(self.undone.pop())
        else:
            self.undone.clear()
            given = {"split": "to", "new": "to", "regroup": "new"}.get(action.do)
            if given is not None:
                opened = action.arguments.get(given, [])
                self.next = max(self.next, *(one + 1 for one in (opened if given == "new" else [opened])), 0)
            self._do(action)

    def where(self, group: int) -> int | None:
        """Return the group in which `group` is now; None where there is none."""
        group = self.merged.get(group, group)
        return group if group in self.names else None

    def rows_of(self, keys: Iterable[str]) -> Ints:
        """Return the rows of the images `keys`, in their order; those that are unknown are left out."""
        known = self.found.rows
        return np.array([row for key in keys for row in known.get(key, ())], np.int64)

    def grouping(self) -> Grouping:
        """Return the groups as they are now; what comes later does not change it."""
        apart = [
            (parent, group)
            for group, first in sorted(self.parents.items())
            if first is not None and group in self.names and (parent := self.where(first)) not in (None, group)
        ]
        return Grouping(
            self.labels.copy(),
            self.said.copy(),
            dict(sorted(self.names.items())),
            dict(self.merged),
            dict(self.parents),
            apart,
            dict(self.notes),
            len(self.actions),
            self.last,
            len(self.undone),
            list(self._problems.values()),
        )

    def _do(self, action: Action) -> None:
        books = (self.names, self.merged, self.parents, self.notes)
        self._touched = []
        if problem := _FOLLOW[action.do](self, action.arguments):
            self._problems[action.n] = f"correction {action.n} ({action.do}) was passed over: {problem}"
        self._before.append(_Before(self._touched, *books))
        self.actions.append(action)

    def _undo(self) -> None:
        action, before = self.actions.pop(), self._before.pop()
        for rows, labels, said in reversed(before.touched):
            self.labels[rows] = labels
            self.said[rows] = said
        _, self.names, self.merged, self.parents, self.notes = before
        self._problems.pop(action.n, None)
        self.undone.append(action)

    def set(self, rows: Ints, label: int, said: int | None = None) -> None:
        """Put `rows` into a group; `said`: what a person said of them, None: nothing new."""
        self._touched.append((rows, self.labels[rows], self.said[rows]))
        self.labels[rows] = label
        if said is not None:
            self.said[rows] = said


# -- what each action does: it returns why it cannot, or nothing -------------------------------------------------------

Arguments = Mapping[str, Any]


def _no_group(group: int) -> str:
    return f"there is no group {group}"


def _rename(state: State, arguments: Arguments) -> str:
    if (group := state.where(arguments["group"])) is None:
        return _no_group(arguments["group"])
    state.names = {**state.names, group: arguments["name"]}
    return ""


def _note(state: State, arguments: Arguments) -> str:
    if (group := state.where(arguments["group"])) is None:
        return _no_group(arguments["group"])
    rest = {one: text for one, text in state.notes.items() if one != group}
    state.notes = {**rest, group: arguments["text"]} if arguments["text"] else rest
    return ""


def _move(state: State, arguments: Arguments) -> str:
    if (group := state.where(arguments["to"])) is None:
        return _no_group(arguments["to"])
    state.set(state.rows_of(arguments["images"]), group, MOVED)
    return ""


def _confirm(state: State, arguments: Arguments) -> str:
    keys: dict[int, list[str]] = {}
    for key, group in zip(arguments["images"], arguments["groups"], strict=True):
        keys.setdefault(group, []).append(key)
    lost = [group for group in keys if state.where(group) is None]
    for group, mine in keys.items():
        if (now := state.where(group)) is not None:
            state.set(state.rows_of(mine), now, CONFIRMED)
    return _no_group(lost[0]) if lost else ""


def _ignore(state: State, arguments: Arguments) -> str:
    state.set(state.rows_of(arguments["images"]), NOTHING, IGNORED)
    return ""


def _merge(state: State, arguments: Arguments) -> str:
    now = [state.where(group) for group in arguments["groups"]]
    if None in now:
        return _no_group(arguments["groups"][now.index(None)])
    _join(state, [group for group in now if group is not None])
    return ""


def _join(state: State, groups: Sequence[int]) -> None:
    """Put all images of `groups` into the first of them."""
    into, *rest = groups
    gone = {group for group in rest if group != into}
    name = next((state.names[group] for group in (into, *rest) if state.names[group]), "")
    state.set(np.flatnonzero(np.isin(state.labels, list(gone))), into)
    state.names = {group: own for group, own in state.names.items() if group not in gone} | {into: name}
    before = {group: into if at in gone else at for group, at in state.merged.items()}
    state.merged = before | dict.fromkeys(gone, into)
    texts = [state.notes[group] for group in (into, *sorted(gone)) if group in state.notes]
    kept = {group: text for group, text in state.notes.items() if group not in gone}
    state.notes = {**kept, into: "\n".join(texts)} if texts else kept


def _split(state: State, arguments: Arguments) -> str:
    parent, group = state.where(arguments["group"]), arguments["to"]
    if parent is None:
        return _no_group(arguments["group"])
    if group in state.names or group in state.merged:
        return f"there is a group {group} already"
    rows = state.rows_of(arguments["images"])
    state.set(rows[state.labels[rows] == parent], group)
    examples = state.rows_of(arguments.get("examples", ()))
    state.set(examples[state.labels[examples] == group], group, MOVED)
    state.names = {**state.names, group: ""}
    state.parents = {**state.parents, group: arguments["group"]}
    return ""


def _new(state: State, arguments: Arguments) -> str:
    group = arguments["to"]
    if group in state.names or group in state.merged:
        return f"there is a group {group} already"
    state.set(state.rows_of(arguments["images"]), group, MOVED)
    state.names = {**state.names, group: arguments.get("name", "")}
    state.parents = {**state.parents, group: None}
    return ""


def _regroup(state: State, arguments: Arguments) -> str:
    """Put images where a grouping put them; what a person said of an image stands above it."""
    problems = []
    for group in arguments.get("new", ()):
        if group in state.names or group in state.merged:
            problems.append(f"there is a group {group} already")
        else:
            state.names = {**state.names, group: ""}
            state.parents = {**state.parents, group: None}
    for to, keys in zip(arguments["to"], arguments["images"], strict=True):
        if (group := state.where(to)) is None:
            problems.append(_no_group(to))
            continue
        rows = state.rows_of(keys)
        state.set(rows[state.said[rows] == NOBODY], group)
    for closed, into in arguments.get("gone", ()):
        here, there = state.where(closed), state.where(into)
        if here is None or there is None:
            problems.append(_no_group(closed if here is None else into))
        elif (state.said[state.labels == here] != NOBODY).any():
            problems.append(f"group {here} holds images that were put there by hand, and stays")
        elif here != there:
            _join(state, [there, here])
    return "; ".join(problems)


_FOLLOW: Mapping[str, Callable[[State, Arguments], str]] = {
    "rename": _rename,
    "note": _note,
    "move": _move,
    "confirm": _confirm,
    "ignore": _ignore,
    "merge": _merge,
    "split": _split,
    "new": _new,
    "regroup": _regroup,
}
