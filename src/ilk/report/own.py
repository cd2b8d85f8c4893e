"""A method's own figures, drawn by their kind alone: no method is known here by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from matplotlib.ticker import MaxNLocator
from PIL import Image

from ilk.report.facts import NOISE
from ilk.report.marks import LIGHT, MARKERS, Theme, fitting, framed, panelled
from ilk.report.sheets import COLUMNS, contact_sheet
from ilk.report.words import counted, shortened

MAX_SERIES = 24
MAX_BARS = 60
MAX_NAMES = 60
MAX_PANELS = 12
MAX_POINTS = 20_000
MAX_ROWS = 30
MAX_IMAGES = 4 * COLUMNS

Own = dict[str, Any]


def draw_own(own: Own, theme: Theme = LIGHT) -> Figure | Image.Image:
    """Return the drawing of one figure as `Run.figures` gives it; what is too much to draw is left out and said so."""
    return _DRAWN[own["kind"]](own, theme)


def _lines(own: Own, theme: Theme) -> Figure:
    series = own["series"]
    figure, axes = framed(8, 4.4, theme)
    for number, (name, values) in enumerate(list(series.items())[:MAX_SERIES]):
        colour, dash = theme.strokes[number % len(theme.strokes)]
        marker = "o" if len(values) <= 40 else None
        label = fitting(shortened(name, 32)).lstrip("_") or "–"
        axes.plot(own["x"], values, color=colour, ls=dash, lw=1.6, marker=marker, ms=3, label=label)
    if len(series) > 1:
        legend = {"loc": "center left", "bbox_to_anchor": (1, 0.5)} if len(series) > 5 else {"loc": "best"}
        for text in axes.legend(fontsize=8, frameon=False, labelcolor=theme.ink, **legend).get_texts():
            text.set_parse_math(False)
    more = f"{len(series) - MAX_SERIES} more series are not drawn" if len(series) > MAX_SERIES else ""
    _finish(axes, own, theme, more)
    axes.grid(axis="y", color=theme.line, lw=0.8)
    if (own["x"] == np.round(own["x"])).all():
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    return figure


def _bars(own: Own, theme: Theme) -> Figure:
    names, values = own["names"][:MAX_BARS], own["values"][:MAX_BARS]
    figure, axes = framed(8, 1.5 + 0.27 * len(names), theme)
    axes.barh(range(len(names)), values, color=theme.bar, height=0.74)
    for y, value in enumerate(values.tolist()):
        axes.text(max(value, 0), y, f" {_short(value)}", va="center", fontsize=8, color=theme.ink)
    axes.set_yticks(range(len(names)), [fitting(shortened(n, 40)) for n in names], fontsize=8.5, parse_math=False)
    axes.set_ylim(len(names) - 0.4, -0.6)
    low, high = min(0.0, float(values.min())), max(0.0, float(values.max()))
    axes.set_xlim(low - 0.02 * (high - low), high + 0.15 * ((high - low) or 1))
    more = len(own["names"]) - len(names)
    _finish(axes, own, theme, f"{counted(more, 'more bar')} not drawn" if more else "")
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    return figure


def _short(value: float) -> str:
    return (
        f"{value:,.4g}".replace("-", "−")
        if abs(value) < 1e4
        else f"{value:,.3g}"
        if abs(value) >= 1e9
        else f"{value:,.0f}"
    )


def _matrix(own: Own, theme: Theme) -> Figure:
    values = own["values"]
    rows, columns = values.shape
    width, height = (float(np.clip(0.34 * n + 2.4, 4.2, 11)) for n in (columns, rows))
    figure, axes = framed(width + 1.2, height, theme)
    image = axes.imshow(
        np.where(np.isfinite(values), values, np.nan), cmap="cividis", aspect="auto", interpolation="nearest"
    )
    axes.set_facecolor(theme.grey)  # what is not known
    if own["column_names"] and columns <= MAX_NAMES:
        names = [fitting(shortened(n, 20)) for n in own["column_names"]]
        axes.set_xticks(range(columns), names, rotation=90 if columns > 6 else 0, fontsize=8, parse_math=False)
    if own["row_names"] and rows <= MAX_NAMES:
        axes.set_yticks(
            range(rows), [fitting(shortened(n, 20)) for n in own["row_names"]], fontsize=8, parse_math=False
        )
    if rows <= 12 and columns <= 12 and np.isfinite(values).any():
        middle = (np.nanmin(values) + np.nanmax(values)) / 2
        for (row, column), value in np.ndenumerate(values):
            ink = "black" if not value <= middle else "white"
            text = _short(value) if np.isfinite(value) else "–"
            axes.text(column, row, text, ha="center", va="center", fontsize=7.5, color=ink)
    bar = figure.colorbar(image, ax=axes, shrink=0.8)
    bar.ax.tick_params(colors=theme.ink)
    bar.outline.set_visible(False)
    _finish(axes, own, theme)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    return figure


def _scatter(own: Own, theme: Theme) -> Figure:
    shown = own["panels"][:MAX_PANELS]
    figure, panels = panelled(
        len(shown), width=5.2 if len(shown) < 3 else 4, height=4.2 if len(shown) < 3 else 3.4, theme=theme
    )
    rng = np.random.default_rng(0)
    for axes, panel in zip(panels, shown, strict=True):
        kept = np.flatnonzero(np.isfinite(panel["points"]).all(axis=1))
        kept = rng.permutation(kept)[:MAX_POINTS]
        points, labels = panel["points"][kept], panel["labels"][kept]
        size = float(np.clip(130 / np.sqrt(max(1, len(kept))), 0.9, 6.5))
        for number, label in enumerate(np.unique(labels).tolist()):
            turn = label if label >= 0 else number
            colour = theme.grey if label == NOISE else theme.palette[turn % len(theme.palette)]
            marker = MARKERS[turn // len(theme.palette) % len(MARKERS)]
            mine = points[labels == label]
            axes.plot(*mine.T, marker=marker, ls="none", ms=size, mew=0, alpha=0.75, color=colour)
            if label >= 0 and number < 40:
                x, y = np.median(mine, axis=0).tolist()
                text = axes.text(x, y, str(label), fontsize=9, ha="center", color=theme.ink)
                text.set(fontweight="bold", path_effects=[withStroke(linewidth=2.5, foreground=theme.ground)])
        _finish(axes, {**own, "title": panel["title"]}, theme, size=10)
        axes.tick_params(labelsize=7)
    rest = len(own["panels"]) - len(shown)
    title = own["title"] + (f" ({counted(rest, 'more panel')} not drawn)" if rest else "")
    title = figure.suptitle(
        fitting(shortened(title, 110)), x=0.02, ha="left", fontsize=12, fontweight="bold", color=theme.ink
    )
    title.set_parse_math(False)
    return figure


def _images(own: Own, theme: Theme) -> Image.Image:
    rows = []
    for row in own["rows"][:MAX_ROWS]:
        images = row["images"]
        pixels = [np.repeat(p[:, :, None], 3, axis=2) if p.ndim == 2 else p for p in images[:MAX_IMAGES]]
        more = f" ({len(images) - MAX_IMAGES} more)" if len(images) > MAX_IMAGES else ""
        rows.append((shortened(row["title"], 80) + more, pixels))
    if len(own["rows"]) > MAX_ROWS:
        rows.append((f"and {counted(len(own['rows']) - MAX_ROWS, 'more row')}", []))
    small = all(max(row["images"].shape[1:3]) <= 64 for row in own["rows"])
    return contact_sheet(own["title"], rows, small, theme)


def _finish(axes: Axes, own: Own, theme: Theme, more: str = "", size: float = 12) -> None:
    """Write title and labels, as plain text whatever they hold."""
    title = axes.set_title(
        fitting(shortened(own["title"], 80)), loc="left", fontsize=size, fontweight="bold", color=theme.ink
    )
    x = axes.set_xlabel(
        " · ".join(filter(None, [fitting(shortened(own.get("x_label", ""), 80)), more])), color=theme.quiet
    )
    y = axes.set_ylabel(fitting(shortened(own.get("y_label", ""), 80)), color=theme.quiet)
    for text in (title, x, y):
        text.set_parse_math(False)
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_axisbelow(True)


_DRAWN: dict[str, Callable[[Own, Theme], Figure | Image.Image]] = {
    "lines": _lines,
    "bars": _bars,
    "matrix": _matrix,
    "scatter": _scatter,
    "images": _images,
}
