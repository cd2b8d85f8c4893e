"""How fast trainings are, through the public `fit` alone: beside another version of ilk, beside plain ports.

    python benchmarks/training.py speed dac --beside ../before/src        this ilk and another, in turns
    python benchmarks/training.py speed dec --sides fp32,bf16
    python benchmarks/training.py dac-port                                DAC's step beside a plain PyTorch port
    python benchmarks/training.py dec [MNIST.npz]                         autoencoder and DEC beside ClustPy's
    python benchmarks/training.py graphs                                  DAC on a GPU with CUDA graphs, and without

Each side trains in a process of its own on the same random pixels (speed does not depend on what they show), an epoch a
turn, then waits while the others have theirs. ilk's speed is the images_per_second of its own record of the epoch:
reading, augmentation, targets and steps, all included. The ratio of two speeds is the result.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

K = 10
BATCH = {"dac": 128, "dec": 256}
LONG = 10**6  # epochs: a side trains until it is told to stop
PORTS = ("port", "port_without_alteration", "clustpy_autoencoder", "clustpy")


def answered(speed: float) -> bool:
    """Report images a second to the parent; False where it wants no more."""
    print(json.dumps(speed), flush=True)
    return bool(sys.stdin.readline())


def work(told: dict[str, Any]) -> None:
    """Be one side, until standard input ends."""
    torch.manual_seed(0)
    pixels = np.random.default_rng(0).integers(0, 256, (told["images"], *told["shape"]), np.uint8)
    if told["data"]:
        with np.load(told["data"]) as arrays:
            pixels = arrays["x_train"][: told["images"]]
    if told["side"] in PORTS:
        epoch = (clustpy if told["side"].startswith("clustpy") else port)(pixels, told)
        while True:
            start = time.perf_counter()
            if not answered(epoch() / (time.perf_counter() - start)):
                return
    from ilk import compute
    from ilk.errors import Interrupted
    from ilk.methods import find

    if told["side"] == "gives_memory_back":
        compute.keep_freed = lambda: False  # type: ignore[assignment]

    def heard(record: dict[str, Any], state: Any) -> bool:
        mine = "images_per_second" in record and record.get("phase", "") in (told["phase"], "")
        return mine and not answered(record["images_per_second"])

    chosen = {"preset": told["preset"]} if told["preset"] else {}
    epochs = {} if told["method"] == "dac" else {"epochs": LONG}  # DAC's thresholds say how many there are
    settings = {**epochs, "batch_size": told["batch"], **told["set"]}
    fixed = {"random_state": 0, "precision": told["precision"], "device": told["device"]}
    model = find(told["method"])(K, settings=settings, **fixed, **chosen)
    try:
        model.fit(pixels, on_epoch=heard)
    except Interrupted:
        return


def port(pixels: np.ndarray, told: dict[str, Any]) -> Callable[[], int]:
    """Return a function that trains as many steps as a chunk of DAC has and says on how many images."""
    from torch import nn
    from torchvision.transforms import InterpolationMode, RandomAffine

    def block(before: int, after: int) -> list[nn.Module]:
        layers: list[nn.Module] = []
        for width in (before, after, after):
            layers += [nn.Conv2d(width, after, 3), nn.BatchNorm2d(after, track_running_stats=False), nn.ReLU()]
        return [*layers, nn.MaxPool2d(2), nn.BatchNorm2d(after, track_running_stats=False)]

    last = [nn.Conv2d(128, K, 1), nn.BatchNorm2d(K, track_running_stats=False), nn.ReLU(), nn.AvgPool2d(2)]
    flat = [nn.BatchNorm2d(K, track_running_stats=False), nn.Flatten()]
    head = [
        layer for _ in range(2) for layer in (nn.Linear(K, K), nn.BatchNorm1d(K, track_running_stats=False), nn.ReLU())
    ]
    layers = nn.Sequential(*block(1, 64), *block(64, 128), *last, *flat, *head)

    def features(x: torch.Tensor) -> torch.Tensor:
        proba = layers(x).softmax(1)
        return proba / proba.norm(dim=1, keepdim=True)

    x = torch.from_numpy(pixels).float()[:, None] / 255
    x -= x.mean()
    optimizer = torch.optim.RMSprop(layers.parameters(), lr=1e-3, alpha=0.9)
    affine = RandomAffine(10, (0.1, 0.1), (0.95, 1.05), interpolation=InterpolationMode.NEAREST)
    with torch.no_grad():
        frozen = torch.cat([features(part) for part in x.split(32)])

    def epoch(steps: int = 8) -> int:
        for _ in range(steps):
            index = torch.randperm(len(x))[: told["batch"]]
            images = x[index] if "without" in told["side"] else torch.stack([affine(image) for image in x[index]])
            seen = features(images)
            target = (frozen[index] @ frozen[index].T > 0.9).float()
            loss = ((seen @ seen.T - target) ** 2).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            loss.item()
        return steps * len(index)

    return epoch


def clustpy(pixels: np.ndarray, told: dict[str, Any]) -> Callable[[], int]:
    """Return a function that trains ClustPy's autoencoder, or its DEC, for an epoch."""
    from clustpy.deep._data_utils import get_train_and_test_dataloader
    from clustpy.deep._utils import mean_squared_error
    from clustpy.deep.dec import _DEC_Module
    from clustpy.deep.neural_networks import FeedforwardAutoencoder

    rows, cpu = (pixels.reshape(len(pixels), -1) / 255).astype(np.float32), torch.device("cpu")
    loader = get_train_and_test_dataloader(rows, told["batch"], None)[0]
    net = FeedforwardAutoencoder([rows.shape[1], 500, 500, 2000, 10], random_state=0).to(cpu)
    module = _DEC_Module(np.random.default_rng(0).normal(size=(K, 10)).astype(np.float32), 1.0).to(cpu)
    sgd = torch.optim.SGD([*net.parameters(), *module.parameters()], lr=1e-4, momentum=0.9)

    def epoch() -> int:
        if told["side"] == "clustpy_autoencoder":
            net.fit(n_epochs=1, dataloader=loader, optimizer_params={"lr": 1e-3})
        else:
            module.fit(net, loader, 1, cpu, sgd, mean_squared_error, 1.0, 0)
        return len(rows)

    return epoch


