"""What one image costs a program that holds a model: `model.predict([path])` against decoding and encoding alone.

    python benchmarks/one_image.py PHOTOS.tar WEIGHTS [--rounds 3]

Every fifth photo is new to the run of the others. For each, in turn: reading, decoding and encoding by hand; `predict`;
`predict` of a model where 70,000 images vote (those of the run with noise, so that the groups stay); `nearest`.
What is told is the median of what `predict` takes on top, photo by photo; the time that 19 of 20 stay below; and the
median of what it takes of all cores, which other programs on the machine hardly change.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import tarfile
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

import ilk
from ilk.data import open_images

VOTING = 70_000


def many(model: Any) -> Any:
    """Give `model` 70,000 images that vote."""
    voter, rng = model.voter_, np.random.default_rng(0)
    rows = rng.integers(0, len(voter.space), VOTING)
    noise = rng.normal(0, 0.05, (VOTING, voter.space.shape[1]))
    space = (voter.space[rows] + noise).astype(np.float32)
    model.voter_ = dataclasses.replace(voter, space=space, proba=voter.proba[rows])
    return model


def milliseconds(work: Callable[[], Any]) -> tuple[float, float]:
    """Time one call: on the clock, and of all cores."""
    start, cpu = time.perf_counter(), time.process_time()
    work()
    return 1e3 * (time.perf_counter() - start), 1e3 * (time.process_time() - cpu)


def told(values: Any) -> dict[str, float]:
    """Medians on the clock and of all cores, and what 19 of 20 stay below on the clock."""
    wall, cpu = np.array(values).T
    found = {"median": np.median(wall), "p95": np.quantile(wall, 0.95), "cpu": np.median(cpu)}
    return {name: round(float(value), 2) for name, value in found.items()}


def by_hand(encoder: Any, path: Path) -> None:
    """Read, decode and encode one photo, and nothing else."""
    source = open_images([path]).sized(encoder.image_size, encoder.resize, encoder.crop_pct)
    encoder(source.scan([0], bare=True).pixels)


def same(model: Any, paths: list[Path]) -> bool:
    """Whether eight threads that ask for single photos get what all photos at once get, to the bit."""
    together = model.predict_proba(paths)
    with ThreadPoolExecutor(8) as pool:
        alone = list(pool.map(lambda path: model.predict_proba([path])[0], paths))
    return bool(np.array_equal(together, alone))


def main() -> None:
    """Measure and print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos")
    parser.add_argument("weights")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="ilk-one-") as scratch:
        home = Path(scratch)
        with tarfile.open(options.photos) as tar:
            tar.extractall(home / "photos", filter="data")
        photos = sorted(path for path in (home / "photos").rglob("*") if path.is_file())
        new, cache = photos[::5], home / "cache"
        settings = {"n_clusters": 10, "encoder": "mobilenetv2_100", "weights": options.weights, "cache": cache}
        run = ilk.cluster([path for path in photos if path not in set(new)], home / "run", options=settings)
        start = time.perf_counter()
        model = run.model(cache=cache)
        load = time.perf_counter() - start
        large = many(run.model(cache=cache))
        large.predict([new[0]])  # makes its index
        model.nearest([new[0]])
        rows: dict[str, list[tuple[float, float]]] = {"hand": [], "predict": [], "large": [], "nearest": []}
        for path in new * options.rounds:
            rows["hand"].append(milliseconds(lambda path=path: by_hand(model.encoder_, path)))
            rows["predict"].append(milliseconds(lambda path=path: model.predict([path])))
            rows["large"].append(milliseconds(lambda path=path: large.predict([path])))
            rows["nearest"].append(milliseconds(lambda path=path: model.nearest([path], 5)))
        equal = same(model, new)
    over = {name: np.array(rows[name]) - np.array(rows["hand"]) for name in rows if name != "hand"}
    found = {
        "photos": len(photos),
        "asked": len(rows["hand"]),
        "load_seconds": round(load, 2),
        "decode_encode_ms": told(rows["hand"]),
        "predict_ms": told(rows["predict"]),
        "over_ms": told(over["predict"]),
        f"over_ms_{VOTING}": told(over["large"]),
        "over_ms_nearest": told(over["nearest"]),
        "threads_agree": equal,
        "load_average": round(os.getloadavg()[0], 1),
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main()
