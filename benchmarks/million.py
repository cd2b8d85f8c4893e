"""What grouping costs at a million images after encoding, stage by stage, and how much approximate neighbours find.

    python benchmarks/million.py features --n 1000000 --folder /tmp/million
    python benchmarks/million.py near --folder /tmp/million           # near duplicates
    python benchmarks/million.py reduce --folder /tmp/million         # PCA, neighbours with their recall, UMAP
    python benchmarks/million.py group --folder /tmp/million -k 50    # mixture, votes, confidence, cells for `predict`
    python benchmarks/million.py whole --folder /tmp/million -k 50    # all of `ilk.cluster` in one process; `predict`
    python benchmarks/million.py levels --folder /tmp/million -k 50   # all of `Hierarchical.fit` in one process
    python benchmarks/million.py predict --folder /tmp/million        # new rows among all: exact, and in cells

Features are made up: 200 kinds in 25 families, three sub-modes each, spread along eight directions, sizes like Zipf's;
384 numbers in half precision. A stage is a process of its own, with one thread: its CPU seconds and its peak memory
stand on their own. Results are appended to benchmarks/results/scale/million.jsonl.
"""

from __future__ import annotations

import argparse
import json
import platform
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

ROOT = Path(__file__).resolve().parents[1]
KINDS, FAMILIES, MODES, RANK, WIDTH = 200, 25, 3, 8, 384
BLOCK = 50_000


def cpu() -> float:
    """Return CPU seconds of this process."""
    return sum(resource.getrusage(resource.RUSAGE_SELF)[:2])


class Stages:
    """Prints, and keeps, what each stage has cost."""

    def __init__(self) -> None:
        self.found: dict[str, dict[str, float]] = {}
        self.last = cpu()

    def __call__(self, name: str, **facts: Any) -> None:
        """Note that a stage has ended."""
        now = cpu()
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        self.found[name] = {"cpu_s": round(now - self.last, 2), "peak_gib": round(peak, 2), **facts}
        print(name, self.found[name], flush=True)
        self.last = cpu()


