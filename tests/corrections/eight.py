"""Eight images in two groups, to be corrected."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ilk.corrections import Corrections, Found

KEYS = [f"{i:032x}" for i in range(8)]


def opened(folder: Path) -> Corrections:
    """Corrections of eight images in two groups."""
    start = Found(KEYS, np.array([0, 0, 0, 0, 1, 1, 1, 1]), {0: "", 1: ""})
    features = np.arange(16, dtype=np.float32).reshape(8, 2)
    return Corrections(folder, lambda: start, lambda: [f"{i}.png" for i in range(8)], lambda: features)