def race(sides: dict[str, dict[str, Any]], seconds: float) -> dict[str, list[float]]:
    """Return images per second of every turn of every side; the first turn of each does not count."""
    workers = {}
    for name, told in sides.items():
        large = "0" if told["side"] in (*PORTS, "gives_memory_back") else "1"  # as the command line of ilk sets it
        own = {**os.environ, "OMP_WAIT_POLICY": "PASSIVE", "THP_MEM_ALLOC_ENABLE": large}
        if told.get("source"):
            own["PYTHONPATH"] = told["source"]
        command = [sys.executable, __file__, "--work", json.dumps(told)]
        workers[name] = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=own)
        json.loads(workers[name].stdout.readline())  # type: ignore[union-attr]
    speeds: dict[str, list[float]] = {name: [] for name in sides}
    begin, lines = time.perf_counter(), ["1"]
    while all(lines) and (time.perf_counter() - begin < seconds or min(map(len, speeds.values())) < 3):
        for name, worker in workers.items():
            print(file=worker.stdin, flush=True)
            lines.append(worker.stdout.readline())  # type: ignore[union-attr]
            if lines[-1]:  # no line: the training is at its end
                speeds[name].append(json.loads(lines[-1]))
    for worker in workers.values():
        worker.communicate()
    return speeds


def shown(speeds: dict[str, list[float]], over: str, options: argparse.Namespace) -> dict[str, Any]:
    """Return medians, and what the first side is to each other one, turn by turn."""
    middle = {name: statistics.median(values) for name, values in speeds.items()}
    pairs = {name: [a / b for a, b in zip(speeds[over], values, strict=False)] for name, values in speeds.items()}
    return {
        "images": options.images, "batch": options.batch, "threads": torch.get_num_threads(),
        "turns": min(map(len, speeds.values())),
        "images_per_second": {name: round(value, 1) for name, value in middle.items()},
        "ratios": {name: round(statistics.median(each), 3) for name, each in pairs.items() if name != over},
        "load": round(os.getloadavg()[0], 1),
    }  # fmt: skip


