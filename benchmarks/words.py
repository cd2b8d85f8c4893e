"""What silhouette and confidence of a group say about its purity, on sets with known labels: the words of the report.

    python benchmarks/words.py DATA [--folder DIR] [--only NAME …] [--seeds N]

Each set goes through the default pipeline, for 0.5, 1, 1.5 and 2 times as many groups as it has classes, over three
seeds. Of every group: the mean silhouette of its images, of the features and of the reduced space; their mean
confidence; the share of each image's 15 nearest images that are in its group; and its purity, the share of its
most frequent class. The limits of `ilk.report.words.apart` were set once, on these figures. Prints JSON: per set means,
cells of silhouette × confidence, and what each word stood for.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import sets
from scipy.stats import spearmanr

import ilk
from ilk.describe import silhouettes
from ilk.report.words import apart

FACTORS = (0.5, 1.0, 1.5, 2.0)
NEAREST = 15
SILHOUETTES = (-1.0, 0.05, 0.1, 0.15, 0.2, 0.3, 1.0)
CONFIDENCES = (0.0, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
HEADER = {"quality": {"silhouette": {"space": "features"}}}  # of a run whose groups have a word
QUANTITIES = ("silhouette", "silhouette_reduced", "confidence", "neighbours")


class Set(NamedTuple):
    """One set with one encoder: how many of its classes and images to draw (None: all)."""

    name: str
    encoder: str
    classes: int | None = None
    images: int | None = None
    seed: int = 0

    def draw(self, data: Path) -> sets.Labelled:
        """Return the images and labels."""
        whole = sets.read(self.name, [data], test_only=True)
        if whole is None:
            raise SystemExit(f"{data / self.name} is not there")
        return sets.draw(*whole, self.classes, self.images, self.seed)


CLOTHING = "clothing500.tar"
SETS = {
    "digits": Set("digits", "auto"),
    "digits, pixels": Set("digits", "pixels"),
    "MNIST, 10,000": Set("mnist.npz", "auto"),
    "Fashion-MNIST, 10,000": Set("fashion_mnist.npz", "auto"),
    "clothing500, balanced": Set(CLOTHING, "balanced"),
    "clothing500, fast": Set(CLOTHING, "fast"),
    **{f"clothing500, 5 classes ({seed}), balanced": Set(CLOTHING, "balanced", 5, None, seed) for seed in range(3)},
    "clothing500, HOG + colour": Set(CLOTHING, "classic"),
    "CIFAR-10, 2,000, fast": Set("cifar10.npz", "fast", None, 2000),
    "CIFAR-10, 4 classes, 2,000, fast": Set("cifar10.npz", "fast", 4, 2000),
    "CIFAR-10, 2,000, gradients": Set("cifar10.npz", "gradients", None, 2000),
}


class Layout:
    """A reducer that gives back a layout that was made before."""

    def __init__(self, rows: np.ndarray) -> None:
        self.rows = rows

    def fit_transform(self, _: np.ndarray) -> np.ndarray:
        """Return the layout."""
        return self.rows


def groups_of(model: ilk.TransferClustering, labels: np.ndarray, reduced: np.ndarray) -> Iterator[dict[str, float]]:
    """Yield the figures of every group."""
    rows = model.encoded_.rows
    mine, true = model.labels_[rows], np.unique(labels, return_inverse=True)[1][rows]
    same = mine[model.graph_.index[:, 1 : NEAREST + 1]] == mine[:, None]
    figures = {
        "silhouette": silhouettes(model.space_, mine)[0],
        "silhouette_reduced": silhouettes(reduced, mine)[0],
        "confidence": model.confidence_[rows],
        "neighbours": same.mean(1),
    }
    for group in range(model.n_clusters_):
        inside = mine == group
        counts = np.bincount(true[inside], minlength=true.max() + 1)
        told = {name: float(values[inside].mean()) for name, values in figures.items()}
        yield {"size": int(inside.sum()), **told, "purity": float(counts.max() / counts.sum())}


def measured(name: str, data: Path, cache: Path, seeds: int) -> list[dict[str, Any]]:
    """Return one record per group of a set."""
    pixels, labels = SETS[name].draw(data)
    classes, found = len(np.unique(labels)), []
    for seed in range(seeds):
        layout: np.ndarray | None = None
        for factor in FACTORS:
            k = max(2, round(factor * classes))
            reducer = None if layout is None else Layout(layout)
            options = {"encoder": SETS[name].encoder, "random_state": seed, "cache": cache, "reducer": reducer}
            model = ilk.TransferClustering(k, **options).fit(pixels)
            layout = model.embedding_ if layout is None else layout
            told = {"set": name, "images": len(labels), "classes": classes, "factor": factor, "seed": seed}
            found += [{**told, **group} for group in groups_of(model, labels, layout)]
            print(name, seed, k, file=sys.stderr, flush=True)
    return found


def mean(groups: Sequence[dict[str, Any]], name: str) -> float:
    """Mean over images."""
    return round(float(np.average([g[name] for g in groups], weights=[g["size"] for g in groups])), 3)


def cells(groups: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Purity of the groups in every cell of silhouette × confidence."""
    found = []
    for low, high in itertools.pairwise(SILHOUETTES):
        for least, most in itertools.pairwise(CONFIDENCES):
            inside = [
                g["purity"]
                for g in groups
                if low <= g["silhouette"] < high and least <= g["confidence"] < most + (most == 1) * 1e-6
            ]
            if inside:
                cell = {"silhouette": [low, high], "confidence": [least, most], "groups": len(inside)}
                lower = round(float(np.quantile(inside, 0.1)), 3)
                found.append({**cell, "purity": round(float(np.mean(inside)), 3), "purity_lowest_tenth": lower})
    return found


