"""What all plots share: colours that colour-blind readers can distinguish, inks, and text that the font can draw."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, findfont, get_font
from PIL import Image

from ilk.report.facts import NOISE, Group
from ilk.report.words import shortened, visible

# CARTO's "Safe" palette, its grey (ours for "not assigned") replaced by an orange
PALETTE = (
    *("#88ccee", "#cc6677", "#ddcc77", "#117733", "#332288", "#aa4499"),
    *("#44aa99", "#999933", "#882255", "#661100", "#6699cc", "#ee7733"),
)
# on a dark ground the darkest of them would vanish
PALETTE_DARK = (
    *("#88ccee", "#e07b8c", "#ddcc77", "#3fae66", "#8f83e8", "#cf6cbf"),
    *("#44aa99", "#b5b54a", "#c2568c", "#b8674f", "#6699cc", "#ee7733"),
)
MARKERS = "o^sDvP*X<>"
# for lines: dark first (on a dark ground light ones), and distinguished by their dashes too
_DASHES: tuple[Any, ...] = ("-", (0, (5, 2)), (0, (1, 1.5)))
_LINES = ("#332288", "#cc6677", "#117733", "#ee7733", "#6699cc", "#882255", "#999933", "#44aa99")
_LINES_DARK = ("#88ccee", "#e07b8c", "#3fae66", "#ee7733", "#8f83e8", "#cf6cbf", "#ddcc77", "#44aa99")


@dataclass(frozen=True)
class Theme:
    """Colours of a plot."""

    ground: str
    ink: str
    quiet: str
    line: str
    bar: str
    chosen: str
    grey: str
    palette: tuple[str, ...]
    lines: tuple[str, ...]

    @property
    def strokes(self) -> tuple[tuple[str, Any], ...]:
        """Colour and dash of one line after the other."""
        return tuple((colour, dash) for dash in _DASHES for colour in self.lines)


LIGHT = Theme("#ffffff", "#1d2430", "#5b6472", "#e4e7eb", "#2f6f9f", "#b8432f", "#a9afb8", PALETTE, _LINES)
DARK = Theme("#191d24", "#e8eaee", "#a3abb8", "#323946", "#6aa9d8", "#f08a75", "#6f7886", PALETTE_DARK, _LINES_DARK)


def framed(width: float, height: float, theme: Theme) -> tuple[Figure, Axes]:
    """Return an empty figure (inches) with one pair of axes and a margin, outside of pyplot's global state."""
    figure = Figure(figsize=(width, height), facecolor=theme.ground)
    figure.set_layout_engine("constrained", w_pad=0.16, h_pad=0.14)
    axes = figure.subplots()
    _themed(axes, theme)
    return figure, axes


def panelled(n: int, width: float, height: float, theme: Theme) -> tuple[Figure, list[Axes]]:
    """Return an empty figure with `n` pairs of axes of `width` × `height` inches, up to four beside each other."""
    columns = min(n, 2 if n in (2, 4) else 3 if n <= 9 else 4)
    rows = math.ceil(n / columns)
    figure = Figure(figsize=(width * columns, height * rows + 0.4), facecolor=theme.ground)
    figure.set_layout_engine("constrained", w_pad=0.12, h_pad=0.12)
    axes = list(figure.subplots(rows, columns, squeeze=False).flat)
    for unused in axes[n:]:
        unused.remove()
    for used in axes[:n]:
        _themed(used, theme)
    return figure, axes[:n]


def _themed(axes: Axes, theme: Theme) -> None:
    axes.set_facecolor(theme.ground)
    axes.tick_params(colors=theme.ink)
    for spine in axes.spines.values():
        spine.set_edgecolor(theme.ink)


def rendered(figure: Figure, dpi: int) -> Image.Image:
    """Return a figure as an RGB image: drawn once, where `savefig` goes through it twice to come to the same pixels."""
    figure.set_dpi(dpi)
    canvas: Any = FigureCanvasAgg(figure)
    canvas.draw()
    return Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")


def fitting(text: str) -> str:
    """Return `text` with a box in place of every character that the plots' font cannot draw."""
    glyphs = get_font(findfont(FontProperties())).get_charmap()
    return "".join(c if ord(c) in glyphs else "□" for c in visible(text))


def labelled(group: Group) -> str:
    """Return the short label of a group in a plot: its number, with its name or the guessed one if it has any."""
    if group.id == NOISE:
        return "not assigned"
    return fitting(shortened(group.label, 24))
