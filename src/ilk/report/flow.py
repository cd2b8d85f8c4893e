"""The flow of images between the groups of two runs or more: bars for groups, bands for the images they share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, PathPatch, Rectangle
from matplotlib.path import Path as Outline

from ilk import disk
from ilk.report.facts import NOISE
from ilk.report.marks import LIGHT, fitting
from ilk.report.words import counted, share, shortened

__all__ = ["MAX_GROUPS", "draw_flow", "write_flow"]

Bands = Sequence[tuple[int, int, int, str]]

MAX_GROUPS = 30  # bars in a column; the rest are one bar
_REST = -3
_BAR, _GAP, _LETTER = 0.11, 3.4, 0.085  # inches
_SLOT, _SPACE, _THIN = 0.2, 0.08, 0.015  # inches: least room of a bar, room between two, least height of a band
# light, middle, dark: different in grey too; lighter ones are drawn first
_COLOURS = {"same": "#d3dae1", "part": "#7fb0d6", "moved": "#b8432f"}
_MEANING = {
    "same": "stayed with their group",
    "part": "kept their company in a group that was split or merged",
    "moved": "left their group",
}


@dataclass
class _Bar:
    """One group in one column; `low` and `left`, `right` are heights in inches, the last two of what is used up."""

    size: int
    label: str
    low: float = 0.0
    height: float = 0.0
    left: float = 0.0
    right: float = 0.0


def write_flow(
    path: Path, columns: Sequence[Mapping[str, Any]], bands: Sequence[Bands], partners: Sequence[Mapping[int, int]]
) -> None:
    """Write what `draw_flow` draws; the ending of `path` says as what."""
    figure = draw_flow(columns, bands, partners)
    with disk.output(path) as file:
        figure.savefig(file, format=path.suffix[1:].lower(), dpi=144)


def draw_flow(
    columns: Sequence[Mapping[str, Any]], bands: Sequence[Bands], partners: Sequence[Mapping[int, int]]
) -> Figure:
    """Draw a column of bars per run, and bands between neighbouring columns.

    Parameters
    ----------
    columns
        Per run: ``title``, ``names`` and ``sizes`` of its groups by id; -1 is "not assigned".
    bands
        Per step ``(group, next group, images, kind)``; kind is "same", "part" or "moved".
    partners
        Per step the group of the former run that each group is matched with.

    Notes
    -----
    Groups beyond the 30 largest of a column are one bar. Bands too thin to see are drawn together, as a wedge at their
    group that leads nowhere in particular.
    """
    shown = [_largest(column["sizes"]) for column in columns]
    flows = [_folded(step, a, b) for step, a, b in zip(bands, shown, shown[1:], strict=False)]
    n = sum(columns[0]["sizes"].values())
    most = max(len(ids) + (len(ids) < len(column["sizes"])) for ids, column in zip(shown, columns, strict=True))
    scale = max(3.4, 0.17 * most) / max(n, 1)
    stacks = [_stack(columns[0], shown[0], scale)]
    for column, ids, flow, partner in zip(columns[1:], shown[1:], flows, partners, strict=True):
        position = {i: at for at, i in enumerate(stacks[-1])}
        rank = {i: (i == NOISE, *_beside(i, flow, position, partner)) for i in ids}
        ids.sort(key=rank.__getitem__)
        stacks.append(_stack(column, ids, scale))
    tall = max(_height(stack) for stack in stacks)
    for stack in stacks:
        _place(stack, tall)
    longest = max(len(bar.label) for stack in (stacks[0], stacks[-1]) for bar in stack.values())
    margin = 0.3 + _LETTER * max(14, longest)
    wide = 2 * margin + _GAP * (len(columns) - 1) + _BAR
    figure = Figure(figsize=(wide, tall + 1.7), facecolor=LIGHT.ground)
    FigureCanvasAgg(figure)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_xlim(-margin, wide - margin)
    axes.set_ylim(-0.95, tall + 0.75)
    axes.axis("off")
    for i, flow in enumerate(flows):
        _draw_bands(axes, stacks[i], stacks[i + 1], flow, i * _GAP + _BAR, (i + 1) * _GAP, scale)
    for i, (stack, column) in enumerate(zip(stacks, columns, strict=True)):
        _draw_bars(axes, stack, i * _GAP, "left" if i == 0 else "right" if i == len(stacks) - 1 else "middle")
        title = fitting(shortened(str(column["title"]), 30))
        axes.text(i * _GAP + _BAR / 2, tall + 0.14, title, ha="center", fontweight="bold", color=LIGHT.ink,
                  parse_math=False)  # fmt: skip
    axes.text(-margin + 0.2, tall + 0.48, f"Where {counted(n, 'image')} went from run to run", fontsize=12,
              fontweight="bold", color=LIGHT.ink, parse_math=False)  # fmt: skip
    thin = any(m * scale < _THIN for flow in flows for kinds in flow.values() for m in kinds.values())
    _explain(axes, flows, n, 0.2 / wide, thin)
    return figure


def _largest(sizes: Mapping[int, int]) -> list[int]:
    """The groups that get a bar of their own, the largest first, "not assigned" last."""
    order = sorted(sizes, key=lambda i: (i == NOISE, -sizes[i], i))
    if len(order) <= MAX_GROUPS:
        return order
    noise = [NOISE] if NOISE in sizes else []
    return [i for i in order if i != NOISE][: MAX_GROUPS - 1 - len(noise)] + noise


def _folded(bands: Bands, left: list[int], right: list[int]) -> dict[tuple[int, int], dict[str, int]]:
    """Images between two bars by kind, groups without a bar counted into the bar of the rest."""
    found: dict[tuple[int, int], dict[str, int]] = {}
    for a, b, n, kind in bands:
        pair = (a if a in left else _REST, b if b in right else _REST)
        kinds = found.setdefault(pair, {})
        kinds[kind] = kinds.get(kind, 0) + n
    return found


def _stack(column: Mapping[str, Any], ids: list[int], scale: float) -> dict[int, _Bar]:
    """Bars of one column from top to bottom: `ids`, and one for the groups that are not among them."""
    sizes, names = column["sizes"], column["names"]
    bars = {i: _Bar(sizes[i], f"{fitting(shortened(names[i], 24))}   {sizes[i]:,}") for i in ids}
    rest = [i for i in sizes if i not in bars]
    if rest:
        n = sum(sizes[i] for i in rest)
        bars[_REST] = _Bar(n, f"{counted(len(rest), 'smaller group')}   {n:,}")
    for bar in bars.values():
        bar.height = bar.size * scale
    return bars


def _beside(
    i: int, flow: Mapping[tuple[int, int], Mapping[str, int]], position: Mapping[int, int], partner: Mapping[int, int]
) -> tuple[float, float, int]:
    """Where in its column group `i` belongs: beside its partner, else beside what most of its images come from."""
    shares = [(position[a], sum(kinds.values())) for (a, b), kinds in flow.items() if b == i]
    mean = sum(at * n for at, n in shares) / max(1, sum(n for _, n in shares))
    main = max(shares, key=lambda pair: (pair[1], -pair[0]))[0] if shares else 0
    return float(position.get(partner.get(i, _REST - 1), main)), mean, i


def _height(stack: Mapping[int, _Bar]) -> float:
    return sum(max(bar.height, _SLOT) + _SPACE for bar in stack.values()) - _SPACE


def _place(stack: Mapping[int, _Bar], tall: float) -> None:
    """Give every bar its position, from the top down, the whole in the middle of `tall` inches."""
    top = tall - (tall - _height(stack)) / 2
    for bar in stack.values():
        slot = max(bar.height, _SLOT)
        bar.low = top - slot + (slot - bar.height) / 2
        bar.left = bar.right = bar.low + bar.height
        top -= slot + _SPACE


def _draw_bars(axes: Axes, stack: Mapping[int, _Bar], x: float, side: str) -> None:
    for i, bar in stack.items():
        colour = LIGHT.grey if i in (NOISE, _REST) else LIGHT.ink
        axes.add_patch(Rectangle((x, bar.low), _BAR, max(bar.height, 0.008), facecolor=colour, lw=0))
        at, align = {"left": (x - 0.08, "right"), "right": (x + _BAR + 0.08, "left")}.get(
            side, (x + _BAR + 0.05, "left")
        )
        box = {"facecolor": "white", "alpha": 0.75, "pad": 0.8, "lw": 0} if side == "middle" else None
        axes.text(
            at, bar.low + bar.height / 2, bar.label, ha=align, va="center", fontsize=8.5, color=LIGHT.ink,
            bbox=box, parse_math=False, zorder=4,
        )  # fmt: skip


def _draw_bands(
    axes: Axes,
    left: Mapping[int, _Bar],
    right: Mapping[int, _Bar],
    flow: Mapping[tuple[int, int], Mapping[str, int]],
    x0: float,
    x1: float,
    scale: float,
) -> None:
    """Draw the bands of one step. At every bar they lie in the order of where they lead."""
    order_a = {i: at for at, i in enumerate(left)}
    order_b = {i: at for at, i in enumerate(right)}
    pieces = [(a, b, kind, n * scale) for (a, b), kinds in flow.items() for kind, n in kinds.items()]
    starts, ends = {}, {}
    for a, b, kind, height in sorted(pieces, key=lambda piece: (order_a[piece[0]], order_b[piece[1]], piece[2])):
        left[a].right -= height
        starts[a, b, kind] = left[a].right
    for a, b, kind, height in sorted(pieces, key=lambda piece: (order_b[piece[1]], order_a[piece[0]], piece[2])):
        right[b].left -= height
        ends[a, b, kind] = right[b].left
    depth = list(_COLOURS)
    for a, b, kind, height in sorted(pieces, key=lambda piece: (depth.index(piece[2]), -piece[3])):
        start, end, colour = starts[a, b, kind], ends[a, b, kind], _COLOURS[kind]
        if height >= _THIN:
            outline = _band(x0, start, x1, end, height)
            axes.add_patch(PathPatch(outline, facecolor=colour, alpha=0.85, lw=0.3, edgecolor="white", zorder=1))
        else:  # with its thin neighbours it makes a wedge
            reach = 0.16 * (x1 - x0)
            for x, y, tip in ((x0, start, x0 + reach), (x1, end, x1 - reach)):
                wedge = Outline([(x, y), (x, y + height), (tip, y + height / 2), (x, y)])
                axes.add_patch(PathPatch(wedge, facecolor=colour, lw=0.25, edgecolor=colour, zorder=1))


def _band(x0: float, y0: float, x1: float, y1: float, height: float) -> Outline:
    """Outline of a band from (x0, y0 … y0 + height) to (x1, y1 … y1 + height), level at both ends."""
    middle = (x0 + x1) / 2
    points = [
        *((x0, y0), (middle, y0), (middle, y1), (x1, y1), (x1, y1 + height)),
        *((middle, y1 + height), (middle, y0 + height), (x0, y0 + height), (x0, y0)),
    ]
    curve, line = Outline.CURVE4, Outline.LINETO
    return Outline(points, [Outline.MOVETO, curve, curve, curve, line, curve, curve, curve, Outline.CLOSEPOLY])


def _explain(
    axes: Axes, flows: Sequence[Mapping[tuple[int, int], Mapping[str, int]]], n: int, x: float, thin: bool
) -> None:
    """Write below the picture what the colours mean, and how many images have each."""
    handles: list[Any] = []
    for kind, colour in _COLOURS.items():
        counts = [sum(kinds.get(kind, 0) for kinds in flow.values()) for flow in flows]
        figures = ", ".join(f"{count:,}" for count in counts) + (f", {share(counts[0], n)}" if len(flows) == 1 else "")
        handles.append(Patch(facecolor=colour, alpha=0.85, label=f"{_MEANING[kind]} ({figures})"))
    if thin:
        few = "short strokes at a bar: bands too thin to follow, drawn together"
        handles.append(Line2D([], [], color=_COLOURS["moved"], lw=1, label=few))
    axes.legend(
        handles=handles, loc="lower left", bbox_to_anchor=(x, 0), frameon=False, fontsize=8.5, labelcolor=LIGHT.ink
    )
