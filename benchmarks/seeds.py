"""How much a small set of photos depends on the seed, and what would make it depend less.

    python benchmarks/seeds.py clothing500.tar WEIGHTS

For each variant: agreement between seeds (mean ARI of all pairs; looks at no label), and ACC of every seed (reported,
and used for nothing). Variants: K-means and Gaussian mixture on one layout, K-means on several layouts side by side,
another number of neighbours, and the best of four layouts by two criteria that need no labels.
"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
from typing import Any

import numpy as np
import torch

from ilk import files, metrics
from ilk.layout import Graph, umap_embedding
from ilk.methods import TransferClustering
from ilk.vectors import kmeans, silhouette_score

K, SEEDS = 10, 12
Labels = list[np.ndarray]


def fit(x: np.ndarray, seed: int) -> np.ndarray:
    """K-means labels of the rows of `x`."""
    return kmeans(torch.from_numpy(x), K, n_init=10, generator=torch.Generator().manual_seed(seed)).labels.numpy()


def mixture(x: np.ndarray, seed: int) -> np.ndarray:
    """Mixture labels of the rows of `x`, however few they are."""
    from sklearn.mixture import GaussianMixture

    reg = 1e-4 * float(x.var(0).mean())
    return GaussianMixture(K, n_init=3, reg_covar=reg, init_params="k-means++", random_state=seed).fit_predict(x)


def side_by_side(layouts: list[np.ndarray]) -> np.ndarray:
    """Several layouts of the same rows, each centred and of variance 1, as one space."""
    return np.hstack([(e - e.mean(0)) / np.sqrt(e.var(0).sum()) for e in layouts]).astype(np.float32)


def cut(graph: Graph, labels: np.ndarray) -> float:
    """Share of neighbours that belong to another group."""
    return float((labels[graph.index[:, 1:]] != labels[:, None]).mean())


def variants(space: np.ndarray, graph: Graph) -> dict[str, Labels]:
    """Labels of every seed, by variant."""
    graph15 = graph.nearest(15)
    layouts = [umap_embedding(space, graph15, n_components=10, seed=s) for s in range(3 * SEEDS)]
    wide = [umap_embedding(space, graph, n_components=10, seed=s) for s in range(SEEDS)]
    single = [fit(e, s) for s, e in enumerate(layouts)]
    fours = [range(i, i + 4) for i in range(0, 3 * SEEDS, 4)]
    silhouettes = [
        float(silhouette_score(torch.from_numpy(e), torch.from_numpy(single[s]))) for s, e in enumerate(layouts)
    ]
    return {
        "K-means": single[:SEEDS],
        "mixture": [mixture(e, s) for s, e in enumerate(layouts[:SEEDS])],
        "K-means, 20 neighbours": [fit(e, s) for s, e in enumerate(wide)],
        "K-means, 3 layouts side by side": [fit(side_by_side(layouts[3 * s : 3 * s + 3]), s) for s in range(SEEDS)],
        "best of 4 by silhouette": [single[max(four, key=lambda s: silhouettes[s])] for four in fours],
        "best of 4 by fewest cut neighbours": [
            single[min(four, key=lambda s: cut(graph15, single[s]))] for four in fours
        ],
    }


def told(labels: Labels, truth: list[Any]) -> dict[str, Any]:
    """Agreement between seeds, and scores."""
    pairs = [metrics.agreement(a, b)["ari"] for a, b in itertools.combinations(labels, 2)]
    acc = [round(metrics.accuracy(truth, found), 3) for found in labels]
    return {
        "agreement_of_seeds": round(statistics.mean(pairs), 3),
        "mean_acc": round(statistics.mean(acc), 4),
        "acc": acc,
    }


def main() -> None:
    """Measure and print JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("archive")
    parser.add_argument("weights")
    options = parser.parse_args()
    model = TransferClustering(
        K, encoder="mobilenetv2_100", weights=options.weights, settings={"n_neighbors": 20}, reducer="pca"
    ).fit(options.archive)
    found = files.truth("folder", options.archive)
    names = files.open_source(options.archive).names
    truth = [found[names[row]] for row in model.encoded_.rows]
    results = variants(model.space_, model.graph_.nearest(20))
    print(json.dumps({"n_images": len(truth), "k": K, "variants": {k: told(v, truth) for k, v in results.items()}}))


if __name__ == "__main__":
    main()
