"""The suggested numbers of groups against the true number of classes, on every set at hand, hits and misses.

    python benchmarks/natural_k.py DATA WEIGHTS [--folder DIR] [--only NAME …]

Each set goes through the default pipeline (photos with MobileNetV2, the others as pixels), then `choose_k`. Sets with
fewer classes than the original are made here: the classes are drawn with a fixed seed, and the row says so. Labels make
these subsets and are counted at the end; nothing of the rule was fitted to them. Prints JSON.
"""

from __future__ import annotations

import argparse
import io
import json
import sys
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image, ImageOps

import ilk

SIDE = 224
Labelled = tuple[np.ndarray, np.ndarray]


class Case(NamedTuple):
    """One set: how to read it, whether it shows photos, how many of its classes and images to draw (None: all)."""

    read: Callable[[Path], Labelled]
    photo: bool
    classes: int | None = None
    images: int | None = None
    seed: int = 0


def digits(_: Path) -> Labelled:
    """scikit-learn's digits."""
    from sklearn.datasets import load_digits

    found = load_digits()
    return np.round(found.images * 255 / 16).astype(np.uint8), found.target


def merged(name: str) -> Callable[[Path], Labelled]:
    """Reader of an npz with training and test images."""

    def read(data: Path) -> Labelled:
        with np.load(data / name) as found:
            return (
                np.concatenate([found["x_train"], found["x_test"]]),
                np.concatenate([found["y_train"], found["y_test"]]),
            )

    return read


def clothing(data: Path) -> Labelled:
    """500 photos, ten kinds of clothes."""
    pixels, labels = [], []
    with tarfile.open(data / "clothing500.tar") as tar:
        for member in sorted((m for m in tar if m.isfile()), key=lambda m: m.name):
            stream = tar.extractfile(member)
            assert stream is not None
            photo = ImageOps.exif_transpose(Image.open(io.BytesIO(stream.read()))).convert("RGB")
            pixels.append(np.asarray(ImageOps.fit(photo, (SIDE, SIDE), Image.Resampling.BICUBIC)))
            labels.append(Path(member.name).parent.name)
    return np.stack(pixels), np.unique(labels, return_inverse=True)[1]


def cifar(data: Path) -> Labelled:
    """CIFAR-10's test images, 10,000 of 32 × 32."""
    sys.path.insert(0, str(data))
    from load_cifar import load

    found = load(str(data / "cifar10.npz"))
    return found["x_test"], found["y_test"]


MNIST, FASHION = merged("mnist.npz"), merged("fashion_mnist.npz")
CASES = {
    "digits": Case(digits, False),
    "MNIST": Case(MNIST, False),
    "Fashion-MNIST": Case(FASHION, False),
    "clothing500": Case(clothing, True),
    "CIFAR-10": Case(cifar, True, None, 5000),
    "digits, 5 classes": Case(digits, False, 5),
    "MNIST, 6 classes": Case(MNIST, False, 6, 10_000),
    "Fashion-MNIST, 5 classes": Case(FASHION, False, 5, 10_000),
    **{f"clothing500, 5 classes ({seed})": Case(clothing, True, 5, None, seed) for seed in range(2)},
    **{f"CIFAR-10, 4 classes ({seed})": Case(cifar, True, 4, 2000, seed) for seed in range(2)},
}


def draw(case: Case, data: Path) -> Labelled:
    """Return the images and labels of a case."""
    pixels, labels = case.read(data)
    rng = np.random.default_rng(case.seed)
    every = np.arange(len(labels))
    if case.classes is not None:
        every = every[np.isin(labels, rng.choice(np.unique(labels), case.classes, replace=False))]
    if case.images is not None:
        every = np.sort(rng.choice(every, min(case.images, len(every)), replace=False))
    return pixels[every], labels[every]


def embedding(name: str, case: Case, data: Path, weights: Path, folder: Path) -> tuple[np.ndarray, int, int]:
    """Return the space groups are sought in, and the numbers of images and classes; kept in `folder`."""
    kept = folder / f"{name.replace(' ', '_')}.npz"
    if not kept.exists():
        pixels, labels = draw(case, data)
        if case.photo and pixels.shape[1] < SIDE:
            pixels = np.stack([np.asarray(Image.fromarray(one).resize((SIDE, SIDE), 3)) for one in pixels])
        options = {"encoder": "mobilenetv2_100", "weights": weights} if case.photo else {"encoder": "pixels"}
        model = ilk.TransferClustering(2, clusterer="kmeans", cache=folder / "cache", **options).fit(pixels)
        np.savez(kept, space=model.embedding_, counts=[len(labels), len(np.unique(labels))])
    with np.load(kept) as found:
        return found["space"], int(found["counts"][0]), int(found["counts"][1])


def rows(options: argparse.Namespace, folder: Path) -> Iterator[dict[str, Any]]:
    """One record per set."""
    for name in options.only or CASES:
        case = CASES[name]
        space, n, classes = embedding(name, case, options.data, options.weights, folder)
        found = ilk.choose_k(space)
        given = [k for k in found.suggested().values() if k]
        yield {
            "set": name,
            "images": n,
            "photos": case.photo,
            "subset_of_classes": case.classes is not None,
            "classes": classes,
            **found.suggested(),
            "natural_off": found.natural - classes,
            "one_within_30_percent": any(abs(k - classes) <= 0.3 * classes for k in given),
            "best": found.best,
            "clear": found.clear,
            "why": found.why,
        }
        print(name, classes, found.suggested(), found.best, found.clear, found.why, file=sys.stderr, flush=True)


def main() -> None:
    """Measure and print JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("weights", type=Path)
    parser.add_argument("--folder", type=Path, help="where spaces and features are kept for the next call")
    parser.add_argument("--only", nargs="*", choices=CASES)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.folder or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        found = list(rows(options, folder))
    photos = [row for row in found if row["photos"]]
    whole = {row["set"]: row for row in found if not row["subset_of_classes"]}
    print(
        json.dumps(
            {
                "photo_sets_with_one_within_30_percent": sum(row["one_within_30_percent"] for row in photos),
                "photo_sets": len(photos),
                "sets_with_one_within_30_percent": sum(row["one_within_30_percent"] for row in found),
                "natural_off": {name: row["natural_off"] for name, row in whole.items()},
                "sets": found,
            }
        )
    )


if __name__ == "__main__":
    main()
