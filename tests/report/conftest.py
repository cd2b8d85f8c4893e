"""Fixtures of the report's tests."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from report_run import (
    BAD,
    HOSTILE,
    SIDE,
    TWINS,
    Make,
    N,
    cluster_record,
    figures_of_all_kinds,
    header,
    history_of,
    pixels_of,
)

from ilk import runs
from ilk.files.thumbs import make_thumb, write_sheets


@pytest.fixture
def make_run(tmp_path: Path) -> Make:
    """Build a run; keyword arguments change one thing about it."""

    def build(
        n: int = N, k: int = 3, side: int = SIDE, noise: bool = True, bad: dict[int, str] | None = None, **without: bool
    ) -> runs.Run:
        bad = BAD if bad is None else bad
        writer = runs.begin(tmp_path / "run", header(n))
        ok = np.array([i for i in range(n) if i not in bad])
        labels = np.where((ok % 10 == 7) & noise, -1, ok % k)
        for kept in (TWINS if n == N else {}).items():
            labels[ok == kept[0]] = labels[ok == kept[1]]
        twins = TWINS if n == N else {}
        names = [HOSTILE.get(i, f"{i:05d}.jpg") for i in range(n)]
        writer.table(
            "images.parquet",
            {
                "index": list(range(n)),
                "path": names,
                "bytes": [1000] * n,
                "width": [None if i in bad else side for i in range(n)],
                "height": [None if i in bad else side for i in range(n)],
                "status": ["unreadable" if i in bad else "duplicate" if i in twins else "ok" for i in range(n)],
                "reason": [bad.get(i) for i in range(n)],
                "twin": [twins.get(i) for i in range(n)],
            },
        )
        rng = np.random.default_rng(1)
        columns = {c: rng.random(len(ok)).astype(np.float32) for c in ("confidence", "distance", "silhouette")}
        writer.table("assignments.parquet", {"index": ok, "cluster": labels, "second": (labels + 1) % k, **columns})
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
            write_sheets(writer.folder / "thumbs", [np.stack([make_thumb(p) for p in pixels_of(n, side)])])
        if without.get("scored"):
            told = {"class": "<u>cat</u>", "share": 0.75, "size": 4}
            values = {"acc": 0.9, "nmi": 0.81, "nmi_geometric": 0.82, "ari": 0.7, "purity": 0.91}
            writer.json("scores.json", {"labels": "folder", **values, "n_scored": 58, "clusters": {"0": told}})
        return runs.load_run(writer.finish())

    return build
