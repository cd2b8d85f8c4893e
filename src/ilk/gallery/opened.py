"""One opened run: what it holds, read once, and its groups as they are now, kept up with the journal."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ilk import disk
from ilk.corrections import Action, Corrections, Grouping, at_home, looking_like
from ilk.errors import ArgumentError
from ilk.files.large import release
from ilk.gallery import words
from ilk.gallery.central import centrality
from ilk.gallery.centres import Centres
from ilk.gallery.columns import Columns, read
from ilk.runs import Run, load_run, looks_like
from ilk.runs.similar import Similar

__all__ = ["DOUBTFUL", "IGNORED", "Now", "Opened", "Outdated"]

NOBODY, MOVED, CONFIRMED, IGNORED = range(4)  # as in Grouping.said
UNREADABLE = -2
DOUBTFUL = 0.5
"""An image is doubtful where its certainty is lower."""
_COVER, _NEAREST = 4, 9

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]


class Outdated(ArgumentError):
    """Somebody else corrected the run since the page last looked."""


@dataclass(frozen=True)
class Now:
    """The groups at one moment.

    Attributes
    ----------
    version : str
        Another one whenever anything of it is another.
    grouping : Grouping
    certainty : (n,) float32
        0 to 1: 1 where a person put or confirmed the image; else its confidence; else, where that is not of its group,
        0.5 + half of the cosine to the mean of its group less that to the nearest other. NaN in no group.
    called : dict
        What every group is called, a guess where nobody named it.
    state : dict
        What ``/api/state`` answers.
    """

    version: str
    grouping: Grouping
    certainty: Floats
    called: dict[int, str]
    state: dict[str, Any]
    _columns: Columns

    @property
    def labels(self) -> Ints:
        """(n,) group of every image; -1 in none, -2 unreadable."""
        return self.grouping.labels

    @cached_property
    def doubtful(self) -> npt.NDArray[np.bool_]:
        """(n,) whether each image is in a group, and doubtful there."""
        return self.certainty < DOUBTFUL

    @cached_property
    def central(self) -> Floats:
        """(n,) the rank of each image in its group, the most central first."""
        columns, grouping = self._columns, self.grouping
        home = at_home(columns.found, grouping)
        return centrality(grouping.labels, columns.found, home, columns.distance, self.certainty)


class _Read:
    """What was read of the files of a run, as one stamp of them has it."""

    def __init__(self, path: Path, stamp: object) -> None:
        self.stamp = stamp
        self.run: Run = load_run(path)
        self.columns: Columns = read(self.run)
        self.features = self.run.features()
        self.centres = Centres(self.features)
        self.similar = Similar(self.features, self.columns.original == np.arange(len(self.columns)))
        self.records = {int(one["id"]): one for one in self.run.uncorrected().clusters()}
        self.corrections: Corrections = self.run.corrections

    @cached_property
    def by_path(self) -> Ints:
        """(n,) the rank of each image among all, sorted by path."""
        ranks = np.empty(len(self.columns), np.int64)
        ranks[sorted(range(len(ranks)), key=self.columns.paths.__getitem__)] = np.arange(len(ranks))
        return ranks


class Opened:
    """A run that pages look at and correct; safe for threads.

    Parameters
    ----------
    path : Path
        The run.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.RLock()
        self._read = _Read(path, self._stamp())
        self._now: Now | None = None
        self._times = 0  # that the files were read

    @property
    def run(self) -> Run:
        """The run, to be given to what works on runs."""
        return self._read.run

    @property
    def columns(self) -> Columns:
        """What is known of each image."""
        return self._read.columns

    @property
    def by_path(self) -> Ints:
        """(n,) the rank of each image among all, sorted by path."""
        return self._read.by_path

    @property
    def similar(self) -> Similar:
        """Finds the nearest images by the features."""
        return self._read.similar

    @property
    def records(self) -> dict[int, dict[str, Any]]:
        """clusters.json by number of the group, as found."""
        return self._read.records

    @property
    def read_only(self) -> str | None:
        """Why the run can be looked at only; None where it can be corrected."""
        journal = self._read.corrections.path
        why = disk.unwritable(self.path)
        if why is None and journal.exists() and not os.access(journal, os.W_OK):
            why = os.strerror(errno.EACCES)
        return why and f"{self.path} cannot be written ({why}): it can be looked at, not corrected."

    def now(self) -> Now:
        """Return the groups by what is on the disk now: also what other processes did to them.

        Raises
        ------
        RunError
            The journal, or the run, is damaged.
        """
        with self._lock:
            if (stamp := self._stamp()) != self._read.stamp:  # it has grown
                self._read, self._now, self._times = _Read(self.path, stamp), None, self._times + 1
            return self._made()

    def write(self, last: int, verb: Callable[[Corrections], Action]) -> tuple[Action, Now, Now]:
        """Correct the run where `last` is the number of its last action; return the action, and before and after it.

        Raises
        ------
        Outdated
            It is not.
        IlkError
            What the verb says.
        """
        with self._lock:
            before = self.now()
            with self._read.corrections as corrections:  # nobody comes between the look and the line
                if corrections.grouping().last != last:
                    raise Outdated(
                        "the groups were changed elsewhere (another window, or the command line): look again, and "
                        "repeat what you did"
                    )
                action = verb(corrections)
            return action, before, self._made()

    def prepare(self) -> None:
        """Do now what the first correction and the first look at neighbours would do."""
        self.similar.prepare()
        with self._lock:
            self._read.corrections.prepare()
        release(self._read.features)  # read once from end to end; from now on a row here and there

    def journal(self) -> list[dict[str, Any]]:
        """Return every correction but undo and redo, and every update, in words and in order."""
        with self._lock:
            names = self.now().called
            done = [
                {"n": one.n, "at": one.at, "do": one.do, "said": words.said(one, names), "in_effect": live}
                for one, live in self._read.corrections.actions()
            ]
            for update in self.run.updates:
                at = str(update.record.get("created", "")).replace("+00:00", "Z")
                done.append({"n": 0, "at": at, "do": "update", "said": words.updated(update.record), "in_effect": True})
        return sorted(done, key=lambda one: str(one["at"]))

    def _stamp(self) -> object:
        found: list[tuple[int, int, int] | None] = []
        for name in ("run.json", "images.parquet", "assignments.parquet", "features.npy", "slots.npy", "updates"):
            try:
                state = (self.path / name).stat()
            except OSError:
                found.append(None)
            else:
                found.append((state.st_ino, state.st_size, state.st_mtime_ns))
        return found

    def _made(self) -> Now:
        """Return the groups now, made anew where the journal has gone on."""
        grouping = self._read.corrections.grouping()
        version = f"{grouping.last}.{self._times}"
        if self._now is None or self._now.version != version:
            self._read.centres.follow(grouping.labels)
            certainty = self._certainty(grouping)
            guesses = self._guesses(grouping)
            called = words.called(grouping.names, guesses)
            state = self._state(grouping, certainty, called, guesses)
            self._now = Now(version, grouping, certainty, called, state, self.columns)
        return self._now

    def _certainty(self, grouping: Grouping) -> Floats:
        columns, labels = self.columns, grouping.labels
        now = np.arange(-2, max(int(columns.found.max(initial=-1)), *grouping.merged, -1) + 1)  # where its group is
        for group, into in grouping.merged.items():
            now[group + 2] = into
        found = now[columns.found + 2]
        certainty = np.where(labels == found, columns.confidence, np.nan)
        certainty[(grouping.said == MOVED) | (grouping.said == CONFIRMED)] = 1
        certainty[labels < 0] = np.nan
        unknown = np.flatnonzero((labels >= 0) & ~np.isfinite(certainty))
        if len(unknown):
            margins = self._read.centres.margins(unknown, list(grouping.names))
            certainty[unknown] = np.clip(0.5 + margins / 2, 0, 1)
        return certainty.astype(np.float32)

    def _guesses(self, grouping: Grouping) -> dict[int, list[str]]:
        """Return the words of the groups that still are what was looked at when they were guessed."""
        same = looking_like(self.columns.found, grouping.labels)
        return {group: looks_like({"id": then, **self.records.get(then, {})}) for group, then in same.items()}

    def _state(
        self, grouping: Grouping, certainty: Floats, called: dict[int, str], guesses: dict[int, list[str]]
    ) -> dict[str, Any]:
        labels, said = grouping.labels, grouping.said
        inside = labels >= 0
        ids = list(grouping.names)
        number = np.full(max(ids, default=-1) + 2, -1, np.int64)
        number[ids] = np.arange(len(ids))
        of = number[labels[inside]]

        def count(which: npt.NDArray[np.bool_]) -> list[int]:
            return [int(n) for n in np.bincount(of[which[inside]], minlength=len(ids))]

        sizes = count(inside)
        doubtful, confirmed = count(certainty < DOUBTFUL), count((said == MOVED) | (said == CONFIRMED))
        nearest = self._read.centres.nearest(ids, _NEAREST)
        covers = self._covers(grouping, certainty)
        groups: list[dict[str, Any]] = [
            {
                "id": group,
                "name": grouping.names[group],
                "size": size,
                "doubtful": round(doubtful[i] / size, 4) if size else 0.0,
                "confirmed": confirmed[i],
                "cover": covers[group],
                "called": called[group],
                "looks_like": guesses.get(group, []),
                "note": grouping.notes.get(group, ""),
                "nearest": nearest[group],
            }
            for i, (group, size) in enumerate(zip(ids, sizes, strict=True))
        ]
        first = {group: -int(record.get("size", 0)) for group, record in self.records.items()}
        groups.sort(key=lambda group: (first.get(group["id"], 1), group["id"]))  # as found: what is corrected stays
        undo, redo = words.steps(self._read.corrections.actions(), grouping.redo, called)
        return {
            "n_images": len(labels),
            "last": grouping.last,
            "count": grouping.count,
            "undo": undo,
            "redo": redo,
            "groups": groups,
            "unassigned": int(((labels == -1) & (said != IGNORED)).sum()),
            "ignored": int((said == IGNORED).sum()),
            "unreadable": int((labels == UNREADABLE).sum()),
            "problems": self._read.corrections.notes(),
        }

    def _covers(self, grouping: Grouping, certainty: Floats) -> dict[int, list[int]]:
        """Return up to four images that stand for each group: those that did, else the most certain ones."""
        labels = grouping.labels
        own = self.columns.original == np.arange(len(labels))
        covers = {}
        for group in grouping.names:
            shown = [i for i in self.records.get(group, {}).get("exemplars", ()) if labels[i] == group][:_COVER]
            if len(shown) < _COVER:
                members = np.flatnonzero((labels == group) & own)
                if not len(members):
                    members = np.flatnonzero(labels == group)
                best = members[np.argsort(-certainty[members], kind="stable")[: 2 * _COVER]].tolist()
                shown = list(dict.fromkeys([*shown, *best]))[:_COVER]
            covers[group] = shown
        return covers
