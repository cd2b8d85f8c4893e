"""What tests of the command line share: small images, what a command said, what a folder holds."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

SMALL = ("--encoder", "pixels", "--set", "preset=tiny")
"""Options that group a few small images in a fraction of a second."""

CLASSIC = ("-k", "3", "--encoder", "classic", "--set", "preset=tiny")
"""The same, from edges and colours of files."""


class Said(NamedTuple):
    """What one command answered."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The one JSON object on stdout."""
        assert self.out.count("\n") == 1, self.out
        return json.loads(self.out)


Ilk = Callable[..., Said]


def refused(said: Said, *words: str, code: int = 1) -> None:
    """Assert that the answer is one line with `words` and exit code `code`."""
    assert said.code == code, said
    lines = said.err.strip().splitlines()
    assert len(lines) == 1, said.err
    assert lines[0].startswith("ilk: ")
    assert "Traceback" not in said.out + said.err
    assert "ilk: unexpected" not in lines[0]
    for word in words:
        assert word in lines[0]


def write_images(folder: Path, n: int, groups: int = 3, side: int = 12, seed: int = 0) -> Path:
    """Write `n` small images of `groups` patterns under noise: ``<pattern>_<number>.png``."""
    rng = np.random.default_rng(seed)
    patterns = np.random.default_rng(5).integers(0, 256, (groups, side, side))
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(n):
        pixels = np.clip(patterns[i % groups] + rng.normal(0, 12, (side, side)), 0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{i % groups}_{i:04}.png")
    return folder


def tree(folder: Path) -> dict[str, tuple[int, int]]:
    """Everything below `folder`, with sizes and times of change: equal before and after = nothing changed."""
    found = ((path, path.lstat()) for path in sorted(folder.rglob("*")))
    return {str(path): (0, 0) if path.is_dir() else (stat.st_size, stat.st_mtime_ns) for path, stat in found}
