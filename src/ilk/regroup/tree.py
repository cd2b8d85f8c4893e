"""The merge tree: groups joined to fewer and parted to more, each cut within the next; one is that of now."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from ilk.corrections import Action
from ilk.errors import ArgumentError
from ilk.regroup.parts import joined, parted
from ilk.regroup.space import Board, Ints, Run, board_of

__all__ = ["Tree", "tree", "tree_of"]

_HIGH = 50

Cut = list[tuple[list[int], dict[int, int]]]


@dataclass(frozen=True)
class Tree:
    """Groups of a run at every number from `low` to `high`.

    Attributes
    ----------
    now : int
        The present number: its cut is the present groups.
    low, high : int
        Fewest and most groups. Groups that hold images put there by hand, and those split from each other, never
        become one.
    suggested : dict
        Numbers that the run suggests, by name, as far as they are in this range.
    last : int
        Number of the last action of the journal that it knows.
    """

    board: Board = field(repr=False)
    leaf: Ints = field(repr=False)  # (m,) which smallest part each image is in, -1: in no group
    coarser: list[tuple[int, int]] = field(repr=False)  # groups (their columns) that become one, in order: (into, gone)
    finer: Sequence[Ints] = field(repr=False)  # leaves that leave their part, in order
    suggested: dict[str, int]

    @property
    def now(self) -> int:
        """The present number of groups."""
        return len(self.board.groups)

    @property
    def low(self) -> int:
        """Fewest groups."""
        return self.now - len(self.coarser)

    @property
    def high(self) -> int:
        """Most groups."""
        return self.now + len(self.finer)

    @property
    def last(self) -> int:
        """Number of the last action that is known."""
        return self.board.grouping.last

    def labels(self, k: int) -> Ints:
        """Return (m,) the groups at the cut `k`: columns of the present groups, and numbers behind them for new parts.

        Raises
        ------
        ArgumentError
            There is no such cut.
        """
        if not self.low <= k <= self.high:
            raise ArgumentError(f"k={k!r}: choose from {self.low} to {self.high} groups.")
        at = np.where(self.leaf >= 0, self.board.columns(np.maximum(self.board.labels, self.board.groups[:1])), -1)
        for into, gone in self.coarser[: max(0, self.now - k)]:
            at[at == gone] = into
        for i, leaves in enumerate(self.finer[: max(0, k - self.now)]):
            at[np.isin(self.leaf, leaves)] = self.now + i
        return at

    def cut(self, k: int) -> Cut:
        """Return the groups at `k`: their rows, central ones first and copies included, and how many come from each.

        Raises
        ------
        ArgumentError
            There is no such cut.
        """
        at = self.labels(k)
        found = []
        for one in np.unique(at[at >= 0]).tolist():
            slots = np.flatnonzero(at == one)
            x = self.board.x[slots]
            slots = slots[np.argsort(((x - x.mean(0)) ** 2).sum(1), kind="stable")]
            rows = [row for slot in slots.tolist() for row in self._copies[slot]]
            ids, counts = np.unique(self.board.grouping.labels[rows], return_counts=True)
            found.append((rows, dict(zip(ids.tolist(), counts.tolist(), strict=True))))
        return found

    def take(self, run: Run, k: int) -> Action:
        """Make the cut `k` the groups of `run`: one action of the journal, which can be undone.

        The largest part of a group keeps its number and name, of groups that become one that with images put there by
        hand, else the largest. What a person put into a group stays in it.

        Raises
        ------
        ArgumentError
            There is no such cut, it is the present one, or something was corrected since.
        RunError
            The run cannot be written.
        """
        at = self.labels(k)
        if k == self.now:
            raise ArgumentError(f"{k} groups are what there is now.")
        groups = self.board.groups
        if k < self.now:
            gone = [(int(groups[one]), int(groups[into])) for into, one in self.coarser[: self.now - k]]
            return run.corrections.regroup({}, last=self.last, gone=gone)
        first = run.corrections.next_group()
        moves: dict[int, list[int]] = {}
        for column, group in enumerate(groups.tolist()):
            mine = np.flatnonzero(self.board.labels == group)
            parts = np.unique(at[mine])
            pinned, sizes = self.board.pinned[mine], [(at[mine] == part).sum() for part in parts]
            held = [pinned[at[mine] == part].sum() for part in parts]
            stays = parts[np.lexsort((parts != column, -np.array(sizes), -np.array(held)))[0]]
            for part in parts.tolist():
                slots = mine[(at[mine] == part) & ~pinned]
                if part != stays and len(slots):
                    moves[first + len(moves)] = self.board.copies(slots)
        return run.corrections.regroup(moves, last=self.last, new=list(moves))

    @cached_property
    def _copies(self) -> list[list[int]]:
        rows: list[list[int]] = [[] for _ in self.board.space.rows]
        for row, slot in enumerate(self.board.space.slot.tolist()):
            if slot >= 0:
                rows[slot].append(row)
        return rows


def tree(run: Any, *, seed: int = 0) -> Tree:
    """Return the merge tree of `run` from 2 to 50 groups (or to the present number, where there are more).

    Fewer groups: those become one whose joining adds least to the squared distances from their means (Ward). More: each
    group has smallest parts (K-means), joined in the same way, and the joins are taken back in order.

    Raises
    ------
    RunError
        The journal or the features of the run are damaged.
    """
    return tree_of(board_of(run), run.suggestions(), seed)


def tree_of(board: Board, suggestions: Mapping[str, Mapping[str, Any]], seed: int = 0) -> Tree:
    """Return the tree of what is known; `suggestions` as of ``run.suggestions()``."""
    here = board.labels >= 0
    leaf, finer = parted(board.x, board.columns(np.maximum(board.labels, board.groups[:1])), here, _HIGH, seed)
    coarser = joined(board)
    now = len(board.groups)
    numbers = {name: int(level["k"]) for name, level in suggestions.items()}
    inside = {name: k for name, k in numbers.items() if now - len(coarser) <= k <= now + len(finer)}
    return Tree(board, leaf, coarser, finer, inside)
