"""Which notes on a run ask to be looked at, and which only say how it was made."""

from __future__ import annotations

import re
from collections.abc import Iterable

__all__ = ["only_said", "to_look_at"]

# ways that were taken, where none is better and nothing is to be done
_MADE_SO = (
    r"K-means instead of a Gaussian mixture",
    r"the Gaussian mixture did not converge",
    r"neighbours of [\d,]+ images: approximate",
    r"[\d,]+ distinct images around [\d,]+ centres",
    r"[\d,]+ images that are nearly the same are grouped as",
    r"the training starts from the groups that ",
    r"stopped after \d+ of \d+ epochs: successive clusterings agree",
    r"a damaged part of the cache was dropped",
    r"placed by the groups as they are now",
)
_FOUND = re.compile("|".join(_MADE_SO))


def only_said(note: str) -> bool:
    """Whether a note says how a run was made, and asks for nothing.

    >>> only_said("K-means instead of a Gaussian mixture: a component collapsed")
    True
    >>> only_said("group 1 holds 98 % of the images")
    False
    """
    return _FOUND.match(note) is not None


def to_look_at(notes: Iterable[str]) -> tuple[list[str], list[str]]:
    """Return the notes to look at, and those that only say how it was made; each once."""
    once = list(dict.fromkeys(notes))
    return [note for note in once if not only_said(note)], [note for note in once if only_said(note)]
