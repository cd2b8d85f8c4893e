"""The fourth seed's experiment on photos: the K of the highest raw silhouette, by kind of feature and list of K.

For flattened maps, their mean and class probabilities of one network: silhouettes of all images on raw features, for
K = 2 … 10 as in the seed and for numbers up to n - 1; beside them what ``-k auto`` suggests. True labels are opened at
the end, to score what was chosen. Also the time of the same scan with scikit-learn, in turns with ours.
``python benchmarks/seed_experiment.py PHOTOS WEIGHTS`` prints JSON.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from typing import Any

import numpy as np
from sklearn.cluster import KMeans
from sklearn.metrics import silhouette_score

from ilk.data import open_images
from ilk.files import truth
from ilk.methods import TransferClustering
from ilk.metrics import scores

MODEL = "mobilenetv2_100"
SEED_GRID = range(2, 11)


def grid(n: int) -> list[int]:
    """Numbers from 2 to n - 1: those of the seed, then steps of about a fifth."""
    found = list(SEED_GRID)
    while found[-1] < n - 1:
        found.append(min(n - 1, max(found[-1] + 1, round(found[-1] * 1.2))))
    return found


def best(table: list[dict[str, Any]], ks: Any) -> dict[str, Any]:
    """The row of the highest silhouette among the numbers `ks`."""
    return max((row for row in table if row["k"] in ks), key=lambda row: (row["silhouette"], -row["k"]))


def quality(model: TransferClustering, names: list[str], labels: dict[str, Any]) -> dict[str, float]:
    """Scores of a finished model's groups against labels that it has not seen."""
    found = scores(np.array([labels[name] for name in names]), model.labels_)
    return {name: round(float(found[name]), 4) for name in ("nmi", "ari")}


def race(features: Any, rounds: int, starts: int) -> dict[str, Any]:
    """Seconds of the scan of K = 2 … 10 of scikit-learn and of ilk, in turns."""
    from ilk.methods.transfer.raw_features import group_raw

    single = np.asarray(features, np.float32)
    seconds: dict[str, list[float]] = {"ilk": [], "scikit-learn": []}
    worst = 0.0
    for _ in range(rounds):
        start = time.perf_counter()
        raw = group_raw(features, {"k_grid": list(SEED_GRID), "n_init": starts}, None, 0)
        seconds["ilk"].append(round(time.perf_counter() - start, 3))
        start = time.perf_counter()
        found = []
        for k in SEED_GRID:
            labels = KMeans(k, n_init=starts, random_state=0).fit_predict(single)
            found.append(float(silhouette_score(single, labels)))
        seconds["scikit-learn"].append(round(time.perf_counter() - start, 3))
        ours = [float(silhouette_score(single, labels)) for labels in raw.labels]
        worst = max(worst, *(abs(a - b) for a, b in zip(ours, raw.scores, strict=True)))
    ratios = [theirs / ours for ours, theirs in zip(seconds["ilk"], seconds["scikit-learn"], strict=True)]
    return {
        "rows_columns": list(single.shape),
        "starts": starts,
        "seconds": seconds,
        "times_as_fast": round(float(np.median(ratios)), 1),
        "largest_difference_of_a_silhouette": worst,
        "best_k": {"ilk": raw.choice().natural, "scikit-learn": int(SEED_GRID[int(np.argmax(found))])},
    }


def main() -> None:
    """Run the experiment for three kinds of features."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos")
    parser.add_argument("weights")
    parser.add_argument("--rounds", type=int, default=0, help="of the race with scikit-learn: minutes each")
    parser.add_argument("--starts", type=int, default=1, help="of each K-means in the race; the experiment takes 10")
    options = parser.parse_args()
    source = open_images(options.photos)
    names = source.names()
    report: dict[str, Any] = {"network": MODEL, "n_images": len(names), "raw": {}}
    with tempfile.TemporaryDirectory(prefix="ilk-seed-") as cache:
        shared = {"encoder": MODEL, "weights": options.weights, "cache": cache, "device": "cpu"}
        fitted = {}
        for pool in ("flatten", "gap", "softmax"):
            settings = {"pool": pool, "k_grid": grid(len(names))}
            model = TransferClustering(preset="seed", settings=settings, **shared).fit(source)
            table = model.k_choice_.table
            few = best(table, SEED_GRID)
            fitted[pool] = model
            report["raw"][pool] = {
                "columns": int(model.encoded_.features.shape[1]),
                "best_of_2_to_10": few,
                "best_of_all": best(table, grid(len(names))),
                "table": table,
                "seconds_cluster": next(r["seconds"] for r in model.history_ if r["stage"] == "cluster"),
            }
        if options.rounds:
            report["race"] = race(fitted["flatten"].encoded_.features, options.rounds, options.starts)
        advised = TransferClustering(**shared).fit(source)
        report["advisor"] = {"suggested": advised.k_choice_.suggested(), "table": advised.k_choice_.table}
        for key in ("clear", "why"):
            if hasattr(advised.k_choice_, key):
                report["advisor"][key] = getattr(advised.k_choice_, key)
    labels = truth("folder", options.photos)
    report["true_number"] = len(set(labels.values()))
    for pool, model in fitted.items():
        report["raw"][pool]["scores_of_best_of_all"] = quality(model, names, labels)
    report["advisor"]["scores"] = quality(advised, names, labels)
    print(json.dumps(report))


if __name__ == "__main__":
    main()
