"""The scan over numbers of groups against the loop that people write, and on many rows.

    python benchmarks/kscan.py clothing500.tar WEIGHTS mnist.npz [--folder DIR]

Wide: MobileNetV2 features of 1,500 crops of photos (three of each), K = 2 … 30. The plain loop is scikit-learn's KMeans
and its silhouette on all rows for every K; ilk computes the same two for every K, once without and once with the other
criteria (Calinski-Harabasz, Davies-Bouldin, stability, and the cloud that "clear" is judged by). Many: MNIST's
70,000 images in 10 principal components, the default scan (K up to 50, all four criteria). Prints JSON.
"""

from __future__ import annotations

import argparse
import io
import json
import statistics
import tarfile
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageOps
from sklearn.cluster import KMeans
from sklearn.metrics import silhouette_score

import ilk
from ilk import encoders
from ilk.choose.scan import Scan
from ilk.choose.spaces import open_space
from ilk.vectors import Rows, fit_pca

GRID = range(2, 31)
SIDE = 224


def timed(call: Callable[[], Any]) -> tuple[float, Any]:
    """Return seconds and result."""
    start = time.perf_counter()
    result = call()
    return time.perf_counter() - start, result


def crops(archive: str) -> np.ndarray:
    """Return three square crops of each photo: both ends of its longer side, and its middle, larger."""
    found = []
    with tarfile.open(archive) as tar:
        for member in sorted((m for m in tar if m.isfile()), key=lambda m: m.name):
            data = tar.extractfile(member)
            assert data is not None
            photo = ImageOps.exif_transpose(Image.open(io.BytesIO(data.read()))).convert("RGB")
            for place, part in (((0, 0), 0.8), ((1, 1), 0.8), ((0.5, 0.5), 1.0)):
                side = part * min(photo.size)
                left, top = ((size - side) * at for size, at in zip(photo.size, place, strict=True))
                box = (left, top, left + side, top + side)
                found.append(np.asarray(photo.resize((SIDE, SIDE), Image.Resampling.BICUBIC, box)))
    return np.stack(found)


def wide_rows(archive: str, weights: str, folder: Path) -> np.ndarray:
    """Return (1500, 1280) float32 features, kept in `folder`."""
    kept = folder / "crops.npy"
    if not kept.exists():
        source = ilk.open_images(crops(archive))
        encoder = encoders.build("mobilenetv2_100", weights=weights, source=source, cache=folder)
        np.save(kept, encoders.encode(source, encoder, cache=folder).features.astype(np.float32))
    return np.load(kept)


def many_rows(path: str) -> np.ndarray:
    """Return (70000, 10) float32 principal components of MNIST."""
    with np.load(path) as data:
        pixels = np.concatenate([data["x_train"], data["x_test"]]).reshape(70_000, -1).astype(np.float32)
    return np.asarray(fit_pca(pixels, 10).transform(pixels))


def loop(x: np.ndarray, n_init: int) -> dict[int, tuple[float, float]]:
    """The loop that people write: inertia and silhouette by K."""
    found = {}
    for k in GRID:
        model = KMeans(k, n_init=n_init, random_state=0).fit(x)
        found[k] = (float(model.inertia_), float(silhouette_score(x, model.labels_)))
    return found


def race(x: np.ndarray, n_init: int, rounds: int) -> dict[str, Any]:
    """Time both scans, ours `rounds` times before and after the other."""

    def scan(**options: Any) -> Any:
        return ilk.choose_k(x, k_grid=GRID, n_init=n_init, sample_size=None, **options)

    scan(criteria="silhouette")  # the first call of a process also loads libraries
    two, four = [], []
    for half in range(2):
        for _ in range(rounds):
            two.append(timed(lambda: scan(criteria="silhouette")))
            four.append(timed(scan))
        if half == 0:
            seconds, plain = timed(lambda: loop(x, n_init))
    ours, full = two[0][1], four[0][1]
    mean = x.mean(0, dtype=np.float64)
    scale = float(((x - mean) ** 2).sum()) / len(x)
    fits = Scan(open_space(Rows.of(torch.from_numpy(x))), n_init, 0)
    inertia = [fits.fit(k).inertia * scale / plain[k][0] for k in GRID]
    by_silhouette = {row["k"]: row["silhouette"] for row in ours.table}
    silhouette_only, all_criteria = (statistics.median(spent for spent, _ in runs) for runs in (two, four))
    return {
        "n_init": n_init,
        "seconds": {
            "scikit-learn": round(seconds, 3),
            "ilk, silhouette": [round(spent, 3) for spent, _ in two],
            "ilk, all criteria": [round(spent, 3) for spent, _ in four],
        },
        "ratio_silhouette_only": round(seconds / silhouette_only, 2),
        "ratio_all_criteria": round(seconds / all_criteria, 2),
        "best_k": {"scikit-learn": max(plain, key=lambda k: plain[k][1]), "ilk": ours.best["silhouette"]},
        "best_k_by_criterion": full.best,
        "silhouette_of_best": {"scikit-learn": round(max(s for _, s in plain.values()), 4),
                               "ilk": max(by_silhouette.values())},
        "inertia_ratio_mean": round(statistics.mean(inertia), 5),
        "inertia_ratio_worst": round(max(inertia), 5),
    }  # fmt: skip


def main() -> None:
    """Measure and print JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("archive")
    parser.add_argument("weights")
    parser.add_argument("mnist")
    parser.add_argument("--folder", type=Path, help="where features are kept for the next call")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.folder or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        wide = wide_rows(options.archive, options.weights, folder)
    races = [race(wide, n_init, options.rounds) for n_init in (1, 10)]
    rows = many_rows(options.mnist)
    many = []
    for seed in range(2):
        seconds, found = timed(lambda seed=seed: ilk.choose_k(rows, random_state=seed))
        many.append(
            {
                "seed": seed,
                "seconds": round(seconds, 2),
                "numbers_tried": len(found.table),
                **found.suggested(),
                "clear": found.clear,
                "why": found.why,
                "best": found.best,
            }
        )
    print(
        json.dumps(
            {
                "wide": {"shape": list(wide.shape), "k": [GRID[0], GRID[-1]], "races": races},
                "same_best_k": all(r["best_k"]["scikit-learn"] == r["best_k"]["ilk"] for r in races),
                "many": {"shape": list(rows.shape), "runs": many, "slowest_seconds": max(r["seconds"] for r in many)},
                "threads": torch.get_num_threads(),
            }
        )
    )


if __name__ == "__main__":
    main()
