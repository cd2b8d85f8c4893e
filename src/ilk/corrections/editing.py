"""Correcting the groups of a run: each verb is checked, put on the disk, and only then in effect."""

from __future__ import annotations

import contextlib
import functools
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from ilk import disk
from ilk.corrections.actions import LARGEST, Action, named, noted
from ilk.corrections.finding import Folder, find_group, find_images
from ilk.corrections.folding import NOBODY, NOTHING, UNREADABLE, Found, Grouping, Ints, State, corrected
from ilk.corrections.following import Followed
from ilk.corrections.splitting import split_in_two
from ilk.errors import ArgumentError

__all__ = ["Corrections"]

Words = str | int | Iterable[str | int]


class Corrections:
    """What was done to the groups of a run by hand, and doing it: ``ilk.load_run(RUN).corrections``.

    Every verb is one line at the end of ``RUN/corrections.jsonl``. When it returns, the line is on the disk and every
    reader of the run sees it; what was found is never changed. Images are named by their path in the source, by the
    number of their row, or by the first digits of their content hash; groups by number or name. As a context manager it
    keeps the journal to itself until the block ends.

    Parameters
    ----------
    folder : Path
        The run.
    found : callable ()
        Gives what the method found.
    paths : callable ()
        Gives the path of every image.
    features : callable ()
        Gives (n, d) features, one row per image.
    folders : sequence of Path or (Path, str)
        Where the images are, as far as they are files; with what stands before their names, where something does.

    Examples
    --------
    ``run.corrections.move(["a.jpg", "b.jpg"], to=3)``, ``run.corrections.undo()``.
    """

    def __init__(
        self,
        folder: Path,
        found: Callable[[], Found],
        paths: Callable[[], Sequence[str]],
        features: Callable[[], npt.NDArray[Any]],
        folders: Sequence[Folder] = (),
    ) -> None:
        self._journal = Followed(folder, found)
        self._paths, self._features, self._folders = functools.cache(paths), features, folders
        self._stack = contextlib.ExitStack()

    @property
    def path(self) -> Path:
        """The journal."""
        return self._journal.path

    def __enter__(self) -> Self:
        self._stack.enter_context(self._journal.writing())
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    # -- what there is -------------------------------------------------------------------------------------------------

    def grouping(self) -> Grouping:
        """Return the groups as they are now.

        Raises
        ------
        RunError
            The journal is damaged.
        """
        return self._journal.now().grouping()

    def found(self) -> Found:
        """Return the groups as they were found."""
        return self._journal.now().found

    def actions(self) -> list[tuple[Action, bool]]:
        """Return every correction but undo and redo, in order, and whether it is in effect."""
        live = {action.n for action in self._journal.now().actions}
        return [(one, one.n in live) for one in self._journal.actions if one.do not in ("undo", "redo", "joined")]

    def keys(self) -> Sequence[str]:
        """Return what each image is known by in the journal: its content, or its path where that is unknown."""
        return self._journal.now().found.keys

    def rows(self, images: Words) -> list[int]:
        """Return the row of each of `images`, whatever it is called by.

        Raises
        ------
        ArgumentError
            There is no such image, or there are several.
        """
        return find_images(_words(images), self._paths(), self.keys(), self._folders)

    def notes(self) -> list[str]:
        """Return what to know of the journal: a line that was cut off, corrections that could not be followed."""
        problems = self.grouping().problems
        torn = f"the last line of {self.path} was cut off while it was written: it is passed over"
        return [torn, *problems] if self._journal.torn else problems

    def prepare(self) -> None:
        """Read now what the first correction would read."""
        self._paths()
        _ = self._journal.now().found.rows

    # -- what can be done ----------------------------------------------------------------------------------------------

    def move(self, images: Words, to: str | int) -> Action:
        """Put `images`, and all copies of them, into group `to`: they stay there whatever is grouped again."""
        images = _words(images)

        def arguments(state: State) -> dict[str, Any]:
            return {"images": self._keys(state, images), "to": _group(state, to)}

        return self._write("move", arguments)

    def confirm(self, images: Words) -> Action:
        """Say that `images` are where they belong: they stay there whatever is grouped again."""
        images = _words(images)

        def arguments(state: State) -> dict[str, Any]:
            rows = self._rows(state, images)
            groups = state.labels[rows].tolist()
            if NOTHING in groups:
                path = self._paths()[rows[groups.index(NOTHING)]]
                raise ArgumentError(f"{path} is in no group: move it to one.")
            once = dict(zip((state.found.keys[row] for row in rows), groups, strict=True))
            return {"images": list(once), "groups": list(once.values())}

        return self._write("confirm", arguments)

    def ignore(self, images: Words) -> Action:
        """Take `images` out of all groups; a later move brings them back."""
        images = _words(images)
        return self._write("ignore", lambda state: {"images": self._keys(state, images)})

    def new(self, images: Words, name: str = "") -> Action:
        """Open a new group of `images`."""
        images = _words(images)

        def arguments(state: State) -> dict[str, Any]:
            return {"images": self._keys(state, images), "to": _next(state)} | ({"name": _name(name)} if name else {})

        return self._write("new", arguments)

    def merge(self, *groups: str | int) -> Action:
        """Put all images of `groups` into the first of them; the others are gone, and their numbers with them."""

        def arguments(state: State) -> dict[str, Any]:
            chosen = list(dict.fromkeys(_group(state, group) for group in groups))
            if len(chosen) < 2:
                raise ArgumentError("a merge takes two groups or more.")
            return {"groups": chosen}

        return self._write("merge", arguments)

    def split(self, group: str | int, examples: Words = ()) -> Action:
        """Split `group` in two: the first keeps its number and name, the other is new.

        Parameters
        ----------
        group
        examples
            Images that belong into the new one; those more like them than like the rest go with them. None: the
            smaller of the two halves that the features have goes.

        Raises
        ------
        ArgumentError
            An example is in another group, or the group cannot be split: fewer than two images, or all alike.
        """
        examples = _words(examples)

        def arguments(state: State) -> dict[str, Any]:
            number = _group(state, group)
            some = self._rows(state, examples) if examples else []
            images, chosen = self._halves(state, number, some)
            return {"group": number, "images": images, "to": _next(state), "examples": chosen}

        return self._write("split", arguments)

    def rename(self, group: str | int, name: str) -> Action:
        """Call `group` by `name`; an empty one takes its name away."""
        return self._write("rename", lambda state: {"group": _group(state, group), "name": _name(name)})

    def note(self, group: str | int, text: str) -> Action:
        """Keep a note on `group`, in place of the one before; an empty one removes it."""

        def arguments(state: State) -> dict[str, Any]:
            if wrong := noted(text):
                raise ArgumentError(f"the note {wrong}.")
            return {"group": _group(state, group), "text": text.strip()}

        return self._write("note", arguments)

    def regroup(
        self,
        moves: Mapping[int, Iterable[int]],
        *,
        last: int,
        new: Sequence[int] = (),
        gone: Sequence[tuple[int, int]] = (),
    ) -> Action:
        """Put images where a grouping puts them, in one action; what a person said of an image stands above it.

        Parameters
        ----------
        moves
            Group -> rows of its new images; copies go along.
        last
            Number of the last action that the grouping knew (`Grouping.last`).
        new
            Groups that it opens, from the number `next_group` on.
        gone
            Groups that it closes, each with the one that takes what is left in it.

        Raises
        ------
        ArgumentError
            Something was corrected since, there is no such group, or nothing changes.
        """

        def arguments(state: State) -> dict[str, Any]:
            if state.last != last:
                raise ArgumentError("the groups were corrected meanwhile: group again to see what would move now.")
            keys: dict[int, list[str]] = {}
            for group, rows in moves.items():
                if group not in state.names and group not in new:
                    raise ArgumentError(f"there is no group {group}.")
                free = (row for row in rows if state.said[row] == NOBODY and state.labels[row] != UNREADABLE)
                mine = list(dict.fromkeys(state.found.keys[row] for row in free))
                keys |= {int(group): mine} if mine else {}
            if not keys and not gone:
                raise ArgumentError("nothing would change.")
            more = {"new": [int(one) for one in new]} if new else {}
            return {"to": list(keys), "images": list(keys.values()), **more} | (
                {"gone": [[int(one), int(into)] for one, into in gone]} if gone else {}
            )

        return self._write("regroup", arguments)

    def joining(self, images: Mapping[int, Sequence[str]]) -> Action:
        """Put images that are about to join the run into groups that were made by hand: content hashes by group.

        Nothing of the run changes; from the moment on that it has the images, they are there. No undo takes it back.
        """
        return self._write("joined", lambda state: _joining(state, images))

    def joined(self, keys: Sequence[str], labels: Ints, images: Mapping[int, Sequence[str]]) -> Ints:
        """Return the groups that images will have once they have joined, by the one function that makes groups.

        Parameters
        ----------
        keys, labels
            What each is known by; where it is found, -2 unreadable.
        images
            As in `joining`.
        """
        state = self._journal.now()
        found, n = state.found, len(state.found.keys)
        grown = Found([*found.keys, *keys], np.concatenate([found.labels, labels]), found.names)
        action = Action(state.last + 1, "", "joined", _joining(state, images))
        return corrected(grown, [*self._journal.actions, action]).labels[n:]

    def next_group(self) -> int:
        """Return the number of the next new group: none is given twice."""
        return _next(self._journal.now())

    def undo(self) -> Action:
        """Undo the last correction that is in effect; all can be undone, one after the other."""

        def arguments(state: State) -> dict[str, Any]:
            if not state.actions:
                raise ArgumentError("there is nothing to undo.")
            return {}

        return self._write("undo", arguments)

    def redo(self) -> Action:
        """Do again what was undone last; until something else is corrected."""

        def arguments(state: State) -> dict[str, Any]:
            if not state.undone:
                raise ArgumentError("there is nothing to redo.")
            return {}

        return self._write("redo", arguments)

    # -- how -----------------------------------------------------------------------------------------------------------

    def _write(self, do: str, arguments: Callable[[State], Mapping[str, Any]]) -> Action:
        """Check, write, and follow one action."""
        checked, before = arguments(self._journal.now()), self._journal.now().last  # what is wrong leaves no trace
        with self._journal.writing() as state:
            if state.last != before:
                checked = arguments(state)
            at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
            action = Action(state.last + 1, at, do, dict(checked))
            self._journal.append(action)
        return action

    def _rows(self, state: State, images: Sequence[str | int]) -> list[int]:
        """Return the rows of images that can be in a group."""
        paths = self._paths()
        rows = find_images(images, paths, state.found.keys, self._folders)
        if not rows:
            raise ArgumentError("no image was named.")
        for row in rows:
            if state.labels[row] == UNREADABLE:
                raise ArgumentError(f"{paths[row]} could not be read, and is in no group.")
        return rows

    def _keys(self, state: State, images: Sequence[str | int]) -> list[str]:
        return list(dict.fromkeys(state.found.keys[row] for row in self._rows(state, images)))

    def _halves(self, state: State, group: int, examples: Sequence[int]) -> tuple[list[str], list[str]]:
        """Return keys of the images that leave `group`, and of the examples among them."""
        if wrong := [row for row in examples if state.labels[row] != group]:
            raise ArgumentError(f"{self._paths()[wrong[0]]} is not in group {group}: it cannot be an example of it.")
        keys = state.found.keys
        once = {keys[row]: row for row in np.flatnonzero(state.labels == group)[::-1].tolist()}
        rows = np.array(sorted(once.values()), np.int64)
        chosen = {keys[row] for row in examples}
        given = np.array([keys[row] in chosen for row in rows.tolist()], bool)
        features = np.asarray(self._features()[rows], np.float32)
        usable = np.isfinite(features).all(1)
        side = given.copy()
        if usable.sum() > 1:
            side[usable] = split_in_two(features[usable], given[usable] if given[usable].any() else None)
            side |= given
        if side.all() or not side.any():
            why = "it has no two images" if len(rows) < 2 else "nothing would be left in it" if chosen else _ALIKE
            raise ArgumentError(f"group {group} cannot be split: {why}.")
        return [keys[row] for row in rows[side].tolist()], sorted(chosen)


def _words(images: Words) -> list[str | int]:
    words = [images] if isinstance(images, str | int | np.integer) else list(images)
    return [int(one) if isinstance(one, np.integer) else one for one in words]


_ALIKE = "all of its images are alike"


def _joining(state: State, images: Mapping[int, Sequence[str]]) -> dict[str, Any]:
    for group in images:
        if group not in state.names:
            raise ArgumentError(f"there is no group {group}.")
    return {"to": [int(group) for group in images], "images": [list(keys) for keys in images.values()]}


def _group(state: State, group: str | int) -> int:
    return find_group(group, state.names, state.merged)


def _next(state: State) -> int:
    if state.next >= LARGEST:
        raise ArgumentError("there are no numbers left for a new group.")
    return state.next


def _name(name: str) -> str:
    text = name.strip() if isinstance(name, str) else name
    if wrong := named(text):
        raise ArgumentError(f"the name {disk.printable(str(text)[:60])!r} {wrong}.")
    return text
