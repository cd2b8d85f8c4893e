"""A fuzzer that misbehaves on purpose, for tests of those who watch."""

from __future__ import annotations

import os
import random
from pathlib import Path

from fuzz.judging import Case, Verdict


class Toy:
    """Mutants are their own numbers; some of them end badly."""

    def __init__(self, scratch: Path) -> None:
        self._made = 0

    def seeds(self) -> dict[str, bytes]:
        return {}

    def mutant(self, rng: random.Random) -> Case:
        return Case("toy.txt", str(rng.randrange(8)).encode())

    def verdict(self, case: Case) -> Verdict:
        kind = int(case.data)
        if kind == 1:
            raise ValueError("raised")
        if kind == 2:
            os._exit(7)
        if kind == 3:
            assert b"x" * (5 << 28)
        if kind == 4:
            os.read(os.pipe()[0], 1)
        return Verdict("fine", "wrong words" if kind == 5 else None)

    def keep(self, case: Case, target: Path) -> Path:
        path = target.with_name(f"{target.name}.txt")
        path.write_bytes(case.data)
        return path

    def load(self, path: Path) -> Case:
        return Case("toy.txt", path.read_bytes())
