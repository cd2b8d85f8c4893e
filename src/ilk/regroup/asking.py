"""What to ask next, so that an answer teaches most: small parts of groups first, then images between two groups."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from ilk.corrections import Grouping
from ilk.regroup.head import Head, learned
from ilk.regroup.space import Board, Ints, Run, board_of
from ilk.regroup.tree import tree_of

__all__ = ["Queue", "queue"]

_PARTS = 3  # of a group, on average
_FEWEST = 2  # images of a part
_IN_A_ROW = 12
_LIKELY = 0.1  # mean probability from which on another group is suggested
_DOUBT = (
    0.3  # expected share of wrong images from which on a part is asked about; probability of another group, an image
)

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Queue:
    """What to ask next.

    Attributes
    ----------
    items : list of dict
        "part": images (rows, central ones first, one of each content), a (the group they are in), b (the group that
        they may belong to, or None), share (which part of the images of a these are), p (mean probability of a).
        "pair": images, a (the group they are in), b (the other one), p (probability of b for each).
    left : int
        Images that are in doubt and of which nobody said anything yet, whatever `limit`.
    won : dict
        answered: images that a person put, confirmed or ignored; moved: images that are in another group than they were
        found in; followed: those of them that nobody named, which went along.
    """

    items: list[dict[str, Any]]
    left: int
    won: dict[str, int] = field(default_factory=dict)


def queue(run: Run, limit: int = 50, *, seed: int = 0) -> Queue:
    """Return what to ask about the groups of `run`, at most `limit` questions, those that teach most first.

    Raises
    ------
    RunError
        The journal or the features of the run are damaged.

    Notes
    -----
    Parts are those of the merge tree at three a group. A part counts by how many of its images a head, which learns
    from corrections and the cores of the groups, puts elsewhere; so does a row of images of one group that it would
    rather have in one other. Parts come first: one answer is about all of their images.
    """
    board = board_of(run)
    if len(board.groups) < 2:
        return Queue([], 0, _won(board.grouping, run))
    head = learned(board, board.labels, board.pinned, seed)
    proba = np.where(board.allowed(board.labels), head(board.x), 0.0).astype(np.float32)
    own = proba[np.arange(len(proba)), board.columns(np.maximum(board.labels, board.groups[0]))]
    doubtful = board.free & (1 - own > _DOUBT)
    asked = _parts(board, head, proba, own, seed)
    in_parts = np.zeros(len(board.x), bool)
    for _, _, slots in asked:
        in_parts[slots] = True
    rows = _pairs(board, proba, own, doubtful & ~in_parts)
    items = [item for _, item, _ in asked] + rows
    return Queue(items[: max(0, limit)], int((doubtful | (in_parts & board.free)).sum()), _won(board.grouping, run))


def _parts(board: Board, head: Head, proba: Floats, own: Floats, seed: int) -> list[tuple[float, dict[str, Any], Ints]]:
    """Return (gain, item, images) of parts in doubt, the largest gain first."""
    made = tree_of(board, {}, seed)
    at = made.labels(min(made.high, _PARTS * made.now))
    found = []
    for part in np.unique(at[at >= 0]).tolist():
        slots = np.flatnonzero(at == part)
        group = int(board.labels[slots[0]])
        whole = int((board.labels == group).sum())
        slots = slots[board.free[slots]]
        if not _FEWEST <= len(slots) < whole:
            continue
        mine = proba[slots].mean(0)
        column = int(board.columns(np.array([group]))[0])
        doubt = 1 - float(mine[column])
        if doubt < _DOUBT:
            continue
        mine[column] = -1
        other = int(mine.argmax())
        x = board.x[slots]
        slots = slots[np.argsort(((x - x.mean(0)) ** 2).sum(1), kind="stable")]
        item = {
            "kind": "part",
            "images": board.space.rows[slots].tolist(),
            "a": group,
            "b": int(board.groups[other]) if mine[other] > _LIKELY else None,
            "share": round(len(slots) / whole, 4),
            "p": round(1 - doubt, 4),
        }
        found.append((doubt * len(slots), item, slots))
    found.sort(key=lambda one: -one[0])
    return found


def _pairs(board: Board, proba: Floats, own: Floats, doubtful: npt.NDArray[np.bool_]) -> list[dict[str, Any]]:
    """Return rows of doubtful images of one pair, the most in doubt first."""
    rest = proba.copy()
    column = board.columns(np.maximum(board.labels, board.groups[0]))
    rest[np.arange(len(rest)), column] = -1
    other = rest.argmax(1)
    p = rest[np.arange(len(rest)), other]
    slots = np.flatnonzero(doubtful)
    pairs = column[slots] * len(board.groups) + other[slots]
    found = []
    for pair in np.unique(pairs).tolist():
        mine = slots[pairs == pair]
        mine = mine[np.argsort(-(p[mine] - own[mine]), kind="stable")]
        for start in range(0, len(mine), _IN_A_ROW):
            row = mine[start : start + _IN_A_ROW]
            item = {
                "kind": "pair",
                "images": board.space.rows[row].tolist(),
                "a": int(board.groups[pair // len(board.groups)]),
                "b": int(board.groups[pair % len(board.groups)]),
                "p": [round(float(one), 4) for one in p[row]],
            }
            found.append((float((1 - own[row]).sum()), item))
    found.sort(key=lambda one: -one[0])
    return [item for _, item in found]


def _won(grouping: Grouping, run: Run) -> dict[str, int]:
    """Return what corrections brought so far, in images."""
    found = run.corrections.found().labels
    brought = np.array([grouping.merged.get(group, group) for group in found.tolist()], np.int64)
    moved = (grouping.labels != brought) & (grouping.labels >= -1)
    said = grouping.said != 0
    return {"answered": int(said.sum()), "moved": int(moved.sum()), "followed": int((moved & ~said).sum())}
