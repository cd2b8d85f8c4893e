"""Runs made of points, to be corrected and grouped again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ilk.corrections import Corrections, Found


class Points:
    """What regrouping asks of a run: rows of features, groups as found, and a journal in `path`."""

    def __init__(self, path: Path, features: Any, labels: Any, keys: list[str] | None = None) -> None:
        path.mkdir(parents=True, exist_ok=True)
        self.path, self.features_path = path, path / "features.npy"
        np.save(self.features_path, np.asarray(features, np.float16))
        keys = keys or [f"{i:032x}" for i in range(len(labels))]
        found = Found(keys, np.array(labels, np.int64), {int(i): "" for i in np.unique(labels) if i >= 0})
        self.corrections = Corrections(
            path, lambda: found, lambda: [f"{i}.png" for i in range(len(labels))], self.features
        )

    def features(self) -> Any:
        return np.load(self.features_path, mmap_mode="r")

    def map(self) -> None:
        return None

    def suggestions(self) -> dict[str, Any]:
        return {"natural": {"k": 3}, "fine": {"k": 4000}}


def blobs(counts: list[int], seed: int = 0, width: int = 12, spread: float = 0.25) -> tuple[Any, Any]:
    """Return points around as many directions at right angles as there are `counts`, and which each is of."""
    rng = np.random.default_rng(seed)
    kind = np.repeat(np.arange(len(counts)), counts)
    return np.eye(width)[kind] + spread * rng.normal(size=(len(kind), width)) / np.sqrt(width), kind
