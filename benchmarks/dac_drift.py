"""Why groups of DAC* run together: trained scales, or targets made in small batches? A long training in miniature.

    python benchmarks/dac_drift.py [--epochs 60] [--seeds 3]

The digits inside scikit-learn, the network of `small`, the rule of `released_star` for MNIST with its way of the
threshold (.90 to .50) stretched over 60 epochs: 4,800 steps. Four settings: scale and shift of the norms trained or
not, targets in batches of 32 or of the whole chunk. Prints one JSON object with ACC after a tenth of the epochs and at
the end, and what is known without labels: share of the largest group and agreement of the last two epochs.
"""

from __future__ import annotations

import argparse
import json
from concurrent.futures import ProcessPoolExecutor
from typing import Any

from sklearn.datasets import load_digits

from ilk import metrics
from ilk.methods import DAC

ARMS = [(affine, batch) for affine in (True, False) for batch in (32, 1000)]


def train(job: tuple[bool, int, int, int]) -> dict[str, Any]:
    """Train once and tell what came of it."""
    affine, batch, seed, epochs = job
    digits = load_digits()
    way = {"upper": [0.9, 0.5], "lower": [0.9, 0.5], "sweep": epochs}
    settings = {**way, "affine": affine, "target_batch": batch}
    images = (digits.images * 255 / 16).astype("uint8")
    model = DAC(10, preset="small", n_init=1, random_state=seed, precision="fp32", settings=settings).fit(images)
    told = [record for record in model.history_ if "epoch" in record]
    truth = digits.target[model.encoded_.rows]
    acc = [float(metrics.scores(truth, model.assignments_[at].astype(int))["acc"]) for at in (epochs // 10, epochs)]
    return {
        "affine": affine,
        "target_batch": batch,
        "seed": seed,
        "acc_after_a_tenth": round(acc[0], 3),
        "acc": round(acc[1], 3),
        "largest_least": min(record["largest"] for record in told[1:]),
        "largest": told[-1]["largest"],
        "agreement": told[-1]["agreement"],
        "loss": told[-1]["loss"],
    }


def main() -> None:
    """Train all, two at a time, and print JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    jobs = [(*arm, seed, options.epochs) for seed in range(options.seeds) for arm in ARMS]
    with ProcessPoolExecutor(2) as pool:
        print(json.dumps({"epochs": options.epochs, "trainings": list(pool.map(train, jobs))}))


if __name__ == "__main__":
    main()