def make(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return features (n, 384) float16 and their kinds (n,)."""
    rng = np.random.default_rng(seed)
    family = rng.normal(size=(FAMILIES, WIDTH))
    kind = family[np.arange(KINDS) % FAMILIES] + 0.7 * rng.normal(size=(KINDS, WIDTH))
    mode = kind[:, None] + 0.35 * rng.normal(size=(KINDS, MODES, WIDTH))
    spread = 0.25 * rng.normal(size=(KINDS, RANK, WIDTH))
    share = 1 / np.arange(1, KINDS + 1) ** 0.7
    of = rng.choice(KINDS, n, p=share / share.sum())
    x = np.empty((n, WIDTH), np.float16)
    for start in range(0, n, BLOCK):
        mine = of[start : start + BLOCK]
        block = mode[mine, rng.integers(0, MODES, len(mine))] + 0.25 * rng.normal(size=(len(mine), WIDTH))
        weights = rng.normal(size=(len(mine), RANK))
        for direction in range(RANK):
            block += weights[:, direction, None] * spread[mine, direction]
        x[start : start + BLOCK] = block
    return x, of


def features(options: argparse.Namespace, stage: Stages) -> dict[str, Any]:
    """Write the features."""
    x, of = make(options.n)
    np.save(options.folder / "features.npy", x)
    np.save(options.folder / "kinds.npy", of)
    stage("features")
    return {"n": options.n}


def near(options: argparse.Namespace, stage: Stages) -> dict[str, Any]:
    """Near duplicates, by the limit that the features themselves show."""
    from ilk import near as stacks
    from ilk.vectors import nearest_of_many

    x = np.load(options.folder / "features.npy", mmap_mode="r")
    stage("import")
    limit = stacks.find(x)
    stage("limit", limit=limit.value)
    assert limit.value is not None
    heads = stacks.lead(x, np.arange(len(x)), limit.value, None, nearest_of_many(len(x)))
    stage("stacks", stacked=int((heads != np.arange(len(x))).sum()))
    return {"n": len(x)}


def reduce(options: argparse.Namespace, stage: Stages) -> dict[str, Any]:
    """PCA, the neighbour graph with its recall, UMAP."""
    from ilk.layout import umap_embedding
    from ilk.methods.assign.placer import Space, graph_of

    x = np.load(options.folder / "features.npy", mmap_mode="r")
    stage("import")
    space = Space.fit(x, 50, normalize=True)
    stage("pca")
    graph = graph_of(space, 16)
    stage("neighbours", recall=graph.recall)
    np.save(options.folder / "space.npy", space.rows)
    np.savez(options.folder / "graph.npz", index=graph.index.astype(np.int32), distance=graph.distance)
    laid = umap_embedding(space.rows, graph.nearest(15), n_components=10)
    stage("umap")
    np.save(options.folder / "umap.npy", laid)
    return {"n": len(x)}


def group(options: argparse.Namespace, stage: Stages) -> dict[str, Any]:
    """Mixture on the layout that `reduce` made, the votes, the confidence."""
    from sklearn.metrics import adjusted_rand_score

    from ilk.layout import Graph
    from ilk.methods import pipeline
    from ilk.methods.assign.voting import Voter

    laid, space = np.load(options.folder / "umap.npy"), np.load(options.folder / "space.npy")
    kept = np.load(options.folder / "graph.npz")
    graph = Graph(kept["index"].astype(np.int64), kept["distance"])
    stage("import")
    found = pipeline.group(laid, options.k, "gmm", 3, 0, graph.nearest(15))
    stage("mixture", clusterer=found.clusterer)
    nothing = (np.zeros(0, np.int64), np.zeros(0, np.float32))
    voter = Voter.fit(space, graph, found.labels, found.proba, 15, nothing)
    stage("votes", recall=None if voter.cells is None else voter.cells.recall)
    voter.confidence(graph, found.labels, np.zeros(len(space), np.float32))
    stage("confidence")
    ari = adjusted_rand_score(np.load(options.folder / "kinds.npy"), found.labels)
    return {"n": len(space), "k": options.k, "ari_with_the_kinds": round(float(ari), 4)}


def whole(options: argparse.Namespace, stage: Stages) -> dict[str, Any]:
    """All of `ilk.cluster` on the features: groups, tables, plots, report; then the run placing new rows."""
    import ilk

    stage("import")
    source, rng = options.folder / "features.npy", np.random.default_rng(1)
    run = ilk.cluster(
        str(source),
        options.folder / "run",
        options={"n_clusters": options.k, "cache": str(options.folder / "cache")},
        overwrite=True,
        verbose=False,
    )
    stage("job", seconds=run.header["seconds"], tree_mib=round(size_of(run.path) / 2**20))
    x = np.load(source, mmap_mode="r")
    new = np.asarray(x[np.sort(rng.choice(len(x), 20_000))], np.float32)
    new += 0.1 * new.std() * rng.normal(size=new.shape).astype(np.float32)
    model = run.model()
    model.predict(new[:1])
    stage("opened")
    found = model.predict(new)
    stage("placed", rows=len(new), refused=int((found < 0).sum()))
    return {"n": len(x), "k": options.k, "warnings": run.header["warnings"], "neighbors": run.header["neighbors"]}


def size_of(folder: Path) -> int:
    """Return the bytes of all files below `folder`."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def levels(options: argparse.Namespace, stage: Stages) -> dict[str, Any]:
    """All of a fit of `Hierarchical` on the features."""
    from sklearn.metrics import adjusted_rand_score

    from ilk import Hierarchical

    x = np.load(options.folder / "features.npy", mmap_mode="r")
    stage("import")
    model = Hierarchical(options.k, cache=str(options.folder / "cache"), verbose=False).fit(x)
    stage("fit", seconds={r["stage"]: r["seconds"] for r in model.history_ if "seconds" in r})
    ari = adjusted_rand_score(np.load(options.folder / "kinds.npy"), model.labels_)
    return {"n": len(x), "k": options.k, "notes": model.notes_, "ari_with_the_kinds": round(float(ari), 4)}


def predict(options: argparse.Namespace, stage: Stages) -> dict[str, Any]:
    """Neighbours of new rows: exact, and in cells that are made, kept and loaded."""
    from ilk.methods.assign.placer import Space
    from ilk.vectors import Cells, NeighborIndex

    file = options.folder / "space.npy"
    if not file.exists():  # `reduce` leaves it, too
        np.save(file, Space.fit(np.load(options.folder / "features.npy", mmap_mode="r"), 50, normalize=True).rows)
    space = torch.from_numpy(np.load(file)[: options.n])
    rng = np.random.default_rng(1)
    rows = space[np.sort(rng.choice(len(space), 20_000, replace=False))]
    rows = rows + 0.3 * rows.std() * torch.from_numpy(rng.normal(size=rows.shape).astype(np.float32))
    stage("import")
    exact = NeighborIndex(space)
    stage("exact index")
    true = exact(rows[:1000], 15)[1]
    stage("exact, 1,000 rows")
    cells = Cells.of_rows(space)
    stage("cells made", cells=len(cells.centers), probes=cells.probes, recall=round(cells.recall, 4))
    kept = cells.state()
    index = NeighborIndex(space, cells=Cells.from_state(kept, tuple(space.shape)))  # type: ignore[arg-type]
    index(rows[:1], 15)
    stage("cells loaded, first row", bytes=sum(np.asarray(value).nbytes for value in kept.values()))
    found = index(rows, 15)[1]
    stage("cells, 20,000 rows")
    hits = (found[:1000] <= true[:, -1:] * (1 + 1e-5)).float().mean()
    return {"n": len(space), "recall@15": round(float(hits), 4)}


def main() -> None:
    """Run one stage, and append what it cost."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stage", choices=["features", "near", "reduce", "group", "whole", "levels", "predict"])
    parser.add_argument("--n", type=int, default=1_000_000)
    parser.add_argument("-k", type=int, default=50)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks/results/scale/million.jsonl")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    stage, begin = Stages(), time.perf_counter()
    facts = globals()[options.stage](options, stage)
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True).stdout
    record = {
        "command": f"python benchmarks/million.py {options.stage} -k {options.k}",
        "commit": commit.strip(),
        "seed": 0,
        "hardware": f"{platform.machine()}, {torch.get_num_threads()} thread, other jobs running",
        "python": sys.version.split()[0],
        "wall_s": round(time.perf_counter() - begin, 1),
        **facts,
        "stages": stage.found,
    }
    options.out.parent.mkdir(parents=True, exist_ok=True)
    with options.out.open("a") as file:
        file.write(json.dumps(record) + "\n")


if __name__ == "__main__":
    main()
