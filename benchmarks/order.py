"""Whether the order and the names of files decide anything: the same images permuted and renamed, grouped again.

    python benchmarks/order.py clothing500.tar

Digits as an array and a folder of photos: as they are, in three random orders, and with three sets of random names.
Prints one JSON object with the adjusted Rand index of every pair with the first.
"""

from __future__ import annotations

import json
import sys
import tarfile
import tempfile
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits
from sklearn.metrics import adjusted_rand_score

import ilk


def main(archive: str) -> None:
    """Group, permute, group again."""
    found: dict[str, list[float]] = {}
    digits = (load_digits().images * 255 / 16).astype(np.uint8)
    first = ilk.TransferClustering(10).fit(digits).labels_
    for seed in range(3):
        order = np.random.default_rng(seed).permutation(len(digits))
        labels = ilk.TransferClustering(10).fit(digits[order]).labels_
        found.setdefault("digits permuted", []).append(adjusted_rand_score(first[order], labels))
    with tarfile.open(archive) as tar:
        photos = [tar.extractfile(member).read() for member in tar if member.isfile()]
    with tempfile.TemporaryDirectory() as folder:
        cache = Path(folder) / "cache"

        def grouped(names: list[str], at: str, as_list: bool) -> np.ndarray:
            root = Path(folder) / at
            root.mkdir()
            for name, data in zip(names, photos, strict=True):
                (root / name).write_bytes(data)
            source = [root / name for name in names] if as_list else root
            labels = ilk.TransferClustering(10, cache=cache).fit(source).labels_
            rank = np.argsort(np.argsort(names)) if not as_list else np.arange(len(names))
            return labels[rank]  # in the order of `photos`

        plain = [f"{i:04d}.jpg" for i in range(len(photos))]
        first = grouped(plain, "plain", False)
        for seed in range(3):
            random = np.random.default_rng(seed)
            names = [f"{i:04d}.jpg" for i in random.permutation(len(photos))]
            labels = grouped(names, f"renamed-{seed}", False)
            found.setdefault("clothing500 renamed", []).append(adjusted_rand_score(first, labels))
            labels = grouped(names, f"listed-{seed}", True)
            found.setdefault("clothing500 as a list in another order", []).append(adjusted_rand_score(first, labels))
    print(json.dumps({"ari": {name: [round(float(v), 4) for v in values] for name, values in found.items()}}))


if __name__ == "__main__":
    main(sys.argv[1])
