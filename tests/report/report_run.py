"""A small finished run, with everything that can be odd about one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ilk import runs

HOSTILE = {
    3: "<script>alert(1)</script>.jpg",
    9: "a\" onerror='alert(1)' x=\"&amp;.png",
    10: "photo\u202egpj.exe",
    17: "two\nlines\r.jpg",
    18: "日本語 العربية 👩\u200d👧 $x_1$.webp",
}
BAD = {5: "not an image <b>at all</b>", 20: "truncated after 12 bytes"}
TWINS = {11: 1, 21: 1, 12: 2}
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
        "quality": {} if k < 0 else {"silhouette": 0.42, "confidence": 0.8},
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
        {"name": "space", "title": "Space", "kind": "scatter", "panels": [{"title": "a", **points}, {"title": "b", **points}]},
        {"name": "views", "title": "Views", "kind": "images", "rows": [
            {"title": "grey", "images": rng.integers(0, 256, (3, 9, 7), dtype=np.uint8)},
            {"title": hostile, "images": rng.integers(0, 256, (45, 20, 30, 3), dtype=np.uint8)}]},
    ]  # fmt: skip
