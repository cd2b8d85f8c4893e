"""Labelled image sets of several measurements, and a part of one: classes and images drawn with a fixed seed.

    python benchmarks/sets.py cifar10

turns cifar10.npz (images as WebP sheets) into a plain npz that ilk opens, in the cache: reads it from $ILK_DATA, with
the reader beside it, load_cifar.py; writes x_train, y_train, x_test, y_test to <cache>/datasets/cifar10.npz.
Prints where. The cache is $XDG_CACHE_HOME/ilk, as for `ilk` itself.
"""

from __future__ import annotations

import argparse
import importlib.util
import io
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
from common import digits, members
from PIL import Image, ImageOps

ROOT = Path(__file__).resolve().parents[1]
CACHED = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ilk" / "datasets" / "cifar10.npz"
KEPT = ("x_train", "y_train", "x_test", "y_test")

Labelled = tuple[Any, np.ndarray]


def read(name: str, folders: list[Path], test_only: bool = False) -> Labelled | None:
    """Return images (an array, or a list of paths) and labels of a whole set; None where it is not at hand.

    Parameters
    ----------
    name
        "digits"; an npz; a folder of photos, one folder per class; a tar of such a folder, whose photos are cut to
        224 × 224. Of cifar10.npz the test images alone are taken.
    test_only
        Of an npz with two parts the test images alone.
    """
    if name == "digits":
        return digits()
    path = next((folder / name for folder in folders if (folder / name).exists()), None)
    if path is None:
        return None
    if name == "cifar10.npz":
        found = reader_of(path.parent)(str(path))
        return found["x_test"], found["y_test"]
    if path.is_dir():
        files = sorted(file for file in path.glob("*/*") if file.is_file())
        return files, np.unique([file.parent.name for file in files], return_inverse=True)[1]
    if path.suffix == ".tar":
        photos = [(Path(member).parent.name, ImageOps.exif_transpose(Image.open(io.BytesIO(data))))
                  for member, data in members(path)]  # fmt: skip
        cut = [ImageOps.fit(photo.convert("RGB"), (224, 224), Image.Resampling.BICUBIC) for _, photo in photos]
        return np.stack(cut), np.unique([label for label, _ in photos], return_inverse=True)[1]
    with np.load(path) as found:
        parts = [("x", "y")] if "x" in found else [("x_train", "y_train"), ("x_test", "y_test")][int(test_only) :]
        return np.concatenate([found[x] for x, _ in parts]), np.concatenate([found[y] for _, y in parts])


def draw(images: Any, labels: np.ndarray, classes: int | None, n: int | None, seed: int) -> Labelled:
    """Return some of the classes and `n` images of those, at random but always the same; None: all."""
    rng = np.random.default_rng(seed)
    every = np.arange(len(labels))
    if classes is not None:
        every = every[np.isin(labels, rng.choice(np.unique(labels), classes, replace=False))]
    if n is not None:
        every = np.sort(rng.choice(every, min(n, len(every)), replace=False))
    return images[every] if isinstance(images, np.ndarray) else [images[i] for i in every], labels[every]


def reader_of(folder: Path) -> Any:
    """Return the function of load_cifar.py that reads cifar10.npz."""
    spec = importlib.util.spec_from_file_location("load_cifar", folder / "load_cifar.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.load


def main() -> None:
    """Convert CIFAR-10, unless it is there already."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", choices=["cifar10"])
    parser.parse_args()
    data = (ROOT / os.environ.get("ILK_DATA", "../shared/data")).resolve()
    if not CACHED.exists():
        whole = reader_of(data)(str(data / "cifar10.npz"))
        CACHED.parent.mkdir(parents=True, exist_ok=True)
        temporary = CACHED.with_suffix(f".{os.getpid()}.npz")
        np.savez(temporary, **{key: whole[key] for key in KEPT})
        temporary.replace(CACHED)
    with np.load(CACHED) as kept:
        shapes = {key: list(kept[key].shape) for key in KEPT}
    print(json.dumps({"path": str(CACHED), **shapes}))


if __name__ == "__main__":
    main()
