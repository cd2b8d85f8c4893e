"""Images per second of our autoencoder and DEC beside those of ClustPy's DEC: same network, batch, images and machine.

    python benchmarks/dec_speed.py [MNIST.npz] [--rounds 3] [--precision auto]

ClustPy is no dependency of ilk. Where it is not installed, only our own figures are shown. Both sides train in turns in
this process: the autoencoder for one epoch by Adam, then the clustering for one epoch's worth of steps by SGD with
momentum. Both have widths 500, 500, 2000 and 10, batches of 256 and as many steps (the number of images is cut to whole
batches); activations (ReLU, LeakyReLU) and the constant in the loss differ, which costs nothing. Ours runs in the
precision that its "auto" takes on this processor, ClustPy in float32.

* `clustering_steps`: forward, loss, backward and optimizer of every batch. Ours has its target already; ClustPy's is
  made of the batch, in the step.
* `clustering`: the same, and with ours the pass over all images that gives the target of the next round and what
  changed. A round has ``n // 256`` steps here; with the preset's 160 steps the pass weighs more or less.
* `clustering_adam`: ClustPy with the optimizer that it has by default; ours has SGD.

Read and tried with ClustPy 0.0.3, whose inner functions are called.
"""

from __future__ import annotations

import argparse
import functools
import importlib.util
import json
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from ilk import compute, train
from ilk.data import ArrayImages
from ilk.methods.baselines.dec_presets import DEFAULT
from ilk.methods.baselines.dec_steps import CenteredAutoencoder, Embedding
from ilk.methods.inputs.dataset import Pixels

BATCH, WIDTHS, CODE, K = 256, [500, 500, 2000], 10, 10


def images(path: str | None, n: int) -> np.ndarray:
    """Return uint8 images (n, 28, 28): of MNIST, or noise of that size."""
    if path is None:
        return np.random.default_rng(0).integers(0, 256, (n, 28, 28), np.uint8)
    with np.load(path) as arrays:
        return arrays["x_train"][:n]


def make(pixels: np.ndarray, half: bool) -> Embedding:
    """Return what trains one epoch of the autoencoder and two rounds of clustering."""
    n = len(pixels)
    fixed = {"epochs": 1, "rounds": 2, "interval": n // BATCH, "batch_size": BATCH, "n_init": 1, "tolerance": 0.0}
    with compute.seeded(0):
        net = CenteredAutoencoder((1, 28, 28), WIDTHS, CODE, K)
    pool = Pixels(ArrayImages(pixels), torch.zeros(1), torch.device("cpu"))
    return Embedding(net, pool, {**DEFAULT, **fixed}, K, half, 0)


def ours(pixels: np.ndarray, half: bool) -> dict[str, float]:
    """Return images per second of an epoch of the autoencoder, of clustering steps alone, and of a whole round."""
    n = len(pixels)
    learner = make(pixels, half)
    first = seconds(lambda: learner.epoch(0, lambda record: None))
    learner.epoch(1, lambda record: None)  # with K-means, and the only round that makes assignments twice
    whole = seconds(lambda: learner.epoch(2, lambda record: None))
    batches = learner._batches(torch.randperm(n, generator=compute.generator(0)))
    steps = seconds(lambda: train.train_epoch(learner._step, batches, learner.optimizer))
    return {"autoencoder": n / first, "clustering_steps": n / steps, "clustering": n / whole}


def theirs(pixels: np.ndarray) -> dict[str, float]:
    """Return the same of ClustPy, whose target is made in each step; K-means and the last predictions are left out."""
    from clustpy.deep._data_utils import get_train_and_test_dataloader
    from clustpy.deep._utils import mean_squared_error
    from clustpy.deep.dec import _DEC_Module
    from clustpy.deep.neural_networks import FeedforwardAutoencoder

    rows = (pixels.reshape(len(pixels), -1) / 255).astype(np.float32)
    place = torch.device("cpu")
    loader = get_train_and_test_dataloader(rows, BATCH, None)[0]
    net = FeedforwardAutoencoder([rows.shape[1], *WIDTHS, CODE], random_state=0).to(place)
    first = seconds(lambda: net.fit(n_epochs=1, dataloader=loader, optimizer_params={"lr": 1e-3}))
    module = _DEC_Module(np.random.default_rng(0).normal(size=(K, CODE)).astype(np.float32), 1.0).to(place)

    def clustering(optimizer: torch.optim.Optimizer) -> float:
        steps = seconds(lambda: module.fit(net, loader, 1, place, optimizer, mean_squared_error, 1.0, 0))
        return len(rows) / steps

    trained = [*net.parameters(), *module.parameters()]
    sgd, adam = torch.optim.SGD(trained, lr=1e-4, momentum=0.9), torch.optim.Adam(trained, lr=1e-4)
    same = clustering(sgd)
    return {
        "autoencoder": len(rows) / first,
        "clustering_steps": same,
        "clustering": same,
        "clustering_adam": clustering(adam),
    }


def seconds(call: Callable[[], Any]) -> float:
    """Return how long `call` takes."""
    begin = time.perf_counter()
    call()
    return time.perf_counter() - begin


def main() -> None:
    """Measure in turns and print the medians and their ratio as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("mnist", nargs="?")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--images", type=int, default=20_000)
    parser.add_argument("--precision", choices=["auto", "fp32", "bf16"], default="auto")
    asked = parser.parse_args()
    pixels = images(asked.mnist, asked.images)
    pixels = pixels[: len(pixels) // BATCH * BATCH]  # both sides make the same steps
    if not len(pixels):
        parser.error(f"--images must be at least {BATCH}")
    half = train.choose_bf16(asked.precision, "cpu", lambda half: make(pixels, half).speed())
    sides: dict[str, Callable[[np.ndarray], dict[str, float]]] = {"ilk": functools.partial(ours, half=half)}
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
    setting = {"batch": BATCH, "precision": "bf16" if half else "fp32", "threads": torch.get_num_threads()}
    print(json.dumps({"images": len(pixels), **setting, **found}))


if __name__ == "__main__":
    main()
