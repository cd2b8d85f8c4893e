"""Images per second of our autoencoder and DEC beside those of ClustPy's DEC: same network, batch, images and machine.

    python benchmarks/dec_speed.py [MNIST.npz] [--rounds 3]

ClustPy is no dependency of ilk. Where it is not installed, only our own figures are shown. Both sides train in turns in
this process: the autoencoder for one epoch, then the clustering for one epoch's worth of steps.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from ilk import compute
from ilk.data import ArrayImages
from ilk.methods._dec_steps import CenteredAutoencoder, Embedding
from ilk.methods._pool import Pixels
from ilk.methods.dec_presets import DEFAULT

BATCH, WIDTHS, CODE, K = 256, [500, 500, 2000], 10, 10


def images(path: str | None, n: int) -> np.ndarray:
    """Return uint8 images (n, 28, 28): of MNIST, or noise of that size."""
    if path is None:
        return np.random.default_rng(0).integers(0, 256, (n, 28, 28), np.uint8)
    with np.load(path) as arrays:
        return arrays["x_train"][:n]


def ours(pixels: np.ndarray) -> dict[str, float]:
    """Return images per second of an epoch of the autoencoder, and of clustering."""
    n = len(pixels)
    table = {**DEFAULT, "epochs": 1, "rounds": 1, "interval": n // BATCH, "n_init": 1}
    with compute.seeded(0):
        net = CenteredAutoencoder((1, 28, 28), WIDTHS, CODE, K)
    learner = Embedding(net, Pixels(ArrayImages(pixels), torch.zeros(1), torch.device("cpu")), table, K, False, 0)
    begin = time.perf_counter()
    learner.epoch(0, lambda record: None)
    first = time.perf_counter() - begin
    learner._begin()
    learner.target = torch.full((n, K), 1 / K)
    begin = time.perf_counter()
    from ilk import train

    train.train_epoch(learner._step, learner._batches(torch.arange(n)), learner.optimizer)
    second = time.perf_counter() - begin
    return {"autoencoder": n / first, "clustering": n // BATCH * BATCH / second}


def theirs(pixels: np.ndarray) -> dict[str, float]:
    """Return the same of ClustPy: the difference of two epochs and one leaves out what is done once."""
    from clustpy.deep import DEC as TheirDEC  # noqa: N811

    rows = (pixels.reshape(len(pixels), -1) / 255).astype(np.float32)

    def seconds(pretrain: int, cluster: int) -> float:
        begin = time.perf_counter()
        TheirDEC(
            n_clusters=K,
            batch_size=BATCH,
            pretrain_epochs=pretrain,
            clustering_epochs=cluster,
            embedding_size=CODE,
            random_state=0,
            device=torch.device("cpu"),
        ).fit(rows)
        return time.perf_counter() - begin

    base = seconds(1, 1)
    return {
        "autoencoder": len(pixels) / max(seconds(2, 1) - base, 1e-9),
        "clustering": len(pixels) / max(seconds(1, 2) - base, 1e-9),
    }


def main() -> None:
    """Measure in turns and print the medians and their ratio as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("mnist", nargs="?")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--images", type=int, default=20_000)
    asked = parser.parse_args()
    pixels = images(asked.mnist, asked.images)
    sides: dict[str, Callable[[np.ndarray], dict[str, float]]] = {"ilk": ours}
    if importlib.util.find_spec("clustpy") is not None:
        sides["clustpy"] = theirs
    runs: dict[str, list[dict[str, float]]] = {name: [] for name in sides}
    for _ in range(asked.rounds):
        for name, side in sides.items():
            runs[name].append(side(pixels))
    found: dict[str, Any] = {
        name: {part: round(statistics.median(run[part] for run in told)) for part in told[0]}
        for name, told in runs.items()
    }
    if "clustpy" in found:
        found["ratio"] = {part: round(found["ilk"][part] / found["clustpy"][part], 2) for part in found["ilk"]}
    else:
        found["note"] = "clustpy is not installed: nothing to compare with"
    print(json.dumps({"images": len(pixels), "batch": BATCH, "threads": torch.get_num_threads(), **found}, indent=1))


if __name__ == "__main__":
    main()
