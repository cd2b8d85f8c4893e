"""DAC's training step on the MNIST network: ilk beside a plain PyTorch port of the same network, batch and loss.

    python benchmarks/dac_port.py [--seconds 100] [--batch 128] [--precision auto]

The port is what one writes first: float32, channels in front, images resident as float32, the alteration by
torchvision's affine transform image by image, the item() of the loss in every step for the log. All train on the same
random pixels (speed does not depend on what they show), each in a process of its own, in turns of a few steps, and the
ratio of two speeds is the result. ilk's part goes through its own Learner: reading, alteration, targets and step, all
included, in the precision that its "auto" takes on this processor for a long training: bf16 convolutions where there
are units for it. Beside it, so that the ratios show where the difference comes from: ilk in float32; ilk with memory as
the system has it (no `compute.keep_freed`, small pages); and a second port without any alteration.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

import numpy as np
import torch
from torch import nn
from torchvision.transforms import InterpolationMode, RandomAffine

from ilk import compute
from ilk.data import ArrayImages, channel_mean
from ilk.methods.dac import config as setup
from ilk.methods.dac.presets import PRESETS
from ilk.methods.dac.training_step import make_learner
from ilk.methods.inputs.dataset import Pixels

K, CHUNK = 10, 1000
IMAGES = 2000  # with the preset's epochs long enough for "auto" to try bf16


class Port(nn.Module):
    """The MNIST network as a plain module."""

    def __init__(self) -> None:
        super().__init__()

        def block(before: int, after: int) -> list[nn.Module]:
            layers: list[nn.Module] = []
            for width in (before, after, after):
                norm = nn.BatchNorm2d(after, track_running_stats=False)
                layers += [nn.Conv2d(width, after, 3), norm, nn.ReLU()]
            return [*layers, nn.MaxPool2d(2), nn.BatchNorm2d(after, track_running_stats=False)]

        last = [nn.Conv2d(128, K, 1), nn.BatchNorm2d(K, track_running_stats=False), nn.ReLU(), nn.AvgPool2d(2)]
        flat = [nn.BatchNorm2d(K, track_running_stats=False), nn.Flatten()]
        head = [nn.Linear(K, K), nn.BatchNorm1d(K, track_running_stats=False), nn.ReLU()]
        end = [nn.Linear(K, K), nn.BatchNorm1d(K, track_running_stats=False), nn.ReLU()]
        self.layers = nn.Sequential(*block(1, 64), *block(64, 128), *last, *flat, *head, *end)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return label features."""
        proba = self.layers(x).softmax(1)
        return proba / proba.norm(dim=1, keepdim=True)


