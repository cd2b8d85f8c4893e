"""Does bfloat16 change what DAC learns? The first part of an epoch of `released_star` on MNIST, in both precisions.

    python benchmarks/dac_precision.py [--chunks 35] [--seeds 0 1 2]

The same weights, images and alterations for each pair; ACC on all 70,000 images afterwards. The labels only score.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from pathlib import Path

import numpy as np
import torch

from ilk import metrics
from ilk.data import ArrayImages, channel_mean
from ilk.methods.dac import config as setup
from ilk.methods.dac.presets import PRESETS
from ilk.methods.dac.training_step import make_learner, thresholds
from ilk.methods.inputs.dataset import Pixels


def main() -> None:
    """Train, score, print JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--chunks", type=int, default=35)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    options = parser.parse_args()
    data = np.load(Path(os.environ.get("ILK_DATA", "../shared/data")) / "mnist.npz")
    pixels = np.concatenate([data["x_train"], data["x_test"]])
    classes = np.concatenate([data["y_train"], data["y_test"]])
    source = ArrayImages(pixels)
    table = setup.fill(PRESETS["released_star"], source)
    pool = Pixels(source, channel_mean(source), torch.device("cpu"))
    found = []
    for seed in options.seeds:
        for half in (True, False):
            learner = make_learner(pool, table, 10, seed, half, 0)
            learner.begin(*thresholds(table)[0])
            start = time.perf_counter()
            losses = [learner.train(portion, 0) for portion in learner.portions()[: options.chunks]]
            seconds = time.perf_counter() - start
            learner.settle()
            groups = learner.predicted().argmax(1).numpy()
            positive, _ = learner.shares()
            found.append(
                {
                    "seed": seed,
                    "precision": "bf16" if half else "fp32",
                    "acc": round(float(metrics.scores(classes, groups)["acc"]), 4),
                    "loss": round(float(np.mean(losses[-10:])), 6),
                    "positive": round(positive, 4),
                    "largest": round(float(np.bincount(groups, minlength=10).max() / len(groups)), 4),
                    "train_seconds": round(seconds, 1),
                }
            )
            print(found[-1], file=sys.stderr, flush=True)
    print(json.dumps({"chunks": options.chunks, "steps": options.chunks * 40, "runs": found}))


if __name__ == "__main__":
    main()
