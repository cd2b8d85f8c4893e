"""The PNG plots of a run: contact sheets, sizes of the groups, silhouette per number of groups, the map."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from ilk.report.facts import NOISE, Facts, gather
from ilk.report.map import draw_map
from ilk.report.marks import LIGHT, fitting, framed
from ilk.report.pictures import Pictures, Source
from ilk.report.sheets import write_sheets
from ilk.report.words import counted, finite, share, shortened
from ilk.runs import Run

MAX_BARS = 60


def write_plots(run: Run, source: Source = None) -> list[Path]:
    """Write the plots of a finished run into ``<run>/plots/``.

    Parameters
    ----------
    run
        A finished run, from `ilk.runs.load_run`.
    source
        Where the images are, or the opened source: contact sheets are then made from the images themselves instead of
        their 48 px thumbnails. May be missing or gone.

    Returns
    -------
    list of Path
        ``contact-<group id>.png`` for the 60 largest groups (of more than 60, the first of them are written),
        ``sizes.png``, ``silhouette-per-k.png`` where several numbers of groups were tried, ``map.png`` where the run
        has a map.

    Raises
    ------
    RunError
        A table of the run is missing or damaged.

    Notes
    -----
    At most 480 images are decoded. About 3 s for 70,000 images in 10 groups on one core.
    """
    facts = gather(run)
    folder = run.path / "plots"
    folder.mkdir(exist_ok=True)
    written = write_sheets(folder, facts, Pictures(run, facts, source)) if facts.groups else []
    figures = {"sizes.png": draw_sizes(facts), "silhouette-per-k.png": draw_k(facts, run.k_table())}
    layout = run.map()
    if layout is not None:
        figures["map.png"] = draw_map(facts, np.asarray(layout))
    for name, figure in figures.items():
        if figure is not None:
            FigureCanvasAgg(figure)
            figure.savefig(folder / name, dpi=144)
            written.append(folder / name)
    return written


def draw_sizes(facts: Facts) -> Figure | None:
    """Return horizontal bars, one per group, the largest on top; None for a run without groups."""
    shown, rest = facts.groups[:MAX_BARS], facts.groups[MAX_BARS:]
    if not shown:
        return None
    figure, axes = framed(8, 1.2 + 0.27 * (len(shown) + bool(rest)), LIGHT.ground)
    names = [fitting(shortened(g.title, 40)) for g in shown]
    sizes = [g.size for g in shown]
    axes.barh(range(len(shown)), sizes, color=[LIGHT.grey if g.id == NOISE else LIGHT.bar for g in shown], height=0.74)
    for y, group in enumerate(shown):
        label = f" {counted(group.size, 'image')} · {share(group.size, facts.n_readable)}"
        axes.text(group.size, y, label, va="center", ha="left", fontsize=8.5, color=LIGHT.ink)
    if rest:
        n = sum(g.size for g in rest)
        label = f"and {counted(len(rest), 'smaller group')} with {counted(n, 'image')} together (all in report.html)"
        axes.text(0, len(shown) - 0.1, label, va="center", fontsize=8.5, color=LIGHT.quiet)
    axes.set_yticks(range(len(shown)), names, fontsize=8.5, parse_math=False)
    axes.set_ylim(len(shown) - 0.4 + bool(rest), -0.6)
    axes.set_xlim(0, 1.25 * max(sizes))
    axes.set_xticks([])
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    title = f"{counted(facts.n_readable, 'image')} in {counted(facts.n_groups, 'group')}"
    axes.set_title(title, loc="left", fontsize=12, fontweight="bold", color=LIGHT.ink)
    return figure


def draw_k(facts: Facts, table: list[dict[str, Any]]) -> Figure | None:
    """Return the mean silhouette for every number of groups that was tried; None where none was."""
    told = ((int(row["k"]), finite(row.get("silhouette"))) for row in table if row.get("k"))
    points = sorted((k, s) for k, s in told if s is not None)
    if not points:
        return None
    figure, axes = framed(8, 4.4, LIGHT.ground)
    ks, values = zip(*points, strict=True)
    axes.plot(ks, values, color=LIGHT.bar, lw=1.6, marker="o", ms=4)
    if ks[-1] > 20 * ks[0]:
        axes.set_xscale("log")
    # whole numbers that were tried, about a dozen of them
    ticks = ks[:: math.ceil(len(ks) / 14)]
    axes.set_xticks(ticks, [str(k) for k in ticks])
    axes.set_xticks([], minor=True)
    low, high = min(values), max(values)
    room = (high - low) or 0.1
    axes.set_ylim(low - 0.25 * room, high + 0.25 * room)
    if facts.n_groups in ks:
        at = values[ks.index(facts.n_groups)]
        axes.axvline(facts.n_groups, color=LIGHT.chosen, lw=1, ls=(0, (4, 3)))
        axes.plot([facts.n_groups], [at], "o", ms=9, mfc="white", mec=LIGHT.chosen, mew=2)
    _suggested(axes, facts, dict(points), room)
    title = "Mean silhouette for each number of groups tried"
    axes.set_title(title, loc="left", fontsize=12, fontweight="bold", color=LIGHT.ink)
    axes.set_xlabel("number of groups K", color=LIGHT.quiet)
    axes.set_ylabel("mean silhouette (−1 to 1, higher is clearer)", color=LIGHT.quiet)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", color=LIGHT.line, lw=0.8)
    axes.set_axisbelow(True)
    return figure


def _suggested(axes: Axes, facts: Facts, curve: dict[int, float], room: float) -> None:
    """Write the names of the suggested numbers, and which was taken, beside their points."""
    names: dict[int, list[str]] = {}
    for name, k in (facts.summary.get("suggested") or {}).items():
        if k in curve:
            names.setdefault(k, []).append(name)
    if facts.n_groups in curve:
        names.setdefault(facts.n_groups, []).append("taken")
    for k, words in names.items():
        colour = LIGHT.chosen if k == facts.n_groups else LIGHT.ink
        text, side = f" {', '.join(words)}: {k} ", "right" if k > 0.8 * max(curve) else "left"
        axes.text(k, curve[k] + 0.07 * room, text, color=colour, ha=side, fontsize=9, fontweight="bold")
