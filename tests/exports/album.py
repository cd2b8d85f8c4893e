"""What tests of exports share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import ilk
from ilk.runs import Run

Regroup = Callable[[Run, dict[str, int]], Run]


def group(source: object, out: Path, k: int = 3, **options: object) -> Run:
    """Group few images fast."""
    chosen = {"n_clusters": k, "encoder": "pixels", "preset": "tiny", "cache": None, **options}
    return ilk.cluster(source, out, options=chosen)
