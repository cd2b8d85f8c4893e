"""Groups as they were found + the journal = groups as they are: one function, with no way around it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ilk.corrections.actions import Action
from ilk.corrections.verbs import (
    CONFIRMED,
    FOLLOW,
    IGNORED,
    MOVED,
    NOBODY,
    NOTHING,
    UNREADABLE,
    Found,
    Groups,
    Ints,
    Touched,
)

__all__ = [
    "CONFIRMED",
    "IGNORED",
    "MOVED",
    "NOBODY",
    "NOTHING",
    "UNREADABLE",
    "Found",
    "Grouping",
    "Ints",
    "State",
    "corrected",
]


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
        Corrections that are in effect: those undone, undo and redo are not counted, nor images that joined.
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


class _Before(NamedTuple):
    """What an action changed, as it was. The mappings are never changed, only replaced."""

    touched: list[Touched]
    names: Mapping[int, str]
    merged: Mapping[int, int]
    parents: Mapping[int, int | None]
    notes: Mapping[int, str]


class State(Groups):
    """The same, an action at a time: each costs what it changes, and so does undoing it.

    Attributes
    ----------
    actions, undone : list of Action
        In effect, the newest last; undone, the one to be redone first last.
    next : int
        The number of the next new group: none is given twice, also not one whose group was undone.
    last : int
        Number of the last action.
    """

    def __init__(self, found: Found) -> None:
        super().__init__(found)
        self.actions: list[Action] = []
        self.undone: list[Action] = []
        self.next = max(self.names, default=-1) + 1
        self.last = 0
        self._done: list[tuple[Action, _Before]] = []  # with images that joined, which are no corrections
        self._problems: dict[int, str] = {}

    def take(self, action: Action) -> None:
        """Follow one action."""
        self.last = action.n
        if action.do == "undo":
            if self.actions:
                self._below(self.actions[-1].n, self._undo)
        elif action.do == "redo":
            if self.undone:
                self._below(self.undone[-1].n, lambda: self._do(self.undone.pop()))
        elif action.do == "joined":
            self._do(action)
        else:
            self.undone.clear()
            given = {"split": "to", "new": "to", "regroup": "new"}.get(action.do)
            if given is not None:
                opened = action.arguments.get(given, [])
                self.next = max(self.next, *(one + 1 for one in (opened if given == "new" else [opened])), 0)
            self._do(action)

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
        self.touched = []
        if problem := FOLLOW[action.do](self, action.arguments):
            self._problems[action.n] = f"correction {action.n} ({action.do}) was passed over: {problem}"
        self._done.append((action, _Before(self.touched, *books)))
        if action.do != "joined":
            self.actions.append(action)

    def _below(self, n: int, change: Callable[[], None]) -> None:
        """Call `change`, which is of correction `n`, and let images that joined later join anew."""
        joined: list[Action] = []
        while self._done and self._done[-1][0].n > n and self._done[-1][0].do == "joined":
            joined.insert(0, self._back())
        change()
        for action in joined:
            self._do(action)

    def _undo(self) -> None:
        self.undone.append(self._back())
        self.actions.pop()

    def _back(self) -> Action:
        """Make what was done last undone, and return it."""
        action, before = self._done.pop()
        for rows, labels, said in reversed(before.touched):
            self.labels[rows] = labels
            self.said[rows] = said
        _, self.names, self.merged, self.parents, self.notes = before
        self._problems.pop(action.n, None)
        return action
