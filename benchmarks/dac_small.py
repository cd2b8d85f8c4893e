"""Which settings DAC's preset `small` should have, decided without labels; and what that choice was worth.

    python benchmarks/dac_small.py [--trainings 3] [--keep FILE]

For each candidate (batch of 64 or 128 images; batch norms that train scale and shift, or not) single trainings on
the digits inside scikit-learn, with seeds that no other benchmark uses. The rule, fixed before anything was measured:
the candidate whose trainings agree most with each other (mean adjusted Rand index of all pairs). A network that finds
what is there finds it again from another start; one that ends anywhere does not. ACC is printed beside it, afterwards,
and decides nothing. --keep remembers finished trainings, so that a killed command goes on.
"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.datasets import load_digits

from ilk import metrics
from ilk.methods import DAC

K, FIRST_SEED = 10, 100
CANDIDATES = {
    f"batch {batch}, {'trained' if affine else 'fixed'} scale": {"batch_size": batch, "affine": affine}
    for batch in (64, 128)
    for affine in (True, False)
}


def trained(images: np.ndarray, settings: dict[str, Any], seed: int) -> dict[str, Any]:
    """Train once; return labels, seconds and the loss without labels."""
    model = DAC(K, preset="small", n_init=1, random_state=seed, settings=settings).fit(images)
    seconds = next(
        record["seconds"] for record in model.history_ if record.get("stage") == "train" and "seconds" in record
    )
    pair_loss = next(record["pair_loss"] for record in model.history_ if record.get("stage") == "restart")
    return {"labels": model.labels_.tolist(), "seconds": seconds, "pair_loss": round(pair_loss, 4)}


def main() -> None:
    """Train, compare, print JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trainings", type=int, default=3)
    parser.add_argument("--keep", type=Path)
    options = parser.parse_args()
    digits = load_digits()
    images = np.round(digits.images * 255 / 16).astype(np.uint8)
    kept: dict[str, Any] = json.loads(options.keep.read_text()) if options.keep and options.keep.exists() else {}
    for name, settings in CANDIDATES.items():
        for seed in range(FIRST_SEED, FIRST_SEED + options.trainings):
            key = f"{name}, seed {seed}"
            if key not in kept:
                kept[key] = trained(images, settings, seed)
                if options.keep:
                    options.keep.write_text(json.dumps(kept))
    told = {}
    for name in CANDIDATES:
        mine = [kept[f"{name}, seed {seed}"] for seed in range(FIRST_SEED, FIRST_SEED + options.trainings)]
        pairs = itertools.combinations([np.array(one["labels"]) for one in mine], 2)
        told[name] = {
            "agreement_of_seeds": round(statistics.mean(metrics.agreement(a, b)["ari"] for a, b in pairs), 4),
            "pair_loss": [one["pair_loss"] for one in mine],
            "seconds": [round(one["seconds"], 1) for one in mine],
            "acc_that_chose_nothing": [round(metrics.accuracy(digits.target, one["labels"]), 3) for one in mine],
        }
    chosen = max(told, key=lambda name: told[name]["agreement_of_seeds"])
    seeds = list(range(FIRST_SEED, FIRST_SEED + options.trainings))
    print(json.dumps({"data": "digits", "seeds": seeds, "candidates": told, "chosen_without_labels": chosen}))


if __name__ == "__main__":
    main()
