"""The evidence for the number of groups, and histories of training, as small panels: one curve each."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from matplotlib.ticker import MaxNLocator

from ilk.report.facts import Facts
from ilk.report.marks import LIGHT, Theme, fitting, panelled
from ilk.report.words import counted, finite, shortened

# criterion -> (name, what it says, whether more is better); in the order of the panels
CRITERIA: dict[str, tuple[str, str, bool]] = {
    "silhouette": ("silhouette", "−1 to 1, higher is clearer", True),
    "stability": ("stability", "fits on halves agree, 0 to 1, higher is better", True),
    "modularity": ("modularity", "neighbours stay together, higher is better", True),
    "calinski_harabasz": ("Calinski-Harabasz", "variance ratio, higher is better", True),
    "davies_bouldin": ("Davies-Bouldin", "overlap of groups, lower is better", False),
    "rank_sum": ("rank sum", "of all criteria, lower is better", False),
}
MAX_HISTORIES = 24
COUNTERS = {"epoch", "epochs", "step", "steps", "done", "total"}

Points = list[tuple[float, float]]


def criteria(table: Sequence[Mapping[str, Any]]) -> dict[str, Points]:
    """Return (K, value) for every criterion of `table` that has at least one value, by K."""
    known = [*CRITERIA, *(key for row in table for key in row if key != "k" and key not in CRITERIA)]
    curves = {name: _points(table, "k", name) for name in dict.fromkeys(known)}
    return {name: points for name, points in curves.items() if points}


def best(name: str, points: Points) -> int | None:
    """Return the K at which a known criterion is best; the smallest where several are."""
    if name not in CRITERIA or not points:
        return None
    sign = 1 if CRITERIA[name][2] else -1
    return int(max(points, key=lambda point: (sign * point[1], -point[0]))[0])


def suggestions(facts: Facts, taken: int) -> dict[int, list[str]]:
    """Return what each number of groups is called: coarse, natural, fine, taken."""
    names: dict[int, list[str]] = {}
    for name, k in (facts.summary.get("suggested") or {}).items():
        if finite(k) is not None:
            names.setdefault(int(k), []).append(str(name))
    names.setdefault(taken, []).append("taken")
    return names


def histories(history: Sequence[Any]) -> dict[str, dict[str, Points]]:
    """Return, per numeric key of the records that have an ``epoch``, one curve per stage: {key: {stage: points}}."""
    records = [r for r in history if isinstance(r, Mapping) and finite(r.get("epoch")) is not None]
    keys = [k for r in records for k in r if k not in COUNTERS and finite(r[k]) is not None]
    stages = list(dict.fromkeys(str(r.get("stage") or "") for r in records))
    found = {}
    for key in list(dict.fromkeys(keys))[:MAX_HISTORIES]:
        by_stage = {s: _points([r for r in records if str(r.get("stage") or "") == s], "epoch", key) for s in stages}
        found[str(key)] = {stage: points for stage, points in by_stage.items() if points}
    return found


def _points(rows: Sequence[Mapping[str, Any]], x: str, y: str) -> Points:
    pairs = ((finite(row.get(x)), finite(row.get(y))) for row in rows)
    return sorted((a, b) for a, b in pairs if a is not None and b is not None)


def draw_k(facts: Facts, table: list[dict[str, Any]], theme: Theme = LIGHT) -> Figure | None:
    """Return one panel per criterion over the numbers of groups that were tried; None where none was.

    The number taken is a red ring on every curve, the best of each criterion a black triangle below its point.
    """
    curves = criteria(table)
    if not curves:
        return None
    names = suggestions(facts, facts.n_groups)
    every = sorted({k for points in curves.values() for k, _ in points})
    positions = {k: i for i, k in enumerate(every)}
    figure, panels = panelled(
        len(curves), width=8 if len(curves) == 1 else 5.2, height=4.4 if len(curves) == 1 else 3.3, theme=theme
    )
    for number, (axes, (name, points)) in enumerate(zip(panels, curves.items(), strict=True)):
        title, unit, _ = CRITERIA.get(name, (name.replace("_", " "), "", True))
        _criterion(axes, points, positions, best(name, points), names, number == 0, theme)
        axes.set_title(
            fitting(title[:1].upper() + title[1:]), loc="left", fontsize=11, fontweight="bold", color=theme.ink
        )
        axes.set_title(fitting(unit), loc="right", fontsize=8, color=theme.quiet)
        axes.set_xlabel("number of groups K", color=theme.quiet, fontsize=9)
    figure.suptitle(f"Evidence for the number of groups; ▲ best of its panel, ring: K = {facts.n_groups}, taken",
                    x=0.02, ha="left", fontsize=11, color=theme.ink)  # fmt: skip
    return figure


def _criterion(
    axes: Axes,
    points: Points,
    positions: Mapping[float, int],
    top: int | None,
    names: Mapping[int, list[str]],
    first: bool,
    theme: Theme,
) -> None:
    """Draw one curve at even steps: candidates lie denser among small numbers, where the choice is made."""
    at = {int(k): (positions[k], v) for k, v in points}
    values = [v for _, v in points]
    room = (max(values) - min(values)) or abs(values[0]) or 1.0
    axes.plot(*zip(*at.values(), strict=True), color=theme.bar, lw=1.6, marker="o", ms=3.5)
    if top is not None:
        axes.plot([at[top][0]], [at[top][1] - 0.11 * room], "^", ms=8, color=theme.ink)
    for k, titles in names.items():
        if k not in at:
            continue
        x, y = at[k]
        if "taken" in titles:
            axes.axvline(x, color=theme.chosen, lw=1, ls=(0, (4, 3)))
            axes.plot([x], [y], "o", ms=9, mfc=theme.ground, mec=theme.chosen, mew=2)
        if first or "taken" not in titles:
            axes.axvline(x, color=theme.grey, lw=0.6, zorder=0)
        if first:
            colour, late = theme.chosen if "taken" in titles else theme.ink, x > 0.72 * len(positions)
            text = f" {', '.join(titles)}: {k} "
            text_at = axes.text(x, y + 0.1 * room, text, color=colour, ha="right" if late else "left", fontsize=8)
            text_at.set(fontweight="bold", path_effects=[withStroke(linewidth=3, foreground=theme.ground)])
    step = math.ceil(len(positions) / 12)
    axes.set_xticks(
        [i for i in positions.values() if i % step == 0], [str(int(k)) for k, i in positions.items() if i % step == 0]
    )
    axes.set_ylim(min(values) - 0.25 * room, max(values) + 0.28 * room)
    _plain(axes, theme)


def moving(curves: Mapping[str, dict[str, Points]]) -> tuple[dict[str, dict[str, Points]], list[str]]:
    """Part what changes from what does not: curves that are the same share a panel, a constant is said in words.

    Returns
    -------
    curves
        Those that change, by name; names of equal ones joined.
    still : list of str
        "active 10": what had one value throughout.

    Examples
    --------
    >>> moving({"upper": {"": [(1, 0.9), (2, 0.8)]}, "lower": {"": [(1, 0.9), (2, 0.8)]}, "k": {"": [(1, 3), (2, 3)]}})
    ({'upper, lower': {'': [(1, 0.9), (2, 0.8)]}}, ['k 3'])
    """
    grouped: list[tuple[list[str], dict[str, Points]]] = []
    still = []
    for key, stages in curves.items():
        values = [value for points in stages.values() for _, value in points]
        same = next((names for names, other in grouped if other == stages), None)
        if len(values) > 1 and min(values) == max(values):
            still.append(f"{key.replace('_', ' ')} {values[0]:g}")
        elif same is not None:
            same.append(key)
        else:
            grouped.append(([key], stages))
    return {", ".join(names): stages for names, stages in grouped}, still


def draw_history(history: Sequence[Any], theme: Theme = LIGHT) -> Figure | None:
    """Return one panel per figure that changed from epoch to epoch; None where the method recorded none."""
    every = histories(history)
    if not every:
        return None
    curves, still = moving(every)
    if not curves:
        curves, still = every, []
    figure, panels = panelled(len(curves), width=4.2, height=2.7, theme=theme)
    for axes, (key, stages) in zip(panels, curves.items(), strict=True):
        for number, (stage, points) in enumerate(stages.items()):
            colour, dash = theme.strokes[number % len(theme.strokes)]
            alone = "o" if len(points) < 3 else None
            x, y = zip(*points, strict=True)
            axes.plot(
                x, y, color=colour, ls=dash, lw=1.6, marker=alone, ms=4, label=fitting(shortened(stage or "fit", 24))
            )
        if len(stages) > 1:
            axes.legend(fontsize=7.5, frameon=False, labelcolor=theme.ink)
        title = fitting(shortened(key.replace("_", " "), 32))
        axes.set_title(title, loc="left", fontsize=10.5, fontweight="bold", color=theme.ink, parse_math=False)
        axes.set_xlabel("epoch", color=theme.quiet, fontsize=8.5)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        _plain(axes, theme)
    epochs = int(max(points[-1][0] for stages in every.values() for points in stages.values()))
    title = f"What the method recorded over {counted(epochs, 'epoch')}"
    title += f"; unchanged throughout: {shortened(', '.join(still), 90)}" if still else ""
    figure.suptitle(fitting(title), x=0.02, ha="left", fontsize=11, color=theme.ink)
    return figure


def _plain(axes: Axes, theme: Theme) -> None:
    axes.tick_params(labelsize=8, color=theme.line)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", color=theme.line, lw=0.8)
    axes.set_axisbelow(True)
