"""Linear probes of a trained, a random and a supervised network, layer by layer, on a part of CIFAR-10.

    python benchmarks/probes.py --seeds 0,1,2 --preset small --images 5000,2000
    python benchmarks/probes.py --preset small --set epochs=30 --images 5000,2000 --train 20000 --keep FOLDER
    python benchmarks/probes.py SOURCE.npz --preset paper_alexnet --set epochs=5 --set n_fine=500

SOURCE is an npz with x_train and x_test and their labels. For each seed DeepCluster is trained on the first images of a
random order, without their labels, --train of them; `ilk probe` then trains the linear classifiers on the first
--images of the same order. What is in the folder of --keep is not done again, and a training goes on from its last
epoch there, so a killed command goes on. Prints JSON.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import statistics
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from sets import CACHED

import ilk
from ilk import layout, report, runs
from ilk.cli.options import value


def order(whole: Any, name: str, count: int) -> np.ndarray:
    """Return `count` rows of a part of the source, drawn at random, the same for every seed: more have the fewer."""
    return np.sort(np.random.default_rng(0).permutation(len(whole[f"x_{name}"]))[:count])


def part(source: str | Path, images: tuple[int, int], folder: Path) -> Path:
    """Write a random part of `source` and return where."""
    kept = {}
    with np.load(source) as whole:
        for name, count in zip(("train", "test"), images, strict=True):
            rows = order(whole, name, count)
            kept |= {f"{axis}_{name}": whole[f"{axis}_{name}"][rows] for axis in "xy"}
    np.savez(folder / "part.npz", **kept)
    return folder / "part.npz"


def unlabelled(source: str | Path, n: int, folder: Path) -> Path:
    """Write `n` training images without labels and return where."""
    with np.load(source) as whole:
        np.savez(folder / "unlabelled.npz", x=whole["x_train"][order(whole, "train", n)])
    return folder / "unlabelled.npz"


def mean(found: list[dict[str, Any]], network: str, layer: int, key: str = "last") -> dict[str, Any]:
    """Return mean and every seed's figure of one layer."""
    each = [one["networks"][network][layer][key] for one in found]
    return {"mean": round(statistics.mean(each), 4), "each": each}


def without_pictures() -> None:
    """Leave out the map and the report of every run: they are not what is measured, and take longer."""
    layout.map_2d = lambda space, **_: space[:, :2]
    report.write_plots = lambda run, source=None: []
    report.write_report = lambda run, out=None, source=None: run.path / "report.html"


def probed(options: argparse.Namespace, settings: dict[str, Any], seed: int, sources: tuple[Path, Path | None],
           folder: Path) -> dict[str, Any]:  # fmt: skip
    """Train, and probe what was trained."""
    labelled, more = sources
    run = ilk.cluster(
        more or labelled,
        folder / f"run-{seed}",
        method="deepcluster",
        options={"n_clusters": 10, "preset": options.preset, "random_state": seed, **settings},
        split="all" if more else "train",
        labels="none",
    )
    supervised = not options.no_supervised
    told = ilk.probe(run, "auto", source=labelled, epochs=options.epochs, supervised=supervised, seed=seed)
    return {
        **told,
        "run": None,
        "trained_on": run.header["summary"]["n_images"],
        "trained_epochs": sum("loss" in record for record in run.header["history"]),
        "training_seconds": run.header["summary"]["seconds"]["total"],
    }


def seeds_of(options: argparse.Namespace, settings: dict[str, Any], folder: Path) -> list[dict[str, Any]]:
    """Return what every seed gives: from `folder` where it is there already."""
    n_train, n_test = (int(word) for word in options.images.split(","))
    asked = {
        name: getattr(options, name) for name in ("preset", "images", "train", "epochs", "no_supervised")
    } | {"source": str(options.source), "settings": settings}  # fmt: skip
    digest = hashlib.blake2b(json.dumps(asked, sort_keys=True).encode(), digest_size=4).hexdigest()
    folder = folder / f"{Path(options.source).stem}-{options.preset}-{digest}"
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "seeds.json"
    kept: dict[str, Any] = json.loads(file.read_text())["seeds"] if file.exists() else {}
    seeds = options.seeds.split(",")
    if not all(seed in kept for seed in seeds):
        labelled = part(options.source, (n_train, n_test), folder)
        sources = labelled, unlabelled(options.source, options.train, folder) if options.train else None
        for seed in seeds:
            if seed not in kept:
                kept[seed] = probed(options, settings, int(seed), sources, folder)
                runs.write_json(file, {"asked": asked, "seeds": kept})
    return [kept[seed] for seed in seeds]


def main() -> None:
    """Train, probe, and print JSON."""
    without_pictures()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", nargs="?", default=CACHED, help="[default: what sets.py cifar10 made]")
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--preset", default="small")
    parser.add_argument("--images", default="5000,2000", help="labelled images of the probes: to train on, to test on")
    parser.add_argument("--train", type=int, help="unlabelled images for DeepCluster [default: those of the probes]")
    parser.add_argument("--epochs", type=int, default=10, help="of the classifiers; --set epochs=N: of DeepCluster")
    parser.add_argument("--no-supervised", action="store_true")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="where a killed command goes on from")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    options = parser.parse_args()
    settings = {key: value(given) for key, _, given in (text.partition("=") for text in options.set)}
    with tempfile.TemporaryDirectory(prefix="ilk-probes-") as scratch:
        found = seeds_of(options, settings, options.keep or Path(scratch))
    layers = found[0]["layers"]
    trained, random = ([mean(found, name, i) for i in range(len(layers))] for name in ("trained", "random"))
    print(json.dumps({
        "preset": options.preset, "settings": settings, "layers": layers,
        "trained_on": found[0]["trained_on"], "trained_epochs": found[0]["trained_epochs"],
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
