"""The cluster engine beside faiss and scikit-learn: same rows, same starts, in turns. One JSON object a call.

    python benchmarks/engine.py kmeans                    Lloyd's iterations beside faiss; inertia beside scikit-learn
    python benchmarks/engine.py phase                     DeepCluster's clustering phase: components, whitening, K-means
    python benchmarks/engine.py kscan PHOTOS.tar WEIGHTS MNIST.npz    the scan over K beside the loop that people write

Whatever else the machine does falls on both sides. faiss-cpu: `pip install -e .[bench]`.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from common import digits, members, peak_mib, timed
from PIL import Image, ImageOps

import ilk
from ilk.vectors import fit_pca, kmeans, l2_normalize

ITERATIONS, COMPONENTS, RANK = 20, 256, 300
GRID = range(2, 31)
SIDE = 224


def overlapping(n: int, d: int, k: int) -> torch.Tensor:
    """Rows around k directions, with enough noise that Lloyd's algorithm does not finish at once."""
    g = torch.Generator().manual_seed(0)
    directions = torch.randn(k, d, generator=g)
    return 0.5 * directions[torch.randint(0, k, (n,), generator=g)] + torch.randn(n, d, generator=g)


def lloyd(n: int, d: int, k: int, iterations: int, rounds: int) -> dict[str, Any]:
    """Time both in turns from the same k rows; the first round warms up and does not count."""
    import faiss

    faiss.omp_set_num_threads(torch.get_num_threads())
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


def starts(n_init: int) -> list[dict[str, Any]]:
    """Compare inertias after `n_init` starts each."""
    from sklearn.cluster import KMeans

    pixels = digits()[0].reshape(-1, 64).astype(np.float32)
    blobs = overlapping(5_000, 64, 50).numpy()
    found = []
    for name, x, k in (("digits", pixels, 10), ("digits", pixels, 50), ("overlapping 5,000 x 64", blobs, 50)):
        ours_seconds, ours = timed(lambda x=x, k=k: kmeans(torch.from_numpy(x), k, n_init=n_init))
        seconds, theirs = timed(lambda x=x, k=k: KMeans(k, n_init=n_init, random_state=0).fit(x))
        ratio = ours.inertia / float(theirs.inertia_)
        record = {"data": name, "k": k, "n_init": n_init, "inertia_ratio": round(ratio, 5)}
        found.append({**record, "seconds": {"ilk": round(ours_seconds, 3), "scikit-learn": round(seconds, 3)}})
    return found


def run_kmeans(options: argparse.Namespace) -> dict[str, Any]:
    """Time of Lloyd's iterations beside faiss, inertia after equal numbers of starts beside scikit-learn."""
    raced = lloyd(options.n, options.d, options.k, options.iterations, options.rounds)
    quality = starts(options.n_init)
    return {
        "ratio": raced["ratio_median"],
        "inertia_ratio": max(found["inertia_ratio"] for found in quality),
        "threads": torch.get_num_threads(),
        "lloyd_against_faiss": raced,
        "inertia_against_scikit_learn": quality,
    }


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
    pca = fit_pca(x, min(COMPONENTS, x.shape[1], len(x) - 1), whiten=True)
    fitted = time.perf_counter()
    rows = l2_normalize(pca.transform(x))
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


def beside_faiss(x: np.ndarray, k: int, rounds: int) -> dict[str, Any]:
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
    return round(float(np.polyfit(np.log(sizes), np.log(np.maximum(seconds, 0.01)), 1)[0]), 2)


