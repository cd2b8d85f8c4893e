"""The clustering phase of DeepCluster: features → 256 whitened components → length 1 → K-means on all rows.

    python benchmarks/clustering_phase.py

Time of each step at three sizes of n and of K, and the largest resident memory, features included. Where faiss-cpu is
installed (`pip install -e .[bench]`), the largest size is raced against it in turns: its PCAMatrix with eigen_power
−0.5, and its Kmeans from the same start without its sampling. Prints JSON.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import resource
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from ilk.methods.deepcluster.space import fit_space
from ilk.vectors import kmeans, l2_normalize

ITERATIONS, COMPONENTS, RANK = 20, 256, 300


def features(n: int, d: int) -> np.ndarray:
    """Return (n, d) float16 rows as a network gives them: many kinds, a spectrum that falls, noise."""
    g = torch.Generator().manual_seed(0)
    scale = torch.arange(1, RANK + 1, dtype=torch.float32).rsqrt()
    basis = torch.randn(RANK, d, generator=g) * scale[:, None]
    kinds = torch.randn(2000, RANK, generator=g)
    found = np.empty((n, d), np.float16)
    for start in range(0, n, 5000):
        stop = min(start + 5000, n)
        own = kinds[torch.randint(0, 2000, (stop - start,), generator=g)]
        own = own + 0.7 * torch.randn(stop - start, RANK, generator=g)
        found[start:stop] = (own @ basis + 0.1 * torch.randn(stop - start, d, generator=g)).half().numpy()
    return found


def ours(x: np.ndarray, k: int) -> tuple[dict[str, float], torch.Tensor, float]:
    """Return seconds by step, the rows that K-means saw, and its inertia."""
    begin = time.perf_counter()
    space = fit_space(x, COMPONENTS)
    fitted = time.perf_counter()
    rows = space.rows(x)
    whitened = time.perf_counter()
    found = kmeans(rows, k, max_iter=ITERATIONS, tol=0.0, init=rows[:k].clone(), empty="split")
    done = time.perf_counter()
    seconds = {
        "components": fitted - begin, "whiten": whitened - fitted, "kmeans": done - whitened, "total": done - begin,
    }  # fmt: skip
    return {name: round(value, 2) for name, value in seconds.items()}, rows, found.inertia


def theirs(x: np.ndarray, k: int) -> tuple[dict[str, float], float]:
    """Do the same with faiss."""
    import faiss

    begin = time.perf_counter()
    wide = x.astype(np.float32)
    pca = faiss.PCAMatrix(x.shape[1], COMPONENTS, -0.5)
    pca.train(wide)
    fitted = time.perf_counter()
    rows = np.ascontiguousarray(pca.apply_py(wide))
    faiss.normalize_L2(rows)
    whitened = time.perf_counter()
    engine = faiss.Kmeans(COMPONENTS, k, niter=ITERATIONS, max_points_per_centroid=10**7, min_points_per_centroid=1)
    engine.train(rows, init_centroids=rows[:k].copy())
    distance, _ = engine.index.search(rows, 1)
    done = time.perf_counter()
    seconds = {
        "components": fitted - begin, "whiten": whitened - fitted, "kmeans": done - whitened, "total": done - begin,
    }  # fmt: skip
    return {name: round(value, 2) for name, value in seconds.items()}, float(distance.sum(dtype=np.float64))


def peak_gib() -> float:
    """Return the largest resident memory of this process so far."""
    unit = 2**30 if sys.platform == "darwin" else 2**20
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit, 2)


def race(x: np.ndarray, k: int, rounds: int) -> dict[str, Any]:
    """Time both in turns; the first round warms up and does not count."""
    with contextlib.suppress(ImportError):
        import faiss

        faiss.omp_set_num_threads(torch.get_num_threads())
        calls: dict[str, Callable[[], Any]] = {"ilk": lambda: ours(x, k)[0], "faiss": lambda: theirs(x, k)[0]}
        spent: dict[str, list[float]] = {name: [] for name in calls}
        for number in range(rounds + 1):
            for name, call in calls.items():
                seconds = call()
                if number:
                    spent[name].append(seconds["total"])
        ratios = [a / b for a, b in zip(spent["ilk"], spent["faiss"], strict=True)]
        return {"seconds": spent, "ratio": round(statistics.median(ratios), 3)}
    return {"not_run": "faiss-cpu is not installed here: pip install -e .[bench]"}


def exponent(sizes: list[int], seconds: list[float]) -> float:
    """Return the slope of log seconds over log size: 1 is linear."""
    return round(float(np.polyfit(np.log(sizes), np.log(seconds), 1)[0]), 2)


def main() -> None:
    """Measure, and print JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, default=100_000)
    parser.add_argument("--d", type=int, default=4096)
    parser.add_argument("--k", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    n, k = options.n, options.k
    x = features(n, options.d)
    made = peak_gib()
    by_n = [{"n": size, "k": k, **ours(x[:size], k)[0]} for size in (n // 4, n // 2)]
    seconds, rows, _ = ours(x, k)
    by_n.append({"n": n, "k": k, **seconds})
    by_k = []
    for size in (k // 4, k // 2, k):
        begin = time.perf_counter()
        kmeans(rows, size, max_iter=ITERATIONS, tol=0.0, init=rows[:size].clone(), empty="split")
        by_k.append({"n": n, "k": size, "kmeans": round(time.perf_counter() - begin, 2)})
    peak = peak_gib()
    norms = torch.linalg.vector_norm(l2_normalize(rows[:100]), dim=1)
    assert torch.allclose(norms, torch.ones(100))
    print(json.dumps({
        "n": n, "d": options.d, "components": COMPONENTS, "k": k, "iterations": ITERATIONS,
        "threads": torch.get_num_threads(),
        "by_n": by_n,
        "by_k": by_k,
        "growth_with_n": {
            step: exponent([r["n"] for r in by_n], [r[step] for r in by_n]) for step in ("whiten", "kmeans", "total")
        },
        "growth_with_k": exponent([r["k"] for r in by_k], [r["kmeans"] for r in by_k]),
        "peak_gib": peak,
        "peak_gib_while_features_were_made": made,
        "against_faiss": race(x, k, options.rounds),
    }))  # fmt: skip


if __name__ == "__main__":
    main()
