"""What approximate neighbours change: recall, cost, and groups; and grouping in two levels against the default.

    python benchmarks/approximate.py features mnist.npz fashion_mnist.npz cifar10.npz --folder /tmp/approximate
    python benchmarks/approximate.py recall --folder /tmp/approximate     # recall@15 and CPU seconds, all rows
    python benchmarks/approximate.py groups --seeds 0 1 2 --folder /tmp/approximate  # ARI: exact, approximate, seeds
    python benchmarks/approximate.py levels --folder /tmp/approximate     # -m hierarchical against -m transfer

Sets are looked for in $ILK_DATA. Features: `gradients` of ilk's own, without a network. True labels score what
comes out, and choose nothing. One thread. Results are appended to benchmarks/results/scale/approximate.jsonl.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import platform
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sets import read, reader_of

from ilk import Hierarchical, TransferClustering, encoders, layout, metrics
from ilk.data import open_images
from ilk.methods.assign.placer import Space
from ilk.vectors import neighbors, recall

ROOT = Path(__file__).resolve().parents[1]
SOME = 20_000


def cpu() -> float:
    """Return CPU seconds of this process."""
    return sum(resource.getrusage(resource.RUSAGE_SELF)[:2])


def features(options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Encode the sets."""
    for name in options.names:
        folders = [Path(folder) for folder in os.environ.get("ILK_DATA", "").split(os.pathsep)]
        if name == "cifar10.npz":  # all of it: `read` takes the test images alone
            place = next(folder for folder in folders if (folder / name).exists())
            parts = reader_of(place)(str(place / name))
            images, labels = (np.concatenate([parts[f"{which}_train"], parts[f"{which}_test"]]) for which in "xy")
        else:
            found = read(name, folders)
            assert found is not None, f"{name} is not in $ILK_DATA"
            images, labels = found
        begin, encoder = cpu(), encoders.build(options.encoder)
        encoded = encoders.encode(open_images(images), encoder, cache=None)
        np.savez(options.folder / f"{Path(name).stem}.npz", x=encoded.features, y=np.asarray(labels)[encoded.rows])
        yield {"set": name, "shape": list(encoded.features.shape), "cpu_s": round(cpu() - begin, 1)}


def sets(options: argparse.Namespace) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Yield name, features and labels of what was encoded."""
    for path in sorted(options.folder.glob("*.npz")):
        with np.load(path) as found:
            yield path.stem, found["x"], found["y"]


def recalls(options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Measure recall@15 among 50 principal components, and what it costs."""
    found = {name: x for name, x, _ in sets(options)}
    if {"mnist", "fashion_mnist"} <= set(found):
        found = {"mnist+fashion": np.concatenate([found["mnist"], found["fashion_mnist"]]), **found}
    warm = torch.from_numpy(np.random.default_rng(0).normal(size=(3000, 50)).astype(np.float32))
    begin = cpu()
    with approximate(True):
        neighbors(warm, warm, 15, exclude_self=True, exact=False)
    yield {"compile": True, "cpu_s": round(cpu() - begin, 1)}
    for name, x in found.items():
        rows = torch.from_numpy(Space.fit(x, 50, normalize=True).rows)
        begin = cpu()
        with approximate(True):
            distance = neighbors(rows, rows, 15, exclude_self=True, exact=False)[1]
        seconds = cpu() - begin
        yield {
            "set": name,
            "n": len(rows),
            "recall@15": round(recall(rows, distance), 4),
            "cpu_s": round(seconds, 1),
        }


class approximate:  # noqa: N801 - used like a function
    """Has neighbours searched approximately above 1,000 rows instead of 100,000."""

    def __init__(self, wanted: bool) -> None:
        self.limit = 1000 if wanted else 10**9
        self.module = sys.modules["ilk.vectors.neighbors"]

    def __enter__(self) -> None:
        self.before, self.module.EXACT_UP_TO = self.module.EXACT_UP_TO, self.limit  # type: ignore[attr-defined]

    def __exit__(self, *problem: object) -> None:
        self.module.EXACT_UP_TO = self.before  # type: ignore[attr-defined]


