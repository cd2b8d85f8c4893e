"""Near duplicates of a run: images that are nearly the same, and those that fit no group. No labels, no torch."""

from __future__ import annotations

from ilk.near.leaders import joined, lead
from ilk.near.limit import NO_FEATURES, Limit, find
from ilk.near.outliers import outliers
from ilk.near.ranking import best_first
from ilk.near.reading import FILE, kept, limit_of, stacks
from ilk.near.rows import unit

__all__ = [
    "FILE",
    "NO_FEATURES",
    "Limit",
    "best_first",
    "find",
    "joined",
    "kept",
    "lead",
    "limit_of",
    "outliers",
    "stacks",
    "unit",
]
