"""SimCLR's training step with and without torch.compile, on the machine at hand.

    python benchmarks/scan_compile.py [--networks small,resnet18] [--turns 7] [--preset small]

Both sides train the same network on the same random images through SCAN's own pretext stage (alteration, network,
loss, optimizer), in turns of a few steps; speed does not depend on what the images show. Prints JSON: images/s of both,
the ratio of each turn, what compiling cost, and after how many steps of training that is won back.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from typing import Any

import numpy as np
import torch

from ilk import compute
from ilk.data import ArrayImages
from ilk.methods.inputs.views import Views
from ilk.methods.scan.presets import PRESETS
from ilk.methods.scan.pretext import Pretext, build_net

SIDES = {"small": 28, "resnet18": 32}


def stage(network: str, preset: str, batch: int, compiled: bool) -> Pretext:
    """Return the pretext stage, its encoder compiled or not."""
    side = SIDES[network]
    channels = 1 if network == "small" else 3
    pixels = np.random.default_rng(0).integers(0, 256, (4 * batch, channels, side, side), np.uint8)
    table = {**PRESETS[preset], "network": network, "pretext_batch": batch}
    net = build_net(table, channels, compute.generator(0))
    if compiled:
        net.encoder.compile()
    device = compute.device("auto")
    net.to(device, memory_format=torch.channels_last)
    views = Views(ArrayImages(pixels), torch.full((channels,), 0.5), torch.full((channels,), 0.25), device)
    found = Pretext(net, views, table, 0, device.type == "cuda")
    found.net.train()
    return found


def seconds(one: Pretext, steps: int, size: int) -> float:
    """Return the seconds of `steps` steps."""
    begin = time.perf_counter()
    for step in range(steps):
        index = torch.arange(size) + (step % 4) * size
        one.optimizer.zero_grad(set_to_none=True)
        one._step(index, index).backward()
        one.optimizer.step()
    if one.views.device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - begin


def compare(network: str, preset: str, batch: int, turns: int, steps: int) -> dict[str, Any]:
    """Race both sides in turns."""
    plain, compiled = (stage(network, preset, batch, kind) for kind in (False, True))
    first = seconds(compiled, 2, batch)
    seconds(plain, 2, batch)
    each = [(seconds(plain, steps, batch), seconds(compiled, steps, batch)) for _ in range(turns)]
    ratios = [a / b for a, b in each]
    speeds = [steps * batch / statistics.median(column) for column in zip(*each, strict=True)]
    saved = batch / speeds[0] - batch / speeds[1]
    return {
        "network": network, "batch": batch, "device": str(plain.views.device),
        "images_per_second": {"plain": round(speeds[0]), "compiled": round(speeds[1])},
        "ratio": round(statistics.median(ratios), 3), "ratios": [round(r, 3) for r in ratios],
        "compile_seconds": round(first, 1),
        "steps_to_win_back": round(first / saved) if saved > 0 else None,
    }  # fmt: skip


def main() -> None:
    """Measure and print JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", default="small,resnet18")
    parser.add_argument("--preset", default="small")
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--turns", type=int, default=7)
    parser.add_argument("--steps", type=int, default=4)
    asked = parser.parse_args()
    found = [compare(name, asked.preset, asked.batch, asked.turns, asked.steps) for name in asked.networks.split(",")]
    print(json.dumps({"preset": asked.preset, "threads": torch.get_num_threads(), "networks": found}))


if __name__ == "__main__":
    main()
