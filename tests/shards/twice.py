"""A few images, grouped twice from one cache: once with copies of features and thumbnails, once naming the shards."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

import ilk
from ilk import runs

N = 300  # files: two shards
OPTIONS: dict[str, Any] = {"n_clusters": 3, "encoder": "classic", "preset": "tiny"}


@dataclass(frozen=True)
class Place:
    """Where all of it lies."""

    home: Path

    @property
    def photos(self) -> Path:
        return self.home / "photos"

    @property
    def cache(self) -> Path:
        return self.home / "cache"

    @property
    def copied(self) -> runs.Run:
        return ilk.load_run(self.home / "copied")

    @property
    def named(self) -> runs.Run:
        return ilk.load_run(self.home / "named")

    def shards(self) -> list[Path]:
        """The files of the shards that the run names, the largest first."""
        shards = self.named.named.shards
        found = [shards.folder / f"{shards.name(number)}.safetensors" for number in range(len(shards))]
        return sorted(found, key=lambda path: -path.stat().st_size)

    def cluster(self, out: str = "named", cache: Path | None = None, **more: Any) -> runs.Run:
        options = {**OPTIONS, "cache": cache or self.cache}
        return ilk.cluster(
            self.photos,
            self.home / out,
            method="hierarchical",
            options=options,
            names=False,
            **{"copies": False, **more},
        )


def made(home: Path) -> Place:
    """Draw the images and group them; a duplicate, and a file that is none, are among them."""
    place, rng = Place(home), np.random.default_rng(0)
    place.photos.mkdir()
    for i in range(N - 2):
        pixels = rng.integers(0, 40, (24, 60, 3)) + 60 * (i % 3)
        pixels[:, : 12 * (i % 3) + 8] = rng.integers(0, 255)
        Image.fromarray(pixels.astype(np.uint8)).save(place.photos / f"{i:03}.png")
    shutil.copy(place.photos / "100.png", place.photos / "a-copy.png")
    (place.photos / "broken.png").write_bytes(b"nothing")
    place.cluster("copied", copies=True)
    place.cluster("named")
    return place
