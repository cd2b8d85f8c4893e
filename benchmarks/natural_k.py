"""The suggested numbers of groups against the true number of classes, on every set at hand, hits and misses.

    python benchmarks/natural_k.py DATA [--sets DIR] [--folder DIR] [--only NAME …] [--seeds 0 1 2]

Each set goes through the default pipeline with ``-k auto``: photos with ``balanced``, small grey pictures with
``gradients``. DATA holds mnist.npz, fashion_mnist.npz, cifar10.npz and the folder or tar clothing500; --sets folders of
photos, one folder per class, and usps.npz, coil20.npz. What is missing is left out. Sets with fewer classes than the
original are made here: the classes are drawn with a fixed seed. Labels make these subsets and are counted at the end.
Prints JSON.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import sets

import ilk

LARGE = 20_000  # images from which one seed has to do
CLOSE = 0.2


class Case(NamedTuple):
    """One set: where it is, whether it shows photos, how many classes and images to draw of it, and its part here.

    `chief`: one of the six photo sets that the goal is about. `new`: measured after the rule was fixed.
    """

    name: str
    photo: bool
    classes: int | None = None
    images: int | None = None
    draw: int = 0
    chief: bool = False
    new: bool = False


CASES = {
    "digits": Case("digits", False),
    "digits, 5 classes": Case("digits", False, 5),
    "USPS": Case("usps.npz", False),
    "USPS, 6 classes": Case("usps.npz", False, 6, None, 1),
    "MNIST": Case("mnist.npz", False),
    "MNIST, 10,000 of it": Case("mnist.npz", False, None, 10_000),
    "MNIST, 6 classes": Case("mnist.npz", False, 6, 10_000),
    "Fashion-MNIST": Case("fashion_mnist.npz", False),
    "Fashion-MNIST, 10,000 of it": Case("fashion_mnist.npz", False, None, 10_000),
    "Fashion-MNIST, 5 classes": Case("fashion_mnist.npz", False, 5, 10_000),
    "COIL-20": Case("coil20.npz", False),
    "COIL-20, 8 classes": Case("coil20.npz", False, 8),
    "clothing500": Case("clothing500", True, chief=True),
    "clothing500, 5 classes (a)": Case("clothing500", True, 5),
    "clothing500, 5 classes (b)": Case("clothing500", True, 5, None, 1),
    "animals": Case("animals4", True, chief=True),
    "groceries": Case("groceries", True, chief=True),
    "groceries, 8 classes": Case("groceries", True, 8),
    "flowers": Case("flowers", True, chief=True),
    "Tiny-ImageNet, 20 classes": Case("tiny20", True, chief=True),
    "Tiny-ImageNet, 8 of them": Case("tiny20", True, 8),
    "Tiny-ImageNet, 5 of them": Case("tiny20", True, 5),
    "CIFAR-10": Case("cifar10.npz", True, None, 3000, chief=True),
    "CIFAR-10, 4 classes (a)": Case("cifar10.npz", True, 4, 1200),
    "CIFAR-10, 4 classes (b)": Case("cifar10.npz", True, 4, 1200, 1),
    "animals, 8 classes": Case("animals8", True, new=True),
    "vehicles and animals": Case("vehicles5", True, new=True),
    "cats, dogs, pandas": Case("pets3", True, new=True),
    "Tiny-ImageNet, 20 others": Case("tiny20b", True, new=True),
}


def one(images: Any, case: Case, seed: int, folder: Path) -> dict[str, Any]:
    """Return what ``-k auto`` suggests."""
    encoder = "balanced" if case.photo else "gradients"
    model = ilk.TransferClustering(encoder=encoder, clusterer="kmeans", random_state=seed, cache=folder / "cache")
    found = model.fit(images).k_choice_
    return {
        "seed": seed,
        **found.suggested(),
        "communities": found.number,
        "best": found.best,
        "clear": found.clear,
        "why": found.why,
    }


def rows(options: argparse.Namespace, folder: Path) -> Iterator[dict[str, Any]]:
    """One record per set."""
    folders = [options.data, *([options.sets] if options.sets else [])]
    for name in options.only or CASES:
        case = CASES[name]
        whole = sets.read(case.name, folders)
        if whole is None:
            print(f"{name}: {case.name} is not at hand", file=sys.stderr, flush=True)
            continue
        images, labels = sets.draw(*whole, case.classes, case.images, case.draw)
        classes = len(np.unique(labels))
        seeds = options.seeds if len(labels) < LARGE else options.seeds[:1]
        runs = [one(images, case, seed, folder) for seed in seeds]
        near = [[k is not None and abs(k - classes) <= CLOSE * classes for k in told(run)] for run in runs]
        row = {
            "set": name,
            "images": len(labels),
            "photos": case.photo,
            "subset_of_classes": case.classes is not None,
            "chief": case.chief,
            "new": case.new,
            "classes": classes,
            "one_within_20_percent": sum(map(any, near)),
            "natural_within_20_percent": sum(found[1] for found in near),
            "clear": sum(run["clear"] for run in runs),
            "runs": runs,
        }
        print(
            name, classes, [(run["communities"], told(run), run["clear"]) for run in runs], file=sys.stderr, flush=True
        )
        yield row


def told(run: dict[str, Any]) -> list[int | None]:
    """Return coarse, natural, fine."""
    return [run[name] for name in ("coarse", "natural", "fine")]


def main() -> None:
    """Measure and print JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--sets", type=Path, help="folders of photos by class, usps.npz, coil20.npz")
    parser.add_argument("--folder", type=Path, help="where features are kept for the next call")
    parser.add_argument("--only", nargs="*", choices=CASES)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.folder or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        found = list(rows(options, folder))
    photos = [row for row in found if row["photos"]]
    print(
        json.dumps(
            {
                "chief_photo_sets": sum(row["chief"] for row in found),
                "chief_photo_sets_met": sum(
                    row["chief"] and 2 * row["one_within_20_percent"] > len(row["runs"]) for row in found
                ),
                "photo_sets": len(photos),
                "photo_sets_met": sum(2 * row["one_within_20_percent"] > len(row["runs"]) for row in photos),
                "natural": {row["set"]: [run["natural"] for run in row["runs"]] for row in found},
                "sets": found,
            }
        )
    )


if __name__ == "__main__":
    main()
