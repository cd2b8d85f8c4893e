"""Turn cifar10.npz (images as WebP sheets) into a plain npz that ilk opens, in the cache.

    python benchmarks/prepare.py cifar10

Reads $ILK_DATA/cifar10.npz with the reader beside it, load_cifar.py; writes <cache>/datasets/cifar10.npz with x_train,
y_train, x_test, y_test. Prints where. The cache is $XDG_CACHE_HOME/ilk, as for `ilk` itself.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
KEPT = ("x_train", "y_train", "x_test", "y_test")


def main() -> None:
    """Convert one data set, unless it is there already."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", choices=["cifar10"])
    options = parser.parse_args()
    data = (ROOT / os.environ.get("ILK_DATA", "../shared/data")).resolve()
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ilk" / "datasets"
    target = cache / f"{options.name}.npz"
    if not target.exists():
        spec = importlib.util.spec_from_file_location("load_cifar", data / "load_cifar.py")
        assert spec is not None
        assert spec.loader is not None
        reader = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(reader)
        read = reader.load(str(data / f"{options.name}.npz"))
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = target.with_suffix(f".{os.getpid()}.npz")
        np.savez(temporary, **{key: read[key] for key in KEPT})
        temporary.replace(target)
    with np.load(target) as kept:
        shapes = {key: list(kept[key].shape) for key in KEPT}
    print(json.dumps({"path": str(target), **shapes}))


if __name__ == "__main__":
    main()
