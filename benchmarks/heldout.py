"""How well a run places images it has not seen: against umap-learn's own way, and against its own training images.

    python benchmarks/heldout.py mnist.npz

The usual way: umap-learn lays out PCA-50 of the 60,000 training images in 10 dimensions, a Gaussian mixture groups
them, `transform` lays out the 10,000 test images, the mixture says which group. Ours: `TransferClustering.predict`.
Twice: on that very layout and mixture (the placing alone), and the whole default pipeline on its own. Groups are
matched on the training images. ACC is reported and used for nothing.
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from typing import Any

import numpy as np
from scipy.optimize import linear_sum_assignment

from ilk import metrics
from ilk.methods import TransferClustering

K = 10


class Theirs:
    """A layout and a mixture as people write them, kept so that they can be asked again."""

    def __init__(self, seed: int) -> None:
        import umap
        from sklearn.mixture import GaussianMixture

        self.layout = umap.UMAP(n_components=10, n_neighbors=15, min_dist=0.0, random_state=seed)
        self.mixture = GaussianMixture(K, n_init=3, init_params="k-means++", random_state=seed)

    def fit_transform(self, x: np.ndarray) -> np.ndarray:
        """Lay out `x`."""
        return np.asarray(self.layout.fit_transform(x))

    def fit_predict(self, x: np.ndarray) -> np.ndarray:
        """Group `x`."""
        return np.asarray(self.mixture.fit_predict(x.astype(np.float64)))

    def predict(self, x: np.ndarray) -> np.ndarray:
        """Place new rows: into the layout first, then into the mixture."""
        return np.asarray(self.mixture.predict(self.layout.transform(x).astype(np.float64)))


def renaming(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """For each group of `a` the group of `b` it shares most rows with, one to one."""
    shared = np.zeros((K, K), np.int64)
    np.add.at(shared, (a, b), 1)
    return np.asarray(linear_sum_assignment(shared, maximize=True)[1])


def main() -> None:
    """Measure and print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    with np.load(options.data) as data:
        train, test, y_train, y_test = (data[name] for name in ("x_train", "x_test", "y_train", "y_test"))
    theirs = Theirs(options.seed)
    same = TransferClustering(K, encoder="pixels", reducer=theirs, clusterer=theirs, random_state=options.seed)
    same.fit(train)
    own = TransferClustering(K, random_state=options.seed).fit(train)
    space = same.pca_.transform(same.encode(test).features).numpy()
    start = time.perf_counter()
    told = theirs.predict(space)
    their_seconds = time.perf_counter() - start
    raw = theirs.mixture.predict(same.embedding_.astype(np.float64))
    result: dict[str, Any] = {
        "n_train": len(train),
        "n_test": len(test),
        "seed": options.seed,
        "their_seconds": round(their_seconds, 2),
        "their_acc": metrics.accuracy(y_test, told),
    }
    for name, model in (("same_layout", same), ("own_pipeline", own)):
        start = time.perf_counter()
        placed = model.predict(test)
        seconds = time.perf_counter() - start
        as_ours = renaming(raw, model.labels_)[told]
        result[name] = {
            "agreement": float((placed == as_ours).mean()),
            "none_of_these": float((placed < 0).mean()),
            "acc_test": metrics.accuracy(y_test, placed),
            "acc_train": metrics.accuracy(y_train, model.labels_),
            "seconds": round(seconds, 2),
        }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