def run_phase(options: argparse.Namespace) -> dict[str, Any]:
    """Features → 256 whitened components → length 1 → K-means on all rows, as a round of DeepCluster has it.

    Time of each step at three sizes of n and of K, and the largest resident memory, features included. With faiss-cpu
    the largest size is raced: its PCAMatrix with eigen_power −0.5, its Kmeans from the same start without its sampling.
    """
    n, k = options.n, options.k
    x = features(n, options.d)
    made = round(peak_mib() / 2**10, 2)
    by_n = [{"n": size, "k": k, **ours(x[:size], k)[0]} for size in (n // 4, n // 2)]
    seconds, rows, _ = ours(x, k)
    by_n.append({"n": n, "k": k, **seconds})
    by_k = []
    for size in (k // 4, k // 2, k):
        start = rows[:size].clone()
        took = timed(lambda: kmeans(rows, len(start), max_iter=ITERATIONS, tol=0.0, init=start, empty="split"))[0]  # noqa: B023
        by_k.append({"n": n, "k": size, "kmeans": round(took, 2)})
    peak = round(peak_mib() / 2**10, 2)
    steps = ("whiten", "kmeans", "total")
    return {
        "n": n, "d": options.d, "components": COMPONENTS, "k": k, "iterations": ITERATIONS,
        "threads": torch.get_num_threads(), "by_n": by_n, "by_k": by_k,
        "growth_with_n": {step: exponent([r["n"] for r in by_n], [r[step] for r in by_n]) for step in steps},
        "growth_with_k": exponent([r["k"] for r in by_k], [r["kmeans"] for r in by_k]),
        "peak_gib": peak, "peak_gib_while_features_were_made": made,
        "against_faiss": beside_faiss(x, k, options.rounds),
    }  # fmt: skip


def crops(archive: str) -> np.ndarray:
    """Return three square crops of each photo: both ends of its longer side, and its middle, larger."""
    found = []
    for _, data in members(archive):
        photo = ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB")
        for corner, part in (((0, 0), 0.8), ((1, 1), 0.8), ((0.5, 0.5), 1.0)):
            side = part * min(photo.size)
            left, top = ((size - side) * at for size, at in zip(photo.size, corner, strict=True))
            box = (left, top, left + side, top + side)
            found.append(np.asarray(photo.resize((SIDE, SIDE), Image.Resampling.BICUBIC, box)))
    return np.stack(found)


def wide_rows(archive: str, encoder: str, weights: str, folder: Path) -> np.ndarray:
    """Return (1500, 1280) float32 features, kept in `folder`."""
    from ilk import encoders

    kept = folder / "crops.npy"
    if not kept.exists():
        source = ilk.open_images(crops(archive))
        built = encoders.build(encoder, weights=None if weights == "none" else weights, source=source, cache=folder)
        np.save(kept, encoders.encode(source, built, cache=folder).features.astype(np.float32))
    return np.load(kept)


def many_rows(path: str) -> np.ndarray:
    """Return (70000, 10) float32 principal components of MNIST."""
    with np.load(path) as data:
        pixels = (
            np.concatenate([data["x_train"], data["x_test"]])
            .reshape(len(data["x_train"]) + len(data["x_test"]), -1)
            .astype(np.float32)
        )
    return np.asarray(fit_pca(pixels, 10).transform(pixels))


def loop(x: np.ndarray, n_init: int) -> dict[int, tuple[float, float]]:
    """The loop that people write: inertia and silhouette by K."""
    from sklearn.cluster import KMeans
    from sklearn.metrics import silhouette_score

    found = {}
    for k in GRID:
        model = KMeans(k, n_init=n_init, random_state=0).fit(x)
        found[k] = (float(model.inertia_), float(silhouette_score(x, model.labels_)))
    return found


def scan_race(x: np.ndarray, n_init: int, rounds: int) -> dict[str, Any]:
    """Time both scans, ours `rounds` times before and after the other."""

    def scan(**options: Any) -> Any:
        return ilk.choose_k(x, k_grid=GRID, n_init=n_init, sample_size=None, **options)

    scan(criteria="silhouette")  # the first call of a process also loads libraries
    two, four = [], []
    for half in range(2):
        for _ in range(rounds):
            two.append(timed(lambda: scan(criteria="silhouette")))
            four.append(timed(scan))
        if half == 0:
            seconds, plain = timed(lambda: loop(x, n_init))
    ours, full = two[0][1], four[0][1]
    fits = {k: kmeans(torch.from_numpy(x), k, n_init=n_init).inertia for k in GRID}
    inertia = [fits[k] / plain[k][0] for k in GRID]
    by_silhouette = {row["k"]: row["silhouette"] for row in ours.table}
    silhouette_only, all_criteria = (statistics.median(spent for spent, _ in runs) for runs in (two, four))
    return {
        "n_init": n_init,
        "seconds": {
            "scikit-learn": round(seconds, 3),
            "ilk, silhouette": [round(spent, 3) for spent, _ in two],
            "ilk, all criteria": [round(spent, 3) for spent, _ in four],
        },
        "ratio_silhouette_only": round(seconds / silhouette_only, 2),
        "ratio_all_criteria": round(seconds / all_criteria, 2),
        "best_k": {"scikit-learn": max(plain, key=lambda k: plain[k][1]), "ilk": ours.best["silhouette"]},
        "best_k_by_criterion": full.best,
        "silhouette_of_best": {"scikit-learn": round(max(s for _, s in plain.values()), 4),
                               "ilk": max(by_silhouette.values())},
        "inertia_ratio_mean": round(statistics.mean(inertia), 5),
        "inertia_ratio_worst": round(max(inertia), 5),
    }  # fmt: skip


def run_kscan(options: argparse.Namespace) -> dict[str, Any]:
    """The scan over numbers of groups against the loop that people write, and on many rows.

    Wide: MobileNetV2 features of three crops of each photo, K = 2 … 30. The plain loop is scikit-learn's KMeans and its
    silhouette on all rows for every K; ilk computes the same two for every K, once without and once with the other
    criteria (Calinski-Harabasz, Davies-Bouldin, stability, and the cloud that "clear" is judged by). Many: MNIST in 10
    principal components, the default scan (K up to 50, all four criteria).
    """
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.folder or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        wide = wide_rows(options.archive, options.encoder, options.weights, folder)
    races = [scan_race(wide, n_init, options.rounds) for n_init in (1, 10)]
    rows, many = many_rows(options.mnist), []
    for seed in range(2):
        seconds, found = timed(lambda seed=seed: ilk.choose_k(rows, random_state=seed))
        kept = {"numbers_tried": len(found.table), **found.suggested(), "clear": found.clear, "why": found.why}
        many.append({"seed": seed, "seconds": round(seconds, 2), **kept, "best": found.best})
    return {
        "wide": {"shape": list(wide.shape), "k": [GRID[0], GRID[-1]], "races": races},
        "same_best_k": all(r["best_k"]["scikit-learn"] == r["best_k"]["ilk"] for r in races),
        "many": {"shape": list(rows.shape), "runs": many, "slowest_seconds": max(r["seconds"] for r in many)},
        "threads": torch.get_num_threads(),
    }


def main() -> None:
    """Measure one thing and print JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True, metavar="MEASUREMENT")
    for name, call, sizes in (
        ("kmeans", run_kmeans, {"n": 100_000, "d": 384, "k": 100, "iterations": 20, "rounds": 5, "n-init": 5}),
        ("phase", run_phase, {"n": 100_000, "d": 4096, "k": 1000, "rounds": 3}),
        ("kscan", run_kscan, {"rounds": 3}),
    ):
        command = commands.add_parser(name, description=call.__doc__)
        command.set_defaults(call=call)
        for option, default in sizes.items():
            command.add_argument(f"--{option}", type=int, default=default)
    for positional in ("archive", "weights", "mnist"):
        command.add_argument(positional)
    command.add_argument("--encoder", default="mobilenetv2_100")
    command.add_argument("--folder", type=Path, help="where features are kept for the next call")
    options = parser.parse_args()
    print(json.dumps(options.call(options)))


if __name__ == "__main__":
    main()