def words_of(groups: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """What each word stood for: how many groups, their purity, and where they come from."""
    by_word: dict[str, list[dict[str, Any]]] = {}
    for group in groups:
        by_word.setdefault(apart(HEADER, group["silhouette"], group["confidence"]), []).append(group)
    return [
        {
            "word": word,
            "groups": len(mine),
            "purity": round(float(np.mean([g["purity"] for g in mine])), 3),
            "purity_lowest_tenth": round(float(np.quantile([g["purity"] for g in mine], 0.1)), 3),
            "mostly_one_class": round(float(np.mean([g["purity"] >= 0.8 for g in mine])), 3),
            "sets": {name: sum(g["set"] == name for g in mine) for name in SETS if any(g["set"] == name for g in mine)},
        }
        for word, mine in sorted(by_word.items(), key=lambda item: -np.mean([g["purity"] for g in item[1]]))
    ]


def summary(groups: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """All that is told of the groups."""
    parts = {"fewer": [0.5], "as_many": [1.0], "more": [1.5, 2.0]}
    by_part = {name: [g for g in groups if g["factor"] in factors] for name, factors in parts.items()}
    enough = by_part["as_many"] + by_part["more"]  # a group of two classes cannot be pure
    purity = [g["purity"] for g in enough]
    whole = {name: [g for g in by_part["as_many"] if g["set"] == name] for name in SETS}
    return {
        "seeds": len({g["seed"] for g in groups}),
        "groups": len(groups),
        "sets": [
            {
                "set": name,
                "images": mine[0]["images"],
                "classes": mine[0]["classes"],
                **{what: mean(mine, what) for what in (*QUANTITIES, "purity")},
            }
            for name, mine in whole.items()
            if mine
        ],
        "rank_correlation_with_purity": {
            what: round(float(spearmanr([g[what] for g in enough], purity)[0]), 3) for what in QUANTITIES
        },
        "words": {name: words_of(mine) for name, mine in by_part.items()},
        "cells": cells(enough),
    }


def main() -> None:
    """Measure and print JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--folder", type=Path, help="where figures and features are kept for the next call")
    parser.add_argument("--only", nargs="*", choices=SETS)
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.folder or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        groups: list[dict[str, Any]] = []
        for name in options.only or SETS:
            kept = folder / f"{name.replace(' ', '_')}.json"
            if not kept.exists():
                kept.write_text(json.dumps(measured(name, options.data, folder / "cache", options.seeds)))
            groups += json.loads(kept.read_text())
    print(json.dumps(summary(groups)))


if __name__ == "__main__":
    main()
