"""DeepCluster with and without its key steps, on a part of an image set, beside K-means on the pixels.

    python benchmarks/deepcluster_ablation.py SOURCE --images 10000 --epochs 5 --seeds 0,1,2 --keep FOLDER

Rows: as it is; the first clustering for ever; one head for all epochs; a random network (no epoch at all); K-means on
the pixels, best of ten starts. 100 fine clusters, 10 groups. Labels are used for the scores alone, after each fit. What
is in the folder of --keep is not done again, so a killed command goes on. Prints JSON.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.datasets import load_digits

from ilk import compute, metrics
from ilk.cli.options import value
from ilk.methods import DeepCluster
from ilk.vectors import kmeans

ROWS: dict[str, dict[str, Any]] = {
    "all": {},
    "first clustering for ever": {"recluster": False},
    "one head": {"reset_head": False},
    "untrained": {"epochs": 0},
}


def read(source: str, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Return a random part of all images (or the digits of scikit-learn), and their labels, the same for every row."""
    if source == "digits":
        data = load_digits()
        return np.round(data.images * 255 / 16).astype(np.uint8), data.target
    with np.load(source) as whole:
        x, y = (np.concatenate([whole[f"{axis}_{part}"] for part in ("train", "test")]) for axis in "xy")
    rows = np.random.default_rng(0).permutation(len(x))[:n]
    return x[rows], y[rows]


def fitted(x: np.ndarray, y: np.ndarray, seed: int, settings: dict[str, Any]) -> dict[str, Any]:
    """Train once, and score."""
    begin = time.perf_counter()
    model = DeepCluster(10, preset="small", random_state=seed, settings=settings).fit(x)
    seconds = time.perf_counter() - begin
    epochs = [record for record in model.history_ if "loss" in record]
    return {
        "scores": {name: round(v, 4) for name, v in metrics.scores(y, model.labels_).items()},
        "fine_purity": round(metrics.purity(y, model.fine_labels_), 4),
        "n_fine": len(model.fine_to_group_),
        "agreement": [record.get("agreement") for record in epochs],
        "loss": [record["loss"] for record in epochs],
        "seconds": round(seconds, 1),
    }


def on_pixels(x: np.ndarray, y: np.ndarray, seed: int) -> dict[str, Any]:
    """K-means on the pixels."""
    begin = time.perf_counter()
    rows = torch.from_numpy(x.reshape(len(x), -1).astype(np.float32) / 255)
    found = kmeans(rows, 10, n_init=10, generator=compute.generator(seed))
    scores = metrics.scores(y, found.labels.numpy())
    seconds = round(time.perf_counter() - begin, 1)
    return {"scores": {name: round(v, 4) for name, v in scores.items()}, "seconds": seconds}


def main() -> None:
    """Run what is missing, and print JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source")
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--rows", default=",".join(ROWS))
    parser.add_argument("--keep", type=Path)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    options = parser.parse_args()
    settings = {key: value(given) for key, _, given in (text.partition("=") for text in options.set)}
    file = options.keep and options.keep / f"{Path(options.source).stem}-{options.images}-{options.epochs}.json"
    kept = json.loads(file.read_text()) if file and file.exists() else {}
    x, y = read(options.source, options.images)
    for seed in (int(word) for word in options.seeds.split(",")):
        for row in ["pixels", *options.rows.split(",")]:
            if str(seed) in kept.get(row, {}):
                continue
            chosen = {"epochs": options.epochs, **settings, **ROWS.get(row, {})}
            told = on_pixels(x, y, seed) if row == "pixels" else fitted(x, y, seed, chosen)
            kept.setdefault(row, {})[str(seed)] = told
            if file:
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(json.dumps(kept))
    means = {
        row: {
            name: round(float(np.mean([told["scores"][name] for told in seeds.values()])), 4)
            for name in ("acc", "nmi", "ari")
        }
        | {"seeds": len(seeds)}
        for row, seeds in kept.items()
    }
    print(json.dumps({
        "n_images": len(x), "n_clusters": 10, "preset": "small", "epochs": options.epochs, "settings": settings,
        "threads": torch.get_num_threads(), "means": means,
        "above_pixels": [
            told["scores"]["acc"] > kept["pixels"][seed]["scores"]["acc"] for seed, told in kept["all"].items()
        ],
        "rows": kept,
    }))  # fmt: skip


if __name__ == "__main__":
    main()