def side(options: argparse.Namespace, name: str = "ilk", **changed: Any) -> dict[str, Any]:
    """Return what a process has to know."""
    asked = {key: getattr(options, key) for key in ("method", "preset", "images", "shape", "batch", "device", "data")}
    return {
        **asked,
        "side": name,
        "precision": options.precision,
        "set": options.set,
        "phase": options.phase,
        **changed,
    }


def speed(options: argparse.Namespace) -> dict[str, Any]:
    """This ilk, and another one or other precisions, on one training."""
    if options.sides:
        sides = {name: side(options, precision=name) for name in options.sides.split(",")}
    else:
        sides = {"ilk": side(options)}
    if options.beside:
        sides["beside"] = side(options, source=str(Path(options.beside).resolve()))
    return {"method": options.method, **shown(race(sides, options.seconds), next(iter(sides)), options)}


def dac_port(options: argparse.Namespace) -> dict[str, Any]:
    """DAC's training on the MNIST network: ilk beside a plain PyTorch port of the same network, batch and loss.

    The port is what one writes first: float32, channels in front, images resident as float32, the augmentation by
    torchvision's affine transform image by image, the item() of the loss in every step for the log. Beside it, so that
    the ratios show where the difference comes from: ilk in float32; ilk with memory as the system has it (no
    `compute.keep_freed`, small pages); and a second port without any augmentation.
    """
    fast = best_precision() if options.precision == "auto" else options.precision
    sides = {
        "ilk": side(options, precision=fast),
        "ilk_fp32": side(options, precision="fp32"),
        "ilk_gives_memory_back": side(options, "gives_memory_back", precision=fast),
        **{name: side(options, name) for name in PORTS[:2]},
    }
    found = shown(race(sides, options.seconds), "ilk", options)
    middle = found["images_per_second"]
    return {
        **found,
        "precision": fast,
        "ratio": round(middle["ilk"] / middle["port"], 2),
        "ratio_without_alteration": round(middle["ilk"] / middle["port_without_alteration"], 2),
        "ratio_fp32": round(middle["ilk_fp32"] / middle["port"], 2),
        "ratio_of_kept_memory": round(middle["ilk"] / middle["ilk_gives_memory_back"], 2),
    }


def best_precision() -> str:
    """Return what ilk's "auto" takes here for a long training."""
    from ilk import compute

    return "bf16" if compute.has_bf16() else "fp32"


def graphs(options: argparse.Namespace) -> dict[str, Any]:
    """DAC on a GPU: steps as recorded CUDA graphs and kernel by kernel, in float32 and bfloat16."""
    if not torch.cuda.is_available():
        raise SystemExit("no GPU is usable here")
    rows = []
    for preset, shape, batch in (
        ("released_star", (28, 28), 128),
        ("paper", (28, 28), 32),
        ("released_dac", (32, 32, 3), 32),
    ):
        options.preset, options.shape, options.batch, options.device = preset, shape, batch, "cuda"
        kinds = [("fp32", True), ("fp32", False), ("bf16", True)]
        sides = {f"{p}, graphs: {g}": side(options, precision=p, set={"graph": g, **options.set}) for p, g in kinds}
        rows.append({"preset": preset, **shown(race(sides, options.seconds), "fp32, graphs: True", options)})
    return {"rows": rows}


