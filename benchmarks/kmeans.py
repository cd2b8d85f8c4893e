"""K-means of ilk against faiss (time of Lloyd's iterations) and scikit-learn (inertia after equal numbers of starts).

Both engines get the same rows, the same start and the same number of iterations, and run in turns, so that whatever
else the machine does falls on both. ``python benchmarks/kmeans.py`` prints JSON.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from typing import Any

import faiss
import numpy as np
import torch
from sklearn.cluster import KMeans
from sklearn.datasets import load_digits

from ilk.vectors import kmeans


def timed(call: Callable[[], Any]) -> tuple[float, Any]:
    start = time.perf_counter()
    result = call()
    return time.perf_counter() - start, result


def overlapping(n: int, d: int, k: int) -> torch.Tensor:
    """Rows around k directions, with enough noise that Lloyd's algorithm does not finish at once."""
    g = torch.Generator().manual_seed(0)
    directions = torch.randn(k, d, generator=g)
    return 0.5 * directions[torch.randint(0, k, (n,), generator=g)] + torch.randn(n, d, generator=g)


def race(n: int, d: int, k: int, iterations: int, rounds: int) -> dict[str, Any]:
    """Time both in turns from the same k rows; the first round warms up and does not count."""
    x = overlapping(n, d, k)
    start = x[torch.randperm(n, generator=torch.Generator().manual_seed(1))[:k]].clone()

    def ours() -> float:
        result = kmeans(x, k, init=start, max_iter=iterations, tol=0.0)
        assert result.n_iter == iterations, "converged early: not the same work"
        return result.inertia

    def theirs() -> float:
        engine = faiss.Kmeans(d, k, niter=iterations, max_points_per_centroid=n, min_points_per_centroid=1)
        engine.train(x.numpy(), init_centroids=start.numpy())
        distance, _ = engine.index.search(x.numpy(), 1)  # labels and inertia of the final centres, as ours returns
        return float(distance.sum(dtype=np.float64))

    seconds: dict[str, list[float]] = {"ilk": [], "faiss": []}
    inertia = {}
    for number in range(rounds + 1):
        for name, call in (("ilk", ours), ("faiss", theirs)):
            spent, inertia[name] = timed(call)
            if number:
                seconds[name].append(round(spent, 4))
    ratios = [a / b for a, b in zip(seconds["ilk"], seconds["faiss"], strict=True)]
    return {
        "n": n,
        "d": d,
        "k": k,
        "iterations": iterations,
        "seconds": seconds,
        "inertia": inertia,
        "ratio_median": round(statistics.median(ratios), 4),
        "ratio_worst": round(max(ratios), 4),
        "gflop_per_iteration": 2 * n * d * k / 1e9,
    }


def quality(n_init: int) -> list[dict[str, Any]]:
    """Compare inertias after `n_init` starts each."""
    digits = load_digits().data.astype(np.float32)
    blobs = overlapping(5_000, 64, 50).numpy()
    found = []
    for name, x, k in (("digits", digits, 10), ("digits", digits, 50), ("overlapping 5,000 x 64", blobs, 50)):
        ours_seconds, ours = timed(lambda x=x, k=k: kmeans(torch.from_numpy(x), k, n_init=n_init))
        seconds, theirs = timed(lambda x=x, k=k: KMeans(k, n_init=n_init, random_state=0).fit(x))
        ratio = ours.inertia / float(theirs.inertia_)
        record = {"data": name, "k": k, "n_init": n_init, "inertia_ratio": round(ratio, 5)}
        found.append({**record, "seconds": {"ilk": round(ours_seconds, 3), "scikit-learn": round(seconds, 3)}})
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--n", type=int, default=100_000)
    parser.add_argument("--d", type=int, default=384)
    parser.add_argument("--k", type=int, default=100)
    parser.add_argument("--iterations", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--n-init", type=int, default=5)
    options = parser.parse_args()
    faiss.omp_set_num_threads(torch.get_num_threads())
    lloyd = race(options.n, options.d, options.k, options.iterations, options.rounds)
    starts = quality(options.n_init)
    print(json.dumps({
        "ratio": lloyd["ratio_median"],
        "inertia_ratio": max(found["inertia_ratio"] for found in starts),
        "threads": torch.get_num_threads(),
        "lloyd_against_faiss": lloyd,
        "inertia_against_scikit_learn": starts,
    }))  # fmt: skip


if __name__ == "__main__":
    main()
