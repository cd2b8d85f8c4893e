"""A small finished run, with everything that can be odd about one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from ilk import runs
from ilk.files import make_thumb, write_thumbs

HOSTILE = {
    3: "<script>alert(1)</script>.jpg",
    9: "a\" onerror='alert(1)' x=\"&amp;.png",
    10: "photo\u202egpj.exe",
    17: "two\nlines\r.jpg",
    18: "日本語 العربية 👩\u200d👧 $x_1$.webp",
}
BAD = {5: "not an image <b>at all</b>", 20: "truncated after 12 bytes"}
ORIGINALS = {11: 1, 21: 1, 12: 2}
N, SIDE = 60, 80

Make = Callable[..., runs.Run]


def header(n: int) -> dict[str, Any]:
    return {
        "method": "TransferClustering",
        "params": {"n_clusters": "auto", "note": "<i>hi</i>", "random_state": 0},
        "resolved": {"n_clusters": 3},
        "seed": 0,
        "source": {"spec": "/data/<img src=x>.tar", "kind": "tar", "n": n, "fingerprint": "ab12"},
        "encoder": {"name": "mobilenetv2_100", "why": "weights given", "backend": "OpenVINO", "notes": ["bf16"]},
        "versions": {"ilk": "0.1.0", "numpy": "2.0"},
        "commit": "abc1234",
        "device": "cpu",
        "quality": {
            "silhouette": {"space": "features", "sample": None},
            "silhouette_reduced": {"space": "UMAP, 10 dimensions", "sample": None},
        },
        "encoded": {"now": 40, "cached": 1500},
        "seconds": {"list": 0.1, "encode": 2.5, "cluster": 0.5, "total": 3.1},
        "warnings": ["2 files could not be <read>"],
        "command": "ilk cluster '/data/<img src=x>.tar' -k auto",
        "created": "2026-11-23T15:40:00+00:00",
        "summary": {
            "suggested": {"coarse": None, "natural": 3, "fine": 5},
            "warnings": ["2 files could not be <read>", "features are hand-made"],
            "images_per_second": 120.5,
        },
    }


def pixels_of(n: int, side: int = SIDE) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 255, (n, side, side, 3), np.uint8)


def cluster_record(k: int, mine: np.ndarray) -> dict[str, Any]:
    return {
        "id": k,
        "name": {1: "<b>sleeves</b>", -1: ""}.get(k, str(k)),
        "size": len(mine),
        "exemplars": mine[:4].tolist(),
        "borderline": mine[-2:].tolist() if k >= 0 else [],
        "quality": {} if k < 0 else {"silhouette": 0.42, "silhouette_reduced": 0.9, "confidence": 0.8},
        "nearest": None if k < 0 else (k + 1) % 3,
    }


def history_of(epochs: int) -> list[dict[str, Any]]:
    """What a method records that trains, and what belongs to no epoch."""
    trained = [{"stage": "train", "epoch": i, "epochs": epochs, "loss": 1 / (1 + i), "ok": True} for i in range(epochs)]
    later = [{"stage": "tune", "epoch": i, "loss": 0.1, "moved": None if i else 5} for i in range(3)]
    return [{"stage": "encode", "seconds": 1.0}, *trained, *later, {"stage": "done", "loss": 99.0}]


def figures_of_all_kinds() -> list[dict[str, Any]]:
    """A figure of each kind, with texts that must stay texts."""
    rng = np.random.default_rng(0)
    hostile = "</script><img src=x onerror=alert(1)> $x^$ \u202e"
    points = {"points": np.r_[rng.normal(size=(50, 2)), [[np.nan, 0]]], "labels": np.arange(51) % 4 - 1}
    return [
        {"name": "curves", "title": hostile, "caption": hostile, "kind": "lines", "x": [1, 2, 3],
         "series": {"_a": [1, np.nan, 3.5], hostile: [3, 2, 1]}, "x_label": hostile, "y_label": "loss"},
        {"name": "bars", "title": "Bars", "kind": "bars", "names": ["a", hostile], "values": [-2.5, 1e6]},
        {"name": "matrix", "title": "Matrix", "kind": "matrix", "values": [[1, 2, np.nan]], "row_names": ["only"]},
        {"name": "space", "title": "Space", "kind": "scatter",
         "panels": [{"title": "a", **points}, {"title": "b", **points}]},
        {"name": "views", "title": "Views", "kind": "images", "rows": [
            {"title": "grey", "images": rng.integers(0, 256, (3, 9, 7), dtype=np.uint8)},
            {"title": hostile, "images": rng.integers(0, 256, (45, 20, 30, 3), dtype=np.uint8)}]},
    ]  # fmt: skip


def runs_in(folder: Path) -> Make:
    """Return a function that builds a run in `folder`; its keyword arguments change one thing about the run."""

    def build(
        n: int = N, k: int = 3, side: int = SIDE, noise: bool = True, bad: dict[int, str] | None = None, **without: bool
    ) -> runs.Run:
        bad = BAD if bad is None else bad
        writer = runs.begin(folder / "run", header(n))
        ok = np.array([i for i in range(n) if i not in bad])
        labels = np.where((ok % 10 == 7) & noise, -1, ok % k)
        for kept in (ORIGINALS if n == N else {}).items():
            labels[ok == kept[0]] = labels[ok == kept[1]]
        originals = ORIGINALS if n == N else {}
        names = [HOSTILE.get(i, f"{i:05d}.jpg") for i in range(n)]
        writer.table(
            "images.parquet",
            {
                "index": list(range(n)),
                "path": names,
                "bytes": [1000] * n,
                "width": [None if i in bad else side for i in range(n)],
                "height": [None if i in bad else side for i in range(n)],
                "status": ["unreadable" if i in bad else "duplicate" if i in originals else "ok" for i in range(n)],
                "reason": [bad.get(i) for i in range(n)],
                "duplicate_of": [names[originals[i]] if i in originals else None for i in range(n)],
            },
        )
        rng = np.random.default_rng(1)
        columns = {
            c: rng.random(len(ok)).astype(np.float32)
            for c in ("confidence", "distance", "silhouette", "silhouette_reduced")
        }
        writer.table("assignments.parquet", {"index": ok, "group": labels, "second": (labels + 1) % k, **columns})
        writer.json("clusters.json", [cluster_record(int(c), ok[labels == c]) for c in np.unique(labels)])
        if not without.get("no_k_table"):
            writer.json("k_table.json", [{"k": i, "silhouette": 0.1 * i, "stability": None} for i in (2, 3, 5)])
        if not without.get("no_map"):
            layout = rng.normal(size=(n, 2)).astype(np.float32)
            layout[list(bad)] = np.nan
            writer.array("map.npy", layout)
        if without.get("rich"):
            features = rng.random((n, 5)).astype(np.float16) + 2 * np.eye(5, dtype=np.float16)[np.arange(n) % k % 5]
            features[list(bad)] = np.nan
            writer.array("features.npy", features)
            writer.figures([runs.checked_figure(figure) for figure in figures_of_all_kinds()])
            writer.update(history=history_of(12), choice={"clear": False, "why": "Criteria <b>disagree</b>."})
        if not without.get("no_thumbs"):
            write_thumbs(writer.folder / "thumbs", [make_thumb(p) for p in pixels_of(n, side)])
        if without.get("scored"):
            told = {"class": "<u>cat</u>", "share": 0.75, "size": 4}
            values = {"acc": 0.9, "nmi": 0.81, "nmi_geometric": 0.82, "ari": 0.7, "purity": 0.91}
            writer.json("scores.json", {"labels": "folder", **values, "n_scored": 58, "clusters": {"0": told}})
        return runs.load_run(writer.finish())

    return build
