"""The features of a run as a small space, one row for each image that differs from all others."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from ilk.corrections import Corrections, Grouping

__all__ = ["Board", "Project", "Run", "board_of"]

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]

DIMENSIONS = 64  # of the space; 50 to 100 of the groups' own methods
_SAMPLE = 4096  # rows that the directions are sought in
_VALUES = 1 << 26  # at most so many values of them: flattened maps are wide
_BLOCK = 1 << 24  # values that are brought into the space at a time
_KEPT = 2  # runs whose space is kept: a gallery asks after each correction


class Run(Protocol):
    """What is asked of a run (`ilk.load_run`)."""

    path: Path

    @property
    def corrections(self) -> Corrections:
        """What was done to the groups by hand."""
        ...

    @property
    def features_path(self) -> Path:
        """The file that says what the features are."""
        ...

    def features(self) -> npt.NDArray[Any]:
        """Return the features (n, d)."""
        ...

    def map(self) -> npt.NDArray[Any] | None:
        """Return where the images lie on the map (n, 2), or None."""
        ...


@dataclass(frozen=True)
class Project:
    """Features -> the space: rows of length 1, their principal components, and one scale for all of these.

    Attributes
    ----------
    mean : (d,) float32
    directions : (p, d) float32
    scale : float
        Brings the mean square of a coordinate to 1.
    """

    mean: Floats
    directions: Floats
    scale: float

    def __call__(self, features: npt.NDArray[Any]) -> Floats:
        """Return (m, p) coordinates of `features` (m, d), which are finite; block by block."""
        out = np.empty((len(features), len(self.directions)), np.float32)
        step = max(1, _BLOCK // max(1, features.shape[1]))
        for start in range(0, len(features), step):
            rows = _unit(features[start : start + step])
            out[start : start + step] = (rows - self.mean) @ self.directions.T
        return out * np.float32(self.scale)


@dataclass(frozen=True)
class Space:
    """The images of a run that differ, in the space.

    Attributes
    ----------
    keys : (n) sequence of str
        What each image of the run is known by.
    rows : (m,) int64
        The first image of each content, as far as its features are numbers.
    slot : (n,) int64
        Which of the m each image of the run is a copy of; -1 where it has no features.
    x : (m, p) float32
    project : Project
    """

    keys: Sequence[str]
    rows: Ints
    slot: Ints
    x: Floats
    project: Project


@dataclass(frozen=True)
class Board:
    """What is known when groups are sought: the space, and what a person said.

    Attributes
    ----------
    space : Space
    grouping : Grouping
    labels, said : (m,) int
        Of the m images of the space, as of `Grouping`.
    groups : (g,) int64
        Those that have images, by number.
    """

    space: Space
    grouping: Grouping
    labels: Ints
    said: npt.NDArray[np.int8]
    groups: Ints

    @property
    def x(self) -> Floats:
        """(m, p) coordinates."""
        return self.space.x

    @property
    def pinned(self) -> npt.NDArray[np.bool_]:
        """(m,) whether a person said in which group an image is."""
        return np.asarray((self.said != 0) & (self.labels >= 0))

    @property
    def free(self) -> npt.NDArray[np.bool_]:
        """(m,) whether an image is in a group, and may be in another."""
        return np.asarray((self.said == 0) & (self.labels >= 0))

    def columns(self, labels: Ints) -> Ints:
        """Return which of `groups` each of `labels` is; all of them have to be among them."""
        return np.searchsorted(self.groups, labels)

    def allowed(self, labels: Ints) -> npt.NDArray[np.bool_]:
        """Return (m, g) whether an image that is in the group `labels` may be put into each: never over a split."""
        may = np.ones((len(labels), len(self.groups)), bool)
        for one, other in self.grouping.apart:
            for here, there in ((one, other), (other, one)):
                may[np.ix_(labels == here, self.groups == there)] = False
        return may

    def copies(self, slots: Ints) -> list[int]:
        """Return the rows of the run that show the images `slots`, copies included."""
        wanted = np.zeros(len(self.space.rows) + 1, bool)
        wanted[slots] = True
        wanted[-1] = False
        return list(np.flatnonzero(wanted[self.space.slot]).tolist())


_kept: OrderedDict[Any, Space] = OrderedDict()
_lock = Lock()


def board_of(run: Run) -> Board:
    """Return what is known of `run` now."""
    space, grouping = _space_of(run), run.corrections.grouping()
    labels = grouping.labels[space.rows]
    return Board(space, grouping, labels, grouping.said[space.rows], np.unique(labels[labels >= 0]))


def _space_of(run: Run) -> Space:
    """Return the space of `run`; that of the last runs is kept, as long as their features stay."""
    state = run.features_path.stat()
    keys = run.corrections.keys()  # images may have joined since
    name = (run.path.absolute(), state.st_ino, state.st_size, state.st_mtime_ns, len(keys), keys[-1] if keys else "")
    with _lock:
        if name not in _kept:
            _kept[name] = _made(run)
            while len(_kept) > _KEPT:
                _kept.popitem(last=False)
        _kept.move_to_end(name)
        return _kept[name]


def _made(run: Run) -> Space:
    features, keys = run.features(), run.corrections.keys()
    first: dict[str, int] = {}
    one = np.array([first.setdefault(key, row) for row, key in enumerate(keys)], np.int64)
    rows = np.flatnonzero(one == np.arange(len(one)))
    rows = rows[_finite(features, rows)]
    slot = np.full(len(one), -1, np.int64)
    slot[rows] = np.arange(len(rows))
    slot = slot[one] if len(one) else slot
    project = _fitted(features, rows)
    x = np.empty((len(rows), len(project.directions)), np.float32)
    step = max(1, _BLOCK // max(1, features.shape[1]))
    for start in range(0, len(rows), step):
        x[start : start + step] = project(np.asarray(features[rows[start : start + step]]))
    return Space(keys, rows, slot, x, project)


def _finite(features: npt.NDArray[Any], rows: Ints) -> npt.NDArray[np.bool_]:
    step = max(1, _BLOCK // max(1, features.shape[1]))
    blocks = [np.isfinite(features[rows[start : start + step]]).all(1) for start in range(0, len(rows), step)]
    return np.concatenate(blocks) if blocks else np.zeros(0, bool)


def _fitted(features: npt.NDArray[Any], rows: Ints) -> Project:
    """Return the principal components of evenly spaced rows."""
    width = features.shape[1]
    most = max(64, min(_SAMPLE, _VALUES // max(1, width)))
    few = _unit(np.asarray(features[rows[:: max(1, -(-len(rows) // most))]]))
    mean = few.mean(0) if len(few) else np.zeros(width, np.float32)
    few = few - mean
    count = min(DIMENSIONS, len(few), width)
    if count < 1 or not few.any():
        return Project(mean, np.zeros((1, width), np.float32), 1.0)
    if min(few.shape) <= 4 * DIMENSIONS:
        directions = np.linalg.svd(few, full_matrices=False)[2][:count]
    else:
        from sklearn.utils.extmath import randomized_svd

        directions = randomized_svd(few, count, n_iter=4, random_state=0)[2]
    spread = float(np.sqrt(np.mean((few @ directions.T) ** 2)))
    return Project(mean, np.ascontiguousarray(directions, np.float32), 1 / max(spread, 1e-6))


def _unit(features: npt.NDArray[Any]) -> Floats:
    x = np.asarray(features, np.float32)
    return np.asarray(x / np.maximum(np.sqrt(np.einsum("ij,ij->i", x, x))[:, None], 1e-12), np.float32)
