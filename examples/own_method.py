"""A method of your own in the place of ilk's: an object with fit_predict, here K-medoids in fifteen lines.

    python examples/own_method.py [WORK]

All around it stays: reading any file, the encoder, copies that count once, confidence, predict. A method that trains a
network is a class of a hundred lines: docs/adding-a-method.md builds one.
"""

import sys
from pathlib import Path

import digits_folder
import numpy as np

import ilk


class KMedoids:
    """K-means whose centres are images: each is the one with the smallest sum of distances within its group."""

    def __init__(self, k: int, steps: int = 30, seed: int = 0) -> None:
        self.k, self.steps, self.seed = k, steps, seed

    def fit_predict(self, x: np.ndarray) -> np.ndarray:
        """Return a group for each row of (n, d) features."""
        distance = np.linalg.norm(x[:, None] - x[None], axis=2)
        centres = np.random.default_rng(self.seed).choice(len(x), self.k, replace=False)
        for _ in range(self.steps):
            groups = distance[:, centres].argmin(axis=1)
            members = [np.flatnonzero(groups == g) for g in range(self.k)]
            better = np.array([rows[distance[np.ix_(rows, rows)].sum(axis=0).argmin()] for rows in members])
            if (better == centres).all():
                break
            centres = better
        return distance[:, centres].argmin(axis=1)


def main(work: Path) -> None:
    images = work / "digits"
    digits_folder.main(images, 0, 300)

    # reducer: what stands between encoder and groups; also an object of your own, with fit_transform.
    own = ilk.TransferClustering(10, encoder="gradients", clusterer=KMedoids(10), reducer="pca").fit(images)
    means = ilk.TransferClustering(10, encoder="gradients", clusterer="kmeans", reducer="pca").fit(images)
    for name, model in (("K-medoids", own), ("K-means", means)):
        print(f"{name:<10} images by group: {sorted(np.bincount(model.labels_).tolist(), reverse=True)}")

    # New images go where the most similar ones are, whatever made the groups.
    print("placed as grouped:", (own.predict(images) == own.labels_).mean())


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "ilk-examples"))
