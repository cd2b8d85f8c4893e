"""Which settings DAC's preset `small` should have, decided without labels; and what that choice was worth.

    python benchmarks/dac_small.py [--trainings 3] [--keep FILE] [--processes 2]

Single trainings of each candidate on the digits inside scikit-learn, with seeds that no other benchmark uses. The
candidates differ in what published logs and reports say matters: the way of the threshold (the log of MNIST is best at
.78 and loses by going on to .5; the scripts for colour stop at .75), and the consistency loss (in all scripts but that
for MNIST).

The rule, fixed before anything was measured: the candidate whose trainings agree most with each other (mean adjusted
Rand index of all pairs). A training that finds what is there finds it again from another start; one that ends anywhere
does not. ACC is printed beside it, afterwards, and decides nothing. --keep remembers finished trainings, so that a
killed command goes on.
"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.datasets import load_digits

from ilk import metrics
from ilk.methods import DAC

K, FIRST_SEED = 10, 100
LONG, SHORT = {"upper": [0.9, 0.5], "lower": [0.9, 0.5]}, {"upper": [0.95, 0.75], "lower": [0.95, 0.75]}
CANDIDATES: dict[str, dict[str, Any]] = {
    ".90 to .50": LONG,
    ".95 to .75": SHORT,
    ".90 to .50, consistency": {**LONG, "consistency": 1.0},
    ".95 to .75, consistency": {**SHORT, "consistency": 1.0},
}


def digits() -> np.ndarray:
    """The pixels, uint8 (1797, 8, 8)."""
    return np.round(load_digits().images * 255 / 16).astype(np.uint8)


def trained(job: tuple[dict[str, Any], int]) -> dict[str, Any]:
    """Train once on one thread; return the groups, seconds and the loss that needs no labels."""
    settings, seed = job
    torch.set_num_threads(1)
    model = DAC(K, preset="small", n_init=1, random_state=seed, settings=settings).fit(digits())
    seconds = next(told["seconds"] for told in model.history_ if told.get("stage") == "train" and "seconds" in told)
    pair_loss = next(told["pair_loss"] for told in model.history_ if told.get("stage") == "restart")
    return {"labels": model.labels_.tolist(), "seconds": seconds, "pair_loss": round(pair_loss, 4)}


def compared(mine: list[dict[str, Any]], truth: np.ndarray) -> dict[str, Any]:
    """What can be said of the trainings of one candidate; its last entry only with labels."""
    pairs = itertools.combinations([np.array(one["labels"]) for one in mine], 2)
    return {
        "agreement_of_seeds": round(statistics.mean(metrics.agreement(a, b)["ari"] for a, b in pairs), 4),
        "pair_loss": [one["pair_loss"] for one in mine],
        "seconds_on_one_thread": [round(one["seconds"], 1) for one in mine],
        "acc_that_chose_nothing": [round(metrics.accuracy(truth, one["labels"]), 3) for one in mine],
    }


def parser_of(about: str | None) -> argparse.ArgumentParser:
    """Return a parser for the options that recipes of this kind share."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trainings", type=int, default=3)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--keep", type=Path)
    return parser


def collected(train: Callable[[Any], dict[str, Any]], jobs: dict[str, Any], options: Any) -> dict[str, dict[str, Any]]:
    """Train every job by name, several at a time, but none that was kept before."""
    kept: dict[str, Any] = json.loads(options.keep.read_text()) if options.keep and options.keep.exists() else {}
    wanted = [name for name in jobs if name not in kept]
    with ProcessPoolExecutor(options.processes) as pool:
        for name, one in zip(wanted, pool.map(train, [jobs[name] for name in wanted]), strict=True):
            kept[name] = one
            if options.keep:
                options.keep.write_text(json.dumps(kept))
    return kept


def main() -> None:
    """Train, compare, print JSON."""
    options = parser_of(__doc__).parse_args()
    seeds = range(FIRST_SEED, FIRST_SEED + options.trainings)
    jobs = {f"{name}, seed {seed}": (CANDIDATES[name], seed) for seed in seeds for name in CANDIDATES}
    kept = collected(trained, jobs, options)
    truth = load_digits().target
    told = {name: compared([kept[f"{name}, seed {seed}"] for seed in seeds], truth) for name in CANDIDATES}
    chosen = max(told, key=lambda name: float(told[name]["agreement_of_seeds"]))
    print(json.dumps({"data": "digits", "seeds": list(seeds), "candidates": told, "chosen_without_labels": chosen}))


if __name__ == "__main__":
    main()
