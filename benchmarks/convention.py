"""Time `ilk cluster FOLDER -m dac` on a folder as one public implementation of DAC wants it.

    python benchmarks/convention.py FOLDER|TAR … [--clusters 153] [--side 300] [--copies 1]

Photos of all sources, each in a folder for its kind, are written as JPEGs of `side` × `side` pixels into `train/` and
`test/` (every fifth), and named `LABEL_ID.jpg`. Then `-m dac` groups them with its defaults, from an empty cache, into
as many groups as asked for; the kinds are counted and scored against, and choose nothing. With `copies`, each photo is
also there mirrored, turned and cut, where there are too few for so many groups.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from common import cpu_seconds, members
from PIL import Image, ImageOps


def photos(sources: list[str]) -> Iterator[tuple[str, bytes]]:
    """Yield kind and bytes of every photo."""
    for source in sources:
        place = Path(source)
        found = (
            members(source)
            if place.is_file()
            else [(str(path.relative_to(place)), path.read_bytes()) for path in sorted(place.rglob("*.*"))]
        )
        for name, data in found:
            parts = Path(name).parts
            if len(parts) > 1 and parts[-1].lower().endswith((".jpg", ".jpeg", ".png")):
                yield f"{place.stem}/{parts[-2]}", data


def write(folder: Path, sources: list[str], side: int, copies: int) -> tuple[int, int]:
    """Write the folder; return numbers of images and of kinds."""
    labels: dict[str, int] = {}
    n = 0
    for part in ("train", "test"):
        (folder / part).mkdir(parents=True)
    for kind, data in photos(sources):
        label = labels.setdefault(kind, len(labels))
        photo = Image.open(io.BytesIO(data)).convert("RGB")
        for copy in range(copies):
            image = ImageOps.mirror(photo) if copy % 2 else photo
            image = image.rotate(4 * (copy // 2), Image.Resampling.BICUBIC)
            square = ImageOps.fit(image, (side, side), Image.Resampling.LANCZOS, bleed=0.03 * copy)
            square.save(folder / ("test" if n % 5 == 4 else "train") / f"{label}_{n:06d}.jpg", quality=92)
            n += 1
    return n, len(labels)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sources", nargs="+")
    parser.add_argument("--clusters", type=int, default=153)
    parser.add_argument("--side", type=int, default=300)
    parser.add_argument("--copies", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="ilk-convention-") as scratch:
        folder = Path(scratch) / "photos"
        n, kinds = write(folder, options.sources, options.side, options.copies)
        rows: dict[str, dict[str, Any]] = {}
        for method in ("dac", "transfer"):
            words = ["-m", method, "-k", str(options.clusters), "--labels", "prefix", "--json", "--cache", scratch]
            words += ["-o", f"{scratch}/{method}"]
            before, start = cpu_seconds(), time.perf_counter()
            done = subprocess.run(
                [sys.executable, "-m", "ilk", "cluster", str(folder), *words], stdout=subprocess.PIPE, text=True
            )
            if done.returncode:
                raise SystemExit(f"ilk cluster -m {method} ended with exit code {done.returncode}")
            found = json.loads(done.stdout.strip().splitlines()[-1])
            rows[method] = {
                "seconds": round(time.perf_counter() - start, 1),
                "cpu_seconds": round(cpu_seconds() - before, 1),
                "stages": found["seconds"],
                "groups": sum(size > 0 for size in found["sizes"]),
                "scores": found["scores"],
            }
    print(
        json.dumps(
            {
                "n_images": n,
                "kinds": kinds,
                "side": options.side,
                "clusters": options.clusters,
                "cores": os.cpu_count(),
                "seeds": [0],
                **rows,
            }
        )
    )


if __name__ == "__main__":
    main()