def dec(options: argparse.Namespace) -> dict[str, Any]:
    """Autoencoder and DEC beside ClustPy's: same network, batch, images and machine; ClustPy in float32.

    ClustPy is no dependency of ilk: where it is not installed, only our own figures are shown. Widths 500, 500, 2000
    and 10; activations (ReLU, LeakyReLU) and the constant in the loss differ, which costs nothing. `clustering`: with
    the pass over all images that gives the target of our next round, a round being ``n // batch`` steps here.
    `clustering_steps`: without it, from rounds of that length and of five times as many steps; ClustPy makes its target
    of the batch, in the step. Read and tried with ClustPy 0.0.3, whose inner functions are called.
    """
    n = options.images = options.images // options.batch * options.batch  # both sides make the same steps
    options.precision = best_precision() if options.precision == "auto" else options.precision
    once, steps = {"n_init": 1, "tolerance": 0.0, **options.set}, n // options.batch
    rounds = {"epochs": 1, "rounds": LONG, **once}
    sides = {
        "autoencoder": side(options, phase="autoencoder", set=once),
        "clustering": side(options, phase="clustering", set={**rounds, "interval": steps}),
        "long": side(options, phase="clustering", set={**rounds, "interval": 5 * steps}),
    }
    there = importlib.util.find_spec("clustpy") is not None
    if there:
        sides |= {name: side(options, name) for name in PORTS[2:]}
    middle = {name: statistics.median(values) for name, values in race(sides, options.seconds).items()}
    stretch = 5 * n / middle.pop("long") - n / middle["clustering"]  # seconds of four times as many steps
    ours = {
        "autoencoder": middle["autoencoder"],
        "clustering_steps": 4 * n / stretch,
        "clustering": middle["clustering"],
    }
    found: dict[str, Any] = {"images": n, "batch": options.batch, "precision": options.precision, "ilk": rounded(ours)}
    if there:
        theirs = {"autoencoder": middle["clustpy_autoencoder"], **dict.fromkeys(list(ours)[1:], middle["clustpy"])}
        ratio = {part: round(ours[part] / theirs[part], 2) for part in ours}
        return {**found, "clustpy": rounded(theirs), "ratio": ratio}
    return {**found, "note": "clustpy is not installed: nothing to compare with"}


def rounded(speeds: dict[str, float]) -> dict[str, int]:
    """Return whole images a second."""
    return {name: round(value) for name, value in speeds.items()}


def main() -> None:
    """Measure one thing and print JSON."""
    if sys.argv[1:2] == ["--work"]:
        work(json.loads(sys.argv[2]))
        return
    from ilk.cli.options import value

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True, metavar="MEASUREMENT")
    for call, method, preset, seconds in (
        (speed, None, "", 100.0),
        (dac_port, "dac", "released_star", 300.0),
        (graphs, "dac", "", 20.0),
        (dec, "dec", "", 60.0),
    ):
        command = commands.add_parser(call.__name__.replace("_", "-"), description=call.__doc__)
        command.set_defaults(call=call, phase="", data=None, method=method, sides="", beside="")
        command.add_argument("--preset", default=preset)
        command.add_argument("--seconds", type=float, default=seconds)
        command.add_argument("--images", type=int, default=20_000 if call is dec else 1000)
        command.add_argument("--batch", type=int, default=BATCH.get(method or "", 128))
        command.add_argument("--shape", type=lambda text: [int(n) for n in text.split(",")], default=[28, 28])
        command.add_argument(
            "--precision", default="fp32" if call is speed else "auto", choices=["auto", "fp32", "bf16"]
        )
        command.add_argument("--device", default="cpu")
        command.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
        if call is speed:
            command.add_argument("method", help="as ilk -m: dac, dec, deepcluster, autoencoder, scan …")
            command.add_argument("--beside", help="folder src of another version of ilk")
            command.add_argument("--sides", help="precisions instead: fp32,bf16")
            command.add_argument("--phase", help="of methods that have several, such as dec: autoencoder, clustering")
        elif call is dec:
            command.add_argument("data", nargs="?", help="npz with x_train; random pixels by default")
    options = parser.parse_args()
    options.set = {key: value(given) for key, _, given in (text.partition("=") for text in options.set)}
    options.phase = options.phase or ""
    print(json.dumps(options.call(options)))


if __name__ == "__main__":
    main()
