"""Images for servers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from io import BytesIO

import numpy as np
from PIL import Image

Put = Callable[[Mapping[str, bytes]], str]


def pictures(n: int, seed: int = 0, folders: str = "ab") -> dict[str, bytes]:
    """Return `n` small PNG files by their names, in folders, with names that need care."""
    rng = np.random.default_rng(seed)
    found = {}
    for i in range(n):
        out = BytesIO()
        shade = rng.integers(0, 200, 3)
        Image.fromarray((rng.integers(0, 50, (16, 16, 3)) + shade).astype(np.uint8)).save(out, "PNG")
        found[f"{folders[i % len(folders)]}/ü {i:04d}#%41.png"] = out.getvalue()
    return found
