"""Linear probes of a trained, a random and a supervised network, layer by layer, on a part of CIFAR-10.

    python benchmarks/probes.py --seeds 0,1,2 --preset small --images 5000,2000
    python benchmarks/probes.py SOURCE.npz --preset paper_alexnet --set epochs=5 --set n_fine=500

SOURCE is an npz with x_train and x_test and their labels. For each seed DeepCluster is trained on the first images of a
random order, without their labels; `ilk probe` then trains the linear classifiers. Prints JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

import ilk
from ilk import layout, report
from ilk.cli.options import value

CACHED = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ilk" / "datasets" / "cifar10.npz"


def part(source: str | Path, images: tuple[int, int], folder: Path) -> Path:
    """Write a random part of `source`, the same for every seed, and return where."""
    kept = {}
    with np.load(source) as whole:
        for name, count in zip(("train", "test"), images, strict=True):
            rows = np.sort(np.random.default_rng(0).permutation(len(whole[f"x_{name}"]))[:count])
            kept |= {f"{axis}_{name}": whole[f"{axis}_{name}"][rows] for axis in "xy"}
    np.savez(folder / "part.npz", **kept)
    return folder / "part.npz"


def mean(found: list[dict[str, Any]], network: str, layer: int, key: str = "last") -> dict[str, Any]:
    """Return mean and every seed's figure of one layer."""
    each = [one["networks"][network][layer][key] for one in found]
    return {"mean": round(statistics.mean(each), 4), "each": each}


def without_pictures() -> None:
    """Leave out the map and the report of every run: they are not what is measured, and take longer."""
    layout.map_2d = lambda space, **_: space[:, :2]
    report.write_plots = lambda run, source=None: []
    report.write_report = lambda run, out=None, source=None: run.path / "report.html"


def main() -> None:
    """Train, probe, and print JSON."""
    without_pictures()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", nargs="?", default=CACHED, help="[default: what prepare.py cifar10 made]")
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--preset", default="small")
    parser.add_argument("--images", default="5000,2000")
    parser.add_argument("--epochs", type=int, default=10, help="of the classifiers")
    parser.add_argument("--no-supervised", action="store_true")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    options = parser.parse_args()
    n_train, n_test = (int(word) for word in options.images.split(","))
    settings = {key: value(given) for key, _, given in (text.partition("=") for text in options.set)}
    found = []
    with tempfile.TemporaryDirectory(prefix="ilk-probes-") as scratch:
        source = part(options.source, (n_train, n_test), Path(scratch))
        for seed in (int(word) for word in options.seeds.split(",")):
            chosen = {"n_clusters": 10, "preset": options.preset, "random_state": seed, **settings}
            run = ilk.cluster(
                source,
                Path(scratch) / f"run-{seed}",
                method="deepcluster",
                options=chosen,
                split="train",
                labels="none",
            )
            told = ilk.probe(
                run, "auto", epochs=options.epochs, supervised=not options.no_supervised, seed=seed,
            )  # fmt: skip
            found.append({**told, "run": None, "training_seconds": run.header["summary"]["seconds"]["total"]})
    layers = found[0]["layers"]
    trained, random = ([mean(found, name, i) for i in range(len(layers))] for name in ("trained", "random"))
    print(json.dumps({
        "preset": options.preset, "settings": settings, "layers": layers,
        "trained": trained,
        "random": random,
        "supervised": None if options.no_supervised else [mean(found, "supervised", i) for i in range(len(layers))],
        "pixels": found[0]["pixels"],
        "trained_above_random": {
            layer: [a > b for a, b in zip(t["each"], r["each"], strict=True)]
            for layer, t, r in zip(layers, trained, random, strict=True)
        },
        "probes": found,
    }))  # fmt: skip


if __name__ == "__main__":
    main()
