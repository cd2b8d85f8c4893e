"""Grouping again: what a person said is obeyed to the last image, and the others learn from it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from ilk.corrections import Action
from ilk.errors import ArgumentError
from ilk.regroup.head import learned
from ilk.regroup.space import Board, Ints, Run, board_of
from ilk.regroup.trust import Trust, trusted

__all__ = ["Preview", "accept", "preview"]

_EXAMPLES = 12
_ROUNDS = 2  # the second one's cores are those of the groups that the first one found
_NOTHING = "nothing would move: "
_FEW = 5  # examples, with which a group draws others easily
_STAYS = 3.0  # an image leaves its group for one that is so many times as probable


@dataclass(frozen=True)
class Preview:
    """What grouping again would move, before it is accepted.

    Attributes
    ----------
    moves : dict
        Group -> rows that it would get, copies included, in the order of images.parquet.
    flows : list of (int, int, int, list of int)
        From, to, how many images, and up to 12 of them, the most probable first. The largest flow first.
    count : int
        Images that would move.
    problems : list of str
        Constraints that cannot hold, by name, and what else a person should know first.
    held_out : float or None
        Share of the images moved by hand that are predicted rightly when they are left out; None: too few of them.
    chance : float or None
        What guessing would get right of these.
    last : int
        Number of the last action of the journal that it knows.
    """

    moves: dict[int, list[int]]
    flows: list[tuple[int, int, int, list[int]]]
    count: int
    problems: list[str] = field(default_factory=list)
    held_out: float | None = None
    chance: float | None = None
    last: int = 0

    def summary(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        flows = [{"from": a, "to": b, "count": n, "examples": rows} for a, b, n, rows in self.flows]
        return {
            "count": self.count,
            "flows": flows,
            "problems": self.problems,
            "held_out": self.held_out,
            "chance": self.chance,
        }


def preview(run: Run, *, seed: int = 0) -> Preview:
    """Group the images of `run` again with what was corrected by hand, and return what would move.

    Images that a person moved or confirmed stay in their group, ignored ones out of all; merged groups stay one, and
    images of groups that were split from each other do not go from one to the other. All others go where a head puts
    them that learns from these images and from the cores of the groups as they are now. Names and numbers stay.

    Parameters
    ----------
    run
        What `ilk.load_run` returns.
    seed
        Of images that are drawn where there are very many.

    Raises
    ------
    RunError
        The journal or the features of the run are damaged.

    Notes
    -----
    Multinomial logistic regression on 64 principal components of the features of length 1. A second or two for 10,000
    images; it learns from at most 8,192 images and those that a person spoke of, whatever their number.
    """
    board = board_of(run)
    problems = _problems(run, board)
    last = board.grouping.last
    if why := _nothing(board):
        return Preview({}, [], 0, [*problems, why], last=last)
    trust = trusted(board, seed)
    if trust.why:
        problems.append(trust.why)
    labels, certainty = grouped(board, seed)
    return _flows(board, labels, certainty, problems, trust)


def accept(run: Run, preview: Preview, *, without: Iterable[int] = ()) -> Action:
    """Put into effect what `preview` shows: one line of the journal, which can be undone as any other.

    Parameters
    ----------
    run, preview
    without
        Rows of images that stay where they are, with their copies.

    Raises
    ------
    ArgumentError
        Something was corrected since, or nothing would move.
    RunError
        The run cannot be written, or another process is correcting it.
    """
    if not preview.count:
        why = (preview.problems or ["the groups fit what you corrected"])[-1]
        raise ArgumentError(f"nothing would move: {why.removeprefix(_NOTHING)}")
    keys = run.corrections.keys()
    stay = {keys[row] for row in without}
    moves = {to: [row for row in rows if keys[row] not in stay] for to, rows in preview.moves.items()}
    return run.corrections.regroup(moves, last=preview.last)


def grouped(board: Board, seed: int = 0) -> tuple[Ints, npt.NDArray[np.float32]]:
    """Return the group of each image (m,) and the probability of it."""
    labels, taught = board.labels.copy(), board.pinned
    free, may = board.free, board.allowed(board.labels)
    certainty = np.ones(len(labels), np.float32)
    inside, own = np.flatnonzero(board.labels >= 0), board.columns(np.maximum(board.labels, board.groups[0]))
    for turn in range(_ROUNDS):
        proba = np.where(may, learned(board, labels, taught, seed + turn)(board.x), 0.0)
        odds = proba.copy()
        odds[inside, own[inside]] *= _STAYS
        best = odds.argmax(1)
        labels = np.where(free, board.groups[best], board.labels)
        certainty = proba[np.arange(len(best)), best].astype(np.float32)
        if len(np.unique(labels[labels >= 0])) < len(board.groups):  # a group that nothing speaks for keeps its images
            lost = np.isin(board.labels, np.setdiff1d(board.groups, labels)) & free
            labels[lost] = board.labels[lost]
    return labels, certainty


def _flows(
    board: Board, labels: Ints, certainty: npt.NDArray[np.float32], problems: list[str], trust: Trust
) -> Preview:
    """Return what changes between the groups of `board` and `labels`."""
    moved = np.flatnonzero(labels != board.labels)
    moves: dict[int, list[int]] = {}
    flows = []
    for to in np.unique(labels[moved]).tolist():
        moves[to] = board.copies(moved[labels[moved] == to])
    pairs, inverse = np.unique(np.stack([board.labels[moved], labels[moved]], 1), axis=0, return_inverse=True)
    for i, (one, other) in enumerate(pairs.tolist()):
        mine = moved[inverse.ravel() == i]
        shown = mine[np.argsort(-certainty[mine], kind="stable")[:_EXAMPLES]]
        flows.append((one, other, len(board.copies(mine)), board.space.rows[shown].tolist()))
    flows.sort(key=lambda flow: (-flow[2], flow[0], flow[1]))
    count = sum(map(len, moves.values()))
    if not count:
        problems = [*problems, _NOTHING + _rule(board)]
    return Preview(moves, flows, count, problems, trust.right, trust.chance, board.grouping.last)


def _rule(board: Board) -> str:
    """Say why no image moves, and which group was shown too few examples to draw others."""
    rule = "an image leaves its group only for one that is three times as probable, and none is"
    by_group = {group: int(board.pinned[board.labels == group].sum()) for group in board.grouping.names}
    few = [group for group, n in by_group.items() if 0 < n < _FEW]
    if not few:
        return rule
    group = max(few, key=lambda one: (one in board.grouping.parents, one))  # the newest of those made by hand
    name, n = board.grouping.names[group] or f"group {group}", by_group[group]
    shown = f"{name} has {n} example{'' if n == 1 else 's'} of yours"
    return f"{rule}. {shown}: move one or two more into it, or split the group that has the others by such examples"


def _nothing(board: Board) -> str:
    """Say why there is nothing to learn from; empty where there is something."""
    grouping = board.grouping
    if not grouping.count:
        return "no corrections: there is nothing to learn from, and nothing moves. Move, merge or confirm first."
    if not (board.pinned.any() or grouping.merged or grouping.parents):
        return "no correction says where an image belongs: nothing moves. Move, merge or confirm first."
    return "" if len(board.groups) > 1 else "there is one group only: nothing can move."


def _problems(run: Run, board: Board) -> list[str]:
    """Return the constraints that cannot hold."""
    grouping = board.grouping
    problems = list(run.corrections.notes())
    here = {group for group, size in grouping.sizes().items() if size}
    for group in (group for group in grouping.names if group not in here):
        problems.append(f"group {group} is empty: nothing says what belongs to it, and it gets no images")
    pinned = grouping.labels[(grouping.said != 0) & (grouping.labels >= 0)]
    for group in np.setdiff1d(pinned, list(grouping.names)).tolist():
        problems.append(f"images were put into group {group}, which is not there any more: they stay where they are")
    if lost := int(((board.space.slot < 0) & (grouping.labels >= 0)).sum()):
        problems.append(f"{lost:,} image{' has' if lost == 1 else 's have'} no features: nothing moves them")
    return problems