def fitted(cls: Any, x: np.ndarray, k: int, seed: int, **settings: Any) -> tuple[Any, float]:
    """Return a model of features `x`, and CPU seconds."""
    begin = cpu()
    model = cls(k, random_state=seed, settings=settings or None, verbose=False).fit(x)
    return model, round(cpu() - begin, 1)


def groups(options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Hold groups on approximate neighbours against those on exact ones, and two seeds against each other."""
    layout.umap_embedding(np.eye(64, dtype=np.float32), layout.neighbor_graph(torch.eye(64), 15), n_components=2)
    for name, x, y in sets(options):
        chosen = np.sort(np.random.default_rng(0).choice(len(x), min(SOME + 1, len(x)), replace=False))
        x, y = np.asarray(x[chosen], np.float32), y[chosen]
        k = len(np.unique(y))
        with approximate(False):
            exact, exact_cost = zip(*(fitted(TransferClustering, x, k, seed) for seed in options.seeds), strict=True)
        with approximate(True):
            near, near_cost = zip(*(fitted(TransferClustering, x, k, seed) for seed in options.seeds), strict=True)
        yield {
            "set": name,
            "n": len(x),
            "seeds": options.seeds,
            "ari_exact_approximate": [ari(a.labels_, b.labels_) for a, b in zip(exact, near, strict=True)],
            "ari_two_seeds": [ari(a.labels_, b.labels_) for a, b in itertools.combinations(exact, 2)],
            "recall": [model.graph_.recall for model in near],
            "acc": [[score(y, model.labels_)["acc"] for model in models] for models in (exact, near)],
            "cpu_s": [exact_cost, near_cost],
        }


def levels(options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Hold two levels against the default."""
    layout.umap_embedding(np.eye(64, dtype=np.float32), layout.neighbor_graph(torch.eye(64), 15), n_components=2)
    for name, x, y in sets(options):
        if name not in options.names:
            continue
        x = np.asarray(x, np.float32)
        for seed in options.seeds:
            for cls, settings in ((Hierarchical, {"n_neighbors_vote": votes}) for votes in options.votes):
                model, cost = fitted(cls, x, 10, seed, **settings)
                scores = score(y, model.labels_)
                yield {
                    "set": name,
                    "n": len(x),
                    "method": "hierarchical",
                    **settings,
                    "seed": seed,
                    **scores,
                    "cpu_s": cost,
                }
            if options.default:
                model, cost = fitted(TransferClustering, x, 10, seed)
                yield {
                    "set": name,
                    "n": len(x),
                    "method": "transfer",
                    "seed": seed,
                    **score(y, model.labels_),
                    "cpu_s": cost,
                }


def ari(one: np.ndarray, other: np.ndarray) -> float:
    """Return how far two groupings agree."""
    return round(float(metrics.agreement(one, other)["ari"]), 4)


def score(y: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """Return ACC and NMI."""
    found = metrics.scores(y, labels)
    return {name: round(float(found[name]), 4) for name in ("acc", "nmi")}


def main() -> None:
    """Run one measurement, and append what was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["features", "recall", "groups", "levels"])
    parser.add_argument("names", nargs="*", default=["mnist.npz", "fashion_mnist.npz", "cifar10.npz"])
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--encoder", default="gradients")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--votes", type=int, nargs="+", default=[5])
    parser.add_argument("--default", action="store_true")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks/results/scale/approximate.jsonl")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True).stdout
    common = {
        "command": f"python benchmarks/approximate.py {options.what}",
        "commit": commit.strip(),
        "hardware": f"{platform.machine()}, 1 thread, other jobs running",
        "python": sys.version.split()[0],
    }
    call = {"features": features, "recall": recalls, "groups": groups, "levels": levels}[options.what]
    for record in call(options):
        print(record, flush=True)
        if options.what != "features":
            with options.out.open("a") as file:
                file.write(json.dumps({**common, **record}) + "\n")


if __name__ == "__main__":
    main()
