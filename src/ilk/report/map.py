"""The map of a run as a plot: every image a point, every group labelled where it lies."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke

from ilk.report.facts import NOISE, Facts, Group
from ilk.report.marks import LIGHT, MARKERS, Theme, framed, labelled
from ilk.report.words import counted

MAX_LABELS = 40
Layout = npt.NDArray[np.float32]


def draw_map(facts: Facts, layout: Layout, theme: Theme = LIGHT, title: bool = True) -> Figure | None:
    """Return a scatter plot of `layout` (n, 2), coloured by group; None where no image has a point.

    More than 12 groups take turns with colours and differ in marker; the 40 largest are labelled.
    """
    placed = np.isfinite(layout).all(axis=1) & (facts.labels >= NOISE)
    if not placed.any():
        return None
    figure, axes = framed(8, 6.4, theme)
    _points(axes, facts, layout, placed, theme)
    # the middle 99.8 % of the images fill the frame: a few strays must not squeeze the rest
    low, high = np.quantile(layout[placed], (0.001, 0.999), axis=0)
    room = 0.06 * np.where(high > low, high - low, 1.0)
    axes.set_xlim(low[0] - room[0], high[0] + room[0])
    axes.set_ylim(low[1] - room[1], high[1] + room[1])
    _labels(axes, facts, layout, placed, theme)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_visible(False)
    if title:
        text = f"{counted(int(placed.sum()), 'image')} in {counted(facts.n_groups, 'group')}"
        axes.set_title(text, loc="left", fontsize=12, fontweight="bold", color=theme.ink)
        note = "Alike images lie close together; distances between far groups, and the axes, have no unit."
        if facts.n_groups > MAX_LABELS:
            note += f" Labels: the {MAX_LABELS} largest groups."
        axes.set_xlabel(note, loc="left", fontsize=8.5, color=theme.quiet)
    return figure


def _points(axes: Axes, facts: Facts, layout: Layout, placed: npt.NDArray[np.bool_], theme: Theme) -> None:
    n = int(placed.sum())
    size = float(np.clip(130 / math.sqrt(n), 0.9, 6.5))
    rng = np.random.default_rng(0)
    numbers = {g.id: i for i, g in enumerate(sorted((g for g in facts.groups if g.id != NOISE), key=lambda g: g.id))}
    several = len(numbers) > len(theme.palette)
    style: dict[str, Any] = {"ls": "none", "mew": 0, "alpha": 0.85 if n < 5000 else 0.6, "rasterized": True}
    for group in sorted(facts.groups, key=lambda g: (g.id != NOISE, -g.size)):
        rows = group.members[placed[group.members]]
        rows = rng.permutation(rows)
        number = numbers.get(group.id, 0)
        colour = theme.grey if group.id == NOISE else theme.palette[number % len(theme.palette)]
        marker = MARKERS[number // len(theme.palette) % len(MARKERS)] if several and group.id != NOISE else "o"
        axes.plot(layout[rows, 0], layout[rows, 1], marker=marker, ms=size, color=colour, **style)


def _labels(axes: Axes, facts: Facts, layout: Layout, placed: npt.NDArray[np.bool_], theme: Theme) -> None:
    """Write the labels at the medians of the largest groups, moved apart where they would cover each other."""
    taken: list[tuple[float, float, float, float]] = []
    to_axes = axes.transLimits
    for group in _named(facts)[:MAX_LABELS]:
        rows = group.members[placed[group.members]]
        if not len(rows):
            continue
        text = labelled(group)
        middle = to_axes.transform(np.median(layout[rows], axis=0))
        half = _half(text)
        lift = half[1] + 0.015 if is_hidden(to_axes.transform(layout[rows]), text) else 0.0
        x, y = _free(float(middle[0]), float(middle[1]) + lift, half, taken)
        taken.append((x, y, *half))
        if math.hypot(x - middle[0], y - middle[1] - lift) > 0.02:
            axes.plot(*((middle[0], x), (middle[1], y)), color=theme.ink, lw=0.6, alpha=0.7, transform=axes.transAxes)
        axes.text(
            *(x, y, text),
            transform=axes.transAxes,
            ha="center",
            va="center",
            fontsize=9 if facts.n_groups > 12 else 14 if len(text) <= 3 else 11,
            fontweight="bold",
            color=theme.ink,
            parse_math=False,
            path_effects=[withStroke(linewidth=3, foreground=theme.ground)],
        )


def _half(text: str) -> tuple[float, float]:
    """Return half the width and height of a label, in shares of the axes."""
    return 0.008 * len(text) + 0.005, 0.02


def is_hidden(points: npt.NDArray[Any], text: str) -> bool:
    """Return whether a label in the middle of `points` (n, 2), shares of the axes, would cover nearly all of them."""
    low, high = np.quantile(points, (0.05, 0.95), axis=0)
    return bool(np.all(high - low < 2 * np.asarray(_half(text))))


def _named(facts: Facts) -> list[Group]:
    return [g for g in facts.groups if g.id != NOISE]


def _free(
    x: float, y: float, half: tuple[float, float], taken: list[tuple[float, float, float, float]]
) -> tuple[float, float]:
    """Return the position nearest to (x, y), searched on growing rings, where a label covers no other one."""
    for ring in range(12):
        for step in range(max(1, 8 * (ring > 0))):
            angle = math.pi / 4 * step
            at = (x + 0.02 * ring * math.cos(angle), y + 0.022 * ring * math.sin(angle))
            inside = 0.01 < at[0] < 0.99 and 0.01 < at[1] < 0.99
            if inside and not any(
                abs(at[0] - a) < half[0] + w and abs(at[1] - b) < half[1] + h for a, b, w, h in taken
            ):
                return at
    return min(max(x, 0.01), 0.99), min(max(y, 0.01), 0.99)
