"""Whether the features know what a person says: are images that were moved by hand predicted when left out?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ilk.regroup.head import learned
from ilk.regroup.space import Board

__all__ = ["Trust", "trusted"]

_FEWEST = 8  # moved images, below which nothing can be said
_PARTS = 5
_MOST = 2000  # that are asked of


@dataclass(frozen=True)
class Trust:
    """Share of held-out corrections that are predicted (`right`), that by guessing (`chance`), what follows (`why`)."""

    right: float | None = None
    chance: float | None = None
    why: str = ""


def trusted(board: Board, seed: int = 0) -> Trust:
    """Return whether images that were moved by hand are predicted when left out, in five parts.

    Guessing gets `chance` of them: what two labelings with these sizes of groups have in common.
    """
    moved = np.flatnonzero((board.said == 1) & (board.labels >= 0))
    if len(moved) < _FEWEST or len(np.unique(board.labels[moved])) < 2:
        return Trust()  # of images of one group nothing can be learned
    rng = np.random.default_rng(seed)
    moved = rng.permutation(moved)[:_MOST]
    predicted = np.empty(len(moved), np.int64)
    for part in range(_PARTS):
        here = np.arange(len(moved)) % _PARTS == part
        taught = board.pinned.copy()
        taught[moved[here]] = False
        predicted[here] = board.groups[learned(board, board.labels, taught, seed)(board.x[moved[here]]).argmax(1)]
    own = board.labels[moved]
    right = float((predicted == own).mean())
    chance = float(sum((predicted == group).mean() * (own == group).mean() for group in board.groups.tolist()))
    if right - chance > 1.64 * np.sqrt(max(chance * (1 - chance), 1e-9) / len(moved)):
        return Trust(right, chance)
    why = (
        f"the features do not know these groups: of images that you moved, {100 * right:.0f} % are predicted when left "
        f"out ({100 * chance:.0f} % by guessing). More corrections will hardly help others"
    )
    return Trust(right, chance, why)
