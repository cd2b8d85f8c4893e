"""Where an image lies among numbered shards: a slot is one int64.

Number of the shard, whether the image is unreadable, and its row; -1 is nowhere.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeVar

import numpy as np
import numpy.typing as npt

__all__ = ["Slots", "by_shard", "row_of", "shard_of", "slot", "unreadable"]

_SHARD = 32  # bits below the number
_UNREADABLE = 1 << 31
_ROW = _UNREADABLE - 1

Slots = npt.NDArray[np.int64]
_Some = TypeVar("_Some", int, Slots)


def slot(shard: int, row: int, bad: bool = False) -> int:
    """Return the slot of the image `row` of a shard.

    >>> slot(2, 5) == 2 * 2**32 + 5
    True
    """
    return shard << _SHARD | (_UNREADABLE if bad else 0) | row


def shard_of(slots: _Some) -> _Some:
    """Return the number of the shard, of one slot or of (n,)."""
    return slots >> _SHARD


def row_of(slots: Slots) -> Slots:
    """Return the rows in the shards (n,)."""
    return slots & _ROW


def unreadable(slots: Slots) -> npt.NDArray[np.bool_]:
    """Return whether images are there only as unreadable (n,)."""
    return (slots >= 0) & (slots & _UNREADABLE > 0)


def by_shard(slots: Slots) -> Iterator[tuple[int, npt.NDArray[np.int64], npt.NDArray[np.int64]]]:
    """Yield for each shard of `slots` (none of which is -1) its number, which of them are in it, and their rows."""
    numbers = shard_of(slots)
    order = np.argsort(numbers, kind="stable")
    cuts = np.flatnonzero(np.diff(numbers[order])) + 1
    for at in np.split(order, cuts):
        if len(at):
            yield int(numbers[at[0]]), at, row_of(slots[at])