def port(pixels: np.ndarray, batch: int, alter: bool) -> Callable[[], int]:
    """Return a function that trains one step and says on how many images."""
    x = torch.from_numpy(pixels).float()[:, None] / 255
    x -= x.mean()
    net = Port()
    optimizer = torch.optim.RMSprop(net.parameters(), lr=1e-3, alpha=0.9)
    affine = RandomAffine(10, (0.1, 0.1), (0.95, 1.05), interpolation=InterpolationMode.NEAREST)
    with torch.no_grad():
        frozen = torch.cat([net(part) for part in x.split(32)])

    def step() -> int:
        index = torch.randperm(len(x))[:batch]
        images = torch.stack([affine(image) for image in x[index]]) if alter else x[index]
        features = net(images)
        target = (frozen[index] @ frozen[index].T > 0.9).float()
        loss = ((features @ features.T - target) ** 2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        loss.item()
        return batch

    return step


def ours(pixels: np.ndarray, batch: int, precision: str) -> tuple[Callable[[], int], bool]:
    """Return a function that trains one step of ilk's own loop and says on how many images, and whether it is bf16."""
    source = ArrayImages(pixels)
    table = setup.fill({**PRESETS["released_star"], "batch_size": batch, "drop_last": True}, source)
    pool = Pixels(source, channel_mean(source), torch.device("cpu"))
    half = setup.half_precision(precision, pool, table, K, 0, None)
    learner = make_learner(pool, table, K, 0, half, 0)
    learner.begin(0.9, 0.9)
    order = torch.arange(CHUNK)
    learner.frozen = learner.targets(order)
    compute.keep_freed()  # as train_epoch does

    def step() -> int:
        index = torch.randperm(CHUNK)[:batch]
        learner.optimizer.zero_grad(set_to_none=True)
        learner._step(index, learner.pool.read(index)).backward()
        learner.optimizer.step()
        return batch

    return step, half


KINDS = ("ilk", "ilk_fp32", "ilk_gives_memory_back", "port", "port_without_alteration")


def work(kind: str, batch: int, precision: str) -> None:
    """Train two steps for every line of standard input, and print how many images a second they were."""
    pixels = np.random.default_rng(0).integers(0, 256, (IMAGES, 28, 28), np.uint8)
    torch.manual_seed(0)
    half = False
    if kind.startswith("port"):
        step = port(pixels[:CHUNK], batch, kind == "port")
    else:
        if kind == "ilk_gives_memory_back":
            compute.keep_freed = lambda: False  # type: ignore[assignment]
        step, half = ours(pixels, batch, "fp32" if kind == "ilk_fp32" else precision)
    step()
    print(json.dumps({"half": half, "threads": torch.get_num_threads()}), flush=True)
    for _ in sys.stdin:
        start = time.perf_counter()
        done = step() + step()
        print(done / (time.perf_counter() - start), flush=True)


def start(kind: str, batch: int, precision: str) -> subprocess.Popen[str]:
    """Start the process of one kind."""
    command = [sys.executable, __file__, "--work", kind, "--batch", str(batch), "--precision", precision]
    large = "1" if kind in ("ilk", "ilk_fp32") else "0"  # as the command line of ilk sets it
    return subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_WAIT_POLICY": "PASSIVE", "THP_MEM_ALLOC_ENABLE": large},
    )


def main() -> None:
    """Measure in turns and print JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=100.0)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--precision", choices=["auto", "fp32", "bf16"], default="auto")
    parser.add_argument("--work", choices=KINDS, help="internal: be one of the processes")
    options = parser.parse_args()
    if options.work:
        work(options.work, options.batch, options.precision)
        return
    workers, facts, precision = {}, {}, options.precision
    for kind in KINDS:
        workers[kind] = start(kind, options.batch, precision)
        facts[kind] = json.loads(workers[kind].stdout.readline())
        if kind == "ilk":  # what it decided goes for the others: a probe of their own would leave another heap behind
            precision = "bf16" if facts[kind]["half"] else "fp32"
    speeds: dict[str, list[float]] = {kind: [] for kind in KINDS}
    begin = time.perf_counter()
    while time.perf_counter() - begin < options.seconds or len(speeds["ilk"]) < 5:
        for kind, worker in workers.items():
            worker.stdin.write("\n")
            worker.stdin.flush()
            speeds[kind].append(float(worker.stdout.readline()))
    for worker in workers.values():
        worker.communicate()
    middle = {kind: statistics.median(values) for kind, values in speeds.items()}
    print(
        json.dumps(
            {
                "batch": options.batch,
                "precision": "bf16" if facts["ilk"]["half"] else "fp32",
                "threads": facts["ilk"]["threads"],
                "turns": len(speeds["ilk"]),
                "images_per_second": {kind: round(value, 1) for kind, value in middle.items()},
                "ratio": round(middle["ilk"] / middle["port"], 2),
                "ratio_without_alteration": round(middle["ilk"] / middle["port_without_alteration"], 2),
                "ratio_fp32": round(middle["ilk_fp32"] / middle["port"], 2),
                "ratio_of_kept_memory": round(middle["ilk"] / middle["ilk_gives_memory_back"], 2),
            }
        )
    )


if __name__ == "__main__":
    main()
