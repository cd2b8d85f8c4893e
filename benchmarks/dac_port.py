"""DAC's training step on the MNIST network: ilk beside a plain PyTorch port of the same network, batch and loss.

    python benchmarks/dac_port.py [--seconds 60] [--batch 128] [--precision auto]

The port is what one writes first: float32, channels in front, images resident as float32, the alteration by
torchvision's affine transform image by image, the item() of the loss in every step for the log. Both train on the same
random pixels (speed does not depend on what they show), in turns of a few steps, and the ratio of the two speeds is the
result. ilk's part goes through its own Learner: reading, alteration, targets and step, all included, in the precision
that its "auto" takes on this processor: bf16 convolutions where there are units for it. A second port without any
alteration is timed too, so that the ratio shows what the alteration costs.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch
from torch import nn
from torchvision.transforms import InterpolationMode, RandomAffine

from ilk.data import ArrayImages, channel_mean
from ilk.methods import _dac_setup as setup
from ilk.methods._dac_steps import make_learner
from ilk.methods._pool import Pixels
from ilk.methods.dac_presets import PRESETS

K, CHUNK = 10, 1000


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
    order = torch.arange(len(pixels))
    learner.frozen = learner.targets(order)

    def step() -> int:
        index = torch.randperm(len(pixels))[:batch]
        learner.optimizer.zero_grad(set_to_none=True)
        learner._step(index, learner.pool.read(index)).backward()
        learner.optimizer.step()
        return batch

    return step, half


def main() -> None:
    """Measure in turns and print JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--precision", choices=["auto", "fp32", "bf16"], default="auto")
    options = parser.parse_args()
    pixels = np.random.default_rng(0).integers(0, 256, (CHUNK, 28, 28), np.uint8)
    torch.manual_seed(0)
    our_step, half = ours(pixels, options.batch, options.precision)
    steps = {
        "ilk": our_step,
        "port": port(pixels, options.batch, True),
        "port_without_alteration": port(pixels, options.batch, False),
    }
    for step in steps.values():
        step()
    speeds: dict[str, list[float]] = {name: [] for name in steps}
    begin = time.perf_counter()
    while time.perf_counter() - begin < options.seconds or len(speeds["ilk"]) < 5:
        for name, step in steps.items():
            start = time.perf_counter()
            done = step() + step()
            speeds[name].append(done / (time.perf_counter() - start))
    middle = {name: statistics.median(values) for name, values in speeds.items()}
    print(
        json.dumps(
            {
                "batch": options.batch,
                "precision": "bf16" if half else "fp32",
                "threads": torch.get_num_threads(),
                "turns": len(speeds["ilk"]),
                "images_per_second": {name: round(value, 1) for name, value in middle.items()},
                "ratio": round(middle["ilk"] / middle["port"], 2),
                "ratio_without_alteration": round(middle["ilk"] / middle["port_without_alteration"], 2),
            }
        )
    )


if __name__ == "__main__":
    main()
