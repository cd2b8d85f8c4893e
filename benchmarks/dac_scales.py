"""Whether `auto` should train the scales of DAC's norms on a few thousand small images, decided without labels.

    python benchmarks/dac_scales.py SOURCE.npz [--images 2000] [--trainings 3] [--keep FILE] [--processes 2]

Single trainings of `released_star` with trained scales, as published, and with fixed ones, on the first images of
SOURCE, with seeds that no other benchmark uses. The rule is that of dac_small.py, fixed before anything was measured:
the candidate whose trainings agree most with each other. ACC is printed beside it, afterwards, and decides nothing.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import torch
from dac_small import FIRST_SEED, K, collected, compared, parser_of

from ilk.methods import DAC

CANDIDATES = {"trained": True, "fixed": False}


def trained(job: tuple[str, int, str, int]) -> dict[str, Any]:
    """Train once on one thread; return the groups, and what is known without labels."""
    name, seed, source, n = job
    torch.set_num_threads(1)
    images = np.load(source)["x_train"][:n]
    model = DAC(K, preset="released_star", random_state=seed, settings={"affine": CANDIDATES[name]}).fit(images)
    epochs = [told for told in model.history_ if told.get("epoch")]
    return {
        "labels": model.labels_.tolist(),
        "seconds": next(
            told["seconds"] for told in model.history_ if told.get("stage") == "train" and "seconds" in told
        ),
        "pair_loss": round(next(told["pair_loss"] for told in model.history_ if told.get("stage") == "restart"), 4),
        "largest": [min(told["largest"] for told in epochs), epochs[-1]["largest"]],
        "agreement_of_epochs": epochs[-1]["agreement"],
    }


def main() -> None:
    """Train, compare, print JSON."""
    parser = parser_of(__doc__)
    parser.add_argument("source")
    parser.add_argument("--images", type=int, default=2000)
    options = parser.parse_args()
    seeds = range(FIRST_SEED, FIRST_SEED + options.trainings)
    runs = [(name, seed, options.source, options.images) for seed in seeds for name in CANDIDATES]
    kept = collected(trained, {f"{run[0]}, seed {run[1]}": run for run in runs}, options)
    truth = np.load(options.source)["y_train"][: options.images]
    told = {}
    for name in CANDIDATES:
        mine = [kept[f"{name}, seed {seed}"] for seed in seeds]
        seen = {key: [one[key] for one in mine] for key in ("largest", "agreement_of_epochs")}
        told[name] = {**seen, **compared(mine, truth)}
    chosen = max(told, key=lambda name: float(told[name]["agreement_of_seeds"]))
    found = {"seeds": list(seeds), "images": options.images, "candidates": told, "chosen_without_labels": chosen}
    print(json.dumps(found))


if __name__ == "__main__":
    main()
