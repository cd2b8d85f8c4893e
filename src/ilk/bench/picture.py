"""The picture of a recipe: ours beside what was published, one panel per data set."""

from __future__ import annotations

import statistics
import textwrap
from pathlib import Path
from typing import Any

from ilk import disk
from ilk.bench.recipe import SCORES, Data, Recipe, Row
from ilk.bench.table import collected

__all__ = ["draw"]

_OURS, _THEIRS = "#0072B2", "#E69F00"  # Okabe and Ito: different to everybody, and in grey
_LINES = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#000000")
_MARKS = "os^Dvx+"


def draw(recipe: Recipe, path: Path) -> Path | None:
    """Draw the first score of the recipe into the PNG `path`; None where there is nothing to show.

    Rows of a sweep become lines over the setting they sweep, all others bars.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    score = recipe.scores[0]
    panels = [(data, rows) for data in recipe.data.values() if (rows := _worth(collected(recipe, data), data, score))]
    if not panels:
        return None
    heights = [3.2 if any(row.swept for row, _ in rows) else 0.7 + 0.42 * len(rows) for _, rows in panels]
    figure = Figure(figsize=(8.5, sum(heights) + 0.8), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(len(panels), 1, squeeze=False, gridspec_kw={"height_ratios": heights})[:, 0]
    figure.suptitle(recipe.title, x=0.01, ha="left", fontsize=12, fontweight="bold")
    for axis, (data, rows) in zip(axes, panels, strict=True):
        title = data.name + (f": {data.about}" if data.about else "")
        axis.set_title(textwrap.fill(title, 70), fontsize=10, loc="left")
        (_lines if any(row.swept for row, _ in rows) else _bars)(axis, data, rows, score)
        axis.spines[["top", "right"]].set_visible(False)
    if any(row.swept is None for _, rows in panels for row, _ in rows):
        _legend(figure, any(_published(data, rows, score) for data, rows in panels))
    path.parent.mkdir(parents=True, exist_ok=True)
    with disk.replacing(path) as file:
        figure.savefig(file, format="png", dpi=130, metadata={"Software": None})
    return path


Rows = list[tuple[Row, list[dict[str, Any]]]]


def _worth(rows: Rows, data: Data, score: str) -> Rows:
    """Return the rows with results; those with a published figure alone make sense only beside them."""
    scored = [(row, [record for record in records if record["scores"]]) for row, records in rows]
    if not any(records for _, records in scored):
        return []
    return [(row, records) for row, records in scored if records or score in row.published.get(data.name, {})]


def _bars(axis: Any, data: Data, rows: Rows, score: str) -> None:
    aside = 0.18 if _published(data, rows, score) else 0.0
    for position, (row, records) in enumerate(rows):
        values = [record["scores"][score] for record in records]
        if values:
            mean = statistics.mean(values)
            axis.barh(position - aside, mean, 0.34, color=_OURS)
            axis.plot(values, [position - aside] * len(values), "|", color="black", markersize=8)
            axis.text(max(values) + 0.012, position - aside, f"{mean:.3f}", va="center", fontsize=8)
        theirs = row.published.get(data.name, {}).get(score)
        if theirs is not None:
            axis.barh(position + aside, theirs, 0.34, color=_THEIRS, hatch="///", edgecolor="white")
            axis.text(theirs + 0.012, position + aside, f"{theirs:.3f}", va="center", fontsize=8, color="#555555")
    axis.set_yticks(range(len(rows)), [row.name for row, _ in rows], fontsize=9)
    axis.set_xlim(0, 1.08)
    axis.set_ylim(len(rows) - 0.4, -0.6)
    axis.set_xlabel(f"{SCORES[score]} (1 = perfect)")


def _published(data: Data, rows: Rows, score: str) -> bool:
    return any(score in row.published.get(data.name, {}) for row, _ in rows)


def _legend(figure: Any, published: bool) -> None:
    """Say once, below all panels, what the bars are."""
    from matplotlib.patches import Patch

    shown = [Patch(color=_OURS, label="ours: mean over seeds, a stroke each; no bar: not run")]
    if published:
        shown.append(Patch(facecolor=_THEIRS, hatch="///", edgecolor="white", label="published"))
    figure.legend(handles=shown, fontsize=8.5, loc="outside lower left", ncols=2, frameon=False)


def _lines(axis: Any, data: Data, rows: Rows, score: str) -> None:
    names = list(dict.fromkeys(row.name for row, _ in rows))
    label = ""
    for number, name in enumerate(names):
        colour, mark = _LINES[number % len(_LINES)], _MARKS[number % len(_MARKS)]
        mine = [(row, records) for row, records in rows if row.name == name and row.swept]
        ours = [(row.swept[1], [r["scores"][score] for r in records]) for row, records in mine if row.swept and records]
        label = mine[0][0].swept[0] if mine and mine[0][0].swept else label
        if ours:
            means = [statistics.mean(values) for _, values in ours]
            axis.plot([x for x, _ in ours], means, color=colour, marker=mark, label=f"{name}, ours")
            for x, values in ours:
                axis.plot([x] * len(values), values, "|", color=colour, markersize=6)
        theirs = [
            (row.swept[1], f[score])
            for row, _ in mine
            if row.swept and score in (f := row.published.get(data.name, {}))
        ]
        if theirs:
            axis.plot(*zip(*theirs, strict=True), color=colour, linestyle="--", label=f"{name}, published")
    axis.set_xlabel(label)
    axis.xaxis.set_major_formatter("{x:,g}")
    axis.set_ylabel(f"{SCORES[score]} (1 = perfect)")
    axis.set_ylim(0, 1)
    axis.grid(alpha=0.25)
    axis.legend(fontsize=8)
