"""DAC's steps on a GPU: as recorded CUDA graphs and kernel by kernel, in float32 and bfloat16.

    python benchmarks/dac_graph.py [--portions 3]

Trains on random pixels (speed does not depend on what they show) through ilk's own Learner: reading, alteration,
targets and steps, all included. Prints one JSON object with microseconds a step, and the losses of two chunks without
and with graphs where nothing is altered: not quite alike, since atomic additions come in any order.
"""

from __future__ import annotations

import argparse
import json
import time
from typing import Any

import numpy as np
import torch

from ilk.data import ArrayImages, channel_mean
from ilk.methods.dac import config as setup
from ilk.methods.dac.presets import PRESETS
from ilk.methods.dac.training_step import Learner, make_learner, thresholds
from ilk.methods.inputs.dataset import Pixels

ROWS = (  # preset, shape of an image, bfloat16, graphs
    ("released_star", (28, 28), False, True),
    ("released_star", (28, 28), False, False),
    ("released_star", (28, 28), True, True),
    ("seed", (28, 28), False, True),
    ("paper", (28, 28), False, True),
    ("released_dac", (32, 32, 3), False, True),
    ("released_dac", (32, 32, 3), True, True),
)
STILL = {"rotation": 0.0, "shift": 0.0, "zoom": [1.0, 1.0], "flip": False, "channel_shift": 0.0, "scale": 1.0}


def learner(preset: str, shape: tuple[int, ...], half: bool, graph: bool, **changed: Any) -> Learner:
    """Return a fresh learner at the beginning of its first epoch, on 6,000 images of random pixels."""
    source = ArrayImages(np.random.default_rng(0).integers(0, 256, (6000, *shape), np.uint8))
    table = {**setup.fill(dict(PRESETS[preset]), source), **changed, "graph": graph}
    made = make_learner(Pixels(source, channel_mean(source), torch.device("cuda")), table, 10, 0, half, 0)
    made.begin(*thresholds(table)[0])
    return made


def microseconds(made: Learner, portions: int) -> float:
    """Return the time of a step, targets and alteration included, after one portion that warms up."""
    pieces = made.portions()
    made.train(pieces[0], 0)
    chosen = [pieces[i % len(pieces)] for i in range(1, portions + 1)]
    start = time.perf_counter()
    for piece in chosen:
        made.train(piece, 0)
    torch.cuda.synchronize()
    return 1e6 * (time.perf_counter() - start) / (portions * made.steps() / len(pieces))


def main() -> None:
    """Measure and print JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--portions", type=int, default=3)
    options = parser.parse_args()
    if not torch.cuda.is_available():
        parser.error("no GPU is usable here")
    rows = []
    for preset, shape, half, graph in ROWS:
        made = learner(preset, shape, half, graph)
        step = microseconds(made, options.portions)
        rows.append(
            {
                "preset": preset,
                "batch": made.batch_size,
                "precision": "bf16" if half else "fp32",
                "graph": graph,
                "microseconds_per_step": round(step),
                "images_per_second": round(1e6 * made.batch_size / step),
            }
        )
    pair = [learner("released_star", (28, 28), False, graph, **STILL) for graph in (False, True)]
    losses = [[made.train(piece, 0) for piece in made.portions()[:2]] for made in pair]
    print(json.dumps({"rows": rows, "losses_without_and_with": losses}))


if __name__ == "__main__":
    main()
