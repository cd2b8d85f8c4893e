"""What tests of exports share."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import ilk
from ilk.runs import Run

Regroup = Callable[[Run, dict[str, int]], Run]


def group(source: object, out: Path, k: int = 3, **options: object) -> Run:
    """Group few images fast."""
    chosen = {"n_clusters": k, "encoder": "pixels", "preset": "tiny", "cache": None, **options}
    return ilk.cluster(source, out, options=chosen)


def table(folder: Path, name: str = "groups.csv") -> list[dict[str, str]]:
    with open(folder / name, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def files(folder: Path) -> dict[str, str]:
    """Group folder of every exported file, by its name."""
    found = [path for path in folder.rglob("*") if not path.is_dir() and path.parent != folder]
    assert len({path.name for path in found}) == len(found)
    return {path.name: path.parent.name for path in found}
