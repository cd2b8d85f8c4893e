"""What a mutant may cost and how ilk may answer; what is kept of an answer that was wrong."""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

__all__ = ["CLOCK", "GIB", "HANG", "Case", "Fuzzer", "Verdict", "one_line", "random_of"]

HANG = 10.0
"""Seconds of its own processor time that one mutant may take."""

CLOCK = 60.0
"""Seconds on the clock that one mutant may take: waiting for a pipe costs no processor time."""

GIB = 2**30
"""Bytes of memory that one mutant may add."""


@dataclass(frozen=True)
class Case:
    """One input.

    Attributes
    ----------
    what : str
        What it was made from; its ending is that of the file.
    data : bytes
        The file; for run folders JSON: what to change, and the commands.
    """

    what: str
    data: bytes


@dataclass(frozen=True)
class Verdict:
    """What ilk answered: `outcome` in a word or two, `wrong` where it must not have (else None)."""

    outcome: str
    wrong: str | None = None


class Fuzzer(Protocol):
    """Makes inputs and tries them. Built once a process, in a folder of its own."""

    def mutant(self, rng: random.Random) -> Case:
        """Return the next input; the same for the same state of `rng`."""

    def verdict(self, case: Case) -> Verdict:
        """Try `case`. Whatever this raises is a failure."""

    def keep(self, case: Case, target: Path) -> Path:
        """Write `case` as `target` (its ending is added) so that `load` gives it back; return where."""

    def load(self, path: Path) -> Case:
        """Read what `keep` wrote, or a file of another origin."""

    def seeds(self) -> dict[str, bytes]:
        """Return what mutants are made from, for a guided search; {} where that is not supported."""


def random_of(fuzzer: str, seed: int, number: int) -> random.Random:
    """Return the random numbers of mutant `number`: each can be made again without those before it."""
    return random.Random(f"{fuzzer} {seed} {number}")


def one_line(error: str) -> str | None:
    """Say what is wrong with the words of an error, or None."""
    if not error.strip():
        return "an error without words"
    if "unexpected" in error:
        return f"unexpected: {error[:300]}"
    if "Traceback" in error:
        return f"a traceback: {error[:300]}"
    return None
